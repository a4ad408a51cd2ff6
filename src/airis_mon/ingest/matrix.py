"""The JSON of Prometheus' query API -> columns: answers of type matrix, without an object per sample.

msgspec splits an answer into series and checks its syntax; a kernel reads the samples of all series in one pass. Lists
of tuples took 3 to 7 times as long, most with values of full precision (benchmarks/promhistory.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import InputError
from airis_mon.series.batch import Times, Values
from airis_mon.series.kernel import exact_kernel, inlined

_Bytes = NDArray[np.uint8]
_Counts = NDArray[np.int64]

SMALLEST = len('[1,"2"],')
"""Bytes of the shortest sample: an answer holds no more samples than that."""
_EXACT = 1 << 53
_TENS: Values = np.array(
    [10.0**k for k in range(23)]
)  # every one of them is exact, and so is one product or quotient with 53 bits
_WHOLE_TENS = 10 ** np.arange(19, dtype=np.int64)
_MINUS, _PLUS, _DOT, _QUOTE, _COMMA, _OPEN, _CLOSE = (ord(c) for c in '-+.",[]')
_ZERO, _NINE, _SMALL_E, _BIG_E, _BIG_N, _BIG_I, _SPACE = (ord(c) for c in "09eENI ")
_DIGITS = 18  # so many always fit into 63 bits
_MOST_MS = 9 * 10**18


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
    text = b"".join([s.values for s in series])
    counts, t, value, is_rising = _samples(text, len(series))
    metric = [bytes(s.metric) for s in series]
    histograms = sum(bytes(s.histograms) != b"" for s in series)
    return Matrix(metric, counts, t, value, is_rising, histograms, tuple(answer.warnings or ()))


def decode_labels(metric: bytes) -> dict[str, str]:
    """The labels of one series of a matrix. Raises InputError when they are none."""
    try:
        return _LABELS.decode(metric)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise InputError(f"the labels of a series cannot be read: {e}") from None


def _samples(text: bytes, series: int) -> tuple[_Counts, Times, Values, NDArray[np.bool_]]:
    most = len(text) // SMALLEST + 1
    t, value = np.empty(most, np.int64), np.empty(most)
    counts, is_rising = np.zeros(series, np.int64), np.ones(series, np.bool_)
    long, ends, digits = np.empty(most, np.int64), np.zeros(most + 1, np.int32), np.empty(len(text), np.uint8)
    n, n_long, bad = _read(
        np.frombuffer(text, np.uint8), counts, t, value, is_rising, long, ends, digits, _TENS, _WHOLE_TENS
    )
    if bad >= 0:
        near = text[bad : bad + 60].decode("utf-8", "replace")
        raise InputError(f"the answer holds {near!r} where a sample is expected")
    if n_long:
        value[long[:n_long]] = _floats(digits, ends[: n_long + 1])
    return counts, t[:n].copy(), value[:n].copy(), is_rising


def _floats(digits: _Bytes, ends: NDArray[np.int32]) -> Values:
    """The numbers that stand one after another in `digits`, each rounded right whatever its length.

    Arrow reads one in 20 ns, Python in 150.
    """
    import pyarrow as pa

    words = pa.Array.from_buffers(pa.string(), len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(digits)])
    return np.asarray(words.cast(pa.float64()).to_numpy(), np.float64)


# Every reader below is given a place (-1 = an earlier one failed) and answers the place after what it read, or -1.


@inlined
def _blank(text: _Bytes, i: int) -> int:
    """The first place from i on that is no white space."""
    while i < len(text) and text[i] <= _SPACE:
        i += 1
    return i


@inlined
def _past(text: _Bytes, i: int, what: int) -> int:
    """Reads one character, and white space around it."""
    if i < 0:
        return -1
    i = _blank(text, i)
    return _blank(text, i + 1) if i < len(text) and text[i] == what else -1


@inlined
def _sign(text: _Bytes, i: int) -> tuple[int, bool]:
    """Reads a sign if there is one: the place after it, whether it is a minus."""
    if 0 <= i < len(text) and (text[i] == _MINUS or text[i] == _PLUS):
        return i + 1, text[i] == _MINUS
    return i, False


@inlined
def _exponent(text: _Bytes, i: int) -> tuple[int, int]:
    """Reads the digits and the sign of an exponent."""
    i, is_negative = _sign(text, i)
    first, exponent = i, 0
    while i < len(text) and _ZERO <= text[i] <= _NINE:
        exponent = min(exponent * 10 + (text[i] - _ZERO), 9999)
        i += 1
    if i == first:
        return -1, 0
    return i, -exponent if is_negative else exponent


@inlined
def _number(text: _Bytes, i: int) -> tuple[int, int, int, int]:
    """Reads a number without a sign: the place, its digits as a whole number, the power of ten, how many digits."""
    whole, power, digits, seen, is_fraction = 0, 0, 0, 0, False
    while 0 <= i < len(text):
        c = text[i]
        if _ZERO <= c <= _NINE:
            seen += 1
            power -= is_fraction
            if digits or c != _ZERO:
                digits += 1
                whole = whole * 10 + (c - _ZERO)
        elif c == _DOT and not is_fraction:
            is_fraction = True
        else:
            break
        i += 1
    if not seen:
        return -1, 0, 0, 0
    if i < len(text) and (text[i] == _SMALL_E or text[i] == _BIG_E):
        i, exponent = _exponent(text, i + 1)
        power += exponent
    return i, whole, power, digits


@inlined
def _time(text: _Bytes, i: int, tens: _Counts) -> tuple[int, int]:
    """Reads seconds as whole milliseconds, rounded."""
    i, is_negative = _sign(text, i)
    i, whole, power, digits = _number(text, i)
    if digits > _DIGITS or power > 15:
        return -1, 0
    if power >= -3:
        if whole > _MOST_MS // tens[power + 3]:
            return -1, 0
        ms = whole * tens[power + 3]
    elif power < -21:
        ms = 0
    else:
        unit = tens[-power - 3]
        ms = whole // unit + (whole % unit * 2 >= unit)
    return i, -ms if is_negative else ms


@exact_kernel
def _value(text: _Bytes, i: int, tens: Values) -> tuple[int, float, bool]:
    """Reads a number, NaN or Inf; False: it has too many digits to be sure of the last bit."""
    i, is_negative = _sign(text, i)
    if 0 <= i < len(text) - 3 and (text[i] == _BIG_N or text[i] == _BIG_I):
        size, is_exact = np.nan if text[i] == _BIG_N else np.inf, True
        i += 3
    else:
        i, whole, power, digits = _number(text, i)
        is_exact = digits <= _DIGITS and 0 <= whole <= _EXACT and -22 <= power <= 22
        size = 0.0
        if is_exact:
            size = float(whole) * tens[power] if power >= 0 else float(whole) / tens[-power]
    return i, -size if is_negative else size, is_exact


@inlined
def _copy(text: _Bytes, start: int, end: int, to: _Bytes, at: int) -> int:
    """Appends text[start:end] less a leading plus, answers where it ends."""
    for k in range(start + (text[start] == _PLUS), end):
        to[at] = text[k]
        at += 1
    return at


@exact_kernel
def _read(
    text: _Bytes,
    counts: _Counts,
    t: Times,
    value: Values,
    is_rising: NDArray[np.bool_],
    long: _Counts,
    ends: NDArray[np.int32],
    digits: _Bytes,
    tens: Values,
    whole_tens: _Counts,
) -> tuple[int, int, int]:
    """Reads `[[1.5,"2"],...]` of each series; answers rows, rows of `long`, and a place before what is bad, or -1.

    Numbers with more digits than a float64 holds for certain are copied to `digits` one after another, up to
    ends[k + 1]; they belong into row long[k].
    """
    i, n, n_long = 0, 0, 0
    for s in range(len(counts)):
        first, good = n, i
        i = _past(text, i, _OPEN)
        while 0 <= i < len(text) and text[i] != _CLOSE:
            good = i
            if n > first:
                i = _past(text, i, _COMMA)
            i, t[n] = _time(text, _past(text, i, _OPEN), whole_tens)
            start = _past(text, _past(text, i, _COMMA), _QUOTE)
            i, value[n], is_exact = _value(text, start, tens)
            if i >= 0 and not is_exact:
                long[n_long] = n
                n_long += 1
                ends[n_long] = _copy(text, start, i, digits, ends[n_long - 1])
            i = _past(text, _past(text, i, _QUOTE), _CLOSE)
            is_rising[s] &= n == first or t[n] > t[n - 1]
            n += 1
        i = _past(text, i, _CLOSE)
        if i < 0:
            return n, n_long, good
        counts[s] = n - first
    return n, n_long, -1
