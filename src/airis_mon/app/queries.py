"""PromQL and what is known of series, asked in worker threads: how many at once, how long, and for whom still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from airis_mon.errors import QueryError, StoreBusy
from airis_mon.query.engine import Answer, Bounds, Deadline, QueryEngine, Source
from airis_mon.query.parse import formatted
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.labels import Labels
from airis_mon.series.matchers import Matcher
from airis_mon.series.steps import Steps

R = TypeVar("R")
Selector = Sequence[Matcher]

LOOKERS = 2
"""Threads that list series and labels, so that a menu does not wait for a query of minutes."""
WAITING = 100
"""So many may wait for a thread; a dashboard asks for all its panels at once."""


class LabelledSource(Source, Protocol):
    """A source that is also asked for labels alone."""

    def label_names(self, matchers: Selector = (), start: int | None = None, end: int | None = None) -> list[str]:
        """As `SeriesStore.label_names`."""

    def label_values(
        self,
        name: str,
        matchers: Selector = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
    ) -> list[str]:
        """As `SeriesStore.label_values`."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one query may take, and how many run at once. steps: the most from one point to the last one."""

    timeout_s: float = 120.0
    steps: int = 11_000
    series: int = 100_000
    cells: int = 50_000_000
    lookback_s: float = 300.0
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Listed(Generic[R]):
    """What was found, sorted, and whether there is more of it than was asked for."""

    items: list[R]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a metric; help is empty when nothing is: sources' own are not kept."""

    type: MetricType
    help: str


class Lane:
    """Threads of one purpose, and a bounded queue before them."""

    def __init__(self, name: str, threads: int, waiting: int = WAITING) -> None:
        self.most = threads + waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._asked = 0
        self._is_closed = False
        self._lock = threading.Lock()

    async def run(self, function: Callable[[], R]) -> R:
        """The function's result. Raises StoreBusy when too many wait already."""
        with self._lock:
            if self._is_closed:
                raise StoreBusy("the server stops; ask again when it is back", 5.0)
            if self._asked >= self.most:
                raise StoreBusy(f"{self._asked} queries run or wait; ask for fewer at once", 1.0)
            self._asked += 1
            future = self._pool.submit(function)
        future.add_done_callback(self._left)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Takes nothing any more."""
        with self._lock:
            self._is_closed = True
        self._pool.shutdown(wait=False)

    def _left(self, _: Future[Any]) -> None:
        with self._lock:
            self._asked -= 1


class Queries:
    """Answers PromQL and lists series and labels. Times are ms UTC; None = without end.

    helps: what the metrics mean that the source computes; all are gauges.
    """

    def __init__(
        self,
        source: LabelledSource,
        catalogue: Catalogue,
        allowed: Allowance | None = None,
        helps: Mapping[str, str] | None = None,
    ) -> None:
        self.allowed = of = allowed or Allowance()
        self._helps = helps or {}
        self._source = source
        self._catalogue = catalogue
        bounds = Bounds(of.steps + 1, of.series, of.cells, round(of.lookback_s * 1000))
        self.engine = QueryEngine(source, bounds)
        self._askers = Lane("airis-query", of.concurrency)
        self._lookers = Lane("airis-look", LOOKERS)
        self._running: dict[int, Deadline] = {}

    async def answer(
        self,
        text: str,
        steps: Steps,
        timeout_s: float | None = None,
        lookback_ms: int | None = None,
        *,
        range_end: int | None = None,
    ) -> Answer:
        """An expression's value at each step; range_end: as `QueryEngine.query` has it.

        The time spent waiting for a thread counts. When the task that awaits this is cancelled the query ends soon
        after. Raises InputError for a malformed expression, QueryError for one without an answer, StoreBusy.
        """
        if steps.count - 1 > self.allowed.steps:
            raise QueryError(
                f"exceeded maximum resolution of {self.allowed.steps:,} points per timeseries. "
                "Try decreasing the query resolution (?step=XX)"
            )
        timeout_s = self.allowed.timeout_s if timeout_s is None else min(timeout_s, self.allowed.timeout_s)
        deadline = Deadline.after(timeout_s)
        self._running[id(deadline)] = deadline
        try:
            return await self._askers.run(lambda: self._answer(text, steps, deadline, lookback_ms, range_end))
        finally:
            deadline.cancelled.set()  # nobody waits for it any more, whatever the reason
            del self._running[id(deadline)]

    def _answer(
        self, text: str, steps: Steps, deadline: Deadline, lookback_ms: int | None, range_end: int | None
    ) -> Answer:
        try:
            return self.engine.query(text, steps, deadline, lookback_ms, range_end)
        except MemoryError:
            raise QueryError(
                "the query needs more memory than there is; ask for fewer series, a shorter time or a larger step"
            ) from None

    async def formatted(self, text: str) -> str:
        """The expression as a person would lay it out. Raises InputError."""
        return await self._lookers.run(lambda: formatted(text))

    async def series(
        self, selectors: Sequence[Selector], start: int | None, end: int | None, limit: int
    ) -> Listed[Labels]:
        """The label sets that meet any of the selectors and were seen within [start, end].

        limit: so many at most; 0 = as many as the allowance has, which is never exceeded.
        """
        most = self._most(limit)

        def listed() -> Listed[Labels]:
            found = {row.labels for s in selectors for row in self._source.series(s, start, end, most + 1)}
            return _listed(found, most)

        return await self._lookers.run(listed)

    async def label_names(
        self, selectors: Sequence[Selector], start: int | None, end: int | None, limit: int
    ) -> Listed[str]:
        """The names of labels of the series that meet any of the selectors, of all series without one."""

        def listed() -> Listed[str]:
            found = {name for s in selectors or [()] for name in self._source.label_names(s, start, end)}
            return _listed(found, self._most(limit))

        return await self._lookers.run(listed)

    async def label_values(
        self, name: str, selectors: Sequence[Selector], start: int | None, end: int | None, limit: int
    ) -> Listed[str]:
        """The values of a label of the series that meet any of the selectors, of all series without one."""
        most = self._most(limit)

        def listed() -> Listed[str]:
            values = (self._source.label_values(name, s, start, end, most + 1) for s in selectors or [()])
            return _listed({value for found in values for value in found}, most)

        return await self._lookers.run(listed)

    async def metadata(self, metric: str, limit: int) -> dict[str, Metadata]:
        """What is known of metrics: of one metric, or of `limit` at most; a negative limit = of all."""

        def known() -> dict[str, Metadata]:
            with self._catalogue.lock:
                types = dict.fromkeys(self._helps, MetricType.GAUGE) | self._catalogue.types
            chosen = types if not metric else {metric} & types.keys()
            names = islice(chosen, None if limit < 0 else limit)
            return {name: Metadata(types[name], self._helps.get(name, "")) for name in names}

        return await self._lookers.run(known)

    def close(self) -> None:
        """Ends every query at its next look at the clock, takes no other. Again changes nothing."""
        for deadline in list(self._running.values()):
            deadline.cancelled.set()
        self._askers.close()
        self._lookers.close()

    def _most(self, limit: int) -> int:
        return min(limit or self.allowed.series, self.allowed.series)


def _listed(found: set[Any], most: int) -> Listed[Any]:
    return Listed(sorted(found)[:most], len(found) > most)
