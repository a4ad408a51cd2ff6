"""plan -> store -> algebra -> answer, within limits of time and size. It blocks: call it from a worker thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from airis_mon.errors import InputError, QueryCancelled, QueryError, QueryTimeout, TooLarge
from airis_mon.query.algebra import Algebra
from airis_mon.query.parse import parse
from airis_mon.query.plan import Leaf, Node, Planner, Samples, Select, String, Subquery, leaves
from airis_mon.query.size import MOST_CELLS, check_cells
from airis_mon.query.values import Runs, Value, Vector, empty
from airis_mon.series.batch import is_stale
from airis_mon.series.matchers import Matcher
from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Grid, SeriesRow

LOOKBACK_MS = 300_000
SUBQUERY_STEP_MS = 60_000


class Source(Protocol):
    """What is asked for series and samples: a `SeriesStore`, or one that adds to it."""

    @property
    def grid_functions(self) -> frozenset[str]:
        """Functions that `grid` computes."""

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> list[SeriesRow]:
        """As `SeriesStore.series`."""

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Grid:
        """As `SeriesStore.grid`."""

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Columns:
        """As `SeriesStore.samples`."""


@runtime_checkable
class Computing(Protocol):
    """A source that computes some series when they are asked for, instead of reading them."""

    def computed(self, leaf: Leaf, check: Callable[[], None]) -> Vector | Runs | None:
        """What a leaf gives: of a Select a vector, of Samples runs; None when it means stored series.

        check raises when the query is to end.
        """


@dataclass(slots=True)
class Deadline:
    """Until when a query may take, and whether it is still wanted. at: of `time.monotonic`, s."""

    at: float
    cancelled: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def after(cls, timeout_s: float) -> Deadline:
        """So long from now on."""
        return cls(time.monotonic() + timeout_s)

    def left_s(self) -> float:
        """What is left. Raises as `check` does."""
        if self.cancelled.is_set():
            raise QueryCancelled("the query was cancelled")
        left = self.at - time.monotonic()
        if left <= 0:
            raise QueryTimeout("query timed out in expression evaluation")
        return left

    def check(self) -> None:
        """Raises QueryTimeout or QueryCancelled when it is time."""
        self.left_s()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one query may take: steps of one answer, series of one selector, numbers held at once."""

    steps: int = 11_000
    series: int = 100_000
    cells: int = MOST_CELLS
    lookback_ms: int = LOOKBACK_MS


@dataclass(frozen=True, slots=True)
class Answer:
    """What an expression gave at each of its steps; Runs are the samples of a range, asked for at one moment."""

    steps: Steps
    value: Value | Runs


class QueryEngine:
    """Answers PromQL over a source of series."""

    def __init__(self, source: Source, bounds: Bounds | None = None) -> None:
        self.source = source
        self.bounds = bounds or Bounds()

    def query(
        self,
        text: str,
        steps: Steps,
        deadline: Deadline,
        lookback_ms: int | None = None,
        range_end: int | None = None,
    ) -> Answer:
        """The value of an expression at every step, in the order that the expression asks for.

        range_end: until when a range was asked for (ms), which the last step need not reach; None = a single moment
        was asked for, at which a range of samples is an answer too. Raises InputError for a malformed expression,
        QueryError for one that has no answer or needs more than the bounds allow, StoreError when the store fails.
        """
        if steps.count > self.bounds.steps:
            raise QueryError(
                f"exceeded maximum resolution of {self.bounds.steps:,} points per timeseries. "
                "Try decreasing the query resolution (?step=XX)"
            )
        end = steps.end if range_end is None else range_end
        lookback = lookback_ms or self.bounds.lookback_ms
        planner = Planner(steps, end, lookback, SUBQUERY_STEP_MS, self.source.grid_functions)
        node = planner.plan(parse(text))
        if range_end is not None and isinstance(node, Samples | Subquery | String):
            kind = "string" if isinstance(node, String) else "range vector"
            raise InputError(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
        algebra = Algebra(self._fetched(node, deadline), deadline.check, self.bounds.cells)
        if isinstance(node, Samples | Subquery):
            return Answer(steps, algebra.runs(node))
        return Answer(steps, algebra.evaluate(node, steps))

    def _fetched(self, node: Node, deadline: Deadline) -> dict[Leaf, Vector | Runs]:
        found: dict[Leaf, Vector | Runs] = {}
        cells = 0
        for leaf in leaves(node):
            if leaf not in found:
                found[leaf] = got = self._fetch(leaf, deadline)
                cells += got.value.size
                check_cells(cells, self.bounds.cells)
        return found

    def _fetch(self, leaf: Leaf, deadline: Deadline) -> Vector | Runs:
        deadline.check()
        if isinstance(self.source, Computing) and (found := self.source.computed(leaf, deadline.check)) is not None:
            return found
        asked = (leaf.matchers, *_span(leaf), self.bounds.series + 1)
        rows = self.source.series(*asked, deadline.left_s(), deadline.check)
        if len(rows) > self.bounds.series:
            raise QueryError(f"the selector means more than {self.bounds.series:,} series; add label conditions to it")
        if isinstance(leaf, Samples):
            return self._runs(leaf, rows, deadline)
        return self._vector(leaf, rows, deadline) if rows else empty(leaf.steps.count)

    def _vector(self, leaf: Select, rows: Sequence[SeriesRow], deadline: Deadline) -> Vector:
        check_cells(len(rows) * leaf.steps.count, self.bounds.cells)
        fps = [row.fp for row in rows]
        asked = (fps, leaf.function, leaf.steps, leaf.window, leaf.args)
        grid = self.source.grid(*asked, deadline.left_s(), deadline.check)
        places = np.searchsorted(np.array(fps, np.uint64), grid.fp)
        return Vector([rows[i].labels for i in places.tolist()], grid.value, grid.has)

    def _runs(self, leaf: Leaf, rows: Sequence[SeriesRow], deadline: Deadline) -> Runs:
        try:
            asked = ([row.fp for row in rows], *_span(leaf), None)
            found = self.source.samples(*asked, deadline.left_s(), deadline.check)
        except TooLarge as error:
            raise QueryError(f"query processing would load too many samples into memory: {error}") from None
        real = ~is_stale(found.value)
        fp, t, value = found.fp[real], found.t[real], found.value[real]
        fps = np.array([row.fp for row in rows], np.uint64)
        bounds = np.append(np.searchsorted(fp, fps), len(fp)).astype(np.intp)
        return Runs([row.labels for row in rows], bounds, t, value)


def _span(leaf: Leaf) -> tuple[int, int]:
    """The first and the last moment of a leaf's windows, which are open on the left."""
    return leaf.steps.start - leaf.window + 1, leaf.steps.end
