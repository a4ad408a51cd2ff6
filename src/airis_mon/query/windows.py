"""Windows over samples: those of each series in (end - width, end] for each end, side by side in arrays. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from airis_mon.query.values import Flags, Runs
from airis_mon.series.batch import Times, Values

CELLS = 1 << 16
"""So many numbers are laid side by side at once: they stay in the processor's cache."""

Rows = NDArray[np.intp]
Check = Callable[[], None]
Number = TypeVar("Number", np.bool_, np.int64, np.float64)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some windows, one in each column, their samples below each other from the top on.

    index: (k, windows) the samples' places in the columns they are taken from; count: (windows,); step: (windows,)
    the step of each window.
    """

    index: Rows
    count: Rows
    step: Rows

    def of(self, column: NDArray[Number], pad: float = 0.0) -> NDArray[Number]:
        """(k, windows) the samples of a column; `pad` below the last one of a window."""
        return self.padded(column.take(self.index, mode="clip"), pad)

    def padded(self, cells: NDArray[Number], pad: float = 0.0) -> NDArray[Number]:
        """The same array, `pad` written below the last sample of each window."""
        if (self.count < len(cells)).any():
            np.copyto(cells, cells.dtype.type(pad), where=np.arange(len(cells))[:, np.newaxis] >= self.count)
        return cells


@dataclass(frozen=True, slots=True)
class Windows:
    """t: (n,) ms and value: (n,) are the samples of s series, one series after another.

    first: (s, steps) the place of each window's first sample; count: (s, steps) how many it has; ends: (steps,) ms;
    width: ms; check: raises when the query is to end.
    """

    t: Times
    value: Values
    first: Rows
    count: Rows
    ends: Times
    width: int
    check: Check

    @classmethod
    def over(cls, runs: Runs, ends: Times, width: int, check: Check) -> Windows:
        """ends: (steps,) ms, never falling."""
        first = _upto(runs, ends - width)
        return cls(runs.t, runs.value, first, _upto(runs, ends) - first, ends, width, check)

    def at(self, column: NDArray[Number]) -> NDArray[Number]:
        """(s, steps) a column at each window's first sample; some neighbour where it has none."""
        return column.take(self.first, mode="clip")

    def at_last(self, column: NDArray[Number], back: int = 0) -> NDArray[Number]:
        """(s, steps) a column at so many samples before each window's last; some neighbour where it has fewer."""
        return column.take(self.first + (self.count - 1 - back), mode="clip")

    def inner(self, flags: Flags) -> tuple[Rows, Rows]:
        """(first, count) of the flagged samples among all flagged ones, the first sample of each window left out."""
        upto: Rows = np.cumsum(flags)  # (n,) flagged ones up to each sample
        before = self.at(upto)
        return before, np.where(self.count > 0, self.at_last(upto) - before, 0)

    def packed(self, compute: Callable[[Piece], Values], least: int = 1) -> Values:
        """(s, steps) what is computed from each window of at least so many samples; NaN elsewhere."""
        return packed(self.first, self.count, compute, least, self.check)


def packed(first: Rows, count: Rows, compute: Callable[[Piece], Values], least: int, check: Check) -> Values:
    """As `Windows.packed`, of windows anywhere in a column; first, count: (s, steps)."""
    found = np.full(count.size, np.nan)
    for cells, piece in _pieces(first, count, least):
        check()
        found[cells] = compute(piece)
    return found.reshape(count.shape)


def blocks(runs: Runs, steps: int) -> Iterator[tuple[slice, Runs]]:
    """The runs in parts of so few series that an array over (series, step) stays small."""
    size = max(1, CELLS // max(steps, 1))
    for start in range(0, len(runs.labels), size):
        bounds = runs.bounds[start : start + size + 1]
        rows = slice(bounds[0], bounds[-1])
        part = Runs(runs.labels[start : start + size], bounds - bounds[0], runs.t[rows], runs.value[rows])
        yield slice(start, start + size), part


def _upto(runs: Runs, ends: Times) -> Rows:
    """(s, steps) the place after the last sample of each series that is not later than each end."""
    series, steps = len(runs.labels), len(ends)
    owner = np.repeat(np.arange(series), np.diff(runs.bounds))
    cell = owner * (steps + 1) + np.searchsorted(ends, runs.t)  # the first end that includes it
    counts = np.bincount(cell, minlength=series * (steps + 1)).reshape(series, steps + 1)
    return runs.bounds[:-1, np.newaxis] + np.cumsum(counts[:, :-1], axis=1)


def _pieces(first: Rows, count: Rows, least: int) -> Iterator[tuple[Rows, Piece]]:
    """(which windows, the windows): the longest first, windows of like length together, so that little is padded."""
    lengths = count.ravel()
    order = np.argsort(lengths, kind="stable")
    end, start = len(order), int(np.searchsorted(lengths[order], least))
    while end > start:
        longest = int(lengths[order[end - 1]])
        cells = order[max(start, end - max(1, CELLS // longest)) : end]
        index = first.ravel()[cells] + np.arange(longest)[:, np.newaxis]
        yield cells, Piece(index, lengths[cells], cells % count.shape[1])
        end -= len(cells)
