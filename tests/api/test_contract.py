from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from tests.api.fake import FP, V1, T

STAMP = "2026-03-01T12:00:00.000Z"
SERVICES = {"ollama", "gemini", "knowledgeCollector", "mlops", "analytics", "monitoring"}


def is_rfc3339_utc(text: str) -> bool:
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None


async def test_health_has_every_field_of_the_contract_and_no_envelope(client):
    health = (await client.get(f"{V1}/health")).json()
    assert health["status"] in {"healthy", "degraded", "unhealthy"}
    assert health["initialized"] is True
    assert health["started"] is True
    assert set(health["services"]) == SERVICES
    assert all(isinstance(works, bool) for works in health["services"].values())
    assert health["healthyServices"] == 2
    assert health["totalServices"] == 6
    recovery = health["errorRecoveryStatus"]
    assert recovery.pop("circuitBreakerState") in {"closed", "open", "half-open"}
    assert recovery == {"errorCount": 0, "uniqueErrors": 0, "fallbackCacheSize": 0}
    assert is_rfc3339_utc(health["timestamp"])
    assert "success" not in health


async def test_status_has_every_field_of_the_contract_and_no_envelope(client):
    status = (await client.get(f"{V1}/status")).json()
    assert status["initialized"] is True
    assert status["started"] is True
    assert set(status["services"]) == SERVICES
    assert set(status["systemMetrics"]) == {"cpu", "memory", "disk", "network", "timestamp"}
    assert all(isinstance(status["systemMetrics"][k], int | float) for k in ("cpu", "memory", "disk", "network"))
    assert is_rfc3339_utc(status["systemMetrics"]["timestamp"])
    assert is_rfc3339_utc(status["timestamp"])
    assert "success" not in status


async def test_one_metric_is_echoed_as_the_contract_has_it(client, engine):
    sent = {"metricName": "cpu_usage", "value": 95.5}
    answer = await client.post(f"{V1}/metrics", json=sent)
    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is True
    assert isinstance(body["message"], str)
    assert is_rfc3339_utc(body["timestamp"])
    assert body["metric"] == {
        "name": "cpu_usage",
        "value": 95.5,
        "labels": {},
        "source": "api",
        "timestamp": STAMP,
    }
    assert engine.calls == [("ingest", "json", answer.request.content, "application/json")]


@pytest.mark.parametrize("written", [STAMP, T, T // 1000, "2026-03-01T21:00:00+09:00"])
async def test_a_metric_s_own_time_labels_and_source_are_echoed(client, written):
    sent = {"metricName": "m", "value": 1, "labels": {"host": "a"}, "source": "test", "timestamp": written}
    metric = (await client.post(f"{V1}/metrics", json=sent)).json()["metric"]
    assert metric == {"name": "m", "value": 1, "labels": {"host": "a"}, "source": "test", "timestamp": STAMP}


async def test_an_array_answers_metrics_and_counts(client):
    sent = [{"metricName": "m", "value": n} for n in range(3)]
    body = (await client.post(f"{V1}/metrics", json=sent)).json()
    assert body["success"] is True
    assert [m["value"] for m in body["metrics"]] == [0, 1, 2]
    assert (body["accepted"], body["refused"]) == (3, 0)


async def test_the_answer_to_a_large_array_is_made_off_the_event_loop(client):
    workers = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(workers)
    for size, threads in ((3, 0), (5000, 1)):
        sent = [{"metricName": "m", "value": n} for n in range(size)]
        body = (await client.post(f"{V1}/metrics", json=sent)).json()
        assert [m["value"] for m in body["metrics"]] == list(range(size))
        assert len(workers._threads) == threads


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/series", "series"),
        (f"/series/{FP:016x}", "series"),
        (f"/series/{FP:016x}/samples", "samples"),
        (f"/series/{FP:016x}/bands", "bands"),
        ("/series/coverage", "coverage"),
        ("/anomalies", "anomalies"),
    ],
)
async def test_every_success_stands_in_the_envelope(client, path, key):
    body: dict[str, Any] = (await client.get(V1 + path)).json()
    assert body.pop("success") is True
    assert is_rfc3339_utc(body.pop("timestamp"))
    body.pop("metadata", None)
    assert list(body) == [key]


async def test_all_paths_are_relative_to_a_mount(mounted):
    for path in ("/health", "/status", "/series", "/anomalies", "/metrics", "/prom/metrics", "/live", "/docs", "/"):
        assert (await mounted.get(path)).status_code == 200, path
    assert (await mounted.post("/metrics", json={"metricName": "m", "value": 1})).status_code == 200
    snappy = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    assert (await mounted.post("/prom/api/v1/write", content=b"x", headers=snappy)).status_code == 204
    assert (await mounted.post("/prom/v1/metrics", json={})).status_code == 200


async def test_live_and_ready_answer_apart(client, engine):
    engine.is_ready, engine.not_ready_reason = False, "the store does not answer"
    ready = await client.get("/ready")
    assert ready.status_code == 503
    assert ready.json()["message"] == "the store does not answer"
    assert (await client.get("/live")).json() == {"status": "ok"}
    engine.is_live = False
    assert (await client.get("/live")).status_code == 503


async def test_the_exposition_is_text_of_its_version(client):
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.content == b"# TYPE airis_up gauge\nairis_up 1\n"
