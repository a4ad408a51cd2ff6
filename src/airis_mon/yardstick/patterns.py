"""Series that look like the beginning of an exhaustion, most of which are none: more of them than the world has.

What rises there without harm keeps below its limit, and what leaks does so in a straight line. Here logs rotate,
caches fill, data is loaded and days come and go near the limit, beside leaks that are steady and that accelerate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import METRIC, canonical
from airis_mon.yardstick.scraped import Held

METRIC_NAME, OWNER = "used_ratio", "series"
STEP_MS, HOUR_MS, DAYS = 300_000, 3_600_000, 7
LATEST_H = DAYS * 24 - 2
"""A leak hits its limit before that."""
AFTER_MS = HOUR_MS
"""So long a resource stays full until somebody acts."""
Shape = Callable[[Values, Generator], Values]
"""(n,) hours -> (n,) the share that is used, without noise."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One series. hit_ms: when a leak fills it, None = it is no leak; it rises from onset_ms on."""

    held: Held
    kind: str
    onset_ms: int
    hit_ms: int | None

    @property
    def name(self) -> str:
        """What its label says."""
        return dict(self.held.labels)[OWNER]


def patterns(seed: int, count: int = 300, start_ms: int = 0) -> list[Pattern]:
    """So many series of seven days at five minutes, kinds in turn. The same seed, the same series."""
    t = start_ms + np.arange(DAYS * 24 * HOUR_MS // STEP_MS, dtype=np.int64) * STEP_MS
    kinds = [*LEAKS, *HARMLESS]
    return [_pattern(kinds[i % len(kinds)], i, t, np.random.default_rng((seed, i))) for i in range(count)]


def _pattern(kind: str, i: int, t: Times, rng: Generator) -> Pattern:
    hours = (t - t[0]) / HOUR_MS
    labels = canonical([(METRIC, METRIC_NAME), (OWNER, f"{kind}-{i}")])
    wobble = _wobble(hours, rng)
    if kind not in LEAKS:
        used = np.clip(HARMLESS[kind](hours, rng) + wobble, 0.01, 0.99)
        return Pattern(Held(labels, t, used), kind, 0, None)
    base, lead = rng.uniform(0.15, 0.55), rng.uniform(6, 72)
    hit = rng.uniform(lead + 6, LATEST_H)
    climb = np.clip((hours - (hit - lead)) / lead, 0, 1)
    used = np.clip(base + (1 - base) * LEAKS[kind](climb) + wobble * (1 - climb), 0.01, 1)
    used = np.where(
        hours >= hit, np.where(hours < hit + AFTER_MS / HOUR_MS, 1.0, np.clip(base + wobble, 0.01, 1)), used
    )
    first = int(t[0])
    return Pattern(Held(labels, t, used), kind, first + round((hit - lead) * HOUR_MS), first + round(hit * HOUR_MS))


def _wobble(hours: Values, rng: Generator) -> Values:
    """Noise with memory, and a little of the day."""
    white = rng.standard_normal(len(hours)) * rng.uniform(0.0005, 0.004)
    smooth = np.convolve(rng.standard_normal(len(hours) + 23), np.ones(24) / 24, "valid") * rng.uniform(0, 0.02)
    return np.asarray(white + smooth + rng.uniform(0, 0.02) * np.sin(2 * np.pi * (hours / 24 + rng.random())))


def rotated(hours: Values, rng: Generator) -> Values:
    """Logs, journals, heaps: they grow and are cleared, again and again."""
    low, high, period = rng.uniform(0.1, 0.5), rng.uniform(0.6, 0.97), rng.uniform(3, 36)
    return np.asarray(low + (high - low) * ((hours / period + rng.random()) % 1))


def loaded(hours: Values, rng: Generator) -> Values:
    """Data is loaded within an hour or a few, and stays."""
    base, by = rng.uniform(0.15, 0.5), rng.uniform(0.1, 0.4)
    return np.asarray(base + by * np.clip((hours - rng.uniform(12, 150)) / rng.uniform(0.5, 6), 0, 1))


def cached(hours: Values, rng: Generator) -> Values:
    """A cache fills up after its start and then stays as it is."""
    base, full = rng.uniform(0.05, 0.3), rng.uniform(0.6, 0.97)
    since = np.maximum(hours - rng.uniform(0, 100), 0)
    return np.asarray(base + (full - base) * (1 - np.exp(-since / rng.uniform(1, 10))))


def seasonal(hours: Values, rng: Generator) -> Values:
    """More by day than by night, less at weekends."""
    middle, swing = rng.uniform(0.35, 0.6), rng.uniform(0.08, 0.3)
    weekend = 1 - 0.4 * (hours // 24 >= 5)
    return np.asarray(middle + swing * weekend * np.sin(2 * np.pi * (hours / 24 + rng.random())))


def flat(hours: Values, rng: Generator) -> Values:
    """Nothing happens."""
    return np.full(len(hours), rng.uniform(0.1, 0.8))


LEAKS: dict[str, Callable[[Values], Values]] = {
    "steady leak": lambda climb: climb,
    "accelerating leak": lambda climb: climb**2.5,
}
"""How far it has risen, 0..1, at a share of the way to its limit, 0..1."""
HARMLESS: dict[str, Shape] = {
    "rotated": rotated,
    "loaded": loaded,
    "cached": cached,
    "seasonal": seasonal,
    "flat": flat,
}
