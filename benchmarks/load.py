"""Remote write, end to end: samples per CPU second, acknowledgement, memory and bytes on disk, beside the peers.

Every receiver gets the same bodies on one core, the sender has the other one. CPU is that of the whole process over the
load and whatever it does afterwards until it rests (merges). The first request of each connection (new series) is left
out for all alike, and compiled kernels come from a cache. AIRIS-MON runs as it comes: detection is on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import peers, reopen
from benchmarks.payload import STEP_MS, Request, requests, world
from benchmarks.product import WRITE, judged, product
from benchmarks.sender import Sender
from benchmarks.usage import cpu_s, peak_mib, pinned, rss_mib, settle, spin_ms, threads_s
from tools import servers

SERIES = 10_000
SHAPES = ((5_000, 16), (2_000, 50))
"""Samples per request, connections."""
LIMIT_S = 100.0
OURS = "AIRIS-MON"
Start = Callable[[], AbstractContextManager[peers.Receiver]]


def measure(*, quick: bool = False) -> dict[str, Any]:
    """One cell per shape and receiver; the first shape's figures are the ones that bars are held against."""
    cells = []
    for samples, connections in SHAPES[:1] if quick else SHAPES:
        streams = requests(_world(1_000_000 if quick else 20_000_000), connections, samples)
        few = [s[: len(s) // 5] for s in streams]
        with servers.folder() as data:
            cells.append(cell(lambda d=data: airis(d), streams, samples))  # type: ignore[misc]
            cells[-1]["bytes_per_sample"] = _disk(data, cells[-1])
        cells.append(cell(lambda: peers.victoria(0), streams, samples))
        if samples == SHAPES[0][0]:
            cells.append(cell(lambda: peers.prometheus(0), few, samples))
    ours, victoria, prometheus = cells[:3]
    return {
        "workload": f"{SERIES} series, 15 s steps, {SHAPES[0][0]} samples x {SHAPES[0][1]} connections, one core each "
        "for server and sender, detection on, merges settled",
        "samples_per_cpu_s": ours["samples_per_cpu_s"],
        "ratio_to_victoria": ours["samples_per_cpu_s"] / victoria["samples_per_cpu_s"],
        "ratio_to_prometheus": ours["samples_per_cpu_s"] / prometheus["samples_per_cpu_s"],
        "bytes_per_sample": ours["bytes_per_sample"]["samples"],
        "bytes_ratio_to_victoria": ours["bytes_per_sample"]["samples"] / victoria["bytes_per_sample"]["settled"],
        "cells": cells,
        "receivers": {p: peers.version(p) for p in ("prometheus", "victoria-metrics")},
    }


def _world(samples: int) -> Any:
    return world(SERIES, samples // SERIES, int(time.time() * 1000) - STEP_MS)


@contextmanager
def airis(data: Path) -> Any:
    """AIRIS-MON with every default, on a data folder of its own."""
    with product(data, core=0) as it:
        yield peers.Receiver(OURS, it, it.url + WRITE, dict)


def cell(start: Start, streams: Sequence[Sequence[Request]], per_request: int) -> dict[str, Any]:
    """Sends everything to a fresh receiver and says what it took."""
    spin = spin_ms()
    with start() as receiver, pinned(1):
        return {**_load(receiver, streams, per_request), "spin_ms": spin}


def _load(receiver: peers.Receiver, streams: Sequence[Sequence[Request]], per_request: int) -> dict[str, Any]:
    pid = receiver.server.pid
    sender = Sender(receiver.write, streams)
    warm = sender.send(1)
    settle(pid, 10)
    before = cpu_s(pid)
    sent = sender.send(seconds=LIMIT_S)
    loaded = cpu_s(pid)
    settled_s = settle(pid)
    used = cpu_s(pid)
    total = warm.samples + sent.samples
    return {
        "receiver": receiver.name,
        "samples_per_request": per_request,
        "connections": len(streams),
        "samples": sent.samples,
        "total_samples": total,
        "wall_s": sent.wall_s,
        "samples_per_s": sent.samples / sent.wall_s,
        "samples_per_cpu_s": sent.samples / (used - before),
        "samples_per_cpu_s_while_loaded": sent.samples / (loaded - before),
        "settled_after_s": settled_s,
        "ack_ms": {"p50": sent.percentile(50), "p99": sent.percentile(99), "max": sent.percentile(100)},
        "statuses": {str(k): v for k, v in sent.statuses.items()},
        "rss_peak_mib": peak_mib(pid),
        "rss_after_mib": rss_mib(pid),
        "threads_cpu_s": threads_s(pid),
        "detector": judged(receiver.server) if receiver.name == OURS else {},
        "bytes_per_sample": {k: v / total for k, v in receiver.disk().items()},
    }


def _disk(data: Path, ours: dict[str, Any]) -> dict[str, float]:
    """Bytes per sample sent, by table; asserts that every acknowledged sample is there and was judged."""
    parts = reopen.ask("parts", data)
    stored = parts["samples"]["rows"]
    assert stored >= ours["total_samples"], f"{ours['total_samples']} acknowledged, {stored} stored"
    seen = ours["detector"]["samples_total"]
    assert seen >= ours["total_samples"], f"{ours['total_samples']} acknowledged, {seen:.0f} judged"
    return {table: row["bytes"] / ours["total_samples"] for table, row in parts.items()}
