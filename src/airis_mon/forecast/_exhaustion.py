"""The arithmetic of `exhaustion`: one series after the other, one step after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from airis_mon.series.kernel import inlined, kernel

FINE, HOURS = 72, 168
"""Bins kept of each series (six hours at five minutes), and medians of hours (a week)."""
WINDOWS = ((12, 0), (24, 0), (72, 0), (24, 1), (168, 1))
RATES = 12
SLOWEST = 2.0**-10
"""Habits are kept by octave of the rate (share per hour), from this on."""
(
    LAST_BIN, COUNT, Y1, Y2, LOW, BASE_T, PEAK, PEAK_T, IN_A_ROW, SINCE_LEVEL, WARNING, QUIET_T, SEEN_T,
) = range(13)  # fmt: skip
NUMBERS = 13

LEAST_RISE_H = 1.0
SOONEST_H = 1.5
PART = 0.4
CHECKS = 3
LEAST_FALL, PART_FALL = 0.03, 0.5
LEAST_HABIT = 0.05
FULL = 0.985
ABOVE = 0.03
Z, AGREE = 1.645, 1.645
LEAST_ERROR = 0.1
FADES_H = 2.0
WEEK_H = 168.0
BLOCK = 3.0

HOUR_MS = 3_600_000
LEAST_RISE, HIGH = 0.02, 0.95
IN_SIGHT = 4.0
KEEPS_H = 1.0


@inlined
def _middle(a: float, b: float, c: float) -> float:
    """The median of three, of which any may be missing."""
    if math.isnan(a):
        return c if math.isnan(b) else 0.5 * (b + c)
    if math.isnan(b):
        return 0.5 * (a + c)
    return max(min(a, b), min(max(a, b), c))


@kernel
def _pairs(ring: Any, last: int, n: int, bin_h: float, out: Any) -> Any:
    """(slope per hour, standard error) over the last n bins, from pairs half of them apart; NaN = too few.

    The median of n/2 slopes of distinct pairs (Theil 1950, the incomplete method), whose noise is independent.
    """
    size, half = len(ring), n // 2
    stride = 1 if half <= 36 else 3
    m = 0
    for i in range(0, half, stride):
        a, b = ring[(last - n + 1 + i) % size], ring[(last - half + 1 + i) % size]
        if not (math.isnan(a) or math.isnan(b)):
            x = (float(b) - float(a)) / (half * bin_h)
            k = m
            while k > 0 and out[k - 1] > x:
                out[k] = out[k - 1]
                k -= 1
            out[k] = x
            m += 1
    if m * 3 < (half // stride) * 2:
        return math.nan, math.nan
    middle = 0.5 * (out[(m - 1) // 2] + out[m // 2])
    spread = (out[(3 * m) // 4] - out[(m - 1) // 4]) / 1.349
    return middle, 1.2533 * spread / math.sqrt(max(m / BLOCK, 1.0))


@kernel
def _median_of_hour(ring: Any, first: int, n: int, out: Any) -> float:
    m = 0
    for i in range(n):
        x = ring[(first + i) % len(ring)]
        if not math.isnan(x):
            k = m
            while k > 0 and out[k - 1] > x:
                out[k] = out[k - 1]
                k -= 1
            out[k] = x
            m += 1
    return math.nan if m == 0 else 0.5 * (out[(m - 1) // 2] + out[m // 2])


@inlined
def _octave(rate: float) -> int:
    if not rate > SLOWEST:
        return 0
    return min(int(math.log2(rate / SLOWEST)), RATES - 1)


@kernel
def _take(t: int, v: float, bin_ms: int, fine: Any, hours: Any, s: Any, out: Any) -> None:
    """Puts a sample into its bin, and closes hours that are over."""
    at, last = t // bin_ms, int(s[LAST_BIN])
    per = max(3_600_000 // bin_ms, 1)
    if last >= 0 and at > last:
        hour, was = t // 3_600_000, last * bin_ms // 3_600_000
        if hour > was:
            first = -((-was * 3_600_000) // bin_ms)
            hours[was % HOURS] = _median_of_hour(fine, first, per, out)
            for h in range(max(was + 1, hour - HOURS), hour):
                hours[h % HOURS] = math.nan
        for b in range(max(last + 1, at - FINE + 1), at + 1):
            fine[b % FINE] = math.nan
    if last < 0 or at > last:
        s[LAST_BIN], s[COUNT] = at, 0
        fine[at % FINE] = math.nan
    if not math.isnan(v):
        s[COUNT] += 1
        k = at % FINE
        fine[k] = v if math.isnan(fine[k]) else fine[k] + (v - fine[k]) / s[COUNT]


@kernel
def _fell(t: float, habits: Any, s: Any) -> None:
    """Remembers a rise that ended by itself."""
    rise = s[PEAK] - s[LOW]
    if rise < LEAST_HABIT or s[PEAK] >= FULL:
        return
    k = _octave(rise / max(s[PEAK_T] - s[BASE_T], 1 / 12))
    if t - habits[k, 2] > WEEK_H:
        habits[k, 0], habits[k, 1] = 0.0, 0.0
    habits[k, 0], habits[k, 1], habits[k, 2] = max(habits[k, 0], s[PEAK]), habits[k, 1] + 1, t


@kernel
def _turn(t: float, y: float, habits: Any, s: Any) -> None:
    """Follows the rise that is under way: its trough, when it left it, its peak; and sees it fall."""
    if math.isnan(s[LOW]) or t - s[SEEN_T] > 24.0:
        s[LOW] = s[PEAK] = y
        s[BASE_T] = s[PEAK_T] = t
        return
    if y > s[PEAK]:
        s[PEAK], s[PEAK_T] = y, t
    if s[PEAK] - y > max(LEAST_FALL, PART_FALL * (s[PEAK] - s[LOW])):
        _fell(t, habits, s)
        s[LOW] = s[PEAK] = y
        s[BASE_T] = s[PEAK_T] = t
        s[WARNING] = 0
        s[IN_A_ROW] = 0
    if y < s[LOW]:
        s[LOW] = y
    if y <= s[LOW] + 0.1 * (s[PEAK] - s[LOW]):
        s[BASE_T] = t


@kernel
def _growth(last: int, bin_ms: int, hour: int, rise_h: float, fine: Any, hours: Any, out: Any) -> Any:
    """(slope, error, basis): of the longest stretch whose growth agrees with all shorter ones."""
    bin_h = bin_ms / 3_600_000
    best, best_se, basis = math.nan, math.nan, 0
    low, high = -math.inf, math.inf
    for k in range(5):
        n = 12 if k == 0 else 24 if k == 1 or k == 3 else 72 if k == 2 else 168
        span = n * (bin_h if k < 3 else 1.0)
        if span > 1.1 * rise_h:
            break
        if k < 3:
            b, se = _pairs(fine, last, n, bin_h, out)
        else:
            b, se = _pairs(hours, hour - 1, n, 1.0, out)
        if math.isnan(b):
            continue
        se = max(se, LEAST_ERROR * abs(b))
        if b - AGREE * se > high or b + AGREE * se < low:
            break
        low, high = max(low, b - AGREE * se), min(high, b + AGREE * se)
        best, best_se, basis = b, se, k + 1
    return best, best_se, basis


@kernel
def _holds_back(t: float, y: float, rate: float, habits: Any) -> int:
    """How often it rose like this, this high or higher, and fell by itself."""
    k, count = _octave(rate), 0
    for i in range(max(k - 1, 0), min(k + 2, RATES)):
        if habits[i, 1] > 0 and t - habits[i, 2] <= WEEK_H and y <= habits[i, 0] + ABOVE:
            count += int(habits[i, 1])
    return count


@kernel
def _stand(now: float, y: float, late: float, reach: float, held_back: int, s: Any) -> None:
    """A warning begins once it was near at several checks in a row, and ends when nothing was for a while."""
    if s[WARNING] > 0:
        if late < 2 * reach or y >= FULL:
            s[QUIET_T] = now
        if now - s[QUIET_T] > FADES_H:
            s[WARNING], s[IN_A_ROW] = 0, 0
    else:
        s[IN_A_ROW] = s[IN_A_ROW] + 1 if late < reach and held_back == 0 else 0
        if s[IN_A_ROW] >= CHECKS:
            s[WARNING], s[QUIET_T] = 1, now


@kernel
def _look(t: int, y: float, bin_ms: int, horizon_h: float, fine: Any, hours: Any, habits: Any, s: Any, out: Any) -> Any:
    """(basis, rate, eta, earliest, latest in hours, is it recurring) of one series at one step."""
    now = t / HOUR_MS
    _turn(now, y, habits, s)
    rise_h = now - s[BASE_T]
    if not s[WARNING] > 0 and (rise_h < LEAST_RISE_H or (y - s[LOW] < LEAST_RISE and y < HIGH)):
        s[IN_A_ROW] = 0
        return 0, math.nan, math.nan, math.nan, math.nan, False
    rate, error, basis = _growth(t // bin_ms, bin_ms, t // HOUR_MS, rise_h, fine, hours, out)
    room, low, high = max(1 - y, 0.0), rate - Z * error, rate + Z * error
    late = room / low if low > 0 else math.inf
    reach = min(horizon_h, max(SOONEST_H, PART * min(rise_h, (y - s[LOW]) / max(rate, 1e-9))))
    held_back = 0
    if not s[WARNING] > 0 and late < reach:
        held_back = _holds_back(now, y, rate, habits)
    _stand(now, y, late, reach, held_back, s)
    if not rate > 0 or room / rate > IN_SIGHT * horizon_h:
        return basis, rate, math.nan, math.nan, math.nan, held_back >= 2
    return basis, rate, room / rate, room / high, late, held_back >= 2


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
            v = share[i, j]
            _take(t[j], v, bin_ms, fine[i], hours[i], s, out)
            if math.isnan(v):
                warns[i, j] = s[WARNING] > 0 and t[j] / HOUR_MS - s[SEEN_T] <= KEEPS_H
                continue
            y = _middle(s[Y1], s[Y2], v)
            s[Y1], s[Y2] = s[Y2], v
            found = _look(t[j], y, bin_ms, horizon_h, fine[i], hours[i], habits[i], s, out)
            s[SEEN_T] = t[j] / HOUR_MS
            basis[i, j], rate[i, j], recurring[i, j] = found[0], found[1], found[5]
            eta[i, j], earliest[i, j], latest[i, j] = found[2] * HOUR_MS, found[3] * HOUR_MS, found[4] * HOUR_MS
            warns[i, j] = s[WARNING] > 0
