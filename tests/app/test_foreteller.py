"""Forecasts of those who ask: in turn, elsewhere, and ended with whoever waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from airis_mon.app.analytics import Analytics, Source
from airis_mon.app.foreteller import Foreteller
from airis_mon.app.foretelling import Asked
from airis_mon.errors import InputError, QueryTimeout, StoreBusy

ASKED = Asked(np.arange(20) % 5.0, None, None, 4, (5,))


class Elsewhere:
    """A process that is at work until it is freed."""

    def __init__(self) -> None:
        self.begun, self.free, self.killed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.begun.set()
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.killed.set()
            raise
        return function(*args)


def analytics(worker: Elsewhere, **rest: Any) -> Analytics:
    stored: Any = None
    return Analytics(stored, lambda: 0, foreteller=of(worker), **rest)


def of(worker: Any, **rest: Any) -> Foreteller:
    return Foreteller(worker, **rest)


async def asked(analytics: Analytics, name: str) -> Any:
    async def work(points: Any, _: Any) -> Any:
        _, found = await analytics.foreteller.foretell(ASKED, 0.9)
        return found.mean[0].tolist()

    return (await analytics.ask("forecast", [Source(name, value=ASKED.value)], {}, work)).raw


async def test_questions_are_answered_while_more_forecasts_than_threads_are_made() -> None:
    worker = Elsewhere()
    question = analytics(worker, concurrency=1)
    making = [asyncio.create_task(asked(question, name)) for name in "abc"]
    await worker.begun.wait()
    ones = [Source("x", value=np.ones(3))]
    raw = (await question.ask("sum", ones, {}, lambda points, _: float(points[0].value[0]))).raw
    assert bytes(raw) == b"1.0"
    worker.free.set()
    assert [bytes(raw) for raw in await asyncio.gather(*making)] == [b"[0.0,1.0,2.0,3.0]"] * 3


async def test_a_forecast_that_nobody_waits_for_is_killed() -> None:
    worker = Elsewhere()
    making = asyncio.create_task(asked(analytics(worker), "a"))
    await worker.begun.wait()
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)
    assert making.cancelled()
    async with asyncio.timeout(5):
        assert await worker.killed.wait()


async def test_a_forecast_that_takes_too_long_is_killed() -> None:
    worker = Elsewhere()
    with pytest.raises(QueryTimeout, match=r"analytics\.timeout_s"):
        await asked(analytics(worker, timeout_s=0.2), "a")
    assert worker.killed.is_set()


async def test_who_asks_while_too_many_wait_is_sent_away_until_one_is_done() -> None:
    worker = Elsewhere()
    foreteller = of(worker, waiting=1)
    first = asyncio.create_task(foreteller.foretell(ASKED, 0.9))
    await worker.begun.wait()
    with pytest.raises(StoreBusy, match="1 forecasts are made or wait"):
        await foreteller.foretell(ASKED, 0.9)
    worker.free.set()
    await first
    panel, found = await foreteller.foretell(ASKED, 0.9)
    assert panel.seasons == (5,)
    np.testing.assert_allclose(found.mean, [[0, 1, 2, 3]])


async def test_what_cannot_be_forecast_is_refused_before_the_process_hears_of_it() -> None:
    worker = Elsewhere()
    with pytest.raises(InputError, match="horizon"):
        await of(worker).foretell(Asked(ASKED.value, None, None, 11, None), 0.9)
    assert not worker.begun.is_set()
