from __future__ import annotations

import asyncio
import threading

import pytest

from airis_mon.app.threads import whole


async def test_who_is_cancelled_waits_for_the_thread() -> None:
    begun, free, ended = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        free.wait(10)
        ended.append(True)

    task = asyncio.create_task(whole(work))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


async def test_what_a_thread_gives_or_raises_comes_back() -> None:
    assert await whole(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await whole(divmod, 7, 0)
