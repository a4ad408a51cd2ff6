"""`airis-mon replay --stored`: a real server replays what it stores, and is not disturbed by it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from airis_mon.cli.main import main
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import canonical
from tools import servers

pytestmark = [pytest.mark.live, pytest.mark.slow]
STEP, STEPS, PODS = 15_000, 700, 6
RULES = "groups: [{name: shop, interval: 30s, rules: [{alert: High, expr: max by (service) (load) > 50, for: 1m}]}]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """It stores three hours in which a cart broke for ten minutes."""
    folder = tmp_path_factory.mktemp("stored")
    with servers.airis_mon(folder / "data", env={"AIRIS_INGEST__HOST__ENABLED": "false"}) as it:
        start = (int(time.time() * 1000) - (STEPS + 20) * STEP) // STEP * STEP
        names = [{"__name__": "load", "service": s, "pod": str(p)} for s in ("cart", "search") for p in range(3)]
        blocks = [label_block(canonical(n.items())) for n in names]
        value = 20 + np.random.default_rng(3).normal(size=(STEPS, PODS))
        value[600:640, :3] += 60
        row, column = np.meshgrid(np.arange(STEPS), np.arange(PODS), indexing="ij")
        row, column = row.ravel(), column.ravel().astype(np.int32)
        body = write_request(blocks, column, start + row * STEP, value[row, column])
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        httpx2.post(f"{it.url}/api/v1/write", content=body, headers=headers, timeout=60).raise_for_status()
        yield it


def asked(server: servers.Server, path: str) -> Any:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=60) as answer:
        return json.load(answer)


def raised(server: servers.Server) -> list[Any]:
    """The anomalies of the cart's pods, once all are judged: a first start compiles before it judges."""
    until = time.monotonic() + 300
    while len(found := asked(server, "/api/v1/aiops/anomalies?limit=1000")["anomalies"]) < 3:
        assert time.monotonic() < until
        time.sleep(1)
    return list(found)


def test_what_a_server_stores_is_replayed_beside_a_rule_file(
    server: servers.Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yml").write_text(RULES)
    before = raised(server)
    page = tmp_path / "page.html"
    words = ["--days", "0.5", "--rules", "shop.yml", "--json", "--html", str(page)]
    code = main(["replay", "--stored", "--server", server.url, *words])
    shown = capsys.readouterr()
    assert (code, shown.err) == (0, "")
    found = json.loads(shown.out)
    assert found["samples"] == STEPS * PODS
    (alert,) = found["alerts"]
    assert (alert["service"], alert["isSeen"]) == ("cart", True)
    assert "cart" in page.read_text()
    # Nothing live has changed: no alert, no anomaly, no series that the rules of the replay would have written.
    assert raised(server) == before
    assert asked(server, "/api/v1/query?query=count(ALERTS)")["data"]["result"] == []


def test_what_cannot_be_asked_is_told_as_the_server_says_it(
    server: servers.Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["replay", "--stored", "--server", server.url, "--match", "{a="]) != 0
    assert "match" in capsys.readouterr().err


def test_nobody_there_is_said_with_the_remedy(
    free_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["replay", "--stored", "--server", f"http://127.0.0.1:{free_port}"]) == 1
    assert str(free_port) in capsys.readouterr().err
