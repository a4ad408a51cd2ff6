"""Replays of a whole server over its own store: asked for over HTTP, done beside live, gone on with after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from airis_mon.client import AIOpsClient
from airis_mon.errors import Conflict
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import canonical
from tests.query.differential.oracle import Server
from tools import servers

pytestmark = [pytest.mark.live, pytest.mark.slow]

SETTINGS = {"AIRIS_INGEST__HOST__ENABLED": "false", "AIRIS_RATE_LIMIT__ENABLED": "false"}
STEPS, STEP_S = 720, 15
PATIENCE_S = 300
"""The first replay waits for kernels, which a busy machine compiles for minutes."""
SERVICES = ("cart", "user")
RULES = "groups: [{name: g, rules: [{alert: High, expr: 'load > 90'}]}]"


def body(start: int) -> bytes:
    """Three hours of two services' loads; the first one's is high for ten minutes near the end."""
    load = np.random.default_rng(3).normal(40, 2, (STEPS, len(SERVICES)))
    load[640:680, 0] = 95
    labels = [canonical([("__name__", "load"), ("service", name)]) for name in SERVICES]
    sid = np.tile(np.arange(len(SERVICES), dtype=np.int32), STEPS)
    t = np.repeat((start + np.arange(STEPS) * STEP_S) * 1000, len(SERVICES))
    return write_request([label_block(label) for label in labels], sid, t, load.ravel())


def until(ready: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """What it answers as soon as that is something."""
    deadline = time.monotonic() + within_s
    while not (found := ready()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.1)
    return found


def ended(client: AIOpsClient, replay: dict[str, Any]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = client.replay(replay["id"])
        return found if found["state"] in {"done", "failed", "cancelled"} else None

    return dict(until(look))


def test_a_server_replays_its_own_past_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with servers.airis_mon(data, env=SETTINGS) as server, AIOpsClient(server.url, timeout_s=60) as client:
        Server(server.url).write(body(int(time.time()) - STEPS * STEP_S))
        first = replayed(client)
        drawn(server.url, first["id"])
        left = [client.start_replay(days=0.5, match=f'load{{service="{name}"}}', rules="none") for name in SERVICES]
    with servers.airis_mon(data, env=SETTINGS) as server, AIOpsClient(server.url, timeout_s=60) as client:
        for replay in left:
            again = ended(client, replay)
            assert (again["state"], again["error"]) == ("done", None)
            assert (again["result"]["series"], again["result"]["samples"]) == (1, STEPS)
        assert client.replay(first["id"])["result"] == first["result"]


def replayed(client: AIOpsClient) -> dict[str, Any]:
    stored = latest(client)
    done = ended(client, client.start_replay(days=0.5, rules_text=RULES))
    assert (done["state"], done["error"], done["progress"]) == ("done", None, 1.0)
    result = done["result"]
    assert result["samples"] == len(SERVICES) * STEPS
    assert (result["raw"]["from"], result["raw"]["alerts"]) == ("rule files", 1)
    assert [alert["name"] for alert in result["alerts"]] == ["High"]
    assert {finding["entity"] for finding in result["findings"]} <= set(SERVICES)
    assert latest(client) == stored
    assert client.series("ALERTS") == []  # the rules of a replay record into its own database
    with pytest.raises(Conflict, match="done already"):
        client.cancel_replay(done["id"])
    return done


def latest(client: AIOpsClient) -> list[Any]:
    return [(series["name"], series["lastTimestamp"], series["lastValue"]) for series in client.series()]


def drawn(url: str, replay_id: str) -> None:
    for lang in ("en", "ko"):
        page = httpx2.get(f"{url}/api/v1/aiops/replays/{replay_id}/report", params={"lang": lang}, timeout=30)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "cart" in page.text
