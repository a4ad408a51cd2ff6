from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import Permanent, Transient
from airis_mon.resilience.retry import Backoff, retried, retry_after


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Upstream:
    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def __call__(self) -> object:
        answer = self.answers[min(self.calls, len(self.answers) - 1)]
        self.calls += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


async def run(call, time: Time, **how):
    how = {"deadline_s": 60.0, "chance": lambda: 1.0} | how
    return await retried(call, clock=time.clock, sleep=time.sleep, **how)


async def test_a_transient_failure_is_tried_again_with_growing_waits():
    time, up, heard = Time(), Upstream(Transient("a"), Transient("b"), Transient("c"), 7), []
    assert await run(up, time, note=lambda *of: heard.append(of[1:])) == 7
    assert time.slept == [0.2, 0.4, 0.8]
    assert heard == [(1, 0.2), (2, 0.4), (3, 0.8)]


@pytest.mark.parametrize("error", [Permanent("no"), ValueError("bug"), KeyError("x")])
async def test_nothing_else_is_tried_again(error):
    time, up = Time(), Upstream(error)
    with pytest.raises(type(error)):
        await run(up, time)
    assert (up.calls, time.slept) == (1, [])


async def test_attempts_are_counted():
    time, up = Time(), Upstream(Transient("down"))
    with pytest.raises(Transient, match="down"):
        await run(up, time, backoff=Backoff(attempts=3))
    assert up.calls == 3


async def test_a_retry_after_is_kept_to():
    time, up = Time(), Upstream(Transient("busy", retry_after_s=9.0), 1)
    assert await run(up, time, chance=lambda: 0.0) == 1
    assert time.slept == [9.0]


async def test_a_wait_that_would_pass_the_deadline_is_not_begun():
    time, up = Time(), Upstream(Transient("busy", retry_after_s=30.0))
    with pytest.raises(Transient, match="busy"):
        await run(up, time, deadline_s=10.0)
    assert (up.calls, time.slept) == (1, [])


async def test_a_call_that_runs_into_the_deadline_is_cancelled():
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(Transient, match=r"no answer within 0\.01 s"):
        await retried(hang, deadline_s=0.01, clock=asyncio.get_running_loop().time)
    assert ended.is_set()


async def test_a_time_out_of_the_call_s_own_passes():
    with pytest.raises(TimeoutError):
        await run(Upstream(TimeoutError()), Time())


async def test_cancelling_is_no_failure():
    task = asyncio.ensure_future(run(asyncio.Event().wait, Time()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@settings(deadline=None)
@given(st.integers(1, 200), st.floats(0, 1), st.none() | st.floats(0, 1e4))
def test_waits_lie_between_their_bounds(failure, chance, retry_after_s):
    backoff = Backoff()
    wait_s = backoff.wait_s(failure, retry_after_s, chance)
    if retry_after_s is None:
        assert 0.5 * backoff.first_s <= wait_s <= backoff.longest_s
    else:
        assert retry_after_s <= wait_s <= 1.1 * retry_after_s + backoff.first_s


@given(st.integers(0, 10**6))
def test_retry_after_is_read_as_seconds(seconds: int):
    assert retry_after(str(seconds), datetime.now(UTC)) == seconds


def test_retry_after_is_read_as_a_date_and_nonsense_is_ignored():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after("Thu, 01 Jan 2026 00:02:00 GMT", now) == 120
    assert retry_after("Thu, 01 Jan 2026 00:02:00", now) is None
    assert retry_after("soon", now) is None
    assert retry_after("²", now) is retry_after("٣", now) is None
    assert retry_after("", now) is None
