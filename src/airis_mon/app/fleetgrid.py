"""The past of watched signals on a regular grid, as forecasts need it: days of thousands of signals, read cheaply.

Drawing signals from raw samples (`app/history.py`) would read 86,400 of each for 15 days. Rollups hold 20 times fewer
numbers: a gauge is the mean of its step; a rate, mean or p99 is derived, by the watch that derives the live one, from
the latest value of each step, as if its series were scraped once a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.detect.watch import Watch
from airis_mon.errors import AirisError
from airis_mon.series.batch import Values
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels
from airis_mon.series.steps import Steps
from airis_mon.store.base import Fingerprints, SeriesStore

MINUTES_5_MS = 300_000
FRESH_MS = 600_000
"""So much of the present is read from samples: rollups are built up to eight minutes later."""
AT_ONCE = 300
"""Series that one question to the store reads: a second of work of the store at most, and 15 MB."""
GAUGE, RATE = "value", "rate"
AS_IF_MS = 60_000
"""Steps are shown to the watch as if they were a minute: what lies more than five apart has a gap between."""


class NotYet(AirisError):
    """A round cannot be made now; it will be tried again."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A watched signal and the series it is computed from."""

    fp: int
    kind: str
    labels: Labels
    slot: int
    inputs: tuple[int, ...]


def watched(
    watch: Watch, catalogue: Catalogue, matches: Callable[[Labels], bool], most: int
) -> tuple[list[Watched], int]:
    """The signals of the series that match, those watched longest first, at most so many; and how many are left out."""
    found: list[Watched] = []
    count = 0
    for slot in watch.slots.held().tolist():
        try:
            signal = watch.signal(slot)
            labels = catalogue.labels(signal.sid)
            if not matches(labels):
                continue
            count += 1
            if len(found) < most:
                found.append(Watched(signal.fp, signal.kind, labels, slot, tuple(watch.inputs(slot))))
        except KeyError:  # given up at this moment
            continue
    return found, count - len(found)


def portions(signals: Sequence[Watched]) -> Iterator[Sequence[Watched]]:
    """The signals, so many at a time as are read at once."""
    first = held = 0
    for i, signal in enumerate(signals):
        if i > first and held + len(signal.inputs) > AT_ONCE:
            yield signals[first:i]
            first, held = i, 0
        held += len(signal.inputs)
    if first < len(signals):
        yield signals[first:]


class Past:
    """Reads signals on steps, in the caller's thread. watch: gives the live one, which may be exchanged."""

    def __init__(self, store: SeriesStore, watch: Callable[[], Watch]) -> None:
        self._store, self._watch = store, watch

    def read(self, signals: Sequence[Watched], steps: Steps) -> Values:
        """(signals, steps), NaN = gap: each value tells of the step that ends at its time."""
        value = np.full((len(signals), steps.count), np.nan)
        gauges = [i for i, s in enumerate(signals) if s.kind == GAUGE]
        derived = [i for i, s in enumerate(signals) if s.kind != GAUGE]
        if gauges:
            fp, mean = self._on_steps([signals[i].fp for i in gauges], steps, is_mean=True)
            rows = dict(zip(fp.tolist(), mean, strict=True))
            for i in gauges:
                value[i] = rows.get(signals[i].fp, np.nan)
        if derived:
            inputs = sorted({fp for i in derived for fp in signals[i].inputs})
            fp, last = self._on_steps(inputs, steps, is_mean=False)
            for i in derived:
                value[i] = self._derived(signals[i], fp, last, steps)
        return value

    def demand_rolled(self, value: Values, steps: Steps) -> None:
        """Raises NotYet while the rollups lag behind: after a backfill they catch up with two days a minute."""
        old = steps.count - self._fresh(steps)
        if old <= 0:
            return
        has = np.isfinite(value[:, old])
        lacks = has & ~np.isfinite(value[:, old - 1])
        if 2 * lacks.sum() > has.sum() and np.isfinite(value[:, :old]).any():
            raise NotYet("the past is still being rolled up")

    def _fresh(self, steps: Steps) -> int:
        """So many steps at the end are read from samples."""
        if steps.step % MINUTES_5_MS or steps.start % MINUTES_5_MS:
            return steps.count
        return min(steps.count, -(-FRESH_MS // steps.step) + 1)

    def _on_steps(self, fps: Sequence[int], steps: Steps, *, is_mean: bool) -> tuple[Fingerprints, Values]:
        """Mean or latest value of each series' steps: rollups, and samples for what they do not hold yet."""
        fresh = self._fresh(steps)
        known = np.array(sorted(set(fps)), np.uint64)
        value = np.full((len(known), steps.count), np.nan)
        if old := steps.count - fresh:
            rolled = self._store.rolled(known.tolist(), Steps(steps.start, steps.step, old))
            value[np.searchsorted(known, rolled.fp), :old] = rolled.mean if is_mean else rolled.last
        function = "avg_over_time" if is_mean else "last_over_time"
        rest = Steps(steps.start + old * steps.step, steps.step, fresh)
        grid = self._store.grid(known.tolist(), function, rest, steps.step)
        value[np.searchsorted(known, grid.fp), old:] = np.where(np.isfinite(grid.value), grid.value, np.nan)
        return known, value

    def _derived(self, signal: Watched, fp: Fingerprints, last: Values, steps: Steps) -> Values:
        rows = np.searchsorted(fp, np.array(signal.inputs, np.uint64))
        of = last[rows]
        row, column = np.nonzero(np.isfinite(of))
        found = np.full(steps.count, np.nan)
        try:
            pretended = steps.start + AS_IF_MS * column
            t, value = self._watch().derive(signal.slot, fp[rows][row], pretended, of[row, column])
        except KeyError:  # given up at this moment
            return found
        per_step = AS_IF_MS / steps.step if signal.kind == RATE else 1.0
        found[(t - steps.start) // AS_IF_MS] = value * per_step
        return found
