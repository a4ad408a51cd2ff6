"""POST /analytics/analyze over HTTP: distinct payloads, no cache, every default method; beside scikit-learn and scipy.

A server of its own on one loopback address, the asker in another process; both share the machine's cores. The server
is `airis-mon serve` with its defaults but for `OFF`: it keeps no answers, limits nobody and does not watch its host, so
that what runs beside (store, detection, forecasts) has nothing to do. Keys are off, as on every loopback address. One
process, one event loop: a question of up to `INLINE_POINTS` values is worked on there, one after another.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.asker import requests
from benchmarks.product import KERNELS, started
from benchmarks.usage import cpu_s
from tools import servers

OFF = {
    "AIRIS_RATE_LIMIT__ENABLED": "false",
    "AIRIS_ANALYTICS__CACHE_BYTES": "0",
    "AIRIS_INGEST__HOST__ENABLED": "false",
}
CLIENTS = (1, 10, 50)
RATE = 1000.0
COMPILE_S = 300.0


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Requests a second and latencies by clients, at a fixed rate, and of 10,000 values; the work itself; a peer."""
    seconds = 3.0 if quick else 10.0
    with servers.folder() as data:
        _warm(data)
        with started(data, kernels=KERNELS, env=OFF) as it:
            closed = {f"clients_{n}": asked(it, clients=n, seconds=seconds) for n in CLIENTS}
            at_rate = asked(it, clients=50, seconds=seconds, rate=RATE)
            large = asked(it, clients=1, seconds=seconds, values=10_000)
    return {
        "workload": "100 normal values, 1 % spikes, three decimals, no two payloads alike; cache and rate limit off",
        **closed,
        "at_1000_per_s": at_rate,
        "large": large,
        "own_us": {str(n): own_us(n) for n in (100, 1000, 10_000)},
        "peer_us": {str(n): peer_us(n, 3 if quick else 20) for n in (100, 1000)},
    }


def asked(
    it: servers.Server, *, clients: int, seconds: float, values: int = 100, rate: float = 0.0
) -> dict[str, float]:
    """One run of the asker, with the server's CPU time per request."""
    place = urlsplit(it.url)
    command = [sys.executable, "-m", "benchmarks.asker", str(place.hostname), str(place.port)]
    command += ["--values", str(values), "--clients", str(clients), "--seconds", str(seconds), "--rate", str(rate)]
    before = cpu_s(it.pid)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])
    found: dict[str, float] = json.loads(done.stdout)
    return {**found, "server_cpu_us": (cpu_s(it.pid) - before) / found["asked"] * 1e6}


def own_us(n: int) -> float:
    """Microseconds of one analysis of n values, without HTTP and JSON."""
    from airis_mon.analyze.analysis import analyze

    return _each_us(analyze, n, 10 if n > 1000 else 200)


def peer_us(n: int, rounds: int) -> float:
    """The same questions put to numpy, scipy and scikit-learn, as their documentation has it."""
    from scipy import stats
    from sklearn.ensemble import IsolationForest  # type: ignore[import-untyped]

    def ask(value: Any) -> None:
        np.percentile(value, [1, 5, 10, 25, 50, 75, 90, 95, 99])
        (value.mean(), np.median(value), value.std(ddof=1), value.min(), value.max(), stats.skew(value))
        stats.median_abs_deviation(value)
        others = value.sum() - value
        _ = (value - others / (len(value) - 1)) / value.std(ddof=1)
        IsolationForest(random_state=0).fit(value[:, None]).score_samples(value[:, None])
        x = np.arange(len(value))
        stats.linregress(x, value)
        stats.theilslopes(value, x)
        stats.kendalltau(x, value)
        centred = value - value.mean()
        np.correlate(centred, centred, "full")

    return _each_us(ask, n, rounds)


def _each_us(ask: Any, n: int, rounds: int) -> float:
    rng = np.random.default_rng(1)
    values = [rng.normal(50, 10, n) for _ in range(rounds + 1)]
    ask(values[0])
    began = time.perf_counter()
    for value in values[1:]:
        ask(value)
    return (time.perf_counter() - began) / rounds * 1e6


def _warm(data: Path) -> None:
    """Lets a server that nobody measures compile the kernels; meanwhile it may be too slow for its own time-out."""
    with started(data, kernels=KERNELS, env=OFF) as it:
        for values in (10, 100, 1000, 10_000):
            head, _, body = requests("host", values, 1)[0].partition(b"\r\n\r\n")
            path = head.split()[1].decode()
            asking = urllib.request.Request(it.url + path, body, {"Content-Type": "application/json"})
            until = time.monotonic() + COMPILE_S
            while True:
                try:
                    urllib.request.urlopen(asking, timeout=COMPILE_S).close()
                    break
                except urllib.error.HTTPError as error:
                    if error.code != 503 or time.monotonic() > until:
                        raise
