"""`serve --prometheus URL` against a real Prometheus: its past is learned, and what is new follows."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import canonical
from tools import servers

pytestmark = [pytest.mark.live, pytest.mark.slow]

HOUR = 3_600_000
STEP = 30_000
PAST = 30 * HOUR
BLOCKS = [
    label_block(canonical({"__name__": name, "instance": f"h{i}"}.items()))
    for name in ("app_load", "http_requests_total")
    for i in range(5)
]


@pytest.fixture(scope="module")
def source() -> Iterator[str]:
    """A Prometheus with thirty hours of ten series, with one spike."""
    with servers.prometheus(flags=["--storage.tsdb.retention.time=30d"]) as server:
        now = int(time.time() * 1000)
        t = np.arange(now - PAST, now, STEP, dtype=np.int64)
        for part in np.array_split(t, 30):
            send(server.url, part)
        yield server.url


def send(url: str, t: Any) -> None:
    sid = np.tile(np.arange(len(BLOCKS), dtype=np.int32), len(t))
    every = np.repeat(t, len(BLOCKS))
    spike = 80.0 * ((sid == 0) & (every // STEP == (int(time.time() * 1000) - 3 * HOUR) // STEP))
    load = 10 + sid + np.sin(every / HOUR) + spike
    value = np.where(sid < 5, load, every % (10_000 * HOUR) / 100)
    body = write_request(BLOCKS, sid, every, value)
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", body, headers)).close()


def until(ask: Any, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)
    return found


def test_the_past_of_a_prometheus_is_learned_and_what_is_new_follows(source: str, tmp_path: Path) -> None:
    flags, env = ["--prometheus", source], {"AIRIS_INGEST__HOST__ENABLED": "false"}
    with (
        servers.airis_mon(tmp_path / "data", *flags, env=env) as server,
        httpx2.Client(base_url=server.url, timeout=30) as http,
    ):

        def health() -> dict[str, Any]:
            return dict(http.get("/api/v1/aiops/health").json())

        past = until(lambda: (it := health()["backfill"])["stage"] == "done" and it)["sources"][0]
        assert (past["fetched"], past["fault"], past["missing"]) == (1.0, "", [])
        assert past["samples"] >= 0.99 * len(BLOCKS) * PAST / STEP
        anomalies = http.get("/api/v1/aiops/anomalies").json()["anomalies"]
        assert any(a["value"] > 80 and a["labels"]["instance"] == "h0" for a in anomalies)
        events = http.get("/metrics").text
        assert "airis_events_published_total 0.0" in events  # nobody was told of what is past

        now = int(time.time() * 1000)
        send(source, np.array([now], np.int64))
        query = {"query": f"max_over_time(timestamp(app_load)[5m:15s]) >= {now // 1000}"}
        until(lambda: http.get("/api/v1/query", params=query).json()["data"]["result"])
        assert health()["degraded"] == []
