"""What PromQL answered, as Prometheus' API writes it -> the lines that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Annotated

import msgspec
import numpy as np

from airis_mon.cli.ask import Json, Span
from airis_mon.cli.plot import BLOCKS, MOST, PLAIN_BLOCKS, Curve, Frame, Pen, picture, sparkline
from airis_mon.cli.table import aligned, folded, tame
from airis_mon.errors import Permanent
from airis_mon.series.labels import Labels, series_name

TREND = 24
"""Places of the small line in a table."""
NAMED = 20
"""So many of the series that find no room in a picture are named."""
WIDE = 1000
"""Columns where lines are not folded."""


Seconds = Annotated[float, msgspec.Meta(ge=-2_208_988_800, le=10_413_791_999)]
"""Of the years 1900 to 2299, which the store can hold."""
Sample = tuple[Seconds, str]


class Histogram(msgspec.Struct):
    """What is told of a native histogram."""

    count: str
    sum: str


class Row(msgspec.Struct):
    """A series of an answer: with one sample, or with those of a range."""

    metric: dict[str, str]
    value: Sample | None = None
    histogram: tuple[Seconds, Histogram] | None = None
    values: list[Sample] = []

    @property
    def labels(self) -> Labels:
        """Sorted."""
        return tuple(sorted(self.metric.items()))


class Instant(Row):
    """A series of a vector."""

    def __post_init__(self) -> None:
        if self.value is None and self.histogram is None:
            raise ValueError("a series without a value")

    @property
    def t(self) -> float:
        """Epoch seconds."""
        return (self.value or self.histogram or (0.0,))[0]

    @property
    def text(self) -> str:
        """Its value as it came."""
        if self.histogram:
            return f"histogram of {self.histogram[1].count}, sum {self.histogram[1].sum}"
        return self.value[1] if self.value else ""


class Vector(msgspec.Struct, tag_field="resultType", tag="vector"):
    """Series at one moment."""

    result: list[Instant]


class Matrix(msgspec.Struct, tag_field="resultType", tag="matrix"):
    """Series over time."""

    result: list[Row]


class Scalar(msgspec.Struct, tag_field="resultType", tag="scalar"):
    """A number."""

    result: Sample


class Text(msgspec.Struct, tag_field="resultType", tag="string"):
    """A string."""

    result: Sample


Answer = Vector | Matrix | Scalar | Text
"""Prometheus' data object."""


@dataclass(frozen=True, slots=True)
class View:
    """Who looks: the zone that people live by, what the terminal can show, its size (no columns: no terminal)."""

    zone: tzinfo
    pen: Pen
    columns: int | None
    rows: int


def read(data: Json) -> Answer:
    """The answer in Prometheus' JSON, checked. Raises Permanent for what Prometheus would not write."""
    try:
        answer: Answer = msgspec.convert(data, Answer)
    except msgspec.ValidationError as error:
        raise _strange(error) from None
    return answer


def table(answer: Answer, span: Span | None, view: View) -> Iterator[str]:
    """The answer in rows. Raises Permanent for a value that is no number."""
    if isinstance(answer, Matrix):
        yield from _ranges(curves(answer), span, view)
    elif isinstance(answer, Vector):
        rows = [(series_name(row.labels), row.text, _moment(row.t, view.zone)) for row in answer.result]
        yield from _lines([("series", "value", "time"), *rows], frozenset({1}), view) if rows else ()
    else:
        t, value = answer.result
        yield tame(value) if isinstance(answer, Text) else f"{tame(value)}  {_moment(t, view.zone)}"


def plot(answer: Answer, span: Span, view: View) -> Iterator[str]:
    """The answer as a picture with its legend. Raises Permanent for a value that is no number."""
    found = curves(answer) if isinstance(answer, Matrix) else []
    if found:
        yield from _picture(found[:MOST], span, view)
        yield from _left_out(found[MOST:], view)


def curves(answer: Matrix) -> list[Curve]:
    """The series of a matrix with their samples; histograms have none that could be drawn."""
    return [_curve(row) for row in answer.result]


def _curve(row: Row) -> Curve:
    t = np.array([round(t * 1000) for t, _ in row.values], np.int64)
    try:
        return Curve(series_name(row.labels), t, np.array([float(v) for _, v in row.values], np.float64))
    except ValueError as error:
        raise _strange(error) from None


def moment(t: int, zone: tzinfo) -> str:
    """A time (ms) as RFC 3339 on the clocks of a zone."""
    whole = "milliseconds" if t % 1000 else "seconds"
    return datetime.fromtimestamp(t / 1000, zone).isoformat(timespec=whole)


def duration(ms: int) -> str:
    """A duration as PromQL writes it."""
    written = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        n, ms = divmod(ms, size)
        written += f"{n}{unit}" if n else ""
    return written or "0s"


# ---- tables


def _ranges(found: list[Curve], span: Span | None, view: View) -> Iterator[str]:
    if not found:
        return
    span = span or _of(found)
    most = max(len(c.t) for c in found) if span.step is None else (span.end - span.start) // span.step + 1
    places = min(TREND, max(most, 1))
    blocks = BLOCKS if view.pen.has_unicode else PLAIN_BLOCKS
    rows = [(*_figures(c), sparkline(c, span.start, span.end, places, blocks)) for c in found]
    yield from _lines([("series", "min", "max", "last", "trend"), *rows], frozenset({1, 2, 3}), view)


def _figures(curve: Curve) -> tuple[str, str, str, str]:
    real = curve.value[~np.isnan(curve.value)]
    ends = (_short(real.min()), _short(real.max())) if len(real) else ("-", "-")
    return curve.name, *ends, _short(curve.value[-1]) if len(curve.value) else "-"


def _lines(rows: Sequence[Sequence[str]], numbers: frozenset[int], view: View) -> Iterator[str]:
    for lines in aligned(rows, numbers, view.columns):
        yield from lines


def _of(found: list[Curve]) -> Span:
    t = np.concatenate([c.t for c in found])
    return Span(int(t.min()), int(t.max())) if len(t) else Span(0, 0)


# ---- pictures


def _picture(drawn: list[Curve], span: Span, view: View) -> Iterator[str]:
    columns = view.columns or 80
    rows = min(max(view.rows - len(drawn) - 6, 8), 20)
    frame = Frame(span.start, span.end, 1.5 * (span.step or span.end - span.start), columns, rows)
    yield from picture(drawn, frame, view.zone, view.pen)
    yield f"{moment(span.start, view.zone)} to {moment(span.end, view.zone)}, every {duration(span.step or 0)}"
    yield ""
    marks = ["  ", *view.pen.marks(len(drawn))]
    legend = aligned([("series", "min", "max", "last"), *map(_figures, drawn)], frozenset({1, 2, 3}), columns - 3)
    for mark, (first, *more) in zip(marks, legend, strict=True):
        yield f"{mark} {first}"
        yield from (f"   {line}" for line in more)
    if hidden := sum(int((~np.isfinite(c.value)).sum()) for c in drawn):
        yield f"not drawn: {hidden:,} values that are NaN or infinite"


def _left_out(rest: list[Curve], view: View) -> Iterator[str]:
    if not rest:
        return
    names = ", ".join(tame(c.name) for c in rest[:NAMED])
    more = f" and {len(rest) - NAMED:,} more" if len(rest) > NAMED else ""
    yield from folded(f"left out, as {MOST} series fill a picture: {names}{more}", view.columns or WIDE)


def _strange(why: object) -> Permanent:
    return Permanent(f"the answer is not as Prometheus writes it ({why}); is the address right?")


def _moment(seconds: float, zone: tzinfo) -> str:
    return moment(round(seconds * 1000), zone)


def _short(number: float) -> str:
    return f"{number:.6g}".replace("inf", "Inf").replace("nan", "NaN")
