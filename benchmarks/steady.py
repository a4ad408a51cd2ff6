"""A fleet in real time: 100,000 series every 15 s with everything on. CPU of the machine, resident memory.

Ten minutes of history are sent first, as fast as they are taken, so that detectors are past their first samples. Then
requests of 2,000 samples (four targets) arrive evenly through each 15 s, with the wall clock's timestamps, and a query
for one series' last hour every second.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from typing import Any

import numpy as np

from airis_mon.series.labels import fingerprint, hex_id
from benchmarks.payload import STEP_MS, World, requests, world
from benchmarks.product import WRITE, judged, product
from benchmarks.sender import Sender, Sent
from benchmarks.usage import cpu_s, peak_mib, rss_mib, settle, spin_ms
from tools import servers

SERIES = 100_000
PER_REQUEST = 2_000
HISTORY_STEPS = 40
SECONDS = 180


def measure(*, quick: bool = False) -> dict[str, Any]:
    """CPU as a share of two cores, over the steady part only."""
    seconds = 30 if quick else SECONDS
    spin = spin_ms()
    with servers.folder() as data, product(data) as it:
        return {**_run(it, seconds), "spin_ms": spin, "workload": _WORKLOAD, "seconds": seconds}


_WORKLOAD = f"{SERIES} series every {STEP_MS // 1000} s in requests of {PER_REQUEST}, detection on, one read a second"


def _run(it: servers.Server, seconds: int) -> dict[str, Any]:
    steps = HISTORY_STEPS + seconds * 1000 // STEP_MS
    w = world(SERIES, steps, int(time.time() * 1000) + (steps - HISTORY_STEPS) * STEP_MS)
    history, live = _halves(w)
    write = it.url + WRITE
    sent = Sender(write, requests(history, 16, PER_REQUEST)).send()
    settle(it.pid)
    before, began = cpu_s(it.pid), time.perf_counter()
    paced, reads = asyncio.run(_steady(it, write, live, seconds))
    wall = time.perf_counter() - began
    used = cpu_s(it.pid) - before
    return {
        "history": {"samples": sent.samples, "wall_s": sent.wall_s},
        "samples": paced.samples,
        "samples_per_s": paced.samples / wall,
        "cpu_cores": used / wall,
        "cpu_share_of_two_cores": used / wall / 2,
        "cores": os.cpu_count(),
        "rss_peak_mib": peak_mib(it.pid),
        "rss_mib": rss_mib(it.pid),
        "ack_ms": {"p50": paced.percentile(50), "p99": paced.percentile(99)},
        "read_ms": {"p50": float(np.median(reads)), "max": max(reads)},
        "statuses": {str(k): v for k, v in paced.statuses.items()},
        "detector": judged(it),
    }


def _halves(w: World) -> tuple[World, World]:
    first, rest = slice(None, HISTORY_STEPS), slice(HISTORY_STEPS, None)
    return World(w.labels, w.t[first], w.value[first]), World(w.labels, w.t[rest], w.value[rest])


async def _steady(it: servers.Server, write: str, live: World, seconds: int) -> tuple[Sent, list[float]]:
    """Requests of one connection at their time, and the latencies of the reads beside them."""
    stream = requests(live, 1, PER_REQUEST)
    gap_s = STEP_MS / 1000 / (SERIES / PER_REQUEST)
    began = time.perf_counter()
    n = 0

    def pace() -> float:
        nonlocal n
        n += 1
        return max(0.0, began + n * gap_s - time.perf_counter())

    id_ = hex_id(fingerprint(live.labels[0]))
    reading = asyncio.create_task(_reads(f"{it.url}/api/v1/aiops/series/{id_}/samples", seconds))
    sent = await Sender(write, stream).run(seconds=seconds, pace=pace)
    return sent, await reading


async def _reads(url: str, seconds: int) -> list[float]:
    took = []
    for _ in range(seconds):
        began = time.perf_counter()
        await asyncio.to_thread(_get, url)
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(max(0.0, 1 - (time.perf_counter() - began)))
    return took


def _get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=30) as r:
        r.read()
