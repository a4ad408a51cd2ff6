"""Ratios and percentiles of things that lie in worlds, with the intervals of `base.resampled`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airis_mon.yardstick.base import Estimate, Sums, resampled


def ratio(above: Sums, below: Sums) -> Sums:
    """A quotient of sums, as `Resampled.estimate` takes it; not defined where nothing is below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / below)


def percentile(groups: Sequence[Sequence[float]], percent: float, seed: int = 0) -> Estimate:
    """Of all numbers together; NaN without numbers. Cost O(rounds x numbers^2): for hundreds of them."""
    value, column = np.unique(np.concatenate([np.empty(0), *groups]), return_inverse=True)
    if not len(value):
        return Estimate(np.nan, np.nan, np.nan, 0)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    counted = resampled([np.eye(len(value))[at] for at in np.split(column, ends)], seed=seed)  # how often each is drawn
    return counted.estimate(lambda counts: _percentile(value, counts, percent))


def _percentile(value: Sums, counts: Sums, percent: float) -> Sums:
    """(...,) as `np.percentile` has it, of values (k,) rising that are there so many times, (..., k)."""
    total = counts.cumsum(axis=-1)
    at = (total[..., -1:] - 1) * percent / 100
    low, high = (value[(total <= side).sum(axis=-1)] for side in (np.floor(at), np.ceil(at)))
    return np.asarray(low + (high - low) * (at % 1)[..., 0])
