"""Starts AIRIS-MON for a benchmark, its kernels compiled before: what compilation costs is shown by `ready` alone."""

from __future__ import annotations

import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.payload import requests, world
from benchmarks.peers import on_core
from benchmarks.sender import Sender
from benchmarks.usage import settle
from tools import servers

KERNELS = Path(tempfile.gettempdir()) / "airis-mon-bench-kernels"
"""numba keys its files by the source they come from, so a stale one is never taken."""
WRITE = "/api/v1/write"


@contextmanager
def product(data: Path, *, core: int | None = None) -> Iterator[servers.Server]:
    """`airis-mon serve` with every default on a data folder, ready and with warm kernels; on one core if named."""
    warm()
    with started(data, core=core) as it:
        yield it


@contextmanager
def started(
    data: Path, *, kernels: Path = KERNELS, core: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator[servers.Server]:
    """As `product`, whatever its kernels are; `env` holds settings."""
    starting = servers.airis_mon(data, env={"NUMBA_CACHE_DIR": str(kernels), **(env or {})})
    with starting if core is None else on_core(core, starting) as it:
        yield it


def judged(it: servers.Server) -> dict[str, float]:
    """What the detector says of itself at /metrics: samples it took, signals, anomalies, batches it had to skip."""
    with urllib.request.urlopen(f"{it.url}/metrics", timeout=30) as r:
        lines = [line.split() for line in r.read().decode().splitlines() if line.startswith("airis_detect_")]
    return {line[0].removeprefix("airis_detect_"): float(line[1]) for line in lines}


@cache
def warm() -> None:
    """Lets a server that nobody measures compile every kernel on the way of a sample, from its bytes to an alarm."""
    steps = 200
    w = world(1000, steps, int(time.time() * 1000), planted=0.01)
    with servers.folder() as data, started(data) as it:
        Sender(it.url + WRITE, requests(w, 1, 2000)).send(seconds=60)
        settle(it.pid, 120)
