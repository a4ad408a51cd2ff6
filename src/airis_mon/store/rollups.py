"""Five-minute and hourly rollups: built on a schedule for windows that have closed, and again whenever wished.

They save reading, never truth: each can be built from the samples again, so they stay out of the insert's way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times, Values
from airis_mon.series.steps import Steps
from airis_mon.store.base import Fingerprints, Rolled

MINUTES_5_MS, HOUR_MS = 300_000, 3_600_000
GRACE_MS = 120_000
"""A window is built so long after its end; what comes later has its hour built again."""
HOURS_AT_ONCE = 48
"""So many hours one call of `maintain` builds; the next call goes on."""
LATE_HOURS = 5_000
"""So many late hours are kept in mind; beyond them `rebuild` is the way."""

Numbers = Callable[[str, dict[str, Any]], list[NDArray[Any]]]
Execute = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Rollup:
    """Windows in columns, ordered by (fp, t); t is the window's start, n counts finite samples, sum / n is the mean."""

    fp: Fingerprints
    t: Times
    min: Values
    max: Values
    sum: Values
    n: NDArray[np.uint64]
    last: Values


class Rollups:
    """Builds and remembers how far it has come; `numbers` reads, `execute` changes, both for one tenant."""

    def __init__(self, numbers: Numbers, execute: Execute) -> None:
        self._numbers, self._execute = numbers, execute
        self._built_to: int | None = None
        self._late: set[int] = set()
        self._lock = threading.Lock()  # of the two above
        self._building = threading.Lock()

    def note(self, t: Times) -> None:
        """Times just written, at least one: hours that were built already are to be built again."""
        with self._lock:
            # before the first `maintain` of a process nobody knows what is built: then every hour counts as late
            late = t if self._built_to is None else t[t < self._built_to] if int(t.min()) < self._built_to else t[:0]
            if len(late) and len(self._late) < LATE_HOURS:
                self._late.update(np.unique(late // HOUR_MS).tolist())

    def maintain(self, now: int) -> None:
        """Builds windows that have closed since the last call, late hours again: at most `HOURS_AT_ONCE` of each."""
        with self._building:
            since = self._begin()
            if since is None:
                return
            until = (now - GRACE_MS) // MINUTES_5_MS * MINUTES_5_MS
            until = max(since, min(until, since // HOUR_MS * HOUR_MS + HOURS_AT_ONCE * HOUR_MS))
            with self._lock:  # what is written from here on is late, for it may miss the building
                self._built_to = until
                late = sorted(self._late)
                self._late = set(late[HOURS_AT_ONCE:])
            try:
                self._build(since, until)
                for hour in late[:HOURS_AT_ONCE]:
                    self._build(hour * HOUR_MS, min((hour + 1) * HOUR_MS, since))
            except BaseException:
                with self._lock:
                    self._built_to = since
                    self._late.update(late)
                raise

    def rebuild(self, start: int, end: int) -> None:
        """Builds every window again that lies, even partly, within [start, end)."""
        with self._building:
            self._build(start // HOUR_MS * HOUR_MS, end)

    def _begin(self) -> int | None:
        """Where building goes on: the last window is built again, as a crash may have left half of it."""
        if self._built_to is not None:
            return self._built_to
        for sql in (_LATEST_WINDOW, _FIRST_SAMPLE):
            found = self._numbers(sql, {})
            if found and int(found[1][0]):
                return int(found[0][0]) // MINUTES_5_MS * MINUTES_5_MS
        return None

    def _build(self, start: int, end: int) -> None:
        for low, high in _hours(start, end):
            self._execute(_BUILD_5M, {"start": low, "end": high})
            # an hour that has not ended is built from the windows it has, and again with each of the rest
            self._execute(_BUILD_1H, {"start": low // HOUR_MS * HOUR_MS, "end": high})

    def load(self, within: str, span: dict[str, int], resolution_ms: int) -> Rollup:
        """Windows of the coarsest rollup that is not coarser than the resolution; `within` is a condition on fp."""
        table = "rollup_1h" if resolution_ms >= HOUR_MS else "rollup_5m"
        columns = self._numbers(_SELECT.format(table=table, within=within), span)
        return Rollup(*(columns or [np.empty(0, d) for d in ("u8", "i8", "f8", "f8", "f8", "u8", "f8")]))

    def rolled(self, within: str, parameters: dict[str, Any], steps: Steps) -> Rolled:
        """As `SeriesStore.rolled`; `within` is a condition on metric and fp, of which more series may come."""
        sql = _ON_STEPS.format(within=within)
        asked = {"start": steps.start - steps.step, "end": steps.end - 1, "step": steps.step}
        columns = self._numbers(sql, parameters | asked)
        if not columns or not len(columns[0]):
            return Rolled(np.empty(0, np.uint64), np.empty((0, steps.count)), np.empty((0, steps.count)))
        fp, row = np.unique(columns[0], return_inverse=True)
        mean, last = np.full((2, len(fp), steps.count), np.nan)
        mean[row, columns[1]], last[row, columns[1]] = columns[2], columns[3]
        return Rolled(fp, mean, last)


def _hours(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        high = min((start // HOUR_MS + 1) * HOUR_MS, end)
        yield start, high
        start = high


_LATEST_WINDOW = """SELECT toInt64(toUnixTimestamp(max(t))) * 1000, toUInt64(count())
    FROM rollup_5m WHERE tenant = {tenant:String}"""
_FIRST_SAMPLE = """SELECT toUnixTimestamp64Milli(min(ts)), toUInt64(count())
    FROM samples WHERE tenant = {tenant:String}"""
# The inner query collapses repeated samples as reading does: the greatest number stays.
_BUILD_5M = """INSERT INTO rollup_5m (tenant, metric, fp, t, vmin, vmax, vsum, n, last, built)
    SELECT tenant, metric, fp, toStartOfFiveMinutes(at) AS t, min(v), max(v), sum(v), count(), argMax(v, at), now64(3)
    FROM (SELECT tenant, metric, fp, ts AS at, max(value) AS v FROM samples
          WHERE tenant = {tenant:String} AND isFinite(value)
            AND ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
            AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
          GROUP BY tenant, metric, fp, ts)
    GROUP BY tenant, metric, fp, t
    SETTINGS optimize_aggregation_in_order = 1"""
_BUILD_1H = """INSERT INTO rollup_1h (tenant, metric, fp, t, vmin, vmax, vsum, n, last, built)
    SELECT tenant, metric, fp, toStartOfHour(r.t) AS t, min(r.vmin), max(r.vmax), sum(r.vsum), sum(r.n),
        argMax(r.last, r.t), now64(3)
    FROM rollup_5m AS r FINAL
    WHERE tenant = {tenant:String} AND r.t >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
      AND r.t < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    GROUP BY tenant, metric, fp, t"""
_SELECT = """SELECT fp, toInt64(toUnixTimestamp(r.t)) * 1000 AS at, vmin, vmax, vsum, n, last FROM {table} AS r FINAL
    WHERE tenant = {{tenant:String}} AND {within} AND r.t BETWEEN
        fromUnixTimestamp64Milli({{start:Int64}}, 'UTC') AND fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
    ORDER BY fp, at"""
_ON_STEPS = """SELECT fp, intDiv(toInt64(toUnixTimestamp(r.t)) * 1000 - {{start:Int64}}, {{step:Int64}}) AS at,
    sum(vsum) / sum(n), argMax(r.last, r.t) FROM rollup_5m AS r FINAL
    WHERE tenant = {{tenant:String}} AND {within} AND r.t BETWEEN
        fromUnixTimestamp64Milli({{start:Int64}}, 'UTC') AND fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
    GROUP BY fp, at"""
