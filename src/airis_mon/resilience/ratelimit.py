"""How often a key may act: the generic cell rate algorithm (ATM Forum, Traffic Management 4.0, 1996, section 4.4.2).

One number per key, the theoretical arrival time of the next request: exact, atomic, and as small as a limit can be. A
whole window's worth may come at once; then it refills evenly.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` requests in each `period_s`; both at least 1."""

    limit: int
    period_s: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What a limiter says of one request; times are seconds from now.

    remaining: requests that would pass at once. reset_s: until the whole limit is there again. retry_after_s: until
    the next request would pass, 0 when this one did.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    retry_after_s: float


class RateLimiter(Protocol):
    """Counts requests by key, atomically."""

    async def take(self, key: str, now: float) -> Decision:
        """Counts one request at `now` (seconds of one clock) if it may pass, and says what is left."""


class LocalRateLimiter:
    """Limits within this process: exact under threads, bounded in memory.

    A key that was quiet for a period is forgotten without loss: it has its whole limit back. Beyond `max_keys` keys
    in use the quietest are forgotten early, which grants them a fresh limit; one address costs about 150 bytes.
    """

    def __init__(self, rate: Rate, *, max_keys: int = 200_000) -> None:
        self.rate = rate
        # Times are counted in 1/limit ns, so that the distance between requests is a whole number: nothing rounds.
        self._step = rate.period_s * NS
        self._window = self._step * rate.limit
        self._half = max(1, max_keys // 2)
        self._young: dict[str, int] = {}  # key -> theoretical arrival time; touched in this period
        self._old: dict[str, int] = {}  # touched in the one before
        self._turned = 0
        self._lock = threading.Lock()

    async def take(self, key: str, now: float) -> Decision:
        """As `count`; waits for nothing."""
        return self.count(key, now)

    def count(self, key: str, now: float) -> Decision:
        """Counts one request at `now` (seconds) if it may pass. Any number of threads may call."""
        t = round(now * NS) * self.rate.limit
        with self._lock:
            self._turn(t)
            # A clock that was set back must not lock a key out for longer than its window.
            arrival = min(max(self._young.get(key) or self._old.get(key) or t, t), t + self._window)
            if allowed := arrival + self._step - t <= self._window:
                arrival += self._step
                self._young[key] = arrival
        return self._decision(arrival - t, allowed=allowed)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _turn(self, t: int) -> None:
        """Lets go of keys that were quiet for a whole period: theirs has passed."""
        if t - self._turned >= self._window or t < self._turned or len(self._young) >= self._half:
            # After two quiet periods even the young ones are whole again.
            self._old = self._young if t - self._turned < 2 * self._window else {}
            self._young, self._turned = {}, t

    def _decision(self, ahead: int, *, allowed: bool) -> Decision:
        unit = NS * self.rate.limit
        retry_after_s = 0.0 if allowed else (ahead + self._step - self._window) / unit
        return Decision(allowed, self.rate.limit, (self._window - ahead) // self._step, ahead / unit, retry_after_s)


class SharedRateLimiter:
    """Limits shared with other processes while that works, and this process's own while it does not.

    shared: asks a server, raising `failures` when it cannot. After a failure it is left alone for `pause_s`, so that
    a dead server does not slow every request; `degraded` says so. clock: seconds, monotonic.
    """

    def __init__(
        self,
        shared: Callable[[str], Awaitable[Decision]],
        local: LocalRateLimiter,
        *,
        failures: tuple[type[Exception], ...],
        clock: Callable[[], float],
        pause_s: float = 5.0,
        note: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._shared, self._local = shared, local
        self._failures, self._note = failures, note
        self._clock, self._pause_s = clock, pause_s
        self._again_at = float("-inf")

    @property
    def degraded(self) -> bool:
        """Whether limits are this process's own for now."""
        return self._clock() < self._again_at

    async def take(self, key: str, now: float) -> Decision:
        """Counts one request on the server, by its clock, or here at `now` when the server fails."""
        if self.degraded:
            return self._local.count(key, now)
        try:
            return await self._shared(key)
        except self._failures as error:
            self._again_at = self._clock() + self._pause_s
            self._note(error)
            return self._local.count(key, now)
