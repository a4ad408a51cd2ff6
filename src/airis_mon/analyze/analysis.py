"""Everything about one series of values: the answer behind `analyze`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airis_mon.analyze.base import LEAST, METHODS, MOST, Analysis
from airis_mon.analyze.outliers import verdict
from airis_mon.analyze.statistics import statistics
from airis_mon.analyze.trend import trend
from airis_mon.errors import InputError, TooLarge
from airis_mon.forecast.seasons import autocorrelation
from airis_mon.series.batch import Values


def analyze(value: Values, *, threshold: float = 2.5, methods: Sequence[str] = METHODS) -> Analysis:
    """What can be said about the values (n,), 1 to 10,000 of them, finite and evenly spaced.

    threshold: of leave-one-out z; methods: judges of outliers, of `METHODS`. What needs more values than there are
    is None, and `why` says so. Raises InputError that names the value, TooLarge.
    """
    value = checked(value)
    why: dict[str, str] = {}
    n = len(value)
    order = np.argsort(value)
    ordered = value[order]
    is_flat = bool(ordered[0] == ordered[-1])
    if n < 2:
        why["trend"] = f"needs 2 values, has {n}"
    if n < 2 or is_flat:
        why["autocorrelation"] = "all values are equal" if n > 1 else f"needs 2 values, has {n}"
    why["seasonality"] = why["changePoints"] = "not looked for"
    return Analysis(
        statistics=statistics(value, ordered),
        anomaly=verdict(value, threshold=threshold, methods=methods, order=order),
        trend=trend(value) if n > 1 else None,
        autocorrelation=None if "autocorrelation" in why else tuple(autocorrelation(value, min(n - 1, 40)).tolist()),
        seasons=None,
        changes=None,
        why=why,
    )


def checked(value: Values, name: str = "values") -> Values:
    """The values as they are computed with; raises InputError, TooLarge."""
    value = np.ascontiguousarray(value, np.float64)
    if value.ndim != 1 or len(value) < LEAST:
        raise InputError(f"{name} holds no number; send {LEAST} to {MOST:,}")
    if len(value) > MOST:
        raise TooLarge(f"{name} holds {len(value):,} numbers, the limit is {MOST:,}; send the newest, or means")
    bad = np.flatnonzero(~np.isfinite(value))
    if len(bad):
        raise InputError(f"{name}[{bad[0]}] is {value[bad[0]]}; it must be a finite number: leave gaps out")
    return value
