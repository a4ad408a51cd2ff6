"""PromQL over HTTP, beside Prometheus and VictoriaMetrics on the same samples in one run.

Two hours of 12,000 series at 15 s: `http_requests_total` (2,000 counters) and `queue_depth` (10,000 gauges). Every
query is asked by each server in turn, several times; medians of wall time with the answer read and its size compared.
No server has a cache for a range query here: each time the range is moved by a step.

Then the rules: the same series arrive live, first without and then with a file of 30 rules over the 10,000 gauges, and
the CPU time of both is compared. A server is started anew for each, since none takes rules from another place.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from airis_mon.series.labels import Labels, canonical
from benchmarks.payload import PER_TARGET, STEP_MS, World, requests
from benchmarks.product import WRITE, started, warm
from benchmarks.sender import Sender, Sent
from benchmarks.usage import cpu_s, peak_mib, settle, spin_ms
from tools import servers

COUNTERS, GAUGES = 2_000, 10_000
STEPS = 480
REPEATS = 9
RULES = 30
RULE_SECONDS = 90
OURS = "AIRIS-MON"
HOUR_S = 3600
QUERIES = {
    "one_series_1h": 'rate(http_requests_total{instance="node-7",job="job-0",code="200"}[5m])',
    "sum_rate_2000_1h": "sum by (job) (rate(http_requests_total[5m]))",
    "plain_2000_1h": "http_requests_total",
    "instant_10000": "max by (job) (queue_depth)",
    "instant_rate_2000": "sum by (job) (rate(http_requests_total[5m]))",
}
Start = Callable[[Path | None], AbstractContextManager[servers.Server]]


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Milliseconds per query and server; shares of a core for the rules."""
    warm()
    spin = spin_ms()
    result: dict[str, Any] = {
        "workload": f"{COUNTERS} counters and {GAUGES} gauges, {STEPS} steps of 15 s, queries over HTTP, medians of "
        f"{3 if quick else REPEATS}; {RULES} rules every 15 s",
        "queries": _queries(3 if quick else REPEATS),
        "rules": {} if quick else {name: _rules(start) for name, start in _STARTS.items() if name != "VictoriaMetrics"},
        "spin_ms": spin,
    }
    for query in QUERIES:
        ours, *peers = (result["queries"][name][query] for name in _STARTS)
        result[f"{query}_ms"] = ours["ms"]
        result[f"{query}_to_prometheus"] = ours["ms"] / peers[0]["ms"]
        result[f"{query}_to_victoria"] = ours["ms"] / peers[1]["ms"]
    if not quick:
        result["rules_core_share"] = result["rules"][OURS]["core_share"]
        result["rules_to_prometheus"] = result["rules_core_share"] / result["rules"]["Prometheus"]["core_share"]
    return result


@contextmanager
def _airis(rules: Path | None) -> Iterator[servers.Server]:
    with servers.folder() as data:
        env = {} if rules is None else {"AIRIS_RULES__FILES": str(rules), "AIRIS_RULES__INTERVAL_S": "15"}
        with started(data, env=env) as it:
            yield it


@contextmanager
def _prometheus(rules: Path | None) -> Iterator[servers.Server]:
    config = "global: {evaluation_interval: 15s}\n" + (f"rule_files: [{rules}]\n" if rules else "")
    with servers.prometheus(config) as it:
        yield it


@contextmanager
def _victoria(_: Path | None) -> Iterator[servers.Server]:
    # It hides the last 30 s and caches answers by default: both would compare other work.
    with servers.victoria(flags=["-search.disableCache", "-search.latencyOffset=0s"]) as it:
        yield it


_STARTS: dict[str, Start] = {OURS: _airis, "Prometheus": _prometheus, "VictoriaMetrics": _victoria}


def _queries(repeats: int) -> dict[str, dict[str, Any]]:
    end_ms = int(time.time() * 1000)
    streams = requests(fleet(STEPS, end_ms), 8, 4_000)
    with ExitStack() as stack:
        running = {name: stack.enter_context(start(None)) for name, start in _STARTS.items()}
        for it in running.values():
            Sender(it.url + WRITE, streams).send()
            settle(it.pid, 60)
        last_s = end_ms // 1000 - 60
        took: dict[str, dict[str, Any]] = {name: {} for name in running}
        for query in QUERIES:
            for name, times in _turns(running, query, last_s, repeats).items():
                took[name][query] = times
        for name, it in running.items():
            took[name]["rss_peak_mib"] = peak_mib(it.pid)
    return took


def _turns(running: dict[str, servers.Server], query: str, last_s: int, repeats: int) -> dict[str, dict[str, Any]]:
    """One query on every server in turn; asserts that all answer the same number of series and points."""
    times: dict[str, list[float]] = {name: [] for name in running}
    sizes: dict[str, tuple[int, int]] = {}
    for i in range(repeats + 1):
        for name, it in running.items():
            began = time.perf_counter()
            body = _ask(it.url, query, last_s - i * 15)
            took = (time.perf_counter() - began) * 1000
            if i == 0:
                sizes[name] = _size(body)
            else:
                times[name].append(took)
    assert len({series for series, _ in sizes.values()}) == 1, f"{query}: {sizes}"
    points = [n for _, n in sizes.values()]
    assert max(points) <= 1.02 * min(points), f"{query}: {sizes}"  # their windows differ at the edges
    return {
        name: {"ms": statistics.median(t), "min_ms": min(t), "max_ms": max(t), "points": sizes[name][1]}
        for name, t in times.items()
    }


def _ask(url: str, query: str, at_s: int) -> bytes:
    given: dict[str, Any] = {"query": QUERIES[query]}
    if query.endswith("_1h"):
        path, given = "query_range", {**given, "start": at_s - HOUR_S, "end": at_s, "step": 15}
    else:
        path, given = "query", {**given, "time": at_s}
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(given)}", timeout=60) as r:
        return bytes(r.read())


def _size(body: bytes) -> tuple[int, int]:
    """(series, points) of an answer."""
    result = json.loads(body)["data"]["result"]
    return len(result), sum(len(row.get("values", [None])) for row in result)


def fleet(steps: int, end_ms: int) -> World:
    """Counters and gauges of 24 targets, up to `end_ms`."""
    rng = np.random.default_rng(5)
    labels = [_labels(i) for i in range(COUNTERS + GAUGES)]
    targets = -(-len(labels) // PER_TARGET)
    start = (end_ms // STEP_MS - steps) * STEP_MS
    t = start + STEP_MS * np.arange(steps)[:, None] + rng.integers(0, STEP_MS, targets)
    counters = np.cumsum(rng.poisson(20, (steps, COUNTERS)), axis=0)
    gauges = np.round(50 + 20 * rng.standard_normal((steps, GAUGES)), 1)
    return World(labels, t, np.concatenate([counters, gauges], axis=1))


def _labels(i: int) -> Labels:
    if i < COUNTERS:
        own = {"__name__": "http_requests_total", "code": ("200", "500")[i // 10 % 2], "instance": f"node-{i // 20}"}
    else:
        own = {"__name__": "queue_depth", "queue": f"queue-{i // 10 % 50}", "instance": f"node-{i // 500}"}
    return canonical([*own.items(), ("job", f"job-{i % 10}")])


def rule_file() -> str:
    """30 rules over the gauges: half record, half alert, no two with the same selector and function."""
    by = ("job", "queue", "instance")
    rules: list[dict[str, Any]] = []
    for i in range(RULES):
        function = ("queue_depth", f"avg_over_time(queue_depth[{1 + i}m])", f"max_over_time(queue_depth[{1 + i}m])")[
            i % 3
        ]
        name = by[i % len(by)]
        if i % 2:
            rules.append({"record": f"{name}:queue_depth:r{i}", "expr": f"max by ({name}) ({function})"})
        else:
            alert = {"alert": f"QueueDeep{i}", "expr": f"avg by ({name}) ({function}) > {50 + i / 10}", "for": "1m"}
            rules.append({**alert, "annotations": {"summary": "{{ $labels." + name + " }} holds {{ $value }}"}})
    return json.dumps({"groups": [{"name": "queues", "rules": rules}]})  # JSON is YAML


def _rules(start: Start) -> dict[str, float]:
    """CPU of the server while the fleet is live, without rules and with them."""
    with servers.folder() as where:
        file = where / "rules.yml"
        file.write_text(rule_file())
        without, with_rules = (_live(partial(start, rules)) for rules in (None, file))
    return {"cores_without": without, "cores_with": with_rules, "core_share": with_rules - without}


def _live(start: Callable[[], AbstractContextManager[servers.Server]]) -> float:
    history = 20
    steps = history + RULE_SECONDS * 1000 // STEP_MS
    w = fleet(steps, int(time.time() * 1000) + (steps - history) * STEP_MS)
    past, live = (World(w.labels, w.t[s], w.value[s]) for s in (slice(None, history), slice(history, None)))
    with start() as it:
        Sender(it.url + WRITE, requests(past, 8, 4_000)).send()
        settle(it.pid, 60)
        before, began = cpu_s(it.pid), time.perf_counter()
        asyncio.run(_paced(it.url + WRITE, live))
        return (cpu_s(it.pid) - before) / (time.perf_counter() - began)


async def _paced(url: str, live: World) -> Sent:
    """The live samples by one connection, evenly over their time."""
    stream = requests(live, 1, 4_000)
    gap_s, began, n = RULE_SECONDS / len(stream), time.perf_counter(), 0

    def pace() -> float:
        nonlocal n
        n += 1
        return max(0.0, began + n * gap_s - time.perf_counter())

    return await Sender(url, stream).run(seconds=RULE_SECONDS + 10, pace=pace)
