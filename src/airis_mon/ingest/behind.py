"""Asking a server that others ask, too, and letting them pass."""

from __future__ import annotations

import asyncio
from typing import Literal

from airis_mon.ingest.promgate import Gate


class Behind(Gate):
    """The way through a gate for what can wait.

    Its requests count at the gate, so that the server is asked no more than that allows. At most `places` of them have
    a place there or stand in its queue, however many wait here: with one place less than the gate has, who asks at the
    gate itself never waits for a request of ours to be answered.
    """

    def __init__(self, gate: Gate, places: int) -> None:
        super().__init__(places)
        self.gate = gate
        self._count = places
        self._both: _Both | None = None

    def clock(self) -> float:
        """Seconds that only rise."""
        return self.gate.clock()

    def place(self) -> asyncio.Semaphore:
        """What a request, with all its retries, is made in."""
        there = self.gate.place()
        if self._both is None or self._both.there is not there:  # another event loop asks now
            self._both = _Both(self._count, there)
        return self._both

    async def turn(self) -> None:
        """Waits for a request's turn at the gate."""
        await self.gate.turn()

    def hush(self, seconds: float) -> None:
        """Nothing is begun for so long, by anybody."""
        self.gate.hush(seconds)


class _Both(asyncio.Semaphore):
    """A place here, then one there."""

    def __init__(self, places: int, there: asyncio.Semaphore) -> None:
        super().__init__(places)
        self.there = there

    async def acquire(self) -> Literal[True]:
        await super().acquire()
        try:
            return await self.there.acquire()
        except BaseException:
            super().release()
            raise

    def release(self) -> None:
        self.there.release()  # first: who waits there goes before who waits here
        super().release()
