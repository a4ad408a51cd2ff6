"""`airis-mon replay`: a file or a real Prometheus in, what would have been raised out."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from airis_mon.cli import replay
from airis_mon.errors import BadRules, ConfigError, InputError, Transient
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import canonical
from tools import servers

STEP, STEPS = 15_000, 700
RULES = """
groups:
- name: shop
  interval: 30s
  rules:
  - alert: LoadHigh
    expr: max by (service) (load) > 50
    for: 1m
"""


def parsed(*words: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    replay.add_parser(parser.add_subparsers())
    return parser.parse_args(["replay", *map(str, words)])


def run(*words: Any) -> int:
    args = parsed(*words)
    return int(args.run(args))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no airis.toml of whoever runs the tests


def values() -> np.ndarray[Any, np.dtype[np.float64]]:
    """(step, pod): three pods of a cart that breaks for ten minutes, three of a search that does not."""
    value = 20 + np.random.default_rng(3).normal(size=(STEPS, 6))
    value[600:640, :3] += 60
    return value


PODS = [{"service": s, "pod": str(p)} for s in ("cart", "search") for p in range(3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path, start = tmp_path / "load.csv", 1_767_571_200_000
    rows = [
        f"{start + k * STEP},load,{pod['service']},{pod['pod']},{v:.3f}"
        for column, pod in enumerate(PODS)  # series after series: a replay goes by time
        for k, v in enumerate(values()[:, column].tolist())
    ]
    path.write_text("timestamp,metric,service,pod,value\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "shop.rules.yml"
    path.write_text(RULES)
    return path


def test_a_file_beside_its_rules(file: Path, rules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "out.html"
    assert run(file, "--rules", rules, "--json", "--html", page, "--lang", "ko") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["source"], found["samples"], found["raw"]["from"]) == ("load.csv", STEPS * 6, "rule files")
    (alert,) = found["alerts"]
    assert (alert["name"], alert["service"], alert["isSeen"]) == ("LoadHigh", "cart", True)
    assert found["findings"][alert["findings"][0]]["entity"] == "cart"
    assert '<html lang="ko"' in page.read_text()
    assert not found["isSimulated"]


def test_a_person_gets_a_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "--to", "2026-01-05T01:00:00Z") == 0
    told = capsys.readouterr().out
    assert "load.csv" in told
    assert "no rule files were given" in told


def test_what_simulate_wrote_is_called_simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from airis_mon.cli.main import main

    assert main(["simulate", "--seed", "1", "--days", "0.05", "--step", "60", "--out", str(tmp_path / "w")]) == 0
    capsys.readouterr()
    assert run(tmp_path / "w" / "metrics.parquet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["isSimulated"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name one past"),
        (("x.csv", "--prometheus", "http://h"), "name one past"),
        (("--clickhouse", "http://h"), "--query"),
        (("x.csv", "--days", "3"), "--days"),
        (("--prometheus", "http://h", "--days", "0"), "--days 0"),
        (("--prometheus", "http://h", "--days", "367"), "366"),
        (("--prometheus", "http://h", "--days", "1", "--from", "2026-01-05T00:00:00Z"), "--from"),
        (("--prometheus", "http://h", "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-04T00:00:00Z"), "not before"),
    ],
)
def test_options_that_cannot_be_are_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run(*words)


def test_faulty_rules_are_refused_before_anything_is_read(file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("groups: [{name: a, rules: [{alert: X, expr: 'sum('}]}]")
    with pytest.raises(BadRules, match=r"bad\.yml"):
        run(file, "--rules", tmp_path / "bad.yml")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        run("nowhere.csv")


def test_a_server_that_is_not_there_is_named(free_port: int) -> None:
    with pytest.raises(Transient, match=str(free_port)):
        run("--prometheus", f"http://127.0.0.1:{free_port}", "--days", "1")


@pytest.fixture(scope="module")
def prometheus() -> Iterator[tuple[str, int]]:
    """A Prometheus that holds the same load, and what its own rules said of it; when it began, ms."""
    start = (int(time.time() * 1000) - STEPS * STEP) // STEP * STEP
    names = [{"__name__": "load", **pod} for pod in PODS]
    names.append({"__name__": "ALERTS", "alertname": "Old", "alertstate": "firing", "service": "cart"})
    blocks = [label_block(canonical(n.items())) for n in names]
    value = np.column_stack([values(), np.ones(STEPS)])
    try:
        with servers.prometheus() as it, httpx2.Client(timeout=30) as client:
            for first in range(0, STEPS, 100):
                rows = np.arange(first, min(first + 100, STEPS))
                row, column = np.meshgrid(rows, np.arange(len(blocks)), indexing="ij")
                fires = (column < 6) | ((row >= 604) & (row < 640))
                row, column = row[fires], column[fires].astype(np.int32)
                body = write_request(blocks, column, start + row * STEP, value[row, column])
                headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
                client.post(f"{it.url}/api/v1/write", content=body, headers=headers).raise_for_status()
            yield it.url, start
    except servers.Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.live
def test_a_prometheus_beside_what_its_own_rules_raised(
    prometheus: tuple[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = prometheus
    assert run("--prometheus", url, "--match", "{__name__='load'}", "--days", "1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == STEPS * 6 + 36
    assert found["raw"]["from"] == "ALERTS history"
    (alert,) = found["alerts"]
    assert (alert["name"], alert["service"], alert["isSeen"]) == ("Old", "cart", True)
    assert found["missing"] == []


@pytest.mark.live
def test_a_second_run_fetches_only_what_the_first_had_not(
    prometheus: tuple[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, start = prometheus
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start // 1000))
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start // 1000 + STEPS * 15))
    asked = ("--prometheus", url, "--from", stamp, "--to", until, "--work", tmp_path / "work", "--json")
    assert run(*asked) == 0
    first = json.loads(capsys.readouterr().out)
    kept = sorted((tmp_path / "work" / "fetched").glob("*.arrow"))
    assert kept
    before = [file.stat().st_mtime_ns for file in kept]
    assert run(*asked) == 0
    again = json.loads(capsys.readouterr().out)
    assert [file.stat().st_mtime_ns for file in kept] == before
    for changing in ("seconds", "samplesPerSecond"):
        again[changing] = first[changing]
    assert again == first
