"""Everything about one series of values: the answer behind `analyze`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airis_mon.analyze import changes as levels
from airis_mon.analyze.base import LEAST, METHODS, MOST, Analysis, ChangePoint, Season
from airis_mon.analyze.outliers import verdict
from airis_mon.analyze.statistics import extent, statistics
from airis_mon.analyze.trend import EXACT, trend
from airis_mon.errors import InputError, TooLarge
from airis_mon.forecast import seasons as repeats
from airis_mon.series.batch import Values

LAGS = 40
"""Autocorrelations that are told, at most."""
WIDEST = 1e140
"""Of a value and of the range: what is beyond would overflow its square."""
FINEST = 1e-140
"""Of the range: what is below would vanish in its square."""
_EQUAL = "all values are equal"


def analyze(value: Values, *, threshold: float = 2.5, methods: Sequence[str] = METHODS) -> Analysis:
    """What can be said about the values (n,), 1 to 10,000 of them, finite and evenly spaced.

    threshold: of leave-one-out z; methods: judges of outliers, of `METHODS`. What needs more values than there are
    is None, and `why` says so. Changes are those of the values without the seasons found. Deterministic. 0.15 ms
    for 100 values. Raises InputError that names the value, TooLarge.

    >>> analyze(np.array([45.0, 67.0, 89.0, 95.0, 156.0])).anomaly.points[0].value
    156.0
    """
    value = checked(value)
    n, order = len(value), np.argsort(value)
    ordered = value[order]
    is_flat = bool(ordered[0] == ordered[-1])
    why = {} if n > 1 else {"trend": f"needs 2 values, has {n}"}
    seasons = _seasons(value, is_flat, why)
    return Analysis(
        statistics=statistics(value, ordered),
        anomaly=verdict(value, threshold=threshold, methods=methods, order=order),
        trend=trend(value, ordered) if n > 1 else None,
        autocorrelation=_autocorrelation(value, is_flat, why),
        seasons=seasons,
        changes=_changes(value, seasons, why),
        why=why,
    )


def checked(value: Values, name: str = "values") -> Values:
    """The values as float64 without gaps in memory. Raises InputError that names the first bad one, and TooLarge."""
    value = np.ascontiguousarray(value, np.float64)
    if not value.flags.writeable:  # numba would compile every kernel anew for it, which takes ten seconds
        value = value.copy()
    if value.ndim != 1 or len(value) < LEAST:
        raise InputError(f"{name} holds no number; send {LEAST} to {MOST:,}")
    if len(value) > MOST:
        raise TooLarge(f"{name} holds {len(value):,} numbers, the limit is {MOST:,}; send the newest, or means")
    low, high = extent(value)
    if not math.isfinite(high - low):
        _refuse(value, name, ~np.isfinite(value), "it must be a finite number; leave gaps out")
    if low < -WIDEST or high > WIDEST:
        _refuse(value, name, np.abs(value) > WIDEST, f"it must lie within {WIDEST:g}; send it in another unit")
    if 0 < high - low < FINEST:
        raise InputError(f"{name} differ by {high - low:g} only, the least is {FINEST:g}; send them in another unit")
    return value


def warm() -> None:
    """Compiles every kernel of an analysis, or loads them from the cache: the first caller need not wait."""
    at = np.arange(EXACT + 1.0)
    for n in (5, 100, len(at)):
        analyze(np.sin(at[:n] * 2.4) + np.sin(at[:n] / 4) + 3 * (at[:n] > n // 2))


def _refuse(value: Values, name: str, bad: NDArray[np.bool_], reason: str) -> None:
    if bad.any():
        index = int(bad.argmax())
        raise InputError(f"{name}[{index}] is {value[index]}; {reason}")


def _autocorrelation(value: Values, is_flat: bool, why: dict[str, str]) -> tuple[float, ...] | None:
    n = len(value)
    if n < 2 or is_flat:
        why["autocorrelation"] = _EQUAL if n > 1 else f"needs 2 values, has {n}"
        return None
    return tuple(repeats.autocorrelation(value, min(n - 1, LAGS)).tolist())


def _seasons(value: Values, is_flat: bool, why: dict[str, str]) -> tuple[Season, ...] | None:
    n = len(value)
    if n < repeats.LEAST:
        why["seasonality"] = f"needs {repeats.LEAST} values, has {n}"
        return None
    return () if is_flat else repeats.seasons(value)


def _changes(value: Values, seasons: tuple[Season, ...] | None, why: dict[str, str]) -> tuple[ChangePoint, ...] | None:
    n = len(value)
    if n < levels.LEAST:
        why["changePoints"] = f"needs {levels.LEAST} values, has {n}"
        return None
    season = repeats.seasonal(value, tuple(s.period for s in seasons)) if seasons else None
    found = levels.changes(value, season=season)
    if found is None:
        why["changePoints"] = levels.WANDERS
    return found
