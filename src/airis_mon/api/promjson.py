"""An answer of PromQL as Prometheus' JSON, in pieces of some 256 KiB: numbers as text, times in seconds.

Half a million points take some 50 ms: msgspec writes a row's numbers at once, and a template of the row's times takes
them up. Numbers are written as Go's strconv writes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec
import numpy as np
from numpy.typing import NDArray

from airis_mon.query.engine import Answer
from airis_mon.query.values import Runs, Scalar, Text, Vector
from airis_mon.series.batch import Values
from airis_mon.series.labels import Labels

CUT = "results truncated due to limit"
PIECE_BYTES = 256 * 1024
ROWS = 1000
"""Samples of a vector whose numbers are written together."""

_json = msgspec.json.Encoder().encode


def written(answer: Answer, limit: int, *, is_range: bool) -> Iterator[bytes]:
    """The whole envelope; limit: so many series at most, 0 = all.

    A range query's answer is a matrix, that of an instant query is what the expression gave.
    """
    value, at = answer.value, answer.steps.start
    if isinstance(value, Text):
        yield _envelope(b"string", b"[%b,%b]" % (_float_seconds(at), _json(value.value)))
    elif isinstance(value, Scalar) and not is_range:
        yield _envelope(b"scalar", b'[%b,"%b"]' % (_float_seconds(at), positional(float(value.value[0]))))
    elif isinstance(value, Runs):
        yield from _listed(b"matrix", _runs(value), limit)
    elif is_range:
        yield from _listed(b"matrix", _matrix(_as_vector(value), answer.steps.t), limit)
    elif isinstance(value, Vector):
        yield from _listed(b"vector", _vector(value, at), limit)


def seconds(t: int) -> bytes:
    """Milliseconds as seconds: three digits after the point, or none."""
    whole, ms = divmod(abs(t), 1000)
    return b"%b%d%b" % (b"-" if t < 0 else b"", whole, b".%03d" % ms if ms else b"")


def number(value: float) -> bytes:
    """A sample's value: positional from 1e-6 up to 1e21, with an exponent beyond; NaN, +Inf, -Inf."""
    if not math.isfinite(value):
        return b"NaN" if math.isnan(value) else b"+Inf" if value > 0 else b"-Inf"
    if value and not 1e-6 <= abs(value) < 1e21:
        return repr(value).encode()  # as Go writes it: two digits of the exponent at least, and its sign
    return positional(value)


def positional(value: float) -> bytes:
    """A number without exponent, however long."""
    if not math.isfinite(value):
        return number(value)
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0").encode()


def scientific(value: float) -> str:
    """A number with exponent, as the values of alerts are written: 1e+00, 2.5e-07."""
    if not math.isfinite(value):
        return number(value).decode()
    sign, digits, _ = Decimal(repr(value)).normalize().as_tuple()
    head, rest = str(digits[0]), "".join(map(str, digits[1:]))
    exponent = Decimal(repr(value)).adjusted() if value else 0
    return f"{'-' if sign else ''}{head}{'.' + rest if rest else ''}e{exponent:+03d}"


def numbers(values: Values) -> list[bytes]:
    """Each value as `number` writes it."""
    listed = values.tolist()
    text = _json(listed).replace(b".0,", b",").replace(b".0]", b"]")[1:-1]
    found = text.split(b",") if text else []
    if b"e" in text or b"n" in text:  # an exponent, or null for what is not finite
        return [number(value) if b"e" in n or n == b"null" else n for value, n in zip(listed, found, strict=True)]
    return found


def _as_vector(value: Vector | Scalar) -> Vector:
    if isinstance(value, Vector):
        return value
    return Vector([()], value.value[np.newaxis], np.ones((1, len(value.value)), np.bool_))


def _matrix(vector: Vector, t: NDArray[np.int64]) -> Iterator[bytes]:
    times = [seconds(moment) for moment in t.tolist()]
    template = b",".join([b'[%b,"%%b"]' % moment for moment in times])
    for i in _order(vector.labels):
        has = vector.has[i]
        if has.all():
            yield _series(vector.labels[i], template % tuple(numbers(vector.value[i])))
        elif has.any():
            there = np.flatnonzero(has)
            yield _series(vector.labels[i], _points([times[j] for j in there.tolist()], vector.value[i, there]))


def _runs(runs: Runs) -> Iterator[bytes]:
    for i in _order(runs.labels):
        start, end = int(runs.bounds[i]), int(runs.bounds[i + 1])
        if start < end:
            times = [seconds(moment) for moment in runs.t[start:end].tolist()]
            yield _series(runs.labels[i], _points(times, runs.value[start:end]))


def _vector(vector: Vector, at: int) -> Iterator[bytes]:
    there = np.flatnonzero(vector.has[:, 0])
    stamp = seconds(at)
    for i in range(0, len(there), ROWS):
        rows = there[i : i + ROWS]
        texts = numbers(vector.value[rows, 0])
        for row, text in zip(rows.tolist(), texts, strict=True):
            yield b'{"metric":%b,"value":[%b,"%b"]}' % (_metric(vector.labels[row]), stamp, text)


def _series(labels: Labels, points: bytes) -> bytes:
    return b'{"metric":%b,"values":[%b]}' % (_metric(labels), points)


def _points(times: Sequence[bytes], values: Values) -> bytes:
    words = [b'"],['] * (4 * len(times))
    words[1::4], words[2::4], words[3::4] = times, [b',"'] * len(times), numbers(values)
    words[0] = b"["
    return b"".join(words) + b'"]'


def _metric(labels: Labels) -> bytes:
    return _json(dict(labels))


def _order(labels: Sequence[Labels]) -> list[int]:
    return sorted(range(len(labels)), key=labels.__getitem__)


def _listed(kind: bytes, items: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """The envelope around items, the first `limit` of them."""
    piece, size, is_cut, before = [_head(kind)], 0, False, b""
    for n, item in enumerate(items):
        if limit and n == limit:
            is_cut = True
            break
        piece += (before, item)
        before, size = b",", size + len(item)
        if size >= PIECE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    piece.append(b"]}" + (b',"warnings":' + _json([CUT]) if is_cut else b"") + b"}")
    yield b"".join(piece)


def _head(kind: bytes) -> bytes:
    return b'{"status":"success","data":{"resultType":"%b","result":[' % kind


def _envelope(kind: bytes, result: bytes) -> bytes:
    return _head(kind)[:-1] + result + b"}}"


def _float_seconds(t: int) -> bytes:
    # Of scalars and strings Prometheus writes the time as the shortest number.
    return seconds(t).rstrip(b"0").rstrip(b".") if t % 1000 else seconds(t)
