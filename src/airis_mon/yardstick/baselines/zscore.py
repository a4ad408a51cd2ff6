"""The rolling z-score with the specification's default line.

An alarm is a value farther than 2.5 standard deviations from the mean of the 100 values before it. The specification
names the line and no window that could work with it: its `realTimeWindow` of five minutes holds five values, among
which no |z| reaches 2.5. Hence the 100 values that its analysis is asked with, the judged one left out.
"""

from __future__ import annotations

import numpy as np

from airis_mon.series.batch import Values
from airis_mon.yardstick.baselines.base import Mask, Sums
from airis_mon.yardstick.worlds import WorldRun

NAME = "zscore"
WORDS = "rolling z-score, line 2.5, the 100 values before"
LINE, WINDOW, LEAST = 2.5, 100, 20
"""Nothing is said before there are LEAST values."""
FLOOR = 1e-6
"""Of the mean: a deviation below it is a constant's rounding, not a spread."""


def alarms(run: WorldRun) -> Mask:
    """(row,) where |z| passes the line."""
    found = np.zeros(len(run.value), np.bool_)
    for signal in range(len(run.signals)):
        rows = run.rows(signal)
        found[rows] = scores(run.value[rows].astype(float)) > LINE
    return found


def scores(value: Values) -> Values:
    """(n,) |z| of each value against those before it, 0 while there are too few."""
    end = np.arange(len(value))
    begin = np.maximum(end - WINDOW, 0)
    sums = Sums(value)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, spread = sums.mean(begin, end), sums.deviation(begin, end)
        z = np.abs(value - mean) / np.maximum(spread, FLOOR * (1e-6 + np.abs(mean)))
    return np.where(end < LEAST, 0.0, z)
