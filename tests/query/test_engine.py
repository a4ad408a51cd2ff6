from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from airis_mon.errors import InputError, QueryCancelled, QueryError, QueryTimeout, TooLarge
from airis_mon.query.engine import Bounds, Deadline, QueryEngine
from airis_mon.query.plan import Leaf, Samples
from airis_mon.query.values import Runs, Scalar, Text, Vector, vector
from airis_mon.series.batch import STALE
from airis_mon.series.matchers import Matcher
from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Grid, SeriesRow
from tests.query.source import Memory, Points, ask, at, every, steps_of
from tests.query.vectors import labels_of

MANY = {f'x{{i="{i}"}}': every(60, *range(10)) for i in range(20)}


def test_a_sample_counts_until_it_is_as_old_as_the_look_back() -> None:
    source = Memory({"x": {0: 1.0}})
    assert at(source, "x", 299.999) == {"x": 1.0}
    assert at(source, "x", 300) == {}
    assert at(source, "x", -1) == {}


def test_the_look_back_can_be_chosen() -> None:
    engine = QueryEngine(Memory({"x": {0: 1.0}}), Bounds(lookback_ms=10_000))
    for t, lookback, count in ((9_000, None, 1), (10_000, None, 0), (50_000, 60_000, 1)):
        value = engine.query("x", Steps.at(t), Deadline.after(60), lookback).value
        assert isinstance(value, Vector)
        assert len(value) == count


def test_a_staleness_marker_ends_a_series_but_is_no_sample_of_a_range() -> None:
    source = Memory({"x": {0: 1.0, 60: float(STALE)}, "y": {0: 2.0, 60: np.nan}})
    assert at(source, "x", 59) == {"x": 1.0}
    assert at(source, "x", 60) == {}
    assert np.isnan(at(source, "y", 60)["y"])
    assert at(source, "count_over_time(x[5m])", 60) == at(source, "count_over_time(x[5m:1m])", 60) == {"{}": 1.0}


def test_labels_stay_with_their_values_when_the_store_leaves_series_out() -> None:
    data: dict[str, Points] = {f'x{{i="{i}"}}': {0: float(i), 60: float(STALE if i % 3 else i)} for i in range(30)}
    assert at(Memory(data), "x", 60) == {f'x{{i="{i}"}}': float(i) for i in range(0, 30, 3)}


def test_each_leaf_is_fetched_once() -> None:
    source = Memory({"x": every(60, 1, 2, 3)})
    ask(source, "x + x * on () rate(x[2m]) + abs(x) + changes(x[2m]) + changes(x[2m])", 120)
    fetched = [call for call in source.asked if call[0] != "series"]
    assert sorted(fetched) == [("grid", "last"), ("grid", "rate"), ("samples", "1")]


def test_other_moments_are_another_leaf() -> None:
    source = Memory({"x": every(60, 1, 2, 3)})
    assert at(source, "x - x offset 1m + x @ 0", 120) == {"{}": 2.0}
    assert source.asked.count(("grid", "last")) == 3


def test_nothing_is_asked_of_no_series() -> None:
    source = Memory({"x": every(60, 1)})
    assert at(source, "y + rate(y[1m])", 0) == {}
    assert {call[0] for call in source.asked} == {"series"}


def test_values_of_each_type_are_answers_at_a_moment() -> None:
    source = Memory({"x": every(60, 1, 2)})
    assert isinstance(ask(source, "x", 60).value, Vector)
    assert isinstance(ask(source, "1", 60).value, Scalar)
    assert isinstance(ask(source, '"a"', 60).value, Text)
    assert isinstance(ask(source, "x[1m]", 60).value, Runs)
    assert isinstance(ask(source, "x[1m:1m]", 60).value, Runs)


@pytest.mark.parametrize(
    ("text", "kind"), [('"a"', "string"), ('("a")', "string"), ("x[5m]", "range vector"), ("x[5m:1m]", "range vector")]
)
def test_a_range_query_gives_numbers_only(text: str, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(Memory({}), text, 0, 60)
    assert str(caught.value) == f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector'


def test_end_is_the_end_that_was_asked_for() -> None:
    source = Memory({"x": every(10, *range(20))})
    assert steps_of(source, "x @ end()", 0, 100, 60) == [{"x": 10.0}] * 2
    assert at(source, "x @ end()", 70) == {"x": 7.0}


def test_too_many_steps_are_refused_as_prometheus_does() -> None:
    with pytest.raises(QueryError) as caught:
        ask(Memory({}), "x", 0, 11_000, 1)
    assert str(caught.value) == (
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
    )


def test_too_many_series_of_a_selector_are_refused() -> None:
    with pytest.raises(QueryError, match=r"^the selector means more than 19 series; add label conditions to it$"):
        ask(Memory(MANY), "x", 60, bounds=Bounds(series=19))
    assert len(ask(Memory(MANY), "x", 60, bounds=Bounds(series=20)).value.labels) == 20


def refused(source: Memory, text: str, bounds: Bounds, end: float = 540) -> str:
    with pytest.raises(QueryError) as caught:
        ask(source, text, 0, end, bounds=bounds)
    return str(caught.value)


TOO_MANY = "query processing would load too many samples into memory in query execution: "


def test_a_selector_of_too_many_numbers_is_refused_before_it_is_fetched() -> None:
    source = Memory(MANY)
    assert refused(source, "x", Bounds(cells=199)).startswith(f"{TOO_MANY}200, at most 199; ask for fewer series")
    assert ("grid", "last") not in source.asked
    assert ask(source, "x", 0, 540, bounds=Bounds(cells=200))


def test_selectors_that_are_too_much_together_are_refused() -> None:
    assert refused(Memory(MANY), "sum(x) + sum(x offset 1m)", Bounds(cells=399)).startswith(f"{TOO_MANY}400")


@pytest.mark.parametrize(
    "text",
    [
        "sum(changes(x[1m]))",  # 20 series become 20 x 10 numbers
        "sum(x @ 0)",
        "max_over_time(vector(1)[100m:1m])",
        "abs(x{i='1'}) + (abs(x{i='1'}) + (abs(x{i='1'}) + (abs(x{i='1'}) + abs(x{i='1'}))))" + " + x{i='1'}" * 6,
        "sum(sum_over_time((x)[5m:10s]))",
    ],
)
def test_what_becomes_too_much_while_it_is_computed_is_refused(text: str) -> None:
    ask(Memory(MANY), text, 0, 540, bounds=Bounds(cells=2_000))
    assert refused(Memory(MANY), text, Bounds(cells=25 if "abs" in text else 105)).startswith(TOO_MANY)


def test_a_subquery_of_billions_of_steps_is_refused_at_once() -> None:
    for text in ("max_over_time(vector(1)[290y:1ms])", "max_over_time(x[290y:1ms])", "vector(time())[290y:1ms]"):
        with pytest.raises(QueryError, match="too many samples into memory"):
            ask(Memory(MANY), text, 60)


def test_counted_values_keep_to_the_bound_of_the_query() -> None:
    source = Memory({f'x{{i="{i}"}}': every(60, *range(10 * i, 10 * i + 10)) for i in range(10)})
    text = 'count_values("v", x)'
    assert refused(source, text, Bounds(cells=999)).startswith(f"{TOO_MANY}1,000, at most 999")
    assert len(ask(source, text, 0, 540, bounds=Bounds(cells=1_000)).value.labels) == 100


def test_matches_keep_to_the_bound_of_the_query() -> None:
    turns = {f'y{{j="{j}"}}': {60.0 * j: 1.0, 60.0 * j + 1: float(STALE)} for j in range(10)}
    source = Memory(MANY | turns)
    text = "x * on () group_left (j) y"  # each x meets each y once: 200 results of 10 steps
    assert refused(source, text, Bounds(cells=1_999)).startswith(f"{TOO_MANY}2,000, at most 1,999")
    assert len(ask(source, text, 0, 540, bounds=Bounds(cells=2_000)).value.labels) == 200


class Crowded(Memory):
    """Has more samples than it gives at once."""

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> Columns:
        raise TooLarge("more than 11,000,000 samples")


def test_more_samples_than_the_store_gives_at_once_are_a_query_without_an_answer() -> None:
    with pytest.raises(QueryError) as caught:
        ask(Crowded({"x": every(60, 1, 2)}), "changes(x[5m])", 60)
    assert str(caught.value) == "query processing would load too many samples into memory: more than 11,000,000 samples"


def test_a_query_ends_at_its_deadline() -> None:
    with pytest.raises(QueryTimeout, match=r"^query timed out in expression evaluation$"):
        QueryEngine(Memory({"x": {0: 1.0}})).query("x", Steps.at(0), Deadline(at=time.monotonic() - 1))


@dataclass
class Cancelling(Memory):
    """Whoever asked goes while the first grid is computed."""

    left: threading.Event = field(default_factory=threading.Event)

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
        assert timeout_s is not None
        assert 0 < timeout_s <= 60
        self.left.set()
        return super().grid(fps, function, steps, window, args, timeout_s)


@dataclass
class Looking(Memory):
    """Whoever asked goes while it reads the series or the samples, which it notices."""

    ends_in: str = ""
    left: threading.Event = field(default_factory=threading.Event)

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> list[SeriesRow]:
        self._look("series", timeout_s, check)
        return super().series(matchers, start, end, limit)

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> Columns:
        self._look("samples", timeout_s, check)
        return super().samples(fps, start, end, limit)

    def _look(self, what: str, timeout_s: float | None, check: Any) -> None:
        assert timeout_s is not None
        assert 0 < timeout_s <= 60
        if what == self.ends_in:
            self.left.set()
            check()
            raise AssertionError("the query went on")


@pytest.mark.parametrize("ends_in", ["series", "samples"])
def test_reading_series_and_samples_ends_with_the_query(ends_in: str) -> None:
    source = Looking({"x": every(60, 1, 2)}, ends_in=ends_in)
    with pytest.raises(QueryCancelled):
        QueryEngine(source).query("changes(x[5m])", Steps.at(60_000), Deadline(time.monotonic() + 60, source.left))


@pytest.mark.parametrize("text", ["x + rate(x[5m])", "abs(x)", "rate(x[5m])"])
def test_a_cancelled_query_asks_and_computes_nothing_more(text: str) -> None:
    source = Cancelling({"x": every(60, 1, 2)})
    deadline = Deadline(time.monotonic() + 60, source.left)
    with pytest.raises(QueryCancelled):
        QueryEngine(source).query(text, Steps.at(60_000), deadline)
    assert len(source.asked) == 2  # the series and the grid of the first leaf


def test_every_operation_looks_at_the_clock() -> None:
    looks = 0

    class Watched(Deadline):
        def left_s(self) -> float:
            nonlocal looks
            looks += 1
            return 60.0

    QueryEngine(Memory({"x": {0: 1.0}})).query("-abs(-(x + 1))", Steps.at(0), Watched(0))
    assert looks >= 7  # a leaf, its grid, five operations


@dataclass
class Knowing(Memory):
    """Computes `y` when it is asked for."""

    def computed(self, leaf: Leaf, check: Callable[[], None]) -> Vector | Runs | None:
        if leaf.matchers[0].value != "y":
            return None
        check()
        self.asked.append(("computed", type(leaf).__name__))
        if isinstance(leaf, Samples):
            return Runs(
                [labels_of("y")], np.array([0, 2]), leaf.steps.end - np.array([30_000, 0]), np.array([1.0, 4.0])
            )
        shape = (1, leaf.steps.count)
        return vector([labels_of("y")], np.full(shape, 7.0), np.ones(shape, np.bool_))


def test_a_source_may_compute_what_it_does_not_store() -> None:
    source = Knowing({"x": every(60, 1, 2), "y": every(60, 5)})
    assert at(source, "x + on () y", 60) == {"{}": 9.0}
    assert at(source, "changes(y[5m])", 60) == {"{}": 1.0}
    assert source.asked.count(("computed", "Select")) == source.asked.count(("computed", "Samples")) == 1
    assert not any("y" in part for call in source.asked for part in call if call[0] == "series")
