"""What a process and its children have used, from /proc: CPU seconds, resident memory, bytes on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SETTLED_CPU = 0.05
"""A server has settled when it used less than this share of a core over `SETTLED_S`."""
SETTLED_S = 4.0


def tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    children = [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]
    return [pid, *(p for c in children for p in tree(c))]


def cpu_s(pid: int) -> float:
    """User and system seconds of all threads of the process and its children, the ended ones included."""
    total = 0
    for p in tree(pid):
        fields = Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(x) for x in fields[11:15])
    return total / TICKS


def threads_s(pid: int) -> dict[str, float]:
    """CPU seconds of the living threads by their name, numbers at its end left out; most first."""
    used: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        fields = rest.split()
        key = name.rstrip("0123456789-_/: ")
        used[key] = used.get(key, 0) + int(fields[11]) + int(fields[12])
    return {k: v / TICKS for k, v in sorted(used.items(), key=lambda x: -x[1]) if v}


def _status_mib(pid: int, name: str) -> float:
    lines = (line for p in tree(pid) for line in Path(f"/proc/{p}/status").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def rss_mib(pid: int) -> float:
    """Resident memory now."""
    return _status_mib(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most resident memory there ever was."""
    return _status_mib(pid, "VmHWM")


def disk_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def settle(pid: int, limit_s: float = 60.0) -> float:
    """Waits until the process is at rest, at most `limit_s`; answers the seconds waited."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        before = cpu_s(pid)
        time.sleep(SETTLED_S)
        if cpu_s(pid) - before < SETTLED_CPU * SETTLED_S:
            break
    return time.monotonic() - began


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Whatever is started inside the block stays on one core; no effect where there is only one, or no such call."""
    if not hasattr(os, "sched_setaffinity") or len(mine := os.sched_getaffinity(0)) < 2:
        yield
        return
    os.sched_setaffinity(0, {sorted(mine)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def spin_ms() -> float:
    """CPU time of a fixed loop: how fast this machine is at the moment (other guests move it)."""
    began = time.process_time()
    x = 0
    for i in range(300_000):
        x += i * i
    return (time.process_time() - began) * 1000
