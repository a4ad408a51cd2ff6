"""`airis-mon query` beside our own server, and on its store when it has gone."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest

from airis_mon.cli.main import main
from tools import servers

pytestmark = [pytest.mark.live, pytest.mark.slow]
SETTINGS = {"AIRIS_INGEST__HOST__ENABLED": "false", "TZ": "UTC", "AIRIS_SERVER__PORT": "1"}
POINTS = 21


def send(url, samples):
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v1/aiops/metrics", json.dumps(samples).encode(), head)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def ask(folder, *words):
    ended = subprocess.run(
        [sys.executable, "-m", "airis_mon", "query", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=folder,
        env={**os.environ, **SETTINGS},
    )
    return ended.returncode, ended.stdout, ended.stderr


def here(capsys, *words):
    code = main(["query", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_server_and_its_store_give_the_same_answer(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = int(time.time()) - 600
    at = [now + 15 * i for i in range(POINTS)]
    span = ["--start", str(at[0]), "--end", str(at[-1]), "--step", "15s"]
    asked = [
        ["requests_total", "--time", str(at[-1]), "--json"],
        ["sum by (host) (rate(requests_total[1m]))", *span, "--json"],
    ]
    metrics = [
        {"metricName": "requests_total", "value": 30.0 * i * n, "labels": {"host": f"web-{n}"}, "timestamp": t * 1000}
        for i, t in enumerate(at)
        for n in (1, 2)
    ]
    data = tmp_path / "data"
    with servers.airis_mon(data, env={"AIRIS_INGEST__HOST__ENABLED": "false"}) as server:
        send(server.url, metrics)
        served = [here(capsys, *words, "--server", server.url) for words in asked]
        code, out, err = here(capsys, "requests_total", *span, "--server", server.url)
        assert (code, err) == (0, f"2 series, from {server.url}\n")
        assert out.splitlines()[1].split()[:4] == ['requests_total{host="web-1"}', "0", "600", "600"]
        assert here(capsys, "sum(", "--server", server.url)[0] == 2
        assert here(capsys, "requests_total * on() requests_total", *span, "--server", server.url)[0] == 1
        code, _, err = ask(tmp_path, "requests_total")
        assert code == 1
        assert f"process {server.pid}) is using {data}" in err
        assert "--server URL" in err
    stored = [ask(tmp_path, *words) for words in asked]
    assert [(code, err) for code, _, err in served + stored if code] == []
    assert [json.loads(out) for _, out, _ in stored] == [json.loads(out) for _, out, _ in served]
    rates = json.loads(stored[1][1])["result"]
    assert [float(r["values"][-1][1]) for r in rates] == pytest.approx([2, 4])
    assert stored[0][2] == f"2 series, from the store at {data}/store (no server answers at http://127.0.0.1:1)\n"
    code, out, err = ask(tmp_path, "aiops_anomaly_score")
    assert (code, out) == (0, "")
    assert "computed by a running server" in err
