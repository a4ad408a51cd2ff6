"""What can happen to the world: one fault, and the arrays by which faults reach the physics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airis_mon.simulate.dice import Floats, Times
from airis_mon.simulate.load import bump
from airis_mon.simulate.topology import Ints, Topology

FALL_MS = 45_000
"""Recovery is not instant."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, or a harmless one that looks like it.

    entity: a service or host by name, or "load"; at: its number, or that of the edge or endpoint. replicas: those that
    suffer (scope all, replica or zone). It grows from onset_ms over ramp_ms to full strength, and ends at end_ms.
    """

    id: str
    kind: str
    entity: str
    at: int
    scope: str
    replicas: tuple[int, ...]
    onset_ms: int
    ramp_ms: int
    end_ms: int
    amplitude: float  # 1 = the median of its kind
    change_ms: int | None = None  # when its guilty change was made

    @property
    def full_ms(self) -> int:
        """When it has grown up; of what leads up to a limit, when the limit is hit."""
        return self.onset_ms + self.ramp_ms

    def strength(self, t: Times) -> Floats:
        """(time,) 0..1."""
        return bump(t, self.onset_ms, self.end_ms - self.onset_ms, self.ramp_ms) * self.held(t)

    def held(self, t: Times) -> Floats:
        """(time,) 1 until its end, then quickly 0."""
        return np.asarray(np.clip((self.end_ms + FALL_MS - t) / FALL_MS, 0, 1) * (t >= self.onset_ms))

    def climb(self, t: Times) -> Floats:
        """(time,) 0 at the onset, 1 when full, then going on past 1 at the same rate; 0 after the end."""
        return np.asarray((t - self.onset_ms) / self.ramp_ms * (t >= self.onset_ms) * (t < self.end_ms))

    def full(self, t: Times) -> Floats:
        """(time,) 1 from its full strength to its end."""
        return np.asarray(((t >= self.full_ms) & (t < self.end_ms)).astype(float))

    def is_active(self, start: int, end: int) -> bool:
        """Whether anything of it falls into [start, end)."""
        return self.onset_ms < end and start < self.end_ms + FALL_MS


@dataclass(frozen=True, slots=True)
class Effects:
    """What faults and harmless events do, block by block; zeros on a quiet day. Shares are of 1 unless said."""

    t: Times
    step_ms: int
    steal: Floats  # (time, replica) CPU taken away
    hog: Floats  # (time, replica) cores burnt
    slow: Floats  # (time, replica) more work per request
    wait: Floats  # (time, replica) more latency, in the service's own latencies, without work
    errors: Floats  # (time, replica) failed requests
    down: Floats  # (time, replica) dead, and still in rotation for a tenth
    drained: Floats  # (time, replica) out of rotation, in good order
    memory: Floats  # (time, replica) of the room below its limit; 1 = it is reached
    files: Floats  # (time, replica) of the room below its limit
    empty: Floats  # (time, replica) memory that it does not hold yet since it began, 0..1
    threads: Floats  # (time, replica) more of them
    gc: Floats  # (time, replica) time spent collecting
    restart: Floats  # (time, replica) 1 at the step of a restart
    pool: Floats  # (time, service) connections lost
    misses: Floats  # (time, service) of a cache's hits
    stall: Floats  # (time, service) of a queue's speed
    disk: Floats  # (time, service) of the room in its volume
    quota: Floats  # (time, service) of its quota
    certificate: Floats  # (time, service) days left, as a fault has it; NaN = as usual
    delay: Floats  # (time, edge) s
    loss: Floats  # (time, edge) failed calls
    extra: Floats  # (time, edge) more calls
    busy: Floats  # (time, host) of its cores
    io: Floats  # (time, host) of its disk's time
    off: Floats  # (time, host) dead
    clock: Floats  # (time, host) s
    surge: Floats  # (time, endpoint) more demand

    @classmethod
    def none(cls, topology: Topology, t: Times, step_ms: int) -> Effects:
        """A quiet block."""
        replicas, services, edges = len(topology.service), len(topology.names), len(topology.caller)
        widths = [replicas] * 13 + [services] * 6 + [edges] * 3 + [len(topology.zone)] * 4 + [len(topology.endpoints)]
        made = cls(t, step_ms, *(np.zeros((len(t), w)) for w in widths))
        made.certificate[:] = np.nan
        return made

    def crossed(self, at: int) -> Floats:
        """(time,) 1 at the first step from `at` on."""
        return np.asarray(((self.t >= at) & (self.t - self.step_ms < at)).astype(float))


def reach(topology: Topology, scope: str, service: int, pick: int) -> Ints:
    """The replicas of a service that a scope means: all, one, or those of one zone."""
    replicas = topology.replicas(service)
    if scope == "replica":
        return replicas[[pick % len(replicas)]]
    if scope == "zone":
        zones = topology.zone[topology.host[replicas]]
        return np.asarray(replicas[zones == zones[pick % len(zones)]])
    return replicas
