"""Answers kept to be given again: what a cache offers, and the one in this process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

ENTRY_BYTES = 256
"""What one entry takes beside its key and its value: measured at about 230 with dictionary, tuple and bytes' heads."""


class Cache(Protocol):
    """Bytes by key. It may forget at any time and never fails: what it cannot have, it does not have."""

    async def get(self, key: str) -> tuple[bytes, float] | None:
        """What was put under the key and is not too old, and for how many seconds more it may be given."""

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keeps the value for so long at most, in place of an earlier one."""


class LocalCache:
    """A cache in this process: the least recently used goes first. Any number of threads may call.

    max_bytes: of keys, values and the entries themselves. clock: seconds, monotonic.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self._clock = clock
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._lock = threading.Lock()

    async def get(self, key: str) -> tuple[bytes, float] | None:
        """As `find`, with the seconds that are left; waits for nothing."""
        with self._lock:
            found = self._found(key)
            return None if found is None else (found[0], found[1] - self._clock())

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """As `keep`; waits for nothing."""
        self.keep(key, value, ttl_s)

    def find(self, key: str) -> bytes | None:
        """What is kept under the key; it becomes the most recently used."""
        with self._lock:
            found = self._found(key)
            return None if found is None else found[0]

    def keep(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keeps the value; one that alone is larger than all the room is not kept."""
        size = _size(key, value)
        with self._lock:
            if key in self._kept:
                self._forget(key)
            if size > self.max_bytes:
                return
            self._kept[key] = (value, self._clock() + ttl_s)
            self.size_bytes += size
            while self.size_bytes > self.max_bytes:
                self._forget(next(iter(self._kept)))

    def __len__(self) -> int:
        return len(self._kept)

    def _found(self, key: str) -> tuple[bytes, float] | None:
        """The value and until when it is kept. Called with the lock held."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._clock() >= kept[1]:
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def _forget(self, key: str) -> None:
        value, _ = self._kept.pop(key)
        self.size_bytes -= _size(key, value)


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_BYTES
