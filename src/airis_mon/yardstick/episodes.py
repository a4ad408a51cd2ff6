"""Alarms of signals against the truth of a world: which faults were found, and how often there was nothing to find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times
from airis_mon.simulate.topology import Topology
from airis_mon.simulate.truth import Verdict
from airis_mon.yardstick.worlds import STEP_S, WorldRun

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

MINUTE_MS = 60_000
DAY_MS = 86_400_000
GRACE_MS = 5 * MINUTE_MS
"""An alarm so long after a fault's end still tells of it."""
BEFORE_MS, AFTER_MS = 5 * MINUTE_MS, 20 * MINUTE_MS
"""So long before and after any fault, felt or not, no alarm counts as false: clocks are skewed, queues empty."""
GAP_MS = 30 * MINUTE_MS
"""Alarms of a signal that are closer are one episode."""
PLACES = 10
"""So many quiet stretches are tried per fault to see how often it would have been found by chance."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From when to when (ms, inclusive) an alarm of one of these entities is asked for."""

    entities: frozenset[str]
    begin: int
    end: int


def asked(topology: Topology, v: Verdict) -> Stretch:
    """A fault is found by an alarm of what it befell or reached that begins before it is long over.

    Befallen: who is to blame, both ends of an edge, and the hosts of the replicas that suffer, since that is where
    such a fault shows as well, and an operator who is told of the host has been told of the fault. Reached: the
    services on its path.
    """
    hosts = (topology.hosts[topology.host[replica]] for replica in v.fault.replicas)
    entities = frozenset((v.fault.entity, *(v.edge or ()), *hosts, *(r.service for r in v.path)))
    return Stretch(entities, v.fault.onset_ms, v.fault.end_ms + GRACE_MS)


class Truth:
    """What of a run is quiet, and which alarms find what. Alarms are numbers of the run's rows, rising."""

    def __init__(self, run: WorldRun) -> None:
        self.run = run
        self._signal = np.repeat(np.arange(len(run.signals), dtype=np.int32), np.diff(run.first))  # (row,)
        self._loud = _joined([(v.fault.onset_ms - BEFORE_MS, v.fault.end_ms + AFTER_MS) for v in run.truth])
        self._of: dict[str, list[int]] = {}
        for i, signal in enumerate(run.signals):
            self._of.setdefault(signal.entity, []).append(i)
        self._is_quiet = self._quiet(run.start_ms + run.offset.astype(np.int64))  # (row,)
        self._asked = [asked(run.world.topology, v) for v in run.events]
        self._moved_to = [self._moved(s) for s in self._asked]
        self._faults = [self._ranges(s) for s in self._asked]
        self._elsewhere = [[self._ranges(e) for e in places] for places in self._moved_to]

    def days(self) -> Array:
        """(signal,) days of quiet, after the history and with no fault near, that each was watched."""
        return np.bincount(self._signal[self._is_quiet], minlength=len(self.run.signals)) * STEP_S / 86_400

    def episodes(self, alarms: Rows, gap_ms: int = GAP_MS) -> Rows:
        """The alarms that no other one of their signal preceded by the gap or less: where episodes begin."""
        signal, t = self._signal[alarms], self.run.offset[alarms].astype(np.int64)
        begins = np.ones(len(alarms), np.bool_)
        begins[1:] = (np.diff(signal) != 0) | (np.diff(t) > gap_ms)
        return np.asarray(alarms[begins])

    def found(self, alarms: Rows) -> Mask:
        """(event,) whether an episode began in its stretch; one that has gone on since before is no news."""
        begun = self.episodes(alarms)
        return np.array([_any(begun, ranges) for ranges in self._faults], np.bool_)

    def chance(self, alarms: Rows) -> Array:
        """(event,) the share of quiet stretches, as long and of the same entities, with one too; NaN: none fits."""
        begun = self.episodes(alarms)
        return np.array(
            [np.mean([_any(begun, r) for r in places]) if places else np.nan for places in self._elsewhere], float
        )

    def false_episodes(self, alarms: Rows, gap_ms: int = GAP_MS) -> Array:
        """(signal,) how many episodes there are of the alarms in quiet time."""
        begun = self.episodes(alarms[self._is_quiet[alarms]], gap_ms)
        return np.bincount(self._signal[begun], minlength=len(self.run.signals))

    def findings(self) -> tuple[Mask, Array, Array]:
        """Of what the engine joined: (event,) found, (event,) by chance, (entity, 2) false ones and days watched."""
        starts: dict[str, list[int]] = {name: [] for name in self._of if name}
        for finding in self.run.findings:
            starts[finding.entity].append(finding.start)
        found = np.array([_has(starts, s) for s in self._asked], np.bool_)
        chance = [np.mean([_has(starts, s) for s in places]) if places else np.nan for places in self._moved_to]
        days = self.days()
        false = [(self._quiet(np.array(at, np.int64)).sum(), days[self._of[name]].sum()) for name, at in starts.items()]
        return found, np.array(chance, float), np.array(false, float).reshape(-1, 2)

    def _ranges(self, stretch: Stretch) -> Array:
        """(range, 2) the rows [a, b) in which an alarm is asked for."""
        run, found = self.run, []
        bounds = stretch.begin - run.start_ms, stretch.end - run.start_ms + 1
        for entity in stretch.entities:
            for signal in self._of.get(entity, ()):
                rows = run.rows(signal)
                found.append(np.searchsorted(run.offset[rows], bounds) + rows.start)
        return np.array(found, np.int64).reshape(-1, 2)

    def _quiet(self, t: Times) -> Mask:
        if not len(self._loud):
            return np.asarray(t >= self.run.judged_ms)
        at = np.searchsorted(self._loud[:, 0], t, side="right") - 1
        return np.asarray((t >= self.run.judged_ms) & ((at < 0) | (t >= self._loud[at, 1])))

    def _moved(self, stretch: Stretch) -> list[Stretch]:
        """The same question asked where nothing happened, at places that depend on the world alone."""
        length = stretch.end - stretch.begin
        ends = np.append(self._loud[:, 0], self.run.end_ms) if len(self._loud) else np.array([self.run.end_ms])
        begins = np.maximum(np.append(self.run.judged_ms, self._loud[:, 1]), self.run.judged_ms)
        room = np.maximum(ends - begins - length, 0)
        if not room.sum():
            return []
        rng = np.random.default_rng([self.run.spec.seed, stretch.begin // 1000])
        at = np.sort(rng.integers(0, room.sum(), PLACES))
        before = np.cumsum(room) - room
        gap = np.searchsorted(before + room, at, side="right")
        return [Stretch(stretch.entities, int(b), int(b) + length) for b in begins[gap] + at - before[gap]]


def _has(starts: dict[str, list[int]], stretch: Stretch) -> bool:
    return any(stretch.begin <= t <= stretch.end for name in stretch.entities for t in starts.get(name, ()))


def _joined(spans: list[tuple[int, int]]) -> Times:
    """(n, 2) spans in order, those that touch made one."""
    found: list[list[int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([begin, end])
    return np.array(found, np.int64).reshape(-1, 2)


def _any(rows: Rows, ranges: Array) -> bool:
    """Whether one of the rows lies in one of the ranges."""
    return bool((np.searchsorted(rows, ranges[:, 1]) > np.searchsorted(rows, ranges[:, 0])).any())
