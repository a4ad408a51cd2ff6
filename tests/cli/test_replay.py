"""`airis-mon replay`: a file or a real Prometheus in, what would have been raised out."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import structlog

from airis_mon.cli import replay
from airis_mon.errors import AirisError, BadRules, ConfigError, InputError, Transient
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
        (("x.csv", "--step", "15"), "--step is for --prometheus, not for a FILE: leave it out"),
        (("--clickhouse", "http://h", "--query", "t", "--match", "up"), "--match .* put the condition into --query"),
        (("--stored", "--group-by", "a"), "--group-by is for a FILE or --prometheus or --clickhouse, not for --stored"),
        (("--prometheus", "http://h", "--step", "0"), "--step 0 must be more than 0"),
        (("--prometheus", "http://h", "--concurrency", "0"), "--concurrency: Expected `int` >= 1"),
        (("--prometheus", "ftp://h"), "--prometheus: `url` must be a URL"),
        (("--prometheus", "http://h", "--days", "0"), "--days 0"),
        (("--prometheus", "http://h", "--days", "367"), "366"),
        (("--prometheus", "http://h", "--days", "1", "--from", "2026-01-05T00:00:00Z"), "--from"),
        (("--prometheus", "http://h", "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-04T00:00:00Z"), "not before"),
    ],
)
def test_options_that_cannot_be_are_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run(*words)


def test_selectors_choose_the_series_of_a_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "--match", 'load{service="cart"}', "--to", "2026-01-05T01:00:00Z", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["series"], found["samples"]) == (3, 240 * 3)


def test_standard_output_is_for_the_result_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "--to", "2026-01-05T00:10:00Z", "--json") == 0
    structlog.get_logger("any").warning("something.failed")
    told = capsys.readouterr()
    assert json.loads(told.out)["samples"] == 40 * 6
    assert "something.failed" in told.err


def test_a_page_that_cannot_be_written_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--html .*none/out\.html: cannot be written"):
        run("nowhere.csv", "--html", tmp_path / "none" / "out.html")
    with pytest.raises(ConfigError, match="--html"):
        run("nowhere.csv", "--html", tmp_path)


def test_a_page_is_not_touched_before_there_is_a_result(tmp_path: Path) -> None:
    (tmp_path / "old.html").write_text("old")
    for page in ("old.html", "new.html"):
        with pytest.raises(InputError, match="nowhere"):
            run("nowhere.csv", "--html", tmp_path / page)
    assert (tmp_path / "old.html").read_text() == "old"
    assert not (tmp_path / "new.html").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full, as Linux has it")
def test_the_result_is_told_though_its_page_could_not_be_written(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AirisError, match="/dev/full"):
        run(file, "--to", "2026-01-05T00:10:00Z", "--json", "--html", "/dev/full")
    assert json.loads(capsys.readouterr().out)["samples"] == 40 * 6


def test_a_work_folder_that_cannot_be_used_is_told_before_anything_is_asked(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match=r"--work .*taken/work: .* choose another folder"):
        run("--prometheus", f"http://127.0.0.1:{free_port}", "--work", tmp_path / "taken" / "work")


def test_what_a_killed_replay_left_in_the_work_folder_is_removed(tmp_path: Path) -> None:
    (tmp_path / "work" / "store").mkdir(parents=True)
    (tmp_path / "work" / "store" / "left").write_text("")
    with pytest.raises(ConfigError, match="selector"):
        run("--prometheus", "http://127.0.0.1:9", "--match", "{", "--work", tmp_path / "work")
    assert not (tmp_path / "work" / "store").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_is_ended_while_a_server_keeps_silent_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "airis_mon", "replay", "--prometheus", url, "--days", "1"]
        with subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"TMPDIR": str(tmp_path)}) as process:
            try:
                connection, _ = silent.accept()
                with connection:
                    assert list(tmp_path.glob("airis-replay-*"))
                    process.send_signal(number)
                    assert process.wait(60) == 130
            finally:
                process.kill()
    assert list(tmp_path.iterdir()) == []


def test_faulty_rules_are_refused_before_anything_is_read(file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("groups: [{name: a, rules: [{alert: X, expr: 'sum('}]}]")
    with pytest.raises(BadRules, match=r"bad\.yml"):
        run(file, "--rules", tmp_path / "bad.yml")


def test_rules_that_mean_no_file_are_refused_before_anything_is_read(file: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        run(file, "--rules", "nowhere/*.yml")


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


@pytest.mark.live
def test_the_settings_of_a_server_hold_for_its_replay(
    prometheus: tuple[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = prometheus
    (tmp_path / "airis.toml").write_text(f"""
[[ingest.prometheus]]
url = "{url}/"
match = ["load{{service='cart'}}"]
labels = {{cluster = "eu"}}
""")
    assert run("--prometheus", url, "--days", "1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == STEPS * 3 + 36
    assert [alert["labels"]["cluster"] for alert in found["alerts"]] == ["eu"]


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with a table m of two columns of values."""
    front = Path(__file__).parents[1] / "clickhouse_front.py"
    args = [sys.executable, str(front), str(tmp_path_factory.mktemp("front"))]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{int(process.stdout.readline())}/default"
            with httpx2.Client(timeout=30) as client:
                table = "m (timestamp DateTime64(3), a Float64, b Float64) ENGINE = MergeTree ORDER BY timestamp"
                rows = "fromUnixTimestamp64Milli(1767571200000 + 15000 * number), 1, 2 FROM numbers(300)"
                for sql in (f"CREATE TABLE {table}", f"INSERT INTO m SELECT {rows}"):
                    client.post(url, content=sql).raise_for_status()
            yield url
        finally:
            process.kill()


@pytest.mark.live
def test_a_work_folder_of_another_question_is_refused(
    clickhouse: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    span = ("--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T02:00:00Z", "--work", tmp_path / "work", "--json")
    asked = ("--clickhouse", clickhouse, "--query", "m", "--metric", "load", *span)
    assert run(*asked, "--value-column", "a") == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 300
    with pytest.raises(InputError, match="another replay"):
        run(*asked, "--value-column", "b")
