"""Work in threads ends before whoever asked for it leaves."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from airis_mon.ingest.threads import ahead, in_thread


async def test_answers_and_errors_come_back():
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("fails", [False, True])
async def test_whoever_is_cancelled_leaves_when_the_thread_has(times: int, fails: bool):
    began, go, ended = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(began.set)
        go.wait(30)
        ended.append(True)
        if fails:
            raise ZeroDivisionError

    task = asyncio.ensure_future(in_thread(work))
    await began.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


async def test_reading_ahead_fetches_the_next_item_while_one_is_worked_on():
    fetched: list[int] = []
    ended: list[bool] = []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            for n in range(1, 4):
                fetched.append(n)
                yield n
        finally:
            ended.append(True)

    seen = []
    async with aclosing(ahead(numbers())) as stream:
        async for n in stream:
            await asyncio.sleep(0)
            seen.append((n, list(fetched)))
    assert seen == [(1, [1, 2]), (2, [1, 2, 3]), (3, [1, 2, 3])]
    assert ended == [True]


async def test_a_reader_ahead_that_is_closed_ends_its_stream():
    ended: list[bool] = []

    async def endless() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
                await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async with aclosing(ahead(endless())) as stream:
        assert await anext(stream) == 1
    assert ended == [True]


async def test_an_error_comes_when_its_item_is_asked_for():
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise ZeroDivisionError

    async with aclosing(ahead(failing())) as stream:
        assert await anext(stream) == 1
        with pytest.raises(ZeroDivisionError):
            await anext(stream)
