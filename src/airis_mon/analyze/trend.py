"""Where a series is heading: least squares, Theil-Sen's median slope, and Mann-Kendall's test."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from airis_mon.analyze.base import Trend
from airis_mon.series.batch import Values
from airis_mon.series.kernel import exact_kernel

EXACT = 1_000
"""To so many values Theil-Sen takes every pair."""
PAIRS = 100_000
"""So many pairs are drawn beyond."""
SURE = 0.05


def trend(value: Values) -> Trend:
    """The direction of the values (n,), n >= 2, one per step. O(n^2) to `EXACT` values, O(n log n) beyond."""
    slope, intercept, r2 = _line(value)
    n = len(value)
    i, j = np.triu_indices(n, 1) if n <= EXACT else _drawn(n)
    slopes = (value[j] - value[i]) / (j - i)
    s, tau, p = kendall(value)
    sure = p is not None and p < SURE
    return Trend(
        trend="stable" if not sure else "increasing" if s > 0 else "decreasing",
        slope=slope,
        intercept=intercept,
        r2=None if math.isnan(r2) else r2,
        theil_sen=float(np.median(slopes)),
        pairs=len(slopes),
        is_sampled=n > EXACT,
        tau=tau,
        p=p,
        confidence=None if p is None else 1 - p,
    )


def _drawn(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, n, PAIRS), rng.integers(0, n - 1, PAIRS)
    j = np.where(j >= i, j + 1, j)
    return np.minimum(i, j), np.maximum(i, j)


def kendall(value: Values) -> tuple[int, float | None, float | None]:
    """(S, tau-b, p)."""
    n = len(value)
    s = 0
    for k in range(1, n):
        s += int(np.sign(value[k:] - value[:-k]).sum())
    _, ties = np.unique(value, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if variance <= 0:
        return s, None, None
    pairs = n * (n - 1) / 2
    tau = s / math.sqrt(pairs * (pairs - float((ties * (ties - 1)).sum()) / 2))
    z = max(abs(s) - 1, 0) / math.sqrt(variance)
    return s, tau, math.erfc(z / math.sqrt(2))


@exact_kernel
def _line(value: Values) -> tuple[float, float, float]:
    """(slope per step, value at step 0, r2)."""
    n = len(value)
    mean = value[0]
    for _ in range(2):
        lost = 0.0
        for x in value:
            lost += x - mean
        mean += lost / n
    xy = yy = 0.0
    for i in range(n):
        d = value[i] - mean
        xy += (i - (n - 1) / 2) * d
        yy += d * d
    xx = n * (n * n - 1.0) / 12
    slope = xy / xx
    return slope, mean - slope * (n - 1) / 2, xy * xy / (xx * yy) if yy > 0 else np.nan
