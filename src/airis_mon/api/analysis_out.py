"""An analysis as it stands in answers, field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from airis_mon.analyze.base import Analysis, ChangePoint, Outlier, Statistics, Trend, Verdict
from airis_mon.analyze.chance import confidence
from airis_mon.api.schemas import Answer, Count, Out, Share, Timestamp, stamp
from airis_mon.app.analytics import Points
from airis_mon.explain.analysis import Lang, told
from airis_mon.series.batch import Times

SAMPLE_SD = "sample: squared distances to the mean over n - 1"
CONFIDENCE = (
    "1 - p for an anomaly, p otherwise; p: chance that of as many independent normal values the farthest lies so far "
    "out (Student's t of the leave-one-out z, Bonferroni)"
)
TREND_CONFIDENCE = "1 - p of the Mann-Kendall test"
ALL_EQUAL = "all values are equal"
INFINITE = "infinite: the other values are all equal"
Why = Annotated[dict[str, str], Meta(description="What could not be computed, and why not")]


class StatisticsOut(Out):
    """What describes the values. Quantiles by linear interpolation."""

    mean: float
    median: float
    std_dev: Annotated[float | None, Meta(description="null for a single value")]
    min: float
    max: float
    q1: float
    q3: float
    count: Count
    std_dev_definition: str
    mad: Annotated[float, Meta(description="Median absolute deviation, not scaled")]
    skew: Annotated[float | None, Meta(description="Fisher-Pearson's g1; null when all values are equal")]
    percentiles: Annotated[dict[str, float], Meta(description="By per cent")]


class PointOut(Out):
    """A value that is unlike the others."""

    index: Annotated[Count, Meta(description="Its place, from 0")]
    value: float
    score: Annotated[float | None, Meta(description="Leave-one-out z, signed; null when that is infinite")]
    methods: Annotated[list[str], Meta(description="Which of the methods flag it")]
    scores: Annotated[dict[str, float | None], Meta(description="By method; null when infinite")]
    timestamp: Timestamp | UnsetType = UNSET


class VerdictOut(Out):
    """Whether some of the values are unlike the others."""

    is_anomaly: bool
    score: Annotated[float | None, Meta(description="The largest |leave-one-out z|; null with a `why`")]
    threshold: Annotated[float, Meta(description="Of the leave-one-out z")]
    method: Annotated[
        Literal["zscore", "majority"],
        Meta(
            description="zscore: below 12 values leave-one-out z decides alone; majority: more than half of those able"
        ),
    ]
    explanation: str
    points: Annotated[list[PointOut], Meta(description="The flagged ones, in their order")]
    index: Annotated[Count | None, Meta(description="Where the largest score is")]
    flagged: Annotated[Count, Meta(description="How many points are flagged")]
    thresholds: Annotated[dict[str, float], Meta(description="Of each method")]
    why: Why


class MannKendall(Out):
    """The test of a trend, ties corrected, two-sided."""

    tau: float | None
    p: float | None


class TrendOut(Out):
    """Slopes are per point. All of it is null for a single value."""

    trend: Literal["increasing", "decreasing", "stable"] | None
    slope: Annotated[float | None, Meta(description="Least squares")]
    r2: Annotated[float | None, Meta(description="null when all values are equal")]
    confidence: Annotated[Share | None, Meta(description=TREND_CONFIDENCE)]
    intercept: Annotated[float | None, Meta(description="The least squares line at index 0")] = None
    theil_sen: Annotated[float | None, Meta(description="Median slope")] = None
    pairs: Annotated[Count, Meta(description="Pairs of values that the median slope is taken of")] = 0
    sampled: Annotated[bool, Meta(description="Whether those are a sample of all pairs")] = False
    mann_kendall: MannKendall | None = None


class SeasonOut(Out):
    """A period in points."""

    period: Count
    autocorrelation: float
    strength: Share


class ChangeOut(Out):
    """The first value of a new level."""

    index: Count
    before: Annotated[float, Meta(description="Mean until there")]
    after: Annotated[float, Meta(description="Mean from there on")]
    shift: Annotated[float | None, Meta(description="In units of the noise")]
    timestamp: Timestamp | UnsetType = UNSET


class AnalysisData(Out):
    """The analysis itself."""

    statistics: StatisticsOut
    anomaly: VerdictOut
    trend: TrendOut
    autocorrelation: Annotated[list[float] | None, Meta(description="At lags 1, 2, ...")]
    seasonality: Annotated[list[SeasonOut] | None, Meta(description="Empty: none was found; null with a `why`")]
    change_points: Annotated[list[ChangeOut] | None, Meta(description="Empty: none was found; null with a `why`")]


class AnalysisMeta(Out):
    """What was analysed."""

    metric: str
    data_points: Count
    start: Timestamp | UnsetType = UNSET
    end: Timestamp | UnsetType = UNSET


class AnalysisOut(Out):
    """The analysis of one series."""

    id: Annotated[str, Meta(examples=["analysis_cpu_usage_1772366400000"])]
    type: Literal["statistics"]
    data: AnalysisData
    confidence: Annotated[Share, Meta(description=CONFIDENCE)]
    timestamp: Annotated[Timestamp, Meta(description="When it was made; earlier than the answer's when kept")]
    metadata: AnalysisMeta
    confidence_definition: str
    explanation: Annotated[str, Meta(description="All of it in words")]
    why: Why


class Kept(Out):
    """How an answer was made."""

    cached: Annotated[bool, Meta(description="Whether it is kept from an earlier equal question")]
    count: Count | UnsetType = UNSET


class AnalysisAnswer(Answer):
    """The analysis of one series."""

    result: AnalysisOut
    metadata: Kept


class AnalysisList(Answer):
    """The analyses of several series, in the order of the question."""

    result: list[AnalysisOut]
    metadata: Kept


def analysis_out(found: Analysis, of: Points, lang: Lang, now: int) -> AnalysisOut:
    """An analysis as it stands in answers; now: ms."""
    said = told(found, lang)
    data = AnalysisData(
        statistics_out(found.statistics),
        _verdict(found.anomaly, said.verdict, of.t),
        _trend(found.trend),
        None if found.autocorrelation is None else list(found.autocorrelation),
        None if found.seasons is None else [SeasonOut(s.period, s.autocorrelation, s.strength) for s in found.seasons],
        None if found.changes is None else [_change(change, of.t) for change in found.changes],
    )
    return AnalysisOut(
        f"analysis_{of.name}_{now}",
        "statistics",
        data,
        confidence(found.anomaly, found.statistics.count),
        stamp(now),
        _meta(of),
        CONFIDENCE,
        said.whole,
        _why(found),
    )


def statistics_out(of: Statistics) -> StatisticsOut:
    """Statistics as they stand in answers."""
    return StatisticsOut(
        of.mean,
        of.median,
        of.std_dev,
        of.min,
        of.max,
        of.q1,
        of.q3,
        of.count,
        SAMPLE_SD,
        of.mad,
        of.skew,
        dict(of.percentiles),
    )


def _why(found: Analysis) -> dict[str, str]:
    why = dict(found.why)
    count = found.statistics.count
    if found.statistics.std_dev is None:
        why["stdDev"] = f"needs 2 values, has {count}"
    if found.statistics.skew is None:
        why["skew"] = ALL_EQUAL if count > 1 else f"needs 2 values, has {count}"
    if found.trend is not None:
        missing = {"r2": found.trend.r2, "mannKendall": found.trend.p}
        why |= {name: ALL_EQUAL for name, value in missing.items() if value is None}
    return why


def _verdict(of: Verdict, explanation: str, t: Times | None) -> VerdictOut:
    why = of.why
    if of.score is not None and math.isinf(of.score):
        why = {**why, "score": INFINITE}
    return VerdictOut(
        of.is_anomaly,
        of.score,
        of.threshold,
        "zscore" if of.vote == "short" else "majority",
        explanation,
        [_point(point, t) for point in of.points],
        of.index,
        len(of.points),
        dict(of.thresholds),
        dict(why),
    )


def _point(of: Outlier, t: Times | None) -> PointOut:
    when: str | UnsetType = UNSET if t is None else stamp(int(t[of.index]))
    return PointOut(of.index, of.value, of.score, list(of.methods), _numbers(of.scores), when)


def _numbers(given: Mapping[str, float]) -> dict[str, float | None]:
    return {name: x if math.isfinite(x) else None for name, x in given.items()}


def _trend(of: Trend | None) -> TrendOut:
    if of is None:
        return TrendOut(None, None, None, None)
    direction: Literal["increasing", "decreasing", "stable"] = of.trend  # type: ignore[assignment]
    test = MannKendall(of.tau, of.p)
    return TrendOut(
        direction, of.slope, of.r2, of.confidence, of.intercept, of.theil_sen, of.pairs, of.is_sampled, test
    )


def _change(of: ChangePoint, t: Times | None) -> ChangeOut:
    when: str | UnsetType = UNSET if t is None else stamp(int(t[of.index]))
    return ChangeOut(of.index, of.before, of.after, of.shift, when)


def _meta(of: Points) -> AnalysisMeta:
    if of.t is None or not len(of.t):
        return AnalysisMeta(of.name, len(of.value))
    return AnalysisMeta(of.name, len(of.value), stamp(int(of.t[0])), stamp(int(of.t[-1])))
