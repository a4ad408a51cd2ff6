"""Where a series is heading: least squares, Theil-Sen's median slope and Mann-Kendall's test."""

from __future__ import annotations

import math

import numpy as np

from airis_mon.analyze.base import Trend
from airis_mon.analyze.statistics import median
from airis_mon.series.batch import Values
from airis_mon.series.kernel import exact_kernel, kernel

EXACT = 1_000
"""To so many values Theil-Sen takes every pair: 499,500."""
PAIRS = 100_000
"""So many pairs are drawn beyond; the median's rank then errs by 0.16 % (one standard error)."""
SURE = 0.05
"""Mann-Kendall's p below which there is a trend."""
_FEW = 300  # values below which comparing every pair, many at once, is faster than merging


def trend(value: Values, ordered: Values | None = None, seed: int = 0) -> Trend:
    """The direction of the values (n,), n >= 2, finite, one per step; ordered: the same ascending, if at hand.

    Theil 1950, Sen 1968 (doi:10.1080/01621459.1968.10480934); Mann 1945, Kendall 1975 with ties and continuity
    corrected. p supposes independent values: where neighbours are alike, it is too small. O(n^2) to `EXACT` values,
    O(n log n) beyond, where seed draws the pairs.
    """
    n = len(value)
    slope, intercept, r2 = _line(value)
    slopes = _every_slope(value) if n <= EXACT else _drawn_slopes(value, PAIRS, np.uint64(seed))
    s, tau, p = kendall(value, np.sort(value) if ordered is None else ordered)
    is_sure = p is not None and p < SURE
    return Trend(
        trend="stable" if not is_sure else "increasing" if s > 0 else "decreasing",
        slope=slope,
        intercept=intercept,
        r2=None if math.isnan(r2) else r2,
        theil_sen=median(slopes),
        pairs=len(slopes),
        is_sampled=n > EXACT,
        tau=tau,
        p=p,
        confidence=None if p is None else 1 - p,
    )


def kendall(value: Values, ordered: Values) -> tuple[int, float | None, float | None]:
    """Mann-Kendall of the values (n,) against their order: (S, tau-b, two-sided p); None where all are equal.

    p is normal, which is rough below ten values. O(n log n), by the inversions that a merge sort meets (Knight 1966).
    """
    n = len(value)
    s, tied, variance = _concordance(value, ordered)
    if variance <= 0:
        return s, None, None
    pairs = n * (n - 1) / 2
    z = max(abs(s) - 1, 0) / math.sqrt(variance)
    return s, s / math.sqrt(pairs * (pairs - tied)), math.erfc(z / math.sqrt(2))


@exact_kernel
def _line(value: Values) -> tuple[float, float, float]:
    """Least squares: (slope per step, value at step 0, r2)."""
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
    return slope, mean - slope * (n - 1) / 2, min(1.0, xy * slope / yy) if yy > 0 else np.nan


@kernel
def _every_slope(value: Values) -> Values:
    n = len(value)
    found = np.empty(n * (n - 1) // 2)
    k = 0
    for step in range(1, n):  # all pairs of one distance together: one division for all, and nothing to gather
        for i in range(n - step):
            found[k + i] = (value[i + step] - value[i]) / step
        k += n - step
    return found


@kernel
def _drawn_slopes(value: Values, pairs: int, seed: np.uint64) -> Values:
    """Of pairs drawn with replacement, each as likely as any other."""
    n = np.uint64(len(value))
    found = np.empty(pairs)
    state = seed
    for k in range(pairs):
        # splitmix64; its two halves are the two places, the second one among the others
        state += np.uint64(0x9E3779B97F4A7C15)
        z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        i = np.int64(((z & np.uint64(0xFFFFFFFF)) * n) >> np.uint64(32))
        j = np.int64(((z >> np.uint64(32)) * (n - np.uint64(1))) >> np.uint64(32))
        j += j >= i
        found[k] = (value[j] - value[i]) / (j - i)
    return found


@exact_kernel
def _concordance(value: Values, ordered: Values) -> tuple[int, float, float]:
    """(S = rising less falling pairs, tied pairs, variance of S)."""
    n = len(value)
    tied = 0
    variance = n * (n - 1.0) * (2 * n + 5)
    first = 0
    for i in range(1, n + 1):
        if i == n or ordered[i] != ordered[first]:
            t = i - first
            tied += t * (t - 1) // 2
            variance -= t * (t - 1.0) * (2 * t + 5)
            first = i
    falling = _inversions(value)
    return n * (n - 1) // 2 - tied - 2 * falling, float(tied), variance / 18


@exact_kernel
def _inversions(value: Values) -> int:
    """Pairs in which the later value is less: counted while runs are merged from below."""
    n = len(value)
    found = 0
    if n < _FEW:
        for step in range(1, n):
            for i in range(n - step):
                found += value[i + step] < value[i]
        return found
    run, merged = value.copy(), np.empty(n)
    width = 1
    while width < n:
        for low in range(0, n, 2 * width):
            half, high = min(low + width, n), min(low + 2 * width, n)
            i, j = low, half
            for k in range(low, high):
                if j >= high or (i < half and run[i] <= run[j]):
                    merged[k] = run[i]
                    i += 1
                else:
                    merged[k] = run[j]
                    found += half - i
                    j += 1
        run, merged = merged, run
        width *= 2
    return found
