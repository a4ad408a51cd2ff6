"""Analyses of values and stored series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, post
from msgspec import UNSET, Meta, Struct, UnsetType

from airis_mon.analyze.analysis import analyze
from airis_mon.analyze.base import LEAST, METHODS, MOST
from airis_mon.api import window
from airis_mon.api.analysis_example import ANALYSIS
from airis_mon.api.analysis_out import AnalysisAnswer, AnalysisList, AnalysisOut, analysis_out
from airis_mon.api.asked import AskedSeries, answered, body_of, language_of, refuse, schema_of, source_of, sources_from
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import JSON, Body, Doc
from airis_mon.api.schemas import now_ms
from airis_mon.app.analytics import Check, Points, Source
from airis_mon.errors import InputError, Refusal
from airis_mon.explain.analysis import Lang

MOST_SERIES = 100
MOST_THRESHOLD = 1e6

Method = Literal["zscore", "iqr", "mad", "isolation_forest"]


class _Analyze(AskedSeries, forbid_unknown_fields=True, kw_only=True):
    """What an analysis is asked with."""

    series: Annotated[
        list[AskedSeries] | UnsetType,
        Meta(description=f"Several series in one question, at most {MOST_SERIES}, instead of one"),
    ] = UNSET
    threshold: (
        Annotated[
            float, Meta(description="Leave-one-out z from which a value is unlike the others", gt=0, le=MOST_THRESHOLD)
        ]
        | UnsetType
    ) = UNSET
    methods: Annotated[list[Method] | UnsetType, Meta(description=f"Of {', '.join(METHODS)}; without it all")] = UNSET
    language: Annotated[
        Literal["en", "ko"] | UnsetType, Meta(description="Of the explanation; without it by Accept-Language, else en")
    ] = UNSET


class _Options(Struct, frozen=True):
    """What an analysis depends on beside the values."""

    threshold: float
    methods: tuple[str, ...]
    lang: Lang
    is_one: bool


_DOCUMENTED = {"metricName": "cpu_usage", "values": [45, 67, 89, 95, 12, 78, 156, 34]}


@post(
    "/analytics/analyze",
    status_code=200,
    opt={
        "doc": Doc(
            AnalysisAnswer,
            ANALYSIS,
            AnalysisList,
            bodies=(Body(JSON, schema_of(_Analyze), lambda _: _DOCUMENTED),),
            errors=(404, 422, 499),
        )
    },
)
async def analyze_values(request: Req, given: TheGiven) -> Response[bytes]:
    """Statistics, outliers, trend, seasons and changes of values, told in numbers and in words.

    Of 1 to 10,000 values sent along, or of a window of a stored series (`seriesId`, with `start` and `end` or
    `windowS`); with `series` of up to 100 at once: then `result` is an array.
    """
    asked = await body_of(request, given, _Analyze)
    options = _options(asked, given.engine.analytics.threshold, language_of(request))
    sources = await sources_from(asked, lambda: _sources(asked))

    def work(points: Sequence[Points], check: Check) -> Any:
        found = [_analyzed(p, options, check) for p in points]
        return found[0] if options.is_one else found

    told = msgspec.structs.asdict(options)
    return await answered(request, given, "analyze", sources, told, work, is_light=True)


ROUTES = (analyze_values, *window.ROUTES)


def _options(asked: _Analyze, threshold: float, lang: Lang) -> _Options:
    methods = METHODS if asked.methods is UNSET else tuple(m for m in METHODS if m in asked.methods)
    if not methods:
        refuse("$.methods", "[]", f"names none; give some of {', '.join(METHODS)}, or leave it out")
    return _Options(
        threshold if asked.threshold is UNSET else asked.threshold,
        methods,
        lang if asked.language is UNSET else asked.language,
        asked.series is UNSET,
    )


def _sources(asked: _Analyze) -> list[Source]:
    if asked.series is UNSET:
        return [_source(asked, "$")]
    if asked.values is not UNSET or asked.series_id is not UNSET:
        refuse("$.series", f"{len(asked.series)} series", "is given beside values or seriesId; give one of them")
    if not 1 <= len(asked.series) <= MOST_SERIES:
        refuse("$.series", f"{len(asked.series)} series", f"has {len(asked.series)}; give 1 to {MOST_SERIES}")
    return [_source(one, f"$.series[{i}]") for i, one in enumerate(asked.series)]


def _source(asked: AskedSeries, path: str) -> Source:
    if not asked.metric_name and asked.series_id is UNSET:
        refuse(f"{path}.metricName", asked.metric_name, "is missing; name what the values are")
    return source_of(asked, path, least=LEAST, most=MOST)


def _analyzed(of: Points, options: _Options, check: Check) -> AnalysisOut:
    check()
    if not LEAST <= len(of.value) <= MOST:  # of a stored series: values sent along are counted already
        remedy = "narrow start and end" if len(of.value) else "widen it"
        reason = f"{of.name} has {len(of.value):,} samples in this window, not {LEAST} to {MOST:,}; {remedy}"
        raise InputError(reason, (Refusal("$.windowS", of.name, reason),))
    try:
        found = analyze(of.value, threshold=options.threshold, methods=options.methods)
    except InputError as error:
        raise InputError(str(error), (Refusal("$", of.name, str(error)),)) from None
    return analysis_out(found, of, options.lang, now_ms())
