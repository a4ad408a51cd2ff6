"""How measuring blurs the truth: most series a little, some with heavy tails, bursts, and stretches on another level.

The tails were set by quiet stretches of real measurements, and by nothing else (docs/simulate.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from airis_mon.simulate.dice import Floats
from airis_mon.simulate.faults import Effects
from airis_mon.simulate.pulses import Habit, Pulses, drawn

HEAVY, LIGHT_TAIL, HEAVY_TAIL = 0.3, (0.04, 0.6), (1.0, 1.2)
"""Of all series so many have heavy tails; median and spread of the tail of either."""
LONGEST_TAIL, DEVIATIONS = 12.0, 40.0
COARSE = 0.01
"""Series that are measured more exactly than this have neither bursts nor levels: sizes, limits, dates."""
BURSTS = Habit(0.25, (10, 480), (15, 600), 2.5, 1.2)
LEVELS = Habit(0.08, (360, 4320), (600, 3600), 0.5)
SLOW = Habit(0.25, (10, 360), (15, 300), 1.2, 1.0)
"""Latencies: a large order, a cold key, one client far away."""
TALLEST = 20.0
UNEVEN = 0.7
"""Some are steadier than others by so much, in the logarithm."""


def tails(rng: Generator, n: int) -> Floats:
    """(n,) how heavy the tails of series are; see `heavy`."""
    light = LIGHT_TAIL[0] * rng.lognormal(0, LIGHT_TAIL[1], n)
    wild = np.minimum(HEAVY_TAIL[0] * rng.lognormal(0, HEAVY_TAIL[1], n), LONGEST_TAIL)
    return np.where(rng.random(n) < HEAVY, wild, light)


def heavy(white: Floats, tail: Floats) -> Floats:
    """(time, n) normal noise bent cubically, of unit variance again: E[(w + k w^3)^2] = 1 + 6 k + 15 k^2."""
    bent = white * (1 + tail * white * white) / np.sqrt(1 + 6 * tail + 15 * tail * tail)
    return np.asarray(np.clip(bent, -DEVIATIONS, DEVIATIONS))


@dataclass(frozen=True, slots=True)
class Lumps:
    """Why means of latencies are uneven: tails, and some requests that are slow for reasons of their own."""

    tail: Floats
    slow: Pulses

    @classmethod
    def drawn(cls, n: int, rng: Generator) -> Lumps:
        """Of n means."""
        return cls(tails(rng, n), drawn(rng, n, SLOW))

    def spread(self, mean: Floats, noise: Floats, x: Effects, rng: Generator, level: float) -> Floats:
        """(time, n) means as measured. noise: (time, n) relative."""
        white = heavy(rng.standard_normal(mean.shape), self.tail)
        slow = np.minimum(self.slow.at(x.t, x.step_ms), TALLEST)
        return np.asarray(mean * np.maximum(1 + level * noise * white, 0.1) * (1 + level * slow))


@dataclass(frozen=True, slots=True)
class Blur:
    """The blur of some columns; (n,) each, relative to the value."""

    noise: Floats
    tail: Floats
    bursts: Pulses
    levels: Pulses
    side: Floats  # of a level: 1 = above, -1 = below

    @classmethod
    def drawn(cls, noise: Floats, rng: Generator) -> Blur:
        """Of columns that are blurred so much in the middle."""
        n = len(noise)
        return cls(
            noise * rng.lognormal(0, UNEVEN, n),
            tails(rng, n),
            drawn(rng, n, BURSTS, noise >= COARSE),
            drawn(rng, n, LEVELS, noise >= COARSE),
            np.where(rng.random(n) < 0.6, 1.0, -1.0),
        )

    def spread(self, value: Floats, x: Effects, rng: Generator, drift: Floats, level: float) -> None:
        """Blurs (time, n) in place. drift: (time, n) noise with memory."""
        white = heavy(rng.standard_normal(drift.shape), self.tail)
        value *= np.maximum(1 + self.noise * level * (white + drift), 0.05)
        bursts, levels = (np.minimum(p.at(x.t, x.step_ms), TALLEST) for p in (self.bursts, self.levels))
        value *= (1 + level * bursts) * np.exp(level * self.side * levels)
