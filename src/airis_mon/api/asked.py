"""Questions about series over HTTP: bodies into sources, answers into the envelope; shared by all that ask."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import msgspec
import numpy as np
from litestar import Response
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, Meta, Struct, UnsetType

from airis_mon.analyze.statistics import extent
from airis_mon.api.body import decoded, read_body
from airis_mon.api.errors import HttpError
from airis_mon.api.faults import MOST_BYTES, faulty, no_json
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.metrics import media_of
from airis_mon.api.openapi import JSON
from airis_mon.api.params import LATEST_MS, MILLISECONDS_FROM, exact_time, read_id
from airis_mon.api.promql import while_wanted
from airis_mon.api.schemas import now_ms, stamp
from airis_mon.app.analytics import LARGEST, Answered, Source, Work
from airis_mon.errors import InputError, Refusal
from airis_mon.series.batch import Times, Values

T = TypeVar("T")

MOST_VALUES = 1_000_000
HOUR_MS = 3_600_000
INLINE_ITEMS = 2_000
"""More values and times of one body are read in a thread: a time in words takes 4 us."""
_SHARE = re.compile(r"[01](\.\d{1,3})?\Z", re.ASCII)

Moment = str | float
"""RFC 3339, epoch seconds or milliseconds."""


class AskedSeries(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One series of a question: values sent along, or the id of a stored one and a window."""

    metric_name: Annotated[str, Meta(description="For people, and part of the answer's id", max_length=1000)] = ""
    values: Annotated[list[float] | UnsetType, Meta(description="In the order of time; no gaps")] = UNSET
    timestamps: Annotated[
        list[Moment] | UnsetType, Meta(description="One per value, ascending: RFC 3339, epoch seconds or milliseconds")
    ] = UNSET
    step_s: Annotated[float | UnsetType, Meta(description="Time between two values, instead of `timestamps`")] = UNSET
    series_id: Annotated[str | UnsetType, Meta(description="A stored series, as /series lists it")] = UNSET
    signal: Annotated[
        str | UnsetType, Meta(description="Which of its signals: value, rate, mean, p99; without it the first one")
    ] = UNSET
    start: Annotated[Moment | UnsetType, Meta(description="Of the stored series: from this time")] = UNSET
    end: Annotated[Moment | UnsetType, Meta(description="Until this time; without it: now")] = UNSET
    window_s: Annotated[
        float | UnsetType, Meta(description="So long until `end`, instead of `start`; without both an hour")
    ] = UNSET


def source_of(asked: AskedSeries, path: str = "$", *, least: int = 1, most: int = MOST_VALUES) -> Source:
    """The source that a part of a question means. path: where it stands in the body; least, most: of its values.

    Raises InputError with the path, the value and the limit of everything that cannot be used.
    """
    if asked.series_id is not UNSET:
        return _stored(asked, asked.series_id, path)
    if asked.values is UNSET:
        refuse(f"{path}.values", "", f"is missing; give {least:,} to {most:,} numbers, or a seriesId")
    for name, given in (("signal", asked.signal), ("start", asked.start), ("end", asked.end)):
        if given is not UNSET:
            refuse(f"{path}.{name}", str(given), "means a stored series; give seriesId instead of values")
    if asked.window_s is not UNSET:
        refuse(f"{path}.windowS", str(asked.window_s), "means a stored series; give seriesId instead of values")
    value = _values(asked.values, f"{path}.values", least, most)
    t = None if asked.timestamps is UNSET else _times(asked.timestamps, len(value), f"{path}.timestamps")
    step_ms = None if asked.step_s is UNSET else _step(asked.step_s, f"{path}.stepS")
    if t is not None and step_ms is not None:
        refuse(f"{path}.stepS", str(asked.step_s), "is given beside timestamps; give one of them")
    return Source(asked.metric_name, value=value, t=t, step_ms=step_ms, path=path)


async def body_of(request: Req, given: TheGiven, kind: type[T]) -> T:
    """The JSON body as a Struct. Raises InputError with `details` naming each bad field, HttpError 415 for no JSON."""
    media = media_of(request)
    if media not in {"", JSON}:
        raise HttpError(415, f"the body is {media[:60]!r}; send JSON with the header `Content-Type: application/json`")
    body = await read_body(request, given.bounds.json_bytes, given.bounds.body_timeout_s)
    if encoding := request.headers.get("content-encoding", ""):
        body = await decoded(body, encoding, given.bounds.json_bytes)
    if len(body) <= MOST_BYTES:
        return struct_of(body, kind)
    return await asyncio.to_thread(struct_of, body, kind)


async def sources_from(asked: Struct, make: Callable[[], T]) -> T:
    """What `make` reads out of a body that has series; in a thread when they are long. Raises what it raises."""
    parts = [asked, getattr(asked, "target", UNSET), *(getattr(asked, "series", UNSET) or ())]
    lists = [getattr(one, name, UNSET) or () for one in parts for name in ("values", "timestamps")]
    return make() if sum(map(len, lists)) <= INLINE_ITEMS else await asyncio.to_thread(make)


def struct_of(body: bytes, kind: type[T]) -> T:
    """A JSON text as a Struct. Raises InputError with one entry in `details` per fault."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise faulty(body, schema_of(kind), str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(body, error) from None


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """The JSON schema of a body, without references."""
    (schema,), parts = msgspec.json.schema_components((kind,), ref_template="{name}")
    whole: dict[str, Any] = _inlined(schema, parts)
    return whole


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(schema, dict):
        if name := schema.get("$ref"):
            return _inlined(parts[name], parts)
        return {key: _inlined(part, parts) for key, part in schema.items() if key not in {"title", "default"}}
    return [_inlined(part, parts) for part in schema] if isinstance(schema, list) else schema


def language_of(request: Req) -> Literal["en", "ko"]:
    """The language that the client prefers of those we speak; English without a wish."""
    wished = request.headers.get("accept-language")
    if not wished:
        return "en"
    best, share = "en", 0.0
    for part in wished.lower().split(",")[:20]:
        tag, _, weight = part.strip().partition(";q=")
        q = float(weight) if _SHARE.match(weight) else 1.0
        if tag[:2] in {"en", "ko"} and q > share:
            best, share = tag[:2], q
    return "ko" if best == "ko" else "en"


async def answered(
    request: Req,
    given: TheGiven,
    question: str,
    sources: Sequence[Source],
    options: Mapping[str, Any],
    work: Work,
    *,
    is_light: bool = False,
) -> Response[bytes]:
    """The answer to a question in its envelope; the work ends when the client goes.

    `Cache-Control: no-cache` has it worked out anew. is_light: the work takes well below a millisecond for a thousand
    values, and may be done on the event loop. Raises what `Analytics.ask` raises.
    """
    analytics = given.engine.analytics
    control = request.headers.get("cache-control", "").lower()
    is_fresh = "no-cache" in control or "no-store" in control
    found = None
    if is_light:
        found = analytics.at_once(question, sources, options, work, is_fresh=is_fresh)
    if found is None:
        asking = analytics.ask(question, sources, options, work, is_fresh=is_fresh)
        found = await while_wanted(request, asking)
    return said(found)


def said(found: Answered, **metadata: Any) -> Response[bytes]:
    """An answer with what is said of its making."""
    return answer_of(found.raw, cached=found.is_cached, **metadata)


class Ready(Response[bytes]):
    """A body of JSON that is sent as it is: the framework's own answer takes five times as long to be made."""

    def to_asgi_response(self, *_: Any, status_code: int | None = None, **__: Any) -> Any:
        """What sends it, with the route's status."""
        length = str(len(self.content)).encode()
        headers = [(b"content-type", JSON.encode()), (b"content-length", length)]

        async def send_ready(_scope: Scope, _receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": status_code or 200, "headers": headers})
            await send({"type": "http.response.body", "body": self.content, "more_body": False})

        return send_ready


def answer_of(raw: msgspec.Raw, **metadata: Any) -> Response[bytes]:
    """The success envelope around the JSON of a result."""
    told = msgspec.json.encode(metadata)
    now = stamp(now_ms()).encode()
    body = b'{"success":true,"result":' + bytes(raw) + b',"metadata":' + told + b',"timestamp":"' + now + b'"}'
    return Ready(body, media_type=JSON)


# -- one series -----------------------------------------------------------------------------------------------------


def _values(given: list[float], path: str, least: int, most: int) -> Values:
    if not least <= len(given) <= most:
        wrong = "is empty" if not given else f"has {len(given):,}"
        refuse(path, f"{len(given)} values", f"{wrong}; give {least:,} to {most:,} values")
    value = np.array(given, np.float64)
    low, high = extent(value) if given else (0.0, 0.0)
    if max(-low, high) > LARGEST:
        at = int((np.abs(value) > LARGEST).argmax())
        refuse(f"{path}[{at}]", str(given[at]), f"is beyond {LARGEST:g}, whose square is still a number; scale it down")
    return value


def _times(given: list[Moment], count: int, path: str) -> Times:
    if len(given) != count:
        refuse(path, f"{len(given)} times", f"are {len(given):,} for {count:,} values; give one for each")
    t = np.empty(count, np.int64)
    for i, moment in enumerate(given):
        t[i] = moment_of(moment, f"{path}[{i}]")
    if len(behind := np.flatnonzero(np.diff(t) <= 0) + 1):
        first = int(behind[0])
        refuse(f"{path}[{first}]", str(given[first]), "is not later than the one before; sort them, each time once")
    return t


def _step(step_s: float, path: str) -> int:
    if not 0.001 <= step_s <= 366 * 86_400:
        refuse(path, str(step_s), "is no step; give 0.001 s to a year")
    return round(step_s * 1000)


def _stored(asked: AskedSeries, series_id: str, path: str) -> Source:
    for name, given in (("values", asked.values), ("timestamps", asked.timestamps), ("stepS", asked.step_s)):
        if given is not UNSET:
            refuse(f"{path}.{name}", "", "is given beside seriesId; give one of them")
    try:
        fp = read_id(series_id)
    except InputError as error:
        refuse(f"{path}.seriesId", series_id, str(error))
    start, end = _window(asked, path)
    signal = None if asked.signal is UNSET else asked.signal
    return Source(asked.metric_name, fp=fp, signal=signal, start=start, end=end, path=path)


def _window(asked: AskedSeries, path: str) -> tuple[int, int]:
    end = now_ms() if asked.end is UNSET else moment_of(asked.end, f"{path}.end")
    if asked.start is not UNSET:
        if asked.window_s is not UNSET:
            refuse(f"{path}.windowS", str(asked.window_s), "is given beside start; give one of them")
        start = moment_of(asked.start, f"{path}.start")
        if start > end:
            refuse(f"{path}.start", str(asked.start), "is later than end; exchange them")
        return start, end
    if asked.window_s is UNSET:
        return end - HOUR_MS, end
    if not 0 < asked.window_s <= LATEST_MS / 1000:
        refuse(f"{path}.windowS", str(asked.window_s), "is no window; give seconds, more than 0")
    return max(0, end - round(asked.window_s * 1000)), end


def moment_of(given: Moment, path: str) -> int:
    """Milliseconds of a time in a body; path: where it stands. Raises InputError."""
    if isinstance(given, float):
        t = given if abs(given) >= MILLISECONDS_FROM else given * 1000
    else:
        try:
            t = exact_time(given)
        except InputError as error:
            refuse(path, given, str(error))
    if not 0 <= t <= LATEST_MS:
        refuse(path, str(given), "lies outside the years 1970 to 9999")
    return round(t)


def refuse(path: str, value: str, reason: str) -> NoReturn:
    """Raises InputError with one entry in `details`: where it stands, what was there, why that cannot be used."""
    raise InputError(f"{path}: {reason}", (Refusal(path, value, reason),))
