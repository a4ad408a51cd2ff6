"""Events as they happen: a stream (SSE) by GET and a WebSocket at the same path."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar import WebSocket, get, websocket
from litestar.response import Stream

from airis_mon.api.auth import demand_socket
from airis_mon.api.engine import Engine
from airis_mon.api.errors import close_reason
from airis_mon.api.given import Req, Streams, TheGiven
from airis_mon.api.openapi import Doc
from airis_mon.api.params import EVENT_NAMES, Param, Query, query_of, whole
from airis_mon.api.schemas import EventOut, event_out, now_ms, stamp
from airis_mon.errors import InputError

RETRY_MS = 3000
"""A browser waits so long before it connects again."""
HEARTBEAT = "heartbeat"
DROPPED = "events_dropped"
_SEQ_TEXT = re.compile(r"\d{1,15}\Z", re.ASCII)
_SEQ = whole("lastSeq", "", 0, 10**15 - 1, "take the `seq` of an event", 0)
LAST_SEQ: Param[int | None] = Param(
    "lastSeq",
    "Begin after the event with this `seq`; 0 gives all that is remembered. Without it: from now on.",
    {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
    "7",
    _SEQ.read,
    None,
)

_EXAMPLE = (
    'id: 7\nevent: anomaly_detected\ndata: {"name":"anomaly_detected","timestamp":"2026-03-01T12:00:00.000Z",'
    '"payload":{"id":"9f86d081884c7d65-value-1772366400000"},"seq":7}\n\n'
)


@get(
    "/events",
    media_type="text/event-stream",
    opt={"doc": Doc(None, _EXAMPLE, params=(EVENT_NAMES, LAST_SEQ), media="text/event-stream")},
)
async def stream_events(request: Req, given: TheGiven) -> Stream:
    """Events as they happen, as a stream (server-sent events); the same path takes WebSockets.

    A listener that comes back with `Last-Event-ID` (or `lastSeq`) hears what it missed, as far as it is remembered.
    One that is too slow loses the oldest and is told how many by `events_dropped`. Lines that begin with a colon
    keep the connection open.
    """
    query = query_of(request)
    last = request.headers.get("last-event-id", "")
    last_seq = int(last) if _SEQ_TEXT.match(last) else query[LAST_SEQ]
    heard = _heard(given.engine, given.streams, query[EVENT_NAMES], last_seq, given.bounds.heartbeat_s)
    return Stream(
        _frames(heard),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


@websocket("/events", guards=[demand_socket])
async def event_socket(socket: WebSocket[Any, Any, Any], given: TheGiven) -> None:
    """Events as they happen, one JSON text message each; takes the same parameters as the stream."""
    await socket.accept()
    try:
        query = Query(socket.scope["query_string"], (EVENT_NAMES, LAST_SEQ))
        heard = _heard(given.engine, given.streams, query[EVENT_NAMES], query[LAST_SEQ], given.bounds.heartbeat_s)
    except InputError as error:
        await socket.close(code=1008, reason=close_reason(str(error)))
        return
    await _until_one_ends(asyncio.create_task(_tell(socket, heard)), asyncio.create_task(_until_gone(socket)))


async def _heard(
    engine: Engine, streams: Streams, names: set[str] | None, last_seq: int | None, heartbeat_s: float
) -> AsyncIterator[EventOut]:
    """Events until the streams close; a heartbeat when none came for `heartbeat_s`, a notice when some were lost."""
    dropped = 0
    with engine.events.subscribe(names, last_seq) as subscription:
        while not streams.is_closing:
            event = await streams.next(subscription, heartbeat_s)
            if subscription.dropped > dropped:
                yield EventOut(DROPPED, stamp(now_ms()), {"dropped": subscription.dropped - dropped})
                dropped = subscription.dropped
            yield event_out(event) if event else EventOut(HEARTBEAT, stamp(now_ms()), {})


async def _frames(heard: AsyncIterator[EventOut]) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode()
    async for event in heard:
        if event.name == HEARTBEAT:
            yield b": heartbeat\n\n"
            continue
        seq = b"" if event.seq is msgspec.UNSET else f"id: {event.seq}\n".encode()
        yield seq + f"event: {event.name}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"


async def _tell(socket: WebSocket[Any, Any, Any], heard: AsyncIterator[EventOut]) -> None:
    async for event in heard:
        await socket.send_text(msgspec.json.encode(event).decode())
    await socket.close(code=1001, reason="the server is stopping")


async def _until_gone(socket: WebSocket[Any, Any, Any]) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass  # what a listener says is not heard


async def _until_one_ends(telling: asyncio.Task[None], listening: asyncio.Task[None]) -> None:
    try:
        await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        telling.cancel()
        listening.cancel()
        # Sending to a socket that has just closed fails; that is how it ends, nothing to report.
        await asyncio.gather(telling, listening, return_exceptions=True)
