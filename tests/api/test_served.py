"""Over a real socket: streams, sockets, clients that leave, and a server that stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest
import uvicorn
import websockets

from airis_mon.api.app import App, serve_app
from airis_mon.api.given import Bounds
from airis_mon.client import AsyncAIOpsClient
from airis_mon.errors import InputError, Transient
from tests.api.fake import FakeEngine

pytestmark = pytest.mark.live
BOUNDS = Bounds(bulk_bytes=100_000, json_bytes=100_000, body_timeout_s=5, heartbeat_s=5)


class Server(uvicorn.Server):
    """Ends open streams before it waits for open requests, as the product's server does."""

    async def shutdown(self, sockets=None) -> None:
        app = self.config.app
        assert isinstance(app, App)
        app.close_streams()
        await super().shutdown(sockets)


@dataclass
class Running:
    server: Server
    port: int
    done: asyncio.Task

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def running(engine: FakeEngine, port: int) -> AsyncIterator[Running]:
    app = serve_app(engine, version="1", bounds=BOUNDS)
    server = Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None, ws="websockets-sansio"))
    done = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    try:
        yield Running(server, port, done)
    finally:
        server.should_exit = True
        async with asyncio.timeout(10):
            await done


async def subscribed(engine: FakeEngine, listeners: int) -> None:
    async with asyncio.timeout(5):
        while len(engine.events._subscriptions) != listeners:  # noqa: ASYNC110 - the bus tells nobody
            await asyncio.sleep(0.01)


async def test_the_client_hears_events_and_can_leave(engine, free_port):
    async with running(engine, free_port) as at, AsyncAIOpsClient(at.url) as client:
        events = client.events({"anomaly_detected"})
        first = asyncio.create_task(anext(events))
        await subscribed(engine, 1)
        engine.events.publish("model_trained", {})
        engine.events.publish("anomaly_detected", {"score": 0.9})
        assert (await asyncio.wait_for(first, 5))["payload"] == {"score": 0.9}
        await events.aclose()
        await subscribed(engine, 0)


async def test_a_websocket_hears_events_and_can_leave(engine, free_port):
    async with running(engine, free_port) as at:
        address = f"ws://127.0.0.1:{at.port}/api/v1/aiops/events"
        async with websockets.connect(address) as socket:
            await subscribed(engine, 1)
            engine.events.publish("anomaly_detected", {"score": 0.9})
            assert '"score":0.9' in await asyncio.wait_for(socket.recv(), 5)
        await subscribed(engine, 0)


async def test_a_websocket_of_a_foreign_page_is_refused(engine, free_port):
    async with running(engine, free_port) as at:
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with websockets.connect(
                f"ws://127.0.0.1:{at.port}/api/v1/aiops/events", origin="https://evil.example"
            ):
                pass
        assert caught.value.response.status_code == 403


async def test_a_server_stops_at_once_though_listeners_stay(engine, free_port):
    async with running(engine, free_port) as at, AsyncAIOpsClient(at.url) as client:
        events = client.events()
        waiting = asyncio.create_task(anext(events, None))
        async with websockets.connect(f"ws://127.0.0.1:{at.port}/api/v1/aiops/events") as socket:
            await subscribed(engine, 2)
            at.server.should_exit = True
            async with asyncio.timeout(3):
                await at.done
                assert await waiting is None
                with pytest.raises(websockets.ConnectionClosed):
                    while True:
                        await socket.recv()
        await events.aclose()


async def test_a_body_that_grows_beyond_the_limit_is_answered_and_the_server_goes_on(engine, free_port):
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65_536

    async with running(engine, free_port) as at, httpx2.AsyncClient(base_url=at.url) as http:
        headers = {"Content-Type": "application/x-protobuf"}
        try:
            answer = await http.post("/api/v1/write", content=endless(), headers=headers)
            assert answer.status_code == 413
        except (httpx2.WriteError, httpx2.ReadError, httpx2.RemoteProtocolError):
            pass  # the server may close the connection while the client still sends
        assert engine.calls == []
        assert (await http.get("/live")).status_code == 200


async def test_a_client_that_vanishes_in_its_body_leaves_nothing_behind(engine, free_port):
    async with running(engine, free_port) as at:
        _, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(b"POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n")
        writer.write(b"Content-Type: application/x-protobuf\r\n\r\nabc")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with AsyncAIOpsClient(at.url) as client:
            assert (await client.send_metric("m", 1))["name"] == "m"
            with pytest.raises(InputError):
                await client.series("up{")
        assert [call[1] for call in engine.calls] == ["json"]


async def test_head_is_answered_like_get_without_the_body(engine, free_port):
    async with running(engine, free_port) as at, httpx2.AsyncClient(base_url=at.url) as http:
        for path in ("/live", "/metrics", "/api/v1/aiops/health"):
            got, head = await http.get(path), await http.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"] == got.headers["content-type"]
        assert (await http.head("/api/v1/aiops/events")).status_code == 405


async def test_a_port_where_nobody_listens_is_transient(free_port):
    async with AsyncAIOpsClient(f"http://127.0.0.1:{free_port}") as client:
        with pytest.raises(Transient, match="cannot be reached"):
            await client.health()
