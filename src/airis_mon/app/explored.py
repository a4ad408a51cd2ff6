"""What stands in the answers about decompositions, changes, correlations, similar shapes and comparisons."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Literal

from msgspec import Meta, Struct

from airis_mon.explain.speak import at

Column = list[float | None]
Moment = Annotated[str, Meta(description="RFC 3339, UTC")]
Why = Annotated[dict[str, str], Meta(description="What could not be done, and why; empty when all was")]
Words = Annotated[str, Meta(description="The same in words")]


class Result(Struct, rename="camel"):
    """Base of all of them."""


class GridOut(Result):
    """The regular steps that samples were put on; all null for values without times."""

    start: Moment | None
    step_s: float | None
    points: int
    gaps: Annotated[int, Meta(description="Steps without a sample")]


class SeasonOut(Result):
    """One season and its part of every point."""

    period: Annotated[int, Meta(description="In points")]
    period_s: float | None
    strength: Annotated[float | None, Meta(description="0..1; null where nothing varies")]
    values: list[float]


class Decomposed(Result):
    """A series taken apart: value = trend + seasons + residual, in columns."""

    metric: str
    grid: GridOut
    method: Literal["stl", "mstl", "loess"]
    robust: bool
    values: Annotated[Column, Meta(description="null = gap, drawn through for the fit")]
    trend: list[float]
    trend_strength: float | None
    seasons: list[SeasonOut]
    seasonality: Annotated[
        Literal["given", "detected"] | None, Meta(description="Where the seasons came from; null: there is none")
    ]
    residual: Column
    why: Why
    explanation: Words


class ChangeOut(Result):
    """A change of level."""

    index: Annotated[int, Meta(description="Of the first point of the new level")]
    timestamp: Moment | None
    before: float
    after: float
    change: float
    shift: Annotated[float, Meta(description="The change in units of the noise")]


class Changed(Result):
    """Where the level of a series changed."""

    metric: str
    grid: GridOut
    penalty: float
    seasons: Annotated[list[int], Meta(description="Periods in points that were taken off first")]
    changes: Annotated[list[ChangeOut] | None, Meta(description="null: could not be looked for")]
    why: Why
    explanation: Words


class CorrelationOut(Result):
    """A series beside the target at the lag where both agree best."""

    metric: str
    labels: dict[str, str]
    r: Annotated[float, Meta(description="Spearman's, -1..1")]
    sign: Literal[1, -1]
    lag: Annotated[int, Meta(description="In points; > 0: this series moves first")]
    lag_s: float | None
    zero_lag: Annotated[float | None, Meta(description="r without a lag")]
    pairs: int
    effective: Annotated[float, Meta(description="How many of the pairs are independent")]
    p: Annotated[float, Meta(description="Two-sided, of the best of all lags")]
    q: Annotated[float, Meta(description="Share of false ones among those found up to this one")]
    found: bool


class Correlated(Result):
    """Which series move with the target."""

    target: str
    grid: GridOut
    basis: Literal["changes", "deseasoned", "values"]
    seasons: list[int]
    max_lag: int
    control: Literal["bh", "by"]
    alpha: float
    compared: Annotated[int, Meta(description="Series that were held against the target")]
    tested: int
    found: int
    correlations: Annotated[list[CorrelationOut], Meta(description="Surest first; as many as `limit`")]
    left_out: Annotated[
        dict[str, int], Meta(description="Series that could not be tested, by reason: constant, few, rare, huge")
    ]
    why: Why
    explanation: Words


class MatchOut(Result):
    """A window like the shape."""

    metric: str
    index: int
    start: Moment | None
    end: Moment | None
    distance: Annotated[float, Meta(description="Between both, z-normalised")]
    correlation: Annotated[float, Meta(description="1 - distance^2 / (2 * points)")]


class ShapeOut(Result):
    """What was looked for."""

    metric: str
    points: int
    index: Annotated[int | None, Meta(description="Where it begins in the first series; null when it was sent along")]
    start: Moment | None
    end: Moment | None


class PairOut(Result):
    """A window and the one most like it elsewhere in the same series."""

    index: int
    start: Moment | None
    nearest: int
    nearest_start: Moment | None
    distance: float
    correlation: float


class Similar(Result):
    """Where the shape occurred, and which shapes come again or stand alone."""

    shape: ShapeOut
    grid: GridOut
    searched: Annotated[int, Meta(description="Windows that were held against the shape")]
    matches: Annotated[list[MatchOut], Meta(description="Most alike first")]
    motifs: Annotated[list[PairOut] | None, Meta(description="Shapes that come again; null: not asked for")]
    discords: Annotated[list[PairOut] | None, Meta(description="Shapes like no other; null: not asked for")]
    why: Why
    explanation: Words


class WindowOut(Result):
    """A time that was compared; null for values without times."""

    start: Moment | None
    end: Moment | None


class SeriesChange(Result):
    """How one series moved."""

    metric: str
    labels: dict[str, str]
    before: Annotated[float | None, Meta(description="Mean before; null without a value")]
    after: float | None
    change: Annotated[float | None, Meta(description="Of the means")]
    ratio: Annotated[float | None, Meta(description="change / |before|; null from zero")]
    median_before: float | None
    median_after: float | None
    points_before: int
    points_after: int
    effect: Annotated[float | None, Meta(description="Cliff's delta, -1..1")]
    p: float | None
    q: float | None
    found: bool
    why: Annotated[str | None, Meta(description="Why it was not tested: empty, appeared, vanished, few, huge")]


class PartOut(Result):
    """One value of a label and its part of the total."""

    value: str
    before: float
    after: float
    change: float
    explains: Annotated[float | None, Meta(description="Its share of the change; all of a label's add up to 1")]
    share_before: float | None
    share_after: float | None
    surprise: Annotated[float | None, Meta(description="How far both shares lie apart (Jensen and Shannon)")]
    series: int


class BlameOut(Result):
    """A label, or several that tell the series apart alike, and its values."""

    labels: list[str]
    values: int
    explaining: Annotated[list[str], Meta(description="The fewest values that explain the change; empty: none do")]
    explains: float | None
    surprise: float | None
    parts: list[PartOut]


class TotalOut(Result):
    """The sum or mean of the series' means."""

    aggregate: Literal["sum", "mean"]
    before: float
    after: float
    change: float
    ratio: Annotated[float | None, Meta(description="change / |before|; null from zero")]


class Compared(Result):
    """One window against another one."""

    before: WindowOut
    after: WindowOut
    series: Annotated[int, Meta(description="That were compared")]
    tested: int
    found: int
    alpha: float
    control: Literal["bh", "by"]
    changes: Annotated[list[SeriesChange], Meta(description="Surest first; as many as `limit`")]
    total: TotalOut | None
    labels: Annotated[list[BlameOut] | None, Meta(description="What explains the change of the total best comes first")]
    why: Why
    explanation: Words


def moment(ms: int | None) -> str | None:
    """A time as it is written."""
    if ms is None:
        return None
    return at(ms).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
