"""Threads that whoever stops waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")


async def whole(function: Callable[..., R], *args: object) -> R:
    """What a function gives in a thread. Cancelled meanwhile it waits for its end: what it uses is closed after it."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
