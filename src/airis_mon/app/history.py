"""What was expected of a signal, redrawn for any window by the live detector, from the nearest kept snapshot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airis_mon.app.detection import LATE_MS, Detection, unpacked
from airis_mon.detect.base import Floats, State
from airis_mon.detect.detectors.record import Record
from airis_mon.errors import NotFound
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import hex_id
from airis_mon.store.base import SeriesStore
from airis_mon.store.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Curve:
    """A signal over time with its bands; (n,) each, t in ms, in the signal's unit.

    expected, lower and upper are NaN while nothing is known yet.
    """

    signal: str
    t: Times
    value: Values
    expected: Values
    lower: Values
    upper: Values
    score: Floats


@dataclass(frozen=True, slots=True)
class History:
    """Redraws signals of the live detection."""

    detection: Detection
    store: SeriesStore
    snapshots: Snapshots

    def curve(self, fp: int, kind: str | None, start: int, end: int) -> Curve:
        """The signal `kind` of a series (its first one when None) within [start, end] ms.

        Equals what was live as far as samples arrived in the order of their times. Raises NotFound for a series that
        is not watched.
        """
        with self.detection.lock:
            watch = self.detection.watch
            slot = self._slot(fp, kind)
            signal, inputs = watch.signal(slot), watch.inputs(slot)
        bank, state, since = self._origin(slot, start)
        samples = self.store.samples(inputs, since, end)
        t, value = watch.derive(slot, samples.fp, samples.t, samples.value, state)
        scores, bands = bank.update_with_bands(np.zeros(len(t), np.int32), t, value)
        shown = slice(np.searchsorted(t, start), None)
        return Curve(
            signal.kind,
            t[shown],
            value[shown],
            bands.expected[shown],
            bands.lower[shown],
            bands.upper[shown],
            scores.score[shown],
        )

    def _slot(self, fp: int, kind: str | None) -> int:
        slots = {self.detection.watch.signal(s).kind: s for s in self.detection.watch.slots_of(fp)}
        if not slots or (kind is not None and kind not in slots):
            said = f"no signal {kind!r}, but {', '.join(slots)}" if slots else "no watched signal"
            raise NotFound(f"series {hex_id(fp)} has {said}; GET /series/coverage says why")
        return slots[kind] if kind else next(iter(slots.values()))

    def _origin(self, slot: int, start: int) -> tuple[Record, State | None, int]:
        """A bank of one slot as it was before `start`, the watch's state of then, and the time to read on from."""
        t = self.snapshots.nearest(start)
        if t is not None:
            arrays = self.snapshots.load(t)
            _, watch = unpacked(arrays, [])
            then = self.detection.watch.slot_then(slot, watch)
            if then is not None:
                bank, _ = unpacked(arrays, [then])
                return self.detection.make(bank, None)[0], watch, t - LATE_MS
        fresh, _ = self.detection.make(None, None)
        fresh.reserve(1)
        return fresh, None, 0
