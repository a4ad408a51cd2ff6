"""Blocking work beside the event loop, in threads that nobody leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

R = TypeVar("R")


async def in_thread(call: Callable[[], R]) -> R:
    """The answer of `call`, made in a thread.

    A thread cannot be stopped: whoever is cancelled meanwhile leaves only when `call` has returned, so that nothing
    it uses (a temporary folder, a connection) is taken from under it. Let calls be short.
    """
    task = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                continue  # told twice; the thread is still at work
        if not task.cancelled():
            task.exception()  # heard: nobody is left to tell
        raise


async def ahead(stream: AsyncGenerator[R, None]) -> AsyncGenerator[R, None]:
    """The items of a stream, each fetched while the one before it is worked on; ends the stream when it ends itself."""
    coming = asyncio.ensure_future(_next(stream))
    try:
        while (item := await coming) is not None:
            coming = asyncio.ensure_future(_next(stream))
            yield item
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await stream.aclose()


async def _next(stream: AsyncGenerator[R, None]) -> R | None:
    return await anext(stream, None)
