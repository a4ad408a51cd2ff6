"""Dense ids for raw byte strings, found without Python and always verified byte by byte.

A label set is parsed once; afterwards its raw bytes lead to its series. A 64-bit hash alone would alias silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from airis_mon.series.kernel import bare

Bytes = NDArray[np.uint8]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Words = NDArray[np.uint64]

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_SECRET = hash("airis_mon.series.rawindex")  # differs in every process, so nobody can send colliding keys on purpose


class Arrays(NamedTuple):
    """The index as kernels see it. state: [keys, bytes of the arena in use, hash seed]."""

    state: Int64s
    table: Int32s  # (2^k,) id, or -1; linear probing
    hashes: Words  # (capacity,)
    start: Int64s  # (capacity,) first byte in the arena
    size: Int64s  # (capacity,)
    follow: Int32s  # (capacity,) the id that came after this one the last time
    arena: Bytes


class RawIndex:
    """Ids 0, 1, 2 ... for byte strings in the order of their first sight, at most `max_keys` in `max_bytes`."""

    def __init__(self, *, max_keys: int, max_bytes: int) -> None:
        self.max_keys = max_keys
        self.max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        """Forgets every key."""
        self.arrays = _arrays(min(1024, self.max_keys), min(1 << 16, self.max_bytes))

    def __len__(self) -> int:
        return int(self.arrays.state[0])

    def key(self, i: int) -> bytes:
        """The bytes of an id."""
        a = self.arrays
        return a.arena[a.start[i] : a.start[i] + a.size[i]].tobytes()

    def grow(self) -> bool:
        """Doubles what is full after `find_or_add` answered -1; False when that would pass a limit."""
        old = self.arrays
        keys, used = len(self), int(old.state[1])
        capacity, size = len(old.size), len(old.arena)
        if keys >= capacity:
            capacity = min(2 * capacity, self.max_keys)
        else:
            size = min(2 * size, self.max_bytes)
        if (capacity, size) == (len(old.size), len(old.arena)):
            return False
        self.arrays = new = _arrays(capacity, size)
        new.state[:] = old.state
        for ours, theirs in ((new.hashes, old.hashes), (new.start, old.start), (new.size, old.size)):
            ours[:keys] = theirs[:keys]
        new.follow[:keys] = old.follow[:keys]
        new.arena[:used] = old.arena[:used]
        _rehash(new)
        return True

    def truncate(self, keys: int) -> None:
        """Forgets all keys from id `keys` on: what a request that failed had added."""
        _truncate(self.arrays, keys)


def _arrays(capacity: int, size: int) -> Arrays:
    slots = 1 << max(4, (2 * capacity - 1).bit_length())
    return Arrays(
        np.array([0, 0, _SECRET], np.int64),
        np.full(slots, -1, np.int32),
        np.empty(capacity, np.uint64),
        np.empty(capacity, np.int64),
        np.empty(capacity, np.int64),
        np.zeros(capacity, np.int32),
        np.empty(size, np.uint8),
    )


def _unaligned(_context: Any, array: Any, _at: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.gep(source.data, [args[1]])
        return builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(array, types.intp), codegen


load64 = cast("Callable[[Bytes, int], np.uint64]", intrinsic(_unaligned))
"""Eight bytes of a uint8 array as one word, wherever they start; the caller checks the bounds."""


@bare
def same(a: Bytes, i: int, b: Bytes, j: int, n: int) -> bool:
    """Whether a[i : i + n] equals b[j : j + n]; both lie inside their arrays."""
    if n < 8:
        equal = True
        for k in range(n):
            equal &= a[i + k] == b[j + k]
        return equal
    k = 0
    while k + 32 <= n:
        d0 = load64(a, i + k) ^ load64(b, j + k)
        d1 = load64(a, i + k + 8) ^ load64(b, j + k + 8)
        d2 = load64(a, i + k + 16) ^ load64(b, j + k + 16)
        d3 = load64(a, i + k + 24) ^ load64(b, j + k + 24)
        if (d0 | d1 | d2 | d3) != 0:
            return False
        k += 32
    while k + 8 <= n:
        if load64(a, i + k) != load64(b, j + k):
            return False
        k += 8
    return bool(load64(a, i + n - 8) == load64(b, j + n - 8))  # the last bytes, overlapping what was compared


@bare
def _hash(a: Bytes, lo: int, hi: int, seed: np.uint64) -> np.uint64:
    """A 64-bit hash after the rounds of XXH64 (Yann Collet), one lane."""
    h = seed ^ (np.uint64(hi - lo) * _P1)
    k = lo
    while k + 8 <= hi:
        h ^= load64(a, k) * _P2
        h = ((h << np.uint64(27)) | (h >> np.uint64(37))) * _P1 + _P3
        k += 8
    while k < hi:
        h ^= np.uint64(a[k]) * _P3
        h = ((h << np.uint64(11)) | (h >> np.uint64(53))) * _P1
        k += 1
    h = (h ^ (h >> np.uint64(33))) * _P2
    h = (h ^ (h >> np.uint64(29))) * _P3
    return h ^ (h >> np.uint64(32))


@bare
def find_or_add(a: Bytes, lo: int, hi: int, index: Arrays) -> int:
    """The id of a[lo:hi], a new one at first sight; -1 when the index must grow first."""
    n = hi - lo
    h = _hash(a, lo, hi, np.uint64(index.state[2]))
    mask = np.uint64(len(index.table) - 1)
    slot = h & mask
    while index.table[slot] >= 0:
        i = index.table[slot]
        if index.hashes[i] == h and index.size[i] == n and same(a, lo, index.arena, index.start[i], n):
            return int(i)
        slot = (slot + np.uint64(1)) & mask
    new = index.state[0]
    used = index.state[1]
    if new >= len(index.size) or used + n > len(index.arena):
        return -1
    index.table[slot] = new
    index.hashes[new], index.start[new], index.size[new] = h, used, n
    index.follow[new] = new + 1
    for k in range(n):
        index.arena[used + k] = a[lo + k]
    index.state[0] = new + 1
    index.state[1] = used + n
    return int(new)


@bare
def _rehash(index: Arrays) -> None:
    mask = np.uint64(len(index.table) - 1)
    for i in range(index.state[0]):
        slot = index.hashes[i] & mask
        while index.table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        index.table[slot] = i


@bare
def _truncate(index: Arrays, keys: int) -> None:
    # Newest first: then every probe chain is again what it was before the key came.
    mask = np.uint64(len(index.table) - 1)
    for i in range(index.state[0] - 1, keys - 1, -1):
        slot = index.hashes[i] & mask
        while index.table[slot] != i:
            slot = (slot + np.uint64(1)) & mask
        index.table[slot] = -1
        index.state[0] = i
        index.state[1] = index.start[i]
