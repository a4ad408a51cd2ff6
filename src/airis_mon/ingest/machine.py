"""What this machine says of itself, read from the system once per call; `collectors/host.py` gives it a rhythm.

Ratios are 0..1, everything else is in base units; names that end in `_total` only grow until the next start.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import psutil

MAX_ITEMS = 32
"""So many mount points, disks and network interfaces are read, in the system's order."""
_PARTITION = re.compile(r"(?:[shv]d|xvd)[a-z]+\d+|(?:nvme\d+n|mmcblk)\d+p\d+|(?:loop|ram|zram|fd|sr)\d+")
_NO_INTERFACE = re.compile(r"lo\d*|veth.*|ifb\d+|dummy\d+|cali.*|tap.*")
_READ_ONLY_IMAGES = frozenset({"squashfs", "iso9660", "udf", "erofs"})  # always full, by design


class Reading(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


Source = Callable[[], Iterator[Reading]]
System = ModuleType | Any
"""psutil, or something that answers like it. A function it lacks is a source this platform does not have."""


def sources(system: System = psutil, proc: Path = Path("/proc"), top: int = 10) -> dict[str, Source]:
    """Every source by name. Some keep the last reading, so a set of sources belongs to one collector.

    A source raises OSError, AttributeError, NotImplementedError or psutil.Error where the platform lacks it.
    """
    return {
        "cpu": Cpu(system),
        "memory": lambda: memory(system),
        "filesystem": lambda: filesystem(system),
        "disk": lambda: disk(system),
        "network": lambda: network(system),
        "load": lambda: load(system),
        "boot": lambda: boot(system),
        "kernel": lambda: kernel_counts(proc),
        "tcp": lambda: tcp(proc),
        "filefd": lambda: file_descriptors(proc),
        "pressure": lambda: pressure(proc),
        "processes": Processes(system, top),
    }


class Cpu:
    """Shares of all cores' time since the last reading; the first call answers the number of cores alone."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._last: list[dict[str, float]] = []

    def __call__(self) -> Iterator[Reading]:
        """Shares since the last call."""
        cores = [_by_mode(times) for times in self._system.cpu_times(percpu=True)]
        last, self._last = self._last, cores
        yield Reading("host_cpus", float(len(cores)))
        if len(last) != len(cores):
            return
        spent = [{m: max(0.0, c[m] - b[m]) for m in c} for c, b in zip(cores, last, strict=True)]
        shares = _shares({m: sum(core[m] for core in spent) for m in spent[0]})
        if not shares:
            return
        for mode in sorted(shares.keys() - {"idle"}):
            yield Reading("host_cpu_ratio", shares[mode], (("mode", mode),))
        yield Reading("host_cpu_busy_ratio", _busy(shares))
        yield Reading("host_cpu_core_busy_max_ratio", max(_busy(_shares(core)) for core in spent))


def _by_mode(times: Any) -> dict[str, float]:
    """Seconds by mode; Linux counts guests' time within user, and interrupts are the system's work."""
    every = times._asdict()
    modes = {
        "user": every["user"] + every.get("nice", 0.0),
        "system": every["system"] + every.get("irq", 0.0) + every.get("softirq", 0.0),
        "idle": every["idle"],
    }
    return modes | {m: every[m] for m in ("iowait", "steal") if m in every}


def _shares(spent: dict[str, float]) -> dict[str, float]:
    total = sum(spent.values())
    return {m: s / total for m, s in spent.items()} if total > 0 else {}


def _busy(shares: dict[str, float]) -> float:
    return max(0.0, 1.0 - shares["idle"] - shares.get("iowait", 0.0)) if shares else 0.0


def memory(system: System) -> Iterator[Reading]:
    """Memory and swap."""
    ram, swap = system.virtual_memory(), system.swap_memory()
    yield Reading("host_memory_total_bytes", ram.total)
    yield Reading("host_memory_available_bytes", ram.available)
    yield Reading("host_memory_used_ratio", 1.0 - ram.available / ram.total)
    yield Reading("host_swap_total_bytes", swap.total)
    yield Reading("host_swap_used_bytes", swap.used)
    yield Reading("host_swap_used_ratio", swap.used / swap.total if swap.total else 0.0)
    yield Reading("host_swap_in_bytes_total", swap.sin)
    yield Reading("host_swap_out_bytes_total", swap.sout)


def filesystem(system: System) -> Iterator[Reading]:
    """Space and inodes of each mounted device, at its shortest mount point.

    A container's root lies on no physical device, so `/` is always read; bind mounts of one device count once.
    """
    mounts = {"/": ("rootfs", "")}
    for p in sorted(system.disk_partitions(all=False), key=lambda p: len(p.mountpoint)):
        known = {device for device, _ in mounts.values()}
        if p.fstype not in _READ_ONLY_IMAGES and p.device not in known:
            mounts[p.mountpoint] = (p.device, p.fstype)
    for mountpoint, (device, fstype) in list(mounts.items())[:MAX_ITEMS]:
        try:
            space, inodes = system.disk_usage(mountpoint), os.statvfs(mountpoint)
        except OSError:  # not ours to read, or unmounted since
            continue
        labels = (("device", device), ("fstype", fstype), ("mountpoint", mountpoint))
        yield Reading("host_filesystem_size_bytes", space.total, labels)
        yield Reading("host_filesystem_avail_bytes", space.free, labels)
        yield Reading("host_filesystem_used_ratio", space.used / max(1, space.used + space.free), labels)
        if inodes.f_files:
            yield Reading("host_filesystem_inodes_used_ratio", 1.0 - inodes.f_favail / inodes.f_files, labels)


def disk(system: System) -> Iterator[Reading]:
    """What each whole device has read and written; partitions and memory devices are left out."""
    counters = system.disk_io_counters(perdisk=True) or {}
    whole = [(d, c) for d, c in counters.items() if not _PARTITION.fullmatch(d)]
    for device, c in whole[:MAX_ITEMS]:
        labels = (("device", device),)
        yield Reading("host_disk_read_bytes_total", c.read_bytes, labels)
        yield Reading("host_disk_written_bytes_total", c.write_bytes, labels)
        yield Reading("host_disk_reads_total", c.read_count, labels)
        yield Reading("host_disk_writes_total", c.write_count, labels)
        yield Reading("host_disk_read_time_seconds_total", c.read_time / 1000, labels)
        yield Reading("host_disk_write_time_seconds_total", c.write_time / 1000, labels)
        if hasattr(c, "busy_time"):
            yield Reading("host_disk_io_time_seconds_total", c.busy_time / 1000, labels)


def network(system: System) -> Iterator[Reading]:
    """What each interface has received and sent; loopback and one end of container pairs are left out."""
    counters = system.net_io_counters(pernic=True)
    real = [(d, c) for d, c in counters.items() if not _NO_INTERFACE.fullmatch(d)]
    for device, c in real[:MAX_ITEMS]:
        labels = (("device", device),)
        yield Reading("host_network_receive_bytes_total", c.bytes_recv, labels)
        yield Reading("host_network_transmit_bytes_total", c.bytes_sent, labels)
        yield Reading("host_network_receive_packets_total", c.packets_recv, labels)
        yield Reading("host_network_transmit_packets_total", c.packets_sent, labels)
        yield Reading("host_network_receive_errs_total", c.errin, labels)
        yield Reading("host_network_transmit_errs_total", c.errout, labels)
        yield Reading("host_network_receive_drop_total", c.dropin, labels)
        yield Reading("host_network_transmit_drop_total", c.dropout, labels)


def load(system: System) -> Iterator[Reading]:
    """Load averages over 1, 5 and 15 minutes."""
    for minutes, value in zip((1, 5, 15), system.getloadavg(), strict=True):
        yield Reading(f"host_load{minutes}", value)


def boot(system: System) -> Iterator[Reading]:
    """When the system started; uptime would be a ramp, which says less and alarms more."""
    yield Reading("host_boot_time_seconds", float(round(system.boot_time())))


def kernel_counts(proc: Path) -> Iterator[Reading]:
    """Runnable and blocked tasks, forks and context switches since boot (Linux)."""
    names = {
        "procs_running": "host_processes_running",
        "procs_blocked": "host_processes_blocked",
        "processes": "host_forks_total",
        "ctxt": "host_context_switches_total",
    }
    for line in (proc / "stat").read_text().splitlines():
        key, _, value = line.partition(" ")
        if key in names:
            yield Reading(names[key], float(value))


def tcp(proc: Path) -> Iterator[Reading]:
    """Open TCP connections, and segments sent and sent again (Linux)."""
    rows = [r.split()[1:] for r in (proc / "net/snmp").read_text().splitlines() if r.startswith("Tcp:")]
    found = dict(zip(rows[0], rows[1], strict=True)) if len(rows) == 2 else {}
    names = {
        "CurrEstab": "host_tcp_connections",
        "OutSegs": "host_tcp_out_segments_total",
        "RetransSegs": "host_tcp_retransmitted_segments_total",
    }
    for key in names.keys() & found.keys():
        yield Reading(names[key], float(found[key]))


def file_descriptors(proc: Path) -> Iterator[Reading]:
    """Open file descriptors of the whole system and their limit (Linux)."""
    allocated, _, maximum = (proc / "sys/fs/file-nr").read_text().split()
    yield Reading("host_filefd_allocated", float(allocated))
    yield Reading("host_filefd_maximum", float(maximum))


def pressure(proc: Path) -> Iterator[Reading]:
    """Time in which some task waited for a resource, or all did (Linux 4.20 and later)."""
    names = {"some": "host_pressure_waiting_seconds_total", "full": "host_pressure_stalled_seconds_total"}
    for resource in ("cpu", "memory", "io"):
        for line in (proc / "pressure" / resource).read_text().splitlines():
            kind, *fields = line.split()
            total = dict(f.split("=", 1) for f in fields)["total"]
            if kind in names and (resource, kind) != ("cpu", "full"):  # the whole machine never lacks the CPU
                yield Reading(names[kind], float(total) / 1e6, (("resource", resource),))


class Processes:
    """How many processes there are, and the heaviest program names by CPU and by memory.

    Processes of one name are one series. A name stays among the heaviest until another one needs clearly more, so
    that the set of series does not flicker; use is smoothed for that choice only, never in what is answered.
    """

    def __init__(self, system: System, top: int = 10) -> None:
        self._system = system
        self._cpu = Heaviest(top)
        self._memory = Heaviest(top)
        self._seconds: dict[int, float] = {}  # by pid
        self._at = 0.0

    def __call__(self) -> Iterator[Reading]:
        """The heaviest names now; CPU from the second call on."""
        now = time.monotonic()
        elapsed, self._at = now - self._at, now
        cpu: dict[str, float] = {}
        rss: dict[str, float] = {}
        seconds: dict[int, float] = {}
        for process in self._system.process_iter(["name", "cpu_times", "memory_info"]):
            name, times, held = (process.info[k] for k in ("name", "cpu_times", "memory_info"))
            if not name or times is None or held is None:  # another user's process, on some platforms
                continue
            program = name.split("/")[0]  # kworker/0:1 and its like change their names all the time
            seconds[process.pid] = used = times.user + times.system
            before = self._seconds.get(process.pid, 0.0)
            cpu[program] = cpu.get(program, 0.0) + (used - before if used >= before else used)
            rss[program] = rss.get(program, 0.0) + held.rss
        last, self._seconds = self._seconds, seconds
        yield Reading("host_processes", float(len(seconds)))
        for name, size in self._memory.of(rss):
            yield Reading("host_process_memory_bytes", size, (("process", name),))
        if last:  # the first reading holds all CPU time since each process began
            for name, used in self._cpu.of(cpu):
                yield Reading("host_process_cpu_ratio", used / elapsed, (("process", name),))


class Heaviest:
    """At most `top` names that use the most; a newcomer must use twice as much as the least of them to replace it."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._use: dict[str, float] = {}
        self._members: set[str] = set()

    def of(self, use: dict[str, float]) -> list[tuple[str, float]]:
        """The members among `use` and what each uses now, by name."""
        self._use = {n: 0.7 * self._use.get(n, u) + 0.3 * u for n, u in use.items()}
        self._members &= use.keys()
        for name in sorted(use.keys() - self._members, key=lambda n: -self._use[n]):
            if not self._admit(name):
                break
        return sorted((n, use[n]) for n in self._members)

    def _admit(self, name: str) -> bool:
        if self._use[name] <= 0.0:
            return False
        if len(self._members) >= self._top:
            least = min(self._members, key=lambda n: self._use[n], default=None)
            if least is None or self._use[name] <= 2 * self._use[least]:
                return False
            self._members.remove(least)
        self._members.add(name)
        return True
