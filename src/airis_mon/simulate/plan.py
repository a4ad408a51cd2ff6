"""What will happen when: cases with their faults, no-op controls, innocent changes, harmless events, maintenance.

Time is dealt out in cycles of 20 cases. A cycle is drawn from its number alone, so any stretch can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from airis_mon.simulate.dice import DAY, HOUR, MINUTE, Dice
from airis_mon.simulate.faults import FALL_MS, Fault, reach
from airis_mon.simulate.kinds import HARMLESS, KINDS, LONGEST_HARMLESS_MS, LONGEST_LEAD_MS, WARM_UP_H, Kind
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.topology import Topology

CASES, CONTROLS = 20, 7
SECOND_ODDS = 0.11
"""Of a case with a fault: another begins within five minutes, unless it would befall the same."""
FAULTS_PER_CYCLE = (CASES - CONTROLS) * (1 + SECOND_ODDS)
INNOCENT = 10
AMPLITUDE_MEDIAN, AMPLITUDE_SIGMA = 1.9, 0.9
LONGEST_MS = 90 * MINUTE
HARMLESS_PER_DAY = {"cpu_spike": 60.0, "memory_bump": 36.0, "thread_burst": 36.0, "batch_job": 12.0, "refill": 2.0}
ROLL_MS = 40_000
"""So long it takes to replace one replica."""
TITLES = {
    "deploy": "Roll out {entity} {version}",
    "config": "Change limits of {entity}",
    "flag": "Turn on a flag in {entity}",
    "scale": "Autoscaler: {entity} to {n} replicas",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A change event: kind is deploy, config, flag or scale."""

    t: int
    entity: str
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Window:
    """Planned maintenance of one service."""

    start_ms: int
    end_ms: int
    entity: str
    title: str


@dataclass(frozen=True, slots=True)
class Case:
    """A stretch of time in which something is injected at `at_ms`, or nothing at all: then it is a no-op control."""

    id: str
    start_ms: int
    end_ms: int
    at_ms: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Cycle:
    """Twenty cases and what surrounds them, in order of time."""

    cases: tuple[Case, ...]
    changes: tuple[Change, ...]
    harmless: tuple[Fault, ...]
    maintenance: tuple[Window, ...]


class Plan:
    """The world's future. Cycles are kept once they have been drawn; the answers don't depend on what was asked."""

    def __init__(self, settings: Settings, topology: Topology, dice: Dice) -> None:
        self._settings = settings
        self._topology = topology
        self._dice = dice
        self._cycles: dict[int, Cycle] = {}
        rate = settings.faults_per_day or 4.0
        self.slot_ms = round(FAULTS_PER_CYCLE / rate / CASES * DAY)
        roles = set(topology.roles) | {"edge", "host", "load", "pool"}
        self._kinds = tuple(k for k in settings.kinds if roles & set(KINDS[k].befalls))

    def cases(self, start: int, end: int) -> list[Case]:
        """Those whose moment falls into [start, end)."""
        cycles = self._between(start, end)
        return [c for cycle in cycles for c in cycle.cases if start <= c.at_ms < end]

    def faults(self, start: int, end: int) -> list[Fault]:
        """Those that do anything in [start, end)."""
        cases = (c for cycle in self._between(start, end + LONGEST_LEAD_MS) for c in cycle.cases)
        return [f for c in cases for f in c.faults if f.is_active(start, end)]

    def harmless(self, start: int, end: int) -> list[Fault]:
        """Harmless events that do anything in [start, end)."""
        cycles = self._between(start - LONGEST_HARMLESS_MS, end)
        return [f for cycle in cycles for f in cycle.harmless if f.is_active(start, end)]

    def changes(self, start: int, end: int) -> list[Change]:
        """Guilty and innocent ones in [start, end); who is which, only the truth says."""
        return sorted(
            (c for cycle in self._between(start, end) for c in cycle.changes if start <= c.t < end),
            key=lambda c: (c.t, c.entity),
        )

    def maintenance(self, start: int, end: int) -> list[Window]:
        """Windows that overlap [start, end)."""
        windows = (w for cycle in self._between(start, end) for w in cycle.maintenance)
        return [w for w in windows if w.start_ms < end and start < w.end_ms]

    def _between(self, start: int, end: int) -> Iterator[Cycle]:
        """One more on either side: what a cycle holds may reach over its ends."""
        length = CASES * self.slot_ms
        origin = self._settings.start_ms
        for n in range(max(0, (start - origin) // length - 1), max(0, (end - origin) // length + 2)):
            if n not in self._cycles:
                self._cycles[n] = self._draw(n, origin + n * length)
            yield self._cycles[n]

    def _draw(self, n: int, start: int) -> Cycle:
        rng, end = self._dice.at("plan", n), start + CASES * self.slot_ms
        is_control = np.arange(CASES) < (CONTROLS if self._settings.faults_per_day else CASES)
        rng.shuffle(is_control)
        cases = tuple(self._case(n, i, start, bool(is_control[i]), rng) for i in range(CASES))
        faults = [f for case in cases for f in case.faults]
        guilty = [self._guilty(f) for f in faults if f.change_ms is not None]
        n_innocent = INNOCENT * len(guilty) if faults else round(10 * (end - start) / DAY)
        innocent = [self._innocent(rng, start, end) for _ in range(n_innocent)]
        changes = sorted((*guilty, *innocent), key=lambda c: (c.t, c.entity))
        rollouts = [self._rollout(c, n, i, rng) for i, c in enumerate(changes) if c.kind == "deploy"]
        windows, drains = self._works(n, start, end, rng)
        return Cycle(cases, tuple(changes), (*rollouts, *drains, *self._noise(n, start, end, rng)), windows)

    def _case(self, n: int, i: int, origin: int, is_control: bool, rng: Generator) -> Case:
        start, name = origin + i * self.slot_ms, f"case-{n:04d}-{i:02d}"
        at = start + round(self.slot_ms * rng.uniform(0.3, 0.5))
        faults: list[Fault] = []
        if not is_control:
            faults.append(self._fault(f"{name}-a", at, rng))
            if rng.random() < SECOND_ODDS:
                later = at + round(rng.uniform(0, min(5 * MINUTE, 0.1 * self.slot_ms)))
                second = self._fault(f"{name}-b", later, rng)
                faults += [second] if second.entity != faults[0].entity else []
        return Case(name, start, start + self.slot_ms, at, tuple(faults))

    def _fault(self, name: str, at: int, rng: Generator) -> Fault:
        """A fault that strikes at `at`: a sudden one begins then, one with a lead reaches its limit then."""
        kind = self._kinds[int(rng.integers(len(self._kinds)))]
        return self._befall(name, kind, KINDS[kind], at, rng)

    def _befall(self, name: str, kind: str, what: Kind, at: int, rng: Generator) -> Fault:
        entity, number, scope, replicas = self._victim(what, rng)
        amplitude = self._settings.amplitude * float(rng.lognormal(np.log(AMPLITUDE_MEDIAN), AMPLITUDE_SIGMA))
        room = 0.5 * self.slot_ms - FALL_MS
        length = min(room, LONGEST_MS, float(rng.lognormal(np.log(25), 0.5)) * MINUTE)
        ramp = min(rng.uniform(*what.ramp_ms), 0.3 * length)
        lead = rng.uniform(*what.lead_h) * HOUR
        onset = at
        if what.lead_h[1]:
            onset = max(self._settings.start_ms, round(at - lead))
            ramp = max(1, at - onset)
        change = None if not what.change else round(onset - rng.exponential(90_000) - 5_000)
        return Fault(
            name, kind, entity, number, scope, replicas, onset, round(ramp), round(at + length), amplitude, change
        )

    def _victim(self, what: Kind, rng: Generator) -> tuple[str, int, str, tuple[int, ...]]:
        """(entity, its number, scope, replicas that suffer)."""
        top, role = self._topology, what.befalls[0]
        scope = str(rng.choice(what.scopes))
        if role == "load":
            return "load", int(rng.integers(len(top.endpoints))), "all", ()
        if role == "host":
            host = int(rng.choice(np.unique(top.host)))
            return top.hosts[host], host, "all", tuple(np.flatnonzero(top.host == host).tolist())
        if role == "edge":
            edge = int(rng.choice(np.flatnonzero(~top.is_async)))
            return top.names[top.callee[edge]], edge, "all", ()
        service = int(rng.choice(self._candidates(what)))
        return top.names[service], service, scope, tuple(reach(top, scope, service, int(rng.integers(60))).tolist())

    def _candidates(self, what: Kind) -> list[int]:
        top = self._topology
        if what.befalls == ("pool",):
            return sorted({int(a) for a, b in zip(top.caller, top.callee, strict=True) if top.roles[b] == "db"})
        return [i for i in top.of(*what.befalls).tolist() if i > 0 or "entry" in what.befalls]

    def _guilty(self, fault: Fault) -> Change:
        return self._change(fault.change_ms or 0, fault.entity, KINDS[fault.kind].change)

    def _innocent(self, rng: Generator, start: int, end: int) -> Change:
        names = [self._topology.names[i] for i in self._topology.of("entry", "app")]
        kind = str(rng.choice(["deploy", "config", "flag"], p=[0.5, 0.3, 0.2]))
        return self._change(int(rng.integers(start, end)), str(rng.choice(names)), kind)

    def _change(self, t: int, entity: str, kind: str) -> Change:
        return Change(t, entity, kind, TITLES[kind].format(entity=entity, version=f"build {t // 1000 % 100_000}"))

    def _rollout(self, change: Change, n: int, i: int, rng: Generator) -> Fault:
        at = self._topology.names.index(change.entity)
        replicas = tuple(self._topology.replicas(at).tolist())
        end = change.t + len(replicas) * ROLL_MS + round(rng.uniform(*WARM_UP_H) * HOUR)
        return Fault(f"rollout-{n}-{i}", "rollout", change.entity, at, "all", replicas, change.t, ROLL_MS, end, 1.0)

    def _works(self, n: int, start: int, end: int, rng: Generator) -> tuple[tuple[Window, ...], list[Fault]]:
        """One maintenance window a day or so, and the replica that it takes out."""
        windows, drains = [], []
        for i in range(max(1, (end - start) // DAY)):
            service = int(rng.choice(self._topology.of("app")))
            begin, length = int(rng.integers(start, end)), int(rng.uniform(15, 45) * MINUTE)
            name = self._topology.names[service]
            windows.append(Window(begin, begin + length, name, f"Planned work on {name}"))
            replica = (int(self._topology.replicas(service)[0]),)
            drains.append(
                Fault(f"drain-{n}-{i}", "drain", name, service, "replica", replica, begin, 1, begin + length, 1.0)
            )
        return tuple(windows), drains

    def _noise(self, n: int, start: int, end: int, rng: Generator) -> list[Fault]:
        """Harmless events, more of them in a larger world."""
        made: list[Fault] = []
        for kind, per_day in HARMLESS_PER_DAY.items():
            expected = per_day * self._settings.noise * len(self._topology.names) / 25 * (end - start) / DAY
            made += [self._passing(f"{kind}-{n}-{i}", kind, start, end, rng) for i in range(int(rng.poisson(expected)))]
        return made

    def _passing(self, name: str, kind: str, start: int, end: int, rng: Generator) -> Fault:
        """A harmless event that begins within [start, end)."""
        what = HARMLESS[kind]
        entity, at, scope, replicas = self._victim(what, rng)
        begin, length = int(rng.integers(start, end)), int(rng.lognormal(0.7, 0.6) * MINUTE)
        if what.last_h[1]:
            length = int(rng.uniform(*what.last_h) * HOUR)
        amplitude = float(rng.lognormal(0.2, 0.9))
        return Fault(name, kind, entity, at, scope, replicas, begin, 10_000, begin + length, amplitude)
