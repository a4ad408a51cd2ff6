"""Walks the bytes of Prometheus remote write requests straight into columns.

A walker takes the layout that senders really produce and nothing else: fields in order, labels first. At anything
else it stops and says where; the caller then asks protobuf, so a walker never has to judge what is valid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.kernel import bare
from airis_mon.series.rawindex import Arrays, Bytes, Int32s, Int64s, RawIndex, Words, find_or_add, load64, same

DONE, GROW_KEYS, GROW_ROWS, UNUSUAL = 0, 1, 2, 3
MAX_KEY = 1 << 16
"""Longer label blocks never enter the index: they are beyond any label limit and go the slow way."""


class Rows(NamedTuple):
    """One row per sample, as kernels write them."""

    key: Int32s  # id of the raw label set
    item: Int32s  # which TimeSeries of the request
    t: Int64s
    bits: Words  # the float64's bits, so that a NaN survives as it is


class Counts(NamedTuple):
    """What one walk met; position: the first byte not taken."""

    position: int
    rows: int
    exemplars: int
    histograms: int
    first_histogram: int  # its TimeSeries
    metadata: int


def make_rows(capacity: int) -> Rows:
    """Room for `capacity` samples."""
    return Rows(
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int64),
        np.empty(capacity, np.uint64),
    )


class Walk:
    """A walker with its memory: grows as needed, undoes what a failed request added. Not for two threads at once."""

    def __init__(self, index: RawIndex, *, max_rows: int) -> None:
        self.index = index
        self.max_rows = max_rows
        self.rows = make_rows(min(4096, max_rows))
        self._out = np.zeros(6, np.int64)
        self._last = 0

    def version1(self, body: Bytes) -> tuple[int, Counts]:
        """Walks a `prometheus.WriteRequest`. Answers DONE and what it met, or why it stopped.

        GROW_KEYS: the index is at its limit; GROW_ROWS: there are more than `max_rows` samples; UNUSUAL: ask protobuf.
        Only DONE leaves rows in `rows` and new keys in the index.
        """
        known = len(self.index)
        while True:
            status = _walk1(body, self._last, self.index.arrays, self.rows, self._out)
            if status == DONE:
                self._last = int(self.rows.key[self._out[1] - 1]) if self._out[1] else self._last
                break
            grown = status != UNUSUAL and self._grow(status)
            self.index.truncate(known)
            if not grown:
                break
        return int(status), Counts(*self._out.tolist())

    def clear(self) -> None:
        """Forgets all keys."""
        self.index.clear()
        self._last = 0

    def _grow(self, status: int) -> bool:
        if status == GROW_KEYS:
            return self.index.grow()
        if len(self.rows.key) >= self.max_rows:
            return False
        self.rows = make_rows(min(2 * len(self.rows.key), self.max_rows))
        return True


@bare
def _length(b: Bytes, at: int, end: int) -> tuple[int, int]:
    """(first byte after a length, first byte after what it measures), or (-1, -1) when that is not inside b[:end]."""
    value = 0
    for shift in range(0, 35, 7):
        if at >= end:
            return -1, -1
        byte = int(b[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (at, at + value) if value <= end - at else (-1, -1)
    return -1, -1


@bare
def _varint(b: Bytes, at: int, end: int) -> tuple[int, np.int64]:
    """(first byte after a varint, its 64 bits as a signed number), or (-1, 0) when it is cut off or too long."""
    value = np.uint64(0)
    for k in range(10):
        if at >= end or (k == 9 and b[at] > 1):
            return -1, np.int64(0)
        byte = np.uint64(b[at])
        at += 1
        value |= (byte & np.uint64(0x7F)) << np.uint64(7 * k)
        if byte < 0x80:
            return at, np.int64(value)
    return -1, np.int64(0)


@bare
def _sample(b: Bytes, at: int, end: int, row: int, value: Words, time: Int64s) -> bool:
    """Writes the fields of b[at:end] into a row; False at anything but value and timestamp."""
    bits = np.uint64(0)  # a field that is not there is zero: proto3 senders leave out 0.0
    t = np.int64(0)
    while at < end:
        tag = b[at]
        if tag == 0x09 and at + 9 <= end:
            bits = load64(b, at + 1)
            at += 9
        elif tag == 0x10:
            at, t = _varint(b, at + 1, end)
            if at < 0:
                return False
        else:
            return False
    value[row], time[row] = bits, t
    return True


@bare
def _labels_end(b: Bytes, at: int, end: int) -> int:
    """The end of the label fields that start at `at`, -1 when one is cut off."""
    while at < end and b[at] == 0x0A:
        _, at = _length(b, at + 1, end)
        if at < 0:
            return -1
    return at


@bare
def _expected(b: Bytes, at: int, end: int, arena: Bytes, start: int, size: int) -> int:
    """The end of the label block at `at` when it is the block arena[start : start + size], else -1."""
    stop = at + size
    if stop <= end and (stop == end or b[stop] != 0x0A) and same(b, at, arena, start, size):
        return stop
    return -1


@bare
def _key1(b: Bytes, at: int, end: int, index: Arrays) -> tuple[int, int]:
    """(end of the label block at `at`, its id). (-1, _): not a label block we keep; (_, -1): the index must grow."""
    stop = _labels_end(b, at, end)
    if stop < 0 or stop - at > MAX_KEY:
        return -1, 0
    return stop, find_or_add(b, at, stop, index)


@bare
def _rest(
    b: Bytes,
    at: int,
    end: int,
    key: int,
    item: int,
    row: int,
    key_of: Int32s,
    item_of: Int32s,
    t_of: Int64s,
    bits_of: Words,
    out: Int64s,
) -> int:
    """Takes the fields after the labels into rows from `row` on; the next free row, or -1 - status when it stopped."""
    while at < end:
        out[0] = at
        tag = b[at]
        first, at = _length(b, at + 1, end)
        if tag == 0x12 and at >= 0:
            if row >= len(key_of):
                return -1 - GROW_ROWS
            if not _sample(b, first, at, row, bits_of, t_of):
                return -1 - UNUSUAL
            key_of[row], item_of[row] = key, item
            row += 1
        elif tag == 0x1A and at >= 0:
            out[2] += 1
        elif tag == 0x22 and at >= 0:
            if out[3] == 0:
                out[4] = item
            out[3] += 1
        else:
            return -1 - UNUSUAL
    return row


@bare
def _walk1(b: Bytes, last: int, index: Arrays, rows: Rows, out: Int64s) -> int:
    n = len(b)
    key_of, item_of, t_of, bits_of = rows
    state, follow, arena, start, size = index.state, index.follow, index.arena, index.start, index.size
    at = row = item = 0
    for k in range(len(out)):
        out[k] = 0
    while at < n:
        out[0] = at
        tag = b[at]
        inner, at = _length(b, at + 1, n)
        if at >= 0 and tag == 0x1A:
            out[5] += 1
            continue
        if at < 0 or tag != 0x0A:
            return UNUSUAL
        # The block that followed the last one before is tried first: one comparison, neither hash nor table.
        guess = int(follow[last])
        stop = _expected(b, inner, at, arena, start[guess], size[guess]) if guess < state[0] else -1
        if stop < 0:
            stop, guess = _key1(b, inner, at, index)
            if stop < 0 or guess < 0:
                return UNUSUAL if stop < 0 else GROW_KEYS
            follow[last] = guess
        last = guess
        row = _rest(b, stop, at, last, item, row, key_of, item_of, t_of, bits_of, out)
        if row < 0:
            return -1 - row
        item += 1
    out[0], out[1] = at, row
    return DONE


def values(rows: Rows, n: int) -> NDArray[np.float64]:
    """(n,) a copy of the first values."""
    return rows.bits[:n].copy().view(np.float64)
