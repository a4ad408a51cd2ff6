"""A source of series in memory, which notes what it was asked for, and queries over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from airis_mon.query.engine import Answer, Bounds, Deadline, QueryEngine
from airis_mon.query.ranges import over
from airis_mon.query.values import Runs, Scalar, Vector
from airis_mon.series.batch import Values, is_stale
from airis_mon.series.labels import fingerprint
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Fingerprints, Grid, SeriesRow
from tests.query.vectors import Step, labels_of, seen

Points = Mapping[float, float]
"""Second -> value."""
FUNCTIONS = frozenset({"rate", "avg_over_time", "max_over_time", "last_over_time", "predict_linear"})


def every(seconds: float, *values: float | None, start: float = 0) -> Points:
    """One value after another; None leaves one out."""
    return {start + i * seconds: v for i, v in enumerate(values) if v is not None}


@dataclass
class Memory:
    """Series by name. asked: each call's name, with its matchers, its function or how many series it was about."""

    data: Mapping[str, Points]
    grid_functions: frozenset[str] = FUNCTIONS
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> list[SeriesRow]:
        self.asked.append(("series", *map(str, matchers)))
        matches = compile_matchers(matchers)
        low, high = -(2**63) if start is None else start, 2**63 if end is None else end
        found = []
        for name, points in self.data.items():
            labels, times = labels_of(name), [round(t * 1000) for t in points]
            if matches(labels) and any(low <= t <= high for t in times):
                found.append(SeriesRow(fingerprint(labels), labels, max(times)))
        return sorted(found, key=lambda row: row.fp)[:limit]

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Any = None,
    ) -> Grid:
        self.asked.append(("grid", function))
        found = self._columns(fps)
        if function in {"last", "timestamp"}:
            newest = _of_windows("last_over_time", found, fps, steps, window, ())
            has = newest.has & ~is_stale(newest.value)
            if function == "timestamp":
                times = Columns(found.fp, found.t, found.t / 1000)
                newest = _of_windows("last_over_time", times, fps, steps, window, ())
            return _kept(fps, np.where(has, newest.value, np.nan), has)
        real = ~is_stale(found.value)
        columns = Columns(found.fp[real], found.t[real], found.value[real])
        grid = _of_windows(function, columns, fps, steps, window, args)
        return _kept(fps, grid.value, grid.has)

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> Columns:
        self.asked.append(("samples", str(len(fps))))
        found = self._columns(fps)
        within = (found.t >= start) & (found.t <= end)
        return Columns(found.fp[within], found.t[within], found.value[within])

    def _columns(self, fps: Sequence[int]) -> Columns:
        points = {fingerprint(labels_of(name)): points for name, points in self.data.items()}
        rows = [(fp, round(t * 1000), v) for fp in sorted(fps) for t, v in sorted(points[fp].items())]
        fp, t, value = zip(*rows, strict=True) if rows else ((), (), ())
        return Columns(np.array(fp, np.uint64), np.array(t, np.int64), np.array(value, np.float64))


def _of_windows(
    function: str, columns: Columns, fps: Sequence[int], steps: Steps, window: int, args: Sequence[float]
) -> Vector:
    bounds = np.append(np.searchsorted(columns.fp, np.array(sorted(fps), np.uint64)), len(columns.fp))
    runs = Runs([()] * len(fps), bounds, columns.t, columns.value)
    scalars = [Scalar(np.full(steps.count, arg)) for arg in args]
    return over(function, runs, steps.t, window, scalars, steps.t, lambda: None)


def _kept(fps: Sequence[int], value: Values, has: np.ndarray) -> Grid:
    """As the store does: series without any value are left out."""
    fp: Fingerprints = np.array(sorted(fps), np.uint64)
    keep = has.any(axis=1)
    return Grid(fp[keep], value[keep], has[keep])


def ask(
    source: Memory, text: str, start: float, end: float | None = None, step: float = 60, bounds: Bounds | None = None
) -> Answer:
    """The answer at a moment, or from one to another (s)."""
    moments = Steps.at(round(start * 1000))
    range_end = None if end is None else round(end * 1000)
    if range_end is not None:
        moments = Steps.between(moments.start, range_end, round(step * 1000))
    return QueryEngine(source, bounds).query(text, moments, Deadline.after(60), range_end=range_end)


def steps_of(source: Memory, text: str, start: float, end: float | None = None, step: float = 60) -> list[Step]:
    """What a vector has at each step."""
    value = ask(source, text, start, end, step).value
    assert isinstance(value, Vector)
    return seen(value)


def at(source: Memory, text: str, moment: float) -> Step:
    """What a vector has at one moment."""
    return steps_of(source, text, moment)[0]
