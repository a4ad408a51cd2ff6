"""Where a shape occurs: distances between a query and every window of a series, whatever their level and scale.

The distance is that of z-normalised windows, by MASS (Mueen, Zhong, Zhu, Yeh, Kamgar, Viswanathan, Gupta and Keogh, The
Fastest Similarity Search Algorithm for Time Series Subsequences under Euclidean Distance, 2022): with windows of m
points, correlation = 1 - distance^2 / 2m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Values
from airis_mon.series.kernel import kernel

LEAST_WINDOW = 4
"""Points of a shape; with fewer nearly everything is alike."""
FLAT = 1e-10
"""A window whose deviation is below this share of its size is flat: what varies is the rounding of its values."""

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Match:
    """A window like the query: where it begins, the distance and the correlation of both."""

    index: int
    distance: float
    correlation: float


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """All windows of m points of a series. mean, deviation: (n - m + 1,), NaN where a gap is inside."""

    value: Values
    m: int
    mean: Values
    deviation: Values

    @classmethod
    def of(cls, value: Values, m: int) -> Windows:
        """The windows of a series (n,) float64, NaN = gap; n >= m >= 2."""
        mean, deviation = _moments(np.ascontiguousarray(value), m)
        return cls(value, m, mean, deviation)

    @property
    def is_flat(self) -> Flags:
        """(n - m + 1,) whether nothing varies; False where a gap is inside."""
        flat: Flags = self.deviation == 0
        return flat


def is_flat(query: Values) -> bool:
    """Whether a query has no shape: nothing in it varies."""
    return bool(_moments(np.ascontiguousarray(query), len(query))[1][0] == 0)


def profile(query: Values, windows: Windows) -> Values:
    """The distance of a query (m,), without gaps and not flat, to every window (n - m + 1,). O(n log n).

    NaN where a gap is inside, infinite where the window is flat: there is no correlation with it.
    """
    z = (query - query.mean()) / query.std()
    # About its middle: a level far from 0 would cost the products their digits.
    centred = np.nan_to_num(windows.value - np.nanmedian(windows.value))
    size = 1 << (len(centred) + len(z) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(centred, size) * np.conj(np.fft.rfft(z, size)), size)[: len(windows.mean)]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = product / (windows.m * windows.deviation)
    distance: Values = np.sqrt(2 * windows.m * np.maximum(1 - np.clip(correlation, -1, 1), 0))
    distance[windows.is_flat] = np.inf
    distance[np.isnan(windows.deviation)] = np.nan
    return distance


def matches(
    query: Values, windows: Windows, most: int, *, zone: int | None = None, without: tuple[int, int] | None = None
) -> list[Match]:
    """The windows most like the query, nearest first, which do not overlap by much.

    zone: of two that begin less than so many points apart the nearer one is given; None = half a window. without:
    windows that begin within [first, last] are left out, such as where the query itself is. Each distance given is
    computed anew from its window, so it has all its digits.
    """
    zone = max(1, windows.m // 2) if zone is None else zone
    distance = profile(query, windows)
    left = np.where(np.isfinite(distance), distance, np.inf)
    if without is not None:
        left[max(0, without[0]) : max(0, without[1] + 1)] = np.inf
    found: list[Match] = []
    while len(found) < most and len(left) and np.isfinite(left[at := int(np.argmin(left))]):
        found.append(exact(query, windows.value[at : at + windows.m], at))
        left[max(0, at - zone + 1) : at + zone] = np.inf
    return sorted(found, key=lambda match: match.distance)


def exact(query: Values, window: Values, index: int) -> Match:
    """How far a window lies from the query, from both themselves."""
    apart = (query - query.mean()) / query.std() - (window - window.mean()) / window.std()
    square = float(apart @ apart)
    return Match(index, square**0.5, 1 - square / (2 * len(query)))


@kernel
def _moments(value: Values, m: int) -> tuple[Values, Values]:
    """Mean and deviation of every window, rolled on and begun anew every m windows, so that errors do not gather."""
    count = len(value) - m + 1
    mean, deviation = np.full(count, np.nan), np.full(count, np.nan)
    gap_at, since, centre, square = -1, m, 0.0, 0.0
    for i in range(m - 1):
        if np.isnan(value[i]):
            gap_at = i
    for i in range(count):
        if np.isnan(value[i + m - 1]):
            gap_at = i + m - 1
        if gap_at >= i:
            since = m
            continue
        if since >= m:
            centre, square, since = 0.0, 0.0, 0
            for k in range(i, i + m):
                centre += value[k]
            centre /= m
            for k in range(i, i + m):
                square += (value[k] - centre) ** 2
        else:
            old, new, before = value[i - 1], value[i + m - 1], centre
            centre += (new - old) / m
            square += (new - old) * (new - centre + old - before)
        since += 1
        size = max(abs(value[i]), abs(value[i + m - 1]), abs(centre))
        spread = np.sqrt(max(square, 0.0) / m)
        if spread < 1e-6 * size:  # perhaps only rounding is left of it: look at the values themselves
            square = 0.0
            for k in range(i, i + m):
                square += (value[k] - centre) ** 2
            spread = np.sqrt(square / m)
        mean[i] = centre
        deviation[i] = 0.0 if spread <= FLAT * size else spread
    return mean, deviation
