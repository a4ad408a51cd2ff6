"""Aggregations by rank: the largest, the smallest, a quantile of each group at each step. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import QueryError
from airis_mon.query.grouping import Groups, Index
from airis_mon.query.values import Vector, vector
from airis_mon.series.batch import Values
from airis_mon.series.labels import Labels

_LARGEST_INT = 9223372036854774784.0
"""The largest number that Go turns into an int64."""
_SMALLEST_INT = -9223372036854775808.0


def extremes(op: str, of: Vector, groups: Groups[Labels], k: Values) -> Vector:
    """`topk` or `bottomk`: at each step the k samples of each group that come first, NaN last, ties as they stand.

    k: (steps,). At a single step the series are in that order, group by group. Raises QueryError for a k that is no
    number or beyond 64 bits.
    """
    most = _whole(k, len(of))
    if not len(of):
        return of
    place = np.where(of.has, np.isnan(of.value), 2).astype(np.int8)
    order = _ranked(groups, -of.value if op == "topk" else of.value, place)
    rank = np.arange(len(of)) - np.repeat(groups.starts, groups.sizes)
    is_chosen = (rank[:, np.newaxis] < most) & np.take_along_axis(of.has, order, axis=0)
    if len(k) == 1:
        return of.rows(order[is_chosen[:, 0], 0])
    has = np.zeros_like(of.has)
    np.put_along_axis(has, order, is_chosen, axis=0)
    return vector(of.labels, of.value, has).present()


def quantiles(of: Vector, groups: Groups[Labels], phi: Values) -> Values:
    """(groups, steps) the phi-quantile of each group, between two samples in proportion; a NaN counts as the smallest.

    phi: (steps,), NaN gives NaN, below 0 -Inf, above 1 +Inf. Infinite samples give NaN where Prometheus' formula does.
    """
    place = np.where(of.has, ~np.isnan(of.value), 2).astype(np.int8)
    ranked = np.take_along_axis(of.value, _ranked(groups, of.value, place), axis=0)
    last = np.maximum(groups.count(of.has) - 1, 0)  # (groups, steps)
    rank = np.where((phi >= 0) & (phi <= 1), phi, 0.0) * last
    lower = np.floor(rank).astype(np.intp)
    starts = groups.starts[:, np.newaxis]
    low = np.take_along_axis(ranked, starts + lower, axis=0)
    high = np.take_along_axis(ranked, starts + np.minimum(lower + 1, last), axis=0)
    weight = rank - lower
    with np.errstate(invalid="ignore"):
        found = low * (1 - weight) + high * weight
    beyond = np.where(phi < 0, -np.inf, np.where(phi > 1, np.inf, np.nan))
    return np.where((phi >= 0) & (phi <= 1), found, beyond)


def _whole(k: Values, most: int) -> Index:
    """(steps,) k without its fraction, at most `most`."""
    if k.max() < 1:
        return np.zeros(len(k), np.intp)
    if np.isnan(k).any():
        raise QueryError("Parameter value is NaN")
    if k.min() <= _SMALLEST_INT:
        raise QueryError(f"Scalar value {_shown(k.min())} underflows int64")
    if k.max() >= _LARGEST_INT:
        raise QueryError(f"Scalar value {_shown(k.max())} overflows int64")
    return np.clip(np.trunc(k), 0, most).astype(np.intp)


def _ranked(groups: Groups[Labels], key: Values, place: NDArray[np.int8]) -> Index:
    """(rows, steps) the rows by group, place, key and row, for each step. place: (rows, steps) 0, 1 or 2."""
    rows = np.arange(len(key))[groups.order]
    # Small integers are sorted by radix.
    kind = np.int16 if 3 * len(groups) < np.iinfo(np.int16).max else np.int64
    major = (3 * groups.index[rows])[:, np.newaxis].astype(kind) + place[rows].astype(kind)
    found: Index = rows[np.lexsort((key[rows], major), axis=0)]
    return found


def _shown(value: float) -> str:
    """The number as Go's %v writes it."""
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-") if abs(value) < 1e21 else repr(float(value))
