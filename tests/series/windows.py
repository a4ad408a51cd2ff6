"""PromQL's functions of one window in plain Python, after Prometheus 3's documentation and promql/functions.go."""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence

Sample = tuple[int, float]
"""(t in ms, value)"""


def window(samples: Sequence[Sample], t: int, width: int) -> list[Sample]:
    """The samples in (t - width, t]."""
    low, high = (bisect_right(samples, end, key=lambda sample: sample[0]) for end in (t - width, t))
    return list(samples[low:high])


def last(samples: Sequence[Sample]) -> float | None:
    return samples[-1][1] if samples else None


def stamp(samples: Sequence[Sample]) -> float | None:
    return samples[-1][0] / 1000 if samples else None


def extrapolated(samples: Sequence[Sample], t: int, width: int, *, is_counter: bool, is_rate: bool) -> float | None:
    """The increase between the first and the last sample, stretched to the window's ends where they are near.

    An end is near when it is no further than 1.1 of the mean distance between samples; else half such a distance is
    added. A counter's start is not moved beyond where it would have been 0.
    """
    if len(samples) < 2:
        return None
    (first_t, first), (last_t, _) = samples[0], samples[-1]
    gained = last(samples) - first
    if is_counter:
        for (_, before), (_, after) in itertools.pairwise(samples):
            if after < before:
                gained += before
    span = (last_t - first_t) / 1000
    apart = span / (len(samples) - 1)
    head, tail = (first_t - (t - width)) / 1000, (t - last_t) / 1000
    head = apart / 2 if head >= apart * 1.1 else head
    tail = apart / 2 if tail >= apart * 1.1 else tail
    if is_counter and gained > 0 and first >= 0:
        head = min(head, span * (first / gained))
    factor = (span + head + tail) / span
    return gained * (factor / (width / 1000) if is_rate else factor)


def instant(samples: Sequence[Sample], *, is_rate: bool) -> float | None:
    """The difference of the last two samples; of a counter that began anew, its last value. A rate is per second."""
    if len(samples) < 2:
        return None
    (before_t, before), (after_t, after) = samples[-2:]
    if not is_rate:
        return after - before
    return (after if after < before else after - before) / ((after_t - before_t) / 1000)


def line(samples: Sequence[Sample], origin: int) -> tuple[float, float] | None:
    """(slope per second, value at `origin`) of the least squares line."""
    if len(samples) < 2:
        return None
    values = [v for _, v in samples]
    if all(v == values[0] for v in values):
        return (math.nan, math.nan) if math.isinf(values[0]) else (0.0, values[0])
    x = [(at - origin) / 1000 for at, _ in samples]
    n = len(samples)
    sum_x, sum_y, sum_xx = total(x), total(values), total([a * a for a in x])
    sum_xy = total([a * b for a, b in zip(x, values, strict=True)])
    slope = (sum_xy - sum_x * sum_y / n) / (sum_xx - sum_x * sum_x / n)
    return slope, sum_y / n - slope * sum_x / n


def total(values: Sequence[float]) -> float:
    """The sum, with what rounding has taken from it."""
    found = lost = 0.0
    for value in values:
        new = found + value
        if math.isinf(new):
            lost = 0.0
        elif abs(found) >= abs(value):
            lost += (found - new) + value
        else:
            lost += (value - new) + found
        found = new
    return found + lost


def extreme(values: Sequence[float], sign: int) -> float:
    """The smallest (-1) or largest (1) number; NaN if there is no number."""
    return max((v for v in values if not math.isnan(v)), key=lambda v: sign * v, default=math.nan)


def changes(values: Sequence[float]) -> int:
    pairs = itertools.pairwise(values)
    return sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def resets(values: Sequence[float]) -> int:
    return sum(b < a for a, b in itertools.pairwise(values))


def quantile(values: Sequence[float], phi: float) -> float:
    """Between the two values next to the rank, in proportion; NaN counts as the least of all."""
    if math.isnan(phi) or not 0 <= phi <= 1:
        return math.nan if math.isnan(phi) else math.copysign(math.inf, phi)
    ordered = sorted(values, key=lambda v: (not math.isnan(v), v))
    rank = phi * (len(values) - 1)
    lower = math.floor(rank)
    upper = min(len(values) - 1, lower + 1)
    return ordered[lower] * (1 - (rank - lower)) + ordered[upper] * (rank - lower)


def variance(values: Sequence[float]) -> float:
    return statistics.pvariance(values) if all(map(math.isfinite, values)) else math.nan


def compute(
    function: str,
    samples: Sequence[Sample],
    t: int,
    width: int,
    args: Sequence[float] = (math.nan,),
    moment: int | None = None,
) -> float | None:
    """A range function of the window that ends at t; the samples are by time, without staleness markers.

    moment: of the evaluation, if it is another one than t.
    """
    inside = window(samples, t, width)
    if not inside:
        return None
    values = [v for _, v in inside]
    match function:
        case "rate" | "increase" | "delta":
            is_counter, is_rate = function != "delta", function == "rate"
            return extrapolated(inside, t, width, is_counter=is_counter, is_rate=is_rate)
        case "irate" | "idelta":
            return instant(inside, is_rate=function == "irate")
        case "deriv":
            fitted = line(inside, inside[0][0])
            return fitted and fitted[0]
        case "predict_linear":
            fitted = line(inside, t if moment is None else moment)
            return fitted and fitted[0] * args[0] + fitted[1]
    simple = {
        "changes": changes(values),
        "resets": resets(values),
        "min_over_time": extreme(values, -1),
        "max_over_time": extreme(values, 1),
        "sum_over_time": total(values),
        "avg_over_time": total(values) / len(values),
        "count_over_time": len(values),
        "first_over_time": values[0],
        "last_over_time": values[-1],
        "present_over_time": 1,
        "quantile_over_time": quantile(values, args[0]),
        "stddev_over_time": math.sqrt(variance(values)),
        "stdvar_over_time": variance(values),
    }
    return float(simple[function])
