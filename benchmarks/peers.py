"""The receivers that get the same payload: AIRIS-MON, Prometheus and VictoriaMetrics, each started fresh."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.usage import disk_bytes, settle
from tools import servers


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver of remote writes.

    write: the URL that takes them. disk: its bytes on disk once it has settled, by name.
    """

    name: str
    server: servers.Server
    write: str
    disk: Callable[[], dict[str, float]]


@contextmanager
def prometheus(cores: int) -> Iterator[Receiver]:
    """Prometheus as a receiver; the head's out-of-order window is off, as by default."""
    with servers.prometheus(env={"GOMAXPROCS": str(cores)}) as it:
        yield Receiver("Prometheus", it, f"{it.url}/api/v1/write", lambda: _prometheus_disk(it))


def _prometheus_disk(it: servers.Server) -> dict[str, float]:
    """The head with its log as it stands, and the same samples as a block (its snapshot)."""
    head = disk_bytes(it.folder / "data")
    post(f"{it.url}/api/v1/admin/tsdb/snapshot")
    return {"settled": head, "compacted": disk_bytes(it.folder / "data" / "snapshots")}


@contextmanager
def victoria(cores: int) -> Iterator[Receiver]:
    """VictoriaMetrics as it comes."""
    with servers.victoria(env={"GOMAXPROCS": str(cores)}) as it:
        yield Receiver("VictoriaMetrics", it, f"{it.url}/api/v1/write", lambda: _victoria_disk(it))


def _victoria_disk(it: servers.Server) -> dict[str, float]:
    """Data and index as they stand, and after a forced merge."""
    post(f"{it.url}/internal/force_flush")
    settled = disk_bytes(it.folder / "data")
    post(f"{it.url}/internal/force_merge")
    settle(it.pid)
    return {"settled": settled, "compacted": disk_bytes(it.folder / "data")}


def post(url: str) -> None:
    """POSTs nothing and waits for the answer."""
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=120) as r:
        r.read()


def version(program: str) -> str:
    """What the program says of its version, in one line."""
    flag = "-version" if program == "victoria-metrics" else "--version"
    said = subprocess.run([servers.program(program), flag], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).splitlines()[0]


def kept(folder: Path) -> dict[str, float]:
    """Bytes below a data folder, by what is kept there."""
    return {p.name: float(disk_bytes(p)) if p.is_dir() else float(p.stat().st_size) for p in folder.iterdir()}
