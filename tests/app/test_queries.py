"""How many queries run, how long, and for whom still; what they compute is tested in tests/query."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from airis_mon.app.queries import WAITING, Metadata, Queries
from airis_mon.errors import InputError, QueryCancelled, QueryError, QueryTimeout, StoreBusy
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import parse_selector
from airis_mon.series.steps import Steps
from tests.api.fake import CONSTANT, LABELS, MemorySource, T, queries_of

NOW = Steps.at(T)


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
async def queries(source: MemorySource) -> AsyncIterator[Queries]:
    queries = queries_of(source)
    yield queries
    queries.close()


@pytest.fixture
async def held(source: MemorySource) -> AsyncIterator[threading.Event]:
    """Queries stay in the source until it is set, at the latest at the test's end."""
    source.held = threading.Event()
    yield source.held
    source.held.set()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what it waits for happens in threads
            await asyncio.sleep(0.001)


async def test_an_expression_is_answered_at_every_step(queries: Queries) -> None:
    answer = await queries.answer("cpu_usage", Steps(T - 15_000, 15_000, 2))
    assert answer.value.labels == [LABELS]  # type: ignore[union-attr]
    assert answer.value.value.tolist() == [[94.5, 95.5]]  # type: ignore[union-attr]


async def test_a_lookback_of_the_request_stands_for_that_of_the_settings(queries: Queries) -> None:
    late = Steps.at(T + 200_000)
    assert len((await queries.answer("cpu_usage", late)).value.labels) == 1  # type: ignore[union-attr]
    found = await queries.answer("cpu_usage", late, lookback_ms=100_000)
    assert not found.value.has.any()  # type: ignore[union-attr]


async def test_a_task_that_is_cancelled_ends_its_query(queries: Queries, source: MemorySource, held: Any) -> None:
    asking = asyncio.create_task(queries.answer("cpu_usage", NOW))
    await asyncio.to_thread(source.asked.wait, 10)
    (deadline,) = queries._running.values()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(QueryCancelled):
        deadline.check()
    assert queries._running == {}


async def test_a_place_is_free_again_only_when_the_thread_is(source: MemorySource, held: threading.Event) -> None:
    queries = queries_of(source, concurrency=1)
    asking = asyncio.create_task(queries.answer("cpu_usage", NOW))
    await asyncio.to_thread(source.asked.wait, 10)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert queries._askers._asked == 1
    held.set()
    await eventually(lambda: queries._askers._asked == 0)


async def test_beyond_a_bounded_number_waiting_the_answer_is_busy(source: MemorySource, held: threading.Event) -> None:
    queries = queries_of(source, concurrency=1)
    asking = [asyncio.create_task(queries.answer("cpu_usage", NOW)) for _ in range(WAITING + 1)]
    await asyncio.to_thread(source.asked.wait, 10)
    with pytest.raises(StoreBusy, match="101 queries run or wait"):
        await queries.answer("cpu_usage", NOW)
    assert (await queries.metadata("cpu_usage", -1)) == {"cpu_usage": Metadata(MetricType.GAUGE, "")}
    held.set()
    assert len(await asyncio.gather(*asking)) == WAITING + 1
    await queries.answer("cpu_usage", NOW)


async def test_waiting_for_a_turn_counts_as_time_of_the_query(source: MemorySource, held: threading.Event) -> None:
    queries = queries_of(source, concurrency=1)
    first = asyncio.create_task(queries.answer("cpu_usage", NOW))
    await asyncio.to_thread(source.asked.wait, 10)
    second = asyncio.create_task(queries.answer("cpu_usage", NOW, 1e-9))
    await asyncio.sleep(0)
    held.set()
    await first
    with pytest.raises(QueryTimeout):
        await second


@pytest.mark.parametrize("timeout_s", [0, -1])
async def test_no_time_at_all_is_a_timeout(queries: Queries, timeout_s: float) -> None:
    with pytest.raises(QueryTimeout):
        await queries.answer("cpu_usage", NOW, timeout_s)


async def test_a_request_may_not_take_longer_than_the_settings_allow(source: MemorySource) -> None:
    with pytest.raises(QueryTimeout):
        await queries_of(source, timeout_s=1e-9).answer("cpu_usage", NOW, 1000)


async def test_closing_ends_every_query_that_runs_or_waits(source: MemorySource, held: threading.Event) -> None:
    queries = queries_of(source, concurrency=1)
    asking = [asyncio.create_task(queries.answer("cpu_usage", NOW)) for _ in range(3)]
    await asyncio.to_thread(source.asked.wait, 10)
    queries.close()
    held.set()
    ended = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(e) for e in ended] == [QueryCancelled] * 3


async def test_so_many_steps_and_no_more(source: MemorySource) -> None:
    queries = queries_of(source, steps=10)
    assert (await queries.answer("cpu_usage", Steps(T, 1000, 11), range_end=T)).steps.count == 11
    with pytest.raises(QueryError, match=r"^exceeded maximum resolution of 10 points per timeseries\. Try decreasing"):
        await queries.answer("cpu_usage", Steps(T, 1000, 12), range_end=T)


async def test_more_series_or_numbers_than_allowed_are_refused_with_the_remedy(source: MemorySource) -> None:
    with pytest.raises(QueryError, match="more than 1 series; add label conditions"):
        await queries_of(source, series=1).answer('{__name__!=""}', NOW)
    with pytest.raises(QueryError, match="at most 10; ask for fewer series, a shorter time or a larger step"):
        await queries_of(source, cells=10).answer("cpu_usage", Steps(T, 1000, 11))


async def test_more_than_the_memory_holds_is_an_error_of_the_query(queries: Queries, source: MemorySource) -> None:
    source.fails_with = MemoryError()
    with pytest.raises(QueryError, match="more memory than there is; ask for fewer series"):
        await queries.answer("cpu_usage", NOW)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("cpu_usage[5m]", "range vector"), ("((cpu_usage[5m:1m]))", "range vector"), ('"a"', "string")],
)
async def test_a_range_query_wants_a_value_at_each_step(
    queries: Queries, source: MemorySource, text: str, kind: str
) -> None:
    with pytest.raises(InputError) as caught:
        await queries.answer(text, NOW, range_end=T)
    assert str(caught.value) == (f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
    assert not source.asked.is_set()
    await queries.answer(text, NOW)


async def test_series_of_several_selectors_are_one_sorted_list(queries: Queries) -> None:
    both = [parse_selector('{host!=""}'), parse_selector('{__name__=~"cpu_usage|build_info"}')]
    found = await queries.series(both, None, None, 0)
    assert (found.items, found.is_cut) == ([CONSTANT, LABELS], False)
    assert (await queries.series(both, T + 1, None, 0)).items == []
    cut = await queries.series(both, None, None, 1)
    assert (cut.items, cut.is_cut) == ([CONSTANT], True)


async def test_names_and_values_of_labels_are_sorted_and_cut(queries: Queries, source: MemorySource) -> None:
    source.known[canonical({"__name__": "cpu_usage", "host": "a"}.items())] = [(T, 1.0)]
    every = await queries.label_names([], None, None, 0)
    assert (every.items, every.is_cut) == (["__name__", "host", "version"], False)
    assert (await queries.label_names([parse_selector("build_info")], None, None, 0)).items == ["__name__", "version"]
    assert (await queries.label_names([], None, None, 2)).is_cut
    values = await queries.label_values("host", [], None, None, 1)
    assert (values.items, values.is_cut) == (["a"], True)
    chosen = [parse_selector("build_info"), parse_selector('cpu_usage{host!="a"}')]
    assert (await queries.label_values("host", chosen, None, None, 0)).items == ["web-1"]
    assert (await queries.label_values("nothing", [], None, None, 0)).items == []


async def test_a_list_is_never_longer_than_the_settings_allow(source: MemorySource) -> None:
    found = await queries_of(source, series=1).series([parse_selector('{__name__!=""}')], None, None, 5)
    assert (len(found.items), found.is_cut) == (1, True)


async def test_metadata_is_what_sources_said(queries: Queries) -> None:
    assert len(await queries.metadata("", -1)) == 2
    assert len(await queries.metadata("", 1)) == 1
    assert await queries.metadata("sizes", -1) == {"sizes": Metadata(MetricType.GAUGE_HISTOGRAM, "")}
    assert await queries.metadata("nothing", -1) == {}
    assert await queries.metadata("sizes", 0) == {}


async def test_metadata_of_computed_metrics_comes_first_and_says_what_they_mean(source: MemorySource) -> None:
    queries = Queries(source, Catalogue(), helps={"airis_expected": "What was expected."})
    assert await queries.metadata("", 1) == {"airis_expected": Metadata(MetricType.GAUGE, "What was expected.")}


async def test_an_expression_is_laid_out(queries: Queries) -> None:
    assert await queries.formatted("sum(foo)/bar") == "sum(foo) / bar"
    with pytest.raises(InputError, match="no expression found in input"):
        await queries.formatted("")


async def test_a_closed_lane_takes_nothing_and_says_why(queries: Queries) -> None:
    queries.close()
    with pytest.raises(StoreBusy, match="the server stops"):
        await queries.answer("1", NOW)
    with pytest.raises(StoreBusy, match="the server stops"):
        await queries.label_names([], None, None, 0)
