"""Replays: what the engine would have raised over a source's past, beside what the user's own rules notified."""

from __future__ import annotations

import asyncio
import base64
import difflib
import hashlib
import re
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath
from msgspec import UNSET, Meta, Struct, UnsetType

from airis_mon.api.body import decoded, read_body
from airis_mon.api.errors import HttpError
from airis_mon.api.given import Req, TheGiven, root_of
from airis_mon.api.metrics import media_of
from airis_mon.api.openapi import JSON, Body, Doc
from airis_mon.api.params import Param, choice, query_of, read_time, whole
from airis_mon.api.schemas import Answer, Out, Page, Share, Timestamp, now_ms, stamp
from airis_mon.app.replays import DAYS, LEAST_DAYS, MOST_DAYS, MOST_RULES, MOST_SELECTORS, Replay, Request
from airis_mon.errors import Conflict, InputError, Refusal

T = TypeVar("T")

_ID = re.compile(r"[0-9a-f]{32}\Z")
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_AT = re.compile(r" - at `(\$[^`]*)`\Z")

ReplayId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", examples=["0b5c3b7d1f4e4a5d9c2a6e8f7d3b1a90"])]
Source = Literal["store", "prometheus", "clickhouse"]


class ReplayAsked(Out):
    """What a replay was asked for; `start` and `end` as they came out."""

    source: Source
    name: Annotated[str, Meta(description="Which of the configured sources; empty for the store")]
    start: Timestamp
    end: Timestamp
    match: Annotated[list[str], Meta(description="Selectors of series; empty: all")]
    rules: Annotated[
        Literal["server", "none", "text"], Meta(description="Whose rules are evaluated; text: those sent along")
    ]


class ReplayOut(Out):
    """A replay as it stands."""

    id: ReplayId
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: Share
    note: Annotated[str, Meta(description="What it is at, while it runs")]
    request: ReplayAsked
    created_at: Timestamp
    started_at: Annotated[Timestamp | None, Meta(description="When its last attempt began")]
    ended_at: Timestamp | None
    error: Annotated[str | None, Meta(description="Why it failed, or why it is tried again")]
    result: Annotated[
        dict[str, Any] | UnsetType | None, Meta(description="What was found, once it is done; not in lists")
    ] = UNSET


class ReplayAnswer(Answer):
    """One replay."""

    replay: ReplayOut


class ReplayList(Answer):
    """Replays, newest first."""

    replays: list[ReplayOut]
    metadata: Page


class _Asked(Struct, rename="camel"):
    """A request as it was sent; whether it makes sense, the engine says."""

    source: Source = "store"
    name: Annotated[str, Meta(max_length=300)] = ""
    start: str | float | UnsetType = UNSET
    end: str | float | UnsetType = UNSET
    days: float | UnsetType = UNSET
    match: Annotated[tuple[str, ...], Meta(max_length=MOST_SELECTORS)] = ()
    rules: Literal["server", "none"] | UnsetType = UNSET
    rules_text: Annotated[str, Meta(min_length=1, max_length=MOST_RULES)] | UnsetType = UNSET
    idempotency_key: Annotated[str, Meta(pattern=r"^[!-~]{1,128}\Z")] | UnsetType = UNSET


_TIME = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "source": {
            "description": "Whose past: our own store's, or that of a source in the server's settings",
            "enum": ["store", "prometheus", "clickhouse"],
            "default": "store",
        },
        "name": {
            "description": "Which of several configured sources: a ClickHouse source's name, a Prometheus' address",
            "type": "string",
            "maxLength": 300,
        },
        "start": {"description": "RFC 3339, epoch seconds or milliseconds; not together with days", **_TIME},
        "end": {"description": "As start; now, when absent", **_TIME},
        "days": {
            "description": "So many days before the end",
            "type": "number",
            "minimum": LEAST_DAYS,
            "maximum": MOST_DAYS,
            "default": DAYS,
        },
        "match": {
            "description": "PromQL selectors; series that meet any of them, all when absent",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "maxItems": MOST_SELECTORS,
        },
        "rules": {
            "description": "What is compared with: the rule files of the server, evaluated anew, or what the source's "
            "own ALERTS say (none)",
            "enum": ["server", "none"],
            "default": "server",
        },
        "rulesText": {
            "description": "Or these rules: the text of a Prometheus rule file",
            "type": "string",
            "minLength": 1,
            "maxLength": MOST_RULES,
        },
        "idempotencyKey": {
            "description": "A word of yours: sent again with the same request it means the same replay",
            "type": "string",
            "pattern": "^[!-~]{1,128}$",
        },
    },
}
_SENT = {"source": "store", "days": 14, "match": ['{job="api"}'], "rules": "server"}
_NOW = "2026-03-01T12:00:00.000Z"
_ONE: dict[str, Any] = {
    "id": "0b5c3b7d1f4e4a5d9c2a6e8f7d3b1a90",
    "state": "done",
    "progress": 1.0,
    "note": "",
    "request": {
        "source": "store",
        "name": "",
        "start": "2026-02-15T12:00:00.000Z",
        "end": _NOW,
        "match": ['{job="api"}'],
        "rules": "server",
    },
    "createdAt": _NOW,
    "startedAt": _NOW,
    "endedAt": "2026-03-01T12:01:01.200Z",
    "error": None,
}
_RESULT = {"source": "store", "days": 14.0, "raw": {"notifications": 60}, "ours": {"findings": 57}}
_QUEUED = {**_ONE, "state": "queued", "progress": 0.0, "startedAt": None, "endedAt": None}
LANG = choice("lang", "In which language; en without it.", ("en", "ko"))
LIMIT = whole("limit", "So many at most.", 20, 50, "the latest ones come first")


def _read_replay_id(text: str) -> str:
    if not _ID.match(text):
        reason = "is no replay id; an id has 32 hex digits in lower case, as /replays lists them"
        raise InputError(f"replay_id {reason}", (Refusal("replay_id", text, reason),))
    return text


ID: Param[str] = Param(
    "replay_id",
    "The replay's id, as /replays lists it.",
    {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    _ONE["id"],
    _read_replay_id,
    "",
)


def _said(**payload: Any) -> dict[str, Any]:
    return {"success": True, **payload, "timestamp": _NOW}


@post(
    "/replays",
    status_code=202,
    opt={
        "doc": Doc(
            ReplayAnswer,
            _said(replay=_QUEUED),
            bodies=(Body(JSON, _SCHEMA, lambda _: _SENT),),
            status=202,
            errors=(409,),
        )
    },
)
async def start_replay(request: Req, given: TheGiven) -> Response[ReplayAnswer]:
    """Starts a replay; `Location` says where it is seen.

    One runs at a time, others wait. Sources are named, never addressed: addresses stand in the settings alone.
    """
    kind = media_of(request)
    if kind not in {"", JSON}:
        raise HttpError(415, f"the body is {kind[:60]!r}; send JSON with the header `Content-Type: application/json`")
    body = await read_body(request, given.bounds.json_bytes, given.bounds.body_timeout_s)
    body = await decoded(body, request.headers.get("content-encoding", ""), given.bounds.json_bytes)
    replay = await given.engine.replays.start(_request(body))
    place = f"{root_of(request)}{given.site.base}/replays/{replay.id}"
    answer = ReplayAnswer(replay_out(replay, is_whole=False), timestamp=stamp(now_ms()))
    return Response(answer, status_code=202, headers={"Location": place})


@get(
    "/replays",
    opt={
        "doc": Doc(
            ReplayList,
            _said(replays=[_ONE], metadata={"count": 1, "limit": 20, "truncated": False}),
            params=(LIMIT,),
            errors=(503,),
        )
    },
)
async def list_replays(request: Req, given: TheGiven) -> ReplayList:
    """Replays, newest first, without their results; those that ended are kept for 30 days."""
    limit = query_of(request)[LIMIT]
    found = await given.engine.replays.latest(limit + 1)
    page = Page(min(len(found), limit), limit, len(found) > limit)
    shown = [replay_out(replay, is_whole=False) for replay in found[:limit]]
    return ReplayList(shown, page, timestamp=stamp(now_ms()))


@get(
    "/replays/{replay_id:str}",
    opt={"doc": Doc(ReplayAnswer, _said(replay={**_ONE, "result": _RESULT}), path=(ID,), errors=(404, 503))},
)
async def get_replay(request: Req, given: TheGiven, replay_id: FromPath[str]) -> ReplayAnswer:
    """One replay: how far it is, and its result once it is done."""
    query_of(request)
    replay = await given.engine.replays.one(ID.read(replay_id))
    return ReplayAnswer(replay_out(replay, is_whole=True), timestamp=stamp(now_ms()))


@delete(
    "/replays/{replay_id:str}",
    status_code=200,
    opt={
        "doc": Doc(
            ReplayAnswer,
            _said(replay={**_ONE, "state": "cancelled", "progress": 0.4}),
            path=(ID,),
            errors=(404, 409, 503),
        )
    },
)
async def cancel_replay(request: Req, given: TheGiven, replay_id: FromPath[str]) -> ReplayAnswer:
    """Cancels a replay that waits or runs; one that has ended stays as it is: 409."""
    query_of(request)
    replay = await given.engine.replays.cancel(ID.read(replay_id))
    return ReplayAnswer(replay_out(replay, is_whole=False), timestamp=stamp(now_ms()))


@get(
    "/replays/{replay_id:str}/report",
    opt={
        "doc": Doc(
            None,
            "<!doctype html> ...",
            params=(LANG,),
            path=(ID,),
            media="text/html",
            errors=(404, 409, 503),
        )
    },
)
async def get_replay_report(request: Req, given: TheGiven, replay_id: FromPath[str]) -> Response[str]:
    """The result as one page for people, with charts; it loads nothing and runs nothing.

    409 until the replay is done.
    """
    from airis_mon.explain.replay_page import page

    lang = query_of(request)[LANG]
    replay = await given.engine.replays.one(ID.read(replay_id))
    if replay.result is None:
        raise Conflict(f"the replay {replay.id} is {replay.state}; its report is there once it is done")
    text = await asyncio.to_thread(page, replay.result, "ko" if lang == "ko" else "en")
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": _policy(text)})


ROUTES = (start_replay, list_replays, get_replay, cancel_replay, get_replay_report)


def replay_out(replay: Replay, *, is_whole: bool) -> ReplayOut:
    """A replay as it stands in answers; `is_whole`: with its result."""
    asked = replay.asked
    return ReplayOut(
        id=replay.id,
        state=replay.state.value,
        progress=replay.progress,
        note=replay.note,
        request=ReplayAsked(
            source=asked["source"],
            name=asked["name"],
            start=stamp(asked["start"]),
            end=stamp(asked["end"]),
            match=list(asked["match"]),
            rules=asked["rules"],
        ),
        created_at=stamp(replay.created_ms),
        started_at=None if replay.started_ms is None else stamp(replay.started_ms),
        ended_at=None if replay.ended_ms is None else stamp(replay.ended_ms),
        error=replay.error,
        result=(None if replay.result is None else dict(replay.result)) if is_whole else UNSET,
    )


def _request(body: bytes) -> Request:
    sent = _decoded(body)
    rules: Literal["server", "none"] | None = _given(sent.rules)
    text = _given(sent.rules_text)
    if rules is not None and text is not None:
        _refuse("$.rules", rules, "is given beside rulesText; give one of them")
    return Request(
        source=sent.source,
        name=sent.name,
        start=_time("start", sent.start),
        end=_time("end", sent.end),
        days=_given(sent.days),
        match=sent.match,
        rules="text" if text is not None else rules or "server",
        rules_text=text or "",
        idempotency_key=_given(sent.idempotency_key),
    )


def _given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


def _decoded(body: bytes) -> _Asked:
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse("$", repr(body[:80]), f"is no JSON: {error}")
    if not isinstance(raw, dict):
        _refuse("$", msgspec.json.encode(raw)[:80].decode(errors="replace"), "is no object; send {} for the defaults")
    known = list(_SCHEMA["properties"])  # type: ignore[call-overload]
    for name in raw:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"a replay takes {', '.join(known)}"
            _refuse(f"$.{name[:80]}", "", f"is no field here; {hint}")
    try:
        return msgspec.convert(raw, _Asked)
    except (msgspec.ValidationError, OverflowError) as error:
        found = _AT.search(str(error))
        path = found[1] if found else "$"
        _refuse(path, str(raw.get(path.removeprefix("$."), "")), str(error)[: found.start()] if found else str(error))


def _time(name: str, value: str | float | UnsetType) -> int | None:
    if value is UNSET:
        return None
    try:
        return read_time(str(value))
    except InputError as error:
        _refuse(f"$.{name}", str(value), str(error))


def _refuse(path: str, value: str, reason: str) -> NoReturn:
    raise InputError(f"{path}: {reason}", (Refusal(path, value, reason),))


def _policy(page: str) -> str:
    """Lets the page's own style sheet apply, the first one, and nothing else: names in it come from others."""
    sheet = _STYLE.search(page)
    digest = base64.b64encode(hashlib.sha256(sheet[1].encode() if sheet else b"").digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; sandbox"
    )
