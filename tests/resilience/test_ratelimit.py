from __future__ import annotations

import threading
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.resilience.ratelimit import Decision, LocalRateLimiter, Rate, SharedRateLimiter

MINUTE = Rate(100, 60)
START = 1_800_000_000.0


def test_a_whole_window_may_come_at_once_and_refills_evenly():
    limiter = LocalRateLimiter(MINUTE)
    taken = [limiter.count("a", START) for _ in range(101)]
    assert [d.allowed for d in taken] == [True] * 100 + [False]
    assert [d.remaining for d in taken[:3]] == [99, 98, 97]
    assert taken[-1] == Decision(False, 100, 0, 60.0, 0.6)
    assert not limiter.count("a", START + 0.59).allowed
    assert limiter.count("a", START + 0.61).allowed
    assert not limiter.count("a", START + 0.61).allowed


def test_keys_do_not_share_their_limit():
    limiter = LocalRateLimiter(Rate(1, 60))
    assert limiter.count("a", START).allowed
    assert limiter.count("b", START).allowed
    assert not limiter.count("a", START).allowed


def test_a_refused_request_costs_nothing():
    limiter = LocalRateLimiter(Rate(1, 10))
    limiter.count("a", START)
    for _ in range(50):
        limiter.count("a", START + 1)
    assert limiter.count("a", START + 10).allowed


def test_retry_after_is_when_the_next_one_passes():
    limiter = LocalRateLimiter(Rate(3, 7))
    while (refused := limiter.count("a", START)).allowed:
        pass
    assert limiter.count("a", START + refused.retry_after_s + 1e-6).allowed


def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_window():
    limiter = LocalRateLimiter(Rate(2, 10))
    for _ in range(2):
        limiter.count("a", START)
    assert limiter.count("a", START - 3600).retry_after_s <= 10
    assert limiter.count("a", START - 3600 + 10).allowed


class Model:
    """The algorithm with exact fractions and no forgetting."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.arrival: dict[str, Fraction] = {}

    def count(self, key: str, now: float) -> bool:
        t, step = Fraction(round(now * 10**9), 10**9), Fraction(self.rate.period_s, self.rate.limit)
        arrival = max(self.arrival.get(key, t), t)
        if arrival + step - t > self.rate.period_s:
            return False
        self.arrival[key] = arrival + step
        return True


@settings(deadline=None)
@given(
    st.integers(1, 7),
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 15)), min_size=1, max_size=200),
)
def test_forgetting_quiet_keys_changes_no_decision(limit, period_s, requests):
    rate = Rate(limit, period_s)
    limiter, model, now = LocalRateLimiter(rate), Model(rate), START
    for key, wait_s in requests:
        now += wait_s
        assert limiter.count(key, now).allowed == model.count(key, now)


def test_memory_is_bounded_by_keys_in_use_and_by_the_cap():
    quiet = LocalRateLimiter(Rate(10, 1))
    for i in range(5_000):
        quiet.count(f"k{i}", START + i / 100)
    assert len(quiet) <= 201
    busy = LocalRateLimiter(Rate(10, 3600), max_keys=1000)
    for i in range(5_000):
        busy.count(f"k{i}", START)
    assert len(busy) <= 1000


def test_threads_together_get_exactly_the_limit():
    limiter = LocalRateLimiter(Rate(1000, 3600))
    allowed: list[int] = []

    def work() -> None:
        allowed.append(sum(limiter.count("a", START).allowed for _ in range(500)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(allowed) == 1000


async def test_a_server_that_fails_is_left_alone_for_a_while_and_limits_stay():
    now, asked, noted = [0.0], [], []

    async def fail(key: str) -> Decision:
        asked.append(key)
        raise ConnectionError("gone")

    limiter = SharedRateLimiter(
        fail,
        LocalRateLimiter(Rate(2, 60)),
        failures=(ConnectionError,),
        clock=lambda: now[0],
        pause_s=5,
        note=noted.append,
    )
    assert not limiter.degraded
    assert [(await limiter.take("a", START)).allowed for _ in range(3)] == [True, True, False]
    assert (asked, len(noted), limiter.degraded) == (["a"], 1, True)
    now[0] = 5.0
    assert not limiter.degraded
    await limiter.take("a", START)
    assert asked == ["a", "a"]


async def test_a_fault_that_is_no_failure_of_the_server_is_not_hidden():
    async def broken(key: str) -> Decision:
        raise KeyError(key)

    limiter = SharedRateLimiter(broken, LocalRateLimiter(Rate(2, 60)), failures=(OSError,), clock=lambda: 0.0)
    with pytest.raises(KeyError):
        await limiter.take("a", START)
