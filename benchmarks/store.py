"""The samples' store alone: rows per CPU-second with the merges that follow, and bytes per sample when they are done.

The payload is that of every load benchmark (payload.py), as batches that are made before the clock starts: no wire, no
detection. VictoriaMetrics gets the same samples for its bytes. Run: python -m benchmarks.store [--samples N]
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.base import SeriesRow
from benchmarks.payload import PER_TARGET, World, world

SERIES = 10_000


def batches(w: World, known: Catalogue, rows: int) -> list[Batch]:
    """The samples in order of time, `rows` of them a commit."""
    sids = np.array([known.intern(labels) for labels in w.labels], np.int32)
    per = max(1, rows // w.series)
    targets = np.arange(w.series) // PER_TARGET
    made = []
    for first in range(0, w.steps, per):
        t, value = w.t[first : first + per, targets], w.value[first : first + per]
        made.append(Batch(np.tile(sids, len(t)), t.ravel(), value.ravel()))
    return made


def settle(store: ClickHouse, quiet_s: float = 1.5, longest_s: float = 120) -> None:
    """Waits until no merge has run for a while."""
    until, last = time.monotonic() + longest_s, time.monotonic()
    while time.monotonic() < until and time.monotonic() - last < quiet_s:
        if merges(store):
            last = time.monotonic()
        time.sleep(0.1)


def merges(store: ClickHouse) -> int:
    (count,) = store._numbers("SELECT toUInt64(count()) FROM system.merges", {})  # noqa: SLF001
    return int(count[0])


def run(samples: int, rows: int, folder: Path) -> dict[str, Any]:
    """One load of `rows` rows a commit into an empty store."""
    known = Catalogue()
    w = world(SERIES, samples // SERIES, int(time.time() * 1000))
    commits = batches(w, known, rows)
    store = ClickHouse(url=str(folder), memory_bytes=1_500_000_000)
    store.open()
    store.write_series([SeriesRow(int(known.fp[s]), known.labels(s), 0) for s in known])
    store.write(known, commits[0], "warm")  # compiles the kernels
    sent = sum(map(len, commits[1:]))
    cpu, wall = time.process_time(), time.perf_counter()
    took = []
    for n, batch in enumerate(commits[1:]):
        began = time.perf_counter()
        store.write(known, batch, str(n))
        took.append(time.perf_counter() - began)
    load_cpu, load_wall = time.process_time() - cpu, time.perf_counter() - wall
    settle(store)
    all_cpu = time.process_time() - cpu
    disk, stored = store.size()
    parts, columns = detail(store)
    store._execute("OPTIMIZE TABLE samples FINAL", {})  # noqa: SLF001
    final, _ = store.size()
    store.close()
    return {
        "rows_per_commit": rows,
        "samples": stored,
        "rows_per_cpu_s_load": round(sent / load_cpu),
        "rows_per_cpu_s": round(sent / all_cpu),
        "rows_per_s": round(sent / load_wall),
        "commit_ms_p50": round(float(np.median(took)) * 1e3, 1),
        "commit_ms_max": round(max(took) * 1e3, 1),
        "bytes_per_sample": round(disk / stored, 3),
        "bytes_per_sample_one_part": round(final / stored, 3),
        "bytes_per_column": columns,
        "parts": parts,
    }


def detail(store: ClickHouse) -> tuple[int, dict[str, float]]:
    with store._clients.client() as client:  # noqa: SLF001
        parts = client.query(
            "SELECT count(), sum(rows) FROM system.parts WHERE active AND table = 'samples'"
        ).result_rows
        columns = client.query(
            "SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns"
            " WHERE active AND table = 'samples' GROUP BY column ORDER BY 2 DESC"
        ).result_rows
    count, rows = parts[0]
    return int(count), {name: round(size / rows, 4) for name, size in columns}


def isolated(samples: int, rows: int) -> dict[str, Any]:
    """The run in a process and a folder of its own: chDB holds one directory per process."""
    with tempfile.TemporaryDirectory(prefix="airis-bench-") as folder:
        command = [
            sys.executable,
            "-m",
            "benchmarks.store",
            "--samples",
            str(samples),
            "--one",
            str(rows),
            "--folder",
            folder,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(samples: int = 10_000_000, commits: tuple[int, ...] = (40_000, 80_000)) -> dict[str, Any]:
    """Both figures for each size of commit, with the machine that gave them."""
    machine = {"machine": platform.machine(), "python": platform.python_version(), "system": platform.platform()}
    return {"machine": machine, "series": SERIES, "runs": [isolated(samples, rows) for rows in commits]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run(given.samples, given.one, Path(given.folder))))
    else:
        print(json.dumps(measure(given.samples), indent=2))


if __name__ == "__main__":
    main()
