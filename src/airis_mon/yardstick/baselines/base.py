"""What a baseline detector offers, and the steps that several of them share."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times, Values
from airis_mon.yardstick.worlds import WorldRun

Array = NDArray[Any]
Mask = NDArray[np.bool_]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
FRESH_MS = 2 * MINUTE_MS
"""A condition that was not heard of for longer is no longer pending."""


class Baseline(Protocol):
    """A module of this folder. Nothing in it looks at what comes after the row that is judged."""

    NAME: str
    WORDS: str

    def alarms(self, run: WorldRun) -> Mask:
        """(row,) of a run: where the detector's own line is passed."""


class Sums:
    """Running sums of a series, so that mean and deviation of any stretch of rows cost O(1)."""

    def __init__(self, value: Values) -> None:
        self._base = float(value[0]) if len(value) else 0.0  # near the values: squares of large ones lose digits
        x = value - self._base
        self._one = np.concatenate([[0.0], np.cumsum(x)])
        self._two = np.concatenate([[0.0], np.cumsum(x * x)])

    def mean(self, begin: Array, end: Array) -> Values:
        """(n,) of rows [begin, end); NaN where there are none."""
        n = _count(begin, end)
        return np.asarray(self._base + (self._one[end] - self._one[begin]) / n)

    def deviation(self, begin: Array, end: Array) -> Values:
        """(n,) population standard deviation of rows [begin, end); NaN where there are none."""
        n = _count(begin, end)
        mean = (self._one[end] - self._one[begin]) / n
        return np.asarray(np.sqrt(np.maximum((self._two[end] - self._two[begin]) / n - mean * mean, 0.0)))


def window(t: Times, length_ms: int, offset_ms: int = 0) -> tuple[Array, Array]:
    """(begin, end) of rows, per row: those with t - offset - length < their time <= t - offset, as PromQL has it."""
    at = t - offset_ms
    return np.searchsorted(t, at - length_ms, side="right"), np.searchsorted(t, at, side="right")


def held(t: Times, holds: Mask, for_ms: int) -> Mask:
    """(n,) where a condition has held for so long without a break, as `for` of an alerting rule asks."""
    begins = holds & ~np.concatenate([[False], holds[:-1] & (np.diff(t) <= FRESH_MS)])
    since = np.maximum.accumulate(np.where(begins, t, np.iinfo(np.int64).min)) if len(t) else t
    return np.asarray(holds & (t - np.where(holds, since, t) >= for_ms))


def _count(begin: Array, end: Array) -> Values:
    n = (end - begin).astype(float)
    n[n == 0] = np.nan
    return n
