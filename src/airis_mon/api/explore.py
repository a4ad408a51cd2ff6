"""Decomposition, change points, correlations, similar shapes, comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from litestar import Response, post
from msgspec import UNSET, UnsetType

from airis_mon.analyze.regular import usual_step
from airis_mon.api import explore_example as examples
from airis_mon.api.asked import (
    AskedSeries,
    answered,
    body_of,
    language_of,
    moment_of,
    refuse,
    schema_of,
    source_of,
    sources_from,
)
from airis_mon.api.explore_asked import (
    COMPARED_STEPS,
    MOST_SERIES,
    STEPS,
    ChangePoints,
    Compare,
    Correlate,
    Decompose,
    FindSimilar,
    Lang,
    Window,
    matched,
    one_way,
    queried,
    seasons_of,
    sources_of,
    step_of,
    windows_of,
)
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import JSON, Body, Doc
from airis_mon.api.schemas import Answer
from airis_mon.app.analytics import Check, Points, Source
from airis_mon.app.difference import Difference, Span, compared
from airis_mon.app.explore import Apart, Levels, changed, decomposed
from airis_mon.app.explored import Changed, Compared, Correlated, Decomposed, Similar
from airis_mon.app.relate import Relation, Shape, at_steps, correlated, similar
from airis_mon.series.labels import METRIC, Labels, fingerprint
from airis_mon.series.steps import Steps

ERRORS = (404, 422, 499)


class DecomposeAnswer(Answer):
    """A series taken apart."""

    result: Decomposed
    metadata: dict[str, Any]


class ChangesAnswer(Answer):
    """Where the level of a series changed."""

    result: Changed
    metadata: dict[str, Any]


class CorrelationsAnswer(Answer):
    """Which series move with the target."""

    result: Correlated
    metadata: dict[str, Any]


class SimilarAnswer(Answer):
    """Where a shape occurred."""

    result: Similar
    metadata: dict[str, Any]


class CompareAnswer(Answer):
    """One window against another one."""

    result: Compared
    metadata: dict[str, Any]


def _doc(answer: type[Answer], kind: type[Any], sent: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    example = {"success": True, "result": result, "metadata": {"cached": False}, "timestamp": examples.NOW}
    return {"doc": Doc(answer, example, bodies=(Body(JSON, schema_of(kind), lambda _: sent),), errors=ERRORS)}


@post(
    "/analytics/decompose",
    status_code=200,
    opt=_doc(DecomposeAnswer, Decompose, examples.DECOMPOSE, examples.DECOMPOSED),
)
async def decompose(request: Req, given: TheGiven) -> Response[bytes]:
    """A series as trend, seasons and residual (STL, MSTL).

    Stored samples are put on their regular grid; gaps are drawn through for the fit, counted, and null in `residual`.
    """
    asked = await body_of(request, given, Decompose)
    source = await sources_from(asked, lambda: source_of(asked))
    ask = Apart(seasons_of(asked.seasons, asked.seasons_s), asked.robust, _lang(request, asked.language))

    def work(points: Sequence[Points], check: Check) -> Decomposed:
        return decomposed(points[0], ask, check)

    return await answered(request, given, "decompose", [source], {"ask": ask}, work)


@post(
    "/analytics/changepoints",
    status_code=200,
    opt=_doc(ChangesAnswer, ChangePoints, examples.CHANGEPOINTS, examples.CHANGED),
)
async def find_changes(request: Req, given: TheGiven) -> Response[bytes]:
    """Where the level of a series changed, by how much, and when."""
    asked = await body_of(request, given, ChangePoints)
    source = await sources_from(asked, lambda: source_of(asked))
    ask = Levels(seasons_of(asked.seasons, asked.seasons_s), asked.penalty, _lang(request, asked.language))

    def work(points: Sequence[Points], check: Check) -> Changed:
        return changed(points[0], ask, check)

    return await answered(request, given, "changepoints", [source], {"ask": ask}, work)


@post(
    "/analytics/correlations",
    status_code=200,
    opt=_doc(CorrelationsAnswer, Correlate, examples.CORRELATE, examples.CORRELATED),
)
async def find_correlations(request: Req, given: TheGiven) -> Response[bytes]:
    """Which series move with a target, and by how much earlier or later.

    Rank correlations over lags; chance is counted out for the search over lags and over series.
    """
    asked = await body_of(request, given, Correlate)
    target = await sources_from(asked, lambda: source_of(asked.target, "$.target"))
    fp = target.fp
    target, others, labels = await _beside(given, asked, target)
    if fp is not None and labels:
        kept = [i for i, one in enumerate(labels) if others[i].fp != fp and not _is(one, fp)]
        others, labels = [others[i] for i in kept], [labels[i] for i in kept]
    ask = Relation(
        seasons=seasons_of(asked.seasons, asked.seasons_s),
        basis=asked.basis,
        control=asked.control,
        max_lag=asked.max_lag,
        alpha=asked.alpha,
        limit=asked.limit,
        labels=tuple(labels),
        lang=_lang(request, asked.language),
    )

    def work(points: Sequence[Points], check: Check) -> Correlated:
        return correlated(points, ask, check)

    return await answered(request, given, "correlations", [target, *others], {"ask": ask}, work)


@post(
    "/analytics/similar",
    status_code=200,
    opt=_doc(SimilarAnswer, FindSimilar, examples.SIMILAR, examples.FOUND),
)
async def find_similar(request: Req, given: TheGiven) -> Response[bytes]:
    """Where a shape occurred before, at whatever level and scale.

    `distance` is between z-normalised windows; correlation = 1 - distance^2 / (2 * points).
    """
    asked = await body_of(request, given, FindSimilar)
    listed = [] if asked.series is UNSET else asked.series
    sources = await sources_from(asked, lambda: [source_of(asked), *(sources_of(listed, "$.series") if listed else [])])
    ask = _shape(asked, _lang(request, asked.language))
    if asked.shape is not UNSET:
        sources.insert(0, Source("", value=np.array(asked.shape, np.float64)))

    def work(points: Sequence[Points], check: Check) -> Similar:
        return similar(points, ask, check)

    return await answered(request, given, "similar", sources, {"ask": ask}, work)


@post(
    "/analytics/compare",
    status_code=200,
    opt=_doc(CompareAnswer, Compare, examples.COMPARE, examples.COMPARED),
)
async def compare_windows(request: Req, given: TheGiven) -> Response[bytes]:
    """This window against another one: which series changed, and which label values explain it.

    Against the time right before, a day or a week earlier, before a moment such as a deploy, or any other time.
    """
    asked = await body_of(request, given, Compare)
    way = one_way(match=asked.match, query=asked.query, series=asked.series)
    labels: list[Labels] = []
    if way == "series" and asked.split_at is not UNSET:
        at = asked.split_at
        windows, sources = None, await sources_from(asked, lambda: _split(asked, at))
    else:
        windows = windows_of(asked)
        sources, labels = await _in_windows(given, asked, windows)
    before, after = (Span(None, None), Span(None, None)) if windows is None else (Span(w.start, w.end) for w in windows)
    ask = Difference(
        before=before,
        after=after,
        aggregate=asked.aggregate,
        control=asked.control,
        alpha=asked.alpha,
        limit=asked.limit,
        labels=tuple(labels),
        lang=_lang(request, asked.language),
    )

    def work(points: Sequence[Points], check: Check) -> Compared:
        return compared(points, ask, check)

    return await answered(request, given, "compare", sources, {"ask": ask}, work)


ROUTES = (decompose, find_changes, find_correlations, find_similar, compare_windows)


def _lang(request: Req, asked: Lang | UnsetType) -> Lang:
    return language_of(request) if asked is UNSET else asked


async def _beside(given: TheGiven, asked: Correlate, target: Source) -> tuple[Source, list[Source], list[Labels]]:
    """The target and what is held against it, over the target's time."""
    if one_way(series=asked.series, match=asked.match, query=asked.query) == "series" and asked.series is not UNSET:
        listed = asked.series
        return target, await sources_from(asked, lambda: sources_of(listed, "$.series")), []
    if target.t is not None and len(target.t):
        window = Window(int(target.t[0]), int(target.t[-1]))
    elif target.start is not None and target.end is not None:
        window = Window(target.start, target.end)
    else:
        refuse("$.target.timestamps", "", "is missing; stored series can only be held against values with times")
    if asked.match is not UNSET:
        return target, *await matched(given, asked.match, [window])
    if asked.query is UNSET:  # one of the three is given
        return target, [], []
    points = await given.engine.analytics.points(target)
    step_ms = step_of(asked.step_s, window, STEPS)
    if asked.step_s is UNSET and points.t is not None:
        step_ms = max(step_ms, usual_step(points.t) or 0)
    t, value = at_steps(points, Steps.between(window.start, window.end, step_ms))
    stepped = replace(target, name=points.name, t=t, value=value)
    return stepped, *await queried(given, asked.query, [window], step_ms)


def _is(labels: Labels, fp: int) -> bool:
    """Whether labels are those of a stored series; an expression's may have lost the metric's name."""
    return any(name == METRIC for name, _ in labels) and fingerprint(labels) == fp


def _shape(asked: FindSimilar, lang: Lang) -> Shape:
    is_sent = asked.shape is not UNSET
    if is_sent:
        for name, value in (("points", asked.points), ("shapeIndex", asked.shape_index)):
            if value is not UNSET:
                refuse(f"$.{name}", str(value), "is given beside shape; give one of them")
    elif asked.points is UNSET:
        refuse("$.points", "", "is missing; say how many points the shape has, or send it as `shape`")
    if asked.shape_start is not UNSET and (is_sent or asked.shape_index is not UNSET):
        refuse("$.shapeStart", str(asked.shape_start), "is given beside shape or shapeIndex; give one of them")
    return Shape(
        points=len(asked.shape) if asked.shape is not UNSET else asked.points if asked.points is not UNSET else 0,
        start=None if asked.shape_start is UNSET else moment_of(asked.shape_start, "$.shapeStart"),
        index=None if asked.shape_index is UNSET else asked.shape_index,
        is_sent=is_sent,
        limit=asked.limit,
        least=asked.min_correlation,
        has_profile=asked.profile,
        lang=lang,
    )


async def _in_windows(
    given: TheGiven, asked: Compare, windows: tuple[Window, Window]
) -> tuple[list[Source], list[Labels]]:
    if asked.match is not UNSET:
        return await matched(given, asked.match, windows)
    if asked.query is not UNSET:
        return await queried(given, asked.query, windows, step_of(asked.step_s, windows[1], COMPARED_STEPS))
    return await sources_from(asked, lambda: _cut(asked, windows)), []


def _cut(asked: Compare, windows: tuple[Window, Window]) -> list[Source]:
    """The listed series, each once per window."""
    if not asked.series:
        refuse("$.series", "[]", f"is empty; give 1 to {MOST_SERIES:,} series")
    sources = []
    for i, one in enumerate(asked.series):
        path = f"$.series[{i}]"
        source = source_of(one, path)
        if source.fp is not None:
            _refuse_times(one, path)
            sources += [
                Source(source.name, fp=source.fp, signal=source.signal, start=w.start, end=w.end, path=path)
                for w in windows
            ]
        elif source.value is None or source.t is None:
            refuse(f"{path}.timestamps", "", "is missing; give them, or splitAt: the index of the window's first point")
        else:
            cuts = (np.searchsorted(source.t, [w.start, w.end + 1]) for w in windows)
            sources += [Source(source.name, value=source.value[a:b], t=source.t[a:b], path=path) for a, b in cuts]
    return sources


def _refuse_times(one: AskedSeries, path: str) -> None:
    for name, given in (("start", one.start), ("end", one.end), ("windowS", one.window_s)):
        if given is not UNSET:
            refuse(f"{path}.{name}", str(given), "is said once for all series; give start and end beside series")


def _split(asked: Compare, at: int) -> list[Source]:
    """Values without times, before and from a point on."""
    for name, given in (("at", asked.at), ("start", asked.start), ("end", asked.end), ("windowS", asked.window_s)):
        if given is not UNSET:
            refuse(f"$.{name}", str(given), "is given beside splitAt; give one of them")
    sources = []
    for i, source in enumerate(sources_of(asked.series or [], "$.series")):
        if source.value is None:
            refuse(f"$.series[{i}].seriesId", "", "means a stored series, which has times; give at instead of splitAt")
        if not 0 < at < len(source.value):
            last = len(source.value) - 1
            refuse("$.splitAt", str(at), f"leaves nothing on one side of $.series[{i}].values; give 1 to {last:,}")
        sources += [Source(source.name, value=part, path=source.path) for part in np.split(source.value, [at])]
    return sources
