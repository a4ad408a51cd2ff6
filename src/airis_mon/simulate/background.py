"""What no day is without, and no fault makes: hiccups, collections, cron, batch calls, failing requests. In both twins.

Most of who could have a habit has none, so that most series are quiet and some are not, as real ones are.
"""

from __future__ import annotations

import numpy as np

from airis_mon.simulate.dice import MINUTE, Dice, Floats, Times
from airis_mon.simulate.faults import Effects
from airis_mon.simulate.pulses import Habit, Pulses, drawn
from airis_mon.simulate.topology import Topology

BURST = 1.6
"""The logarithm of the rate of failures wanders so far."""
WORST = 0.08
"""No burst is worse."""
CHRONIC_WOBBLE = 0.25
WILD = (0.4, 0.6)
"""Latencies wander log-normally; median over the services, and spread, of the deviation of their logarithm."""
HABITS: dict[str, Habit] = {
    "wait": Habit(0.3, (5, 240), (15, 60), 1.2),  # own latencies: checkpoints, flushes, cold paths
    "hog": Habit(0.2, (5, 180), (15, 120), 0.7),  # cores: jobs beside the requests
    "gc": Habit(0.2, (5, 120), (10, 40), 0.06),  # of the time: full collections
    "memory": Habit(0.2, (20, 480), (30, 300), 0.2),  # of the room: large requests, reports
    "threads": Habit(0.3, (10, 480), (30, 600), 8.0),
    "files": Habit(0.25, (10, 480), (30, 300), 0.02),  # of the room
    "busy": Habit(0.2, (20, 480), (30, 300), 0.15),  # of a host's cores
    "io": Habit(0.12, (10, 480), (30, 300), 0.3),  # of its disk's time
    "extra": Habit(0.12, (15, 360), (30, 180), 0.4),  # of an edge's calls: a batch, a crawler
}
"""By the effect that each has."""
MOST = {"wait": 5.0, "hog": 6.0, "gc": 0.6, "memory": 0.7, "files": 0.3, "busy": 0.6, "io": 0.9, "extra": 0.8}
"""A pulse is cut off there: none shall do what only faults do."""


class Background:
    """The unrest of one world. level multiplies it (0 = a world at rest)."""

    def __init__(self, topology: Topology, dice: Dice, level: float) -> None:
        self._top, self._dice, self._level = topology, dice, level
        rng = dice.at("habits")
        widths = {"wait": len(topology.names), "extra": len(topology.caller)}
        widths |= dict.fromkeys(("busy", "io"), len(topology.zone))
        self._wild = np.clip(WILD[0] * rng.lognormal(0, WILD[1], len(topology.names)), 0.15, 1.6)
        self._pulses: dict[str, Pulses] = {
            name: drawn(rng, widths.get(name, len(topology.service)), habit) for name, habit in HABITS.items()
        }

    def stir(self, t: Times, x: Effects) -> None:
        """Adds it to a block's effects, in place."""
        if not self._level:
            return
        for name, pulses in self._pulses.items():
            height = np.minimum(pulses.at(t, x.step_ms), MOST.get(name, np.inf)) * self._level
            target: Floats = getattr(x, name)
            target += self._placed(name, height)
        self._wander(t, x)

    def _placed(self, name: str, height: Floats) -> Floats:
        """As wide as the effect: a service hiccups in all replicas, and nobody calls on behalf of a queue."""
        if name == "wait":
            return height[:, self._top.service]
        return height * ~self._top.is_async if name == "extra" else height

    def _wander(self, t: Times, x: Effects) -> None:
        """Latencies rise and fall, and requests fail in bursts; those of a bad service fail always."""
        top, level = self._top, self._level
        waits = self._dice.smooth("unsteady", t, MINUTE, len(top.names)) * level
        fails = self._dice.smooth("failing", t, 2 * MINUTE, len(top.names)) * level
        wandering = top.unsteady * np.exp(self._wild * (waits - self._wild / 2))
        x.wait[:] += np.minimum(wandering, MOST["wait"] / 2)[:, top.service]
        bursts = np.minimum(top.base_errors * np.expm1(np.maximum(BURST * fails, 0)), WORST)
        x.errors[:] += (bursts + top.chronic * np.maximum(1 + CHRONIC_WOBBLE * fails, 0))[:, top.service]
