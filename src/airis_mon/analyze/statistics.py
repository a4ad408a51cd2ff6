"""The figures that describe a set of values, each right to the last digit shown."""

from __future__ import annotations

import math

import numpy as np

from airis_mon.analyze.base import Statistics
from airis_mon.series.batch import Values
from airis_mon.series.kernel import exact_kernel

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_NAMES = tuple(map(str, PERCENTILES))
_SHARES = np.array(PERCENTILES) / 100


def statistics(value: Values, ordered: Values | None = None) -> Statistics:
    """What describes the values (n,), n >= 1, finite; ordered: the same ascending, if they are at hand. O(n log n).

    The moments are of the values less their mean, which is found twice (Chan, Golub, LeVeque 1983,
    doi:10.1080/00031305.1983.10483115): the naive sums lose every digit at 1e9 + noise.
    """
    ordered = np.sort(value) if ordered is None else ordered
    mean, std_dev, skew, median, mad, *percentiles = _described(value, ordered, _SHARES).tolist()
    n = len(value)
    is_flat = ordered[0] == ordered[-1]
    return Statistics(
        count=n,
        mean=mean,
        median=median,
        std_dev=std_dev if n > 1 else None,
        min=float(ordered[0]),
        max=float(ordered[-1]),
        q1=percentiles[3],
        q3=percentiles[5],
        mad=mad,
        skew=None if is_flat else skew,
        percentiles=dict(zip(_NAMES, percentiles, strict=True)),
    )


def median(numbers: Values) -> float:
    """The median of some numbers, which it leaves in another order. O(n): nothing is sorted."""
    half = len(numbers) // 2
    numbers.partition(half)
    high = float(numbers[half])
    return high if len(numbers) % 2 else (float(numbers[:half].max()) + high) / 2


@exact_kernel
def _described(value: Values, ordered: Values, shares: Values) -> Values:
    """Mean, sample sd, g1, median, MAD, then the percentiles."""
    found = np.empty(5 + len(shares))
    found[0], found[1], found[2] = moments(value)
    found[3] = middle(ordered)
    found[4] = spread(ordered, found[3])
    for i in range(len(shares)):
        found[5 + i] = quantile(ordered, shares[i])
    return found


@exact_kernel
def extent(value: Values) -> tuple[float, float]:
    """(least, greatest) of the values (n,), n >= 1; NaN where one is among them."""
    low = high = value[0]
    for x in value:
        if not (low <= x <= high):
            low, high = min(low, x), max(high, x)
            if np.isnan(x):
                return x, x
    return low, high


@exact_kernel
def moments(value: Values) -> tuple[float, float, float]:
    """(mean, sample sd, Fisher-Pearson's g1); sd is NaN for one value, g1 where all are equal."""
    n = len(value)
    # Beside equal ones the mean is exactly them: no rounded sum may make noise of it.
    mean = value[0]
    rest = 0.0
    for x in value:
        rest += x - mean
    mean += rest / n
    lost = 0.0
    for x in value:
        lost += x - mean
    mean += lost / n
    most = 0.0
    for x in value:
        most = max(most, abs(x - mean))
    if most == 0:
        return mean, 0.0 if n > 1 else np.nan, np.nan
    # In units of a power of two, which rounds nothing: the cube of 1e-110 would be 0, that of 1e110 infinite.
    unit = math.ldexp(1.0, math.frexp(most)[1] - 1)
    rest = second = third = 0.0
    for x in value:
        d = (x - mean) / unit
        rest += d
        second += d * d
        third += d * d * d
    # The mean itself is rounded, by 1e-7 at 1e9: both moments are moved to where it would be.
    off = rest / n
    third += 2 * n * off**3 - 3 * off * second
    second -= rest * off
    g1 = (third / n) / (second / n) ** 1.5 if second > 0 else np.nan
    return mean, unit * np.sqrt(second / (n - 1)) if n > 1 else np.nan, g1


@exact_kernel
def middle(ordered: Values) -> float:
    """The median of ascending values."""
    n = len(ordered)
    high = ordered[n // 2]
    return float(high if n % 2 else (ordered[n // 2 - 1] + high) / 2)


@exact_kernel
def spread(ordered: Values, centre: float) -> float:
    """The median distance to `centre`: two walks from it outwards, O(n) and nothing to sort."""
    n = len(ordered)
    right = 0
    while right < n and ordered[right] < centre:
        right += 1
    left = right - 1
    before = last = 0.0
    for _ in range(n // 2 + 1):
        before = last
        if right >= n or (left >= 0 and centre - ordered[left] <= ordered[right] - centre):
            last = centre - ordered[left]
            left -= 1
        else:
            last = ordered[right] - centre
            right += 1
    return last if n % 2 else (before + last) / 2


@exact_kernel
def quantile(ordered: Values, share: float) -> float:
    """By linear interpolation (Hyndman and Fan's seventh), in the steps of numpy, so that every digit agrees."""
    place = share * (len(ordered) - 1)
    below = int(np.floor(place))
    part = place - below
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    step = high - low
    return float(high - step * (1 - part) if part >= 0.5 else low + step * part)
