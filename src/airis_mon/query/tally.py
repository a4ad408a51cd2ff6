"""`count_values`: how many series of a group have each value. Pure."""

from __future__ import annotations

import math

import numpy as np

from airis_mon.errors import QueryError
from airis_mon.query.grouping import Groups, Index, parts
from airis_mon.query.size import CheckCells
from airis_mon.query.values import Vector, empty
from airis_mon.series.batch import Values
from airis_mon.series.labels import METRIC, Labels

_NAN_BITS = np.float64(np.nan).view(np.uint64)


def tally(name: str, of: Vector, labels: tuple[str, ...], check_cells: CheckCells, *, is_without: bool) -> Vector:
    """(groups and values, steps) how many series have the value that stands in the label `name`.

    Raises QueryError for an unusable label name, and when there are too many different values.
    """
    if not name:
        raise QueryError('invalid label name ""')
    row, step = np.nonzero(of.has)
    if not len(row):
        return empty(of.has.shape[1])
    # The label is part of the group, in the place of whatever had its name; `without` may name it and drop it again.
    dropped = (*labels, name) if is_without else tuple(label for label in labels if label != name)
    groups: Groups[Labels] = Groups.of(parts(of.labels, dropped, is_without=is_without))
    is_kept = not is_without or name not in (*labels, METRIC)
    texts, text = _texts(of.value[row, step]) if is_kept else ([""], np.zeros(len(row), np.intp))
    codes, result = np.unique(groups.index[row] * len(texts) + text, return_inverse=True)
    steps = of.has.shape[1]
    check_cells(len(codes) * steps)
    counts = np.bincount(result * steps + step, minlength=len(codes) * steps).reshape(len(codes), steps)
    pairs = [(groups.keys[code // len(texts)], texts[code % len(texts)]) for code in codes.tolist()]
    found = [tuple(sorted([*key, (name, value)])) if value else key for key, value in pairs]
    return Vector(found, np.where(counts > 0, counts.astype(np.float64), np.nan), counts > 0)


def _texts(value: Values) -> tuple[list[str], Index]:
    """(the different values as text, which of them each one is). By their bits: 0 and -0 are two, all NaN are one."""
    bits = np.where(np.isnan(value), _NAN_BITS, value.view(np.uint64))
    different, which = np.unique(bits, return_inverse=True)
    return [_text(float(each)) for each in different.view(np.float64)], which


def _text(value: float) -> str:
    """The number as Go's FormatFloat(value, 'f', -1, 64) writes it: the shortest that reads back, no exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")
