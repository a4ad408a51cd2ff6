"""Calling again what failed for a while: only `Transient`, within one deadline, never in step with other nodes.

A loop of our own: the retry library that was tried keeps hooks and switches in globals (which an embedding application
may own), lets a Retry-After exceed its time-out, and imports for 0.4 s at the first retry.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from airis_mon.errors import Transient

R = TypeVar("R")
Note = Callable[[Transient, int, float], None]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after the n-th failure, and how many calls to make at most.

    Waits grow from `first_s` by `factor` up to `longest_s`, each drawn between half and the whole, so that nodes that
    failed together do not come back together (M. Brooker, Exponential Backoff And Jitter, 2015: "equal jitter").
    """

    first_s: float = 0.2
    factor: float = 2.0
    longest_s: float = 10.0
    attempts: int = 6

    def wait_s(self, failure: int, retry_after_s: float | None, chance: float) -> float:
        """The wait after failure 1, 2, ...; chance: 0..1. A Retry-After is kept to, and up to a tenth added."""
        if retry_after_s is not None:
            return retry_after_s + (0.1 * retry_after_s + self.first_s) * chance
        whole = min(self.first_s * self.factor ** min(failure - 1, 64), self.longest_s)
        return whole * (0.5 + 0.5 * chance)


async def retried(
    call: Callable[[], Awaitable[R]],
    *,
    deadline_s: float,
    clock: Callable[[], float],
    backoff: Backoff = Backoff(),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
    note: Note | None = None,
) -> R:
    """The answer of `call`, which is called again after a Transient, all within `deadline_s`.

    clock: seconds, monotonic. A wait that would end after the deadline is not begun; a call that runs into it is
    cancelled. `note` hears of every retry: the error, which failure it was, the wait. Raises the last Transient, or
    whatever else `call` raises.
    """
    end = clock() + deadline_s
    failure = 0
    while True:
        try:
            return await _within(call, end - clock(), deadline_s)
        except Transient as error:
            failure += 1
            wait_s = backoff.wait_s(failure, error.retry_after_s, chance())
            if failure >= backoff.attempts or clock() + wait_s >= end:
                raise
            if note:
                note(error, failure, wait_s)
        await sleep(wait_s)


async def _within(call: Callable[[], Awaitable[R]], left_s: float, deadline_s: float) -> R:
    try:
        async with asyncio.timeout(left_s) as limit:
            return await call()
    except TimeoutError as error:
        if limit.expired():
            raise Transient(f"no answer within {deadline_s:g} s") from error
        raise


def retry_after(header: str, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, in either of its forms; None when it is absent or unreadable."""
    if header.strip().isdecimal() and header.isascii():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return None
