"""Columns of a file -> arrays: times, numbers, and text by code. What cannot be read is marked, not raised."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times, Values

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_]

SECONDS_BELOW = 10**11
"""An integer time below is in seconds (until the year 5138), at or above in milliseconds (from 1973 on)."""
TOO_FINE = 10**14
"""An integer time from here on is in micro- or nanoseconds."""
GAPS = frozenset({"", "na", "n/a", "nan", "null", "none"})
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?", re.IGNORECASE)
_ZONED = re.compile(r"(?:Z|[-+]\d\d:?\d\d)\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def times_of(column: pa.Array) -> tuple[Times, Mask]:
    """(n,) ms UTC and (n,) True where there is no time.

    Read are timestamp and date columns of any unit (without a zone: UTC), integer seconds or milliseconds, decimal
    seconds, and RFC 3339 text (also with a blank for the T, and without a zone).
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        missing = _mask(column.is_null())
        micro = _filled(column.cast(pa.timestamp("us", kind.tz if pa.types.is_timestamp(kind) else None), safe=False))
        return np.floor_divide(micro, 1000), missing
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_epoch(column)
    return _times_of_text(_text(column))


def numbers_of(column: pa.Array) -> tuple[Values, Mask]:
    """(n,) float64, NaN where the cell is empty, and (n,) True where it is no number."""
    import pyarrow as pa

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        try:
            return _floats(column.cast(pa.float64(), safe=False)), np.zeros(len(column), np.bool_)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            column = _text(column)
    return _numbers_of_text(column)


def codes_of(column: pa.Array) -> tuple[NDArray[np.int32], list[str]]:
    """(n,) index into the column's distinct texts, and these; an empty cell is ""."""
    import pyarrow as pa

    is_coded = pa.types.is_dictionary(column.type) and pa.types.is_string(column.type.value_type)
    encoded = column if is_coded else _text(column).dictionary_encode()
    words = [w or "" for w in encoded.dictionary.to_pylist()]
    indices = encoded.indices.fill_null(len(words)) if encoded.indices.null_count else encoded.indices
    return indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False), [*words, ""]


def is_numeric(column: pa.Array) -> bool:
    """Whether a column holds numbers: by its type, or for text, because most of its cells that aren't empty do."""
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
        return bool(
            pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_decimal(kind)
            or pa.types.is_null(kind)
        )
    _, bad = _numbers_of_text(_text(column))
    return bool(2 * bad.sum() < len(column))


def _numbers_of_text(column: pa.Array) -> tuple[Values, Mask]:
    import pyarrow as pa
    import pyarrow.compute as pc

    for reading in (column, pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)):
        try:
            return _floats(reading.cast(pa.float64())), np.zeros(len(column), np.bool_)
        except pa.ArrowInvalid:
            continue
    values, bad = np.full(len(column), np.nan), np.zeros(len(column), np.bool_)
    for i, text in enumerate(column.to_pylist()):
        word = (text or "").strip()
        if _NUMBER.fullmatch(word):
            values[i] = float(word)
        else:
            bad[i] = word.lower() not in GAPS
    return values, bad


def _times_of_text(column: pa.Array) -> tuple[Times, Mask]:
    encoded = column.dictionary_encode()  # the rows of many series share their times
    t, bad = _times_of_words(encoded.dictionary)
    if not len(t):
        return np.zeros(len(column), np.int64), np.ones(len(column), np.bool_)
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return t[codes], bad[codes] | _mask(column.is_null())


def _times_of_words(words: pa.Array) -> tuple[Times, Mask]:
    import pyarrow as pa

    first = (words[0].as_py() or "") if len(words) else ""
    has_zone = _ZONED.search(first) is not None
    # A reading that fails costs more than one that succeeds: the first word says which to try.
    kind = pa.int64() if first.isdigit() else pa.timestamp("us", "UTC" if has_zone else None)
    try:
        return times_of(words.cast(kind))
    except pa.ArrowInvalid:
        read = [_one_time(text or "") for text in words.to_pylist()]
    return np.array([t or 0 for t in read], np.int64), np.array([t is None for t in read], np.bool_)


def _one_time(text: str) -> int | None:
    word = text.strip()
    if _NUMBER.fullmatch(word):
        t, bad = _epoch_ms(np.array([float(word)]))
        return None if bad[0] else int(t[0])
    try:
        moment = datetime.fromisoformat(word.upper())
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def _from_epoch(column: pa.Array) -> tuple[Times, Mask]:
    missing = _mask(column.is_null())
    t, bad = _epoch_ms(_filled(column))
    return t, bad | missing


def _epoch_ms(number: NDArray[np.generic]) -> tuple[Times, Mask]:
    size = np.abs(number.astype(np.float64))
    bad = ~(size < TOO_FINE)  # NaN too
    is_whole = number.dtype.kind != "f"
    safe = np.where(bad, 0, number).astype(np.int64 if is_whole else np.float64)
    return np.rint(np.where(size < SECONDS_BELOW, safe * 1000, safe)).astype(np.int64), bad


def _text(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _filled(column: pa.Array) -> NDArray[np.generic]:
    import pyarrow as pa

    plain = column.view(pa.int64()) if pa.types.is_timestamp(column.type) else column
    filled: NDArray[np.generic] = plain.fill_null(0).to_numpy(zero_copy_only=False)
    return filled


def _floats(column: pa.Array) -> Values:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _mask(column: pa.Array) -> Mask:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)
