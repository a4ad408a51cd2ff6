"""Pulses: what comes of itself now and then (cron, collections, flushes, backups), the same whenever it is asked about.

Each pulse is hashed from its owner's key and its number in time, so that any stretch has its pulses without the one
before it, and thousands of owners cost one pass over an array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from airis_mon.simulate.dice import MINUTE, Floats, Times
from airis_mon.simulate.topology import Ints

Keys = NDArray[np.uint64]
Flags = NDArray[np.bool_]
_GOLDEN, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
PARETO, HIGHEST = 2.5, 6.0
"""Heights of one owner's pulses: a Pareto distribution of this exponent, cut off."""


@dataclass(frozen=True, slots=True)
class Habit:
    """Whoever has pulses has them like this; ranges are drawn from evenly in the logarithm.

    share: of all who could have them. height: median over the owners. spread: standard deviation of its logarithm.
    """

    share: float
    period_min: tuple[float, float]
    length_s: tuple[float, float]
    height: float
    spread: float = 0.8


@dataclass(frozen=True, slots=True)
class Pulses:
    """At most one pulse per period and owner: on the dot (jitter 0) or anywhere in the period (1)."""

    width: int
    owner: Ints  # (owner,) their columns among `width`
    key: Keys  # (owner,)
    period_ms: Times  # (owner,)
    phase_ms: Times  # (owner,)
    length_ms: Floats  # (owner,)
    jitter: Floats  # (owner,)
    odds: Floats  # (owner,) that a period has its pulse
    height: Floats  # (owner,)

    def at(self, t: Times, step_ms: int) -> Floats:
        """(time, width) mean height over the step that ends at t; 0 where there is none."""
        out = np.zeros((len(t), self.width))
        moved = t[:, None] + self.phase_ms
        slot = moved // self.period_ms
        first = _hash(slot.astype(np.uint64) * _GOLDEN + self.key)
        second = _hash(first + _GOLDEN)
        begin = self.jitter * _unit(first) * (self.period_ms - self.length_ms)
        since = moved - slot * self.period_ms - begin
        part = np.clip(np.minimum(since, self.length_ms) - np.maximum(since - step_ms, 0), 0, None) / step_ms
        tall = np.minimum((1 - _unit(second)) ** (-1 / PARETO), HIGHEST)
        comes = _unit(_hash(second + _GOLDEN)) < self.odds
        out[:, self.owner] = part * tall * comes * self.height
        return out


def drawn(rng: Generator, width: int, habit: Habit, may: Flags | None = None) -> Pulses:
    """Who of `width` has the habit, and each one's own version of it. may: (width,) who can have it at all."""
    owner = np.flatnonzero((rng.random(width) < habit.share) & (True if may is None else may))
    n = len(owner)
    period = (_between(rng, n, habit.period_min) * MINUTE).astype(np.int64)
    return Pulses(
        width,
        owner,
        rng.integers(0, 2**63, n).astype(np.uint64),
        period,
        (rng.random(n) * period).astype(np.int64),
        np.minimum(_between(rng, n, habit.length_s) * 1000, period / 2),
        np.where(rng.random(n) < 0.4, 0.0, 1.0),
        rng.uniform(0.4, 1.0, n),
        habit.height * rng.lognormal(0, habit.spread, n),
    )


def _between(rng: Generator, n: int, ends: tuple[float, float]) -> Floats:
    low, high = ends
    return np.asarray(low * (high / low) ** rng.random(n))


def _hash(x: Keys) -> Keys:
    """Steele, Lea and Flood (2014, doi:10.1145/2660193.2660195), splitmix64's finaliser."""
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return np.asarray(x ^ (x >> np.uint64(31)))


def _unit(x: Keys) -> Floats:
    """[0, 1)."""
    return np.asarray((x >> np.uint64(11)) * 2.0**-53)
