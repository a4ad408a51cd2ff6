"""The matrix profile: for every window of a series the distance to the window most like it elsewhere.

By diagonals, as in STOMP (Zhu, Zimmerman, Senobari, Yeh, Funning, Mueen, Brisk and Keogh, Matrix Profile II, 2016) with
the update of SCAMP (Zimmerman et al., Matrix Profile XIV, 2019). Small: a shape that comes again (a motif); large: one
that occurs once (a discord).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from airis_mon.analyze.similar import Flags, Indices, Windows
from airis_mon.series.batch import Values
from airis_mon.series.kernel import kernel

MOST_POINTS = 20_000
"""Every window is held against every other one: so many points take half a second, twice as many four times as long."""
DIAGONALS = 2_000
"""Worked on between two looks at whether somebody still waits."""


@dataclass(frozen=True, slots=True, eq=False)
class MatrixProfile:
    """Per window (n - m + 1,) its distance to the nearest other one, and where that begins.

    distance: NaN where a window has a gap or nothing to be held against, infinite for a flat one. nearest: -1 for none.
    """

    distance: Values
    nearest: Indices


@dataclass(frozen=True, slots=True)
class Pair:
    """A window, the one nearest to it, how far both lie apart and how they correlate."""

    index: int
    nearest: int
    distance: float
    correlation: float


def matrix_profile(
    windows: Windows, zone: int | None = None, check: Callable[[], None] = lambda: None
) -> MatrixProfile:
    """The matrix profile of a series. O(n^2).

    zone: windows that begin at most so many points apart are not held against each other; None = a quarter of a
    window, rounded up. check: called now and then, raises to end it.
    """
    count = len(windows.mean)
    zone = -(-windows.m // 4) if zone is None else zone
    value = np.nan_to_num(windows.value - np.nanmedian(windows.value))
    usable: Flags = np.isfinite(windows.deviation) & ~windows.is_flat
    best, nearest = np.full(count, -2.0), np.full(count, -1, np.int64)
    safe = np.where(usable, windows.deviation, 1.0)
    mean = _means(value, windows.m)
    for first in range(zone + 1, count, DIAGONALS):
        check()
        _diagonals(value, windows.m, mean, safe, usable, first, min(first + DIAGONALS, count), best, nearest)
    distance = np.sqrt(2 * windows.m * np.maximum(1 - np.clip(best, -1, 1), 0))
    distance[nearest < 0] = np.nan
    distance[windows.is_flat] = np.inf
    return MatrixProfile(distance, nearest)


def motifs(profile: MatrixProfile, m: int, most: int) -> list[Pair]:
    """The pairs of windows most alike, nearest first; none overlaps an earlier one's by half a window or more."""
    return _extremes(profile, m, most, has_partner=True)


def discords(profile: MatrixProfile, m: int, most: int) -> list[Pair]:
    """The windows least like any other one, farthest first; they overlap by less than half a window."""
    return _extremes(profile, m, most, has_partner=False)


def _extremes(profile: MatrixProfile, m: int, most: int, *, has_partner: bool) -> list[Pair]:
    left = np.where(np.isfinite(profile.distance), profile.distance, np.inf)
    if not has_partner:
        left = np.where(np.isinf(left), np.inf, -left)
    found: list[Pair] = []
    zone = max(1, m // 2)
    while len(found) < most and len(left) and np.isfinite(left[at := int(np.argmin(left))]):
        distance, other = float(profile.distance[at]), int(profile.nearest[at])
        places = (at, other) if has_partner else (at,)
        first, second = sorted((at, other)) if has_partner else (at, other)
        found.append(Pair(first, second, distance, 1 - distance**2 / (2 * m)))
        for place in places:
            left[max(0, place - zone + 1) : place + zone] = np.inf
    return found


def _means(value: Values, m: int) -> Values:
    summed = np.concatenate([[0.0], np.cumsum(value)])
    means: Values = (summed[m:] - summed[:-m]) / m
    return means


@kernel
def _diagonals(
    value: Values,
    m: int,
    mean: Values,
    deviation: Values,
    usable: Flags,
    first: int,
    end: int,
    best: Values,
    nearest: Indices,
) -> None:
    """Holds each window i against i + k for the diagonals k in [first, end). best: correlations."""
    count = len(mean)
    for k in range(first, end):
        covariance = 0.0
        for i in range(count - k):
            j = i + k
            if i % m == 0:  # begun anew, so that errors of rounding do not gather
                covariance = 0.0
                for x in range(m):
                    covariance += (value[i + x] - mean[i]) * (value[j + x] - mean[j])
            else:
                # Leaving and entering points, as their distances from the means before and after (Welford).
                covariance += (value[i + m - 1] - mean[i]) * (value[j + m - 1] - mean[j - 1]) - (
                    value[i - 1] - mean[i]
                ) * (value[j - 1] - mean[j - 1])
            if usable[i] and usable[j]:
                r = covariance / (m * deviation[i] * deviation[j])
                if r > best[i]:
                    best[i], nearest[i] = r, j
                if r > best[j]:
                    best[j], nearest[j] = r, i
