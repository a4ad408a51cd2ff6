"""The record detector's arithmetic for one slot, and the loops over a batch.

A slot is a column of `core` (one row per number, see below) and of three profiles. `_measure` and `_judge` only read,
so that the same code scores a sample, a value on trial for a band, and the sample that is then learned.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.kernel import inlined, kernel
from airis_mon.series.zone import WEEK_SHIFT_H, local_hour

Array = NDArray[Any]
Real = Any  # float32 or float64: numba compiles for what it is given

FEATURES: Final = 13
# Rows of `core`: (row, slot) float32.
SEEN: Final = 0  # samples learned
SPAN: Final = 1  # seconds learned, gaps left out
STEP: Final = 2  # usual seconds between samples
LAST: Final = 3  # previous value
MEAN: Final = 4  # four running means of the value
SMOOTH: Final = 8  # smoothed residuals: hour, scaled hour, week (fast), week (slow)
SPREAD: Final = 12  # long-run mean of the absolute hour residual
PEAK: Final = 13  # highest total since the last re-arming
AGE: Final = 14  # seconds since that peak
FAST: Final = 15  # level channel: quick mean, slow clipped mean, mean absolute distance
LEVEL: Final = 16
LEVEL_SPREAD: Final = 17
TRUST: Final = 18  # borrowed samples: the slot counts as having seen so many more
ORIGIN: Final = 19  # every value above and below is the distance from it: float32 stays exact on large numbers
LOW: Final = 20
HIGH: Final = LOW + FEATURES
CENTRE: Final = HIGH + FEATURES
VOTE: Final = CENTRE + FEATURES
ROWS: Final = VOTE + FEATURES

# Entries of `cfg`: float32.
POINTS: Final = 0
WARM: Final = 1
EASE: Final = 2
EXCESS: Final = 3
DECAY: Final = 4
LINE: Final = 5
LEVEL_LINE: Final = 6
REARM: Final = 7
CFG: Final = 8

NEVER: Final = np.iinfo(np.int64).min
MEAN_S: Final = (1800.0, 7200.0, 28800.0, 86400.0)
MEAN_POINTS: Final = (6.0, 12.0, 24.0, 48.0)
LONG_S: Final = 300_000.0
LONG_POINTS: Final = 100.0
WEEK_S: Final = 600_000.0
ALARM: Final = np.float32(0.8)
TINY: Final = np.float32(1e-9)
ONE: Final = np.float32(1)
GAP_STEPS: Final = np.float32(3)
GAP_S: Final = np.float32(1800)

# Places in the scratch array of one sample.
_DAY: Final = 0
_DAY_SCALE: Final = 1
_WEEK: Final = 2
_LONG: Final = 3  # the factor of the long-run means
_Z: Final = 4
_DISTANCE: Final = 5
_LEVEL_SCALE: Final = 6
SCRATCH: Final = 24  # 7.. new values of rows MEAN..SPREAD and FAST
_MEAN: Final = 8
_SMOOTH: Final = 12
_SPREAD: Final = 16
_FAST: Final = 17


@inlined
def _step(core: Array, i: int, dt: Real) -> Real:
    """The slot's usual interval after one more distance of `dt` seconds: a running median, quick at the start."""
    q = core[STEP, i]
    n = core[SEEN, i]
    if n <= 1:
        q = dt
    elif dt < q:
        q = max(dt, q * (np.float32(0.7) if n < 16 else np.float32(0.95)))
    else:
        q = min(dt, q * np.float32(1.05))
    return q


@inlined
def _measure(
    core: Array, day: Array, scale: Array, week: Array, i: int, x: Real, dt: Real, q: Real, h: int, w: int,
    s: Array, f: Array,
) -> None:  # fmt: skip
    """What the slot would know after `x` (into s) and the 13 features of `x` (into f); writes nothing else."""
    n1 = core[SEEN, i] + core[TRUST, i] + ONE
    inv = ONE / n1
    step = min(dt, q)
    seen_day = not np.isnan(day[h, i])
    # A long silence: the means move towards the present, so that their age alone raises no alarm.
    silent = dt > GAP_STEPS * q and dt > GAP_S
    last = core[LAST, i]
    if silent:
        last += (x - last) * (ONE - q / dt)
    for k in range(4):
        tau = max(np.float32(MEAN_S[k]), np.float32(MEAN_POINTS[k]) * q)
        mean = core[MEAN + k, i]
        if silent:
            target = x - day[h, i] if k == 3 and seen_day else x
            mean += (target - mean) * (dt / (dt + tau))
        a = min(ONE, step / tau)
        s[_MEAN + k] = mean + (x - mean) * max(inv, a)
        if k == 0:
            quick = a
        elif k == 1:
            slow = a
    long = max(inv, min(ONE, step / max(np.float32(LONG_S), np.float32(LONG_POINTS) * q)))
    s[_LONG] = long
    dev = x - s[_MEAN + 3]
    spread = core[SPREAD, i]
    rate = min(ONE, np.float32(0.1 / 300) * step)
    if seen_day:
        r = dev - day[h, i]
        s[_DAY] = day[h, i] + rate * r
        s[_DAY_SCALE] = scale[h, i] + rate * (min(abs(r), 4 * spread) - scale[h, i])
    else:
        r = np.float32(0)
        s[_DAY] = dev
        s[_DAY_SCALE] = spread
    spread += (abs(r) - spread) * long
    s[_SPREAD] = spread
    rz = r / (
        np.float32(0.5) * (s[_DAY_SCALE] + spread) + TINY + np.float32(1e-3) * abs(s[_MEAN + 3] + core[ORIGIN, i])
    )
    if not np.isnan(week[w, i]):
        rw = x - week[w, i]
        s[_WEEK] = week[w, i] + min(ONE, np.float32(1.5) * rate) * rw
    else:
        rw = r if core[SPAN, i] >= np.float32(WEEK_S) else np.float32(0)
        s[_WEEK] = x
    s[_SMOOTH] = core[SMOOTH, i] + (r - core[SMOOTH, i]) * quick
    s[_SMOOTH + 1] = core[SMOOTH + 1, i] + (rz - core[SMOOTH + 1, i]) * quick
    s[_SMOOTH + 2] = core[SMOOTH + 2, i] + (rw - core[SMOOTH + 2, i]) * quick
    s[_SMOOTH + 3] = core[SMOOTH + 3, i] + (rw - core[SMOOTH + 3, i]) * slow
    f[0] = x
    f[1] = x - last
    f[2] = x - s[_MEAN + 1]
    f[3] = s[_MEAN] - s[_MEAN + 2]
    f[4] = s[_MEAN + 1] - s[_MEAN + 3]
    f[5] = r
    f[6] = s[_SMOOTH]
    f[7] = dev
    f[8] = rw
    f[9] = s[_SMOOTH + 2]
    f[10] = s[_SMOOTH + 3]
    f[11] = rz
    f[12] = s[_SMOOTH + 1]
    # The level channel: distance of a quick mean from a slow one that ignores what is far away.
    s[_FAST] = core[FAST, i] + (x - core[FAST, i]) * np.float32(0.2)
    distance = s[_FAST] - core[LEVEL, i]
    size = core[LEVEL_SPREAD, i] + np.float32(0.02) * (core[HIGH, i] - core[LOW, i])
    size += np.float32(1e-3) * abs(core[LEVEL, i] + core[ORIGIN, i]) + TINY
    s[_DISTANCE] = distance
    s[_LEVEL_SCALE] = size
    s[_Z] = abs(distance) / size


@inlined
def _judge(core: Array, i: int, cfg: Array, f: Array) -> tuple[Real, int]:
    """The total of votes if a feature left its band and the total is the highest since re-arming, else 0; and which."""
    n = core[SEEN, i] + core[TRUST, i]
    total = np.float32(0)
    strongest = np.float32(0)
    which = -1
    if n > cfg[WARM]:
        ease = cfg[EASE] / n
        excess = cfg[EXCESS] * (ONE + ease * ease)
        for k in range(FEATURES):
            v = f[k]
            vote = core[VOTE + k, i]
            low = core[LOW + k, i]
            high = core[HIGH + k, i]
            if v > high or v < low:
                centre = abs(core[CENTRE + k, i] + (core[ORIGIN, i] if k == 0 else np.float32(0)))
                e = max(v - high, low - v) / (high - low + np.float32(1e-3) * centre + TINY)
                g = e / (e + excess)
                if g > vote:
                    vote = g
                    if g > strongest:
                        strongest = g
                        which = k
            total += vote
    if which < 0 or total <= core[PEAK, i]:
        total = np.float32(0)
        which = -1
    return total, which


@inlined
def _score(onset: Real, z: Real, cfg: Array) -> Real:
    """Both channels on the scale 0..1 with the line at 0.8; the level channel alone stays below the line."""
    line = cfg[LINE]
    high = np.float32(0.8) * onset / line if onset < line else ONE - np.float32(0.2) * line / onset
    long = np.float32(0.8) * z / (z + cfg[LEVEL_LINE])
    return max(high, long)


@inlined
def _learn(
    core: Array, day: Array, scale: Array, week: Array, i: int, x: Real, dt: Real, q: Real, h: int, w: int,
    cfg: Array, s: Array, f: Array, onset: Real,
) -> None:  # fmt: skip
    """Writes what `_measure` found and widens the bands."""
    n = core[SEEN, i] + core[TRUST, i]
    inv = ONE / (n + ONE)
    step = min(dt, q)
    heard = n > cfg[WARM]
    ease = cfg[EASE] / n
    excess = cfg[EXCESS] * (ONE + ease * ease)
    decay = ONE / (ONE + dt / q * (ONE / cfg[DECAY] - ONE))
    long = s[_LONG]
    for k in range(FEATURES):
        v = f[k]
        low = core[LOW + k, i]
        high = core[HIGH + k, i]
        centre = core[CENTRE + k, i]
        vote = core[VOTE + k, i]
        if v > high or v < low:
            if heard:
                floor = np.float32(1e-3) * abs(centre + (core[ORIGIN, i] if k == 0 else np.float32(0))) + TINY
                e = max(v - high, low - v) / (high - low + floor)
                vote = max(vote, e / (e + excess))
            core[LOW + k, i] = min(v, low)
            core[HIGH + k, i] = max(v, high)
        core[CENTRE + k, i] = centre + (v - centre) * long
        core[VOTE + k, i] = vote * decay
    if onset > 0:
        core[PEAK, i] = onset
        core[AGE, i] = 0
    else:
        core[AGE, i] += dt
        if core[AGE, i] > max(cfg[REARM], np.float32(100) * q):
            core[PEAK, i] = 0
            core[AGE, i] = 0
    size = s[_LEVEL_SCALE]
    distance = s[_DISTANCE]
    if n > 100:
        distance = min(max(distance, -5 * size), 5 * size)
    a = max(inv, min(ONE, step / np.float32(LONG_S)))
    core[LEVEL, i] += a * distance
    core[LEVEL_SPREAD, i] += a * (abs(distance) - core[LEVEL_SPREAD, i])
    for k in range(4):
        core[MEAN + k, i] = s[_MEAN + k]
        core[SMOOTH + k, i] = s[_SMOOTH + k]
    core[SPREAD, i] = s[_SPREAD]
    core[FAST, i] = s[_FAST]
    day[h, i] = s[_DAY]
    scale[h, i] = s[_DAY_SCALE]
    week[w, i] = s[_WEEK]
    core[LAST, i] = x
    core[STEP, i] = q
    core[SPAN, i] = min(core[SPAN, i] + step, np.float32(1e7))
    core[SEEN, i] += ONE


@inlined
def _start(core: Array, day: Array, week: Array, i: int, h: int, value: Real) -> None:
    """The first value of a slot: a fresh one is centred on it; one with borrowed knowledge when it lies elsewhere."""
    origin = np.float32(value)
    if core[TRUST, i] > 0:
        x = np.float32(value - core[ORIGIN, i])
        near = core[HIGH, i] - core[LOW, i]
        if x < core[LOW, i] - near or x > core[HIGH, i] + near:
            _rescale(core, day, week, i, h, origin)
    else:
        core[ORIGIN, i] = origin


@kernel
def _rescale(core: Array, scale_day: Array, week: Array, i: int, h: int, origin: Real) -> None:
    """Moves borrowed knowledge to a slot whose values lie elsewhere; a larger magnitude brings wider bands."""
    old = abs(core[ORIGIN, i])
    ratio = max(ONE, abs(origin) / old) if old > TINY else ONE
    for row in range(LOW, VOTE):
        core[row, i] *= ratio
    core[SPREAD, i] *= ratio
    core[LEVEL_SPREAD, i] *= ratio
    for hour in range(24):
        scale_day[hour, i] *= ratio
    for hour in range(168):
        week[hour, i] *= ratio
    shift = scale_day[h, i]
    core[ORIGIN, i] = origin - shift if not np.isnan(shift) else origin


@inlined
def _open_bands(core: Array, i: int, f: Array) -> None:
    """A band starts at the first feature value, never at zero: that would be a value nobody saw."""
    if core[TRUST, i] == 0:
        for k in range(FEATURES):
            core[LOW + k, i] = f[k]
            core[HIGH + k, i] = f[k]
            core[CENTRE + k, i] = f[k]


@inlined
def _expected(core: Array, day: Array, i: int, h: int) -> Real:
    """The value that this hour usually has; before the hour was seen, the mean of the last two hours."""
    usual = day[h, i]
    return core[MEAN + 1, i] if np.isnan(usual) else core[MEAN + 3, i] + usual


@kernel
def _trial(
    core: Array, day: Array, scale: Array, week: Array, i: int, x: Real, dt: Real, q: Real, h: int, w: int,
    cfg: Array, s: Array, f: Array,
) -> Real:  # fmt: skip
    """The score that `x` would get now; nothing is learned."""
    _measure(core, day, scale, week, i, np.float32(x), dt, q, h, w, s, f)
    total, _ = _judge(core, i, cfg, f)
    return _score(total, s[_Z], cfg)


@kernel
def _edge(
    core: Array, day: Array, scale: Array, week: Array, i: int, inside: Real, side: Real, dt: Real, q: Real,
    h: int, w: int, cfg: Array, s: Array, f: Array,
) -> Real:  # fmt: skip
    """The last value below the line on one side of `inside` (float32 exact), infinite when none reaches it."""
    stride = np.float64(core[HIGH, i] - core[LOW, i]) * 0.25 + 1e-6 * abs(inside) + 1e-12
    outside = inside + side * stride
    while _trial(core, day, scale, week, i, outside, dt, q, h, w, cfg, s, f) < ALARM:
        inside = outside
        stride *= 4
        outside = inside + side * stride
        if abs(outside) > 1e30:
            return side * np.inf
    for _ in range(64):
        middle = 0.5 * (inside + outside)
        if np.float32(middle) == np.float32(inside) or np.float32(middle) == np.float32(outside):
            break
        if _trial(core, day, scale, week, i, middle, dt, q, h, w, cfg, s, f) < ALARM:
            inside = middle
        else:
            outside = middle
    return np.float64(np.float32(inside))


@kernel
def _bands(
    core: Array, day: Array, scale: Array, week: Array, i: int, dt: Real, q: Real, h: int, w: int,
    cfg: Array, s: Array, f: Array,
) -> tuple[Real, Real, Real]:  # fmt: skip
    """expected, lower, upper in distances from the origin. Where even the expected value alarms, the band is it."""
    expected = np.float64(_expected(core, day, i, h))
    if core[SEEN, i] + core[TRUST, i] <= cfg[WARM]:
        return expected, -np.inf, np.inf
    inside = expected
    if _trial(core, day, scale, week, i, inside, dt, q, h, w, cfg, s, f) >= ALARM:
        inside = np.float64(core[LAST, i])
        if _trial(core, day, scale, week, i, inside, dt, q, h, w, cfg, s, f) >= ALARM:
            return expected, expected, expected
    lower = _edge(core, day, scale, week, i, inside, -1.0, dt, q, h, w, cfg, s, f)
    upper = _edge(core, day, scale, week, i, inside, 1.0, dt, q, h, w, cfg, s, f)
    return min(max(expected, lower), upper), lower, upper


@kernel
def tick(
    core: Array, day: Array, scale: Array, week: Array, learned: Array, touched: Array, epoch: int,
    starts: Array, offsets: Array, cfg: Array, slot: Array, t: Array, value: Array,
    score: Array, onset: Array, level: Array, feature: Array, expected: Array, lower: Array, upper: Array,
    only_alarms: bool,
) -> None:  # fmt: skip
    """Scores and learns a batch, sample by sample; bands too where their arrays are not empty.

    With only_alarms the bands of samples below the line stay NaN.
    """
    s = np.zeros(SCRATCH, np.float32)
    f = np.zeros(FEATURES, np.float32)
    banded = expected.size > 0
    for j in range(slot.size):
        i = slot[j]
        seen = core[SEEN, i]
        if not np.isfinite(np.float32(value[j])) or (t[j] <= learned[i] and seen > 0):
            score[j] = 0
            onset[j] = 0
            level[j] = 0
            feature[j] = -1
            if banded:
                expected[j] = np.nan
                lower[j] = np.nan
                upper[j] = np.nan
            continue
        hour = local_hour(starts, offsets, t[j])
        h = hour % 24
        w = (hour + WEEK_SHIFT_H) % 168
        dt = ONE if seen == 0 else np.float32((t[j] - learned[i]) * 1e-3)
        if cfg[POINTS] > 0:
            dt = cfg[POINTS]
        q = _step(core, i, dt)
        if seen == 0:
            _start(core, day, week, i, h, value[j])
        x = np.float32(value[j] - core[ORIGIN, i])
        _measure(core, day, scale, week, i, x, dt, q, h, w, s, f)
        if seen == 0:
            _open_bands(core, i, f)
        total, which = _judge(core, i, cfg, f)
        score[j] = _score(total, s[_Z], cfg)
        if banded and (score[j] >= ALARM or not only_alarms):
            middle, low, high = _bands(core, day, scale, week, i, dt, q, h, w, cfg, s, f)
            expected[j] = core[ORIGIN, i] + middle
            lower[j] = core[ORIGIN, i] + low
            upper[j] = core[ORIGIN, i] + high
            _measure(core, day, scale, week, i, x, dt, q, h, w, s, f)  # the trials took its place
        elif banded:
            expected[j] = np.nan
            lower[j] = np.nan
            upper[j] = np.nan
        _learn(core, day, scale, week, i, x, dt, q, h, w, cfg, s, f, total)
        learned[i] = t[j]
        touched[w] = epoch
        onset[j] = total
        level[j] = s[_Z]
        feature[j] = which
