from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airis_mon.ingest.schedule import WallClock, following, spread_ms, ticks


class Jumping:
    """A clock whose sleep takes as long as asked, plus what the test adds."""

    def __init__(self, extra_ms: int = 0) -> None:
        self.t = 10_000
        self.extra_ms = extra_ms

    def now(self) -> int:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.t += round(seconds * 1000) + self.extra_ms


async def take(n: int, clock: Jumping, work_ms: int, first: int | None = None) -> list[int]:
    seen = []
    async for t in ticks(clock, 1000, first):
        seen.append(t)
        clock.t += work_ms
        if len(seen) == n:
            return seen
    raise AssertionError("ticks ended")


async def test_the_first_tick_is_now_and_work_does_not_shift_the_grid():
    assert await take(4, Jumping(), work_ms=300) == [10_000, 11_000, 12_000, 13_000]


async def test_late_wake_ups_never_add_up():
    assert await take(4, Jumping(extra_ms=70), work_ms=0) == [10_000, 11_000, 12_000, 13_000]


async def test_ticks_that_work_overran_are_left_out():
    assert await take(3, Jumping(), work_ms=2500) == [10_000, 13_000, 16_000]


async def test_a_first_tick_in_the_future_is_waited_for():
    clock = Jumping()
    assert await take(2, clock, work_ms=0, first=10_400) == [10_400, 11_400]
    assert clock.t == 11_400


def test_a_clock_set_back_starts_a_new_grid_instead_of_hours_of_silence():
    assert following(due=7_200_000, now=1_000, interval_ms=1000) == 2_000


@given(st.integers(0, 10**13), st.integers(0, 10**7), st.integers(1, 10**6))
def test_the_following_tick_lies_on_the_grid_and_within_one_interval(due: int, late: int, interval: int):
    nxt = following(due, due + late, interval)
    assert (nxt - due) % interval == 0
    assert due + late < nxt <= due + late + interval


@given(st.text(), st.integers(1, 10**6))
def test_the_spread_is_stable_and_within_the_interval(identity: str, interval: int):
    assert 0 <= spread_ms(identity, interval) < interval
    assert spread_ms(identity, interval) == spread_ms(identity, interval)


async def test_the_wall_clock_counts_milliseconds_since_1970():
    clock = WallClock()
    before = clock.now()
    await clock.sleep(0)
    assert 1_600_000_000_000 < before <= clock.now()
