"""What forecasts and their accuracy look like in answers."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from airis_mon.api.schemas import Answer, Count, Out, Page, Timestamp, stamp
from airis_mon.app.fleet import Standing
from airis_mon.app.fleetaccuracy import Accuracy, by_lead, by_model, of_all
from airis_mon.events.anomaly import signal_name
from airis_mon.explain.foretold import Ahead, Held, told
from airis_mon.explain.speak import Lang
from airis_mon.forecast.base import BASELINE, Forecast, Panel
from airis_mon.series.batch import Values
from airis_mon.series.labels import METRIC, hex_id, metric_of
from airis_mon.store.base import Foreseen, Outcomes


class Backtest(Out):
    """Mean absolute errors over windows at the series' own end; null when it is too short."""

    error: float | None
    baseline_error: float | None
    skill: Annotated[float | None, Meta(description="1 - error / baselineError")]
    windows: Count
    baseline: str


class ForetoldOut(Out):
    """A forecast of values that were asked about."""

    id: str
    type: str
    metric: str
    horizon: Count
    level: float
    model: Annotated[str, Meta(description="Who forecast it; several joined by + in the order of their weight")]
    step_s: float | None
    t: Annotated[list[int] | None, Meta(description="ms UTC, the end of each step; null without times")]
    mean: list[float | None]
    lower: list[float | None]
    upper: list[float | None]
    seasons: Annotated[list[int], Meta(description="Periods in points")]
    backtest: Backtest
    left_out: Annotated[list[str], Meta(description="Models that could not be used, each with the reason")]
    why: Annotated[dict[str, str], Meta(description="What could not be computed -> why not")]
    explanation: str


class ForetoldAnswer(Answer):
    """A forecast."""

    result: ForetoldOut
    metadata: dict[str, Any]


class AccuracyOut(Out):
    """How good forecasts were; null = nothing to tell it from."""

    points: Count
    error: Annotated[float | None, Meta(description="Mean absolute error")]
    baseline_error: Annotated[float | None, Meta(description="Of repeating the last season, over the same points")]
    scaled_error: Annotated[float | None, Meta(description="error / baselineError; of many signals their median")]
    coverage: Annotated[float | None, Meta(description="Share of what happened that lay within the interval")]
    level: Annotated[float | None, Meta(description="Share that it was to hold")]


class StandingOut(Out):
    """A signal's forecast of the newest round."""

    series: str
    name: str
    metric: str
    labels: dict[str, str]
    signal: str
    model: str
    made_at: Timestamp
    accuracy: AccuracyOut


class ForecastPage(Page, kw_only=True):
    """How much of the whole is shown; why: why there is nothing to show."""

    why: str | None


class ForecastList(Answer):
    """Signals that are forecast."""

    forecasts: list[StandingOut]
    metadata: ForecastPage


class PointsOut(Out):
    """A forecast in columns: `t` in milliseconds UTC, the end of each step."""

    t: list[int]
    mean: list[float | None]
    lower: list[float | None]
    upper: list[float | None]
    made: Annotated[list[int], Meta(description="When each point was forecast, ms UTC")]


class ForecastAnswer(Answer):
    """The forecast of one signal."""

    forecast: StandingOut
    points: PointsOut
    accuracy: AccuracyOut
    explanation: str


class GroupOut(AccuracyOut):
    """Accuracy over several signals, whose units may differ: then scaledError alone tells of errors."""

    name: str
    signals: Count
    better: Annotated[float | None, Meta(description="Share of signals with less error than the baseline")]
    why: Annotated[dict[str, str], Meta(description="What could not be computed -> why not")]


class FleetAccuracyOut(Out):
    """Accuracy of all forecasts of a week."""

    all: GroupOut
    by_model: list[GroupOut]
    by_lead: Annotated[list[GroupOut], Meta(description="By how far ahead, up to so many seconds")]


class AccuracyNote(Out):
    """why: why nothing can be told of accuracy."""

    why: str | None


class AccuracyAnswer(Answer):
    """How good forecasts were."""

    accuracy: FleetAccuracyOut
    metadata: AccuracyNote


def foretold_out(name: str, panel: Panel, found: Forecast, lang: Lang, now: int) -> ForetoldOut:
    """The forecast of a panel of one series."""
    mean, lower, upper = found.mean[0], found.lower[0], found.upper[0]
    horizon = len(mean)
    t = None
    if panel.start_ms is not None and panel.step_ms is not None:
        t = panel.start_ms + panel.step_ms * (panel.length + np.arange(horizon, dtype=np.int64))
    error, naive = _number(found.error[0]), _number(found.baseline_error[0])
    ahead = Ahead(name or "the series", t, mean, lower, upper, found.level, found.model[0], bool(panel.seasons))
    return ForetoldOut(
        id=f"forecast_{name}_{now}",
        type="forecast",
        metric=name,
        horizon=horizon,
        level=found.level,
        model=found.model[0],
        step_s=None if panel.step_ms is None else panel.step_ms / 1000,
        t=None if t is None else t.tolist(),
        mean=_numbers(mean),
        lower=_numbers(lower),
        upper=_numbers(upper),
        seasons=list(panel.seasons),
        backtest=Backtest(error, naive, _skill(error, naive), found.windows, BASELINE),
        left_out=list(found.left_out),
        why=_why(panel, horizon, found),
        explanation=told(ahead, Held(error, naive), lang),
    )


def _why(panel: Panel, horizon: int, found: Forecast) -> dict[str, str]:
    why = {}
    n = panel.length
    if not math.isfinite(found.error[0]):
        why["backtest"] = f"{n:,} points are too few to try {horizon:,} of them on the rest"
    if not np.isfinite(found.lower[0]).all():
        why["lower"] = why["upper"] = "an interval is learned from the errors of a backtest, of which there are too few"
    if not panel.seasons:
        why["seasons"] = f"nothing repeats twice in {n:,} points"
    return why


def standing_out(of: Standing, held: Accuracy | None) -> StandingOut:
    """A signal of the newest round; before anything was held against what happened, without accuracy."""
    return StandingOut(
        series=hex_id(of.fp),
        name=signal_name(of.labels, of.kind),
        metric=metric_of(of.labels),
        labels={n: v for n, v in of.labels if n != METRIC},
        signal=of.kind,
        model=of.model,
        made_at=stamp(of.made_ms),
        accuracy=accuracy_out(held),
    )


def accuracy_out(held: Accuracy | None) -> AccuracyOut:
    """Of one signal."""
    if held is None:
        return AccuracyOut(0, None, None, None, None, None)
    return AccuracyOut(held.points, held.error, held.naive, held.scaled, held.coverage, held.level)


def points_out(found: Foreseen, standing: Standing) -> tuple[PointsOut, Ahead]:
    """The points of one signal out of those of its series, and what is to be told of them."""
    rows = np.flatnonzero(np.array([kind == standing.kind for kind in found.kinds], np.bool_)[found.kind])
    mean, lower, upper = found.mean[rows], found.lower[rows], found.upper[rows]
    level = float(found.level[rows[-1]]) if len(rows) else math.nan
    columns = PointsOut(
        found.t[rows].tolist(), _numbers(mean), _numbers(lower), _numbers(upper), found.made[rows].tolist()
    )
    name = signal_name(standing.labels, standing.kind)
    return columns, Ahead(name, found.t[rows], mean, lower, upper, level, standing.model)


def fleet_accuracy_out(found: Outcomes) -> FleetAccuracyOut:
    """Of all signals together, by model and by lead."""
    models, leads = by_model(found), by_lead(found)
    return FleetAccuracyOut(
        _group("all", of_all(found)),
        [_group(name, models[name]) for name in sorted(models, key=lambda m: -models[m].points)],
        [_group(f"{lead / 1000:g}", leads[lead]) for lead in sorted(leads)],
    )


def _group(name: str, of: Accuracy) -> GroupOut:
    return GroupOut(
        points=of.points,
        error=of.error if of.signals == 1 else None,
        baseline_error=of.naive if of.signals == 1 else None,
        scaled_error=of.scaled,
        coverage=of.coverage,
        level=of.level,
        name=name,
        signals=of.signals,
        better=of.better,
        why=_unknown(of),
    )


def _unknown(of: Accuracy) -> dict[str, str]:
    why: dict[str, str] = {}
    if not of.points:
        none = "nothing of a forecast has been held against what happened"
        return dict.fromkeys(("error", "baselineError", "scaledError", "coverage", "level", "better"), none)
    if of.signals > 1:
        mixed = "the units of several signals differ; scaledError compares each with its own baseline"
        why |= {"error": mixed, "baselineError": mixed}
    if of.scaled is None:
        why |= dict.fromkeys(("scaledError", "better"), "the baseline made no error, with which one could compare")
    if of.coverage is None:
        why["coverage"] = "these forecasts had no interval"
    return why


def _skill(error: float | None, naive: float | None) -> float | None:
    return None if error is None or not naive else 1 - error / naive


def _number(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def _numbers(values: Values) -> list[float | None]:
    return [x if math.isfinite(x) else None for x in values.tolist()]


_NOW = "2026-03-01T12:00:00.000Z"
_T = 1_772_366_400_000
_HELD = {"points": 96, "error": 1.8, "baselineError": 3.1, "scaledError": 0.58, "coverage": 0.948, "level": 0.95}
_ONE = {
    "series": "9f86d081884c7d65",
    "name": 'cpu_usage{host="web-1"}',
    "metric": "cpu_usage",
    "labels": {"host": "web-1"},
    "signal": "value",
    "model": "ridge+smooth",
    "madeAt": _NOW,
    "accuracy": _HELD,
}
_BAND = {"mean": [41.0, 42.5], "lower": [37.2, 38.0], "upper": [44.9, 47.1]}
_FORETOLD = {
    "id": f"forecast_cpu_usage_{_T}",
    "type": "forecast",
    "metric": "cpu_usage",
    "horizon": 2,
    "level": 0.95,
    "model": "seasonal_naive",
    "stepS": 900.0,
    "t": [_T + 900_000, _T + 1_800_000],
    **_BAND,
    "seasons": [96],
    "backtest": {"error": 1.8, "baselineError": 1.8, "skill": 0.0, "windows": 3, "baseline": "seasonal_naive"},
    "leftOut": [],
    "why": {},
    "explanation": "cpu_usage is expected to lie between 41 and 42.5 until 2026-03-01 12:30 ...",
}
_GROUP = {**_HELD, "name": "all", "signals": 1, "better": 1.0, "why": {}}


def _said(**payload: Any) -> dict[str, Any]:
    return {"success": True, **payload, "timestamp": _NOW}


examples = SimpleNamespace(
    ASKED={"metricName": "cpu_usage", "values": [41, 43, 47, 52, 49, 44, 42, 44, 48, 53, 50, 45], "horizon": 4},
    FORETOLD=_said(result=_FORETOLD, metadata={"cached": False}),
    LIST=_said(
        forecasts=[_ONE],
        metadata={"count": 1, "limit": 100, "truncated": False, "offset": 0, "matched": 1, "why": None},
    ),
    ONE=_said(
        forecast=_ONE,
        points={"t": [_T, _T + 900_000], **_BAND, "made": [_T - 60_000, _T - 60_000]},
        accuracy=_HELD,
        explanation=_FORETOLD["explanation"],
    ),
    ACCURACY=_said(
        accuracy={"all": _GROUP, "byModel": [{**_GROUP, "name": "ridge"}], "byLead": [{**_GROUP, "name": "3600"}]},
        metadata={"why": None},
    ),
)
