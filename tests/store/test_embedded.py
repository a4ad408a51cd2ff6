"""What only the embedded engine has: one folder, one process, sudden death, a cap on memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from airis_mon.errors import ConfigError, StoreBusy, StoreError
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.store.backends.clickhouse import ClickHouse
from tests.store.conftest import Open
from tests.store.crash_writer import ROWS, START, catalogue, numbered

pytestmark = [pytest.mark.live, pytest.mark.slow]
WRITER = Path(__file__).parent / "crash_writer.py"
ROUNDS = int(os.environ.get("AIRIS_CRASH_ROUNDS", "3"))


@contextmanager
def writer(folder: Path, first: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that writes into the folder; it has acknowledged one batch already, and is killed at the end."""
    command = [sys.executable, str(WRITER), str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        try:
            yield process
        finally:
            process.kill()


def acknowledged(process: subprocess.Popen[str], seconds: float) -> set[int]:
    """The numbers printed until the process is killed after so many seconds; a last half line counts for nothing."""
    assert process.stdout is not None
    until = time.monotonic() + seconds
    numbers = set()
    while time.monotonic() < until:
        numbers.add(int(process.stdout.readline()))
    process.kill()
    return numbers | {int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")}


def test_nothing_acknowledged_is_lost_by_kill_9_under_load(tmp_path: Path) -> None:
    acked: set[int] = set()
    for round_number in range(ROUNDS):
        with writer(tmp_path, 100_000 * round_number) as process:
            acked |= acknowledged(process, 0.3 + 0.4 * (round_number % 4))
        store = ClickHouse(url=str(tmp_path), retention_days=10_000)
        store.open()
        known = catalogue()
        fps = [int(known.fp[s]) for s in known]
        found = store.samples(fps, START, START + 10**11)
        batches, counts = np.unique(np.floor(found.value).astype(int), return_counts=True)
        assert {r.fp for r in store.series()} == set(fps)
        store.close()
        whole = dict(zip(batches.tolist(), counts.tolist(), strict=True))
        assert {n: whole.get(n, 0) for n in acked} == dict.fromkeys(acked, ROWS)
        assert set(counts.tolist()) == {ROWS}, "what was not acknowledged is there whole or not at all"
    assert len(acked) > ROUNDS


def test_a_second_process_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        with pytest.raises(StoreError) as caught:
            ClickHouse(url=str(tmp_path)).open()
        message = (
            f"another airis-mon (process {process.pid}) is using {tmp_path}; stop it or set data_dir to another folder"
        )
        assert str(caught.value) == message
    ours = ClickHouse(url=str(tmp_path))
    ours.open()
    ours.close()


def test_a_second_folder_in_one_process_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    first, second = ClickHouse(url=str(tmp_path / "a")), ClickHouse(url=f"chdb://{tmp_path}/b")
    first.open()
    with pytest.raises(StoreError, match="needs a process of its own"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to .*file/data.*set data_dir"):
        ClickHouse(url=str(tmp_path / "file" / "data")).open()


def test_fsync_is_set_on_every_table_and_taken_back(open_store: Open) -> None:
    for durability, expected in (("fsync", "1"), ("process", "0")):
        store = open_store(durability=durability)
        with store._clients.client() as client:
            for table in ("samples", "series", "anomalies", "rollup_5m", "rollup_1h"):
                made = str(client.command(f"SHOW CREATE TABLE {table}"))
                assert ("fsync_after_insert = 1" in made) == (expected == "1")
        known = catalogue()
        store.write(known, numbered(int(expected)), durability)
    assert store.size()[1] == 2 * ROWS


def test_one_query_beyond_its_memory_fails_and_the_store_goes_on(tmp_path: Path) -> None:
    store = ClickHouse(url=str(tmp_path), memory_bytes=200_000_000)
    store.open()
    greedy = "SELECT groupArray(number), groupArray(number + 1) FROM numbers(100000000)"
    with pytest.raises(StoreBusy, match=r"no memory left for this \(store.memory_bytes\)"):
        store._execute(greedy, {})
    store.write(catalogue(), numbered(1), "t")
    assert store.size()[1] >= 0
    store.close()


def test_a_large_group_by_goes_to_disk_instead(open_store: Open) -> None:
    store = open_store(memory_bytes=300_000_000)
    (count,) = store._numbers("SELECT count() FROM (SELECT number FROM numbers(5000000) GROUP BY number)", {})
    assert count.tolist() == [5_000_000]


def test_memory_of_the_rest_of_the_process_does_not_stop_the_store(open_store: Open) -> None:
    store = open_store(memory_bytes=300_000_000)
    ballast = np.ones(60_000_000)  # 480 MB, resident
    store.write(catalogue(), numbered(1), "t")
    assert store.size()[1] == ROWS
    assert ballast[-1] == 1


def test_a_thousand_days_in_one_batch_are_taken(open_store: Open) -> None:
    store, known = open_store(), Catalogue()
    known.intern(canonical([("__name__", "a")]))
    t = START + np.arange(900) * 86_400_000
    store.write(known, Batch(np.zeros(900, np.int32), t, np.ones(900)), "t")
    assert store.size()[1] == 900


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "ftp://host"}, "use chdb:///path or http"),
        ({"database": "a`b"}, "letters, digits and underscores"),
        ({"cluster": "x'"}, "letters, digits and underscores"),
        ({"cluster": "x"}, "needs a ClickHouse server"),
        ({"durability": "power"}, "must be 'process' or 'fsync'"),
        ({"retention_days": 0}, "between 1 and 10000"),
        ({"history_days": 36_500}, "between 1 and 10000"),
    ],
)
def test_impossible_settings_are_refused_in_words(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ClickHouse(**{"url": "/nowhere"} | settings)  # type: ignore[arg-type]
