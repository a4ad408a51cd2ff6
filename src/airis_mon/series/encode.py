"""Columns to a remote write 1.0 body: how scores are written back, and the sender of tests and benchmarks."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import cramjam

from airis_mon.series.batch import Ids, Times, Values
from airis_mon.series.labels import Labels

_pack_double = struct.Struct("<d").pack


def varint(number: int) -> bytes:
    """A protobuf varint; a negative number takes ten bytes."""
    number &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def label_block(labels: Labels) -> bytes:
    """The label fields of one TimeSeries: made once per series, used in every request."""
    return b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in labels)


def write_request(blocks: Sequence[bytes], sid: Ids, t: Times, value: Values) -> bytes:
    """A snappy-compressed `WriteRequest`, one TimeSeries per row; blocks[sid] is the series' `label_block`."""
    parts: list[bytes] = []
    stamps: dict[int, bytes] = {}  # the rows of one scrape share their time
    for s, at, number in zip(sid.tolist(), t.tolist(), value.tolist(), strict=True):
        stamp = stamps.get(at)
        if stamp is None:
            stamp = stamps[at] = b"\x10" + varint(at)
        block = blocks[s]
        size = 9 + len(stamp)  # a tag and a double before the timestamp
        parts += (b"\x0a", varint(len(block) + 2 + size), block, b"\x12", bytes((size, 9)), _pack_double(number), stamp)
    return bytes(cramjam.snappy.compress_raw(b"".join(parts)))
