"""Ranked correlation: of what is anomalous, the one that moves most like the alarm.

The baseline of Hardt et al., "The PetShop dataset" (CLeaR 2024, arXiv 2311.04806). Anomalous: farther from the median
of its history than 5 median absolute deviations (scaled to a normal's). They rank by p-value; -(n - 2) log(1 - r^2) has
the same order where all have as many rows n. The entity that alarmed is no suspect. Theirs says nothing at all where
what alarmed is not anomalous; this one answers all the same.
"""

from __future__ import annotations

import numpy as np

from airis_mon.yardstick.cases import Case, Floats
from airis_mon.yardstick.ranking import LEAST_HISTORY, correlation, per_candidate, quantiles

LINE, NORMAL = 5.0, 1.4826


def rank(case: Case) -> Floats:
    """(candidate,) by its signal of the kind that alarmed; -inf where none is anomalous."""
    r, n = correlation(case)
    with np.errstate(divide="ignore"):
        score = -(n - 2) * np.log(1 - r**2)
    best = per_candidate(case, np.where(_anomalous(case) & (r > 0), score, -np.inf))
    return np.where(np.array(case.candidates) == case.alarmed, -np.inf, best)


def _anomalous(case: Case) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(signal,) at the first row, from the middle of the window on, at which what alarmed is; or at the last row."""
    (median,) = quantiles(case.history, 0.5)
    (usual,) = quantiles(np.abs(case.history - median), 0.5)
    is_far = np.abs(case.window - median) > LINE * NORMAL * usual
    is_far &= np.isfinite(case.history).sum(axis=0) >= LEAST_HISTORY
    middle = len(is_far) // 2
    alarm = is_far[middle:, case.target]
    return np.asarray(is_far[middle + int(alarm.argmax()) if alarm.any() else -1])
