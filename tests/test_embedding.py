"""The real manager inside other people's applications, each in a process of its own: one may hold one store."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

pytestmark = [pytest.mark.live, pytest.mark.slow]
PROGRAM = Path(__file__).with_name("embedded_app.py")
MOUNT = "/tools/aiops"
WAIT_S = 120.0


class Process:
    """The running application; `line()` waits for what it says next."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin = process.stdin
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.line()}"

    def line(self) -> str:
        return self._lines.get(timeout=WAIT_S)

    def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as answer:
            return answer.code, json.load(answer)

    def _read(self, stdout: IO[str]) -> None:
        for line in stdout:  # the log stands between
            if line.startswith("> "):
                self._lines.put(line[2:].strip())
        self._lines.put("ended")


@contextmanager
def embedded(kind: str, folder: Path) -> Iterator[Process]:
    command = [sys.executable, str(PROGRAM), kind, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Process(process)
            assert process.wait(WAIT_S) == 0
        finally:
            process.kill()


def noise_with_a_spike(n: int = 400, at: int = 380) -> list[dict[str, Any]]:
    values = np.random.default_rng(7).normal(40, 2, n)
    values[at] = 95.5
    now = time.time()
    return [
        {"metricName": "cpu_usage", "value": round(float(v), 3), "timestamp": int((now - (n - i) * 15) * 1000)}
        for i, v in enumerate(values)
    ]


@pytest.mark.parametrize("kind", ["fastapi", "starlette", "django"])
def test_a_manager_inside_an_application_starts_judges_tells_and_stops(kind: str, tmp_path: Path) -> None:
    sent = noise_with_a_spike()
    with embedded(kind, tmp_path) as app:
        assert not (tmp_path / "store").exists()  # nothing is opened before the first request
        status, health = app.call(f"{MOUNT}/health")
        assert (status, health["started"]) == (200, True)
        assert app.call(f"{MOUNT}/metrics", sent)[1]["accepted"] == len(sent)
        while (told := json.loads(app.line()))["value"] != 95.5:
            pass
        assert told["name"] == "cpu_usage"
        assert told["lower"] <= told["expected"] <= told["upper"] < 95.5
        coverage = app.call(f"{MOUNT}/series/coverage")[1]["coverage"]
        assert (coverage["total"], coverage["watched"]) == (1, 1)
        window = urllib.parse.urlencode({"start": sent[0]["timestamp"], "maxPoints": 100})
        first = app.call(f"{MOUNT}/series/{told['series']}/samples?{window}")[1]
        assert first["samples"]["t"] == [m["timestamp"] for m in sent[:100]]
        assert first["metadata"] == {"count": 100, "limit": 100, "truncated": True}
        match = urllib.parse.urlencode({"match": 'cpu_usage{host=""}', "minScore": 0.9})
        assert 95.5 in [a["value"] for a in app.call(f"{MOUNT}/anomalies?{match}")[1]["anomalies"]]
        app.stdin.close()
        while (last := app.line()) not in {"stopped", "ended"}:
            pass
        assert last == "stopped"
