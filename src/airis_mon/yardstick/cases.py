"""One incident as a root-cause ranker meets it, with the answer beside; and the incidents of a simulated world.

What a case holds is what could be known at its moment: series up to then, the published graph, what alarmed. `truth`
and `moved_ms` are for judging only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.labels import Labels, metric_of
from airis_mon.simulate.kinds import KINDS
from airis_mon.simulate.truth import Verdict
from airis_mon.simulate.world import World

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Moment = Literal["onset", "impact", "detection"]
MINUTE = 60_000
WINDOW_MS, HISTORY_MS = 5 * MINUTE, 60 * MINUTE
AFTER_ONSET_MS = 4 * MINUTE - 1
DETECTION_MS = MINUTE
CLASSES = {
    "saturation": "cpu_hog memory_leak disk_fill disk_slow fd_leak thread_leak gc_thrash lock_contention",
    "network": "network_delay network_loss network_partition dns_failure",
    "release": "bad_deploy_latency bad_deploy_errors bad_config feature_flag",
    "dependency": "pool_exhaustion cache_failure quota_throttling certificate_expiry queue_stall",
    "host": "noisy_neighbour clock_jump host_failure",
    "load": "traffic_surge",
}
"""Kinds of faults that are alike in what they leave behind; a single kind has too few cases for an interval."""
CLASS_OF = {kind: name for name, kinds in CLASSES.items() for kind in kinds.split()}


@dataclass(frozen=True, slots=True)
class Signal:
    """One series of a case. kind: what it may be compared with, such as latency or errors; "" = with nothing."""

    entity: str
    name: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One incident. Rows before `split` are its history, the others the window in which it shows.

    source and group: where it comes from, and the part of it that counts as one; kind: what was wrong. edges: (caller,
    callee) as published, wrong ones included. target: the signal that alarmed. truth: the candidate to blame. moved_ms:
    when each entity was reached in truth, where that is known.
    """

    id: str
    source: str
    group: str
    kind: str
    moment: str
    t: Times  # (time,) ms, rising
    values: Floats  # (time, signal), NaN = gap
    split: int
    signals: tuple[Signal, ...]
    candidates: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    target: int
    truth: str
    moved_ms: Mapping[str, int] | None = None

    @property
    def history(self) -> Floats:
        """(time, signal) before the window."""
        return self.values[: self.split]

    @property
    def window(self) -> Floats:
        """(time, signal) from the window's first row on."""
        return self.values[self.split :]

    @property
    def alarmed(self) -> str:
        """The entity whose signal alarmed."""
        return self.signals[self.target].entity


def world_cases(world: World, found: Sequence[Verdict], moments: Sequence[Moment]) -> Iterator[Case]:
    """The faults among `found` that users felt, each at every moment, in order of time; those of the load left out.

    impact: when users first felt it; the window is the 5 minutes up to then. detection: a minute later. onset: the time
    of injection given away, as public sets do; the window is the 4 minutes after it (of what climbs to a limit, after
    the limit was hit). The history is the hour before the window, earlier faults not masked: nobody told the rankers.
    Services are candidates, for a fault of a host the hosts too. Costs one pass over the world's days.
    """
    reel, asked = _Reel(world), defaultdict[int, list[tuple[Verdict, Moment]]](list)
    for v in found:
        if v.is_valid and v.fault.entity != "load":
            for moment in moments:
                asked[_end_ms(v, moment)].append((v, moment))
    for end in sorted(asked):
        for v, moment in asked[end]:
            begin = end - (AFTER_ONSET_MS if moment == "onset" else WINDOW_MS)
            yield reel.case(v, moment, begin, end)


def _end_ms(v: Verdict, moment: Moment) -> int:
    """The last moment that is seen of it."""
    if moment == "onset":
        return (v.fault.full_ms if KINDS[v.fault.kind].lead_h[1] else v.fault.onset_ms) + AFTER_ONSET_MS
    impact = v.fault.onset_ms if v.impact_ms is None else v.impact_ms
    return impact + (DETECTION_MS if moment == "detection" else 0)


class _Reel:
    """The last hour of a world's scrapes, wound forward only."""

    def __init__(self, world: World) -> None:
        self._world, self._blocks = world, world.blocks()
        metrics = [metric_of(x) for x in world.labels]
        number = {x: i for i, x in enumerate(world.labels)}
        self._sums = np.array([i for i, m in enumerate(metrics) if m.endswith("duration_seconds_sum")])
        self._counts = np.array([number[_as_count(world.labels[i])] for i in self._sums])
        self._signals = tuple(_signal(x) for x in world.labels)
        self._column = {s.name: i for i, s in enumerate(self._signals)}
        self._keep = np.array([not m.endswith("_bucket") for m in metrics])
        self._t, self._value = np.zeros(0, np.int64), np.zeros((0, len(metrics)))

    def case(self, v: Verdict, moment: Moment, begin: int, end: int) -> Case:
        """A fault as it looks in [begin, end], with the hour before."""
        self._wind(begin - HISTORY_MS, end)
        rows = np.flatnonzero((self._t >= begin - HISTORY_MS) & (self._t <= end))
        first = max(0, int(rows[0]) - 1)  # a rate needs the scrape before
        values = _levels(self._value[first : rows[-1] + 1], self._world.layout.counters, self._sums, self._counts)
        t = self._t[first + 1 : rows[-1] + 1]
        top, of_host = self._world.topology, CLASS_OF[v.fault.kind] == "host"
        return Case(
            id=f"{self._world.settings.topology} {self._world.dice.seed} {v.fault.id}",
            source="world hosts" if of_host else "world",
            group=self._world.settings.topology,
            kind=v.fault.kind,
            moment=moment,
            t=t,
            values=np.where(self._keep, values, np.nan),
            split=int(np.searchsorted(t, begin)),
            signals=self._signals,
            candidates=(*top.names, *(top.hosts if of_host else ())),
            edges=self._world.edges,
            target=self._column[_alarm(v, top.names[0])],
            truth=v.fault.entity,
            moved_ms={r.service: r.onset_ms for r in v.path},
        )

    def _wind(self, begin: int, end: int) -> None:
        while not len(self._t) or self._t[-1] < end:
            if (block := next(self._blocks, None)) is None:
                break
            value = np.where(block.present & np.isfinite(block.value), block.value, np.nan)
            kept = self._t >= begin - self._world.settings.step_ms
            self._t = np.concatenate([self._t[kept], block.t])
            self._value = np.concatenate([self._value[kept], value])


def _levels(raw: Floats, counters: int, sums: NDArray[np.int64], counts: NDArray[np.int64]) -> Floats:
    """(time - 1, signal): increments of counters, mean latencies where sum and count are told, gauges as they are."""
    values = raw[1:].copy()
    rate = np.diff(raw[:, :counters], axis=0)
    rate[rate < 0] = np.nan  # a counter that began anew
    values[:, :counters] = rate
    with np.errstate(all="ignore"):
        values[:, sums] = rate[:, sums] / rate[:, counts]
    return np.where(np.isfinite(values), values, np.nan)


def _as_count(labels: Labels) -> Labels:
    """The counter that belongs to a sum."""
    return tuple((k, v[: -len("sum")] + "count" if k == "__name__" else v) for k, v in labels)


def _signal(labels: Labels) -> Signal:
    """Whose it is (a call's server; a service before its host) and what it is comparable with."""
    told = dict(labels)
    entity = told.get("server") or told.get("service") or told["host"]
    metric = told["__name__"]
    is_late = metric.endswith(("duration_seconds_sum", "oldest_age_seconds"))
    kind = "latency" if is_late else "errors" if told.get("code") == "500" else ""
    return Signal(entity, " ".join([metric, *(v for k, v in labels if k != "__name__")]), kind)


def _alarm(v: Verdict, entry: str) -> str:
    """The name of the signal that shows what users felt first."""
    what, _, whose = min(v.indicators, key=lambda i: i.moved_ms).name.partition(" of ")
    if what == "age":
        return f"queue_oldest_age_seconds {whose}"
    if what == "errors":
        return f"frontend_requests_total 500 {whose} {entry}"
    return f"frontend_request_duration_seconds_sum {whose} {entry}"
