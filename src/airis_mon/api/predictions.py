"""What will run out, and when."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.params import FromPath
from msgspec import Meta

from airis_mon.api.asked import language_of
from airis_mon.api.errors import short
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import Doc
from airis_mon.api.params import DAY_MS, END, MATCH, START, Param, Query, choice, query_of, whole, window
from airis_mon.api.schemas import Answer, Count, Out, Page, Timestamp, now_ms, stamp
from airis_mon.app.predictions import Asked, Watched
from airis_mon.errors import InputError, Refusal
from airis_mon.events.prediction import Prediction
from airis_mon.explain.prediction import sentence
from airis_mon.explain.speak import Lang
from airis_mon.series.labels import METRIC
from airis_mon.series.matchers import Matcher

PAST_MS = 7 * DAY_MS
"""So far back ended ones are looked for unless `start` says otherwise."""
_ID = re.compile(r"[0-9a-f]{16}\Z")


class Evidence(Out):
    """The PromQL that gives both figures of this series, to be asked again."""

    used: str
    limit: str


class PredictionOut(Out):
    """One warning: what runs out, when, and what that is taken from."""

    id: str
    state: Literal["open", "ended"]
    kind: Annotated[str, Meta(description="What runs out: disk, memory, certificate ..., or a name of the settings")]
    name: Annotated[str, Meta(description="The thing, for people", examples=["/var on web-1"])]
    sentence: Annotated[str, Meta(description="All of it in words, in the language asked for")]
    labels: dict[str, str]
    used: Annotated[float, Meta(description="As of `updatedAt`, in `unit`")]
    limit: float
    unit: Annotated[str, Meta(description="Of used, limit and rate: bytes, count, ratio, seconds")]
    share: Annotated[float | None, Meta(description="used / limit; null for a deadline")]
    eta: Annotated[Timestamp, Meta(description="When it is full at that rate; of a deadline the deadline")]
    earliest: Annotated[
        Timestamp | None,
        Meta(description="Begin of the interval: 90 % meant, .87 held where measured; null = not known"),
    ]
    latest: Annotated[Timestamp | None, Meta(description="Its end; null = perhaps never")]
    lead_time_s: Annotated[float, Meta(description="From `updatedAt` until `eta`")]
    rate_per_hour: Annotated[float, Meta(description="Growth of `used`")]
    basis: Annotated[str, Meta(description="What the rate was taken from: hour ... week, none, or deadline")]
    recurring: Annotated[
        bool, Meta(description="It rose like this before and fell by itself each time: told here, raised by no event")
    ]
    falls: Annotated[Count, Meta(description="Of a recurring one: how often it fell in the week before")]
    every_s: Annotated[float | None, Meta(description="Of a recurring one: how far apart; null = not known")]
    started_at: Timestamp
    updated_at: Timestamp
    ended_at: Timestamp | None
    why_ended: Annotated[
        Literal["crossed", "fell", "slowed", "renewed", "gone"] | None,
        Meta(
            description="crossed: the limit was hit; fell: cleared, or by itself; slowed: it rises no longer; renewed: "
            "the deadline was moved; gone: no samples any more; null while it stands"
        ),
    ]
    queries: Evidence


class WatchedKind(Out):
    """What is watched of one kind."""

    kind: str
    series: Annotated[Count, Meta(description="With a share of a limit at the latest look")]
    left_out: Annotated[Count, Meta(description="Beyond predict.max_series")]
    without_limit: Annotated[Count, Meta(description="Used, but no limit has their labels")]


class NotWatched(Out):
    """A limit of which nothing is watched now."""

    kind: str
    used: str
    limit: str
    why: str


class PredictionPage(Page, kw_only=True):
    """How much is shown, what is watched and what is not."""

    looked_at: Annotated[Timestamp | None, Meta(description="The latest look; null before the first one")]
    watched: list[WatchedKind]
    not_watched: list[NotWatched]


class PredictionList(Answer):
    """Predictions, the soonest first, ended ones after those that stand."""

    predictions: list[PredictionOut]
    metadata: PredictionPage


class PredictionAnswer(Answer):
    """One prediction."""

    prediction: PredictionOut


def _read_kinds(text: str) -> frozenset[str]:
    kinds = frozenset(text.split(","))
    if "" in kinds:
        raise InputError("has an empty kind; give kinds separated by commas, such as disk,certificate")
    return kinds


def _read_labels(text: str) -> Sequence[Matcher]:
    matchers = MATCH.read(text)
    if any(m.name == METRIC for m in matchers):
        raise InputError('names a metric; predictions have labels alone: give conditions such as {instance="web-1"}')
    return matchers


def _read_prediction_id(text: str) -> str:
    if not _ID.match(text):
        reason = (
            f"{short(text)!r} is no prediction id; an id has 16 hex digits in lower case, as /predictions lists them"
        )
        raise InputError(reason, (Refusal("prediction_id", text, reason),))
    return text


STATE = choice("state", "Which of them; open without it.", ("open", "ended", "all"))
KIND: Param[Collection[str]] = Param(
    "kind", "Only these kinds, separated by commas.", {"type": "string"}, "disk", _read_kinds, frozenset()
)
LABELS: Param[Sequence[Matcher]] = Param(
    "match",
    "Only those whose labels meet these conditions of one PromQL selector.",
    {"type": "string"},
    '{instance=~"web-.+"}',
    _read_labels,
    (),
)
LANGUAGE = choice("language", "Of the sentence; without it by Accept-Language, else en.", ("en", "ko"))
LANG = choice("lang", "The same as `language`.", ("en", "ko"))
LIMIT = whole("limit", "So many at most.", 100, 1000, "narrow kind, match, start and end")
ID: Param[str] = Param(
    "prediction_id",
    "The prediction's id, as /predictions lists it.",
    {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "b49e0e7bfd325e7e",
    _read_prediction_id,
    "",
)

_NOW = "2026-03-01T12:00:00.000Z"
_ONE: dict[str, Any] = {
    "id": "b49e0e7bfd325e7e",
    "state": "open",
    "kind": "disk",
    "name": "/var on web-1",
    "sentence": "/var on web-1 fills up in 9 h 20 min (± 2 h) at the rate of the last day: 43 GiB of 50 GiB (86 %) "
    "used, 750 MiB more each hour.",
    "labels": {"instance": "web-1:9100", "mountpoint": "/var"},
    "used": 46170898432.0,
    "limit": 53687091200.0,
    "unit": "bytes",
    "share": 0.86,
    "eta": "2026-03-01T21:20:00.000Z",
    "earliest": "2026-03-01T19:25:00.000Z",
    "latest": "2026-03-01T23:10:00.000Z",
    "leadTimeS": 33600.0,
    "ratePerHour": 805306368.0,
    "basis": "day",
    "recurring": False,
    "falls": 0,
    "everyS": None,
    "startedAt": "2026-03-01T10:35:00.000Z",
    "updatedAt": _NOW,
    "endedAt": None,
    "whyEnded": None,
    "queries": {
        "used": 'node_filesystem_size_bytes{instance="web-1:9100",mountpoint="/var"} - '
        'node_filesystem_avail_bytes{instance="web-1:9100",mountpoint="/var"}',
        "limit": 'node_filesystem_size_bytes{instance="web-1:9100",mountpoint="/var"} > 0',
    },
}
_PAGE = {
    "count": 1,
    "limit": 100,
    "truncated": False,
    "lookedAt": _NOW,
    "watched": [{"kind": "disk", "series": 14, "leftOut": 0, "withoutLimit": 0}],
    "notWatched": [
        {
            "kind": "connections",
            "used": "redis_connected_clients",
            "limit": "redis_config_maxclients > 0",
            "why": "no metric redis_connected_clients",
        }
    ],
}


@get(
    "/predictions",
    opt={
        "doc": Doc(
            PredictionList,
            {"success": True, "predictions": [_ONE], "metadata": _PAGE, "timestamp": _NOW},
            params=(STATE, KIND, LABELS, START, END, LANGUAGE, LANG, LIMIT),
            errors=(409, 503),
        )
    },
)
async def list_predictions(request: Req, given: TheGiven) -> PredictionList:
    """What will run out, the soonest first; ended ones are those of the last 7 days unless `start` says otherwise.

    The metadata says what is watched of the kinds asked for, and what is not. 409 when predictions are switched off.
    """
    query = query_of(request)
    predictions = given.engine.predictions
    found, is_cut = await predictions.found(_asked(query))
    watched = [w for w in predictions.watched() if not query[KIND] or w.limit.kind in query[KIND]]
    _demand_known(query[KIND], {w.limit.kind for w in predictions.watched()} | {p.kind for p in found})
    lang = _lang(request, query)
    page = PredictionPage(
        count=len(found),
        limit=query[LIMIT],
        truncated=is_cut,
        looked_at=None if predictions.looked_ms is None else stamp(predictions.looked_ms),
        watched=watched_out(watched),
        not_watched=[NotWatched(w.limit.kind, w.limit.used, w.limit.limit, w.why) for w in watched if w.why],
    )
    return PredictionList([prediction_out(p, lang) for p in found], page, timestamp=stamp(now_ms()))


@get(
    "/predictions/{prediction_id:str}",
    opt={
        "doc": Doc(
            PredictionAnswer,
            {"success": True, "prediction": _ONE, "timestamp": _NOW},
            params=(LANGUAGE, LANG),
            path=(ID,),
            errors=(404, 409, 503),
        )
    },
)
async def get_prediction(request: Req, given: TheGiven, prediction_id: FromPath[str]) -> PredictionAnswer:
    """One prediction that stands, or stood as long as the store keeps it."""
    lang = _lang(request, query_of(request))
    found = await given.engine.predictions.one(ID.read(prediction_id))
    return PredictionAnswer(prediction_out(found, lang), timestamp=stamp(now_ms()))


ROUTES = (list_predictions, get_prediction)


def prediction_out(p: Prediction, lang: Lang) -> PredictionOut:
    """A prediction as it stands in answers."""
    return msgspec.convert(p.payload | {"sentence": sentence(p, lang)}, PredictionOut)


def watched_out(watched: Iterable[Watched]) -> list[WatchedKind]:
    """What is watched, by kind, in the order of the limits."""
    kinds: dict[str, WatchedKind] = {}
    for w in watched:
        of = kinds.setdefault(w.limit.kind, WatchedKind(w.limit.kind, 0, 0, 0))
        of.series += w.series
        of.left_out += w.left_out
        of.without_limit += w.unlimited
    return [of for of in kinds.values() if of.series or of.left_out or of.without_limit]


def _asked(query: Query) -> Asked:
    state = query[STATE] or "open"
    start, end = window(query, PAST_MS)
    return Asked(
        is_open={"open": True, "ended": False, "all": None}[state],
        kinds=query[KIND],
        matchers=query[LABELS],
        start=start if query[START] is not None or state != "open" else None,
        end=end if query[END] is not None else None,
        limit=query[LIMIT],
    )


def _demand_known(kinds: Collection[str], known: Collection[str]) -> None:
    """A kind of earlier settings is known by its predictions alone. Raises InputError: else a typo reads as "none"."""
    for kind in sorted(set(kinds) - set(known)):
        near = get_close_matches(kind, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        reason = f"kind {short(kind)!r} is watched by no limit and has no predictions then; {hint}"
        raise InputError(reason, (Refusal("kind", kind[:200], reason),))


def _lang(request: Req, query: Query) -> Lang:
    given = query[LANGUAGE] or query[LANG] or language_of(request)
    return "ko" if given == "ko" else "en"
