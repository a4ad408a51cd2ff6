"""What differs from replica to replica, host to host and volume to volume, once and for all; and how stores fill.

Nothing here ever reaches a limit: logs are rotated, caches are full at their size, growth levels off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from airis_mon.simulate.dice import DAY, HOUR, MINUTE, Floats, Times
from airis_mon.simulate.topology import Topology

THREADS = 40.0
LEVELS_OFF = 5.0
"""A filling that levels off has so many time constants before it begins anew."""


@dataclass(frozen=True, slots=True)
class Filling:
    """How disks fill and are cleared: (n,) each. level: share used when clear, height: what comes on top at most."""

    level: Floats
    height: Floats
    period_ms: Floats
    phase_ms: Floats
    is_levelling: Floats  # 1 = fast at first and then ever slower; 0 = in a straight line, as logs do

    def at(self, t: Times) -> Floats:
        """(time, n) share used."""
        part = ((t[:, None] + self.phase_ms) / self.period_ms) % 1
        curve = 1 - np.exp(-LEVELS_OFF * part)
        return np.asarray(self.level + self.height * np.where(self.is_levelling > 0, curve, part))


@dataclass(frozen=True, slots=True)
class Traits:
    """Drawn once for a world."""

    memory: Floats  # (replica,) share of its limit on a good day
    saw_ms: Floats  # (replica,) period of its heap's saw-tooth
    saw: Floats  # (replica,) height of it
    files: Floats  # (replica,)
    threads: Floats  # (replica,)
    open_files: Floats  # (replica,) of its sessions at mean load
    busy_threads: Floats  # (replica,) the same
    mean_load: Floats  # (replica,) requests/s
    bytes: Floats  # (service,) per request
    disk: Filling  # (host,)
    volume: Filling  # (service,)
    certificate_ms: Floats  # (service,) when its certificate is renewed, modulo 60 days


def traits(top: Topology, rng: Generator) -> Traits:
    """Drawn once for a world."""
    r, s, h = len(top.service), len(top.names), len(top.zone)
    is_cache = np.array(top.roles)[top.service] == "cache"
    load = (top.demand @ top.visits)[top.service] / np.bincount(top.service)[top.service]
    return Traits(
        memory=np.where(is_cache, rng.uniform(0.6, 0.85, r), rng.uniform(0.25, 0.55, r)),
        saw_ms=rng.uniform(20, 200, r) * MINUTE,
        saw=np.where(is_cache, 0.01, 0.2 * rng.beta(1, 2, r)),
        files=rng.uniform(80, 600, r),
        threads=THREADS * rng.lognormal(0, 0.3, r),
        open_files=np.minimum(30 * rng.lognormal(0, 1.2, r), 600),
        busy_threads=np.minimum(3 * rng.lognormal(0, 1.2, r), 60),
        mean_load=np.maximum(load, 1e-6),
        bytes=rng.lognormal(9, 1, s),
        disk=_filling(rng, h, (0.25, 0.5), 0.3),
        volume=_filling(rng, s, (0.15, 0.4), 0.3),
        certificate_ms=rng.uniform(0, 60, s) * DAY,
    )


def _filling(rng: Generator, n: int, level: tuple[float, float], highest: float) -> Filling:
    """Of ten: five rotate what they log, three grow and level off over weeks, two hardly move."""
    habit = rng.random(n)
    is_levelling, is_still = (habit >= 0.5) & (habit < 0.8), habit >= 0.8
    rotated = np.exp(rng.uniform(np.log(3 * HOUR), np.log(4 * DAY), n))
    period = np.where(is_levelling, rng.uniform(8, 40, n) * DAY, rotated)
    height = np.where(is_still, 0.005, rng.uniform(0.04, highest, n))
    return Filling(rng.uniform(*level, n), height, period, rng.random(n) * period, is_levelling.astype(float))
