"""How fast series move, computed from their samples: rate, increase, deriv and predict_linear of windows. Pure.

Every operation is Prometheus' own, in its order (promql/functions.go), so that the same digits are lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times, Values
from airis_mon.series.kernel import exact_kernel

SLOPES = frozenset({"rate", "increase", "deriv", "predict_linear"})
"""What is computed here, of windows with two samples or more."""
AT_ONCE = 1 << 22
"""So many samples are walked at least between two checks, a sample once for each window that it is in."""

Places = NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, slots=True)
class Spans:
    """The windows (end - width, end] of s series at each end; their samples lie in t and value one after another.

    t: (n,) ms, value: (n,), ends: (steps,) ms, width: ms; low, high: (s, steps) the places of each window's first
    sample and of the one after its last; walked: (s,) how many samples all windows of a series have together.
    """

    t: Times
    value: Values
    low: Places
    high: Places
    walked: Places
    ends: Times
    width: int

    @classmethod
    def over(cls, t: Times, value: Values, bounds: Places, ends: Times, width: int) -> Self:
        """bounds: (s + 1,) series i has the samples bounds[i]:bounds[i + 1], by time; ends never fall."""
        ends = _plain(ends)
        return cls(t, value, *_edges(t, bounds, ends, width), ends, width)


def slopes(
    function: str,
    spans: Spans,
    moments: Times,
    ahead: Values,
    check: Callable[[], None],
    at_once: int = AT_ONCE,
) -> Values:
    """(s, steps) the function of each window; NaN where it has less than two samples.

    moments: (steps,) ms and ahead: (steps,) s: predict_linear tells the value so long after each moment. check raises
    when nobody waits for the answer any more.
    """
    t, value, ends, width = spans.t, spans.value, spans.ends, spans.width
    parts = _parts(spans, check, at_once)
    if function in {"rate", "increase"}:
        falls, is_rate = np.flatnonzero(value[1:] < value[:-1]) + 1, function == "rate"
        found = [_growth(t, value, falls, low, high, ends, width, is_rate) for low, high in parts]
    else:
        origins, ahead, is_slope = _plain(moments), _plain(ahead), function == "deriv"
        found = [_lines(t, value, low, high, origins, ahead, is_slope) for low, high in parts]
    return np.concatenate(found) if len(found) > 1 else found[0]


def _plain(numbers: NDArray[Number]) -> NDArray[Number]:
    """A copy that may be written, without gaps: other arrays would each have the kernels compiled anew."""
    return np.array(numbers, order="C")


def _parts(spans: Spans, check: Callable[[], None], at_once: int) -> Iterator[tuple[Places, Places]]:
    """(low, high) of some series at a time; at least once."""
    cuts = np.flatnonzero(np.diff(np.cumsum(spans.walked) // at_once)) + 1
    for start, end in itertools.pairwise([0, *cuts.tolist(), len(spans.low)]):
        check()
        yield spans.low[start:end], spans.high[start:end]


@exact_kernel
def _edges(t: Times, bounds: Places, ends: Times, width: int) -> tuple[Places, Places, Places]:
    shape = (len(bounds) - 1, len(ends))
    low, high, walked = np.empty(shape, np.int64), np.empty(shape, np.int64), np.zeros(shape[0], np.int64)
    for i in range(shape[0]):
        first = after = bounds[i]
        for j in range(shape[1]):
            while after < bounds[i + 1] and t[after] <= ends[j]:
                after += 1
            while first < after and t[first] <= ends[j] - width:
                first += 1
            low[i, j], high[i, j] = first, after
            walked[i] += after - first
    return low, high, walked


@exact_kernel
def _growth(
    t: Times, value: Values, falls: Places, low: Places, high: Places, ends: Times, width: int, is_rate: bool
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
            head, tail = (t[first] - (ends[j] - width)) / 1000, (ends[j] - t[last]) / 1000
            factor = _stretch(head, (t[last] - t[first]) / 1000, tail, last - first, value[first], gained)
            found[i, j] = gained * (factor / (width / 1000) if is_rate else factor)
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
def _lines(t: Times, value: Values, low: Places, high: Places, origins: Times, ahead: Values, is_slope: bool) -> Values:
    """The lines' slopes per second, or where they are `ahead` seconds after each origin, which may be NaN."""
    found = np.full(low.shape, np.nan)
    for i in range(low.shape[0]):
        for j in range(low.shape[1]):
            first, after = low[i, j], high[i, j]
            if after - first >= 2:
                origin = t[first] if is_slope else origins[j]
                slope, level = _line(t, value, first, after, origin)
                found[i, j] = slope if is_slope else slope * ahead[j] + level
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
