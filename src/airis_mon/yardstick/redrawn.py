"""Figures of things that lie in worlds, with intervals: worlds are drawn again, then what lies in each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airis_mon.yardstick.base import Estimate, Sums

ROUNDS = 1000


def ratio(above: Sums, below: Sums) -> Sums:
    """A quotient of sums, as `Resampled.estimate` takes it; not defined where nothing is below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / below)


def percentile(groups: Sequence[Sequence[float]], percent: float, seed: int = 0) -> Estimate:
    """Of all numbers together, with the interval that `resampled` gives to ratios; NaN without numbers."""
    kept = [np.asarray(group, float) for group in groups if len(group)]
    if not kept:
        return Estimate(np.nan, np.nan, np.nan, 0)
    rng = np.random.default_rng(seed)
    again = [_percentile(_drawn(kept, rng), percent) for _ in range(ROUNDS)]
    low, high = np.percentile(again, (2.5, 97.5)).tolist()
    return Estimate(_percentile(kept, percent), low, high, sum(map(len, kept)))


def _drawn(groups: Sequence[Sums], rng: np.random.Generator) -> list[Sums]:
    chosen = [groups[i] for i in rng.integers(0, len(groups), len(groups))]
    return [group[rng.integers(0, len(group), len(group))] for group in chosen]


def _percentile(groups: Sequence[Sums], percent: float) -> float:
    return float(np.percentile(np.concatenate(groups), percent))
