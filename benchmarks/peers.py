"""The receivers that get the same payload: AIRIS-MON, Prometheus and VictoriaMetrics, each started fresh."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from benchmarks.usage import disk_bytes, pinned, settle
from tools import servers

ONE = {"GOMAXPROCS": "1"}


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
def prometheus(core: int) -> Iterator[Receiver]:
    """Prometheus as a receiver on one core; its out-of-order window is off, as by default."""
    with on_core(core, servers.prometheus(env=ONE)) as it:
        yield Receiver("Prometheus", it, f"{it.url}/api/v1/write", lambda: _prometheus_disk(it))


def _prometheus_disk(it: servers.Server) -> dict[str, float]:
    """The head with its log as it stands, and the same samples as a block (its snapshot)."""
    head = disk_bytes(it.folder / "data")
    post(f"{it.url}/api/v1/admin/tsdb/snapshot")
    return {"settled": head, "compacted": disk_bytes(it.folder / "data" / "snapshots")}


@contextmanager
def victoria(core: int) -> Iterator[Receiver]:
    """VictoriaMetrics on one core, otherwise as it comes."""
    with on_core(core, servers.victoria(env=ONE)) as it:
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


@contextmanager
def on_core(core: int, starting: AbstractContextManager[servers.Server]) -> Iterator[servers.Server]:
    """A server that was started on one core and stays there; this process does not."""
    with pinned(core):
        it = starting.__enter__()
    try:
        yield it
    finally:
        starting.__exit__(None, None, None)
