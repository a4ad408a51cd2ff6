"""Asks a server for analyses over HTTP, cheaply: `python -m benchmarks.asker HOST PORT --values 100 --clients 50`.

Requests are made beforehand, no two alike, and written to kept connections; answers are cut by their length alone.
Closed: each client asks again when it was answered. With --rate: asked at fixed times whatever the answers do, and
latency counts from the time a request was due, so that a stalled server is not spared (no coordinated omission).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import deque
from typing import Any

import numpy as np

PATH = "/api/v1/aiops/analytics/analyze"
DISTINCT = 20_000
"""So many requests are made; a run that needs more begins again, at values that no cache may hold: it is off."""
WARM_S = 1.0


def requests(host: str, values: int, count: int, seed: int = 0) -> list[bytes]:
    """Whole HTTP requests; one value in a hundred is a spike of ten deviations."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        value = rng.normal(50, 10, values) + np.where(rng.random(values) < 0.01, 100, 0)
        body = json.dumps({"metricName": f"cpu_{i}", "values": np.round(value, 3).tolist()}, separators=(",", ":"))
        head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        made.append(f"{head}\r\n\r\n{body}".encode())
    return made


class Asker(asyncio.Protocol):
    """One connection. Raises at the end of a run what a server answered that was not 200."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.due = 0.0
        self._transport: Any = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits to be told."""
        self._transport = transport

    def ask(self, due: float) -> None:
        """Sends the next request."""
        self.due = due
        self._transport.write(self.run.next())

    def data_received(self, data: bytes) -> None:
        """Counts an answer when it is whole."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:") + 15
        length = int(head[at:].split(b"\r", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        if not head.startswith(b"http/1.1 200"):
            self.run.failed = self._buffer[:500].decode(errors="replace")
        self._buffer = b""
        self.run.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that hangs up has failed."""
        if not self.run.is_over:
            self.run.failed = f"the connection was closed: {exc}"


class Run:
    """One run and what came of it; latencies in seconds."""

    def __init__(self, prepared: list[bytes], rate: float) -> None:
        self.prepared, self.rate = prepared, rate
        self.asked = 0
        self.latency: list[float] = []
        self.unanswered: list[float] = []  # how long those had waited at the end that were never sent
        self.failed = ""
        self.is_over = False
        self.counts_from = 0.0
        self.waiting: deque[float] = deque()
        self.idle: deque[Asker] = deque()

    def next(self) -> bytes:
        """The next request."""
        self.asked += 1
        return self.prepared[self.asked % len(self.prepared)]

    def answered(self, asker: Asker) -> None:
        """Notes an answer and asks on."""
        now = time.perf_counter()
        if asker.due >= self.counts_from:
            self.latency.append(now - asker.due)
        if self.is_over:
            return
        if not self.rate:
            asker.ask(now)
        elif self.waiting:
            asker.ask(self.waiting.popleft())
        else:
            self.idle.append(asker)

    async def go(self, host: str, port: int, clients: int, seconds: float) -> float:
        """Runs; answers the seconds that counted."""
        loop = asyncio.get_running_loop()
        askers = [(await loop.create_connection(lambda: Asker(self), host, port))[1] for _ in range(clients)]
        began = time.perf_counter()
        self.counts_from = began + WARM_S
        until = self.counts_from + seconds
        if self.rate:
            self.idle.extend(askers)
            await self._at_rate(began, until)
        else:
            for asker in askers:
                asker.ask(began)
            await asyncio.sleep(until - began)
        now = time.perf_counter()
        self.is_over = True
        self.unanswered = [now - due for due in self.waiting if due >= self.counts_from]
        await asyncio.sleep(0.2)  # what is under way may land
        return now - self.counts_from

    async def _at_rate(self, began: float, until: float) -> None:
        sent = 0
        while (now := time.perf_counter()) < until and not self.failed:
            while sent < (now - began) * self.rate:
                due = began + sent / self.rate
                sent += 1
                if self.idle:
                    self.idle.popleft().ask(due)
                else:
                    self.waiting.append(due)
            await asyncio.sleep(0.001)  # uvloop counts in ms: less would spin


def main() -> None:
    """Prints one line of JSON."""
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m benchmarks.asker")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--values", type=int, default=100)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=0.0)
    args = parser.parse_args()
    run = Run(requests(f"{args.host}:{args.port}", args.values, min(DISTINCT, 2_000_000 // args.values)), args.rate)
    began = time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        took = runner.run(run.go(args.host, args.port, args.clients, args.seconds))
    if run.failed or not run.latency + run.unanswered:
        raise SystemExit(f"no good answers: {run.failed}")
    ms = np.array(run.latency + run.unanswered) * 1000
    print(
        json.dumps(
            {
                "requests": len(run.latency),
                "late": len(run.unanswered),
                "asked": run.asked,
                "per_s": len(run.latency) / took,
                "p50_ms": float(np.percentile(ms, 50)),
                "p99_ms": float(np.percentile(ms, 99)),
                "max_ms": float(ms.max()),
                "own_cpu_us": (time.process_time() - began) / run.asked * 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
