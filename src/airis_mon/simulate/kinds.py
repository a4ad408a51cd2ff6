"""The kinds of faults: whom each befalls, how it grows, and what it does to the world. One function each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from airis_mon.simulate.dice import DAY, HOUR, MINUTE, Floats, Times
from airis_mon.simulate.faults import Effects, Fault
from airis_mon.simulate.topology import Topology

Effect = Callable[[Effects, Fault, Topology], None]
OOM_CYCLE_MS, OOM_DOWN = 5 * MINUTE, 0.2
COLD = 0.1
"""Of its hits a cache loses so many while a replica of it is empty."""


@dataclass(frozen=True, slots=True)
class Kind:
    """befalls: roles of services, or host, edge, load. lead_h: hours it climbs towards a limit; (0, 0) = sudden."""

    effect: Effect
    befalls: tuple[str, ...]
    scopes: tuple[str, ...] = ("all",)
    ramp_ms: tuple[int, int] = (0, 8 * MINUTE)
    lead_h: tuple[float, float] = (0, 0)
    change: str = ""  # the kind of its guilty change
    last_h: tuple[float, float] = (0, 0)  # hours that a harmless one lasts; (0, 0) = minutes


APPS, STORES = ("entry", "app"), ("db", "cache")
PARTIAL = ("all", "replica", "zone")


def _column(x: Floats) -> Floats:
    return x[:, None]


def _some(x: Floats) -> Floats:
    """An amplitude of any size as a share below 1."""
    return np.asarray(1 - np.exp(-x))


def _a(x: Effects, fault: Fault) -> Floats:
    """(time, 1) strength times amplitude."""
    return _column(fault.strength(x.t) * fault.amplitude)


def cpu_hog(x: Effects, f: Fault, _: Topology) -> None:
    """Something else burns the service's CPU."""
    x.steal[:, f.replicas] += 0.95 * _some(0.7 * _a(x, f))
    x.hog[:, f.replicas] += 0.8 * _a(x, f)


def memory_leak(x: Effects, f: Fault, _: Topology) -> None:
    """Memory climbs to the limit; then the kernel kills the process, again and again."""
    climb, full = f.climb(x.t), f.full(x.t)
    part = np.maximum(x.t - f.full_ms, 0) % OOM_CYCLE_MS / OOM_CYCLE_MS
    level = np.where(full > 0, part**0.5, np.minimum(climb, 1))
    x.memory[:, f.replicas] += _column(level)
    x.gc[:, f.replicas] += _column(0.15 * level**6)
    x.slow[:, f.replicas] += _column(0.5 * f.amplitude * level**6)
    x.down[:, f.replicas] = np.maximum(x.down[:, f.replicas], _column(full * (part < OOM_DOWN)))
    cycle = (x.t - f.full_ms) // OOM_CYCLE_MS
    x.restart[:, f.replicas] += _column(full * (cycle != (x.t - x.step_ms - f.full_ms) // OOM_CYCLE_MS))


def disk_fill(x: Effects, f: Fault, _: Topology) -> None:
    """The volume fills; once it is full, writes fail."""
    x.disk[:, f.at] += np.minimum(f.climb(x.t), 1)
    x.errors[:, f.replicas] += 0.6 * _some(_column(f.full(x.t) * f.amplitude))


def disk_slow(x: Effects, f: Fault, top: Topology) -> None:
    """Reads and writes wait."""
    x.wait[:, f.replicas] += 6 * _a(x, f)
    x.io[:, np.unique(top.host[list(f.replicas)])] += 0.6 * _some(_a(x, f))


def network_delay(x: Effects, f: Fault, top: Topology) -> None:
    """One edge is slow."""
    x.delay[:, f.at] += _a(x, f)[:, 0] * max(0.04, 4 * top.own_s[top.callee[f.at]])


def network_loss(x: Effects, f: Fault, _: Topology) -> None:
    """One edge loses packets: what is sent again is late, the rest fails."""
    lost = 0.6 * _some(0.25 * _a(x, f)[:, 0])
    x.loss[:, f.at] += lost
    x.delay[:, f.at] += 0.2 * lost


def network_partition(x: Effects, f: Fault, top: Topology) -> None:
    """Replicas of a service cannot be reached."""
    share = len(f.replicas) / len(top.replicas(f.at))
    into = np.flatnonzero(top.callee == f.at)
    x.loss[:, into] += 0.9 * share * _some(_a(x, f))
    x.delay[:, into] += 0.3 * share * _some(_a(x, f))


def dns_failure(x: Effects, f: Fault, top: Topology) -> None:
    """The service's resolver fails: calls to anybody wait, some in vain."""
    out = np.flatnonzero((top.caller == f.at) & ~top.is_async)
    x.loss[:, out] += 0.5 * _some(0.2 * _a(x, f))
    x.delay[:, out] += 0.5 * _some(0.3 * _a(x, f))


def pool_exhaustion(x: Effects, f: Fault, _: Topology) -> None:
    """Connections to stores leak away."""
    x.pool[:, f.at] += 0.97 * _some(1.2 * _a(x, f)[:, 0])


def fd_leak(x: Effects, f: Fault, _: Topology) -> None:
    """File descriptors climb to their limit; then nothing can be opened."""
    x.files[:, f.replicas] += _column(np.minimum(f.climb(x.t), 1))
    x.errors[:, f.replicas] += 0.5 * _some(_column(f.full(x.t) * f.amplitude))


def thread_leak(x: Effects, f: Fault, _: Topology) -> None:
    """Threads pile up and get in each other's way."""
    climb = np.minimum(f.climb(x.t), 1)
    x.threads[:, f.replicas] += _column(400 * climb)
    x.slow[:, f.replicas] += _column(0.9 * f.amplitude * climb**4)


def lock_contention(x: Effects, f: Fault, _: Topology) -> None:
    """Requests wait for each other; the CPU does not."""
    x.wait[:, f.replicas] += 3 * _a(x, f)
    x.threads[:, f.replicas] += 20 * _a(x, f)


def bad_deploy_latency(x: Effects, f: Fault, _: Topology) -> None:
    """New code works harder for the same."""
    x.slow[:, f.replicas] += 0.7 * _a(x, f)


def bad_deploy_errors(x: Effects, f: Fault, _: Topology) -> None:
    """New code fails at times."""
    x.errors[:, f.replicas] += 0.5 * _some(0.12 * _a(x, f))


def bad_config(x: Effects, f: Fault, _: Topology) -> None:
    """A wrong limit: fewer connections and failing requests."""
    x.pool[:, f.at] += 0.8 * _some(0.6 * _a(x, f)[:, 0])
    x.errors[:, f.replicas] += 0.4 * _some(0.1 * _a(x, f))


def feature_flag(x: Effects, f: Fault, _: Topology) -> None:
    """A new path for some: more work, and failures."""
    x.slow[:, f.replicas] += 0.4 * _a(x, f)
    x.errors[:, f.replicas] += 0.3 * _some(0.06 * _a(x, f))


def cache_failure(x: Effects, f: Fault, _: Topology) -> None:
    """Hits become misses: the store behind is asked instead."""
    x.misses[:, f.at] += 0.95 * _some(0.8 * _a(x, f)[:, 0])


def quota_throttling(x: Effects, f: Fault, _: Topology) -> None:
    """A dependency's quota is used up: it refuses."""
    x.quota[:, f.at] += np.minimum(1, f.strength(x.t) * 4)
    x.errors[:, f.replicas] += 0.8 * _some(0.4 * _a(x, f))


def certificate_expiry(x: Effects, f: Fault, top: Topology) -> None:
    """A certificate issued for a day too few: known all the time, felt when it ends."""
    told = (x.t >= f.onset_ms) & (x.t < f.end_ms)
    x.certificate[told, f.at] = ((f.full_ms - x.t) / DAY)[told]
    into = np.flatnonzero(top.callee == f.at)
    share = len(f.replicas) / len(top.replicas(f.at))
    x.loss[:, into] += _column(0.95 * share * f.full(x.t))


def queue_stall(x: Effects, f: Fault, _: Topology) -> None:
    """Consumers fetch less than arrives."""
    x.stall[:, f.at] += 0.98 * _some(1.5 * _a(x, f)[:, 0])


def noisy_neighbour(x: Effects, f: Fault, _: Topology) -> None:
    """Another tenant of the host takes CPU and disk."""
    x.steal[:, f.replicas] += 0.9 * _some(0.6 * _a(x, f))
    x.busy[:, f.at] += 0.6 * _some(_a(x, f)[:, 0])
    x.io[:, f.at] += 0.3 * _some(_a(x, f)[:, 0])


def traffic_surge(x: Effects, f: Fault, _: Topology) -> None:
    """More users than ever: nobody's fault."""
    x.surge[:, f.at] += 0.9 * _a(x, f)[:, 0]


def clock_jump(x: Effects, f: Fault, _: Topology) -> None:
    """A host's clock is wrong: tokens have expired, or are not valid yet."""
    x.clock[:, f.at] += 40 * f.amplitude * f.held(x.t)
    x.errors[:, f.replicas] += 0.5 * _some(0.25 * _a(x, f))


def host_failure(x: Effects, f: Fault, _: Topology) -> None:
    """A host is gone, and what ran on it."""
    gone = ((x.t >= f.onset_ms) & (x.t < f.end_ms)).astype(float)
    x.off[:, f.at] = np.maximum(x.off[:, f.at], gone)
    x.down[:, f.replicas] = np.maximum(x.down[:, f.replicas], _column(gone))
    x.restart[:, f.replicas] += _column(x.crossed(f.end_ms))


def gc_thrash(x: Effects, f: Fault, _: Topology) -> None:
    """The heap is nearly full: collecting takes the time of working."""
    x.gc[:, f.replicas] += 0.7 * _some(0.6 * _a(x, f))
    x.memory[:, f.replicas] += 0.45 * _some(2 * _a(x, f))
    x.slow[:, f.replicas] += 0.9 * _a(x, f)


SLOW = (2.0, 20.0)
KINDS: dict[str, Kind] = {
    "cpu_hog": Kind(cpu_hog, (*APPS, "db"), PARTIAL),
    "memory_leak": Kind(memory_leak, APPS, PARTIAL, lead_h=SLOW),
    "disk_fill": Kind(disk_fill, ("db",), ("all", "replica"), lead_h=SLOW),
    "disk_slow": Kind(disk_slow, ("db",), ("all", "replica")),
    "network_delay": Kind(network_delay, ("edge",)),
    "network_loss": Kind(network_loss, ("edge",)),
    "network_partition": Kind(network_partition, ("app", *STORES), ("replica", "zone"), (0, 0)),
    "dns_failure": Kind(dns_failure, APPS),
    "pool_exhaustion": Kind(pool_exhaustion, ("pool",), ramp_ms=(0, 10 * MINUTE)),
    "fd_leak": Kind(fd_leak, APPS, PARTIAL, lead_h=SLOW),
    "thread_leak": Kind(thread_leak, APPS, PARTIAL, lead_h=SLOW),
    "lock_contention": Kind(lock_contention, (*APPS, "db"), PARTIAL),
    "bad_deploy_latency": Kind(bad_deploy_latency, APPS, ("all", "replica"), change="deploy"),
    "bad_deploy_errors": Kind(bad_deploy_errors, APPS, ("all", "replica"), change="deploy"),
    "bad_config": Kind(bad_config, ("pool",), change="config"),
    "feature_flag": Kind(feature_flag, APPS, ramp_ms=(0, 10 * MINUTE), change="flag"),
    "cache_failure": Kind(cache_failure, ("cache",)),
    "quota_throttling": Kind(quota_throttling, ("external",)),
    "certificate_expiry": Kind(certificate_expiry, ("app",), ("all", "replica"), lead_h=(4.0, 20.0)),
    "queue_stall": Kind(queue_stall, ("queue",)),
    "noisy_neighbour": Kind(noisy_neighbour, ("host",)),
    "traffic_surge": Kind(traffic_surge, ("load",), ramp_ms=(0, 6 * MINUTE)),
    "clock_jump": Kind(clock_jump, ("host",), ramp_ms=(0, 0)),
    "host_failure": Kind(host_failure, ("host",), ramp_ms=(0, 0)),
    "gc_thrash": Kind(gc_thrash, APPS, PARTIAL, (0, 10 * MINUTE)),
}


# --- harmless ones, which look like faults to whoever watches one series --------------------------------------------


def cpu_spike(x: Effects, f: Fault, _: Topology) -> None:
    """A short job beside the requests."""
    x.hog[:, f.replicas] += 0.5 * _a(x, f)


def memory_bump(x: Effects, f: Fault, _: Topology) -> None:
    """Something large is held for a while."""
    x.memory[:, f.replicas] += 0.2 * _some(_a(x, f))


def thread_burst(x: Effects, f: Fault, _: Topology) -> None:
    """Workers are started and stopped."""
    x.threads[:, f.replicas] += 15 * _a(x, f)
    x.files[:, f.replicas] += 0.04 * _some(_a(x, f))


def batch_job(x: Effects, f: Fault, _: Topology) -> None:
    """The host copies, compresses, cleans."""
    x.busy[:, f.at] += 0.25 * _some(_a(x, f)[:, 0])
    x.io[:, f.at] += 0.5 * _some(_a(x, f)[:, 0])


def rollout(x: Effects, f: Fault, _: Topology) -> None:
    """Replica after replica is replaced within ramp_ms each, the others carrying its share; then their memory fills."""
    for i, replica in enumerate(f.replicas):
        since = x.t - (f.onset_ms + i * f.ramp_ms)
        x.drained[:, replica] += ((since >= 0) & (since < f.ramp_ms)).astype(float)
        x.restart[:, replica] += x.crossed(f.onset_ms + (i + 1) * f.ramp_ms)
        x.hog[:, replica] += 0.3 * ((since >= f.ramp_ms) & (since < f.ramp_ms + MINUTE))
        x.empty[:, replica] += _emptied(x.t, f, f.onset_ms + (i + 1) * f.ramp_ms)


def refill(x: Effects, f: Fault, _: Topology) -> None:
    """A cache begins anew: it misses for minutes, and fills for hours until it is as full as it may be."""
    x.restart[:, f.replicas] += _column(x.crossed(f.onset_ms))
    x.empty[:, f.replicas] += _column(_emptied(x.t, f, f.onset_ms))
    since = np.maximum(x.t - f.onset_ms, 0)
    x.misses[:, f.at] += COLD * np.exp(-since / (3 * MINUTE)) * (x.t >= f.onset_ms) * (x.t < f.end_ms)


def _emptied(t: Times, f: Fault, begin: int) -> Floats:
    """(time,) the memory that is not held yet: 1 when it begins, next to none at the end."""
    left = np.exp(-5.0 * (t - begin) / max(f.end_ms - begin, 1))
    return np.where((t >= begin) & (t < f.end_ms), left, 0.0)


def drain(x: Effects, f: Fault, _: Topology) -> None:
    """A replica is taken out for maintenance."""
    x.drained[:, f.replicas] += _column(((x.t >= f.onset_ms) & (x.t < f.end_ms)).astype(float))


HARMLESS: dict[str, Kind] = {
    "cpu_spike": Kind(cpu_spike, APPS, ("replica",)),
    "memory_bump": Kind(memory_bump, APPS, ("replica",)),
    "thread_burst": Kind(thread_burst, APPS, ("replica",)),
    "batch_job": Kind(batch_job, ("host",)),
    "rollout": Kind(rollout, APPS),
    "drain": Kind(drain, APPS, ("replica",)),
    "refill": Kind(refill, ("cache",), ("replica",), last_h=(1.0, 20.0)),
}
LONGEST_LEAD_MS = round(max(k.lead_h[1] for k in KINDS.values()) * HOUR)
WARM_UP_H = (0.5, 10.0)
"""So long the memory of a new process grows before it levels off."""
LONGEST_HARMLESS_MS = round(max(WARM_UP_H[1], *(k.last_h[1] for k in HARMLESS.values())) * HOUR)


def effects(faults: Iterable[Fault], topology: Topology, t: Times, step_ms: int) -> Effects:
    """What all of them do together in a block."""
    total = Effects.none(topology, t, step_ms)
    for fault in faults:
        (KINDS.get(fault.kind) or HARMLESS[fault.kind]).effect(total, fault, topology)
    np.minimum(total.steal, 0.97, out=total.steal)
    np.minimum(total.stall, 1.0, out=total.stall)
    np.minimum(total.loss, 1.0, out=total.loss)
    np.minimum(total.drained, 1.0, out=total.drained)
    np.minimum(total.empty, 1.0, out=total.empty)
    return total
