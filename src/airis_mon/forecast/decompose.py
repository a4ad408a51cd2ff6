"""A series taken apart: trend, one component per season, and what is left.

STL of Cleveland, Cleveland, McRae and Terpenning, A Seasonal-Trend Decomposition Procedure Based on Loess (1990), by
statsmodels; several seasons as in MSTL: Bandara, Hyndman and Bergmeir, MSTL: A Seasonal-Trend Decomposition Algorithm
for Time Series with Multiple Seasonal Patterns (2021, arXiv:2107.13462), shortest season first, twice around.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from airis_mon.errors import MissingExtra
from airis_mon.series.batch import Values

LEAST_POINTS = 8
"""Fewer points are not taken apart."""
ROUNDS = 2
JUMP = 10
"""Loess is fitted at every tenth of its window and drawn through between: 8 times as fast for 24 + 168 of 10,000 hours,
the deviation of the residual differs by .2 %; Cleveland recommends it."""


@dataclass(frozen=True, slots=True, eq=False)
class Seasonal:
    """One season. period: in points; value: (n,); strength: 0..1, None where nothing varies."""

    period: int
    value: Values
    strength: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition:
    """value = trend + seasons + residual; all (n,), the residual NaN at gaps, which were drawn through for the fit.

    Strength of a trend: 1 - var(residual) / var(trend + residual), of a season likewise; at least 0 (Wang, Smith and
    Hyndman, Characteristic-Based Clustering for Time Series Data, 2006). why: what could not be done -> why not.
    """

    trend: Values
    seasons: tuple[Seasonal, ...]
    residual: Values
    trend_strength: float | None
    gaps: int
    why: Mapping[str, str]


def decompose(
    value: Values, periods: Sequence[int], *, is_robust: bool = False, check: Callable[[], None] = lambda: None
) -> Decomposition:
    """Takes a series apart. value: (n,) float64, NaN = gap, some value among them; n >= `LEAST_POINTS`.

    periods: of the seasons in points, any order; one of which fewer than two are held is left out and `why` says so.
    is_robust: outliers weigh little, at seven times the cost. 10,000 points with two seasons take .2 s. check: called
    between fits, raises to end it. Raises MissingExtra without statsmodels.
    """
    gap = np.isnan(value)
    filled = np.interp(np.arange(len(value)), np.flatnonzero(~gap), value[~gap])
    usable, why = _usable(periods, len(value))
    trend, seasonal = _taken_apart(filled, usable, is_robust, check)
    residual = filled - trend - sum(seasonal)
    size = float(np.abs(filled).max())
    seasons = tuple(
        Seasonal(period, part, strength(part, residual, size)) for period, part in zip(usable, seasonal, strict=True)
    )
    left = np.where(gap, np.nan, residual)
    return Decomposition(trend, seasons, left, strength(trend, residual, size), int(gap.sum()), why)


def strength(part: Values, residual: Values, size: float) -> float | None:
    """How much of what varies without the other parts is this part: 0..1; None when nothing does but by rounding.

    size: the largest absolute value of the series.
    """
    both = float(np.var(part + residual))
    if both <= (1e-12 * size) ** 2:
        return None
    return max(0.0, 1 - float(np.var(residual)) / both)


def lacking(period: int, length: int) -> str | None:
    """Why a season of so many points cannot be told from so many points; None when it can."""
    if period < 2:
        return f"a season has at least 2 points, not {period}"
    if length < 2 * period:
        return f"needs two seasons, has {length / period:.1f}"
    return None


def _usable(periods: Sequence[int], length: int) -> tuple[list[int], dict[str, str]]:
    why = {f"season {p}": said for p in periods if (said := lacking(p, length))}
    return sorted({p for p in periods if not lacking(p, length)}), why


def _taken_apart(
    value: Values, periods: Sequence[int], is_robust: bool, check: Callable[[], None]
) -> tuple[Values, list[Values]]:
    if not periods:
        return _smooth(value, is_robust), []
    seasonal = [np.zeros(len(value)) for _ in periods]
    left, trend = value.copy(), value
    for _ in range(ROUNDS if len(periods) > 1 else 1):
        for i, period in enumerate(periods):
            check()
            left += seasonal[i]
            fitted = _stl(left, period, 11 + 4 * i, is_robust)
            seasonal[i], trend = fitted.seasonal, fitted.trend
            left -= seasonal[i]
    return trend, seasonal


def _stl(value: Values, period: int, window: int, is_robust: bool) -> Any:
    try:
        from statsmodels.tsa.stl._stl import STL
    except ImportError:
        raise MissingExtra("statsmodels", "forecast") from None
    low_pass = period + 1 + period % 2  # the smallest odd number above the period
    trend = int(np.ceil(1.5 * period / (1 - 1.5 / window)))
    trend += 1 - trend % 2
    jumps = (max(1, -(-size // JUMP)) for size in (window, trend, low_pass))
    seasonal_jump, trend_jump, low_pass_jump = jumps
    inner, outer = (2, 15) if is_robust else (5, 0)
    return STL(
        value,
        period,
        window,
        trend,
        low_pass,
        robust=is_robust,
        seasonal_jump=seasonal_jump,
        trend_jump=trend_jump,
        low_pass_jump=low_pass_jump,
    ).fit(inner, outer)


def _smooth(value: Values, is_robust: bool) -> Values:
    """Without a season: loess over a fifth of the points (Cleveland 1979)."""
    try:
        from statsmodels.nonparametric.smoothers_lowess import lowess
    except ImportError:
        raise MissingExtra("statsmodels", "forecast") from None
    n = len(value)
    share = min(1.0, max(0.2, 7 / n))
    smooth: Values = lowess(
        value, np.arange(n, dtype=float), frac=share, it=3 if is_robust else 0, delta=0.01 * n, return_sorted=False
    )
    return smooth
