"""What a Prometheus would have scraped of it: the table of metrics, their labels, and how measuring blurs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from airis_mon.series.labels import METRIC, Labels, canonical
from airis_mon.simulate.dice import DAY, Floats
from airis_mon.simulate.faults import Effects
from airis_mon.simulate.physics import Flow
from airis_mon.simulate.topology import Ints, Topology

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SPREAD = 0.9
"""Latencies of single requests are log-normal, with this standard deviation of their logarithm."""
CORES, LIMIT_BYTES, MAX_FILES, THREADS = 16.0, 2**30, 4096.0, 40.0
DISK_BYTES, VOLUME_BYTES = 200 * 2**30, 100 * 2**30
COUNT, SUM, GAUGE = "count", "sum", "gauge"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a metric is computed from: one block of the truth, and the counts already drawn, by metric."""

    top: Topology
    flow: Flow
    x: Effects
    traits: Traits
    step_s: float
    at: dict[str, Ints]  # who has what: service, edge, replica, host, cache, queue, db, pool, entry, external
    drawn: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traits:
    """What differs from replica to replica and host to host, once and for all."""

    memory: Floats  # (replica,) share of its limit on a good day
    saw_ms: Floats  # (replica,) period of its heap's saw-tooth
    files: Floats  # (replica,)
    threads: Floats  # (replica,)
    bytes: Floats  # (service,) per request
    disk: Floats  # (host,) share used
    volume: Floats  # (service,)
    certificate_ms: Floats  # (service,) when its certificate is renewed, modulo 60 days


def traits(top: Topology, rng: Generator) -> Traits:
    """Drawn once for a world."""
    r, s, h = len(top.service), len(top.names), len(top.zone)
    return Traits(
        rng.uniform(0.25, 0.55, r),
        rng.uniform(20, 200, r) * 60_000,
        rng.uniform(80, 600, r),
        THREADS * rng.lognormal(0, 0.3, r),
        rng.lognormal(9, 1, s),
        rng.uniform(0.3, 0.6, h),
        rng.uniform(0.2, 0.35, s),
        rng.uniform(0, 60, s) * DAY,
    )


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table. form: count (expected events per second, drawn), sum (a counter of anything) or gauge.

    noise: relative, of each sample; compute answers (time, who has it).
    """

    name: str
    per: str
    form: str
    noise: float
    compute: Callable[[Seen], Floats]
    extra: tuple[tuple[str, str], ...] = ()


def _memory(s: Seen) -> Floats:
    saw = (s.x.t[:, None] / s.traits.saw_ms) % 1
    busy = np.minimum(s.flow.cpu / (s.top.capacity * s.top.cores + 0.1), 2)
    return np.asarray(np.minimum(s.traits.memory * (0.85 + 0.2 * saw + 0.1 * busy) + s.x.memory, 1.0) * LIMIT_BYTES)


def _open_files(s: Seen) -> Floats:
    held = s.flow.share * (s.flow.load * s.flow.latency)[:, s.top.service]
    return np.asarray(np.minimum(s.traits.files + held + s.x.files * MAX_FILES, MAX_FILES))


def _threads(s: Seen) -> Floats:
    at_work = s.flow.share * s.flow.load[:, s.top.service] * s.flow.replica_latency
    return np.asarray(s.traits.threads + at_work + s.x.threads)


def _gc(s: Seen) -> Floats:
    usual = 0.004 * s.flow.cpu / (s.top.capacity * s.top.cores)
    return np.asarray(usual + s.x.gc)


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
    rotated = 0.03 * ((s.x.t[:, None] / DAY) % 1)
    return np.asarray((1 - s.traits.disk - rotated) * DISK_BYTES)


def _volume(s: Seen) -> Floats:
    who = s.at["db"]
    grown = 0.04 * ((s.x.t[:, None] / (3 * DAY)) % 1)
    return np.asarray(np.minimum(s.traits.volume[who] + grown + s.x.disk[:, who], 1) * VOLUME_BYTES)


def _certificate(s: Seen) -> Floats:
    who = s.at["certificate"]
    usual = 90 - (s.x.t[:, None] + s.traits.certificate_ms[who]) % (60 * DAY) / DAY
    told = s.x.certificate[:, who]
    return np.where(np.isnan(told), usual, told)


def _quota(s: Seen) -> Floats:
    who = s.at["external"]
    usual = 1 - 0.5 * ((s.x.t[:, None] / DAY) % 1)
    return np.asarray(np.maximum(usual * (1 - s.x.quota[:, who]), 0) * 1e6)


def _age(s: Seen) -> Floats:
    who = s.at["queue"]
    return np.asarray(s.flow.depth[:, who] / np.maximum(s.flow.served[:, who], 0.1))


def _of(s: Seen, values: Floats, per: str) -> Floats:
    return values[:, s.at[per]]


def _arrived(s: Seen) -> Floats:
    """(time, edge) calls that reach the callee."""
    return np.asarray(s.flow.calls * (1 - np.minimum(s.x.loss, 1)))


def _mean_noise(n: Floats, spread: float = 1.1) -> Floats:
    """The standard deviation of a mean of n latencies, relative."""
    return np.asarray(spread / np.sqrt(np.maximum(n, 1)))


SERVICE_LATENCY = "http_request_duration_seconds"
TABLE: tuple[Metric, ...] = (
    Metric("http_requests_total", "service", COUNT, 0, lambda s: s.flow.load * (1 - s.flow.errors), (("code", "200"),)),
    Metric("http_requests_total", "service", COUNT, 0, lambda s: s.flow.load * s.flow.errors, (("code", "500"),)),
    Metric("rpc_client_errors_total", "edge", COUNT, 0, lambda s: s.flow.calls * s.flow.call_errors),
    Metric("rpc_client_duration_seconds_count", "edge", COUNT, 0, lambda s: s.flow.calls),
    Metric("rpc_server_errors_total", "edge", COUNT, 0, lambda s: _arrived(s) * s.flow.errors[:, s.top.callee]),
    Metric("rpc_server_duration_seconds_count", "edge", COUNT, 0, _arrived),
    Metric("cache_hits_total", "cache", COUNT, 0, lambda s: _of(s, s.flow.load * s.flow.hits, "cache")),
    Metric("cache_misses_total", "cache", COUNT, 0, lambda s: _of(s, s.flow.load * (1 - s.flow.hits), "cache")),
    Metric("queue_consumed_total", "queue", COUNT, 0, lambda s: _of(s, s.flow.served, "queue")),
    Metric("container_cpu_usage_seconds_total", "replica", SUM, 0.05, lambda s: s.flow.cpu),
    Metric("gc_pause_seconds_total", "replica", SUM, 0.15, _gc),
    Metric("container_network_receive_bytes_total", "replica", SUM, 0.06, _traffic),
    Metric("node_cpu_busy_seconds_total", "host", SUM, 0.03, _host_cpu),
    Metric("node_disk_io_time_seconds_total", "host", SUM, 0.15, _host_io),
    Metric("node_network_receive_bytes_total", "host", SUM, 0.05, lambda s: _on_hosts(s, _traffic(s))),
    Metric("container_memory_working_set_bytes", "replica", GAUGE, 0.006, _memory),
    Metric("process_open_fds", "replica", GAUGE, 0.03, _open_files),
    Metric("process_threads", "replica", GAUGE, 0.03, _threads),
    Metric("connection_pool_used_ratio", "pool", GAUGE, 0.08, lambda s: np.minimum(_of(s, s.flow.pool, "pool"), 1)),
    Metric("queue_depth", "queue", GAUGE, 0.02, lambda s: _of(s, s.flow.depth + s.flow.served * 0.3, "queue")),
    Metric("queue_oldest_age_seconds", "queue", GAUGE, 0.05, lambda s: _age(s) + 0.2),
    Metric("volume_used_bytes", "db", GAUGE, 0.0005, _volume),
    Metric("certificate_days_left", "certificate", GAUGE, 0, _certificate),
    Metric("quota_remaining", "external", GAUGE, 0, _quota),
    Metric("node_memory_used_bytes", "host", GAUGE, 0.004, _host_memory),
    Metric("node_filesystem_avail_bytes", "host", GAUGE, 0.0005, _host_free),
    Metric("node_time_offset_seconds", "host", GAUGE, 0.1, lambda s: 0.002 + s.x.clock),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns: counters first. target: what is scraped together; a column without a replica has -1 there."""

    labels: tuple[Labels, ...]
    counters: int
    target: Ints
    replica: Ints
    host: Ints
    service: Ints


class Exporter:
    """Turns the truth of a block into what is measured: increments of counters, and gauges."""

    def __init__(self, top: Topology, own: Traits, step_s: float, noise: float, *, histogram: bool) -> None:
        self._top, self._traits, self._step_s, self._noise = top, own, step_s, noise
        self._bounds = BOUNDS_S if histogram else ()
        self._at = _owners(top)
        self.layout = self._lay_out()
        self._blur = np.concatenate([np.full(len(self._at[m.per]), m.noise) for m in TABLE if m.form != COUNT])

    def measure(self, flow: Flow, x: Effects, rng: Generator, drift: Floats) -> Floats:
        """(time, series) increments of counters and values of gauges. drift: (time, blurred) noise with memory."""
        s = Seen(self._top, flow, x, self._traits, self._step_s, self._at)
        out = np.empty((len(x.t), len(self.layout.labels)))
        at = self._counts(s, out, rng)
        at = self._latencies(s, out, at, rng)
        blurred = at
        for m in TABLE:
            if m.form != COUNT:
                width = len(self._at[m.per])
                out[:, at : at + width] = m.compute(s) * (self._step_s if m.form == SUM else 1)
                at += width
        white = rng.standard_normal(out[:, blurred:].shape, np.float32)
        white *= 1 + 0.08 * white * white  # a heavy tail
        out[:, blurred:] *= np.maximum(1 + self._blur * self._noise * (white + drift), 0.05)
        return out

    @property
    def blurred(self) -> int:
        """How many columns get noise with memory."""
        return len(self._blur)

    def _counts(self, s: Seen, out: Floats, rng: Generator) -> int:
        at = 0
        for m in (m for m in TABLE if m.form == COUNT):
            width = len(self._at[m.per])
            drawn = rng.poisson(np.maximum(m.compute(s), 0) * self._step_s)
            out[:, at : at + width] = drawn
            s.drawn[m.name + "".join(v for _, v in m.extra)] = out[:, at : at + width]
            at += width
        return at

    def _latencies(self, s: Seen, out: Floats, at: int, rng: Generator) -> int:
        """Sums and buckets, which must agree with the counts."""
        served = s.drawn["http_requests_total200"] + s.drawn["http_requests_total500"]
        arrived = s.flow.latency[:, self._top.callee]
        parts = [
            (served, s.flow.latency),
            (s.drawn["rpc_client_duration_seconds_count"], s.flow.call_latency),
            (s.drawn["rpc_server_duration_seconds_count"], arrived),
        ]
        for i, (n, mean) in enumerate(parts):
            wobble = rng.standard_normal(n.shape) * np.hypot(_mean_noise(n), 0.03) * self._noise
            told = mean * np.maximum(1 + wobble, 0.1)
            out[:, at : at + n.shape[1]] = n * told
            at += n.shape[1]
            if i == 0:
                at = self._buckets(out, at, n, told)
        return at

    def _buckets(self, out: Floats, at: int, n: Floats, mean: Floats) -> int:
        out[:, at : at + n.shape[1]] = n
        at += n.shape[1]
        if not self._bounds:
            return at
        middle = np.log(mean) - SPREAD**2 / 2
        for bound in self._bounds:
            out[:, at : at + n.shape[1]] = n / (1 + np.exp(-1.702 / SPREAD * (np.log(bound) - middle)))
            at += n.shape[1]
        out[:, at : at + n.shape[1]] = n
        return at + int(n.shape[1])

    def _lay_out(self) -> Layout:
        rows = [(m.name, m.per, m.extra) for m in TABLE if m.form == COUNT]
        rows += [(f"{SERVICE_LATENCY}_sum", "service", ()), (f"{SERVICE_LATENCY}_count", "service", ())]
        bounds = (*(f"{b:g}" for b in self._bounds), "+Inf") if self._bounds else ()
        rows += [(f"{SERVICE_LATENCY}_bucket", "service", (("le", b),)) for b in bounds]
        rows += [(f"rpc_{side}_duration_seconds_sum", "edge", ()) for side in ("client", "server")]
        rows += [(m.name, m.per, m.extra) for m in TABLE if m.form == SUM]
        counters = sum(len(self._at[per]) for _, per, _ in rows)
        rows += [(m.name, m.per, m.extra) for m in TABLE if m.form == GAUGE]
        columns = [(name, per, int(i), extra) for name, per, extra in rows for i in self._at[per]]
        owners = np.array([self._owner(per, i) for _, per, i, _ in columns])
        labels = tuple(self._labels(*c) for c in columns)
        return Layout(labels, counters, owners[:, 0], owners[:, 1], owners[:, 2], owners[:, 3])

    def _labels(self, name: str, per: str, i: int, extra: tuple[tuple[str, str], ...]) -> Labels:
        top = self._top
        if per == "edge":
            who = [("client", top.names[top.caller[i]]), ("server", top.names[top.callee[i]])]
        elif per == "host":
            who = [("host", top.hosts[i]), ("zone", f"z{top.zone[i]}")]
        elif per == "replica":
            host = int(top.host[i])
            who = [("service", top.names[top.service[i]]), ("host", top.hosts[host]), ("zone", f"z{top.zone[host]}")]
            who.append(("pod", f"{top.names[top.service[i]]}-{i}"))
        else:
            who = [("service", top.names[i])]
        return canonical([(METRIC, name), *who, *extra])

    def _owner(self, per: str, i: int) -> tuple[int, int, int, int]:
        """(target, replica, host, service) of a column; -1 = none."""
        top = self._top
        services, replicas = len(top.names), len(top.service)
        if per == "replica":
            return services + i, i, int(top.host[i]), int(top.service[i])
        if per == "host":
            return services + replicas + i, -1, i, -1
        service = int(top.callee[i]) if per == "edge" else i
        return service, -1, -1, service


def _owners(top: Topology) -> dict[str, Ints]:
    """Who has a metric: numbers of services, edges, replicas or hosts."""
    calling = np.isin(np.array(top.roles)[top.callee], ("db", "cache"))
    return {
        "service": np.arange(len(top.names)),
        "edge": np.arange(len(top.caller)),
        "replica": np.arange(len(top.service)),
        "host": np.arange(len(top.zone)),
        "pool": np.unique(top.caller[calling]),
        "certificate": top.of("entry", "app"),
        **{role: top.of(role) for role in ("cache", "queue", "db", "external")},
    }
