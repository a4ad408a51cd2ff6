"""The record detector's loop over a batch: samples of one block together, profiles by the hour, bands on request."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect._record import judge, learn, measure
from airis_mon.detect._rows import (
    ALARM,
    COUNT,
    DAY,
    DAY_LEVEL,
    DAY_SCALE,
    DT,
    FAST,
    FEATURES,
    HIGH,
    HOUR,
    LARGEST,
    LAST,
    LOW,
    MASK,
    MEAN,
    NIL,
    ONE,
    ORIGIN,
    POINTS_S,
    ROWS,
    SCORE,
    SCRATCH,
    SEEN,
    TOTAL,
    TRUST,
    WARM,
    WEEK,
    WHICH,
    F,
    L,
    X,
    Z,
)  # fmt: skip
from airis_mon.series.kernel import inlined, kernel
from airis_mon.series.zone import WEEK_SHIFT_H, local_hour

Array = NDArray[Any]
Real = Any


@inlined
def _put_away(profile: Array, hour: int, i: int, value: Real, bits: Array) -> None:
    """Keeps the upper half of a float32, rounded to even: every magnitude, 8 bits of it. NAB does not notice."""
    bits.view(np.float32)[0] = value
    u = bits[0]
    profile[hour, i] = (u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


@inlined
def _take_out(profile: Array, hour: int, i: int, bits: Array) -> Real:
    bits[0] = np.uint32(profile[hour, i]) << np.uint32(16)
    return bits.view(np.float32)[0]


@kernel
def _change_hour(
    b: Array, lane: int, i: int, week_hour: int, day: Array, day_scale: Array, day_level: Array, week: Array,
    touched: Array, epoch: int, bits: Array,
) -> None:  # fmt: skip
    """Puts the hour that ended into the profiles, takes out the one that begins."""
    old = int(b[HOUR * L + lane]) - 1
    if old >= 0:
        _put_away(day, old % 24, i, b[DAY * L + lane], bits)
        _put_away(day_scale, old % 24, i, b[DAY_SCALE * L + lane], bits)
        _put_away(day_level, old % 24, i, b[DAY_LEVEL * L + lane], bits)
        _put_away(week, old, i, b[WEEK * L + lane], bits)
        touched[old] = epoch
    h = week_hour % 24
    b[DAY * L + lane] = _take_out(day, h, i, bits)
    b[DAY_SCALE * L + lane] = _take_out(day_scale, h, i, bits)
    level = _take_out(day_level, h, i, bits)
    b[DAY_LEVEL * L + lane] = NIL if np.isnan(level) else level
    b[WEEK * L + lane] = _take_out(week, week_hour, i, bits)
    b[HOUR * L + lane] = week_hour + 1


@inlined
def _start(b: Array, lane: int, value: Real) -> None:
    """The first value: a fresh slot is centred on it, one with borrowed knowledge starts its short memory there."""
    if b[TRUST * L + lane] > 0:
        x = np.float32(value - b[ORIGIN * L + lane])
        b[LAST * L + lane] = x
        b[FAST * L + lane] = x - b[DAY_LEVEL * L + lane]
        for k in range(3):
            b[(MEAN + k) * L + lane] = x
    else:
        b[ORIGIN * L + lane] = value


@kernel
def _open_bands(b: Array, s: Array) -> None:
    """A band starts at the first feature value, never at zero: that would be a value nobody saw."""
    for i in range(L):
        if s[MASK * L + i] > 0 and b[SEEN * L + i] == 0 and b[TRUST * L + i] == 0:
            for k in range(FEATURES):
                b[(LOW + k) * L + i] = s[(F + k) * L + i]
                b[(HIGH + k) * L + i] = s[(F + k) * L + i]


@kernel
def _band(
    b: Array, s: Array, settings: Array, lane: int, good: bool, value: Real, tb: Array, ts: Array, band: Array
) -> None:  # fmt: skip
    """Fills expected, lower, upper before the sample of a lane is learned; NaN where it is not judged.

    The values on trial stand in the lanes of a copy, sixteen at a time. The band is the run of values below the line
    around the expected one or the calm value next to it, and never contradicts the score of the sample itself.
    """
    band[:] = np.nan
    if not good:
        return
    for row in range(ROWS):
        tb[row * L : (row + 1) * L] = b[row * L + lane]
    ts[DT * L : (DT + 1) * L] = s[DT * L + lane]
    usual = b[DAY * L + lane]
    expected = np.float64(b[(MEAN + 1) * L + lane] if np.isnan(usual) else b[(MEAN + 3) * L + lane] + usual)
    lower, upper = -np.inf, np.inf
    if s[COUNT * L + lane] > settings[WARM]:
        inside = _calm(tb, ts, settings, expected)
        lower = upper = expected
        if not np.isnan(inside):
            lower = _edge(tb, ts, settings, inside, -1.0)
            upper = _edge(tb, ts, settings, inside, 1.0)
    origin = np.float64(b[ORIGIN * L + lane])
    middle = origin + min(max(expected, lower), upper)
    lower += origin
    upper += origin
    if s[SCORE * L + lane] < ALARM:
        lower, upper = min(lower, value), max(upper, value)
    elif middle <= value <= upper:
        upper = np.nextafter(value, -np.inf)
    elif lower <= value < middle:
        lower = np.nextafter(value, np.inf)
    band[0] = min(max(middle, lower), upper)
    band[1] = lower
    band[2] = upper


@kernel
def _calm(tb: Array, ts: Array, settings: Array, expected: Real) -> Real:
    """The value below the line nearest to the expected one, of that, the last one and others in the band; or NaN."""
    low, high = np.float64(tb[LOW * L]), np.float64(tb[HIGH * L])
    for i in range(L - 2):
        ts[X * L + i] = low + (high - low) * i / (L - 3)
    ts[X * L + L - 2] = tb[LAST * L]
    ts[X * L + L - 1] = expected
    _first_alarm(tb, ts, settings)
    best = np.nan
    for i in range(L):
        x = np.float64(ts[X * L + i])
        if ts[SCORE * L + i] < ALARM and not abs(best - expected) <= abs(x - expected):
            best = x
    return best


@kernel
def _first_alarm(tb: Array, ts: Array, settings: Array) -> int:
    """The first lane whose value would reach the line, L when none would."""
    measure(tb, ts, settings)
    judge(tb, ts, settings)
    for i in range(L):
        if ts[SCORE * L + i] >= ALARM:
            return i
    return L


@kernel
def _edge(tb: Array, ts: Array, settings: Array, inside: Real, side: Real) -> Real:
    """The last value below the line on one side of `inside`, to the last bit of float32; infinite if none alarms."""
    stride = side * (np.float64(tb[HIGH * L] - tb[LOW * L]) * 0.1 + 1e-6 * abs(inside) + 1e-9)
    reach = inside
    outside = np.inf
    while abs(reach) < LARGEST and np.isinf(outside):
        for i in range(L):
            ts[X * L + i] = inside + stride * 2.0**i
        first = _first_alarm(tb, ts, settings)
        if first < L:
            outside = np.float64(ts[X * L + first])
        if first > 0:
            inside = np.float64(ts[X * L + first - 1])
        reach = inside + stride * 2.0**L
        stride *= 2.0**L
    if np.isinf(outside):
        return side * np.inf
    while True:
        for i in range(L):
            ts[X * L + i] = inside + (outside - inside) * ((i + 1) / (L + 1))
        first = _first_alarm(tb, ts, settings)
        low = inside if first == 0 else np.float64(ts[X * L + first - 1])
        high = outside if first == L else np.float64(ts[X * L + first])
        if low == inside and high == outside:
            return inside
        inside, outside = low, high


@inlined
def _collect(
    b: Array, s: Array, first: int, day: Array, day_scale: Array, day_level: Array, week: Array, learned: Array,
    touched: Array, epoch: int, starts: Array, offsets: Array, points_s: Real, slot: Array, t: Array, value: Array,
    feature: Array, bits: Array,
) -> tuple[int, int, bool]:  # fmt: skip
    """Puts the samples from `first` on into their lanes, while they are of one block and no slot comes twice.

    Answers the end, the number of samples to judge, and whether one is a slot's first. `feature` marks what is not
    judged with -1: a gap, and what is not newer than the last learned sample.
    """
    block = slot[first] // L
    at = t[first]
    week_hour = (local_hour(starts, offsets, at) + WEEK_SHIFT_H) % 168
    found = 0
    fresh = False
    end = first
    while end < slot.size and slot[end] // L == block:
        i = slot[end]
        lane = i - block * L
        if s[MASK * L + lane] > 0:
            break
        good = abs(value[end]) < LARGEST and t[end] > learned[i]  # not so when the value is NaN
        feature[end] = 0 if good else -1
        end += 1
        if not good:
            continue
        if t[end - 1] != at:
            at = t[end - 1]
            week_hour = (local_hour(starts, offsets, at) + WEEK_SHIFT_H) % 168
        if b[HOUR * L + lane] != week_hour + 1:
            _change_hour(b, lane, i, week_hour, day, day_scale, day_level, week, touched, epoch, bits)
        dt = np.float32((at - learned[i]) * 1e-3)
        if b[SEEN * L + lane] == 0:
            fresh = True
            dt = ONE
            _start(b, lane, value[end - 1])
        s[DT * L + lane] = points_s if points_s > 0 else dt
        s[X * L + lane] = value[end - 1] - b[ORIGIN * L + lane]
        s[MASK * L + lane] = 1
        learned[i] = at
        found += 1
    return end, found, fresh


@kernel
def tick(
    core: Array, day: Array, day_scale: Array, day_level: Array, week: Array, learned: Array, touched: Array,
    epoch: int, starts: Array, offsets: Array, settings: Array, slot: Array, t: Array, value: Array,
    score: Array, onset: Array, level: Array, feature: Array, bands: Array, only_alarms: bool,
) -> None:  # fmt: skip
    """Scores and learns a batch, as `Record.update` says; `bands` is (3, n), or (3, 0) where nobody asked."""
    s = np.zeros(SCRATCH * L, np.float32)
    s[DT * L : (DT + 1) * L] = 1
    bits = np.zeros(1, np.uint32)
    banded = bands.shape[1] > 0
    trial = np.zeros((ROWS + SCRATCH) * L if banded else 0, np.float32)
    first = 0
    while first < slot.size:
        block = slot[first] // L
        b = core[block]
        s[MASK * L : (MASK + 1) * L] = 0
        end, found, fresh = _collect(
            b, s, first, day, day_scale, day_level, week, learned, touched, epoch, starts, offsets, settings[POINTS_S],
            slot, t, value, feature, bits,
        )  # fmt: skip
        if found:
            measure(b, s, settings)
            if fresh:
                _open_bands(b, s)
            judge(b, s, settings)
        for j in range(first, end):
            lane = slot[j] - block * L
            good = feature[j] == 0
            score[j] = s[SCORE * L + lane] if good else NIL
            onset[j] = s[TOTAL * L + lane] if good else NIL
            level[j] = s[Z * L + lane] if good else NIL
            feature[j] = np.int8(s[WHICH * L + lane]) if good else -1
            if banded and only_alarms and score[j] < ALARM:
                bands[:, j] = np.nan
            elif banded:
                _band(b, s, settings, lane, good, value[j], trial[: ROWS * L], trial[ROWS * L :], bands[:, j])
        if found:
            learn(b, s, settings)
        first = end
