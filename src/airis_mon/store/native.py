"""ClickHouse's wire formats, as far as the store speaks them: Native columns both ways, RowBinary rows one way.

Native is columns as they lie in memory, so a column of numbers is written and read without touching a row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_DTYPES: dict[str, np.dtype[Any]] = {
    "Int8": np.dtype("<i1"),
    "UInt8": np.dtype("<u1"),
    "UInt16": np.dtype("<u2"),
    "UInt32": np.dtype("<u4"),
    "UInt64": np.dtype("<u8"),
    "Int32": np.dtype("<i4"),
    "Int64": np.dtype("<i8"),
    "Float64": np.dtype("<f8"),
}
_TYPE = re.compile(r"(?P<array>Array\()?(?P<nullable>Nullable\()?(?P<item>\w+)\)*\Z")
# A LowCardinality column is one dictionary and one index per row: format version 1, then "keys of its own" (0x600)
# with the width of the indexes (0 = 1 byte, 1 = 2, 2 = 4).
_OWN_KEYS = 0x600
_WIDTHS = ((0x100, "<u1", 0), (0x10000, "<u2", 1), (0x100000000, "<u4", 2))


def varint(n: int) -> bytes:
    """An unsigned number, seven bits a byte, low bits first."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def text(value: str) -> bytes:
    """A string with its length before it, as both formats have it."""
    raw = value.encode()
    return varint(len(raw)) + raw


def text_map(pairs: Sequence[tuple[str, str]]) -> bytes:
    """A RowBinary `Map(String, String)`."""
    return varint(len(pairs)) + b"".join([text(word) for pair in pairs for word in pair])


def fixed(name: str, kind: str, values: Array) -> bytes:
    """A column of fixed width; `values` has the type's own layout in memory, little-endian."""
    return text(name) + text(kind) + values.tobytes()


def low_cardinality(name: str, keys: Sequence[str], index: Array) -> bytes:
    """A `LowCardinality(String)` column: row i holds `keys[index[i]]`."""
    dtype, code = next((dtype, code) for most, dtype, code in _WIDTHS if len(keys) <= most)
    head = np.array([1, _OWN_KEYS | code, len(keys)], "<u8").tobytes()
    body = b"".join([text(k) for k in keys])
    rows = np.array([len(index)], "<u8").tobytes()
    return text(name) + text("LowCardinality(String)") + head + body + rows + index.astype(dtype, copy=False).tobytes()


def block(rows: int, columns: Sequence[bytes]) -> bytes:
    """One Native block of encoded columns."""
    return b"".join([varint(len(columns)), varint(rows), *columns])


def read(data: bytes) -> list[Array]:
    """The columns of an answer in Native, its blocks joined; only numbers of fixed width and arrays of them.

    A column of equally long arrays is (rows, length). A `Nullable` one, array or not, comes as two: the values, and 1
    where they are null. An answer without rows may have no columns at all: []. Raises ValueError or
    IndexError when it is cut or damaged.
    """
    parts: list[list[Array]] = []
    at = 0
    while at < len(data):
        count, at = _read_varint(data, at)
        rows, at = _read_varint(data, at)
        columns = []
        for _ in range(count):
            found, at = _read_column(data, at, rows)
            columns += found
        if rows or not parts:
            parts.append(columns)
    if len(parts) > 1 and not len(parts[0][0]):
        del parts[0]
    if len(parts) == 1:
        return parts[0]
    return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    n = shift = 0
    while data[at] & 128:
        n |= (data[at] & 127) << shift
        shift += 7
        at += 1
    return n | data[at] << shift, at + 1


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = _read_varint(data, at)
    return data[at : at + size].decode(), at + size


def _read_column(data: bytes, at: int, rows: int) -> tuple[list[Array], int]:
    name, at = _read_text(data, at)
    kind, at = _read_text(data, at)
    found = _TYPE.match(kind)
    if found is None or found["item"] not in _DTYPES:
        raise ValueError(f"column {name!r} is of type {kind}, not a number of fixed width")
    shape: tuple[int, ...] = (rows,)
    if found["array"]:
        ends, at = _read_numbers(data, at, "UInt64", shape)
        shape = (rows, _length(name, ends))
    nulls = []
    if found["nullable"]:
        is_null, at = _read_numbers(data, at, "UInt8", shape)
        nulls = [is_null]
    values, at = _read_numbers(data, at, found["item"], shape)
    return [values, *nulls], at


def _read_numbers(data: bytes, at: int, kind: str, shape: tuple[int, ...]) -> tuple[Array, int]:
    values = np.frombuffer(data, _DTYPES[kind], math.prod(shape), at)
    return values.reshape(shape), at + values.nbytes


def _length(name: str, ends: Array) -> int:
    """How long every array is. Raises ValueError when they differ."""
    length = int(ends[0]) if len(ends) else 0
    if not np.array_equal(ends, np.arange(1, len(ends) + 1, dtype=np.uint64) * np.uint64(length)):
        raise ValueError(f"column {name!r} has arrays of different lengths")
    return length
