"""Sums and means that lose nothing to rounding, down the columns of an array. Pure.

Two numbers add up to a rounded sum and an error that is itself exact (Knuth, The Art of Computer Programming 2, 4.2.2,
theorem B). Adding halves of a column to each other and the errors apart gives a sum as if computed with twice the
digits (Ogita, Rump & Oishi, Accurate Sum and Dot Product, 2005, doi:10.1137/030601818), as exact as the
Kahan-Neumaier loop of Prometheus, without a loop over samples. Rows in groups of any size are summed in `summation`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Values


def total(cells: Values) -> Values:
    """(k, n) -> (n,) the sum of each column."""
    return mean(cells, np.ones(cells.shape[1], np.intp))


def mean(cells: Values, count: NDArray[np.intp]) -> Values:
    """(k, n) -> (n,) the sum of each column by its count; the cells of no sample are 0.

    Where the partial sums leave a float's range, they are made in units of 2**64.
    """
    high, low = _exact(cells)
    is_finite = np.isfinite(high)
    if is_finite.all():
        return high / count + low / count
    return np.where(is_finite, high / count + low / count, (cells * 2.0**-64).sum(axis=0) / count * 2.0**64)


def _exact(cells: Values) -> tuple[Values, Values]:
    """(the rounded sum, what is missing from it)."""
    low = np.zeros(cells.shape[1])
    while len(cells) > 1:
        half = len(cells) // 2
        high, lost = plus(cells[:half], cells[len(cells) - half :])
        low += lost.sum(axis=0)
        cells = np.concatenate([high, cells[half : len(cells) - half]])
    return cells[0], low


def plus(a: Values, b: Values) -> tuple[Values, Values]:
    """(the rounded sum, what rounding took from it)."""
    high = a + b
    part = high - a
    return high, (a - (high - part)) + (b - part)
