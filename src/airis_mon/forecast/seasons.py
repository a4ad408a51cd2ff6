"""Seasons of a series: its autocorrelation, and the periods after which it repeats itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from airis_mon.series.batch import Values
from airis_mon.series.kernel import inlined, kernel
from airis_mon.series.rank import nth

LEAST = 8
"""Values that a search needs."""
MOST = 3
"""Seasons that are looked for in one series."""
DAY_MS = 86_400_000
_DIRECT = 400  # values below which sums of products are faster than two transforms
_CLIP = 5.0  # robust sd beyond which a value is moved there: two outliers far apart are no season
_WORTH = 0.01  # of the variance: less is not searched on, or rounding would have seasons
_MISTAKES = 0.002  # of each of both tests, over all periods together


@dataclass(frozen=True, slots=True)
class Season:
    """A period in points, its autocorrelation and its strength (1 - var(rest) / var(rest + season), 0..1)."""

    period: int
    autocorrelation: float
    strength: float


def autocorrelation(value: Values, lags: int) -> Values:
    """(lags,) at lags 1.. < n of the values (n,), not all equal: the biased estimate, divided by n at each lag."""
    return _correlated(_centred(value), lags)[1:]


def usual_seasons(step_ms: int, length: int) -> tuple[int, ...]:
    """The day and the week in points of a grid, ascending: whole numbers > 1, each at least twice in `length`."""
    spans = (DAY_MS, 7 * DAY_MS)
    return tuple(s // step_ms for s in spans if s % step_ms == 0 and s > step_ms and 2 * (s // step_ms) <= length)


def seasons(value: Values, most: int = MOST) -> tuple[Season, ...]:
    """The periods, ascending, at which the values (n,) repeat, n >= `LEAST`, finite; O(n log n).

    Without their line and with outliers clipped, a period is told if the periodogram stands out of red noise of the
    same autocorrelation at lag 1 (Torrence and Compo 1998, doi:10.1175/1520-0477(1998)079<0061:APGTWA>2.0.CO;2) and
    the autocorrelation has its peak there; that takes three repetitions. Or, with two, if that of the differences
    stands out of white noise. Then it is taken off and the rest searched. Strength is Wang, Smith, Hyndman's (2006,
    doi:10.1007/s10618-005-0039-x) with the rest's degrees of freedom, so that noise has about 0.

    Windows with any season, of 1,000 each with 50, 100, 300, 1,000 values that have none: Gaussian 0 %; random walk
    .5, .9, 1.3, .3 %; walk and three times its noise 0, .3, .7, 1.5 %; autoregressive by .8 .2, 2.4, .8, .1 %; lines,
    parabolas, exponentials, steps, outliers at most .3 %. Found exactly, of 100: a sine of 24 points with noise of a
    third of its amplitude in 72, 100, 200 values 81, 98, 100 times; with noise of its amplitude 11, 31, 98.
    """
    n, whole = len(value), _clipped(_level(value))
    rest, least = whole, _WORTH * _squares(whole)
    found: list[int] = []
    while len(found) < most and n >= LEAST and _squares(rest) > least:
        # The strongest wave may be a half of a day or, once that is known, a sideband of the week.
        period = _period(rest, n if found else 3, found[0] if found else 1)
        if period == 0 or any(abs(period - p) <= 0.1 * p for p in found):
            break
        found.append(period)
        # An outlier that a strong season hid is one now.
        rest = _clipped(rest - _phases(rest, period))
    return _measured(whole, sorted(p for p in found if 2 * p not in found and 3 * p not in found)) if found else ()


def seasonal(value: Values, periods: tuple[int, ...]) -> Values:
    """(n,) what repeats with the periods, ascending, in the values (n,): of mean 0, the same in every repetition."""
    rest = _level(value)
    season = np.zeros(len(value))
    for period in sorted(periods):
        part = _phases(_clipped(rest - season), period)
        season += part - part.mean()
    return season


def _measured(x: Values, periods: list[int]) -> tuple[Season, ...]:
    if not periods:
        return ()
    found = []
    alike = _correlated(x, max(periods))
    for period in periods:
        others = x.copy()
        for p in periods:
            if p < period:
                others -= _phases(others, p)
        rest = others - _phases(others, period)
        free = len(x) / max(len(x) - period, 1)
        strength = 1 - _squares(rest) * free / max(_squares(others), 1e-300)
        found.append(Season(period, float(alike[period]), min(max(strength, 0.0), 1.0)))
    return tuple(found)


def _period(x: Values, furthest: int, known: int) -> int:
    """The shortest period that stands out, 0 = none; or the multiple of it, up to `furthest`, that repeats better."""
    n = len(x)
    alike = _correlated(x, min(n - 1, n // 2 + n // 8 + 1))
    tests = max(n // 2 - 2, 1)
    found = 0
    if _may_peak(alike, n):  # of most noise nothing may, which saves the transform
        power = np.fft.rfft(x)
        found = _peak(power.real**2 + power.imag**2, alike, n, math.log(tests / _MISTAKES))
    if found == 0:
        found = _echo(_correlated(x[1:] - x[:-1], n // 2), alike, n - 1, _normal_line(_MISTAKES / tests))
    return int(_fitted(x, found, furthest, known)) if found else 0


def _normal_line(p: float) -> float:
    """What a standard normal exceeds with chance p < .01 (Abramowitz and Stegun 1964, 26.2.23)."""
    t = math.sqrt(-2 * math.log(p))
    return t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t**3)


def _correlated(x: Values, lags: int) -> Values:
    """(lags + 1,) of values with mean 0; all 0 where they are."""
    n = len(x)
    if n <= _DIRECT:
        return _products(x, lags)
    size = _smooth(n + lags + 1)
    spectrum = np.fft.rfft(x, size)
    found = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[: lags + 1]
    return np.asarray(found / found[0] if found[0] > 0 else np.zeros(lags + 1))


def _smooth(n: int) -> int:
    """The next length that a transform takes quickly: 2^a, 3 * 2^a or 5 * 2^a."""
    return min(m << max(0, math.ceil(math.log2(n / m))) for m in (1, 3, 5))


@kernel
def _centred(value: Values) -> Values:
    n, total = len(value), 0.0
    found = np.empty(n)
    for i in range(n):
        found[i] = value[i] - value[0]
        total += found[i]
    found -= total / n
    return found


@kernel
def _products(x: Values, lags: int) -> Values:
    n = len(x)
    found = np.zeros(lags + 1)
    for lag in range(min(lags + 1, n)):
        total = 0.0
        for i in range(n - lag):
            total += x[i] * x[i + lag]
        found[lag] = total
    if found[0] > 0:
        found /= found[0]
    return found


@kernel
def _level(value: Values) -> Values:
    """The values without their least squares line."""
    n = len(value)
    mean = value[0]
    for _ in range(2):
        lost = 0.0
        for x in value:
            lost += x - mean
        mean += lost / n
    xy = 0.0
    for i in range(n):
        xy += (i - (n - 1) / 2) * (value[i] - mean)
    slope = xy / (n * (n * n - 1.0) / 12) if n > 1 else 0.0
    found = np.empty(n)
    most = 0.0
    for i in range(n):
        most = max(most, abs(value[i] - mean))
        found[i] = value[i] - mean - slope * (i - (n - 1) / 2)
    # A line leaves only rounding behind; that is no series.
    return found if np.abs(found).max() > 1e-12 * most else np.zeros(n)


@kernel
def _clipped(x: Values) -> Values:
    """With nothing beyond `_CLIP` robust sd, and mean 0."""
    n = len(x)
    found = x.copy()
    centre = nth(found, n // 2)
    for i in range(n):
        found[i] = abs(x[i] - centre)
    reach = _CLIP * 1.4826 * nth(found, n // 2)
    total = 0.0
    for i in range(n):
        found[i] = min(max(x[i], centre - reach), centre + reach) if reach > 0 else x[i]
        total += found[i]
    for i in range(n):
        found[i] -= total / n
    return found


@kernel
def _squares(x: Values) -> float:
    total = 0.0
    for one in x:
        total += one * one
    return total


@kernel
def _phases(x: Values, period: int) -> Values:
    """(n,) the mean of all values at the same place of the period."""
    n = len(x)
    found = np.empty(n)
    for phase in range(min(period, n)):
        total, count = 0.0, 0
        for i in range(phase, n, period):
            total += x[i]
            count += 1
        for i in range(phase, n, period):
            found[i] = total / count
    return found


@kernel
def _peak(power: Values, alike: Values, n: int, line: float) -> int:
    """The shortest period of a strong peak of both, 0 = none. power: (n // 2 + 1,), |transform|^2.

    What a peak stands out of is told without it and its next two overtones: a strong season would hide behind itself.
    """
    bins = n // 2
    # Sums of all before, of the power and of its part in the autocorrelation at lag 1.
    powers, nears = np.zeros(bins + 2), np.zeros(bins + 2)
    for k in range(1, bins + 1):
        powers[k + 1] = powers[k] + power[k]
        nears[k + 1] = nears[k] + power[k] * math.cos(2 * math.pi * k / n)
    over, lag = np.zeros(bins + 1), np.zeros(bins + 1, np.int64)
    most = 0.0
    for k in range(3, bins + 1):
        left, near, others = powers[bins + 1], nears[bins + 1], bins
        for m in range(1, 4):
            first, after = min(m * k - 1, bins + 1), min(m * k + 2, bins + 1)
            left -= powers[after] - powers[first]
            near -= nears[after] - nears[first]
            others -= after - first
        if left <= 0:
            left = 1e-12 * powers[bins + 1]
        phi = min(max(near / left, -0.6), 0.99)
        red = (1 - phi * phi) / (1 + phi * phi - 2 * phi * math.cos(2 * math.pi * k / n))
        # Nyquist's is the square of one normal, not the mean of two: its tail reaches twice as far.
        stands = power[k] * others / left / red / (2 if 2 * k == n else 1)
        # Where few repetitions are seen, a walk's few waves stand out most often.
        high = line * (1 + 1 / k)
        if stands > high:
            p = _top(alike, n / (k + 0.75), n / (k - 0.75))
            if p > 0 and _repeats(alike, p, n) and power[k] > high * _around(power, k):
                over[k], lag[k] = stands, p
                most = max(most, power[k])
    for k in range(bins, 2, -1):
        if lag[k] > 0 and power[k] >= 0.3 * most:
            return int(lag[k])
    return 0


@kernel
def _may_peak(alike: Values, n: int) -> bool:
    """Whether the autocorrelation is high enough at any lag that a peak may have."""
    lags = 0
    for p in range(2, len(alike)):
        lags += _repeats(alike, p, n)
    return lags > 0


@inlined
def _repeats(alike: Values, p: int, n: int) -> bool:
    """Three standard errors above the autocorrelation of noise."""
    return bool(alike[p] * n > 3 * math.sqrt(n - p))


@kernel
def _around(power: Values, k: int) -> float:
    """The background at a frequency: by those from half to double of it, its neighbours left out.

    Of logarithms, whose mean other peaks hardly move; that of an exponential is Euler's constant below the mean's.
    """
    total, count = 0.0, 0
    for j in range(max(1, k // 2), min(len(power) - 1, 2 * k + 2) + 1):
        if abs(j - k) > 1:
            total += math.log(power[j] + 1e-300)
            count += 1
    return math.exp(total / count + 0.5772156649015329) if count else 0.0


@kernel
def _top(alike: Values, low: float, high: float) -> int:
    """The lag of a peak between two, 0 = there is none: higher than a quarter of it before and after."""
    first, last = max(2, math.ceil(low)), math.floor(high)
    if first > last:  # no whole lag lies between: a period that is told by its multiples
        first = last = max(2, round((low + high) / 2))
    best = first
    for p in range(first, min(last, len(alike) - 1) + 1):
        if alike[p] > alike[best]:
            best = p
    aside = max(1, best // 4)
    if best + aside >= len(alike):
        return 0
    return best if alike[best] > alike[best - aside] and alike[best] > alike[best + aside] else 0


@kernel
def _fitted(x: Values, period: int, furthest: int, known: int) -> int:
    """The period near to one found that leaves least, 0 = none does: of its neighbours, its multiples, its parts.

    A neighbour that is a multiple of the one already known is preferred: a week is a whole number of days.
    """
    n = len(x)
    reach = min(12, math.ceil(period * period / (2 * n)) + 1)
    best, least = _best(x, period - reach, period + reach, 1)
    for m in range(2, min(furthest, n // (3 * period)) + 1):
        whole, left = _best(x, m * period - m + 1, min(n // 2, m * period + m - 1), 1)
        if left < 0.8 * least:
            best, least = whole, left
            break
    nothing = _left(x, 1)
    # Of noise, as many means as a period has explain so much by chance (three standard errors).
    if nothing - least < 3 * math.sqrt(2.0 * best) / n * nothing:
        return 0
    enough = 0.1 * nothing + 0.9 * least
    other, left = _best(x, best - reach, best + reach, known)
    if known > 1 and left < enough:
        return other
    for m in range(best // 2, 1, -1):
        if best % m == 0 and _left(x, best // m) < enough:
            return best // m
    return best


@kernel
def _best(x: Values, first: int, last: int, of: int) -> tuple[int, float]:
    """(period between two that leaves least, how much), of multiples of a number."""
    best, least = max(2, first), np.inf
    for p in range(max(2, first), min(len(x) // 2, last) + 1):
        if p % of == 0:
            left = _left(x, p)
            if left < least:
                best, least = p, left
    return best, least


@kernel
def _left(x: Values, period: int) -> float:
    """The sum of squares that a period leaves, per degree of freedom."""
    n = len(x)
    explained = 0.0
    for phase in range(period):
        total, count = 0.0, 0
        for i in range(phase, n, period):
            total += x[i]
            count += 1
        explained += total * total / count
    return (_squares(x) - explained) / (n - period)


@kernel
def _echo(alike: Values, level: Values, n: int, line: float) -> int:
    """The first high peak among those of the differences' autocorrelation (lags + 1,) that stand out, 0 = none."""
    # Differences of noise are not white: Bartlett's variance by their first autocorrelations.
    spread = 1.0
    for p in range(1, min(20, n // 5) + 1):
        spread += 2 * alike[p] * alike[p]
    line *= math.sqrt(spread)
    most = 0.0
    for p in range(4, len(alike) - 1):
        if _stands(alike, level, p, n, line):
            most = max(most, alike[p] * n / (n - p))
    for p in range(4, len(alike) - 1):
        if _stands(alike, level, p, n, line) and alike[p] * n / (n - p) > 0.7 * most:
            return p
    return 0


@kernel
def _stands(alike: Values, level: Values, p: int, n: int, line: float) -> bool:
    """Beyond the line by Ljung and Box's variance, higher than its neighbours, and positive for the level too."""
    return bool(
        alike[p] > line * math.sqrt((n - p) / (n * (n + 2.0)))
        and alike[p] >= alike[p - 1]
        and alike[p] >= alike[p + 1]
        and level[p] > 0
    )
