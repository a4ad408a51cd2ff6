from __future__ import annotations

import asyncio
import gzip
import time
import zlib

import cramjam
import numpy as np
import pytest

from airis_mon.api.app import serve_app
from airis_mon.api.body import MEMBERS, decoded
from airis_mon.api.errors import HttpError
from airis_mon.api.given import Bounds
from airis_mon.errors import InputError, TooLarge
from tests.api.fake import V1, FakeEngine

TEXT = b'{"metricName": "m", "value": 1}' * 50
MOST = 10_000


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


COMPRESSED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
}


@pytest.mark.parametrize("encoding", COMPRESSED)
async def test_a_compressed_body_is_read(encoding):
    assert await decoded(COMPRESSED[encoding](TEXT), encoding.upper(), MOST) == TEXT


async def test_bare_deflate_several_gzip_members_and_no_encoding_are_read():
    assert await decoded(raw_deflate(TEXT), "deflate", MOST) == TEXT
    assert await decoded(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", MOST) == b"ab"
    assert await decoded(TEXT, "identity", MOST) == await decoded(TEXT, "", MOST) == TEXT


async def test_a_large_body_is_read_off_the_event_loop():
    noise = np.random.default_rng(1).bytes(200_000)
    assert await decoded(gzip.compress(noise), "gzip", 200_000) == noise


@pytest.mark.parametrize("encoding", COMPRESSED)
async def test_a_body_exactly_at_the_limit_is_read_and_one_byte_more_is_not(encoding):
    assert len(await decoded(COMPRESSED[encoding](bytes(MOST)), encoding, MOST)) == MOST
    with pytest.raises(TooLarge, match="10000"):
        await decoded(COMPRESSED[encoding](bytes(MOST + 1)), encoding, MOST)


@pytest.mark.parametrize("encoding", COMPRESSED)
async def test_a_bomb_costs_no_more_than_the_limit(encoding):
    bomb = COMPRESSED[encoding](bytes(100_000_000))
    assert len(bomb) < 200_000
    began = time.process_time()
    with pytest.raises(TooLarge):
        await decoded(bomb, encoding, MOST)
    assert time.process_time() - began < 1


async def test_a_gzip_body_of_countless_empty_members_is_refused():
    with pytest.raises(InputError, match=f"more than {MEMBERS} members"):
        await decoded(gzip.compress(b"") * 100_000, "gzip", MOST)


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("broken", [b"", b"x", b"not compressed at all", None])
async def test_broken_data_is_an_input_error_that_names_the_encoding(encoding, broken):
    broken = COMPRESSED[encoding](TEXT)[:-5] if broken is None else broken
    with pytest.raises(InputError, match=encoding):
        await decoded(broken, encoding, MOST)


@pytest.mark.parametrize("encoding", ["br", "snappy", "gzip, gzip", "x" * 300])
async def test_an_unknown_encoding_is_415_and_names_those_that_are_known(encoding):
    with pytest.raises(HttpError, match="gzip, deflate, zstd") as caught:
        await decoded(TEXT, encoding, MOST)
    assert caught.value.status == 415


async def test_a_compressed_metric_is_stored(client, engine):
    body = gzip.compress(b'{"metricName":"m","value":1}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await client.post(f"{V1}/metrics", content=body, headers=headers)).status_code == 200
    assert engine.calls[0][2] == b'{"metricName":"m","value":1}'


class Wire:
    """One connection spoken by hand: what arrives is given, what is answered is kept."""

    def __init__(self, *messages: dict) -> None:
        self.messages = list(messages)
        self.sent: list[dict] = []
        self.taken = 0

    async def receive(self) -> dict:
        if not self.messages:
            await asyncio.Event().wait()  # a client that says nothing more
        self.taken += 1
        return self.messages.pop(0)

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    async def post(self, engine: FakeEngine, headers: dict[str, str], **bounds: float) -> int:
        settings = {"bulk_bytes": 100, "json_bytes": 100, "body_timeout_s": 5, "heartbeat_s": 5, **bounds}
        app = serve_app(engine, version="1", bounds=Bounds(**settings))
        pairs = [(b"host", b"localhost"), *((k.lower().encode(), v.encode()) for k, v in headers.items())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"{V1}/metrics",
            "query_string": b"",
            "headers": pairs,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "http_version": "1.1",
            "scheme": "http",
        }
        await app(scope, self.receive, self.send)
        return self.sent[0]["status"] if self.sent else 0


def part(body: bytes, *, more: bool = True) -> dict:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_announced_too_large_is_refused_before_it_is_read(engine):
    wire = Wire(part(b"x" * 10_000, more=False))
    assert await wire.post(engine, {"Content-Length": "10000"}) == 413
    assert wire.taken == 0


async def test_a_chunked_body_is_refused_as_soon_as_it_exceeds_the_limit(engine):
    wire = Wire(*[part(b"x" * 60) for _ in range(1000)])
    assert await wire.post(engine, {"Transfer-Encoding": "chunked"}) == 413
    assert wire.taken == 2
    assert engine.calls == []


async def test_a_client_that_sends_too_slowly_is_told_so(engine):
    wire = Wire(part(b"{"))
    assert await wire.post(engine, {}, body_timeout_s=0.01) == 408
    assert engine.calls == []


async def test_a_client_that_leaves_in_the_middle_stores_nothing(engine):
    wire = Wire(part(b'{"metricName":'), {"type": "http.disconnect"})
    assert await wire.post(engine, {}) == 400
    assert engine.calls == []


async def test_a_body_may_arrive_in_many_parts(engine):
    body = b'{"metricName":"m","value":1}'
    wire = Wire(*[part(body[i : i + 1]) for i in range(len(body))], part(b"", more=False))
    assert await wire.post(engine, {"Content-Type": "application/json"}) == 200
    assert engine.calls[0][2] == body


async def test_a_body_of_another_kind_is_415_with_a_remedy(client):
    answer = await client.post(f"{V1}/metrics", data={"metricName": "m"})
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["message"]
