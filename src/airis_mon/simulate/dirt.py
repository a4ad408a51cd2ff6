"""How measurements arrive in life: gaps, resets, wrong units, NaN, broken series, skewed clocks, late and twice.

Every draw belongs to a page (a fixed stretch of steps), an hour or a day, so that any block has the same dirt alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from airis_mon.series.labels import Labels, metric_of
from airis_mon.simulate.dice import DAY, HOUR, Dice, Floats, Times
from airis_mon.simulate.metrics import Layout
from airis_mon.simulate.topology import Ints

Mask = NDArray[np.bool_]
LOST, ODD, STUCK = 3e-4, 2e-6, 0.01
"""Shares: of samples lost, of samples that are NaN or infinite, of an hour's gauges that stop moving within it."""
TARGET_GAP, RESETS_PER_DAY, SKEWED, BROKEN, ENDED = 0.01, 4.0, 0.05, 0.006, 0.004
LATE, TWICE = 2e-4, 1e-4
MAX_SKEW_MS, MAX_LATE_STEPS = 90_000, 8
UNIT_PERIOD_MS = 4 * DAY


@dataclass(frozen=True, slots=True)
class Block:
    """Scrapes in order of time. A sample that is not `present` was never made; NaN and infinite ones were.

    late: (k, 3) row, column and by how many ms a sample arrives late; negative: it arrives in time, and again so
    much later.
    """

    t: Times  # (time,)
    value: Floats  # (time, series)
    present: Mask  # (time, series)
    skew_ms: Times  # (series,) what its target's clock adds to t
    labels: tuple[Labels, ...]  # (series,)
    late: Ints

    def cut(self, start: int, end: int) -> Block:
        """The scrapes with start <= t < end."""
        a, b = np.searchsorted(self.t, (start, end)).tolist()
        late = self.late[(self.late[:, 0] >= a) & (self.late[:, 0] < b)] - np.array([a, 0, 0])
        return replace(self, t=self.t[a:b], value=self.value[a:b], present=self.present[a:b], late=late)


class Dirt:
    """The dirt of one world. level multiplies how often each thing happens."""

    def __init__(self, layout: Layout, dice: Dice, level: float) -> None:
        self._layout, self._dice, self._level = layout, dice, level
        rng, gauges = dice.at("broken"), np.arange(layout.counters, len(layout.labels))
        n = round(min(1.0, BROKEN * level) * len(gauges))
        self._broken = (
            rng.permutation(gauges)[: 3 * n].reshape(3, -1) if 3 * n <= len(gauges) else gauges[:0].reshape(3, 0)
        )
        self._memory = np.array([metric_of(x) == "container_memory_working_set_bytes" for x in layout.labels])

    def resets(self, t: Times, step_ms: int) -> Mask:
        """(time, counter): where an exporter began anew."""
        found = np.zeros((len(t), self._layout.counters), np.bool_)
        targets = int(self._layout.target.max()) + 1
        for hour in range(int(t[0]) // HOUR, int(t[-1]) // HOUR + 1):
            rng = self._dice.at("reset", hour)
            for _ in range(int(rng.poisson(RESETS_PER_DAY * self._level / 24))):
                at, target = hour * HOUR + int(rng.integers(HOUR)), rng.integers(targets)
                row = (t >= at) & (t - step_ms < at)
                found |= row[:, None] & (self._layout.target[: self._layout.counters] == target)
        return found

    def soil(self, t: Times, value: Floats, present: Mask, page: int) -> None:
        """Spoils a page in place."""
        if not self._level:
            return
        rng = self._dice.at("dirt", page)
        self._change_units(t, value)
        self._break(t, value)
        self._stick(value, rng)
        self._lose(value, present, rng)
        self._end(t, present)

    def skew(self, t: int) -> Times:
        """(series,) ms that clocks are off on the day of t."""
        hosts = int(self._layout.host.max()) + 1
        rng = self._dice.at("skew", t // DAY)
        is_off = rng.random(hosts) < SKEWED * self._level
        off = np.where(is_off, rng.integers(-MAX_SKEW_MS, MAX_SKEW_MS + 1, hosts), 0)
        return np.where(self._layout.host >= 0, off[self._layout.host], 0)

    def late(self, steps: int, page: int, step_ms: int) -> Ints:
        """(k, 3): see Block."""
        rng, series = self._dice.at("late", page), len(self._layout.labels)
        cells = steps * series
        n, m = rng.poisson([cells * LATE * self._level, cells * TWICE * self._level]).tolist()
        at = np.sort(rng.choice(cells, min(n + m, cells), replace=False))
        by = rng.integers(1, MAX_LATE_STEPS + 1, len(at)) * rng.permutation(np.where(np.arange(len(at)) < n, 1, -1))
        return np.stack([at // series, at % series, by * step_ms], axis=1)

    def _change_units(self, t: Times, value: Floats) -> None:
        """For a day of four, one service's memory is told in KiB."""
        for period in range(int(t[0]) // UNIT_PERIOD_MS, int(t[-1]) // UNIT_PERIOD_MS + 1):
            rng = self._dice.at("unit", period)
            at = period * UNIT_PERIOD_MS + int(rng.integers(3 * DAY))
            service = rng.integers(self._layout.service.max() + 1)
            if rng.random() < 0.5 * self._level:
                rows = np.flatnonzero((t >= at) & (t < at + DAY))
                columns = np.flatnonzero(self._memory & (self._layout.service == service))
                value[np.ix_(rows, columns)] /= 1024

    def _break(self, t: Times, value: Floats) -> None:
        """Chronically broken series: always NaN, never moving, or flapping."""
        absent, flat, flapping = self._broken
        value[:, absent] = np.nan
        value[:, flat] = 0.0
        phase = (t[:, None] // 420_000 * 2_654_435_761 + flapping * 40_503) >> 16 & 1
        value[:, flapping] *= 1 + 0.8 * phase

    def _stick(self, value: Floats, rng: Generator) -> None:
        gauges = np.arange(self._layout.counters, value.shape[1])
        for column in gauges[rng.random(len(gauges)) < STUCK / 24 * self._level]:
            row = int(rng.integers(len(value)))
            value[row:, column] = value[row, column]

    def _lose(self, value: Floats, present: Mask, rng: Generator) -> None:
        steps, series = value.shape
        lost = rng.integers(0, value.size, rng.poisson(value.size * LOST * self._level))
        present[lost // series, lost % series] = False
        n = rng.poisson(value.size * ODD * self._level)
        odd = rng.integers(self._layout.counters, series, n)
        value[rng.integers(0, steps, n), odd] = rng.choice([np.nan, np.inf, -np.inf], n, p=[0.6, 0.3, 0.1])
        targets = int(self._layout.target.max()) + 1
        for target in np.flatnonzero(rng.random(targets) < TARGET_GAP * self._level):
            row, length = int(rng.integers(steps)), int(rng.geometric(0.25))
            present[row : row + length, self._layout.target == target] = False

    def _end(self, t: Times, present: Mask) -> None:
        """Some series go stale for a day."""
        for day in range(int(t[0]) // DAY, int(t[-1]) // DAY + 1):
            gone = self._dice.at("stale", day).random(present.shape[1]) < ENDED * self._level
            present &= ~((t // DAY == day)[:, None] & gone)
