"""When rounds are made, why none is, and that nothing goes on after the end; rounds themselves: test_fleet_served."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from airis_mon.app.fleet import Fleet, Plan
from airis_mon.errors import StoreBusy

MINUTE = 60_000


class Empty:
    """A store without rounds; free: answers once it is set."""

    def __init__(self) -> None:
        self.free, self.ended, self.begun = threading.Event(), False, threading.Event()

    def forecast_rounds(self, start: int, end: int) -> list[int]:
        self.begun.set()
        self.free.wait(10)
        self.ended = True
        return []


class Broken:
    """Watches what cannot be read."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @property
    def watch(self) -> Any:
        raise self.error


def fleet_of(*, plan: Plan | None = None, store: Any = None, detection: Any = None) -> tuple[Fleet, list[float]]:
    """A fleet of nothing watched, and how long it rested; after eight rests it rests for ever."""
    rests: list[float] = []

    async def pause(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) >= 8:
            await asyncio.Event().wait()

    slots = SimpleNamespace(held=lambda: np.empty(0, np.int64))
    nothing: Any = detection or SimpleNamespace(watch=SimpleNamespace(slots=slots), catalogue=None)
    worker: Any = SimpleNamespace(close=lambda: asyncio.sleep(0))
    store = store or Empty()
    store.free.set()
    return Fleet(nothing, store, worker, plan or Plan(), lambda: 0, pause=pause), rests


async def rested(fleet: Fleet, rests: list[float]) -> list[float]:
    fleet.start()
    async with asyncio.timeout(10):
        while len(rests) < 8:  # noqa: ASYNC110  threads look for signals
            await asyncio.sleep(0.001)
    await fleet.stop()
    return rests


async def test_what_cannot_be_forecast_yet_is_tried_again_soon_and_then_less_often() -> None:
    with capture_logs() as said:
        assert await rested(*fleet_of()) == [60, 60, 120, 240, 300, 300, 300, 300]
    assert [(line["event"], line["why"]) for line in said] == [("forecasts.waiting", "no signal is watched yet")]


async def test_it_is_never_tried_again_later_than_the_next_round_would_be() -> None:
    assert await rested(*fleet_of(plan=Plan(interval_ms=90_000))) == [60, 60, 90, 90, 90, 90, 90, 90]


async def test_why_there_is_no_round_is_said() -> None:
    fleet, rests = fleet_of(plan=Plan(match=("nothing",)))
    assert fleet.why == "the first round is made a minute after the start"
    await rested(fleet, rests)
    assert fleet.why == "no watched signal matches forecasts.match"


@pytest.mark.parametrize(("error", "is_ours"), [(OSError("the disk is gone"), False), (StoreBusy("it is full"), True)])
async def test_a_failed_round_is_told_in_words_and_with_a_traceback_when_nobody_foresaw_it(
    error: Exception, *, is_ours: bool
) -> None:
    fleet, rests = fleet_of(detection=Broken(error))
    with capture_logs() as said:
        await rested(fleet, rests)
    assert fleet.why == f"the last round failed: {error}"
    assert (said[0]["event"], said[0]["error"], said[0]["exc_info"]) == ("forecasts.failed", str(error), not is_ours)


async def test_the_store_is_left_alone_once_the_fleet_has_stopped() -> None:
    fleet, _ = fleet_of(store=(store := Empty()))
    store.free.clear()
    fleet.start()
    await asyncio.to_thread(store.begun.wait, 10)
    stopping = asyncio.create_task(fleet.stop())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not stopping.done()
    store.free.set()
    await stopping
    assert store.ended
