"""PromQL's functions of windows over many series: what ClickHouse computes, asked in pieces that fit into memory.

The `timeSeries*ToGrid` aggregate functions of ClickHouse (25.6 and later) walk each series once for all steps. Their
windows are open on the left, as Prometheus 3 has them. Slopes are computed here from samples: ClickHouse's rate (26.9)
takes what has left a window out of a running sum again, which leaves NaN after an infinite sample and a trace of
rounding after resets, and its deriv finds a slope in a constant; ours take half of the processor time besides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.series.batch import STALE_BITS
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.slopes import SLOPES, Spans, slopes
from airis_mon.series.steps import Steps
from airis_mon.store.base import Grid
from airis_mon.store.connection import ClientPool
from airis_mon.store.decimals import BITS
from airis_mon.store.native import Array
from airis_mon.store.patience import Patience, TooMuch
from airis_mon.store.pieces import collapse
from airis_mon.store.selectors import EARLIEST, LATEST, Within, within

CELLS = 2_000_000
"""So many cells one query answers at most, unless a single series has more; they take 9 bytes each, twice."""
SAMPLES, ALONE = 2_000_000, 11_000_000
"""So many samples one query reads at most, and of a single series; they take 24 bytes each, up to three times."""
SERIES = 20_000
"""Of so many series one query reads at most: a day of each is read within a second."""
INTERVAL_MS = 10_000
"""Samples are reckoned to be so far apart; where there are more, the query is asked again in halves."""
SCALE = 30  # bits
_SETTINGS = ("enable_time_series_aggregate_functions = 1",)

_AGGREGATES = {
    "last": "ResampleToGridWithStaleness",
    "timestamp": "ResampleToGridWithStaleness",
    "delta": "DeltaToGrid",
    "irate": "InstantRateToGrid",
    "idelta": "InstantDeltaToGrid",
    "changes": "ChangesToGrid",
    "resets": "ResetsToGrid",
    "min_over_time": "MinToGrid",
    "max_over_time": "MaxToGrid",
    "avg_over_time": "AvgToGrid",
    "sum_over_time": "SumToGrid",
    "count_over_time": "CountToGrid",
    "last_over_time": "ResampleToGridWithStaleness",
    "present_over_time": "CountToGrid",
}
_INSTANT = frozenset({"last", "timestamp"})
FUNCTIONS = SLOPES | _AGGREGATES.keys()
"""What `Grids` computes."""

# A marker is known by its bits, so no value has to be computed for it.
_IS_MARKER = f"(exponent = {BITS} AND mantissa = {STALE_BITS})"
# A marker stays what it is, so that it is seen where it is the latest.
_VALUES = {
    "avg_over_time": f"value / {1 << SCALE}",  # the sum of huge values is not to be infinite: their mean is not
    "timestamp": f"if({_IS_MARKER}, value, toUnixTimestamp64Milli(ts) / 1000)",
    "changes": "if(value = 0, 0., value)",  # ClickHouse tells -0 from 0
}
# Times first: the engine's own choice would read every value only to look for markers, a fifth of a query's time.
_FROM = "FROM samples PREWHERE ts BETWEEN {low} AND {high} WHERE tenant = {{tenant:String}} AND {within}"
_AGGREGATE = f"SELECT fp, timeSeries{{aggregate}}({{grid}})(ts, {{value}}) {_FROM} AND {{real}} GROUP BY fp"
_SAMPLES = f"""SELECT fp, toUnixTimestamp64Milli(ts) AS t, value {_FROM} AND NOT {_IS_MARKER}
    ORDER BY {{order}} LIMIT {{limit}}"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A function over steps that the store can hold, at least one."""

    function: str
    steps: Steps
    window: int
    args: Sequence[float]
    patience: Patience

    @property
    def series_at_once(self) -> int:
        samples = (self.steps.end - self.steps.start + self.window) // INTERVAL_MS + 1
        return max(1, min(SERIES, CELLS // self.steps.count, SAMPLES // samples))


class Grids:
    """Computes functions of windows over a tenant's series. known: the catalogue of the series written last, if any."""

    def __init__(self, clients: ClientPool, tenant: str, known: Callable[[], Catalogue | None]) -> None:
        self._clients, self._tenant, self._known = clients, tenant, known

    def compute(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float],
        patience: Patience,
    ) -> Grid:
        """As `SeriesStore.grid`."""
        first, known = _known(steps)
        if not len(fps) or window <= 0 or not known.count:
            return _empty(0, steps.count)
        asked = _Asked(function, known, window, args, patience)
        fps, size = list(dict.fromkeys(sorted(fps))), asked.series_at_once  # they come in order: no set
        parts = (part for at in range(0, len(fps), size) for part in self._parts(asked, fps[at : at + size]))
        return _gathered(parts, len(fps), steps.count, slice(first, first + known.count))

    def _parts(self, asked: _Asked, fps: Sequence[int]) -> Iterator[Grid]:
        try:
            part = self._part(asked, fps)
        except TooMuch:
            if len(fps) == 1:
                raise
        else:
            yield part
            return
        half = len(fps) // 2
        yield from self._parts(asked, fps[:half])
        yield from self._parts(asked, fps[half:])

    def _part(self, asked: _Asked, fps: Sequence[int]) -> Grid:
        """The rows that have a value, by fingerprint."""
        rows = within(fps, self._known(), may_widen=True)
        compute = _of_samples if asked.function in SLOPES else _of_aggregate
        limit = SAMPLES if len(fps) > 1 else ALONE
        sql = _sql(_SAMPLES if asked.function in SLOPES else _AGGREGATE, asked, rows, limit)
        parameters = rows.parameters | {"tenant": self._tenant}
        columns = self._clients.columns(sql, parameters, asked.patience, _SETTINGS)
        if not columns or not len(columns[0]):
            return _empty(0, asked.steps.count)
        if len(columns[0]) > limit:
            raise TooMuch
        grid = compute(asked, columns)
        keep = grid.has.any(axis=1)
        if not rows.is_exact:
            keep &= np.isin(grid.fp, np.array(fps, np.uint64))
        order = np.flatnonzero(keep)
        order = order[np.argsort(grid.fp[order])]
        return Grid(grid.fp[order], grid.value[order], grid.has[order])


def _known(steps: Steps) -> tuple[int, Steps]:
    """How many steps stand before the times that the store can hold, and the steps within them."""
    first = max(0, -((steps.start - EARLIEST) // steps.step))
    count = min(steps.count, (LATEST - steps.start) // steps.step + 1) - first
    return first, Steps(steps.start + first * steps.step, steps.step, max(count, 0))


def _sql(template: str, asked: _Asked, rows: Within, limit: int) -> str:
    start, end = asked.steps.start, asked.steps.end
    return template.format(
        aggregate=_AGGREGATES.get(asked.function),
        grid=f"{_time(start)}, {_time(end)}, {_seconds(asked.steps.step)}, {_seconds(asked.window)}",
        value=_VALUES.get(asked.function, "value"),
        within=rows.sql,
        order=rows.order,
        low=_time(max(start - asked.window + 1, EARLIEST)),
        high=_time(end),
        limit=limit + 1,
        real="1" if asked.function in _INSTANT else f"NOT {_IS_MARKER}",
    )


def _time(t: int) -> str:
    return f"fromUnixTimestamp64Milli({int(t)}, 'UTC')"


def _seconds(ms: int) -> str:
    return f"toDecimal64('{ms // 1000}.{ms % 1000:03d}', 3)"


def _of_samples(asked: _Asked, columns: list[Array]) -> Grid:
    """Series without any value are among the rows."""
    samples, ends = collapse(columns), asked.steps.t
    starts = np.concatenate([[0], np.flatnonzero(samples.fp[1:] != samples.fp[:-1]) + 1])
    spans = Spans.over(samples.t, samples.value, np.append(starts, len(samples.t)), ends, asked.window)
    ahead = np.full(len(ends), asked.args[0] if asked.args else np.nan, np.float64)
    value = slopes(asked.function, spans, ends, ahead, asked.patience.check)
    return Grid(samples.fp[starts], value, spans.high - spans.low >= 2)


def _of_aggregate(asked: _Asked, columns: list[Array]) -> Grid:
    fp, value, is_null = columns
    has = is_null == 0
    if asked.function in _INSTANT:
        has &= value.view(np.uint64) != STALE_BITS
    if asked.function == "avg_over_time":
        value = np.ldexp(value, SCALE)
    found = 1.0 if asked.function == "present_over_time" else value
    return Grid(fp, np.where(has, found, np.nan), has)


def _empty(series: int, steps: int) -> Grid:
    return Grid(np.empty(series, np.uint64), np.full((series, steps), np.nan), np.zeros((series, steps), np.bool_))


def _gathered(parts: Iterable[Grid], series: int, steps: int, at: slice) -> Grid:
    """The parts below each other, in these steps; there are no more series than so many. At least one part."""
    parts = iter(parts)
    first = next(parts)
    if len(first.fp) == series and first.value.shape[1] == steps:
        return first
    fp, value, has = np.empty(series, np.uint64), np.empty((series, steps)), np.empty((series, steps), np.bool_)
    n = 0
    for part in itertools.chain([first], parts):  # each goes before the next comes: half the memory of joining them
        rows = slice(n, n := n + len(part.fp))
        fp[rows] = part.fp
        value[rows], has[rows] = np.nan, False
        value[rows, at], has[rows, at] = part.value, part.has
    return Grid(fp[:n], value[:n], has[:n])
