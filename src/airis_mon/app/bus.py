"""Events to whoever listens in this process: sockets, streams, `manager.on`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from airis_mon.events.event import Event

REPLAYED = 1000
"""So many past events are kept for listeners that come back with the last `seq` they saw."""
BUFFERED = 1000
"""So many events wait for one slow listener; beyond that its oldest are dropped and counted."""


class Subscription:
    """One listener's bounded queue: iterate it. `dropped` counts what it was too slow for."""

    def __init__(self, names: set[str] | None, loop: asyncio.AbstractEventLoop) -> None:
        self.names = names
        self.dropped = 0
        self._loop = loop
        self._waiting: deque[Event] = deque()
        self._wake = asyncio.Event()

    def offer(self, event: Event) -> None:
        """Takes an event in, from any thread."""
        if self.names is None or event.name in self.names:
            with contextlib.suppress(RuntimeError):  # its loop has ended: that is no matter of who publishes
                self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: Event) -> None:
        if len(self._waiting) >= BUFFERED:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(event)
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()


class EventBus:
    """Publishes to all subscriptions of this process and remembers the last `REPLAYED` events.

    first: `seq` of the first event; larger than any of an earlier process, it lets listeners of that one come back.
    """

    def __init__(self, clock: Callable[[], int], first: int = 1) -> None:
        self.published = 0
        self._clock = clock
        self._seq = itertools.count(first)
        self._past: deque[Event] = deque(maxlen=REPLAYED)
        self._subscriptions: set[Subscription] = set()
        self._lock = threading.Lock()  # an event is past or still to come for whoever joins, never in between

    def publish(self, name: str, payload: dict[str, Any]) -> Event:
        """Tells every subscription, from any thread; never waits for a listener."""
        with self._lock:
            event = Event(next(self._seq), name, self._clock(), payload)
            self.published += 1
            self._past.append(event)
            for subscription in self._subscriptions:
                subscription.offer(event)
        return event

    @contextlib.contextmanager
    def subscribe(self, names: set[str] | None = None, last_seq: int | None = None) -> Iterator[Subscription]:
        """A subscription for the time of the block, beginning after `last_seq` as far as that is remembered."""
        subscription = Subscription(names, asyncio.get_running_loop())
        with self._lock:
            for event in self._past if last_seq is not None else ():
                if event.seq > (last_seq or 0):
                    subscription.offer(event)
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)
