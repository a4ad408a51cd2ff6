"""When a collector works: a clock that is given, and due times on a grid that neither drift nor pile up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Protocol

import xxhash


class Clock(Protocol):
    """What a collector knows of time."""

    def now(self) -> int:
        """The time in ms UTC."""

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of this clock's time."""


class WallClock:
    """The host's clock."""

    def now(self) -> int:
        """The time in ms UTC."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds`."""
        await asyncio.sleep(seconds)


def spread_ms(identity: str, interval_ms: int) -> int:
    """A stable place in [0, interval_ms) for an identity, so that many targets are not asked in the same instant."""
    return xxhash.xxh3_64_intdigest(identity.encode()) % interval_ms


def following(due: int, now: int, interval_ms: int) -> int:
    """The first grid point after `now`; points that were missed are left out.

    A clock that was set back by more than an interval starts a new grid: waiting for the old one could take hours.
    """
    if due - now > interval_ms:
        return now + interval_ms
    return due + interval_ms * max(1, (now - due) // interval_ms + 1)


async def ticks(clock: Clock, interval_ms: int, first: int | None = None) -> AsyncIterator[int]:
    """Due times (ms), each answered when it has come; the first one is `first`, or now.

    The grid is fixed, so the time that work takes between two ticks never adds up.
    """
    due = clock.now() if first is None else first
    while True:
        if (wait := due - clock.now()) > 0:
            await clock.sleep(min(wait, interval_ms) / 1000)
        yield due
        due = following(due, clock.now(), interval_ms)
