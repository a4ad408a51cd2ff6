"""How surely the farthest of some values is not there by chance."""

from __future__ import annotations

import math

from airis_mon.analyze.base import Verdict
from airis_mon.series.kernel import exact_kernel

STEPS = 300
"""Of the continued fraction: it ends far earlier for every number of values that an analysis takes."""


def confidence(verdict: Verdict, count: int) -> float:
    """How sure the verdict over `count` values is, 0..1: 1 - p when it says anomaly, p when not.

    p: the chance that of as many independent normal values the farthest lies at least so far out (Grubbs 1950,
    doi:10.1214/aoms/1177729885): the leave-one-out z times sqrt((n - 1) / n) is Student's t with n - 2 degrees of
    freedom, over n values by Bonferroni. Equal values are surely none; 0 when no method could judge.
    """
    if verdict.score is None:
        return 1.0 if count > 2 else 0.0
    if verdict.why.keys() >= verdict.thresholds.keys():
        return 0.0
    p = farthest(verdict.score, count)
    return 1.0 - p if verdict.is_anomaly else p


def farthest(z: float, count: int) -> float:
    """How likely the largest |leave-one-out z| among `count` >= 3 normal values is, by Bonferroni."""
    if math.isinf(z):
        return 0.0
    freedom = count - 2
    t2 = z * z * (count - 1) / count
    return float(min(1.0, count * incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t2))))


@exact_kernel
def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by its continued fraction (Lentz 1976; DLMF 8.17.22)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # converges fast on the other side only
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    h = d
    for m in range(1, STEPS):
        for even in (True, False):
            if even:
                term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            else:
                term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            d = 1.0 / (1.0 + term * d)
            c = 1.0 + term / c
            h *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * h / a
