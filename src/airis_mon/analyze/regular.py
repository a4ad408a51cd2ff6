"""Irregular samples of series on regular grids, so that their points can be held against each other; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.errors import TooLarge
from airis_mon.series.batch import Times, Values

MOST_CELLS = 20_000_000
"""Cells of all series of one grid: 160 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Series on common steps. value: (series, time) float64, NaN = gap; start_ms, step_ms: None without times."""

    value: Values
    start_ms: int | None = None
    step_ms: int | None = None

    @property
    def length(self) -> int:
        """Points of each series."""
        return int(self.value.shape[1])

    def time(self, index: int) -> int | None:
        """When a point is, ms; None without times."""
        if self.start_ms is None or self.step_ms is None:
            return None
        return self.start_ms + index * self.step_ms


def usual_step(t: Times) -> int | None:
    """The mean distance between samples that follow each other, ms, gaps left out; None for fewer than two samples."""
    if len(t) < 2:
        return None
    apart = np.diff(t)
    steps = float(np.rint(apart / np.median(apart)).sum())  # a median alone drifts off a grid of thousands of points
    return max(1, round(int(t[-1] - t[0]) / max(steps, 1)))


def gridded(series: Sequence[tuple[Times, Values]], step_ms: int | None = None) -> Grid:
    """Series (times in ms, values) on one grid, from the first sample of all to the last one.

    step_ms: of the grid; None = the usual step of the series that is sampled most rarely. Several samples of one cell
    count by their mean, a cell without one is NaN. Raises TooLarge beyond `MOST_CELLS`.
    """
    filled = [t for t, _ in series if len(t)]
    if not filled:
        return Grid(np.empty((len(series), 0)))
    start, end = min(int(t[0]) for t in filled), max(int(t[-1]) for t in filled)
    step = step_ms or max((usual_step(t) or 1 for t in filled), default=1)
    count = (end - start + step // 2) // step + 1
    if count * len(series) > MOST_CELLS:
        raise TooLarge(
            f"{len(series):,} series on steps of {step / 1000:g} s from the first to the last sample make "
            f"{count * len(series):,} cells, at most {MOST_CELLS:,} are held; ask for a shorter time or fewer series"
        )
    value = np.full((len(series), count), np.nan)
    for row, (t, samples) in zip(value, series, strict=True):
        _fill(row, (t - start + step // 2) // step, samples)
    return Grid(value, start, step)


def drawn_through(value: Values, longest: int | None = None) -> Values:
    """Gaps of at most `longest` points (None = of any length) filled by straight lines between their neighbours.

    value: (n,). Gaps at the ends take the nearest value; a row without any value stays as it is.
    """
    missing = np.isnan(value)
    if not missing.any() or missing.all():
        return value
    known = np.flatnonzero(~missing)
    filled = np.interp(np.arange(len(value)), known, value[known])
    if longest is not None:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(np.int8), [0]])))
        for first, end in edges.reshape(-1, 2):
            if end - first > longest:
                filled[first:end] = np.nan
    return filled


def _fill(row: Values, cell: Times, value: Values) -> None:
    real = ~np.isnan(value)
    cell, value = cell[real], value[real]
    if len(cell) and (np.diff(cell) > 0).all():  # one sample a cell: no means
        row[cell] = value
        return
    count = np.bincount(cell, minlength=len(row))
    with np.errstate(invalid="ignore"):
        row[:] = np.bincount(cell, value, minlength=len(row)) / count
