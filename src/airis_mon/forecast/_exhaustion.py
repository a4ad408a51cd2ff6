"""The arithmetic of `exhaustion`: one series after the other, one step after the other.

Values lie in two rings whose places are those of time itself, so that all series share them: bins of five minutes,
and medians of whole hours. Times and spans are hours, rates are shares of the limit per hour.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from airis_mon.series.kernel import inlined, kernel

HOUR_MS = 3_600_000
FINE, HOURS = 72, 168
"""Bins kept of each series (six hours at five minutes), and medians of hours (a week)."""
LEAST_BINS = 6
"""A window of fewer tells a line from chance too seldom."""
OCTAVES, SLOWEST = 12, 2.0**-10
"""Habits are kept by octave of their rate, from SLOWEST (a month and a half from empty to full) on."""
TOP, TIMES, LAST = 0, 1, 2
"""Of a habit: the highest it rose to, how often, when it last fell."""
(
    BIN, COUNT, Y1, Y2, Y, SEEN, LOW, LOW_AT, PEAK, PEAK_AT, FULL_AT, IN_A_ROW, WARNS, NEAR_AT, STEP,
) = range(15)  # fmt: skip
"""Of a series: its bin and the samples in it; the last two samples, the last level and when; the rise under way, from
its trough to its peak; when it was last full; checks in a row that were near; whether a warning stands, near when;
hours between the last two samples."""
NUMBERS = 15

LEAST_RISE, LEAST_RISE_H = 0.02, 1.0
"""Less growth than this, or shorter, is no rise: noise and the day move as much."""
HIGH = 0.95
"""With so much used any steady growth that fills it within the horizon is told: there is little left to wait with."""
PART, SOONEST_H = 0.5, 1.25
"""It warns when what is left takes at most half as long as what it has risen already took: that long it has been seen
to go on. In any case when it takes less than SOONEST_H, so that half an hour remains after the checks."""
CHECKS = 3
FADES_H, FAINT = 2.0, 2.0
"""A warning ends when for so long the limit was FAINT times as far away as it may be for one to begin."""
KEEPS_H = 1.0
"""Through so long a gap a warning stands."""
LEAST_FALL, PART_FALL = 0.03, 1 / 3
"""A fall by a third of the rise ends it."""
JUMP, FASTEST = 0.05, 1.0
"""What would fill all of it within an hour leaves no half hour to warn: a shift to another level, no growth."""
FULL, AFTERMATH_H = 0.97, 1.0
"""Higher is full, noise taken off. What falls then, or soon after, did not fall by itself: it was the harm itself."""
LEAST_HABIT, ABOVE, WEEK_H = 0.05, 0.03, 168.0
"""What rose by LEAST_HABIT and fell is remembered for a week; ABOVE over its highest it is news again."""
LEVELS = 0.1
"""A rise that slows down, so that it will end below the limit or within this part of itself above it, is none."""
Z, AGREE = 1.645, 1.645
"""Of intervals: 90 %."""
LEAST_ERROR = 0.06
"""Of a rate, relative: no growth is steadier. Chosen for the coverage of intervals on training worlds."""
SHARED = 3.0
"""Slopes of neighbouring pairs share slow noise: so many count as one."""
IN_SIGHT = 4.0
"""Horizons: a limit further away is not told."""


@inlined
def _median3(a: float, b: float, c: float) -> float:
    """The median of three, any of which may be missing."""
    if math.isnan(a):
        return c if math.isnan(b) else b if math.isnan(c) else 0.5 * (b + c)
    if math.isnan(b):
        return a if math.isnan(c) else 0.5 * (a + c)
    if math.isnan(c):
        return 0.5 * (a + b)
    return max(min(a, b), min(max(a, b), c))


@inlined
def _insert(out: Any, m: int, x: float) -> int:
    """Puts x into the first m, which are sorted; how many there are now."""
    k = m
    while k > 0 and out[k - 1] > x:
        out[k] = out[k - 1]
        k -= 1
    out[k] = x
    return m + 1


@inlined
def _middle(out: Any, m: int) -> float:
    """The median of the first m, which are sorted."""
    return 0.5 * (out[(m - 1) // 2] + out[m // 2]) if m > 0 else math.nan


@inlined
def _around(ring: Any, at: int) -> float:
    """The median of a place and its neighbours: one odd value is none."""
    n = len(ring)
    return _median3(ring[(at - 1) % n], ring[at % n], ring[(at + 1) % n])


# --- what is kept ---------------------------------------------------------------------------------------------------


@kernel
def _take(t: int, v: float, bin_ms: int, fine: Any, hours: Any, s: Any, out: Any) -> None:
    """Puts a sample into its bin, whose mean is kept, and closes bins and hours that are over."""
    at, last = t // bin_ms, int(s[BIN])
    if last >= 0 and at > last:
        hour, was = t // HOUR_MS, last * bin_ms // HOUR_MS
        if hour > was:
            hours[was % HOURS] = _of_hour(was, bin_ms, fine, out)
            for h in range(max(was + 1, hour - HOURS), hour):
                hours[h % HOURS] = math.nan
        for b in range(max(last + 1, at - FINE + 1), at + 1):
            fine[b % FINE] = math.nan
    if at > last:
        s[BIN], s[COUNT] = at, 0
        fine[at % FINE] = math.nan
    if math.isfinite(v):
        s[COUNT] += 1
        k = at % FINE
        fine[k] = v if s[COUNT] == 1 else fine[k] + (v - fine[k]) / s[COUNT]


@kernel
def _of_hour(hour: int, bin_ms: int, fine: Any, out: Any) -> float:
    """The median of the bins that begin in an hour."""
    first, m = -((-hour * HOUR_MS) // bin_ms), 0
    for b in range(first, -((-(hour + 1) * HOUR_MS) // bin_ms)):
        if not math.isnan(fine[b % FINE]):
            m = _insert(out, m, fine[b % FINE])
    return _middle(out, m)


@kernel
def _follow(t: float, y: float, bin_h: float, fine: Any, hours: Any, habits: Any, s: Any) -> None:
    """Follows the rise under way. A jump, a fall and a day without samples begin a new one."""
    jumped = y - s[Y] > max(JUMP, FASTEST * (t - s[SEEN]))
    s[PEAK], s[PEAK_AT] = (y, t) if y > s[PEAK] else (s[PEAK], s[PEAK_AT])
    fell = s[PEAK] - y > max(LEAST_FALL, PART_FALL * (s[PEAK] - s[LOW]))
    if s[PEAK] >= FULL:
        s[FULL_AT] = t
    if fell:
        _remember(t, bin_h, fine, hours, habits, s)
        s[WARNS], s[IN_A_ROW] = 0, 0
    if jumped or fell or not t - s[SEEN] <= 24.0:
        s[LOW] = s[PEAK] = y
        s[LOW_AT] = s[PEAK_AT] = t
    if y <= s[LOW]:
        s[LOW], s[LOW_AT] = y, t
    s[Y], s[STEP], s[SEEN] = y, t - s[SEEN] if t - s[SEEN] <= KEEPS_H else 0.0, t


@kernel
def _left(t: float, bin_h: float, fine: Any, hours: Any, s: Any) -> Any:
    """When the rise under way at t left its trough: the last time it was within a tenth of it."""
    line = s[LOW] + 0.1 * (s[PEAK] - s[LOW])
    at, oldest = int(t / bin_h), int(s[BIN]) - FINE + 2
    k = at % FINE
    here, after = fine[k], fine[k + 1 if k < FINE - 1 else 0]
    for b in range(at, oldest - 1, -1):
        k = k - 1 if k > 0 else FINE - 1
        before = fine[k]
        if b * bin_h <= s[LOW_AT]:
            return s[LOW_AT]
        if _median3(before, here, after) <= line:
            return (b + 1) * bin_h
        here, after = before, here
    for h in range(int(min(t, oldest * bin_h)), int(t) - HOURS, -1):
        if h <= s[LOW_AT]:
            return s[LOW_AT]
        if hours[h % HOURS] <= line:
            return h + 1.0
    return max(s[LOW_AT], t - HOURS)


@kernel
def _remember(t: float, bin_h: float, fine: Any, hours: Any, habits: Any, s: Any) -> None:
    """A rise that fell by itself, without having been full, becomes a habit."""
    rise = s[PEAK] - s[LOW]
    if rise < LEAST_HABIT or t - s[FULL_AT] <= AFTERMATH_H:
        return
    own = habits[_octave(rise / max(s[PEAK_AT] - _left(s[PEAK_AT], bin_h, fine, hours, s), bin_h))]
    if t - own[LAST] > WEEK_H:
        own[TOP], own[TIMES] = 0.0, 0.0
    own[TOP], own[TIMES], own[LAST] = max(own[TOP], s[PEAK]), own[TIMES] + 1, t


@inlined
def _octave(rate: float) -> int:
    return min(int(math.log2(rate / SLOWEST)), OCTAVES - 1) if rate > SLOWEST else 0


@kernel
def _habit(t: float, y: float, rate: float, habits: Any) -> int:
    """How often it rose about as fast and at least as high, and fell by itself."""
    at, count = _octave(rate), 0
    for k in range(max(at - 1, 0), min(at + 2, OCTAVES)):
        if habits[k, TIMES] > 0 and t - habits[k, LAST] <= WEEK_H and y <= habits[k, TOP] + ABOVE:
            count += int(habits[k, TIMES])
    return count


# --- how fast it grows ----------------------------------------------------------------------------------------------


@kernel
def _slope(ring: Any, last: int, n: int, bin_h: float, out: Any) -> Any:
    """(rate, standard error) over the n places up to `last`; NaN = more than a third is missing.

    The median of slopes of distinct pairs, half a window apart (Theil 1950, the incomplete method): robust, and one
    sort of n/2 numbers where all pairs are n^2/2. The error is that of a median of so many, from their quartiles.
    """
    half, size = n // 2, len(ring)
    stride, m = 1 + half // 40, 0
    i, j = (last - n + 1) % size, (last - half + 1) % size
    for _ in range(0, half, stride):
        if not (math.isnan(ring[i]) or math.isnan(ring[j])):
            m = _insert(out, m, (float(ring[j]) - float(ring[i])) / (half * bin_h))
        i, j = i + stride, j + stride  # a division each would cost more than all else
        i, j = i - size if i >= size else i, j - size if j >= size else j
    if m * stride * 3 < half * 2:
        return math.nan, math.nan
    deviation = (out[(3 * m) // 4] - out[(m - 1) // 4]) / 1.349
    return _middle(out, m), 1.2533 * deviation / math.sqrt(max(m / SHARED, 1.0))


@kernel
def _growth(t: int, bin_ms: int, rise_h: float, fine: Any, hours: Any, out: Any) -> Any:
    """(rate, error, basis) of the longest window, within the rise, that agrees with all shorter ones.

    The intersection of confidence intervals (Goldenshluger & Nemirovski 1997): steady growth is measured over days,
    one that has just changed over the hour since. Hours are those that are over.
    """
    rate, error, basis = math.nan, math.nan, 0
    low, high = -math.inf, math.inf
    for k, span in enumerate((1, 2, 6, 24, 168)):
        n = span if span > 6 else span * HOUR_MS // bin_ms
        if span > 1.1 * rise_h:
            break
        if n < LEAST_BINS:
            continue
        if span > 6:
            b, e = _slope(hours, t // HOUR_MS - 1, n, 1.0, out)
        else:
            b, e = _slope(fine, t // bin_ms, n, bin_ms / HOUR_MS, out)
        if math.isnan(b):
            continue
        e = max(e, LEAST_ERROR * abs(b))
        if b - AGREE * e > high or b + AGREE * e < low:
            break
        low, high = max(low, b - AGREE * e), min(high, b + AGREE * e)
        rate, error, basis = b, e, k + 1
    return rate, error, basis


@kernel
def _halves(y: float, left: float, rise_h: float, bin_h: float, fine: Any, hours: Any, s: Any) -> Any:
    """(hours of half the rise, growth in its first half, in its last): it speeds up or slows down.

    The level is a median of three samples and thus a step late, hence the step less.
    """
    half = max(rise_h - bin_h, bin_h) / 2
    at = left + half
    is_fine = int(at / bin_h) > int(s[BIN]) - FINE + 1
    middle = _around(fine, int(at / bin_h)) if is_fine else _around(hours, int(at))
    return half, middle - s[LOW] - 0.1 * (s[PEAK] - s[LOW]), y - middle


@inlined
def _ends_below(room: float, first: float, last: float) -> bool:
    """Whether growth that goes on by the same factor from half to half ends before the room does (Aitken 1926)."""
    return last <= 0 or (last < first and last * last / (first - last) < room)


@inlined
def _by_factor(room: float, factor: float, half: float, last: float) -> float:
    """Hours until `room` is filled when each half grows by `factor` more than the one before, the last by `last`."""
    return half * math.log1p(room * (factor - 1) / (last * factor)) / math.log(factor)


@inlined
def _until(room: float, rate: float, speeding: float) -> float:
    """Hours until `room` is filled at a rate that grows by `speeding` an hour; inf = never."""
    if rate <= 0 and speeding <= 0:
        return math.inf
    return 2 * room / (rate + math.sqrt(rate * rate + 2 * speeding * room))


# --- what is made of it ---------------------------------------------------------------------------------------------


@kernel
def _stand(t: float, late: float, reach: float, is_held: bool, s: Any) -> None:
    """A warning begins after some checks in a row, and ends when nothing was near for a while."""
    if s[WARNS] > 0:
        if late < FAINT * reach or s[Y] >= FULL:
            s[NEAR_AT] = t
        if t - s[NEAR_AT] > FADES_H:
            s[WARNS], s[IN_A_ROW] = 0, 0
        return
    s[IN_A_ROW] = s[IN_A_ROW] + 1 if late < reach and not is_held else 0
    if s[IN_A_ROW] >= CHECKS:
        s[WARNS], s[NEAR_AT] = 1, t


@inlined
def _reach(y: float, rise_h: float, rate: float, horizon_h: float, s: Any) -> Any:
    """So near a limit must be to be warned of.

    A slow rise of days says nothing of what has just begun to rise fast: hence the shorter of the time that it took
    and of that which it would have taken at the present rate.
    """
    if y >= HIGH:
        return horizon_h
    took = min(rise_h, (y - s[LOW]) / max(rate, SLOWEST))
    return min(max(SOONEST_H, PART * took), horizon_h)


@kernel
def _look(t_ms: int, bin_ms: int, horizon_h: float, fine: Any, hours: Any, habits: Any, s: Any, out: Any) -> Any:
    """(basis, rate, is recurring, eta, earliest, latest) of one series after a sample, in hours."""
    t, y, bin_h = t_ms / HOUR_MS, s[Y], bin_ms / HOUR_MS
    is_rise = y - s[LOW] >= LEAST_RISE or y >= HIGH or s[WARNS] > 0
    left = _left(t, bin_h, fine, hours, s) if is_rise else t
    rise_h = t - left
    if rise_h < LEAST_RISE_H and not s[WARNS] > 0:
        s[IN_A_ROW] = 0
        return 0, math.nan, False, math.nan, math.nan, math.nan
    rate, error, basis = _growth(t_ms, bin_ms, rise_h, fine, hours, out)
    half, first, last = _halves(y, left, rise_h, bin_h, fine, hours, s)
    room = max(1 - y - max(rate, 0.0) * s[STEP], 0.0)  # a median of three samples is one late
    more = last - first - Z * error * half - rate * bin_h  # beyond the error of the rate, and a bin where halves meet
    speeding = more / (half * half) if first > 0 and more > 0 else 0.0
    late = _until(room, rate - Z * error, 0.0)  # never by speeding up: that is for the other bound
    if _ends_below(1 - y + LEVELS * (y - s[LOW]), first, last):
        late = math.inf
    reach = _reach(y, rise_h, rate, horizon_h, s)
    falls = _habit(t, y, rate, habits) if late < reach and not s[WARNS] > 0 else 0
    _stand(t, late, reach, falls > 0, s)
    eta = _until(room, rate, speeding)
    if not (rate > 0 and eta <= IN_SIGHT * horizon_h):
        return basis, rate, falls >= 2, math.nan, math.nan, math.nan
    soon = _until(room, rate + Z * error, 0.0)
    if speeding > 0:
        soon = min(soon, _by_factor(room, last / first, half, last))
    return basis, rate, falls >= 2, eta, soon, late


@kernel
def follow(
    t: Any, share: Any, bin_ms: int, horizon_h: float, fine: Any, hours: Any, habits: Any, numbers: Any,
    warns: Any, basis: Any, recurring: Any, eta: Any, earliest: Any, latest: Any, rate: Any,
) -> None:  # fmt: skip
    """Takes all steps of all series and fills the outlook."""
    out = np.empty(HOURS)
    for i in range(share.shape[0]):
        s = numbers[i]
        for j in range(share.shape[1]):
            v, now = share[i, j], t[j] / HOUR_MS
            _take(t[j], v, bin_ms, fine[i], hours[i], s, out)
            if not now - s[SEEN] <= KEEPS_H:
                s[WARNS], s[IN_A_ROW] = 0, 0
            if math.isfinite(v):
                y = _median3(s[Y1], s[Y2], v)
                s[Y1], s[Y2] = s[Y2], v
                _follow(now, y, bin_ms / HOUR_MS, fine[i], hours[i], habits[i], s)
                found = _look(t[j], bin_ms, horizon_h, fine[i], hours[i], habits[i], s, out)
                basis[i, j], rate[i, j], recurring[i, j] = found[0], found[1], found[2]
                eta[i, j], earliest[i, j], latest[i, j] = found[3] * HOUR_MS, found[4] * HOUR_MS, found[5] * HOUR_MS
            warns[i, j] = s[WARNS] > 0
