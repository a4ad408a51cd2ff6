"""Replays: days of a simulated shop from a file, and from a real Prometheus through its query API.

The reader alone runs beside the replay of the same file: what the file's reader takes must not be the limit. `airis-mon
replay` runs as a user runs it, in a process of its own; its imports and the loading of kernels are in the time.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from airis_mon.ingest.histories.file import File
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.encode import label_block, write_request
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World
from tools import servers

SEED, STEP_S = 7, 15
DAYS, SERVED_DAYS = 14.0, 2.0
RULES = """
groups:
- name: shop
  interval: 60s
  rules:
  - record: service:errors:ratio
    expr: >-
      sum by (service) (rate(http_requests_total{code!="200"}[5m])) / sum by (service) (rate(http_requests_total[5m]))
  - alert: HighErrors
    expr: service:errors:ratio > 0.05
    for: 5m
  - alert: Slow
    expr: >-
      sum by (service) (rate(http_request_duration_seconds_sum[5m]))
      / sum by (service) (rate(http_request_duration_seconds_count[5m])) > 0.5
    for: 5m
"""


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Samples a second of wall and of CPU time, by source."""
    days, served = (1.0, 0.25) if quick else (DAYS, SERVED_DAYS)
    with servers.folder() as folder:
        (folder / "rules.yml").write_text(RULES)
        world = folder / "world"
        _command("simulate", "--seed", str(SEED), "--days", f"{days:g}", "--step", str(STEP_S), "--out", str(world))
        file, rules = world / "metrics.parquet", ("--rules", str(folder / "rules.yml"))
        _command("replay", str(file), "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T01:00:00Z")  # kernels
        return {
            "reader": _reader(file),
            "file": _replayed(str(file)),
            "file_with_rules": _replayed(str(file), *rules),
            "prometheus": _served(served, rules),
            "workload": f"shop of seed {SEED}, every {STEP_S} s: {days:g} days in a file, {served:g} in a Prometheus",
        }


def _command(*args: str) -> str:
    command = [sys.executable, "-m", "airis_mon", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TZ": "UTC"})
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or done.stdout)
    return done.stdout


def _reader(file: Path) -> dict[str, float]:
    """Everything but the engine: read, sorted, in slices."""

    async def read() -> int:
        return sum([len(part.batch) async for part in File(Catalogue(), path=file).slices()])

    began, used = time.perf_counter(), time.process_time()
    samples = asyncio.run(read())
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    return {"samples": samples, "samples_per_s": samples / wall, "samples_per_cpu_s": samples / cpu}


def _replayed(*args: str) -> dict[str, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    found = json.loads(_command("replay", *args, "--json"))
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "samples": found["samples"],
        "series": found["series"],
        "wall_s": wall,
        "samples_per_s": found["samples"] / wall,
        "samples_per_cpu_s": found["samples"] / cpu,
        "rss_peak_mib": after.ru_maxrss / 1024,  # of the largest child so far
        "anomalies": found["ours"]["anomalies"],
        "findings": found["ours"]["findings"],
        "alerts": found["raw"]["alerts"],
    }


def _served(days: float, rules: tuple[str, ...]) -> dict[str, float]:
    with servers.prometheus(flags=["--storage.tsdb.retention.time=100y"]) as it:
        start, end = fill(it.url, days)
        span = ("--from", _rfc(start), "--to", _rfc(end))
        polite = ("--requests-per-s", "1000")
        return _replayed("--prometheus", it.url, *span, *polite, *rules)


def fill(url: str, days: float) -> tuple[int, int]:
    """Writes so many days of the world into a Prometheus, in order of time; answers their [start, end) ms."""
    world = World(Settings(days=days, step_s=STEP_S, dirt=0), SEED)
    with httpx2.Client(timeout=60) as client:
        for block in world.blocks():
            blocks = [label_block(labels) for labels in block.labels]
            for rows in np.array_split(np.arange(len(block.t)), max(1, len(block.t) // 10)):
                row, column = np.nonzero(block.present[rows])
                at = rows[row]
                body = write_request(blocks, column.astype(np.int32), block.t[at], block.value[at, column])
                headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
                client.post(f"{url}/api/v1/write", content=body, headers=headers).raise_for_status()
    return world.settings.start_ms, world.settings.end_ms


def _rfc(t: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t / 1000))


if __name__ == "__main__":
    print(json.dumps(measure(quick="--quick" in sys.argv), indent=1))
