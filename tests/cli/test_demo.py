"""The demo as a command: its scene, its folder, and that it runs and ends."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from airis_mon.cli import demo
from airis_mon.cli.demo import LEAD_MS, RULES, STEP_MS
from airis_mon.cli.main import main
from airis_mon.errors import ConfigError
from airis_mon.ingest.simulated import Scene
from airis_mon.query.rulefile import parse_rules

NOW = 1_800_000_123_456
DAY_MS = 86_400_000


def args(**given: Any) -> argparse.Namespace:
    known = {"seed": 7, "topology": "shop", "history": 2.0, "port": 0, "log": "warning"}
    return argparse.Namespace(**known | given)


def staged(**given: Any) -> Scene:
    return demo._staged(args(**given), NOW)


def test_the_first_fault_of_the_present_comes_soon_after_the_start():
    scene = staged()
    first = next(f.onset_ms for c in scene.world().plan.cases(NOW, NOW + DAY_MS) for f in c.faults)
    assert NOW <= first <= NOW + LEAD_MS + STEP_MS
    assert abs(NOW - 2 * DAY_MS - scene.start_ms) < DAY_MS / 4 + LEAD_MS
    assert scene.start_ms % STEP_MS == 0


def test_no_fault_of_the_demo_climbs_for_hours():
    scene = staged()
    faults = [f for c in scene.world().plan.cases(NOW, NOW + DAY_MS) for f in c.faults]
    assert len(faults) > 100
    assert max(f.end_ms - f.onset_ms for f in faults) < 600_000


def test_a_folder_keeps_its_world(tmp_path: Path):
    scene = staged(seed=3)
    demo._keep(tmp_path, scene)
    assert demo._kept(tmp_path) == scene
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(ConfigError, match="remove the folder"):
        demo._kept(tmp_path)


def test_a_folder_with_anything_else_is_left_alone(tmp_path: Path):
    assert demo._kept(tmp_path) is None
    (tmp_path / "store").mkdir()
    with pytest.raises(ConfigError, match="no demo"):
        demo._kept(tmp_path)


def test_neither_a_settings_file_nor_the_environment_reaches_a_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "airis.toml").write_text('[store]\nurl = "http://production:8123/metrics"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRIS_STORE__URL", "http://production:8123/metrics")
    settings = demo._settings(args(), tmp_path)
    assert (settings.store.url, settings.ingest.host.enabled, settings.writeback.url) == ("", False, "")
    assert Path(settings.rules.files[0]).read_text() == RULES


def test_its_rules_are_rules_and_say_what_they_are():
    groups = parse_rules("demo-rules.yml", RULES)
    assert [rule["alert"] for rule in yaml.safe_load(RULES)["groups"][0]["rules"]] == ["ManyErrors", "SlowForUsers"]
    assert len(groups) == 1
    assert "simulated" in RULES


def test_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--history", "99"]) == 2
    assert "--history 99 must lie between 0 and 14 days" in capsys.readouterr().err


@pytest.mark.slow
def test_a_demo_runs_says_what_it_is_and_ends_cleanly(tmp_path: Path, free_port: int):
    command = [sys.executable, "-m", "airis_mon", "demo", "--port", str(free_port), "--history", "0.1", "--lang", "en"]
    environ = os.environ | {"TMPDIR": str(tmp_path), "LANG": "ko_KR.UTF-8"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environ) as process:
        alarm = threading.Timer(300, process.kill)  # a first start compiles
        alarm.start()
        assert process.stdout is not None
        told = ""
        while "learned all of its past" not in told and (line := process.stdout.readline()):
            told += line
        base = f"http://127.0.0.1:{free_port}"
        health, status = (httpx2.get(f"{base}/api/v1/aiops/{path}").json() for path in ("health", "status"))
        values = httpx2.get(f"{base}/api/v1/label/demo/values").json()["data"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        alarm.cancel()
    assert process.returncode == 0
    assert "a simulated world (shop, seed 8)" in told
    assert (health["demo"], status["demo"], values) == (True, True, ["simulated"])
    assert health["backfill"]["stage"] == "done"
    assert list(tmp_path.iterdir()) == []
