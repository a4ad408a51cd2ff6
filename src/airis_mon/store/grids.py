"""PromQL's functions of windows as ClickHouse computes them: the SQL, the pieces it is asked in, and its answers.

The `timeSeries*ToGrid` aggregate functions of ClickHouse (25.6 and later) walk each series once for all steps. Their
windows are open on the left, as Prometheus 3 has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from clickhouse_connect.driver.exceptions import DatabaseError

from airis_mon.errors import QueryError, QueryTimeout, StoreBusy
from airis_mon.series.batch import STALE_BITS
from airis_mon.series.steps import Steps
from airis_mon.store.base import Fingerprints, Grid
from airis_mon.store.connection import ClientPool
from airis_mon.store.decimals import BITS
from airis_mon.store.native import Array, read
from airis_mon.store.selectors import EARLIEST, LATEST

CELLS = 2_000_000
"""So many cells one query answers at most, if it asks for more than one series; they take 9 bytes each."""
SAMPLES = 3_000_000
"""So many samples one query is to read, as far as can be told before; the engine holds 16 bytes of each."""
_INTERVAL_MS = 10_000
_TIMEOUT, _MEMORY = 159, 241  # ClickHouse's error codes

_AGGREGATES = {
    "last": "ResampleToGridWithStaleness",
    "timestamp": "ResampleToGridWithStaleness",
    "rate": "RateToGrid",
    "increase": "IncreaseToGrid",
    "delta": "DeltaToGrid",
    "irate": "InstantRateToGrid",
    "idelta": "InstantDeltaToGrid",
    "deriv": "DerivToGrid",
    "predict_linear": "PredictLinearToGrid",
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
FUNCTIONS = frozenset(_AGGREGATES)
"""What `Grids` computes."""

# A marker is kept by its bits, so neither condition has to compute a value.
_IS_MARKER = f"exponent = {BITS} AND mantissa = {STALE_BITS}"
_SELECT = """SELECT fp, timeSeries{aggregate}({parameters})(ts, {value}) AS grid FROM samples
    WHERE tenant = {{tenant:String}} AND {within} AND ts BETWEEN {low} AND {high} {real}
    GROUP BY fp SETTINGS enable_time_series_aggregate_functions = 1"""

Within = Callable[[Sequence[int]], tuple[str, dict[str, Any]]]


class Grids:
    """Computes functions of windows. within: the condition that names some series, and its parameters."""

    def __init__(self, clients: ClientPool, within: Within) -> None:
        self._clients, self._within = clients, within

    def compute(
        self, fps: Sequence[int], function: str, steps: Steps, window: int, args: Sequence[float], timeout_s: float
    ) -> Grid:
        """As `SeriesStore.grid`."""
        first, known = _known(steps)
        if not len(fps) or window <= 0 or not known.count:
            return _joined([], steps.count)
        parts = []
        for some in _pieces(fps, known, window):
            within, parameters = self._within(some)
            columns = self._read(_sql(function, known, window, args, within), parameters, timeout_s)
            if columns and len(columns[0]):
                parts.append(_grid(function, *columns))
        whole = _joined(parts, known.count)
        return whole if known == steps else _placed(whole, first, steps.count)

    def _read(self, sql: str, parameters: dict[str, Any], timeout_s: float) -> list[Array]:
        settings = {"max_execution_time": max(timeout_s, 0.001)}
        with self._clients.client() as client:
            try:
                answer = client.raw_query(sql, parameters, settings, fmt="Native")
            except DatabaseError as error:
                raise _refused(error) or error from None
        try:
            return read(answer)
        except (ValueError, IndexError):  # a server that fails midway writes its error into the answer
            raise StoreBusy(f"the store at {self._clients.address.place} broke off its answer", 1.0) from None


def _refused(error: DatabaseError) -> QueryError | None:
    """What a query is told that was too slow or too large; None for errors of another kind."""
    if error.code == _TIMEOUT:
        return QueryTimeout("query timed out in expression evaluation")
    if error.code == _MEMORY:
        return QueryError(
            "query processing would load too many samples into memory in query execution; "
            "ask for fewer series, a shorter time or a shorter range, or raise store.memory_bytes"
        )
    return None


def _known(steps: Steps) -> tuple[int, Steps]:
    """The steps at times that the store can hold, and how many stand before them."""
    first = max(0, -((steps.start - EARLIEST) // steps.step))
    count = min(steps.count, (LATEST - steps.start) // steps.step + 1) - first
    return first, Steps(steps.start + first * steps.step, steps.step, max(count, 0))


def _pieces(fps: Sequence[int], steps: Steps, window: int) -> Iterator[Sequence[int]]:
    """The series in pieces whose answer and whose samples fit into memory."""
    samples = (steps.end - steps.start + window) // _INTERVAL_MS + 1
    size = max(1, min(CELLS // steps.count, SAMPLES // samples))
    for at in range(0, len(fps), size):
        yield fps[at : at + size]


def _sql(function: str, steps: Steps, window: int, args: Sequence[float], within: str) -> str:
    numbers = [_time(steps.start), _time(steps.end), _seconds(steps.step), _seconds(window)]
    numbers += [f"toFloat64('{float(arg)!r}')" for arg in args]
    is_instant = function in _INSTANT
    return _SELECT.format(
        aggregate=_AGGREGATES[function],
        parameters=", ".join(numbers),
        value="value" if function != "timestamp" else _STAMP,
        within=within,
        low=_time(max(steps.start - window + 1, EARLIEST)),
        high=_time(steps.end),
        real="" if is_instant else f"AND NOT ({_IS_MARKER})",
    )


# A marker stays what it is, so that it is seen where it is the latest.
_STAMP = f"if({_IS_MARKER}, value, toUnixTimestamp64Milli(ts) / 1000)"


def _time(t: int) -> str:
    return f"fromUnixTimestamp64Milli({int(t)}, 'UTC')"


def _seconds(ms: int) -> str:
    return f"toDecimal64('{ms // 1000}.{ms % 1000:03d}', 3)"


def _grid(function: str, fp: Fingerprints, value: Array, is_null: Array) -> Grid:
    has = is_null == 0
    if function in _INSTANT:
        has &= value.view(np.uint64) != STALE_BITS
    if function == "present_over_time":
        value = np.ones_like(value)
    order = np.argsort(fp)
    order = order[has.any(axis=1)[order]]
    return Grid(fp[order], np.where(has, value, np.nan)[order], has[order])


def _joined(parts: Sequence[Grid], count: int) -> Grid:
    """The pieces as one, by fingerprint."""
    if len(parts) == 1:
        return parts[0]
    empty = Grid(np.empty(0, np.uint64), np.empty((0, count)), np.empty((0, count), np.bool_))
    fp = np.concatenate([empty.fp, *[part.fp for part in parts]])
    order = np.argsort(fp)
    value = np.concatenate([empty.value, *[part.value for part in parts]])
    has = np.concatenate([empty.has, *[part.has for part in parts]])
    return Grid(fp[order], value[order], has[order])


def _placed(grid: Grid, first: int, count: int) -> Grid:
    """The grid among steps that have nothing."""
    value = np.full((len(grid.fp), count), np.nan)
    has = np.zeros(value.shape, np.bool_)
    at = slice(first, first + grid.value.shape[1])
    value[:, at], has[:, at] = grid.value, grid.has
    return Grid(grid.fp, value, has)
