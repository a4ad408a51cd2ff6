"""What an analysis of one series consists of: nouns only. Whatever could not be computed is None, and `why` says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airis_mon.forecast.seasons import Season

__all__ = [
    "LEAST",
    "METHODS",
    "MOST",
    "Analysis",
    "ChangePoint",
    "Outlier",
    "Season",
    "Statistics",
    "Trend",
    "Verdict",
    "Why",
]

LEAST, MOST = 1, 10_000
"""Values of one series that an analysis takes."""
METHODS = ("zscore", "iqr", "mad", "isolation_forest")
"""Judges of outliers, in the order in which they are told."""
Why = Mapping[str, str]
"""What could not be computed -> why not, with the number that was missing; empty when all was."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of finite values. std_dev is the sample's (n - 1), None for one value; q1 and q3 by linear interpolation.

    mad: median absolute deviation, not scaled. skew: Fisher-Pearson's g1, None when all values are equal.
    percentiles: "1", "5", "10", "25", "50", "75", "90", "95", "99" -> value.
    """

    count: int
    mean: float
    median: float
    std_dev: float | None
    min: float
    max: float
    q1: float
    q3: float
    mad: float
    skew: float | None
    percentiles: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Outlier:
    """A point that was flagged: its place, value, leave-one-out z (signed; infinite beside equal ones), who flagged it.

    scores: by method, as far as it could judge.
    """

    index: int
    value: float
    score: float
    methods: tuple[str, ...]
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether some of the values are unlike the others.

    score: the largest |leave-one-out z|, None when there is none; index: where it is; threshold: of that z. thresholds:
    by method. vote: the rule by which methods decide together, a key of the words that tell it ("short", "majority").
    points: the flagged ones, in their order.
    """

    is_anomaly: bool
    score: float | None
    index: int | None
    threshold: float
    thresholds: Mapping[str, float]
    vote: str
    points: tuple[Outlier, ...]
    why: Why


@dataclass(frozen=True, slots=True)
class Trend:
    """Slopes are per point. trend: "increasing" or "decreasing" when Mann-Kendall's p is below .05, else "stable".

    slope, intercept, r2: least squares; theil_sen: median slope, over all pairs or over `pairs` sampled ones
    (is_sampled). tau, p: Mann-Kendall's, ties corrected, two-sided. confidence: 1 - p.
    """

    trend: str
    slope: float
    intercept: float
    r2: float | None
    theil_sen: float
    pairs: int
    is_sampled: bool
    tau: float | None
    p: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The first point of a new level: its place, the mean before and after, and the shift in units of the noise.

    The means are of the values without their seasons; where a line lies under the levels, they are taken at the change.
    """

    index: int
    before: float
    after: float
    shift: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything about one series. autocorrelation: at lags 1.., None when it has none (equal values).

    seasons, changes: None = could not be looked for, () = none found. why: by field in JSON, such as "seasonality".
    """

    statistics: Statistics
    anomaly: Verdict
    trend: Trend | None
    autocorrelation: tuple[float, ...] | None
    seasons: tuple[Season, ...] | None
    changes: tuple[ChangePoint, ...] | None
    why: Why
