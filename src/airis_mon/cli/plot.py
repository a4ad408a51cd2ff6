"""Series -> a picture of characters: a line of blocks, or curves on axes with times of a zone.

A gap stays a gap. What is no number or infinite is not drawn; a caller that wants it known must say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from airis_mon.cli.axes import FARTHEST, numbers, time_ticks, value_ticks
from airis_mon.series.batch import Times, Values

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = "_.-~=+*#"
COLOURS = (33, 208, 35, 170, 160, 37, 178, 245)
"""Of the 256 of terminals, told apart on dark and on light ground."""
LETTERS = "*xo#@%&="
MOST = len(COLOURS)
"""So many curves can be told apart in one picture."""
# The dot (row, column) of a braille character as a bit of its code from U+2800 on (The Unicode Standard).
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)


@dataclass(frozen=True, slots=True)
class Curve:
    """What is drawn of a series. t: (n,) ms, rising; value: (n,), NaN and infinities are not drawn."""

    name: str
    t: Times
    value: Values


@dataclass(frozen=True, slots=True)
class Pen:
    """What a terminal can show."""

    has_colours: bool
    has_unicode: bool

    def marks(self, count: int) -> list[str]:
        """How each of so many curves is told in a legend."""
        if self.has_colours:
            return [_coloured("━━" if self.has_unicode else "--", k) for k in range(count)]
        return ["━━"] if count == 1 and self.has_unicode else [f"{LETTERS[k]} " for k in range(count)]


@dataclass(frozen=True, slots=True)
class Frame:
    """The time that a picture shows (ms) and its size; points farther apart than `gap` ms are not joined."""

    start: int
    end: int
    gap: float
    columns: int
    rows: int


def sparkline(curve: Curve, start: int, end: int, columns: int, blocks: str = BLOCKS) -> str:
    """A curve in one line; each place shows its value farthest from the middle."""
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    shown = _shown(curve, start, end)
    place = np.rint((curve.t[shown] - start) / max(end - start, 1) * (columns - 1)).astype(np.intp)
    np.minimum.at(low, place, curve.value[shown])
    np.maximum.at(high, place, curve.value[shown])
    return in_blocks(farthest(low, high), blocks).rstrip()


def farthest(low: Values, high: Values) -> Values:
    """Of the lowest and the highest value of each place the one farther from the middle; NaN where there is none."""
    there = np.isfinite(low) & np.isfinite(high)
    if not there.any():
        return np.full(len(low), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        middle = np.median(low[there]) / 2 + np.median(high[there]) / 2
        return np.where(there, np.where(high - middle >= middle - low, high, low), np.nan)


def in_blocks(values: Values, blocks: str = BLOCKS) -> str:
    """One character a value, the lowest and the highest at the two ends of `blocks`; blank where there is no number."""
    finite = np.isfinite(values)
    if not finite.any():
        return " " * len(values)
    values = np.clip(values, -FARTHEST, FARTHEST)
    low, high = values[finite].min(), values[finite].max()
    share = (values - low) / (high - low) if high > low else np.where(finite, 0.0, np.nan)
    return "".join(blocks[int(s * (len(blocks) - 1) + 0.5)] if ok else " " for s, ok in zip(share, finite, strict=True))


def picture(curves: Sequence[Curve], frame: Frame, zone: tzinfo, pen: Pen) -> list[str]:
    """The lines of a picture of up to `MOST` curves: the first is drawn on top."""
    ticks, step = value_ticks(np.concatenate([c.value[np.isfinite(c.value)] for c in curves]), frame.rows / 3)
    labels = numbers(ticks, step)
    margin = max(map(len, labels))
    columns = max(frame.columns - margin - 2, 10)
    bits = np.zeros((frame.rows, columns), np.uint8)
    owner = np.full((frame.rows, columns), -1, np.int8)
    for k, curve in reversed(list(enumerate(curves))):
        y, x = _dots(curve, frame, columns, ticks[0], ticks[-1])
        np.bitwise_or.at(bits, (y // 4, x // 2), _DOTS[y % 4, x % 2])
        owner[y // 4, x // 2] = k
    side = dict(zip(_rows_of(ticks, frame.rows), labels, strict=True))
    joint, wall = ("┤", "│") if pen.has_unicode else ("+", "|")
    lines = [f"{side.get(row, ''):>{margin}} {joint if row in side else wall}" for row in range(frame.rows)]
    lines = [line + _line(b, o, len(curves), pen) for line, b, o in zip(lines, bits, owner, strict=True)]
    return [*lines, *(" " * (margin + 1) + line for line in _time_axis(frame, columns, zone, pen))]


def _shown(curve: Curve, start: int, end: int) -> NDArray[np.bool_]:
    return np.isfinite(curve.value) & (curve.t >= start) & (curve.t <= end)


def _dots(
    curve: Curve, frame: Frame, columns: int, low: float, high: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(rows, columns) of the dots of a curve, each point joined with the next one unless a gap lies between."""
    shown = _shown(curve, frame.start, frame.end)
    span = max(frame.end - frame.start, 1)
    x = (curve.t[shown] - frame.start) / span * (2 * columns - 1)
    y = (high - np.clip(curve.value[shown], low, high)) / (high - low) * (4 * frame.rows - 1)
    x, y = np.rint(x), np.rint(y)
    # Where the next sample is drawn too and near enough, the way to it is.
    joined = np.diff(np.flatnonzero(shown)) == 1
    joined &= np.diff(curve.t[shown]) <= frame.gap
    way = np.zeros(len(x), np.intp)
    way[:-1] = np.where(joined, np.maximum(np.abs(np.diff(x)), np.abs(np.diff(y))), 0)
    at = np.repeat(np.arange(len(x)), way + 1)
    share = (np.arange(len(at)) - np.repeat(np.cumsum(way + 1) - way - 1, way + 1)) / np.maximum(way, 1)[at]
    then = np.minimum(at + 1, len(x) - 1)
    return (
        np.rint(y[at] + share * (y[then] - y[at])).astype(np.intp),
        np.rint(x[at] + share * (x[then] - x[at])).astype(np.intp),
    )


def _line(bits: NDArray[np.uint8], owner: NDArray[np.int8], count: int, pen: Pen) -> str:
    """A row of characters: dots, or a letter of its own for each curve where dots could not be told apart."""
    has_dots = pen.has_unicode and (pen.has_colours or count == 1)
    cells = [
        " " if k < 0 else chr(0x2800 + b) if has_dots else LETTERS[k]
        for b, k in zip(bits.tolist(), owner.tolist(), strict=True)
    ]
    if not pen.has_colours:
        return "".join(cells).rstrip()
    edges = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(cells)]
    runs = [("".join(cells[a:b]), int(owner[a])) for a, b in pairwise(edges)]
    return "".join(_coloured(run, k) if k >= 0 else run for run, k in runs).rstrip()


def _coloured(text: str, k: int) -> str:
    return f"\x1b[38;5;{COLOURS[k]}m{text}\x1b[0m"


def _rows_of(ticks: Values, rows: int) -> list[int]:
    y = (ticks[-1] - ticks) / (ticks[-1] - ticks[0]) * (4 * rows - 1)
    return [int(row) for row in np.rint(y).astype(np.intp) // 4]


def _time_axis(frame: Frame, columns: int, zone: tzinfo, pen: Pen) -> list[str]:
    """The line below the curves and the times under it."""
    corner, dash, joint = ("└", "─", "┬") if pen.has_unicode else ("+", "-", "+")
    line, labels = [dash] * columns, [" "] * columns
    free = 0
    for t, label in time_ticks(frame.start, frame.end, columns, zone):
        at = round((t - frame.start) / max(frame.end - frame.start, 1) * (columns - 1))
        line[at] = joint
        begin = min(max(at - len(label) // 2, 0), columns - len(label))
        if begin >= free:
            labels[begin : begin + len(label)] = label
            free = begin + len(label) + 2
    return [corner + "".join(line), " " + "".join(labels).rstrip()]
