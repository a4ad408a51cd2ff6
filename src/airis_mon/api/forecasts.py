"""Forecasts of values and of watched signals, and how good they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType

from airis_mon.api.asked import AskedSeries, answered, body_of, language_of, refuse, schema_of, source_of, sources_from
from airis_mon.api.forecasts_out import (
    AccuracyAnswer,
    AccuracyNote,
    ForecastAnswer,
    ForecastList,
    ForecastPage,
    ForetoldAnswer,
    accuracy_out,
    fleet_accuracy_out,
    foretold_out,
    points_out,
    standing_out,
)
from airis_mon.api.forecasts_out import examples as of
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import JSON, Body, Doc
from airis_mon.api.params import END, MATCH, START, Query, choice, query_of, read_id, whole
from airis_mon.api.schemas import now_ms, stamp
from airis_mon.api.series import ID, SIGNAL
from airis_mon.app.analytics import Check, Points, Source
from airis_mon.app.fleet import Fleet, Standing
from airis_mon.app.fleetaccuracy import by_signal
from airis_mon.app.foretelling import LEAST, MOST_HORIZON, Asked
from airis_mon.errors import ConfigError, InputError, NotFound, Refusal
from airis_mon.explain.foretold import Held, told
from airis_mon.series.labels import hex_id

MOST_VALUES = 10_000
WEEK_MS = 7 * 86_400_000
UNHELD = "no round has been held against what happened yet: that begins an hour after it"

LIMIT = whole("limit", "So many at most.", 100, 10_000, "narrow `match`")
OFFSET = whole("offset", "Leaves out so many first.", 0, 10_000_000, "narrow `match`", least=0)
LANGUAGE = choice("language", "Of the explanation; without it by Accept-Language, else en.", ("en", "ko"))


class _Forecast(AskedSeries, forbid_unknown_fields=True, kw_only=True):
    """What a forecast is asked with."""

    horizon: Annotated[
        int, Meta(description=f"Points ahead; at most half of those there are, and {MOST_HORIZON:,}", ge=1)
    ]
    level: Annotated[float, Meta(description="Share of what happens that the interval is to hold", gt=0, lt=1)] = 0.95
    seasons: Annotated[
        list[int] | UnsetType, Meta(description="Periods in points; without it day and week, or those found")
    ] = UNSET
    models: Annotated[list[str], Meta(description="Kinds of forecasters; empty: the fast ones", max_length=50)] = (
        msgspec.field(default_factory=list)
    )
    holidays: Annotated[list[str], Meta(description="Countries whose holidays are known, as KR", max_length=20)] = (
        msgspec.field(default_factory=list)
    )
    language: Annotated[
        Literal["en", "ko"] | UnsetType, Meta(description="Of the explanation; without it by Accept-Language, else en")
    ] = UNSET


@post(
    "/analytics/forecast",
    status_code=200,
    opt={
        "doc": Doc(
            ForetoldAnswer,
            of.FORETOLD,
            bodies=(Body(JSON, schema_of(_Forecast), lambda _: of.ASKED),),
            errors=(404, 422, 499),
        )
    },
)
async def forecast_values(request: Req, given: TheGiven) -> Response[bytes]:
    """What comes next, with an interval, by models held against the series' own past.

    Of values sent along (with `timestamps`, or `start` and `stepS`, or neither), or of a window of a stored series
    (`seriesId`; a week without `start` or `windowS`), whose samples become the means of `stepS`.
    """
    asked = await body_of(request, given, _Forecast)
    source, step_ms = await sources_from(asked, lambda: _source(asked))
    lang = language_of(request) if asked.language is UNSET else asked.language
    seasons = None if asked.seasons is UNSET else tuple(asked.seasons)
    models, holidays = tuple(asked.models), tuple(asked.holidays)
    foreteller = given.engine.analytics.foreteller

    async def work(points: Sequence[Points], _: Check) -> Any:
        (one,) = points
        series = Asked(one.value, one.t, step_ms or one.step_ms, asked.horizon, seasons)
        try:
            panel, found = await foreteller.foretell(series, asked.level, models, holidays)
        except ConfigError as error:  # an unknown kind of model, or country
            path = "$.holidays" if str(error).startswith("holidays") else "$.models"
            raise InputError(f"{path}: {error}", (Refusal(path, "", str(error)),)) from None
        return foretold_out(one.name, panel, found, lang, now_ms())

    told = (asked.horizon, asked.level, seasons, models, holidays, step_ms, lang)
    return await answered(request, given, "forecast", [source], {"asked": told}, work)


@get(
    "/forecasts",
    opt={"doc": Doc(ForecastList, of.LIST, params=(MATCH, LIMIT, OFFSET), errors=(409,))},
)
async def list_forecasts(request: Req, given: TheGiven) -> ForecastList:
    """Signals of the newest round, by metric, each with its model and how good its forecasts of a week were."""
    query, fleet = query_of(request), given.engine.fleet
    limit, offset = query[LIMIT], query[OFFSET]
    found = fleet.standing(query[MATCH])
    shown = found[offset : offset + limit]
    held = by_signal(await fleet.outcomes(sorted({s.fp for s in shown})))
    why = None if found else _why_none(fleet)
    page = ForecastPage(len(shown), limit, offset + limit < len(found), offset, len(found), why=why)
    items = [standing_out(s, held.get((s.fp, s.kind))) for s in shown]
    return ForecastList(items, page, timestamp=stamp(now_ms()))


@get("/forecasts/accuracy", opt={"doc": Doc(AccuracyAnswer, of.ACCURACY, errors=(409,))})
async def get_forecast_accuracy(request: Req, given: TheGiven) -> AccuracyAnswer:
    """How good the forecasts of the last week were, beside repeating the last season; by model and by lead."""
    query_of(request)
    fleet = given.engine.fleet
    found = await fleet.outcomes()
    why = None if len(found.fp) else fleet.why or UNHELD
    return AccuracyAnswer(fleet_accuracy_out(found), AccuracyNote(why), timestamp=stamp(now_ms()))


@get(
    "/forecasts/{series_id:str}",
    opt={"doc": Doc(ForecastAnswer, of.ONE, params=(SIGNAL, START, END, LANGUAGE), path=(ID,), errors=(404, 409))},
)
async def get_forecast(request: Req, given: TheGiven, series_id: FromPath[str]) -> ForecastAnswer:
    """The forecast of one signal: from now to the end of its horizon, unless `start` or `end` say otherwise.

    At times gone by it is what was forecast last before them.
    """
    query, fleet = query_of(request), given.engine.fleet
    standing = _standing(fleet, _fp(series_id), query)
    start, end = _window(fleet, query)
    found = await fleet.points(standing.fp, start, end)
    held = by_signal(await fleet.outcomes([standing.fp])).get((standing.fp, standing.kind))
    points, ahead = points_out(found, standing)
    said = Held() if held is None else Held(held.error, held.naive, held.coverage)
    lang = query[LANGUAGE] or language_of(request)
    text = told(ahead, said, "ko" if lang == "ko" else "en")
    item = standing_out(standing, held)
    return ForecastAnswer(item, points, accuracy_out(held), text, timestamp=stamp(now_ms()))


ROUTES = (forecast_values, list_forecasts, get_forecast_accuracy, get_forecast)


# -- what is asked --------------------------------------------------------------------------------------------------


def _source(asked: _Forecast) -> tuple[Source, int | None]:
    """The series, and the step that its samples are to be brought to."""
    step_ms = None
    plain = AskedSeries(**{name: getattr(asked, name) for name in AskedSeries.__struct_fields__})
    if asked.series_id is not UNSET:
        if asked.step_s is not UNSET:
            if not 1 <= asked.step_s <= 86_400:
                refuse("$.stepS", str(asked.step_s), "is no step of a grid; give 1 s to a day")
            step_ms, plain.step_s = round(asked.step_s * 1000), UNSET
        if asked.start is UNSET and asked.window_s is UNSET:
            plain.window_s = WEEK_MS / 1000
        return source_of(plain), step_ms
    start, plain.start = asked.start, UNSET
    source = source_of(plain, least=LEAST, most=MOST_VALUES)
    if start is UNSET or source.value is None:
        return source, None
    if source.step_ms is None:
        refuse("$.start", str(start), "is the time of the first value, and needs stepS")
    first = source_of(AskedSeries(values=[0.0], timestamps=[start])).t
    if first is None:
        raise ValueError("a time gives times")
    return Source(source.name, value=source.value, t=first[0] + source.step_ms * np.arange(len(source.value))), None


def _fp(text: str) -> int:
    try:
        return read_id(text)
    except InputError as error:
        raise NotFound(f"no series {text[:40]!r}: {error}") from None


def _standing(fleet: Fleet, fp: int, query: Query) -> Standing:
    """The signal asked for, the first one without a wish. Raises NotFound."""
    kind = query[SIGNAL]
    found = [s for s in fleet.standing() if s.fp == fp]
    for standing in found:
        if kind in {None, standing.kind}:
            return standing
    has = (
        f"no forecast of {kind!r}, but of {', '.join(s.kind for s in found)}"
        if found
        else f"no forecast: {_why_none(fleet)}"
    )
    raise NotFound(f"series {hex_id(fp)} has {has}; GET /forecasts lists what is forecast")


def _why_none(fleet: Fleet) -> str:
    if fleet.standing():
        return "no signal of the newest round matches"
    return fleet.why or "nothing could be forecast of what is watched"


def _window(fleet: Fleet, query: Query) -> tuple[int, int]:
    now, start, end = now_ms(), query[START], query[END]
    start = now if start is None else start
    end = max(start, now) + fleet.plan.reach_ms if end is None else end
    if start > end:
        raise InputError(
            "start: is later than end; exchange them", (Refusal("start", stamp(start), "is later than end"),)
        )
    return start, end
