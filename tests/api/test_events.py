from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airis_mon.api.app import serve_app
from airis_mon.api.given import Bounds
from airis_mon.app.bus import BUFFERED
from tests.api.fake import V1, FakeEngine

PAYLOAD = {"id": "a", "score": 0.9}


class Wire:
    """One open connection, spoken by hand in ASGI; `next()` waits for what is sent."""

    def __init__(self, app: Any, kind: str, query: str = "", headers: dict[str, str] | None = None) -> None:
        self.app = app
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        pairs = [(b"host", b"localhost"), *((k.lower().encode(), v.encode()) for k, v in (headers or {}).items())]
        self.scope: dict[str, Any] = {
            "type": kind,
            "path": f"{V1}/events",
            "query_string": query.encode(),
            "headers": pairs,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "http_version": "1.1",
            "scheme": "http",
        }
        if kind == "http":
            self.scope["method"] = "GET"
            self.inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        else:
            self.scope["subprotocols"] = []
            self.inbox.put_nowait({"type": "websocket.connect"})

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.outbox.get()

    async def run(self) -> None:
        await self.app(self.scope, self.inbox.get, self.send)

    async def send(self, message: dict[str, Any]) -> None:
        self.outbox.put_nowait(message)
        if message["type"] == "http.response.body" and not message["more_body"]:
            self.leave()  # so do servers once an answer is complete

    def leave(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect" if self.scope["type"] != "http" else "http.disconnect"})


@asynccontextmanager
async def opened(engine: FakeEngine, kind: str, query: str = "", headers=None, heartbeat_s: float = 60):
    app = serve_app(engine, version="1", bounds=Bounds(1000, 1000, 5, heartbeat_s))
    wire = Wire(app, kind, query, headers)
    task = asyncio.create_task(wire.run())
    yield wire
    wire.leave()
    async with asyncio.timeout(5):
        await task
    assert not engine.events._subscriptions, "a listener that left is still subscribed"


async def begin_stream(wire: Wire) -> dict[bytes, bytes]:
    start = await wire.next()
    assert start["status"] == 200
    assert (await wire.next())["body"] == b"retry: 3000\n\n"
    return dict(start["headers"])


async def frame(wire: Wire) -> tuple[dict[str, str], Any]:
    lines = (await wire.next())["body"].decode().strip().split("\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return fields, json.loads(fields["data"])


async def said(wire: Wire) -> dict[str, Any]:
    return json.loads((await wire.next())["text"])


async def subscribed(engine: FakeEngine, listeners: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(engine.events._subscriptions) < listeners:  # noqa: ASYNC110 - the bus tells nobody
            await asyncio.sleep(0)


async def test_a_stream_carries_events_with_their_number(engine):
    async with opened(engine, "http") as wire:
        headers = await begin_stream(wire)
        assert headers[b"content-type"].startswith(b"text/event-stream")
        await subscribed(engine)
        engine.events.publish("anomaly_detected", PAYLOAD)
        fields, data = await frame(wire)
        assert (fields["id"], fields["event"]) == ("1", "anomaly_detected")
        assert data == {
            "name": "anomaly_detected",
            "timestamp": "2026-03-01T12:00:00.000Z",
            "payload": PAYLOAD,
            "seq": 1,
        }


async def test_a_socket_carries_the_same_objects(engine):
    async with opened(engine, "websocket") as wire:
        assert (await wire.next())["type"] == "websocket.accept"
        await subscribed(engine)
        engine.events.publish("anomaly_detected", PAYLOAD)
        assert await said(wire) == {
            "name": "anomaly_detected",
            "timestamp": "2026-03-01T12:00:00.000Z",
            "payload": PAYLOAD,
            "seq": 1,
        }


async def test_only_the_names_asked_for_are_told(engine):
    async with opened(engine, "http", "names=model_trained,alert_triggered") as wire:
        await begin_stream(wire)
        await subscribed(engine)
        for name in ("anomaly_detected", "alert_triggered"):
            engine.events.publish(name, {})
        assert (await frame(wire))[0]["event"] == "alert_triggered"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"Last-Event-ID": "2"}),
        ("lastSeq=2", {}),
        ("lastSeq=2", {"Last-Event-ID": "x"}),
        ("lastSeq=2", {"Last-Event-ID": "9" * 5000}),
    ],
)
async def test_a_listener_that_comes_back_hears_what_it_missed(engine, query, headers):
    for n in range(4):
        engine.events.publish("anomaly_detected", {"n": n})
    async with opened(engine, "http", query, headers) as wire:
        await begin_stream(wire)
        assert [(await frame(wire))[1]["payload"] for _ in range(2)] == [{"n": 2}, {"n": 3}]


@pytest.mark.parametrize(("query", "headers"), [("lastSeq=0", {}), ("", {"Last-Event-ID": "0"})])
async def test_after_zero_come_all_events_that_are_remembered(engine, query, headers):
    engine.events.publish("anomaly_detected", {"n": 0})
    async with opened(engine, "http", query, headers) as wire:
        await begin_stream(wire)
        assert (await frame(wire))[1]["payload"] == {"n": 0}


async def test_without_a_number_a_listener_hears_only_what_comes(engine):
    engine.events.publish("anomaly_detected", {"n": 0})
    async with opened(engine, "http") as wire:
        await begin_stream(wire)
        await subscribed(engine)
        engine.events.publish("anomaly_detected", {"n": 1})
        assert (await frame(wire))[1]["payload"] == {"n": 1}


async def test_a_quiet_stream_sends_heartbeats(engine):
    async with opened(engine, "http", heartbeat_s=0.001) as wire:
        await begin_stream(wire)
        assert (await wire.next())["body"] == b": heartbeat\n\n"


async def test_a_quiet_socket_sends_heartbeats(engine):
    async with opened(engine, "websocket", heartbeat_s=0.001) as wire:
        await wire.next()
        assert (await said(wire))["name"] == "heartbeat"


async def test_a_slow_listener_is_told_how_much_it_lost(engine):
    async with opened(engine, "http") as wire:
        await begin_stream(wire)
        await subscribed(engine)
        for n in range(BUFFERED + 5):
            engine.events.publish("anomaly_detected", {"n": n})
        fields, data = await frame(wire)
        assert fields["event"] == "events_dropped"
        assert data["payload"] == {"dropped": 5}
        assert (await frame(wire))[1]["payload"] == {"n": 5}


async def test_a_stopping_server_ends_its_streams(engine):
    app = serve_app(engine, version="1")
    stream, socket = Wire(app, "http"), Wire(app, "websocket")
    tasks = [asyncio.create_task(w.run()) for w in (stream, socket)]
    await begin_stream(stream)
    await socket.next()
    await subscribed(engine, 2)
    async with asyncio.timeout(5):
        app.close_streams()
        await asyncio.gather(*tasks)
    assert engine.events._subscriptions == set()
    assert [m["type"] for m in socket.outbox._queue][-1] == "websocket.close"


async def test_an_unknown_event_is_refused_before_the_stream_begins(client):
    answer = await client.get(f"{V1}/events", params={"names": "anomaly_detectd"})
    assert answer.status_code == 400
    assert "anomaly_detected" in answer.json()["message"]


async def test_an_unknown_event_closes_the_socket_with_the_reason(engine):
    async with opened(engine, "websocket", "names=nothing") as wire:
        await wire.next()
        closed = await wire.next()
        assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
        assert "nothing" in closed["reason"]


async def test_a_close_frame_carries_no_more_than_it_can(engine):
    async with opened(engine, "websocket", "names=" + "%EC%9D%B4%EC%83%81" * 50) as wire:
        await wire.next()
        assert 100 < len((await wire.next())["reason"].encode()) <= 123


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_a_socket_opened_by_a_foreign_page_is_refused(engine, headers):
    wire = Wire(serve_app(engine, version="1"), "websocket", headers=headers)
    await wire.run()
    assert (await wire.next())["type"] == "websocket.close"


async def test_a_socket_needs_a_key_where_one_is_demanded(engine):
    async def nobody(secret: str) -> None:
        return None

    wire = Wire(serve_app(engine, version="1", authenticate=nobody, hosts=None), "websocket")
    await wire.run()
    assert (await wire.next())["type"] == "websocket.close"
    assert not engine.events._subscriptions


async def test_what_a_listener_says_is_not_heard(engine):
    async with opened(engine, "websocket") as wire:
        await wire.next()
        wire.inbox.put_nowait({"type": "websocket.receive", "text": "hello"})
        await subscribed(engine)
        engine.events.publish("model_trained", {})
        assert (await said(wire))["name"] == "model_trained"
