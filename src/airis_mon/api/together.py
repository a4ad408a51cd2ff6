"""Several metrics of one entity judged together, and which of them are to blame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import Response, post
from msgspec import UNSET, Meta, Struct, UnsetType

from airis_mon.api.asked import Moment, answered, body_of, language_of, moment_of, refuse, schema_of
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import JSON, Body, Doc
from airis_mon.api.schemas import Answer, Out, Share, Timestamp, now_ms, stamp
from airis_mon.app.analytics import Check, Points, Source
from airis_mon.app.together import LEAST_STEP_MS, MOST_METRICS, Ask, Blamed, Found, judged
from airis_mon.errors import InputError
from airis_mon.events.anomaly import ALARM
from airis_mon.series.matchers import parse_selector

HOUR_S, DAY_S = 3600.0, 86_400.0
MOST_S = 366 * DAY_S


class _Together(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """An entity, a time to judge, and how."""

    match: Annotated[str, Meta(description="The entity's series, as one PromQL selector", max_length=1000)]
    method: Annotated[
        Literal["bank", "pca", "isolation_forest"],
        Meta(description="bank: the live detector; the others are trained on the time before"),
    ] = "bank"
    start: Annotated[Moment | UnsetType, Meta(description="Judged from here; without it the last hour")] = UNSET
    end: Annotated[Moment | UnsetType, Meta(description="Until here; without it now")] = UNSET
    train_s: Annotated[
        float, Meta(description="So long before `start` is learned from; choose a quiet time", ge=60, le=MOST_S)
    ] = DAY_S
    step_s: (
        Annotated[float, Meta(description="Between two times; without it that of the samples", ge=1, le=DAY_S)]
        | UnsetType
    ) = UNSET
    language: Annotated[
        Literal["en", "ko"] | UnsetType, Meta(description="Of the explanation; without it by Accept-Language")
    ] = UNSET


class BlamedOut(Out):
    """A metric and the part of the score that it gave."""

    name: str
    share: Share


class EpisodeOut(Out):
    """A time at the line."""

    start: Timestamp
    end: Timestamp
    peak: Share
    peak_at: Timestamp
    p: Annotated[float | None, Meta(description="Share of quiet times held back that scored as high; null: bank")]
    metrics: Annotated[list[BlamedOut], Meta(description="At the peak, most first")]


class CurveOut(Out):
    """The score over time, in columns; t in ms."""

    t: list[int]
    score: list[float]


class TogetherOut(Out):
    """What was found."""

    entity: str
    method: Literal["bank", "pca", "isolation_forest"]
    is_anomaly: bool
    score: Annotated[float, Meta(description="The highest, 0..1; an anomaly from alarmLine on")]
    alarm_line: Annotated[float, Meta(description="What scores are held against, of whatever method")]
    at: Timestamp
    p: float | None
    raw_line: Annotated[float, Meta(description="Where alarmLine lies in the method's own unit; not for scores")]
    components: Annotated[int | None, Meta(description="Axes that pca kept")]
    metrics: list[str]
    left_out: Annotated[dict[str, int], Meta(description="Signals that nothing can be computed with: huge")]
    blamed: Annotated[list[BlamedOut], Meta(description="At the highest score, most first")]
    episodes: list[EpisodeOut]
    curve: CurveOut
    step_s: float
    trained: Annotated[int, Meta(description="Times learned from")]
    judged: Annotated[int, Meta(description="Times judged")]
    explanation: str


class TogetherAnswer(Answer):
    """An entity judged as a whole."""

    result: TogetherOut
    metadata: dict[str, Any]


_NOW = "2026-03-01T12:00:00.000Z"
_BLAMED = [{"name": 'cpu_usage{host="web-1"}', "share": 0.6}, {"name": 'load{host="web-1"}', "share": 0.3}]
_EXAMPLE = {
    "success": True,
    "result": {
        "entity": '{host="web-1"}',
        "method": "pca",
        "isAnomaly": True,
        "score": 0.91,
        "alarmLine": 0.8,
        "at": _NOW,
        "p": 0.002,
        "rawLine": 1.37,
        "components": 3,
        "metrics": ['cpu_usage{host="web-1"}', 'load{host="web-1"}', 'memory{host="web-1"}'],
        "leftOut": {},
        "blamed": _BLAMED,
        "episodes": [{"start": _NOW, "end": _NOW, "peak": 0.91, "peakAt": _NOW, "p": 0.002, "metrics": _BLAMED}],
        "curve": {"t": [1_772_366_400_000], "score": [0.91]},
        "stepS": 15.0,
        "trained": 5760,
        "judged": 1,
        "explanation": '{host="web-1"} was unusual as a whole: its score reached 0.91 at 2026-03-01 12:00 UTC, above '
        'the line of 0.8. Most of it came from cpu_usage{host="web-1"} (60%), load{host="web-1"} (30%). Judged by '
        "principal components after learning from 5,760 times.",
    },
    "metadata": {"cached": False},
    "timestamp": _NOW,
}


def _example(now: int) -> dict[str, Any]:
    return {"match": '{host="web-1"}', "method": "pca", "start": now - 3_600_000, "end": now, "trainS": 7200}


_BODY = Body(JSON, schema_of(_Together), _example)


@post(
    "/analytics/entities",
    status_code=200,
    opt={"doc": Doc(TogetherAnswer, _EXAMPLE, bodies=(_BODY,), errors=(404, 422, 499))},
)
async def judge_entity(request: Req, given: TheGiven) -> Response[bytes]:
    """Whether the series of one entity, taken together, were unusual, when, and which of them are to blame."""
    asked = await body_of(request, given, _Together)
    ask = _ask(asked, language_of(request))
    sources = await _sources(given, asked.match, ask)
    zone = given.engine.analytics.zone

    def work(points: Sequence[Points], check: Check) -> TogetherOut:
        return _out(judged(points, ask, zone, check))

    return await answered(request, given, "entities", sources, {"ask": ask}, work)


ROUTES = (judge_entity,)


def _ask(asked: _Together, language: Literal["en", "ko"]) -> Ask:
    end = now_ms() if asked.end is UNSET else moment_of(asked.end, "$.end")
    start = end - round(HOUR_S * 1000) if asked.start is UNSET else moment_of(asked.start, "$.start")
    if start >= end:
        refuse("$.start", str(asked.start), "is not before end; exchange them")
    step_ms = None
    if asked.step_s is not UNSET:
        step_ms = max(LEAST_STEP_MS, round(asked.step_s * 1000))
    lang = language if asked.language is UNSET else asked.language
    return Ask(asked.match, asked.method, max(0, start - round(asked.train_s * 1000)), start, end, step_ms, lang)


async def _sources(given: TheGiven, match: str, ask: Ask) -> list[Source]:
    """The signals of the series that the selector means."""
    try:
        matchers = parse_selector(match)
    except InputError as error:
        refuse("$.match", match, str(error))
    found = await given.engine.series(matchers, ask.learn_from, ask.end, MOST_METRICS + 1)
    sources = [
        Source("", fp=s.fp, signal=kind, start=ask.learn_from, end=ask.end, is_optional=True)
        for s in found
        for kind in s.signals
    ]
    if not found:
        refuse("$.match", match, "means no series of that time; GET /series lists what is known")
    if not sources:
        refuse("$.match", match, "means series of which nothing is watched; GET /series/coverage says why")
    if len(sources) > MOST_METRICS or len(found) > MOST_METRICS:
        refuse("$.match", match, f'means more than {MOST_METRICS} signals; name one entity, such as {{instance="..."}}')
    return sources


def _out(found: Found) -> TogetherOut:
    return TogetherOut(
        entity=found.entity,
        method=found.method,
        is_anomaly=found.is_anomaly,
        score=round(found.score, 6),
        alarm_line=ALARM,
        at=stamp(found.at),
        p=found.p,
        raw_line=found.raw_line,
        components=found.components,
        metrics=found.metrics,
        left_out=found.left_out,
        blamed=_blamed(found.blamed),
        episodes=[
            EpisodeOut(stamp(e.start), stamp(e.end), round(e.peak, 6), stamp(e.peak_at), e.p, _blamed(e.metrics))
            for e in found.episodes
        ],
        curve=CurveOut(found.t, found.scores),
        step_s=found.step_s,
        trained=found.trained,
        judged=found.judged,
        explanation=found.explanation,
    )


def _blamed(blamed: Sequence[Blamed]) -> list[BlamedOut]:
    return [BlamedOut(b.name, b.share) for b in blamed]
