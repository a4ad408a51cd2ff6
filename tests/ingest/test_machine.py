from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Made
from typing import NamedTuple

import psutil
import pytest

from airis_mon.ingest.machine import Cpu, Heaviest, Processes, Reading, disk, filesystem, network, sources


class Times(NamedTuple):
    user: float
    nice: float
    system: float
    idle: float
    iowait: float
    irq: float
    softirq: float
    steal: float
    guest: float


class System:
    """Answers like psutil, with what the test puts in."""

    def __init__(self) -> None:
        self.cores: list[Times] = []
        self.mounts: list[Made] = []
        self.disks: dict[str, Made] | None = {}
        self.interfaces: dict[str, Made] = {}
        self.processes: list[Made] = []

    def cpu_times(self, percpu: bool) -> list[Times]:
        assert percpu
        return self.cores

    def disk_partitions(self, all: bool) -> list[Made]:  # noqa: A002 - psutil's own name
        return self.mounts

    def disk_usage(self, path: str) -> Made:
        if path.startswith("/secret"):
            raise PermissionError(path)
        return Made(total=100, used=60, free=20)

    def disk_io_counters(self, perdisk: bool) -> dict[str, Made] | None:
        return self.disks

    def net_io_counters(self, pernic: bool) -> dict[str, Made]:
        return self.interfaces

    def process_iter(self, fields: list[str]) -> list[Made]:
        return self.processes


def values(readings) -> dict[str, float]:
    return {r.name + "".join(f" {v}" for _, v in r.labels if v): r.value for r in readings}


def process(pid: int, name: str | None, seconds: float, rss: int) -> Made:
    return Made(pid=pid, info={"name": name, "cpu_times": Made(user=seconds, system=0.0), "memory_info": Made(rss=rss)})


def test_cpu_ratios_are_shares_of_the_time_between_two_readings():
    system = System()
    cpu = Cpu(system)
    system.cores = [Times(0, 0, 0, 0, 0, 0, 0, 0, 0)] * 2
    assert values(cpu()) == {"host_cpus": 2.0}
    system.cores = [Times(4, 1, 2, 1, 0, 1, 1, 0, 3), Times(0, 0, 0, 6, 2, 0, 0, 2, 0)]
    got = values(cpu())
    assert got["host_cpu_ratio user"] == pytest.approx(5 / 20)
    assert got["host_cpu_ratio system"] == pytest.approx(4 / 20)
    assert got["host_cpu_ratio iowait"] == pytest.approx(2 / 20)
    assert got["host_cpu_ratio steal"] == pytest.approx(2 / 20)
    assert got["host_cpu_busy_ratio"] == pytest.approx(11 / 20)
    assert got["host_cpu_core_busy_max_ratio"] == pytest.approx(0.9)


def test_cpu_is_silent_when_cores_were_added_or_no_time_passed():
    system = System()
    cpu = Cpu(system)
    system.cores = [Times(1, 0, 0, 0, 0, 0, 0, 0, 0)]
    list(cpu())
    assert values(cpu()) == {"host_cpus": 1.0}
    system.cores = system.cores * 2
    assert values(cpu()) == {"host_cpus": 2.0}


def test_the_root_is_read_even_where_no_physical_device_holds_it():
    assert values(filesystem(System()))["host_filesystem_used_ratio rootfs /"] == 0.75


def test_bind_mounts_images_and_unreadable_mounts_are_left_out():
    system = System()
    system.mounts = [
        Made(device="/dev/a", mountpoint="/etc/hosts", fstype="ext4"),
        Made(device="/dev/a", mountpoint="/", fstype="ext4"),
        Made(device="/dev/loop1", mountpoint="/snap/x", fstype="squashfs"),
        Made(device="/dev/b", mountpoint="/secret", fstype="xfs"),
    ]
    mounts = {dict(r.labels)["mountpoint"] for r in filesystem(system)}
    assert mounts == {"/"}


def test_partitions_and_memory_devices_are_no_disks():
    system = System()
    counter = Made(read_bytes=1, write_bytes=2, read_count=3, write_count=4, read_time=5000, write_time=6000)
    names = ["sda", "sda1", "nvme0n1", "nvme0n1p2", "loop0", "zram0", "dm-0", "mmcblk0", "mmcblk0p1", "vdb"]
    system.disks = dict.fromkeys(names, counter)
    readings = list(disk(system))
    assert {dict(r.labels)["device"] for r in readings} == {"sda", "nvme0n1", "dm-0", "mmcblk0", "vdb"}
    assert values(readings)["host_disk_read_time_seconds_total sda"] == 5.0
    assert "host_disk_io_time_seconds_total sda" not in values(readings)


def test_a_machine_without_disks_has_no_disk_series():
    system = System()
    system.disks = None
    assert list(disk(system)) == []


def test_interfaces_are_bounded_and_loopback_is_left_out():
    system = System()
    counter = Made(bytes_recv=1, bytes_sent=2, packets_recv=3, packets_sent=4, errin=0, errout=0, dropin=0, dropout=0)
    system.interfaces = dict.fromkeys(["lo", "veth12ab", *(f"eth{i}" for i in range(50))], counter)
    assert len({dict(r.labels)["device"] for r in network(system)}) == 32


def test_linux_files_are_read_as_the_kernel_writes_them(tmp_path: Path):
    (tmp_path / "net").mkdir()
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "pressure").mkdir()
    (tmp_path / "stat").write_text("cpu 1 2\nctxt 77\nprocesses 9\nprocs_running 2\nprocs_blocked 1\n")
    (tmp_path / "net/snmp").write_text("Tcp: CurrEstab OutSegs RetransSegs\nTcp: 5 100 3\nUdp: A\nUdp: 1\n")
    (tmp_path / "sys/fs/file-nr").write_text("702\t0\t2466177\n")
    for name in ("cpu", "memory", "io"):
        lines = "some avg10=0.00 total=2500000\nfull avg10=0.00 total=1000000\n"
        (tmp_path / "pressure" / name).write_text(lines)
    read = sources(System(), tmp_path)
    got = values([r for name in ("kernel", "tcp", "filefd", "pressure") for r in read[name]()])
    assert got["host_context_switches_total"] == 77
    assert got["host_processes_running"] == 2
    assert (got["host_tcp_connections"], got["host_tcp_retransmitted_segments_total"]) == (5, 3)
    assert (got["host_filefd_allocated"], got["host_filefd_maximum"]) == (702, 2466177)
    assert got["host_pressure_waiting_seconds_total cpu"] == 2.5
    assert got["host_pressure_stalled_seconds_total io"] == 1.0
    assert "host_pressure_stalled_seconds_total cpu" not in got


def test_processes_of_one_name_are_one_series_and_unreadable_ones_are_left_out():
    system = System()
    walk = Processes(system, top=3)
    system.processes = [process(1, "web", 5.0, 10), process(2, "web", 6.0, 20), process(3, None, 1.0, 1)]
    first = values(walk())
    assert first == {"host_processes": 2.0, "host_process_memory_bytes web": 30.0}
    system.processes = [process(1, "web", 7.0, 10), process(2, "web", 0.5, 20), process(4, "kworker/0:1", 0.1, 0)]
    second = list(walk())
    assert {dict(r.labels).get("process") for r in second if r.name == "host_process_cpu_ratio"} == {"web", "kworker"}
    assert all(r.value >= 0 for r in second)


def test_the_heaviest_names_stay_until_another_needs_twice_as_much():
    heaviest = Heaviest(2)
    assert heaviest.of({"a": 10.0, "b": 9.0, "c": 8.0}) == [("a", 10.0), ("b", 9.0)]
    assert heaviest.of({"a": 10.0, "b": 9.0, "c": 12.0}) == [("a", 10.0), ("b", 9.0)]
    for _ in range(20):
        last = heaviest.of({"a": 10.0, "b": 9.0, "c": 30.0})
    assert last == [("a", 10.0), ("c", 30.0)]


def test_a_name_that_ended_makes_room_and_idle_names_are_not_among_the_heaviest():
    heaviest = Heaviest(2)
    heaviest.of({"a": 1.0, "b": 1.0})
    assert heaviest.of({"b": 1.0, "c": 0.5, "d": 0.0}) == [("b", 1.0), ("c", 0.5)]
    assert Heaviest(0).of({"a": 1.0}) == []


def test_this_machine_answers_memory_and_load():
    read = sources(psutil)
    names = {r.name for name in ("memory", "load", "boot") for r in read[name]()}
    assert {"host_memory_used_ratio", "host_load1", "host_boot_time_seconds"} <= names
    assert all(isinstance(r, Reading) for r in read["memory"]())
