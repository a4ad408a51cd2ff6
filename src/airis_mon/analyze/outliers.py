"""Which values are unlike the others: four judges and one stated vote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airis_mon.analyze import isolation
from airis_mon.analyze.base import METHODS, Outlier, Verdict
from airis_mon.analyze.statistics import middle, quantile, spread
from airis_mon.errors import InputError
from airis_mon.series.batch import Values
from airis_mon.series.kernel import exact_kernel

SHORT = 12
"""Below so many values leave-one-out z decides alone: of few, no other judge can see one that is strange."""
FENCE = 1.5
"""Interquartile ranges beyond a quartile (Tukey 1977)."""
MODIFIED = 3.5
"""Of |0.6745 (x - median) / MAD| (Iglewicz and Hoaglin 1993)."""
ISOLATED = 0.8
"""Of the forest's score: passed in 14 % of clean Gaussian windows of 100 values; at 0.7 in 98 %."""
NEEDS = {"zscore": 3, "iqr": 4, "mad": 3, "isolation_forest": 3}
"""Values that each judge needs."""

Places = NDArray[np.int64]
Claims = NDArray[np.bool_]


def verdict(
    value: Values,
    *,
    threshold: float = 2.5,
    methods: Sequence[str] = METHODS,
    order: Places | None = None,
) -> Verdict:
    """Whether some of the values (n,) are unlike the others, and which. order: their argsort, if it is at hand.

    threshold is of leave-one-out z: in-sample z of n values never exceeds (n - 1) / sqrt(n), so 2.5 not before the
    ninth. Below `SHORT` values it decides alone ("short"); else more than half of the methods that can judge decide
    ("majority": 3 of 4). Where the MAD is 0 the mean distance times 1.2533 stands in for it; interquartile ranges of 0
    can't judge.

    Clean windows in which this vote flags any point, of 1,000 (300) each with 8, 12, 20, 50, 100, 1,000 values, and z
    alone: Gaussian 43, 10, 9, 10, 17, 44 % (z: 43, 44, 46, 68, 82, 100); Student-t(4) 59, 25, 35, 63, 86, 100 % (59,
    61, 76, 95, 99, 100); lognormal 74, 61, 79, 98, 100, 100 % (74, 82, 93, 100, 100, 100); a noisy sine of 25 points
    47, 2, 0, 0, 0, 0 % (47, 54, 0, 0, 0, 0). So one flag in heavy tails is no news; of Gaussian points at 100 values .2
    % have one. A planted point six sd from the mean is found in 99 % at 12 values, else always; by z alone always.
    Raises InputError for an unknown method or a threshold that is not positive.
    """
    _check(threshold, methods)
    order = np.argsort(value) if order is None else order
    limits = np.array([threshold, FENCE, MODIFIED, ISOLATED])
    scores, is_able, is_short, flagged, at = _judged(value, order, limits, np.array([m in methods for m in METHODS]))
    able = [m for m, can in zip(METHODS, is_able.tolist(), strict=True) if can]
    points = tuple(_told(i, float(value[i]), scores[:, i].tolist(), limits.tolist(), able) for i in flagged.tolist())
    return Verdict(
        is_anomaly=bool(points),
        score=abs(float(scores[0, at])) if at >= 0 else None,
        index=int(at) if at >= 0 else None,
        threshold=float(threshold),
        thresholds={m: limit for m, limit in zip(METHODS, limits.tolist(), strict=True) if m in methods},
        vote="short" if is_short else "majority",
        points=points,
        why={m: _why(len(value), m) for m in METHODS if m in methods and m not in able},
    )


def _check(threshold: float, methods: Sequence[str]) -> None:
    if not threshold > 0:
        raise InputError(f"threshold {threshold} must be > 0, such as 2.5")
    unknown = [m for m in methods if m not in METHODS]
    if unknown:
        raise InputError(f"method {unknown[0]!r} is unknown; choose of {', '.join(METHODS)}")
    if not methods:
        raise InputError(f"methods is empty; choose of {', '.join(METHODS)}")


def _why(n: int, method: str) -> str:
    """Why a method cannot judge n values."""
    if n < NEEDS[method]:
        return f"needs {NEEDS[method]} values, has {n}"
    return "the middle half of the values is equal" if method == "iqr" else "all values are equal"


def _told(index: int, value: float, scores: list[float], limits: list[float], able: list[str]) -> Outlier:
    by = {m: score for m, score in zip(METHODS, scores, strict=True) if m in able}
    limit = dict(zip(METHODS, limits, strict=True))
    return Outlier(index, value, scores[0], tuple(m for m in able if abs(by[m]) > limit[m]), by)


@exact_kernel
def _judged(value: Values, order: Places, limits: Values, asked: Claims) -> tuple[Values, Claims, bool, Places, int]:
    """(scores, which methods were asked and can judge, whether z decides alone, places flagged, place of greatest |z|).

    scores: (methods, n) signed z, interquartile ranges beyond a quartile, signed modified z, the forest's.
    """
    n = len(value)
    ordered = np.empty(n)
    for i in range(n):
        ordered[i] = value[order[i]]
    scores = _scores(value, ordered)
    if n >= 3 and ordered[0] < ordered[-1]:
        isolated = isolation.scores(ordered)
        for i in range(n):
            scores[3, order[i]] = isolated[i]
    able = asked & ~np.isnan(scores[:, 0])
    is_short = bool(n < SHORT and able[0])
    flagged, at = _voted(scores, limits, np.arange(len(able)) == 0 if is_short else able)
    return scores, able, is_short, flagged, at


@exact_kernel
def _voted(scores: Values, limits: Values, voters: Claims) -> tuple[Places, int]:
    """(places that more than half of the voters flag, place of the greatest |z| or -1)."""
    n = scores.shape[1]
    flagged = np.empty(n, np.int64)
    count, at = 0, -1
    for i in range(n):
        votes = 0
        for m in range(len(limits)):
            if voters[m] and abs(scores[m, i]) > limits[m]:
                votes += 1
        if 2 * votes > voters.sum():
            flagged[count] = i
            count += 1
        z = abs(scores[0, i])
        if z >= 0 and (at < 0 or z > abs(scores[0, at])):
            at = i
    return flagged[:count], at


@exact_kernel
def _scores(value: Values, ordered: Values) -> Values:
    """(methods, n); a row of NaN = cannot judge."""
    n = len(value)
    found = np.full((4, n), np.nan)
    if n < 3 or ordered[0] == ordered[-1]:
        return found
    left_out(value, found[0])
    if n >= 4:
        low, high = quantile(ordered, 0.25), quantile(ordered, 0.75)
        if high > low:
            for i in range(n):
                beyond = max(value[i] - high, low - value[i], 0.0)
                found[1, i] = beyond / (high - low)
    centre = middle(ordered)
    scale = spread(ordered, centre) / 0.6745
    if scale == 0:
        for x in value:
            scale += abs(x - centre)
        scale *= 1.253314 / n
    for i in range(n):
        found[2, i] = (value[i] - centre) / scale
    return found


@exact_kernel
def left_out(value: Values, found: Values) -> None:
    """Writes (x - mean of the others) / sample sd of the others: infinite where those are all equal and x differs."""
    n = len(value)
    value = value - value[0]  # beside a great level a mean has no room for the digits of the distances
    mean = 0.0
    for _ in range(2):
        lost = 0.0
        for x in value:
            lost += x - mean
        mean += lost / n
    total = 0.0
    for x in value:
        total += (x - mean) ** 2
    for i in range(n):
        d = value[i] - mean
        others = total - d * d * n / (n - 1)
        centre = mean - d / (n - 1)
        if others < 0.5 * total:  # one value holds most of the sum: what is left of it has lost its digits
            centre, others = _without(value, i)
        away = value[i] - centre
        found[i] = away / np.sqrt(others / (n - 2)) if others > 0 else (0.0 if away == 0 else np.copysign(np.inf, away))


@exact_kernel
def _without(value: Values, left: int) -> tuple[float, float]:
    """(mean, sum of squares about it) of all values but one."""
    n = len(value)
    mean = value[1] if left == 0 else value[0]
    for _ in range(2):
        lost = 0.0
        for i in range(n):
            if i != left:
                lost += value[i] - mean
        mean += lost / (n - 1)
    total = 0.0
    for i in range(n):
        if i != left:
            total += (value[i] - mean) ** 2
    return mean, total
