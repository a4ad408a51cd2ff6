"""The whole way, on real engines: a server process, real senders, a planted fault, what comes out."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tools import servers

pytestmark = [pytest.mark.live, pytest.mark.slow]
WAIT_S = 60.0


def call(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def until(found: Callable[[], Any]) -> Any:
    """What `found` answers first that is not empty; waits for the server, not for a time."""
    deadline = time.monotonic() + WAIT_S
    while not (answer := found()):
        assert time.monotonic() < deadline, "the server did not get there in time"
        time.sleep(1)  # the server limits an address to 100 requests a minute
    return answer


def samples(n: int, spike_at: int, now: float) -> list[dict[str, Any]]:
    noise = np.random.default_rng(7).normal(40, 2, n)
    noise[spike_at] = 95.5
    times = [int((now - (n - i) * 15) * 1000) for i in range(n)]
    return [
        {"metricName": "cpu_usage", "value": round(float(v), 3), "labels": {"host": "web-1"}, "timestamp": t}
        for v, t in zip(noise, times, strict=True)
    ]


def test_a_spike_goes_in_as_json_and_comes_out_as_an_anomaly_once(tmp_path: Path) -> None:
    sent = samples(400, 380, time.time())
    settings = {"AIRIS_INGEST__HOST__ENABLED": "false"}
    with servers.airis_mon(tmp_path, env=settings) as server:
        base = f"{server.url}/api/v1/aiops"
        stored = call(f"{base}/metrics", sent)
        assert (stored["success"], len(stored["metrics"])) == (True, 400)
        raised = until(lambda: [a for a in call(f"{base}/anomalies")["anomalies"] if a["value"] == 95.5])
        assert raised[0]["name"] == 'cpu_usage{host="web-1"}'
        assert raised[0]["lower"] <= raised[0]["expected"] <= raised[0]["upper"] < 95.5
        fp = raised[0]["series"]
        bands = call(f"{base}/series/{fp}/bands?start={sent[300]['timestamp']}&end={sent[-1]['timestamp']}")
        assert len(bands["bands"]["t"]) == 100
        assert call(f"{base}/series/coverage")["coverage"]["watched"] == 1
    with servers.airis_mon(tmp_path, env=settings) as server:  # after a stop: the same anomaly, not another
        base = f"{server.url}/api/v1/aiops"
        again = call(f"{base}/anomalies?limit=1000")["anomalies"]
        assert [a["id"] for a in again if a["value"] == 95.5] == [raised[0]["id"]]
        assert call(f"{base}/series/{fp}")["series"]["lastValue"] == sent[-1]["value"]


def test_a_real_prometheus_writes_what_it_scrapes(tmp_path: Path, node_exporter: servers.Server) -> None:
    target = node_exporter.url.removeprefix("http://")
    with servers.airis_mon(tmp_path, env={"AIRIS_INGEST__HOST__ENABLED": "false"}) as server:
        config = f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: node, static_configs: [{{targets: ["{target}"]}}]}}]
remote_write: [{{url: "{server.url}/api/v1/write"}}]
"""
        with servers.prometheus(config):
            base = f"{server.url}/api/v1/aiops"
            query = "match=node_load1%7Bjob%3D%22node%22%7D"
            (load,) = until(lambda: call(f"{base}/series?{query}")["series"])
            until(lambda: len(call(f"{base}/series/{load['id']}/samples")["samples"]["t"]) >= 3)
            coverage = call(f"{base}/series/coverage")["coverage"]
    assert coverage["total"] > 300
