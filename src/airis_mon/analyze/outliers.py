"""Which values are unlike the others: four judges and one stated vote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airis_mon.analyze.base import METHODS, Outlier, Verdict
from airis_mon.analyze.isolation import scores as isolations
from airis_mon.analyze.statistics import middle, quantile, spread
from airis_mon.errors import InputError
from airis_mon.series.batch import Values
from airis_mon.series.kernel import exact_kernel

SHORT = 30
"""Below so many values leave-one-out z decides alone."""
FENCE, MODIFIED, ISOLATED = 1.5, 3.5, 0.7
NEEDS = {"zscore": 3, "iqr": 4, "mad": 3, "isolation_forest": 3}
"""Values that each judge needs."""


def verdict(
    value: Values,
    *,
    threshold: float = 2.5,
    methods: Sequence[str] = METHODS,
    order: NDArray[np.int64] | None = None,
) -> Verdict:
    """Whether some of the values (n,) are unlike the others, and which. order: their argsort, if it is at hand."""
    unknown = [m for m in methods if m not in METHODS]
    if unknown or not methods:
        raise InputError(f"methods: {unknown[0] if unknown else 'none'!r} is not one of {', '.join(METHODS)}")
    order = np.argsort(value) if order is None else order
    ordered = value[order]
    scores = _scores(value, ordered)
    isolation = np.empty(len(value))
    isolation[order] = isolations(ordered)
    scores[3] = isolation
    thresholds = {"zscore": float(threshold), "iqr": FENCE, "mad": MODIFIED, "isolation_forest": ISOLATED}
    why = {m: f"needs {NEEDS[m]} values, has {len(value)}" for m in methods if len(value) < NEEDS[m]}
    for i, m in enumerate(METHODS):
        if m in methods and m not in why and np.isnan(scores[i, 0]):
            why[m] = "half of the values or more are equal" if m == "iqr" else "all values are equal"
    able = [m for m in METHODS if m in methods and m not in why]
    vote = "short" if len(value) < SHORT and "zscore" in able else "majority"
    above = np.abs(scores) > np.array([thresholds[m] for m in METHODS])[:, None]
    voters = ["zscore"] if vote == "short" else able
    rows = [METHODS.index(m) for m in voters]
    flagged = above[rows].sum(axis=0) > len(rows) / 2 if rows else np.zeros(len(value), np.bool_)
    points = tuple(
        Outlier(
            index=int(i),
            value=float(value[i]),
            score=float(scores[0, i]),
            methods=tuple(m for m in able if above[METHODS.index(m), i]),
            scores={m: float(scores[METHODS.index(m), i]) for m in able},
        )
        for i in np.flatnonzero(flagged)
    )
    z = np.abs(scores[0])
    at = None if np.isnan(z).any() else int(z.argmax())
    return Verdict(
        is_anomaly=bool(points),
        score=None if at is None else float(z[at]),
        index=at,
        threshold=float(threshold),
        thresholds={m: thresholds[m] for m in METHODS if m in methods},
        vote=vote,
        points=points,
        why=why,
    )


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
    mean = value[0]
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
