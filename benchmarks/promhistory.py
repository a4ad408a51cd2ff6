"""How fast the past of a Prometheus is read through its API, and who works how much for it.

The series of `benchmarks.payload` over a day, remote-written into a Prometheus of this machine, then read as raw
samples by the history of a replay, with and without compression; beside it how fast one answer is decoded, by our
reader and as lists of tuples. CPU time of both sides; the wall time is bounded by requests_per_s as well.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from airis_mon.ingest.histories.prometheus import Prometheus
from airis_mon.ingest.matrix import decode_labels, decode_matrix
from airis_mon.series.catalogue import Catalogue
from benchmarks.payload import STEP_MS, World, requests, world
from benchmarks.usage import cpu_s
from tools import servers

SERIES, DAY_STEPS = 1000, 86_400_000 // STEP_MS
REQUESTS_PER_S = 100.0
"""Far above the default of 5: here the server and we are to be the limit, not politeness."""
_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    result: list[_Series]


class _Answer(msgspec.Struct):
    data: _Data


_PLAIN = msgspec.json.Decoder(_Answer)


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Samples per second and per CPU-second of each side, and of decoding alone."""
    steps = DAY_STEPS // 12 if quick else DAY_STEPS
    w = world(SERIES, steps, time.time_ns() // 1_000_000)
    with servers.prometheus(flags=["--storage.tsdb.retention.time=100y"]) as server:
        for request in requests(w, 1, 20_000)[0]:
            sent = urllib.request.Request(f"{server.url}/api/v1/write", request.body, _HEADERS)
            urllib.request.urlopen(sent).close()
        return {
            "workload": f"{SERIES} series x {steps} steps of {STEP_MS // 1000} s",
            "read": asyncio.run(_read(server, w, compress=False)),
            "read_compressed": asyncio.run(_read(server, w, compress=True)),
            "decode": _decode(_one_answer(server, w), 3 if quick else 10),
        }


async def _read(server: servers.Server, w: World, *, compress: bool) -> dict[str, float]:
    """The whole past, twice: the first time compiles and meets every series."""
    history = Prometheus(Catalogue(), url=server.url, requests_per_s=REQUESTS_PER_S, compress=compress)
    used: dict[str, float] = {}
    for _ in range(2):
        before = history.health()["requests"]
        began, ours, theirs = time.perf_counter(), cpu_s(os.getpid()) - cpu_s(server.pid), cpu_s(server.pid)
        samples = 0
        async for one in history.slices(int(w.t.min()), int(w.t.max()) + 1):
            samples += len(one.batch)
        theirs = cpu_s(server.pid) - theirs
        ours = cpu_s(os.getpid()) - cpu_s(server.pid) - ours  # the server is a child of this process
        used = {
            "samples": samples,
            "requests": history.health()["requests"] - before,
            "samples_per_s": samples / (time.perf_counter() - began),
            "samples_per_cpu_s_ours": samples / ours,
            "samples_per_cpu_s_of_the_server": samples / theirs,
        }
    return used


def _one_answer(server: servers.Server, w: World) -> bytes:
    """Two hours of everything, as the history asks for them."""
    end = int(w.t.max())
    query = f"query=%7B__name__%3D~%22.%2B%22%7D%5B2h%5D&time={end / 1000:.3f}"
    with urllib.request.urlopen(f"{server.url}/api/v1/query?{query}") as answer:
        return bytes(answer.read())


def _decode(body: bytes, rounds: int) -> dict[str, float]:
    n = len(decode_matrix(body))
    ours, plain = _rate(_ours, body, n, rounds), _rate(_plain, body, n, max(1, rounds // 3))
    return {"samples_per_cpu_s": ours, "as_tuples": plain, "ratio": ours / plain, "bytes_per_sample": len(body) / n}


def _ours(body: bytes) -> object:
    m = decode_matrix(body)
    return m.t, m.value, [decode_labels(labels) for labels in m.metric]


def _plain(body: bytes) -> object:
    columns = []
    for one in _PLAIN.decode(body).data.result:
        t, value = zip(*one.values, strict=True)
        columns.append((one.metric, np.array(t), np.array(list(map(float, value)))))
    return columns


def _rate(read: Callable[[bytes], object], body: bytes, n: int, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        read(body)
        best = min(best, time.process_time() - began)
    return n / best
