"""A sender as Prometheus is one: each connection has one request under way and keeps the order of its samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

from benchmarks.payload import Request

RETRY_S = 0.5


@dataclass(slots=True)
class Sent:
    """What happened: latencies in ms of acknowledged requests, and how often each status was answered."""

    samples: int = 0
    wall_s: float = 0.0
    latency_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    acknowledged: list[int] = field(default_factory=list)
    """Per connection: so many of its requests, from the first, were acknowledged."""
    refusal: str = ""

    def percentile(self, q: float) -> float:
        """A percentile of the latencies in ms."""
        return float(np.percentile(self.latency_ms, q)) if self.latency_ms else float("nan")


class Sender:
    """Sends streams of requests to one URL, one stream per connection; `send` may be called again to go on."""

    def __init__(self, url: str, streams: Sequence[Sequence[Request]]) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Encoding: snappy\r\n"
            "Content-Type: application/x-protobuf\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: "
        )
        self.streams = streams
        self.at = [0] * len(streams)

    def send(self, requests: int | None = None, *, seconds: float = 1e9) -> Sent:
        """At most `requests` more per connection, for at most `seconds`; a lost connection ends its stream."""
        return asyncio.run(self.run(requests, seconds=seconds))

    async def run(
        self, requests: int | None = None, *, seconds: float = 1e9, pace: Callable[[], float] | None = None
    ) -> Sent:
        """As `send`, inside a loop. `pace` answers the seconds to wait before the next request of a connection."""
        sent = Sent()
        began = time.perf_counter()
        until = began + seconds
        await asyncio.gather(*(self._stream(c, requests, until, sent, pace) for c in range(len(self.streams))))
        sent.wall_s = time.perf_counter() - began
        sent.acknowledged = list(self.at)
        return sent

    async def _stream(
        self, c: int, requests: int | None, until: float, sent: Sent, pace: Callable[[], float] | None
    ) -> None:
        stream = self.streams[c]
        last = len(stream) if requests is None else min(len(stream), self.at[c] + requests)
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            while self.at[c] < last and time.perf_counter() < until:
                if pace:
                    await asyncio.sleep(pace())
                await self._one(stream[self.at[c]], reader, writer, c, sent)
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            return

    async def _one(
        self, r: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, c: int, sent: Sent
    ) -> None:
        began = time.perf_counter()
        writer.write(f"{self.head}{len(r.body)}\r\n\r\n".encode())
        writer.write(r.body)
        await writer.drain()
        status, text, retry_s = await _answer(reader)
        sent.statuses[status] = sent.statuses.get(status, 0) + 1
        if 200 <= status < 300:
            sent.latency_ms.append((time.perf_counter() - began) * 1000)
            sent.samples += r.samples
            self.at[c] += 1
        elif status in {429, 503}:
            sent.refusal = text
            await asyncio.sleep(retry_s)
        else:
            raise RuntimeError(f"{self.host}:{self.port} answered {status}: {text[:500]}")


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str, float]:
    """Status, body and Retry-After of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
    status = int(head[0].split()[1])
    if fields.get("transfer-encoding") == "chunked":
        return status, (await _chunks(reader)).decode(), RETRY_S
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return status, body.decode(errors="replace"), float(fields.get("retry-after", RETRY_S))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body
