"""Which series move with one: rank correlations over lags, of which chance is counted out.

Two series that merely share a trend or a day correlate perfectly and mean nothing, so what is correlated is by default
their changes, less what is usual at each place of a season. What is still autocorrelated has fewer independent points
than it has points: the effective number of Pyper and Peterman (Comparison of methods to account for autocorrelation in
correlation analyses of fish data, 1998), after Bartlett (1946). The best of many lags is the best of many (Sidak 1967),
and of many series some would seem to move along (Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Values

BASES = ("changes", "deseasoned", "values")
"""What is correlated: changes from point to point less the season, values less the season, or values as they are."""
CONTROLS = ("bh", "by")
"""By Benjamini and Hochberg, or by Benjamini and Yekutieli: under any dependence between series, and more careful."""
LEAST_PAIRS = 12
"""Points that both series have: with fewer a lag is not looked at."""
LEAST_EFFECTIVE = 5.0
"""Fewer independent points than this say nothing."""
BLOCK = 64
"""Series worked on at once: 100 MB for 10,000 points."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Correlations:
    """Each of (s,) series against the target, at its best lag.

    r: Spearman's, -1..1. lag: in points; > 0: the series moves first. zero: r without a lag. pairs: points that both
    have at that lag; effective: independent ones among them. p: two-sided, of the best of all lags. q: the share of
    false ones among those found up to this one. All NaN (lag 0) for a series that could not be correlated: `why` says.
    """

    r: Values
    lag: Indices
    zero: Values
    pairs: Indices
    effective: Values
    p: Values
    q: Values
    why: tuple[str, ...]


def correlate(
    target: Values,
    others: Values,
    *,
    most_lag: int = 0,
    basis: str = "changes",
    seasons: Sequence[int] = (),
    control: str = "bh",
    check: Callable[[], None] = lambda: None,
) -> Correlations:
    """Others (s, n) against the target (n,) at lags of -most_lag..most_lag points; NaN = gap.

    seasons: periods in points, of which at least two are held, taken out of every series. check: called between
    blocks of series, raises to end it. Ranks are over each series as a whole, not anew at every lag.
    """
    mine = _Ranked.of(target[None, :], basis, seasons)
    free = _free(mine.length, basis, seasons)
    blocks = []
    for first in range(0, max(len(others), 1), BLOCK):
        check()
        block = _Ranked.of(others[first : first + BLOCK], basis, seasons)
        blocks.append(_best(mine, block, most_lag, free))
    r, lag, zero, pairs, effective, p = (np.concatenate(column) for column in zip(*blocks, strict=True))
    why = tuple(_why(*row) for row in zip(others, p, strict=True))
    return Correlations(r, lag, zero, pairs, effective, p, adjusted(p, control), why)


def adjusted(p: Values, control: str = "bh") -> Values:
    """The q value of each p value: the smallest share of false ones among those found at which it is found too.

    NaN = not tested, and not counted. control: one of `CONTROLS`.
    """
    q = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    m = len(tested)
    if not m:
        return q
    order = tested[np.argsort(p[tested], kind="stable")]
    times = m * (float(np.sum(1 / np.arange(1, m + 1))) if control == "by" else 1.0)
    raised = p[order] * times / np.arange(1, m + 1)
    q[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return q


def two_sided(z: float) -> float:
    """The chance of a normal deviate at least so far from zero."""
    return math.erfc(abs(z) / math.sqrt(2))


def ranked(value: Values) -> Values:
    """Average ranks of a row from 1, NaN where it is."""
    rank = np.full(len(value), np.nan)
    known = np.flatnonzero(~np.isnan(value))
    order = known[np.argsort(value[known], kind="stable")]
    if not len(order):
        return rank
    run = np.concatenate([[True], value[order][1:] != value[order][:-1]])
    first = np.flatnonzero(run)
    mean = (first + np.append(first[1:], len(order)) - 1) / 2 + 1
    rank[order] = mean[np.cumsum(run) - 1]
    return rank


def autocorrelations(z: Values, most: int) -> Values:
    """(s, most) autocorrelations at lags 1..most of rows with mean 0, in which a gap is 0."""
    n = z.shape[1]
    size = _size(n + most)
    both = np.fft.irfft(np.abs(np.fft.rfft(z, size)) ** 2, size)[:, : most + 1]
    variance = both[:, :1]
    found: Values = np.divide(both[:, 1:], variance, out=np.zeros((len(z), most)), where=variance > 0)
    return found


def independent(first: Values, second: Values, n: int) -> Values:
    """The share of n points that count, given autocorrelations (s, lags) of both series; 1 at most."""
    weight = 1 - np.arange(1, first.shape[1] + 1) / n
    shared: Values = 1 + 2 * (weight * first * second).sum(axis=1)
    share: Values = 1 / np.maximum(shared, 1.0)
    return share


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Ranks of rows on what is correlated, less their mean, in units of their deviation; a gap is 0 in both."""

    z: Values
    has: Values

    @property
    def length(self) -> int:
        return int(self.z.shape[1])

    @classmethod
    def of(cls, value: Values, basis: str, seasons: Sequence[int]) -> _Ranked:
        rows = np.diff(value, axis=1, prepend=np.nan) if basis == "changes" else value
        for period in sorted(seasons) if basis != "values" else ():
            rows = unseasoned(rows, period)
        rank = np.array([ranked(row) for row in rows]).reshape(rows.shape)
        has = ~np.isnan(rank)
        count = np.maximum(has.sum(axis=1, keepdims=True), 1)
        centred = np.where(has, rank - np.where(has, rank, 0).sum(axis=1, keepdims=True) / count, 0.0)
        spread = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
        z = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
        return cls(z, has.astype(np.float64))


def unseasoned(rows: Values, period: int) -> Values:
    """Rows (s, n) less the median of each place of a season; as they are when fewer than two seasons are held."""
    series, n = rows.shape
    if n < 2 * period:
        return rows
    padded = np.full((series, -(-n // period) * period), np.nan)
    padded[:, :n] = rows
    folded = padded.reshape(series, -1, period)
    ordered = np.sort(folded, axis=1)  # NaN last; nanmedian is 20 times as slow
    count = (~np.isnan(ordered)).sum(axis=1)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[:, None], axis=1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, ordered.shape[1] - 1)[:, None], axis=1)
    usual = np.where((count > 0)[:, None], (low + high) / 2, 0.0)
    left: Values = (folded - usual).reshape(series, -1)[:, :n]
    return left


def _free(n: int, basis: str, seasons: Sequence[int]) -> float:
    """The share of points that is left after the medians of the seasons took theirs."""
    taken = sum(p for p in seasons if n >= 2 * p) if basis != "values" else 0
    return max(1 - taken / n, 0.1) if n else 1.0


def _best(target: _Ranked, block: _Ranked, most_lag: int, free: float) -> tuple[NDArray[np.generic], ...]:
    n = target.length
    most_lag = min(most_lag, max(n - LEAST_PAIRS, 0))
    lags = np.arange(-most_lag, most_lag + 1)
    r, pairs = _over_lags(target, block, lags)
    memory = min(max(n // 5, 1), max(n - 2, 1))
    share = free * independent(autocorrelations(target.z, memory), autocorrelations(block.z, memory), max(n, 1))
    effective = pairs * share[:, None]
    known = np.isfinite(r) & (pairs >= LEAST_PAIRS) & (effective >= LEAST_EFFECTIVE)
    z = np.arctanh(np.clip(np.where(known, r, 0), -1 + 1e-12, 1 - 1e-12)) * np.sqrt(np.maximum(effective - 3, 0))
    order = np.argsort(np.abs(lags), kind="stable")  # of equal ones the nearest
    best = order[np.argmax(np.where(known, np.abs(z), -1.0)[:, order], axis=1)]
    row = np.arange(len(r))
    tested = known.sum(axis=1)
    p = np.array([_of_best(two_sided(z[i, k]), tested[i]) for i, k in zip(row, best, strict=True)])
    at = known[row, best]
    p[~at] = np.nan
    chosen = np.where(at, r[row, best], np.nan)
    zero = np.where(known[:, most_lag], r[:, most_lag], np.nan)
    lag = np.where(at, lags[best], 0)
    return chosen, lag, zero, pairs[row, best], np.where(at, effective[row, best], np.nan), p


def _of_best(p: float, tested: int) -> float:
    """The chance that the best of so many is at least as good."""
    return -math.expm1(tested * math.log1p(-p)) if p < 1 else 1.0


def _over_lags(target: _Ranked, block: _Ranked, lags: Indices) -> tuple[Values, Indices]:
    """Pearson's r of the ranks that both have, and how many they are: (s, lags)."""
    size = _size(2 * target.length)
    mine = [np.conj(np.fft.rfft(x, size)) for x in (target.z, target.has, target.z**2)]
    theirs = [np.fft.rfft(x, size) for x in (block.z, block.has, block.z**2)]

    def over(a: int, b: int) -> Values:
        # The point of `block` at t - lag beside that of `target` at t.
        summed: Values = np.fft.irfft(mine[a] * theirs[b], size)[:, -lags]
        return summed

    n = np.rint(over(1, 1))
    count = np.maximum(n, 1)
    y, x = over(0, 1), over(1, 0)
    covariance = over(0, 0) - x * y / count
    spread = np.maximum(over(1, 2) - x * x / count, 0) * np.maximum(over(2, 1) - y * y / count, 0)
    r = np.divide(covariance, np.sqrt(spread), out=np.full_like(covariance, np.nan), where=spread > 1e-9)
    return np.clip(r, -1, 1), n.astype(np.int64)


def _size(n: int) -> int:
    return 1 << max(n - 1, 1).bit_length()


def _why(value: Values, p: float) -> str:
    if math.isfinite(p):
        return ""
    known = value[~np.isnan(value)]
    if len(known) and (known == known[0]).all():
        return "constant"
    return "few"
