"""What really happened, kept apart from the inputs: each fault against the same world without it.

A fault is valid only if something that users feel moved; which services it reached, and when, is read from the
difference between the twins, not from the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from airis_mon.simulate.dice import MINUTE, Floats, Times
from airis_mon.simulate.faults import Fault
from airis_mon.simulate.kinds import KINDS
from airis_mon.simulate.plan import Case
from airis_mon.simulate.world import World

AFTER_MS = 20 * MINUTE
"""Queues empty and lags run out within so much after a fault."""
USER_LATENCY, USER_ERRORS, USER_AGE_S = 1.2, 0.005, 60.0
"""A user feels a latency longer by a fifth, a request of two hundred failing more, work a minute older."""
SERVICE_LATENCY, SERVICE_ERRORS, SERVICE_AGE_S = 1.1, 0.002, 10.0
FELT_MS = MINUTE
"""For so long, in a row, before it counts."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """What users feel, and how far it moved: the largest ratio of latencies, or difference of error shares or ages."""

    name: str
    moved_ms: int
    worst: float


@dataclass(frozen=True, slots=True)
class Reached:
    """A service that the fault reached, and when."""

    service: str
    onset_ms: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fault and what became of it. Valid means that an indicator moved; path is in order of onset."""

    fault: Fault
    case: str
    edge: tuple[str, str] | None
    indicators: tuple[Indicator, ...]
    path: tuple[Reached, ...]
    is_history: bool

    @property
    def is_valid(self) -> bool:
        """Whether users felt it."""
        return bool(self.indicators)

    @property
    def impact_ms(self) -> int | None:
        """When users first felt it."""
        return min((i.moved_ms for i in self.indicators), default=None)


def verdicts(world: World, start: int, end: int) -> Iterator[Verdict]:
    """Of every fault whose case falls into [start, end), in order of cases."""
    for case in world.plan.cases(start, end):
        for fault in case.faults:
            yield judge(world, case, fault)


def judge(world: World, case: Case, fault: Fault) -> Verdict:
    """One fault against the twin that lacks it. Costs two runs of the physics over the fault's pages."""
    t, real, twin = _twins(world, fault)
    edge = world.topology.edges[fault.at] if KINDS[fault.kind].befalls == ("edge",) else None
    horizon = world.settings.start_ms + round(world.settings.history_days * 86_400_000)
    indicators = tuple(_indicators(world, t, real, twin))
    return Verdict(fault, case.id, edge, indicators, tuple(_path(world, t, real, twin)), fault.full_ms < horizon)


@dataclass(frozen=True, slots=True)
class _Run:
    """One twin over time."""

    latency: Floats  # (time, service)
    errors: Floats  # (time, service)
    age: Floats  # (time, service)
    user_latency: Floats  # (time, endpoint)
    user_errors: Floats  # (time, endpoint)


def _twins(world: World, fault: Fault) -> tuple[Times, _Run, _Run]:
    """The same pages with the fault and without; other faults befall both."""
    first, last = world.page_of(fault.onset_ms), world.page_of(fault.end_ms + AFTER_MS)
    pages = range(max(0, first - 1), last + 1)
    begin, end = int(world.times(pages[0])[0]), int(world.times(last)[-1]) + 1
    others = [f for f in world.plan.faults(begin, end) if f.id != fault.id]
    t = np.concatenate([world.times(p) for p in pages])
    return t, _run(world, pages, [*others, fault]), _run(world, pages, others)


def _run(world: World, pages: range, faults: list[Fault]) -> _Run:
    state, flows = world.settled, []
    for page in pages:
        t = world.times(page)
        active = [f for f in faults if f.is_active(int(t[0]), int(t[-1]) + 1)]
        flow, _, state = world.happen(page, active, state)
        flows.append(flow)
    return _Run(
        np.concatenate([f.latency for f in flows]),
        np.concatenate([f.errors for f in flows]),
        np.concatenate([f.age for f in flows]),
        np.concatenate([f.user_latency for f in flows]),
        np.concatenate([f.user_errors for f in flows]),
    )


def _indicators(world: World, t: Times, real: _Run, twin: _Run) -> Iterator[Indicator]:
    measures = []
    for k, name in enumerate(world.topology.endpoints):
        ratio = real.user_latency[:, k] / twin.user_latency[:, k]
        worse = real.user_errors[:, k] - twin.user_errors[:, k]
        measures += [(f"latency of {name}", ratio, USER_LATENCY), (f"errors of {name}", worse, USER_ERRORS)]
    for queue in world.topology.of("queue").tolist():
        late = real.age[:, queue] - twin.age[:, queue]
        measures.append((f"age of {world.topology.names[queue]}", late, USER_AGE_S))
    for what, values, line in measures:
        at = _since(values > line, world.settings.step_ms)
        if at >= 0:
            yield Indicator(what, int(t[at]), round(float(values.max()), 4))


def _path(world: World, t: Times, real: _Run, twin: _Run) -> list[Reached]:
    is_moved = (real.latency > SERVICE_LATENCY * twin.latency) | (real.errors - twin.errors > SERVICE_ERRORS)
    is_moved |= real.age - twin.age > SERVICE_AGE_S
    found = [(_since(is_moved[:, i], world.settings.step_ms), n) for i, n in enumerate(world.topology.names)]
    return [Reached(name, int(t[at])) for at, name in sorted(found) if at >= 0]


def _since(holds: np.ndarray[tuple[int], np.dtype[np.bool_]], step_ms: int) -> int:
    """The first step from which it holds for FELT_MS in a row, -1 = never."""
    n = max(1, -(-FELT_MS // step_ms))
    if len(holds) < n:
        return -1
    run = np.lib.stride_tricks.sliding_window_view(holds, n).all(axis=1)
    return int(run.argmax()) if run.any() else -1
