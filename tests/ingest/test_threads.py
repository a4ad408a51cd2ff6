"""Work in threads ends before whoever asked for it leaves."""

import asyncio
import threading

import pytest

from airis_mon.ingest.threads import in_thread


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
