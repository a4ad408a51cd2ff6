"""Prometheus' query API over a real socket: a whole server with its store, and a client that leaves."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from airis_mon.app.insight import COMPUTED
from tests.api.fake import FakeEngine
from tests.api.test_served import running
from tools import servers

pytestmark = pytest.mark.live
STEP_S = 15


def sent(now: int) -> list[dict[str, Any]]:
    """A counter and a gauge of two hosts, every 15 s for ten minutes until `now`, s."""
    return [
        {"metricName": metric, "value": value, "labels": {"host": host}, "timestamp": (now - 600 + i * STEP_S) * 1000}
        for i in range(41)
        for host, speed in (("a", 2), ("b", 3))
        for metric, value in (("jobs_total", speed * i * STEP_S), ("depth", float(i)))
    ]


@pytest.mark.slow
def test_a_session_of_grafana_with_a_server_and_its_store(tmp_path: Path) -> None:
    now = int(time.time()) // 60 * 60
    settings = {"AIRIS_INGEST__HOST__ENABLED": "false", "AIRIS_RATE_LIMIT__ENABLED": "false"}
    with servers.airis_mon(tmp_path, env=settings) as server, httpx2.Client(base_url=server.url, timeout=120) as http:

        def ask(path: str, **params: Any) -> Any:
            answer = http.post(f"/api/v1/{path}", data=params)
            if answer.status_code == 405:  # as Grafana does
                answer = http.get(f"/api/v1/{path}", params=params)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]

        assert http.post("/api/v1/aiops/metrics", json=sent(now)).status_code == 200
        assert ask("query", query="1+1", time=4) == {"resultType": "scalar", "result": [4, "2"]}
        names = ask("label/__name__/values")
        assert names == sorted([*COMPUTED, "depth", "jobs_total"])
        assert ask("labels", **{"match[]": 'depth{host="a"}'}) == ["__name__", "host"]
        assert ask("label/host/values", **{"match[]": "depth"}) == ["a", "b"]
        assert ask("series", **{"match[]": 'depth{host=~"a|c"}'}) == [{"__name__": "depth", "host": "a"}]
        assert ask("metadata", metric="airis_expected")["airis_expected"][0]["help"]

        expr = "sum by (host) (rate(jobs_total[2m])) > bool 2.5"
        assert ask("query_range", query=expr, start=now - 30, end=now, step=15)["result"] == [
            {"metric": {"host": host}, "values": [[now - 30, value], [now - 15, value], [now, value]]}
            for host, value in (("a", "0"), ("b", "1"))
        ]
        assert ask("query", query="sum(depth) / count(depth)", time=now)["result"] == [
            {"metric": {}, "value": [now, "40"]}
        ]
        samples = ask("query", query='depth{host="b"}[30s]', time=now)
        assert samples["resultType"] == "matrix"
        assert samples["result"][0]["values"] == [[now - 15, "39"], [now, "40"]]

        refused = http.get("/api/v1/query", params={"query": "depth + on(x) depth", "time": now})
        assert (refused.status_code, refused.json()["errorType"]) == (422, "execution")


async def test_a_client_that_closes_its_connection_cancels_its_query(engine: FakeEngine, free_port: int) -> None:
    engine.source.held = threading.Event()
    async with running(engine, free_port) as at:
        _, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(b"GET /api/v1/query?query=cpu_usage HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.to_thread(engine.source.asked.wait, 10)
        (deadline,) = engine.queries._running.values()
        assert not deadline.cancelled.is_set()
        writer.close()
        assert await asyncio.to_thread(deadline.cancelled.wait, 10)
        engine.source.held.set()
        async with httpx2.AsyncClient(base_url=at.url) as http:
            assert json.loads((await http.get("/api/v1/query?query=1")).content)["status"] == "success"
