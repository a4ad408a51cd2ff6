"""The JSON of Prometheus' query API -> columns: answers of type matrix, without an object per sample.

msgspec splits an answer into series and checks its syntax; Arrow reads the samples of all of them as one table. Lists
of tuples took 2.5 times as long (benchmarks/promhistory.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import InputError
from airis_mon.series.batch import Times, Values

_Counts = NDArray[np.int64]
_ROWS = bytes.maketrans(b']"', b"\n,")
_MOST_MS = 1 << 51
"""So far from 1970, some 71,000 years, seconds in float64 tell every millisecond; what is beyond is no time."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Samples by series: metric[i] is the JSON of a label set, of which counts[i] rows follow one another.

    t: (n,) ms UTC; value: (n,). is_rising: (series,) whether the times of a series rise strictly. histograms counts
    the series that hold native histograms, which are left out. warnings: what the server says beside its answer.
    """

    metric: list[bytes]
    counts: _Counts
    t: Times
    value: Values
    is_rising: NDArray[np.bool_]
    histograms: int = 0
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.t)


class _Series(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    values: msgspec.Raw = msgspec.Raw(b"[]")
    histograms: msgspec.Raw = msgspec.Raw(b"")


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815  Prometheus' name
    result: list[_Series]


class _Answer(msgspec.Struct):
    status: str
    data: _Data
    warnings: list[str] | None = None


_ANSWER = msgspec.json.Decoder(_Answer)
_LABELS = msgspec.json.Decoder(dict[str, str])


def decode_matrix(body: bytes) -> Matrix:
    """The samples of an answer, in its order. Raises InputError when it is no whole answer of type matrix."""
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise InputError(f"the answer is no matrix: {e}") from None
    if answer.data.resultType != "matrix":
        raise InputError(f"the answer is of type {answer.data.resultType!r}, a matrix was asked for")
    series = answer.data.result
    texts = [_tight(bytes(s.values)) for s in series]
    counts = np.array([text.count(b'"') // 2 for text in texts], np.int64)
    t, value = _columns([text for text in texts if text != b"[]"])
    if len(t) != counts.sum():
        raise InputError(f"the answer holds {len(t)} samples with {counts.sum()} values")
    metric = [bytes(s.metric) for s in series]
    histograms = sum(bytes(s.histograms) != b"" for s in series)
    return Matrix(metric, counts, t, value, _rising(t, counts), histograms, tuple(answer.warnings or ()))


def decode_labels(metric: bytes) -> dict[str, str]:
    """The labels of one series of a matrix. Raises InputError when they are none."""
    try:
        return _LABELS.decode(metric)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise InputError(f"the labels of a series cannot be read: {e}") from None


def _tight(text: bytes) -> bytes:
    """Without white space, which no known server writes."""
    return msgspec.json.format(text, indent=-1) if any(blank in text for blank in b" \n\r\t") else text


def _columns(texts: list[bytes]) -> tuple[Times, Values]:
    """The samples `[[1.5,"2"],...]` of some series, of which msgspec has seen that they are JSON."""
    import pyarrow as pa
    from pyarrow import csv

    if not texts:
        return np.empty(0, np.int64), np.empty(0)
    text = b"," + b",".join(texts)
    types = {"": pa.null(), "t": pa.float64(), "between": pa.null(), "value": pa.float64(), "after": pa.null()}
    try:
        table = csv.read_csv(
            pa.BufferReader(text.translate(_ROWS, b"[")),  # a line is `,1.5,,2,`: no other form has five columns
            csv.ReadOptions(use_threads=False, column_names=list(types)),
            csv.ParseOptions(quote_char=False),
            csv.ConvertOptions(column_types=types, null_values=[""]),
        )
    except pa.ArrowInvalid as e:
        raise InputError(f"the answer holds something where a sample is expected: {str(e)[:200]}") from None
    if table["value"].null_count or text.count(b"[") != len(table) + len(texts):
        raise InputError("the answer holds a sample without a value, or something beside its samples")
    return _milliseconds(table["t"].to_numpy()), np.asarray(table["value"].to_numpy(), np.float64)


def _milliseconds(seconds: Values) -> Times:
    """Rounded, halves up."""
    exact = seconds * 1000
    if not (np.abs(exact) < _MOST_MS).all():
        raise InputError("the answer holds a time that is none")
    whole = np.floor(exact)
    return (whole + (exact - whole >= 0.5)).astype(np.int64)


def _rising(t: Times, counts: _Counts) -> NDArray[np.bool_]:
    """(series,) whether the times of a series rise strictly."""
    ends = np.cumsum(counts)
    falls = np.flatnonzero(np.diff(t) <= 0) + 1
    is_rising = np.ones(len(counts), np.bool_)
    is_rising[np.searchsorted(ends, falls[~np.isin(falls, ends)], side="right")] = False
    return is_rising
