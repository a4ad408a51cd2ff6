"""BARO's RobustScorer: how many interquartile ranges a signal is from the median of its history.

Pham, Ha & Zhang, "BARO: robust root cause analysis for microservices via multivariate Bayesian online change point
detection" (FSE 2024, doi:10.1145/3660805). Of both signs, where their code takes rises only: an availability falls.
Where half of the history is one value the range is zero: the deviation stands in, not the published 1, which would let
units decide.
"""

from __future__ import annotations

import numpy as np

from airis_mon.yardstick.cases import Case, Floats
from airis_mon.yardstick.ranking import deviations, per_candidate, quantiles, worst


def rank(case: Case) -> Floats:
    """(candidate,) its largest distance in the window."""
    low, middle, high = quantiles(case.history, 0.25, 0.5, 0.75)
    n = np.maximum(np.isfinite(case.history).sum(axis=0), 1)
    spread = np.sqrt(np.nansum((case.history - middle) ** 2, axis=0) / n)
    far = np.abs(deviations(case, middle, np.where(high > low, high - low, spread)))
    return per_candidate(case, worst(far))
