"""What one look at watched limits costs: `python -m benchmarks.limits`, CPU and wall time over an embedded store."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from airis_mon.app.ground import keep_kernels
from airis_mon.app.limitask import STEP_MS
from airis_mon.app.predictions import Predictions
from airis_mon.query.engine import QueryEngine
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.base import SeriesRow

DISKS = (0, 1_000, 10_000)
LOOKS = 5
SIZE = 50e9
ROWS = 2_000_000


def measure(*, quick: bool = False) -> dict[str, Any]:
    """By the number of disks, in ms: the first look over a day of samples every five minutes, the median later one."""
    _look(1)  # compiles
    return {str(disks): _look(disks) for disks in (DISKS[:2] if quick else DISKS)}


def _look(disks: int) -> dict[str, float]:
    now = int(time.time() * 1000) // STEP_MS * STEP_MS
    with tempfile.TemporaryDirectory() as folder:
        store, catalogue = ClickHouse(url=str(Path(folder) / "store")), Catalogue()
        store.open()
        try:
            _fill(store, catalogue, disks, np.arange(now - 86_400_000, now + LOOKS * STEP_MS + 1, STEP_MS))
            clock = [now]
            part = Predictions(
                QueryEngine(store), store, catalogue, lambda *_: None, lambda: clock[0], history_s=86_400
            )
            first = _timed(part.look)
            later = []
            for _ in range(LOOKS):
                clock[0] += STEP_MS
                later.append(_timed(part.look))
        finally:
            store.close()
    cpu, wall = np.median(later, axis=0)
    return {
        "first_cpu_ms": round(first[0], 1),
        "first_wall_ms": round(first[1], 1),
        "cpu_ms": round(float(cpu), 2),
        "wall_ms": round(float(wall), 2),
    }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return (time.process_time() - cpu) * 1000, (time.perf_counter() - wall) * 1000


def _fill(store: ClickHouse, catalogue: Catalogue, disks: int, t: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    """Disks of node_exporter, none of which fills up."""
    metrics = ("node_filesystem_size_bytes", "node_filesystem_avail_bytes")
    sets = [
        canonical([("__name__", m), ("instance", f"web-{i}:9100"), ("mountpoint", "/var"), ("fstype", "ext4")])
        for i in range(disks)
        for m in metrics
    ]
    sid = np.array([catalogue.intern(labels) for labels in sets], np.int32)
    rng = np.random.default_rng(0)
    each = max(1, ROWS // max(1, len(sid)))
    for i in range(0, len(t) if disks else 0, each):
        some = t[i : i + each]
        value = np.full((len(some), disks, 2), SIZE)
        value[..., 1] *= 0.6 - 0.05 * rng.random((len(some), disks))
        batch = Batch(np.tile(sid, len(some)), np.repeat(some, len(sid)), value.ravel())
        store.write(catalogue, batch, f"fill-{i}")
    ends = int(t[-1]), int(t[0])
    store.write_series([SeriesRow(int(catalogue.fp[s]), labels, *ends) for s, labels in zip(sid, sets, strict=True)])


if __name__ == "__main__":
    keep_kernels(Path(__file__).parent.parent / ".kernels")
    json.dump(measure(quick="--quick" in sys.argv), sys.stdout, indent=2)
    sys.stdout.write("\n")
