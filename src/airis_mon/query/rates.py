"""How a series moves in a window: delta, and irate and idelta from its last two samples; changes and resets. Pure.

What else is extrapolated or fitted is in `series.slopes`. Extrapolation to the window's edges is Prometheus' own
(promql/functions.go; Rabenstein, pull request 1295 of 2016): a window that ends less than 1.1 sample intervals from a
sample is filled up to its end, one that ends farther away by half an interval.
"""

from __future__ import annotations

import numpy as np

from airis_mon.query.windows import Windows
from airis_mon.series.batch import Values

_NEAR = 1.1


def delta(windows: Windows) -> Values:
    """The growth of a gauge, extrapolated to the whole window; needs two samples."""
    first, last = windows.at(windows.t), windows.at_last(windows.t)
    covered = (last - first) / 1000
    interval = covered / (windows.count - 1)
    before = _reach((first - (windows.spans.ends - windows.spans.width)) / 1000, interval)
    after = _reach((windows.spans.ends - last) / 1000, interval)
    growth = windows.at_last(windows.value) - windows.at(windows.value)
    return growth * ((covered + before + after) / covered)


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
    value = windows.value
    return windows.inner(np.append(False, value[1:] < value[:-1]))


def changes(windows: Windows) -> Values:
    """How often a sample differs from the one before; NaN is like NaN."""
    now, before = windows.value[1:], windows.value[:-1]
    differs = (now != before) & ~(np.isnan(now) & np.isnan(before))
    return windows.inner(np.append(False, differs))


def _reach(gap: Values, interval: Values) -> Values:
    return np.where(gap >= interval * _NEAR, interval / 2, gap)
