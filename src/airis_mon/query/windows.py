"""Windows over samples: those of each series in (end - width, end] for each end, side by side in arrays. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from airis_mon.query.values import Flags, Runs
from airis_mon.series.batch import Times, Values
from airis_mon.series.slopes import Spans

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
    """Windows of s series; count: (s, steps) how many samples each has; check: raises when the query is to end."""

    spans: Spans
    count: Rows
    check: Check

    @classmethod
    def over(cls, runs: Runs, ends: Times, width: int, check: Check) -> Windows:
        """ends: (steps,) ms, never falling; width: ms."""
        spans = Spans.over(runs.t, runs.value, runs.bounds, ends, width)
        return cls(spans, spans.high - spans.low, check)

    @property
    def t(self) -> Times:
        """(n,) ms: of the samples, one series after another."""
        return self.spans.t

    @property
    def value(self) -> Values:
        """(n,) the samples."""
        return self.spans.value

    def at(self, column: NDArray[Number]) -> NDArray[Number]:
        """(s, steps) a column at each window's first sample; some neighbour where it has none."""
        return column.take(self.spans.low, mode="clip")

    def at_last(self, column: NDArray[Number], back: int = 0) -> NDArray[Number]:
        """(s, steps) a column at so many samples before each window's last; some neighbour where it has fewer."""
        return column.take(self.spans.high - (1 + back), mode="clip")

    def inner(self, flags: Flags) -> Values:
        """(s, steps) how many samples of each window are flagged, its first one left out."""
        upto: Rows = np.cumsum(flags)  # (n,) flagged ones up to each sample
        return np.where(self.count > 0, self.at_last(upto) - self.at(upto), 0).astype(np.float64)

    def packed(self, compute: Callable[[Piece], Values]) -> Values:
        """(s, steps) what is computed from each window that has samples; NaN elsewhere."""
        found = np.full(self.count.size, np.nan)
        for cells, piece in _pieces(self.spans.low, self.count):
            self.check()
            found[cells] = compute(piece)
        return found.reshape(self.count.shape)


def blocks(runs: Runs, steps: int) -> Iterator[tuple[slice, Runs]]:
    """The runs in parts of so few series that an array over (series, step) stays small."""
    size = max(1, CELLS // max(steps, 1))
    for start in range(0, len(runs.labels), size):
        bounds = runs.bounds[start : start + size + 1]
        rows = slice(bounds[0], bounds[-1])
        part = Runs(runs.labels[start : start + size], bounds - bounds[0], runs.t[rows], runs.value[rows])
        yield slice(start, start + size), part


def _pieces(first: Rows, count: Rows) -> Iterator[tuple[Rows, Piece]]:
    """(which windows, the windows): the longest first, windows of like length together, so that little is padded."""
    lengths = count.ravel()
    order = np.argsort(lengths, kind="stable")
    end, start = len(order), int(np.searchsorted(lengths[order], 1))
    while end > start:
        longest = int(lengths[order[end - 1]])
        cells = order[max(start, end - max(1, CELLS // longest)) : end]
        index = first.ravel()[cells] + np.arange(longest)[:, np.newaxis]
        yield cells, Piece(index, lengths[cells], cells % count.shape[1])
        end -= len(cells)
