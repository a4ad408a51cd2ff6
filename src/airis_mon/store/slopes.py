"""How fast series move, computed from their samples: rate, increase, deriv and predict_linear over steps.

ClickHouse (26.9) has these too, but its rate takes what has left a window out of a running sum again, which leaves NaN
after an infinite sample and a trace of rounding after resets, and its deriv finds a slope in a constant. Here every
operation is Prometheus' own, in its order (promql/functions.go), and a rate takes half of the processor time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times, Values
from airis_mon.series.kernel import exact_kernel
from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Grid

SLOPES = frozenset({"rate", "increase", "deriv", "predict_linear"})
"""What is computed here."""

Places = NDArray[np.int64]


def slopes(function: str, samples: Columns, steps: Steps, window: int, args: Sequence[float]) -> Grid:
    """The function of each series' samples in (t - window, t] at each step t; at least one sample.

    Series without any value are among the rows.
    """
    starts = np.concatenate([[0], np.flatnonzero(samples.fp[1:] != samples.fp[:-1]) + 1])
    low, high = _edges(samples.t, np.append(starts, len(samples.t)), steps.start, steps.step, steps.count, window)
    if function in {"rate", "increase"}:
        falls = np.flatnonzero(samples.value[1:] < samples.value[:-1]) + 1
        value = _growth(samples.t, samples.value, falls, low, high, steps.start, steps.step, window, function == "rate")
    else:
        is_slope = function == "deriv"
        ahead = 0.0 if is_slope else args[0]
        value = _lines(samples.t, samples.value, low, high, steps.start, steps.step, ahead, is_slope)
    return Grid(samples.fp[starts], value, high - low >= 2)


@exact_kernel
def _edges(t: Times, bounds: Places, start: int, step: int, count: int, window: int) -> tuple[Places, Places]:
    """(series, step) the places of each window's first sample and of the one after its last."""
    low, high = np.empty((len(bounds) - 1, count), np.int64), np.empty((len(bounds) - 1, count), np.int64)
    for i in range(len(bounds) - 1):
        first = after = bounds[i]
        for j in range(count):
            end = start + j * step
            while after < bounds[i + 1] and t[after] <= end:
                after += 1
            while first < after and t[first] <= end - window:
                first += 1
            low[i, j], high[i, j] = first, after
    return low, high


@exact_kernel
def _growth(
    t: Times, value: Values, falls: Places, low: Places, high: Places, start: int, step: int, window: int, is_rate: bool
) -> Values:
    """falls: places of the samples that are less than the one before; a counter began anew there."""
    found = np.full(low.shape, np.nan)
    for i in range(low.shape[0]):
        fall = np.searchsorted(falls, low[i, 0], side="right")
        for j in range(low.shape[1]):
            first, last = low[i, j], high[i, j] - 1
            if last <= first:
                continue
            while fall < len(falls) and falls[fall] <= first:
                fall += 1
            gained = value[last] - value[first]
            k = fall
            while k < len(falls) and falls[k] <= last:
                gained += value[falls[k] - 1]
                k += 1
            end = start + j * step
            head, tail = (t[first] - (end - window)) / 1000, (end - t[last]) / 1000
            factor = _stretch(head, (t[last] - t[first]) / 1000, tail, last - first, value[first], gained)
            found[i, j] = gained * (factor / (window / 1000) if is_rate else factor)
    return found


@exact_kernel
def _stretch(head: float, covered: float, tail: float, intervals: int, first: float, gained: float) -> float:
    """By how much a counter's growth is extrapolated: the samples cover some time, `head` and `tail` are beyond them.

    To an end that is nearer than 1.1 of the mean distance between samples, else by half such a distance, and not
    back beyond the time at which the counter would have been 0.
    """
    apart = covered / intervals
    if head >= apart * 1.1:
        head = apart / 2
    if gained > 0 and first >= 0:
        head = min(head, covered * (first / gained))
    if tail >= apart * 1.1:
        tail = apart / 2
    return (covered + head + tail) / covered


@exact_kernel
def _lines(
    t: Times, value: Values, low: Places, high: Places, start: int, step: int, ahead: float, is_slope: bool
) -> Values:
    """The lines' slopes per second, or where they are `ahead` seconds after each step, which may be NaN."""
    found = np.full(low.shape, np.nan)
    for i in range(low.shape[0]):
        for j in range(low.shape[1]):
            first, after = low[i, j], high[i, j]
            if after - first >= 2:
                origin = t[first] if is_slope else start + j * step
                slope, level = _line(t, value, first, after, origin)
                found[i, j] = slope if is_slope else slope * ahead + level
    return found


@exact_kernel
def _line(t: Times, value: Values, first: int, after: int, origin: int) -> tuple[float, float]:
    """The least squares line through some samples: (slope per second, value at `origin`)."""
    x_sum = y_sum = xy_sum = xx_sum = 0.0
    x_lost = y_lost = xy_lost = xx_lost = 0.0
    is_constant = True
    for i in range(first, after):
        x, y = (t[i] - origin) / 1000, value[i]
        is_constant = is_constant and y == value[first]
        x_sum, x_lost = _plus(x_sum, x_lost, x)
        y_sum, y_lost = _plus(y_sum, y_lost, y)
        xy_sum, xy_lost = _plus(xy_sum, xy_lost, x * y)
        xx_sum, xx_lost = _plus(xx_sum, xx_lost, x * x)
    if is_constant:
        return (np.nan, np.nan) if np.isinf(value[first]) else (0.0, value[first])
    n = float(after - first)
    x_sum, y_sum, xy_sum, xx_sum = x_sum + x_lost, y_sum + y_lost, xy_sum + xy_lost, xx_sum + xx_lost
    slope = (xy_sum - x_sum * y_sum / n) / (xx_sum - x_sum * x_sum / n)
    return slope, y_sum / n - slope * x_sum / n


@exact_kernel
def _plus(total: float, lost: float, term: float) -> tuple[float, float]:
    """The sum, and what rounding has taken from it (Neumaier 1974, doi:10.1002/zamm.19740540106)."""
    new = total + term
    if np.isinf(new):
        return new, 0.0
    if abs(total) >= abs(term):
        return new, lost + ((total - new) + term)
    return new, lost + ((term - new) + total)
