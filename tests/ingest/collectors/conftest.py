"""A clock that tests move."""

from __future__ import annotations

import asyncio
import heapq

import pytest


class HandClock:
    """Stands still until `advance`; sleepers wake in the order of their times."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.t = now
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._n = 0

    def now(self) -> int:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self._n += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.t + max(1, round(seconds * 1000)), self._n, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Moves on, waking each sleeper at its own time and letting it work."""
        end = self.t + round(seconds * 1000)
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.t, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await self.settle()
        self.t = end

    async def settle(self) -> None:
        """Lets every task run until it waits for the clock (or for a thread, which this cannot see)."""
        for _ in range(200):
            await asyncio.sleep(0)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()
