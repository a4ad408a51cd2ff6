"""Vectors as tests write and read them: rows of a series' name and its values, None where nothing is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import strategies as st

from airis_mon.query.aggregate import aggregate as engine_aggregate
from airis_mon.query.binary import binary as engine_binary
from airis_mon.query.matching import matched as engine_matched
from airis_mon.query.size import MOST_CELLS, check_cells
from airis_mon.query.values import Scalar, Vector, vector
from airis_mon.series.labels import METRIC, Labels, series_name

Row = tuple[str, *tuple[float | None, ...]]
Step = dict[str, float]
_SERIES = re.compile(r"([a-z_]*)(?:\{(.*)\})?")
_PAIR = re.compile(r'(\w+)="([^"]*)"')
_STEPS = 3
_NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 1.0, 2.0, -1.0, 2.5, -7.0, 1e16, -1e16, np.inf, -np.inf, np.nan])
_NAMES = st.sampled_from([None, "a", "b"])
_LABELS = st.builds(
    lambda name, x, y: tuple((n, v) for n, v in ((METRIC, name), ("x", x), ("y", y)) if v),
    _NAMES,
    st.sampled_from([None, "1", "2"]),
    st.sampled_from([None, "1"]),
)

_roomy = partial(check_cells, most=MOST_CELLS)
aggregate = partial(engine_aggregate, check_cells=_roomy)
binary = partial(engine_binary, check_cells=_roomy)
matched = partial(engine_matched, check_cells=_roomy)


def labels_of(series: str) -> Labels:
    """`a{x="1"}` as labels."""
    found = _SERIES.fullmatch(series)
    assert found, series
    pairs = _PAIR.findall(found[2] or "")
    return tuple(sorted([*pairs, *([(METRIC, found[1])] if found[1] else [])]))


def vec(*rows: Row) -> Vector:
    has = np.array([[v is not None for v in row[1:]] for row in rows], np.bool_)
    value = np.array([[np.nan if v is None else v for v in row[1:]] for row in rows], np.float64)
    return vector([labels_of(row[0]) for row in rows], value, has)


def scalar(*value: float) -> Scalar:
    return Scalar(np.array(value, np.float64))


def seen(found: Vector) -> list[Step]:
    """What stands at each step; a vector that contradicts itself fails."""
    assert found.value.shape == found.has.shape == (len(found.labels), found.has.shape[1])
    assert all(tuple(sorted(labels)) == labels for labels in found.labels)
    assert np.isnan(found.value[~found.has]).all()
    steps = []
    for step in range(found.has.shape[1]):
        names = [series_name(found.labels[i]) for i in np.flatnonzero(found.has[:, step])]
        assert len(set(names)) == len(names)
        steps.append(dict(zip(names, found.value[found.has[:, step], step].tolist(), strict=True)))
    return steps


def assert_seen(found: Vector, *steps: Step) -> None:
    assert [sorted(step) for step in seen(found)] == [sorted(step) for step in steps]
    for got, wanted in zip(seen(found), steps, strict=True):
        assert got == pytest.approx(wanted, rel=1e-9, abs=1e-9, nan_ok=True)


def at(found: Vector, step: int) -> list[tuple[Labels, float]]:
    """The samples of one step, in the vector's order."""
    return [(found.labels[i], float(found.value[i, step])) for i in np.flatnonzero(found.has[:, step])]


def _built(labels: Sequence[Labels], cells: Sequence[Sequence[float | None]]) -> Vector:
    if not labels:
        return vector([], np.empty((0, _STEPS)), np.empty((0, _STEPS), np.bool_))
    return vec(*((series_name(each), *row) for each, row in zip(labels, cells, strict=True)))


@st.composite
def vectors(draw: st.DrawFn) -> Vector:
    labels = draw(st.lists(_LABELS, max_size=6, unique=True))
    row = st.lists(st.none() | _NUMBERS, min_size=_STEPS, max_size=_STEPS)
    return _built(labels, draw(st.lists(row, min_size=len(labels), max_size=len(labels))))


scalars = st.lists(_NUMBERS, min_size=_STEPS, max_size=_STEPS).map(lambda value: scalar(*value))
