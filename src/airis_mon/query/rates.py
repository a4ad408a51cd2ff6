"""How much a series grows in a window: rate, increase, delta; irate and idelta from its last two samples. Pure.

Extrapolation to the window's edges is Prometheus' own (promql/functions.go; Rabenstein, pull requests 1295 of 2016 and
13725 of 2024): a window that ends less than 1.1 sample intervals from a sample is filled up to its end, one that ends
farther away by half an interval, and no counter reaches below zero.
"""

from __future__ import annotations

import numpy as np

from airis_mon.query.sums import total
from airis_mon.query.values import Flags
from airis_mon.query.windows import Windows, packed
from airis_mon.series.batch import Values

_NEAR = 1.1


def delta(windows: Windows) -> Values:
    """The growth of a gauge, extrapolated to the whole window; needs two samples."""
    return _extrapolated(windows, _growth(windows), is_counter=False)


def increase(windows: Windows) -> Values:
    """The growth of a counter, resets taken for restarts from 0, extrapolated to the whole window; two samples."""
    return _extrapolated(windows, _growth(windows) + _lost(windows), is_counter=True)


def rate(windows: Windows) -> Values:
    """The increase per second."""
    return increase(windows) / (windows.width / 1000)


def idelta(windows: Windows) -> Values:
    """The last sample less the one before; needs two samples."""
    return windows.at_last(windows.value) - windows.at_last(windows.value, 1)


def irate(windows: Windows) -> Values:
    """The increase per second between the last two samples."""
    last, before = windows.at_last(windows.value), windows.at_last(windows.value, 1)
    seconds = (windows.at_last(windows.t) - windows.at_last(windows.t, 1)) / 1000
    return np.where(last < before, last, last - before) / seconds


def resets(windows: Windows) -> Values:
    """How often a sample is less than the one before."""
    return windows.inner(_falls(windows.value))[1].astype(np.float64)


def changes(windows: Windows) -> Values:
    """How often a sample differs from the one before; NaN is like NaN."""
    now, before = windows.value[1:], windows.value[:-1]
    differs = (now != before) & ~(np.isnan(now) & np.isnan(before))
    return windows.inner(np.append(False, differs))[1].astype(np.float64)


def _falls(value: Values) -> Flags:
    return np.append(False, value[1:] < value[:-1])


def _growth(windows: Windows) -> Values:
    return windows.at_last(windows.value) - windows.at(windows.value)


def _lost(windows: Windows) -> Values:
    """What the counter had reached before each of its resets, in sum."""
    falls = _falls(windows.value)
    peaks = windows.value[np.flatnonzero(falls) - 1]
    first, count = windows.inner(falls)
    lost = packed(first, count, lambda piece: total(piece.of(peaks)), 1, windows.check)
    return np.where(count > 0, lost, 0.0)


def _extrapolated(windows: Windows, growth: Values, *, is_counter: bool) -> Values:
    first, last = windows.at(windows.t), windows.at_last(windows.t)
    covered = (last - first) / 1000
    interval = covered / (windows.count - 1)
    before = _reach((first - (windows.ends - windows.width)) / 1000, interval)
    if is_counter:
        value = windows.at(windows.value)
        since_zero = np.where((growth > 0) & (value >= 0), covered * (value / growth), np.inf)
        before = np.fmin(before, since_zero)
    after = _reach((windows.ends - last) / 1000, interval)
    return growth * ((covered + before + after) / covered)


def _reach(gap: Values, interval: Values) -> Values:
    return np.where(gap >= interval * _NEAR, interval / 2, gap)
