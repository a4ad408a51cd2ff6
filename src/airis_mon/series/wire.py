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

DONE, GROW_KEYS, GROW_ROWS, GROW_SYMBOLS, UNUSUAL = 0, 1, 2, 3, 4
MAX_KEY = 1 << 16
"""Longer label blocks and symbols never enter an index: they are beyond any label limit and go the slow way."""
MAX_REFS = 512
"""As MAX_KEY, for the references of one series to symbols."""


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
    metadata: int  # version 1: entries; version 2: series whose type is news


def make_rows(capacity: int) -> Rows:
    """Room for `capacity` samples."""
    return Rows(
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int64),
        np.empty(capacity, np.uint64),
    )


class Walk1:
    """Walks `prometheus.WriteRequest`s; a key of `index` is a raw block of label fields.

    Grows as needed and undoes what a request that failed had added. Not for two threads at once.
    """

    def __init__(self, *, max_keys: int, max_bytes: int, max_rows: int) -> None:
        self.index = RawIndex(max_keys=max_keys, max_bytes=max_bytes)
        self.max_rows = max_rows
        self.rows = make_rows(min(4096, max_rows))
        self._out = np.zeros(7, np.int64)
        self._last = 0

    def walk(self, body: Bytes) -> tuple[int, Counts]:
        """Answers DONE and what was met, or why it stopped.

        GROW_KEYS or GROW_SYMBOLS: an index is at its limit; GROW_ROWS: there are more than `max_rows` samples;
        UNUSUAL: ask protobuf. Only DONE leaves rows in `rows` and new keys in `index`.
        """
        known = self._sizes()
        while (status := self._try(body)) != DONE:
            grown = status != UNUSUAL and self._grow(status)
            self._truncate(known)
            if not grown:
                break
        if status == DONE and self._out[1]:
            self._last = int(self.rows.key[self._out[1] - 1])
        return status, Counts(*self._out[:6].tolist())

    def clear(self) -> None:
        """Forgets all keys."""
        self.index.clear()
        self._last = 0

    def _try(self, body: Bytes) -> int:
        return int(_walk1(body, self._last, self.index.arrays, self.rows, self._out))

    def _sizes(self) -> tuple[int, int]:
        return len(self.index), 0

    def _truncate(self, sizes: tuple[int, int]) -> None:
        self.index.truncate(sizes[0])

    def _grow(self, status: int) -> bool:
        if status == GROW_KEYS:
            return self.index.grow()
        if len(self.rows.key) >= self.max_rows:
            return False
        self.rows = make_rows(min(2 * len(self.rows.key), self.max_rows))
        return True


class Walk2(Walk1):
    """Walks `io.prometheus.write.v2.Request`s; a key of `index` is the ids in `symbols` of names and values in turn.

    A request numbers its strings as it likes, so they are looked up once per request and series go by lasting ids.
    """

    def __init__(self, *, max_keys: int, max_bytes: int, max_rows: int) -> None:
        super().__init__(max_keys=max_keys, max_bytes=max_bytes, max_rows=max_rows)
        self.symbols = RawIndex(max_keys=2 * max_keys, max_bytes=max_bytes)
        self.kind = np.zeros(1024, np.uint8)  # by key: the type on the wire
        self._refs = np.empty(MAX_REFS, np.int32)

    def words(self, key: int) -> list[bytes]:
        """Names and values of a key, in turn."""
        return [self.symbols.key(i) for i in np.frombuffer(self.index.key(key), np.int32)]

    def clear(self) -> None:
        """Forgets all keys and symbols."""
        super().clear()
        self.symbols.clear()
        self.kind[:] = 0

    def _try(self, body: Bytes) -> int:
        if len(self.kind) < (capacity := len(self.index.arrays.size)):
            self.kind = np.concatenate([self.kind, np.zeros(capacity - len(self.kind), np.uint8)])
        ids = np.empty(len(body) // 2 + 1, np.int32)  # by number in the request; a symbol takes two bytes at least
        return int(
            _walk2(
                body,
                self._last,
                self.symbols.arrays,
                ids,
                self._refs,
                self._refs.view(np.uint8),
                self.index.arrays,
                self.kind,
                self.rows,
                self._out,
            )
        )

    def _sizes(self) -> tuple[int, int]:
        return len(self.index), len(self.symbols)

    def _truncate(self, sizes: tuple[int, int]) -> None:
        self.kind[sizes[0] : len(self.index)] = 0
        super()._truncate(sizes)
        self.symbols.truncate(sizes[1])

    def _grow(self, status: int) -> bool:
        return self.symbols.grow() if status == GROW_SYMBOLS else super()._grow(status)


@bare
def count_fields(b: Bytes) -> int:
    """How many top-level fields a message has, up to the first that is broken: asked before objects are made of it."""
    at = n = 0
    while at < len(b):
        at, tag = _varint(b, at, len(b))
        kind = tag & 7
        if at >= 0 and kind == 0:
            at, _ = _varint(b, at, len(b))
        elif at >= 0 and kind == 2:
            _, at = _length(b, at, len(b))
        elif at >= 0:
            at += 8 if kind == 1 else 4
        if at < 0:
            break
        n += 1
    return n


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
    version: int,
) -> int:
    """Takes the fields after the labels into rows from `row` on; the next free row, or -1 - status when it stopped."""
    exemplar, histogram = (0x1A, 0x22) if version == 1 else (0x22, 0x1A)
    while at < end:
        out[0] = at
        tag = b[at]
        if tag == 0x30 and version == 2:  # when the series was created
            at, _ = _varint(b, at + 1, end)
            first = at
        else:
            first, at = _length(b, at + 1, end)
        if at < 0:
            return -1 - UNUSUAL
        if tag == 0x12:
            if row >= len(key_of):
                return -1 - GROW_ROWS
            if not _sample(b, first, at, row, bits_of, t_of):
                return -1 - UNUSUAL
            key_of[row], item_of[row] = key, item
            row += 1
        elif tag == exemplar:
            out[2] += 1
        elif tag == histogram:
            out[3] += 1
            out[4] = item if out[3] == 1 else out[4]
        elif tag == 0x2A and version == 2 and out[6] < 0:
            out[6] = _type(b, first, at)
            if out[6] < 0:
                return -1 - UNUSUAL
        elif tag != 0x30 or version == 1:
            return -1 - UNUSUAL
    return row


@bare
def _type(b: Bytes, at: int, end: int) -> int:
    """The type in the metadata b[at:end], -1 at anything but numbers of the three fields we know."""
    kind = 0
    while at < end:
        tag = b[at]
        at, number = _varint(b, at + 1, end)
        if at < 0 or (tag != 0x08 and tag != 0x18 and tag != 0x20) or (tag == 0x08 and not 0 <= number < 8):
            return -1
        if tag == 0x08:
            kind = int(number)
    return kind


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
        row = _rest(b, stop, at, last, item, row, key_of, item_of, t_of, bits_of, out, 1)
        if row < 0:
            return -1 - row
        item += 1
    out[0], out[1] = at, row
    return DONE


@bare
def _refs(b: Bytes, at: int, end: int, ids: Int32s, known: int, refs: Int32s) -> int:
    """Writes the ids behind the references b[at:end]; how many, -1 for a reference that leads nowhere."""
    n = 0
    while at < end:
        at, ref = _varint(b, at, end)
        if at < 0 or not 0 <= ref < known or n >= len(refs):
            return -1
        refs[n] = ids[ref]
        n += 1
    return n if n % 2 == 0 else -1


@bare
def _walk2(
    b: Bytes,
    last: int,
    symbols: Arrays,
    ids: Int32s,
    refs: Int32s,
    refs_raw: Bytes,  # the same memory as refs
    index: Arrays,
    kinds: Bytes,
    rows: Rows,
    out: Int64s,
) -> int:
    n = len(b)
    key_of, item_of, t_of, bits_of = rows
    state, follow, arena, start, size = index.state, index.follow, index.arena, index.start, index.size
    at = row = item = known = 0
    for k in range(len(out)):
        out[k] = 0
    while at < n:
        out[0] = at
        tag = b[at]
        inner, at = _length(b, at + 1, n)
        if at >= 0 and tag == 0x22 and item == 0 and at - inner <= MAX_KEY:
            symbol = find_or_add(b, inner, at, symbols)
            if symbol < 0:
                return GROW_SYMBOLS
            ids[known] = symbol
            known += 1
            continue
        if at < 0 or tag != 0x2A:
            return UNUSUAL
        words = 0
        if inner < at and b[inner] == 0x0A:
            first, inner = _length(b, inner + 1, at)
            words = _refs(b, first, inner, ids, known, refs) if inner >= 0 else -1
            if words < 0:
                return UNUSUAL
        guess = int(follow[last])
        if not (guess < state[0] and size[guess] == 4 * words and same(refs_raw, 0, arena, start[guess], 4 * words)):
            guess = find_or_add(refs_raw, 0, 4 * words, index)
            if guess < 0:
                return GROW_KEYS
            follow[last] = guess
        last = guess
        out[6] = -1
        row = _rest(b, inner, at, last, item, row, key_of, item_of, t_of, bits_of, out, 2)
        if row < 0:
            return -1 - row
        if out[6] > 0 and kinds[last] != out[6]:
            kinds[last] = out[6]
            out[5] += 1
        item += 1
    out[0], out[1] = at, row
    return DONE


def values(rows: Rows, n: int) -> NDArray[np.float64]:
    """(n,) a copy of the first values."""
    return rows.bits[:n].copy().view(np.float64)
