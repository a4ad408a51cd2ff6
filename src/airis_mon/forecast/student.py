"""Quantiles of Student's t without scipy, which the core does without."""

from __future__ import annotations

import math

REACH = 1e8
"""Quantiles are looked for up to here: that of one degree of freedom at 1 - 3e-9."""


def t_quantile(share: float, freedom: int) -> float:
    """The value that a t of `freedom` >= 1 degrees stays below with probability `share`, between .5 and 1 - 1e-8."""
    low, high = 0.0, REACH
    for _ in range(100):
        middle = (low + high) / 2
        if t_share(middle, freedom) < share:
            low = middle
        else:
            high = middle
    return high


def t_share(t: float, freedom: int) -> float:
    """The probability that a t stays below `t` >= 0; exact finite sums (Abramowitz and Stegun 1964, 26.7.3-4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    within = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return 0.5 + within / 2
