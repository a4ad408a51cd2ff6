"""The record detector's arithmetic on one block of slots.

`measure` and `judge` only read the block and leave their findings in the scratch `s`, so that the same code scores a
sample, values on trial for a band, and what `learn` then writes. Numbers without a name stand in `_rows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect._rows import (
    AGE,
    ALARM,
    AMOUNT,
    AMOUNT_SCALED,
    BEST,
    BORN_S,
    CLIP,
    COUNT,
    DAY,
    DAY_LEVEL,
    DAY_SCALE,
    DAY_SCALES,
    DAYS,
    DECAY,
    DISTANCE,
    DT,
    EASE,
    EPOCH,
    EPOCH_S,
    EXCESS,
    FADE,
    FAST,
    FAST_CLIP,
    FASTS,
    FEATURES,
    FIRST_SCALED,
    FIRST_WEEKLY,
    FLOOR,
    GAP_S,
    GAP_STEPS,
    HIGH,
    LAST,
    LAST_WEEKLY,
    LEVEL,
    LEVEL_DOUBTED,
    LEVEL_LINE,
    LEVEL_MATURE_S,
    LEVEL_PROFILE_RATE,
    LEVEL_S,
    LEVEL_SPREAD,
    LEVEL_YOUNG,
    LINE,
    LONG,
    LONG_S,
    LONG_STEPS,
    LOW,
    MASK,
    MATURE_S,
    MATURITY,
    MEAN,
    MEAN_S,
    MEAN_STEPS,
    MEANS,
    MOST_EARLY,
    MOST_LEVEL,
    NEAR_HIGH,
    NEAR_LOW,
    NEW,
    NIL,
    OLD,
    ONE,
    ORIGIN,
    PASSED,
    PEAK,
    PROFILE_RATE,
    REARM_S,
    REARM_STEPS,
    RW,
    RZ,
    SCORE,
    SEEN,
    SILENT,
    SIZE,
    SMOOTH,
    SMOOTHS,
    SPAN,
    SPREAD,
    SPREADS,
    STEP,
    STEPS,
    STILL,
    STRETCH,
    TAKEN,
    TINY,
    TOTAL,
    TRUST,
    VOTE,
    WARM,
    WEEK,
    WEEK_S,
    WEEKLY_VOTES_S,
    WEEKS,
    WHICH,
    F,
    L,
    R,
    X,
    Z,
)  # fmt: skip
from airis_mon.series.kernel import inlined, kernel

Array = NDArray[Any]


@kernel
def measure(b: Array, s: Array, settings: Array) -> None:
    """What the slots would know after the values X, and the features of X."""
    _pace(b, s)
    _taken(b, s, settings)
    _means(b, s)
    _residuals(b, s)
    _features(b, s)
    _level(b, s, settings)


@kernel
def _pace(b: Array, s: Array) -> None:
    """The usual distance of samples (a running median, quick at the start) and how far this one moves the means."""
    for i in range(L):
        n = b[SEEN * L + i]
        dt = s[DT * L + i]
        step = b[STEP * L + i]
        quick = np.float32(0.7) if n < 16 else np.float32(0.95)
        step = max(dt, step * quick) if dt < step else min(dt, step * np.float32(1.05))
        step = dt if n <= 1 else step
        count = n + b[TRUST * L + i]
        passed = min(dt, step)
        s[STEPS * L + i] = step
        s[PASSED * L + i] = passed
        s[COUNT * L + i] = count
        s[LONG * L + i] = max(ONE / (count + ONE), min(ONE, passed / max(LONG_S, LONG_STEPS * step)))
        s[SILENT * L + i] = ONE if dt > GAP_STEPS * step and dt > GAP_S else NIL


@kernel
def _taken(b: Array, s: Array, settings: Array) -> None:
    """The value as far as the band of values will take it in: means and profiles learn no more of a giant either."""
    for i in range(L):
        x = s[X * L + i]
        low = b[LOW * L + i]
        high = b[HIGH * L + i]
        most = settings[STRETCH] * (high - low)
        known = s[COUNT * L + i] > OLD and most > 0
        s[TAKEN * L + i] = min(max(x, low - most), high + most) if known else x


@kernel
def _means(b: Array, s: Array) -> None:
    """The four means. After a long silence they first move towards the present: their age alone is no anomaly."""
    for k in range(4):
        tau_s = np.float32(MEAN_S[k])
        steps = np.float32(MEAN_STEPS[k])
        for i in range(L):
            x = s[TAKEN * L + i]
            dt = s[DT * L + i]
            tau = max(tau_s, steps * s[STEPS * L + i])
            usual = b[DAY * L + i]
            target = x - usual if k == 3 and usual == usual else x
            mean = b[(MEAN + k) * L + i]
            mean += (target - mean) * (dt / (dt + tau) * s[SILENT * L + i])
            a = max(ONE / (s[COUNT * L + i] + ONE), min(ONE, s[PASSED * L + i] / tau))
            s[(MEANS + k) * L + i] = mean + (x - mean) * a


@kernel
def _residuals(b: Array, s: Array) -> None:
    """Distances from the hour of the day and of the week, and the profiles after them; NaN = hour not seen."""
    for i in range(L):
        x = s[TAKEN * L + i]
        passed = s[PASSED * L + i]
        dev = x - s[(MEANS + 3) * L + i]
        spread = b[SPREAD * L + i]
        rate = min(ONE, PROFILE_RATE * passed)
        usual = b[DAY * L + i]
        r = dev - usual if usual == usual else NIL
        scale = b[DAY_SCALE * L + i]
        scale = scale + rate * (min(abs(r), 4 * spread) - scale) if usual == usual else spread
        s[DAYS * L + i] = usual + rate * r if usual == usual else dev
        s[DAY_SCALES * L + i] = scale
        spread += (abs(r) - spread) * s[LONG * L + i]
        s[SPREADS * L + i] = spread
        amount = abs(s[(MEANS + 3) * L + i] + b[ORIGIN * L + i])
        size = np.float32(0.5) * (scale + spread) + FLOOR * amount + TINY
        s[AMOUNT * L + i] = amount
        s[AMOUNT_SCALED * L + i] = amount / size
        weekly = b[WEEK * L + i]
        rw = x - weekly if weekly == weekly else (r if b[SPAN * L + i] >= WEEK_S else NIL)
        s[WEEKS * L + i] = weekly + min(ONE, np.float32(1.5) * rate) * rw if weekly == weekly else x
        s[R * L + i] = r
        s[RZ * L + i] = r / size
        s[RW * L + i] = rw
    for i in range(L):
        passed = s[PASSED * L + i]
        quick = min(ONE, passed / max(np.float32(MEAN_S[0]), np.float32(MEAN_STEPS[0]) * s[STEPS * L + i]))
        slow = min(ONE, passed / max(np.float32(MEAN_S[1]), np.float32(MEAN_STEPS[1]) * s[STEPS * L + i]))
        hour = b[SMOOTH * L + i]
        scaled = b[(SMOOTH + 1) * L + i]
        week = b[(SMOOTH + 2) * L + i]
        longer = b[(SMOOTH + 3) * L + i]
        s[SMOOTHS * L + i] = hour + (s[R * L + i] - hour) * quick
        s[(SMOOTHS + 1) * L + i] = scaled + (s[RZ * L + i] - scaled) * quick
        s[(SMOOTHS + 2) * L + i] = week + (s[RW * L + i] - week) * quick
        s[(SMOOTHS + 3) * L + i] = longer + (s[RW * L + i] - longer) * slow


@kernel
def _features(b: Array, s: Array) -> None:
    """The 13 features, in the order of `Record.FEATURES`."""
    for i in range(L):
        x = s[X * L + i]
        last = b[LAST * L + i]
        last += (x - last) * (ONE - s[STEPS * L + i] / s[DT * L + i]) * s[SILENT * L + i]
        s[F * L + i] = x
        s[(F + 1) * L + i] = x - last
        s[(F + 2) * L + i] = x - s[(MEANS + 1) * L + i]
        s[(F + 3) * L + i] = s[MEANS * L + i] - s[(MEANS + 2) * L + i]
        s[(F + 4) * L + i] = s[(MEANS + 1) * L + i] - s[(MEANS + 3) * L + i]
        s[(F + 5) * L + i] = s[R * L + i]
        s[(F + 6) * L + i] = s[SMOOTHS * L + i]
        s[(F + 7) * L + i] = x - s[(MEANS + 3) * L + i]
        s[(F + 8) * L + i] = s[RW * L + i]
        s[(F + 9) * L + i] = s[(SMOOTHS + 2) * L + i]
        s[(F + 10) * L + i] = s[(SMOOTHS + 3) * L + i]
        s[(F + 11) * L + i] = s[RZ * L + i]
        s[(F + 12) * L + i] = s[(SMOOTHS + 1) * L + i]


@kernel
def _level(b: Array, s: Array, settings: Array) -> None:
    """The level channel: how far a quick mean of the value less its hour lies from a slow one, in usual distances.

    What is usual takes samples and hours to learn: until then a distance counts for less, in warm-up for nothing, and
    however many times the usual it is (a constant has none), it counts for no more than the little seen can bear.
    """
    mature = settings[MATURITY] * LEVEL_MATURE_S
    for i in range(L):
        count = s[COUNT * L + i]
        fast = b[FAST * L + i]
        level = b[LEVEL * L + i]
        size = b[LEVEL_SPREAD * L + i] + np.float32(0.002) * (b[HIGH * L + i] - b[LOW * L + i])
        size += FLOOR * abs(level + b[ORIGIN * L + i]) + TINY
        x = s[X * L + i] - b[DAY_LEVEL * L + i]
        far = FAST_CLIP * size
        x = min(max(x, level - far), level + far) if count > LEVEL_YOUNG else x
        fast += (x - fast) * np.float32(1 / 3)
        s[FASTS * L + i] = fast
        s[DISTANCE * L + i] = fast - level
        s[SIZE * L + i] = size
        few = settings[EASE] / max(count, ONE)
        doubt = few * few + mature / (b[SPAN * L + i] + ONE)
        z = abs(fast - level) / size
        s[Z * L + i] = z / (ONE + doubt * (ONE + z / LEVEL_DOUBTED)) if count > settings[WARM] else NIL


@kernel
def judge(b: Array, s: Array, settings: Array) -> None:
    """Votes with this sample's, the onset (TOTAL, 0 = no alarm), the strongest feature and the score."""
    for i in range(L):
        s[TOTAL * L + i] = 0
        s[BEST * L + i] = 0
        s[WHICH * L + i] = -1
    for k in range(FEATURES):
        _vote(b, s, settings, k)
    line = settings[LINE]
    for i in range(L):
        total = s[TOTAL * L + i]
        rings = s[WHICH * L + i] >= 0 and total > b[PEAK * L + i]
        total = total if rings else NIL
        s[TOTAL * L + i] = total
        s[WHICH * L + i] = s[WHICH * L + i] if rings else np.float32(-1)
        onset = ALARM * total / line if total < line else ONE - np.float32(0.2) * line / total
        level = ALARM * s[Z * L + i] / (s[Z * L + i] + settings[LEVEL_LINE])
        s[SCORE * L + i] = max(onset, min(level, MOST_LEVEL))


@inlined
def _vote(b: Array, s: Array, settings: Array, k: int) -> None:
    """Feature k votes by how far it lies outside its band, in widths of the band.

    A slot that knows little needs more: by samples seen, and by time for features that need hours or days to settle.
    The value and its step speak soonest: a newcomer's spike must be seen within minutes, at the price of some alarms
    on its first day. A band that never opened says nothing, except for these two. A band of what stands still counts
    as wider than it is: a rounding error is no anomaly.
    """
    mature = settings[MATURITY] * np.float32(MATURE_S[k])
    weekly = FIRST_WEEKLY <= k <= LAST_WEEKLY
    born = np.float32(BORN_S[k])
    still = np.float32(STILL[k])
    since = WEEKLY_VOTES_S if weekly else born
    amount = AMOUNT if k < FIRST_SCALED else AMOUNT_SCALED
    for i in range(L):
        v = s[(F + k) * L + i]
        low = b[(LOW + k) * L + i]
        high = b[(HIGH + k) * L + i]
        vote = b[(VOTE + k) * L + i]
        count = s[COUNT * L + i]
        span = b[SPAN * L + i]
        middle = np.float32(0.5) * (low + high)
        reach = still * s[amount * L + i]
        above = max(NIL, v - max(high, middle + reach))
        out = max(above, min(low, middle - reach) - v)  # of two each: a maximum of three is a loop of its own
        floor = TINY + (FLOOR * s[AMOUNT * L + i] if k == 0 else NIL)
        few = settings[EASE] / max(count, ONE)
        early = mature / (max(span - born, NIL) + ONE)
        early = min(early, MOST_EARLY) if k < 2 else early * early
        need = settings[EXCESS] * (ONE + few * few + early) * (high - low + floor)
        heard = count > settings[WARM] and (k < 2 or high > low) and span >= since
        g = out / (out + need) if heard else NIL
        better = g > vote and g > s[BEST * L + i]
        s[WHICH * L + i] = np.float32(k) if better else s[WHICH * L + i]
        s[BEST * L + i] = g if better else s[BEST * L + i]
        vote = max(vote, g)
        s[(NEW + k) * L + i] = vote
        s[TOTAL * L + i] += vote


@kernel
def learn(b: Array, s: Array, settings: Array) -> None:
    """Writes what was found into the masked lanes; the others stay as they are."""
    _learn_bands(b, s, settings)
    _learn_peak(b, s, settings)
    _learn_level(b, s)
    for i in range(L):
        here = s[MASK * L + i] > 0
        span = min(b[SPAN * L + i] + s[PASSED * L + i], np.float32(1e7))
        b[SPREAD * L + i] = s[SPREADS * L + i] if here else b[SPREAD * L + i]
        b[DAY * L + i] = s[DAYS * L + i] if here else b[DAY * L + i]
        b[DAY_SCALE * L + i] = s[DAY_SCALES * L + i] if here else b[DAY_SCALE * L + i]
        b[WEEK * L + i] = s[WEEKS * L + i] if here else b[WEEK * L + i]
        b[LAST * L + i] = s[X * L + i] if here else b[LAST * L + i]
        b[STEP * L + i] = s[STEPS * L + i] if here else b[STEP * L + i]
        b[SPAN * L + i] = span if here else b[SPAN * L + i]
        b[SEEN * L + i] += ONE if here else NIL
    for k in range(4):
        for i in range(L):
            here = s[MASK * L + i] > 0
            b[(MEAN + k) * L + i] = s[(MEANS + k) * L + i] if here else b[(MEAN + k) * L + i]
            b[(SMOOTH + k) * L + i] = s[(SMOOTHS + k) * L + i] if here else b[(SMOOTH + k) * L + i]


@kernel
def _learn_bands(b: Array, s: Array, settings: Array) -> None:
    """Bands widen, votes fade. Both seldom change, and what stays is not written: memory need not take it back."""
    near = b.view(np.uint32)
    turn = False
    for i in range(L):
        here = s[MASK * L + i] > 0
        age = b[EPOCH * L + i] + (s[PASSED * L + i] if here else NIL)
        b[EPOCH * L + i] = age
        turn |= here and age > max(settings[EPOCH_S], np.float32(500) * s[STEPS * L + i])
        fade = ONE / (ONE + s[DT * L + i] / s[STEPS * L + i] * (ONE / settings[DECAY] - ONE))
        s[FADE * L + i] = fade if here else ONE
    if turn:
        _turn(b, s, settings, near)
    wider = np.uint32(0)
    voted = np.uint32(0)
    for k in range(FEATURES):
        bit = np.uint32(1 << k)
        for i in range(L):
            mine = bit if s[MASK * L + i] > 0 else np.uint32(0)
            v = s[(F + k) * L + i]
            low = b[(LOW + k) * L + i]
            high = b[(HIGH + k) * L + i]
            middle = np.float32(0.5) * (low + high)
            near[NEAR_LOW * L + i] |= mine if v <= middle else np.uint32(0)
            near[NEAR_HIGH * L + i] |= mine if v >= middle else np.uint32(0)
            wider |= mine if v < low or v > high else np.uint32(0)
            voted |= mine if s[(NEW + k) * L + i] > 0 or b[(VOTE + k) * L + i] > 0 else np.uint32(0)
    for k in range(FEATURES):
        if wider >> np.uint32(k) & np.uint32(1):
            _widen(b, s, settings, k)
        if voted >> np.uint32(k) & np.uint32(1):
            for i in range(L):
                vote = s[(NEW + k) * L + i] * s[FADE * L + i]
                vote = vote if vote > np.float32(1e-4) else NIL
                b[(VOTE + k) * L + i] = vote if s[MASK * L + i] > 0 else b[(VOTE + k) * L + i]


@kernel
def _widen(b: Array, s: Array, settings: Array, k: int) -> None:
    """Takes the value into the band; a band that is not young grows by so many of its widths at most in one sample.

    One giant therefore does not blind the slot to lesser ones, and a shift that stays is taken in within samples.
    """
    for i in range(L):
        here = s[MASK * L + i] > 0
        v = s[(F + k) * L + i]
        low = b[(LOW + k) * L + i]
        high = b[(HIGH + k) * L + i]
        most = settings[STRETCH] * (high - low)
        most = np.float32(np.inf) if s[COUNT * L + i] <= OLD or most <= 0 else most
        b[(LOW + k) * L + i] = max(min(v, low), low - most) if here else low
        b[(HIGH + k) * L + i] = min(max(v, high), high + most) if here else high


@kernel
def _turn(b: Array, s: Array, settings: Array, near: Array) -> None:
    """A new epoch: an end of a band whose half nothing entered in the whole last one moves in by a quarter."""
    for i in range(L):
        if s[MASK * L + i] > 0 and b[EPOCH * L + i] > max(settings[EPOCH_S], np.float32(500) * s[STEPS * L + i]):
            b[EPOCH * L + i] = 0
            for k in range(FEATURES):
                bit = np.uint32(1 << k)
                pull = np.float32(0.25) * (b[(HIGH + k) * L + i] - b[(LOW + k) * L + i])
                if near[NEAR_LOW * L + i] & bit == 0:
                    b[(LOW + k) * L + i] += pull
                if near[NEAR_HIGH * L + i] & bit == 0:
                    b[(HIGH + k) * L + i] -= pull
            near[NEAR_LOW * L + i] = 0
            near[NEAR_HIGH * L + i] = 0


@kernel
def _learn_peak(b: Array, s: Array, settings: Array) -> None:
    """The highest total stands until the slot re-arms; only a higher one rings before that."""
    for i in range(L):
        here = s[MASK * L + i] > 0
        total = s[TOTAL * L + i]
        age = NIL if total > 0 else b[AGE * L + i] + s[DT * L + i]
        again = age > max(settings[REARM_S], settings[REARM_STEPS] * s[STEPS * L + i])
        peak = total if total > 0 else b[PEAK * L + i]
        b[PEAK * L + i] = (NIL if again else peak) if here else b[PEAK * L + i]
        b[AGE * L + i] = (NIL if again else age) if here else b[AGE * L + i]


@kernel
def _learn_level(b: Array, s: Array) -> None:
    """The slow mean takes in what is near; of what is far only a little, so that a long anomaly is not learned."""
    for i in range(L):
        here = s[MASK * L + i] > 0
        old = s[COUNT * L + i] > LEVEL_YOUNG
        size = CLIP * s[SIZE * L + i]
        distance = s[DISTANCE * L + i]
        distance = min(max(distance, -size), size) if old else distance
        a = max(ONE / (s[COUNT * L + i] + ONE), min(ONE, s[PASSED * L + i] / LEVEL_S)) if here else NIL
        usual = s[X * L + i] - b[DAY_LEVEL * L + i] - b[LEVEL * L + i]
        usual = min(max(usual, -size), size) if old and here else NIL
        spread = b[LEVEL_SPREAD * L + i]
        b[DAY_LEVEL * L + i] += min(ONE, s[PASSED * L + i] * LEVEL_PROFILE_RATE) * usual
        b[LEVEL * L + i] += a * distance
        b[LEVEL_SPREAD * L + i] = spread + a * (abs(distance) - spread)
        b[FAST * L + i] = s[FASTS * L + i] if here else b[FAST * L + i]
