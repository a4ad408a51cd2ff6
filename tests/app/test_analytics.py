from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.app.analytics import INLINE_POINTS, Analytics, Points, Source
from airis_mon.errors import InputError, ModelError, NotFound, QueryCancelled, QueryTimeout, StoreBusy
from airis_mon.store.cache import LocalCache

T = 1_800_000_000_000


@dataclass
class Shelf:
    """A store of one series, 7; its values may change."""

    values: list[float] = field(default_factory=lambda: [1.0, 2.0, 3.0])
    held: threading.Event | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)

    def load_many(self, wanted: Any, most: int, check: Any) -> list[Any]:
        return [self.load(w.fp, w.signal, w.start, w.end, most, check) for w in wanted]

    def load(self, fp: int, signal: str | None, start: int, end: int, most: int, check: Callable[[], None]) -> Any:
        self.asked.append((fp, signal, start, end, most))
        self.begun.set()
        if fp != 7:
            raise NotFound("no such series")
        while self.held and not self.held.wait(0.005):
            check()
        return "cpu", T + np.arange(len(self.values)) * 1000, np.array(self.values)

    def last_t(self, fp: int) -> int | None:
        return T


@dataclass
class Work:
    """Sums each source; waits, with a check now and then, while `held` is not set."""

    held: threading.Event | None = None
    begun: threading.Event = field(default_factory=threading.Event)
    ended: list[str] = field(default_factory=list)
    runs: int = 0
    threads: set[int] = field(default_factory=set)

    def __call__(self, points: Any, check: Callable[[], None]) -> Any:
        self.runs += 1
        self.threads.add(threading.get_ident())
        self.begun.set()
        try:
            while self.held and not self.held.wait(0.005):
                check()
        except (QueryCancelled, QueryTimeout) as error:
            self.ended.append(type(error).__name__)
            raise
        return [float(p.value.sum()) for p in points]


class SharedShelf:
    """Another server's cache."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.asked = 0
        self.left_s = 60.0

    async def get(self, key: str) -> tuple[bytes, float] | None:
        self.asked += 1
        return (self.kept[key], self.left_s) if key in self.kept else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self.kept[key] = value


def sent(*values: float, name: str = "cpu", **given: Any) -> Source:
    return Source(name, value=np.array(values), **given)


def made(shelf: Shelf | None = None, *, cache: bool = True, **given: Any) -> Analytics:
    kept = LocalCache(1 << 20, time.monotonic) if cache else None
    return Analytics(shelf or Shelf(), lambda: T, cache=kept, **given)


async def reached(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


async def test_the_answer_is_the_json_of_what_the_work_made():
    work = Work()
    raw = (await made().ask("sum", [sent(1, 2, 3.5)], {}, work)).raw
    assert msgspec.json.decode(bytes(raw)) == [6.5]
    assert threading.get_ident() not in work.threads


async def test_an_equal_question_is_answered_from_what_is_kept():
    analytics, work = made(), Work()
    found = [await analytics.ask("sum", [sent(1, 2)], {"a": 1}, work) for _ in range(3)]
    assert [f.is_cached for f in found] == [False, True, True]
    assert len({bytes(f.raw) for f in found}) == work.runs == 1


DIFFERENT: list[tuple[str, list[Source], Mapping[str, Any]]] = [
    ("sum", [sent(1, 2)], {}),
    ("mean", [sent(1, 2)], {}),
    ("sum", [sent(1, 2)], {"a": 1}),
    ("sum", [sent(1, 2)], {"a": 2}),
    ("sum", [sent(1, 3)], {}),
    ("sum", [sent(2, 1)], {}),
    ("sum", [sent(1, 2, name="mem")], {}),
    ("sum", [sent(1), sent(2)], {}),
    ("sum", [sent(1, 2), sent()], {}),
    ("sum", [sent(1, 2, step_ms=1000)], {}),
    ("sum", [sent(1, 2, t=np.array([1, 2]))], {}),
    ("sum", [sent(1, 2, t=np.array([1, 3]))], {}),
]


async def test_whatever_differs_in_content_is_another_question():
    analytics, work = made(), Work()
    for question, sources, options in DIFFERENT:
        assert not (await analytics.ask(question, sources, options, work)).is_cached
    assert work.runs == len(DIFFERENT)


async def test_the_order_of_options_makes_no_difference():
    analytics, work = made(), Work()
    await analytics.ask("sum", [sent(1)], {"a": 1, "b": 2}, work)
    assert (await analytics.ask("sum", [sent(1)], {"b": 2, "a": 1}, work)).is_cached


async def test_another_version_keeps_its_answers_apart():
    shared = SharedShelf()
    for version in ("1", "2"):
        assert not (await made(shared=shared, version=version).ask("sum", [sent(1)], {}, Work())).is_cached
    assert len(shared.kept) == 2


async def test_stored_series_are_read_first_so_nothing_kept_is_stale():
    shelf, work = Shelf(), Work()
    analytics = made(shelf)
    asked = [Source("", fp=7)]
    assert bytes((await analytics.ask("sum", asked, {}, work)).raw) == b"[6.0]"
    assert (await analytics.ask("sum", asked, {}, work)).is_cached
    shelf.values.append(4.0)
    found = await analytics.ask("sum", asked, {}, work)
    assert (bytes(found.raw), found.is_cached) == (b"[10.0]", False)


async def test_a_stored_series_is_asked_for_its_last_hour_unless_told_otherwise():
    shelf = Shelf()
    analytics = made(shelf, max_points=100)
    await analytics.ask("sum", [sent(1, 2), Source("", fp=7), Source("", fp=7, start=5, end=9)], {}, Work())
    assert shelf.asked == [(7, None, T - 3_600_000, T, 98), (7, None, 5, 9, 98)]


async def test_a_series_that_is_not_there_is_told():
    with pytest.raises(NotFound):
        await made().ask("sum", [Source("", fp=8)], {}, Work())


async def test_without_a_cache_every_question_is_worked_on():
    analytics, work = made(cache=False), Work()
    for _ in range(2):
        assert not (await analytics.ask("sum", [sent(1)], {}, work)).is_cached
    assert work.runs == 2


async def test_a_fresh_answer_is_worked_out_anew_and_kept():
    analytics, work = made(), Work()
    await analytics.ask("sum", [sent(1)], {}, work)
    assert not (await analytics.ask("sum", [sent(1)], {}, work, is_fresh=True)).is_cached
    assert work.runs == 2
    assert (await analytics.ask("sum", [sent(1)], {}, work)).is_cached


async def test_equal_questions_at_the_same_time_are_worked_on_once():
    analytics, work = made(), Work(held=threading.Event())
    asking = [asyncio.create_task(analytics.ask("sum", [sent(1, 2)], {}, work)) for _ in range(5)]
    await reached(work.begun)
    work.held.set()
    assert {bytes(f.raw) for f in await asyncio.gather(*asking)} == {b"[3.0]"}
    assert work.runs == 1


async def test_when_one_of_two_leaves_the_other_is_still_answered():
    analytics, work = made(), Work(held=threading.Event())
    one, other = (asyncio.create_task(analytics.ask("sum", [sent(1, 2)], {}, work)) for _ in range(2))
    await reached(work.begun)
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    work.held.set()
    assert bytes((await other).raw) == b"[3.0]"
    assert (work.runs, work.ended) == (1, [])


async def test_when_all_have_left_the_work_ends_at_its_next_check():
    analytics, work = made(concurrency=1), Work(held=threading.Event())
    asking = [asyncio.create_task(analytics.ask("sum", [sent(1, 2)], {}, work)) for _ in range(2)]
    await reached(work.begun)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert bytes((await analytics.ask("sum", [sent(5)], {}, Work())).raw) == b"[5.0]"  # the only thread is free again
    assert work.ended == ["QueryCancelled"]


async def test_reading_ends_too_when_who_asked_has_left():
    shelf = Shelf(held=threading.Event())
    analytics = made(shelf, concurrency=1)
    asking = asyncio.create_task(analytics.ask("sum", [Source("", fp=7)], {}, Work()))
    await reached(shelf.begun)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert bytes((await analytics.ask("sum", [sent(5)], {}, Work())).raw) == b"[5.0]"


async def test_what_takes_too_long_is_ended_and_says_which_setting():
    work = Work(held=threading.Event())
    with pytest.raises(QueryTimeout, match=r"analytics\.timeout_s \(0\.05 s\)"):
        await made(timeout_s=0.05).ask("sum", [sent(1)], {}, work)


async def test_who_is_late_is_told_to_ask_for_less_or_to_wait_for_the_kernels():
    for analytics, remedy in ((made(timeout_s=0.02), "kernels are being compiled"), (warmed(), "fewer values")):
        with pytest.raises(QueryTimeout, match=remedy):
            await analytics.ask("sum", [sent(1)], {}, Work(held=threading.Event()))


def warmed() -> Analytics:
    analytics = made(timeout_s=0.02)
    analytics.inline_points = INLINE_POINTS
    return analytics


async def test_a_failed_question_is_asked_anew():
    analytics = made()

    def fails(points: Any, check: Any) -> Any:
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        await analytics.ask("sum", [sent(1)], {}, fails)
    assert bytes((await analytics.ask("sum", [sent(1)], {}, Work())).raw) == b"[1.0]"


async def test_too_many_values_in_all_are_refused_with_the_limit():
    with pytest.raises(InputError, match=r"12 values in all; one question may carry 10 \(analytics\.max_points\)"):
        await made(max_points=10).ask("sum", [sent(*range(6)), sent(*range(6))], {}, Work())


async def test_no_more_than_the_lane_holds_may_wait():
    analytics = made(concurrency=1)
    work = Work(held=threading.Event())
    asking = [asyncio.create_task(analytics.ask("sum", [sent(i)], {}, work)) for i in range(102)]
    done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    assert isinstance(next(iter(done)).exception(), StoreBusy)
    work.held.set()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_what_another_server_kept_is_given_here():
    shared = SharedShelf()
    await made(shared=shared).ask("sum", [sent(1, 2)], {}, Work())
    work = Work()
    analytics = made(shared=shared)
    assert (await analytics.ask("sum", [sent(1, 2)], {}, work)).is_cached
    assert (await analytics.ask("sum", [sent(1, 2)], {}, work)).is_cached
    assert (work.runs, shared.asked) == (0, 2)


async def test_what_another_server_kept_lives_no_longer_here_than_there():
    now, shared = [0.0], SharedShelf()
    await made(shared=shared).ask("sum", [sent(1, 2)], {}, Work())
    here = Analytics(Shelf(), lambda: T, cache=LocalCache(1 << 20, lambda: now[0]), shared=shared, cache_s=3600)
    assert (await here.ask("sum", [sent(1, 2)], {}, Work())).is_cached
    shared.kept.clear()
    now[0] = 59.0
    assert (await here.ask("sum", [sent(1, 2)], {}, Work())).is_cached
    now[0] = 60.0
    assert not (await here.ask("sum", [sent(1, 2)], {}, Work())).is_cached


async def test_no_question_is_taken_after_the_end():
    analytics = made()
    analytics.close()
    with pytest.raises(StoreBusy):
        await analytics.ask("sum", [sent(1)], {}, Work())


async def ends_itself(points: Any, check: Callable[[], None]) -> None:
    """As a process that is ended with the server."""
    while True:
        await asyncio.sleep(0)
        try:
            check()
        except QueryCancelled:
            raise ModelError("the process ended") from None


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_who_waits_while_the_server_stops_is_told_to_ask_again(elsewhere: bool):
    analytics, work = made(concurrency=1), Work(held=threading.Event())
    asking = [asyncio.create_task(analytics.ask("sum", [sent(i)], {}, work)) for i in range(3)]
    if elsewhere:
        asking.append(asyncio.create_task(analytics.ask("far", [sent(1)], {}, ends_itself)))
    await reached(work.begun)
    analytics.close()
    for found in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(found, StoreBusy)
        assert (str(found), found.retry_after_s) == ("the server stops; ask again when it is back", 5.0)


async def test_few_values_are_answered_on_the_loop_once_the_kernels_are_there():
    analytics, work = made(), Work()
    few = [sent(*range(10))]
    assert analytics.at_once("sum", few, {}, work) is None
    await asyncio.to_thread(analytics.warm)
    found = [analytics.at_once("sum", few, {}, work) for _ in range(2)]
    assert [f.is_cached for f in found if f] == [False, True]
    assert work.threads == {threading.get_ident()}
    fresh = analytics.at_once("sum", few, {}, work, is_fresh=True)
    assert fresh is not None
    assert not fresh.is_cached
    assert analytics.at_once("sum", [Source("", fp=7)], {}, work) is None
    assert analytics.at_once("sum", [sent(*range(INLINE_POINTS + 1))], {}, work) is None
    assert (await analytics.ask("sum", few, {}, work)).is_cached  # both ways keep the same


@given(st.lists(st.floats(allow_nan=False, width=64), max_size=20), st.lists(st.floats(allow_nan=False), max_size=20))
def test_a_key_stands_for_its_values_bit_for_bit(a, b):
    analytics = made()
    one, other = (analytics._key("q", {}, [Points("x", None, np.array(v, np.float64))]) for v in (a, b))
    assert (one == other) == (np.array(a).tobytes() == np.array(b).tobytes())


async def test_one_of_many_with_a_huge_value_is_left_out_and_one_that_is_named_is_refused():
    analytics = made(Shelf([1.0, 1e302, 3.0]))
    seen = []

    def look(points, check):
        seen.extend(points)
        return len(points)

    many = [Source("a", value=np.array([1.0])), Source("", fp=7, is_optional=True)]
    await analytics.ask("look", many, {}, look)
    assert [(p.why, len(p.value)) for p in seen] == [("", 1), ("huge", 0)]
    with pytest.raises(InputError) as caught:
        await analytics.ask("look", [Source("", fp=7, path="$.target")], {}, look)
    assert caught.value.refusals[0].path == "$.target.seriesId"
