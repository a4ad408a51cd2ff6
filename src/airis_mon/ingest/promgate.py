"""How often one server is asked: by however many objects, and not at all while it wants to be left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from airis_mon.ingest.schedule import Clock


class Gate:
    """At most `concurrency` requests are under way and `requests_per_s` begin, by all who share this gate.

    It belongs to one event loop at a time. clock: None = real time.
    """

    def __init__(self, concurrency: int = 2, requests_per_s: float = 5.0, clock: Clock | None = None) -> None:
        self._concurrency, self._pause_s = concurrency, 1 / requests_per_s
        self._wall = clock
        self._sleep: Callable[[float], Awaitable[None]] = clock.sleep if clock else asyncio.sleep
        self._next_at, self._silent_until = float("-inf"), float("-inf")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(concurrency)

    def clock(self) -> float:
        """Seconds that only rise."""
        return self._wall.now() / 1000 if self._wall else time.monotonic()

    def place(self) -> asyncio.Semaphore:
        """What a request, with all its retries, is made in."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._places = loop, asyncio.Semaphore(self._concurrency)
        return self._places

    async def turn(self) -> None:
        """Waits for a request's turn; turns are given in the order of asking."""
        now = self.clock()
        turn = max(now, self._next_at, self._silent_until)
        self._next_at = turn + self._pause_s
        if turn > now:
            await self._sleep(turn - now)

    def hush(self, seconds: float) -> None:
        """Nothing is begun for so long."""
        self._silent_until = max(self._silent_until, self.clock() + seconds)
