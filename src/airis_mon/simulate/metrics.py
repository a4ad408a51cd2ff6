"""What a Prometheus would have scraped of it: the table of metrics, their labels, and how measuring blurs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from airis_mon.series.labels import METRIC, Labels, canonical
from airis_mon.simulate.blur import Blur, Lumps
from airis_mon.simulate.dice import DAY, Floats
from airis_mon.simulate.faults import Effects
from airis_mon.simulate.physics import Flow
from airis_mon.simulate.topology import Ints, Topology
from airis_mon.simulate.traits import Traits, traits

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SPREAD = 0.9
"""Latencies of single requests are log-normal, with this standard deviation of their logarithm."""
MEAN_NOISE = 0.03
CORES, LIMIT_BYTES, MAX_FILES = 16.0, 2**30, 4096.0
DISK_BYTES, VOLUME_BYTES = 200 * 2**30, 100 * 2**30
EMPTIED = 0.7
"""Of its usual memory a process that has just begun lacks so much."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a metric is computed from: one block of the truth."""

    top: Topology
    flow: Flow
    x: Effects
    traits: Traits


Compute = Callable[[Seen], Floats]
"""(time, n) for all services, edges, replicas, hosts or endpoints, whoever of them has the metric."""


@dataclass(frozen=True, slots=True)
class Family:
    """Requests as Prometheus' client libraries count them: by code, and the sum and number of their latencies."""

    name: str
    per: str
    rate: Compute
    errors: Compute
    latency: Compute
    has_buckets: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table; `per` says who has it, noise is that of each sample, relative."""

    name: str
    per: str
    noise: float
    compute: Compute
    most: float = np.inf  # no sample is above it, however it is blurred
    is_whole: bool = False


def _limited(usual: Floats, filled: Floats) -> Floats:
    """A share of the limit: as usual, and of what room is left the part that a leak has filled."""
    return np.asarray(np.minimum(usual + (1 - usual) * np.clip(filled, 0, 1), 1))


def _held(s: Seen, at_mean_load: Floats) -> Floats:
    """(time, replica) what sessions hold, which follow the day."""
    return np.asarray(at_mean_load * s.flow.share * s.flow.load[:, s.top.service] / s.traits.mean_load)


def _memory(s: Seen) -> Floats:
    saw = (s.x.t[:, None] / s.traits.saw_ms) % 1
    busy = np.minimum(s.flow.cpu / (s.top.capacity * s.top.cores + 0.1), 2)
    usual = s.traits.memory * (0.85 + s.traits.saw * saw + 0.1 * busy) * (1 - EMPTIED * np.minimum(s.x.empty, 1))
    return _limited(usual, s.x.memory) * LIMIT_BYTES


def _open_files(s: Seen) -> Floats:
    waiting = s.flow.share * (s.flow.load * s.flow.latency)[:, s.top.service]
    usual = (s.traits.files + _held(s, s.traits.open_files) + waiting) / MAX_FILES
    return _limited(np.minimum(usual, 1), s.x.files) * MAX_FILES


def _threads(s: Seen) -> Floats:
    at_work = s.flow.share * s.flow.load[:, s.top.service] * s.flow.replica_latency
    return np.asarray(s.traits.threads + _held(s, s.traits.busy_threads) + at_work + s.x.threads)


def _gc(s: Seen) -> Floats:
    return np.asarray(0.004 * s.flow.cpu / (s.top.capacity * s.top.cores) + s.x.gc)


def _traffic(s: Seen) -> Floats:
    return np.asarray(s.flow.share * (s.flow.load * s.traits.bytes)[:, s.top.service] + 200)


def _on_hosts(s: Seen, per_replica: Floats) -> Floats:
    """(time, host) sums over the replicas that stand there."""
    total = np.zeros((len(per_replica), len(s.top.zone)))
    for r, h in enumerate(s.top.host.tolist()):
        total[:, h] += per_replica[:, r]
    return total


def _host_cpu(s: Seen) -> Floats:
    return np.asarray(np.minimum(_on_hosts(s, s.flow.cpu) + 0.3 + s.x.busy * CORES, CORES))


def _host_memory(s: Seen) -> Floats:
    return np.asarray(2 * 2**30 + _on_hosts(s, _memory(s) * (1 - s.x.down)))


def _host_io(s: Seen) -> Floats:
    return np.asarray(np.minimum(0.04 + 0.002 * _on_hosts(s, s.flow.cpu) + s.x.io, 1))


def _host_free(s: Seen) -> Floats:
    return np.asarray((1 - s.traits.disk.at(s.x.t)) * DISK_BYTES)


def _volume(s: Seen) -> Floats:
    return _limited(s.traits.volume.at(s.x.t), s.x.disk) * VOLUME_BYTES


def _limit(per: str, value: float) -> Compute:
    """A limit as its owner tells it: it never moves."""
    width = {"replica": lambda s: len(s.top.service), "service": lambda s: len(s.top.names)}
    size: Callable[[Seen], int] = width.get(per, lambda s: len(s.top.zone))
    return lambda s: np.full((len(s.x.t), size(s)), value)


def _certificate(s: Seen) -> Floats:
    usual = 90 - (s.x.t[:, None] + s.traits.certificate_ms) % (60 * DAY) / DAY
    return np.where(np.isnan(s.x.certificate), usual, s.x.certificate)


def _quota(s: Seen) -> Floats:
    usual = 1 - 0.5 * ((s.x.t[:, None] / DAY) % 1)
    return np.asarray(np.maximum(usual * (1 - s.x.quota), 0) * 1e6)


def _arrived(s: Seen) -> Floats:
    """(time, edge) calls that reach the callee."""
    return np.asarray(s.flow.calls * (1 - s.x.loss))


def _callee_errors(s: Seen) -> Floats:
    return s.flow.errors[:, s.top.callee]


def _callee_latency(s: Seen) -> Floats:
    return s.flow.latency[:, s.top.callee]


FAMILIES: tuple[Family, ...] = (
    Family("http", "service", lambda s: s.flow.load, lambda s: s.flow.errors, lambda s: s.flow.latency, True),
    Family(
        "frontend", "endpoint", lambda s: s.flow.demand, lambda s: s.flow.user_errors, lambda s: s.flow.user_latency
    ),
    Family("rpc_client", "edge", lambda s: s.flow.calls, lambda s: s.flow.call_errors, lambda s: s.flow.call_latency),
    Family("rpc_server", "served edge", _arrived, _callee_errors, _callee_latency),
)
COUNTERS: tuple[Metric, ...] = (
    Metric("cache_hits_total", "cache", 0.01, lambda s: s.flow.load * s.flow.hits),
    Metric("cache_misses_total", "cache", 0.03, lambda s: s.flow.load * (1 - s.flow.hits)),
    Metric("queue_consumed_total", "queue", 0.01, lambda s: s.flow.served),
    Metric("container_cpu_usage_seconds_total", "replica", 0.05, lambda s: s.flow.cpu),
    Metric("gc_pause_seconds_total", "replica", 0.15, _gc),
    Metric("container_network_receive_bytes_total", "replica", 0.06, _traffic),
    Metric("node_cpu_busy_seconds_total", "host", 0.03, _host_cpu),
    Metric("node_disk_io_time_seconds_total", "host", 0.15, _host_io),
    Metric("node_network_receive_bytes_total", "host", 0.05, lambda s: _on_hosts(s, _traffic(s))),
)
"""Each computes what is added in a second."""
GAUGES: tuple[Metric, ...] = (
    Metric("container_memory_working_set_bytes", "replica", 0.006, _memory, LIMIT_BYTES),
    Metric("container_spec_memory_limit_bytes", "app replica", 0, _limit("replica", LIMIT_BYTES)),
    Metric("process_open_fds", "app replica", 0.01, _open_files, MAX_FILES, is_whole=True),
    Metric("process_max_fds", "app replica", 0, _limit("replica", MAX_FILES)),
    Metric("process_threads", "replica", 0.005, _threads, is_whole=True),
    Metric("connection_pool_used_ratio", "pool", 0.08, lambda s: np.minimum(s.flow.pool, 1), 1.0),
    Metric("queue_depth", "queue", 0.02, lambda s: s.flow.depth + s.flow.served * 0.3, is_whole=True),
    Metric("queue_oldest_age_seconds", "queue", 0.05, lambda s: s.flow.age + 0.2),
    Metric("volume_used_bytes", "db", 0.0005, _volume, VOLUME_BYTES),
    Metric("volume_size_bytes", "db", 0, _limit("service", VOLUME_BYTES)),
    Metric("certificate_days_left", "certificate", 0, _certificate),
    Metric("quota_remaining", "external", 0, _quota),
    Metric("node_memory_used_bytes", "host", 0.004, _host_memory),
    Metric("node_filesystem_avail_bytes", "host", 0.0005, _host_free),
    Metric("node_filesystem_size_bytes", "host", 0, _limit("host", DISK_BYTES)),
    Metric("node_time_offset_seconds", "host", 0.1, lambda s: 0.002 + s.x.clock),
)

MEASURED = COUNTERS + GAUGES


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns, counters first. target: what is scraped together; replica, host, service: -1 = none."""

    labels: tuple[Labels, ...]
    counters: int
    target: Ints
    replica: Ints
    host: Ints
    service: Ints


class Exporter:
    """Turns the truth of a block into what is measured: increments of counters, and gauges."""

    def __init__(self, top: Topology, rng: Generator, step_s: float, noise: float, *, histogram: bool) -> None:
        self._top, self._traits, self._step_s, self._noise = top, traits(top, rng), step_s, noise
        self._bounds = (*BOUNDS_S, np.inf) if histogram else ()
        self._at = _owners(top)
        self.layout = self._lay_out()
        self._lumps = {f.name: Lumps.drawn(len(self._at[f.per]), rng) for f in FAMILIES}
        self._blur = Blur.drawn(np.concatenate([np.full(len(self._at[m.per]), m.noise) for m in MEASURED]), rng)
        self._most = np.concatenate([np.full(len(self._at[m.per]), m.most) for m in MEASURED])
        self._is_whole = np.flatnonzero(np.concatenate([np.full(len(self._at[m.per]), m.is_whole) for m in MEASURED]))

    @property
    def blurred(self) -> int:
        """How many columns get noise with memory: the last ones."""
        return len(self._most)

    def measure(self, flow: Flow, x: Effects, rng: Generator, drift: Floats) -> Floats:
        """(time, series) increments of counters and values of gauges. drift: (time, blurred) noise with memory."""
        seen = Seen(self._top, flow, x, self._traits)
        columns = [c for family in FAMILIES for c in self._requests(family, seen, rng)]
        exact = sum(c.shape[1] for c in columns)
        columns += [m.compute(seen)[:, self._at[m.per]] * self._step_s for m in COUNTERS]
        columns += [m.compute(seen)[:, self._at[m.per]] for m in GAUGES]
        out = np.concatenate(columns, axis=1)
        some = out[:, exact:]
        self._blur.spread(some, x, rng, drift, self._noise)
        np.minimum(some, self._most, out=some)
        some[:, self._is_whole] = np.round(some[:, self._is_whole])
        return out

    def _requests(self, family: Family, seen: Seen, rng: Generator) -> list[Floats]:
        """Counts are drawn; sums and buckets agree with them."""
        at = self._at[family.per]
        rate, failing = family.rate(seen)[:, at] * self._step_s, np.clip(family.errors(seen)[:, at], 0, 1)
        good, bad = (rng.poisson(np.maximum(x, 0)).astype(float) for x in (rate * (1 - failing), rate * failing))
        n = good + bad
        blur = np.hypot(SPREAD / np.sqrt(np.maximum(n, 1)), MEAN_NOISE)
        mean = self._lumps[family.name].spread(family.latency(seen)[:, at], blur, seen.x, rng, self._noise)
        middle = np.log(mean) - SPREAD**2 / 2
        bounds = self._bounds if family.has_buckets else ()
        buckets = [n / (1 + np.exp(-1.702 / SPREAD * (np.log(bound) - middle))) for bound in bounds]
        return [good, bad, n * mean, n, *buckets]

    def _lay_out(self) -> Layout:
        rows: list[tuple[str, str, tuple[tuple[str, str], ...]]] = []
        for f in FAMILIES:
            took = f"{f.name}_request_duration_seconds"
            rows += [(f"{f.name}_requests_total", f.per, (("code", code),)) for code in ("200", "500")]
            rows += [(f"{took}_sum", f.per, ()), (f"{took}_count", f.per, ())]
            bounds = self._bounds if f.has_buckets else ()
            rows += [(f"{took}_bucket", f.per, (("le", f"{b:g}" if np.isfinite(b) else "+Inf"),)) for b in bounds]
        rows += [(m.name, m.per, ()) for m in COUNTERS]
        counters = sum(len(self._at[per]) for _, per, _ in rows)
        rows += [(m.name, m.per, ()) for m in GAUGES]
        columns = [(name, per, int(i), extra) for name, per, extra in rows for i in self._at[per]]
        owners = np.array([self._owner(per, i) for _, per, i, _ in columns])
        labels = tuple(canonical([(METRIC, name), *_who(self._top, per, i), *extra]) for name, per, i, extra in columns)
        return Layout(labels, counters, owners[:, 0], owners[:, 1], owners[:, 2], owners[:, 3])

    def _owner(self, per: str, i: int) -> tuple[int, int, int, int]:
        """(target, replica, host, service) of a column; -1 = none."""
        top = self._top
        services, replicas = len(top.names), len(top.service)
        if per in {"replica", "app replica"}:
            return services + i, i, int(top.host[i]), int(top.service[i])
        if per == "host":
            return services + replicas + i, -1, i, -1
        service = int(top.callee[i]) if per in {"edge", "served edge"} else 0 if per == "endpoint" else i
        return service, -1, -1, service


def _who(top: Topology, per: str, i: int) -> list[tuple[str, str]]:
    """The labels that name an owner."""
    if per in {"edge", "served edge"}:
        return [("client", top.names[top.caller[i]]), ("server", top.names[top.callee[i]])]
    if per == "endpoint":
        return [("service", top.names[0]), ("handler", top.endpoints[i])]
    if per == "host":
        return [("host", top.hosts[i]), ("zone", f"z{top.zone[i]}")]
    if per in {"replica", "app replica"}:
        name, host = top.names[top.service[i]], int(top.host[i])
        return [("service", name), ("pod", f"{name}-{i}"), ("host", top.hosts[host]), ("zone", f"z{top.zone[host]}")]
    return [("service", top.names[i])]


def _owners(top: Topology) -> dict[str, Ints]:
    """Who has a metric: numbers of services, edges, replicas, hosts or endpoints.

    Somebody else's service shows nothing of itself, and a store does not tell its clients apart.
    """
    ours, role = top.of("entry", "app", "cache", "db", "queue"), np.array(top.roles)
    return {
        "service": ours,
        "edge": np.arange(len(top.caller)),
        "served edge": np.flatnonzero(np.isin(role[top.callee], ("app", "queue"))),
        "replica": np.flatnonzero(np.isin(top.service, ours)),
        "app replica": np.flatnonzero(np.isin(top.service, top.of("entry", "app"))),
        "host": np.arange(len(top.zone)),
        "endpoint": np.arange(len(top.endpoints)),
        "pool": np.unique(top.caller[role[top.callee] == "db"]),
        "certificate": top.of("entry", "app"),
        **{role: top.of(role) for role in ("cache", "queue", "db", "external")},
    }
