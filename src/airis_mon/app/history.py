"""What was expected of a signal, redrawn for any window by the live detector, from the nearest kept snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from airis_mon.app.detection import LATE_MS, Detection, unpacked
from airis_mon.detect.base import Floats, State
from airis_mon.detect.detectors.record import Record
from airis_mon.errors import NotFound, StoreError
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import hex_id
from airis_mon.store.base import SeriesStore
from airis_mon.store.snapshots import Snapshots

log = structlog.get_logger()


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
class _Origin:
    """A bank of one slot as it was at `t`, the watch's state of then, and the time to read on from."""

    bank: Record
    watch: State | None
    t: int
    since: int


@dataclass(frozen=True, slots=True)
class History:
    """Redraws signals of the live detection."""

    detection: Detection
    store: SeriesStore
    snapshots: Snapshots

    def curve(self, fp: int, kind: str | None, start: int, end: int) -> Curve:
        """The signal `kind` of a series (its first one when None) within [start, end] ms.

        From the first snapshot that holds the signal on it equals what was live, as far as samples arrived in the
        order of their times; before that it is learned anew from the first stored sample, so what a new signal
        borrowed from others then is not in it. Raises NotFound for a series that is not watched.
        """
        with self.detection.lock:
            slot = self._slot(fp, kind)
            signal, inputs = self.detection.watch.signal(slot), self.detection.watch.inputs(slot)
        pieces = [
            self._piece(slot, inputs, origin, begin, until) for origin, begin, until in self._pieces(slot, start, end)
        ]
        return Curve(signal.kind, *(np.concatenate(column) for column in zip(*pieces, strict=True)))

    def _pieces(self, slot: int, start: int, end: int) -> list[tuple[_Origin, int, int]]:
        """(origin, start, end) of the parts of a window that are drawn from one snapshot each: at most two."""
        usable = [t for t in self.snapshots.times() if t <= end]
        before = [t for t in usable if t <= start]
        if (origin := self._first(slot, reversed(before))) is not None:
            return [(origin, start, end)]
        after = self._first(slot, [t for t in usable if t > start])
        fresh, _ = self.detection.make(None, None)
        fresh.reserve(1)
        anew = _Origin(fresh, None, 0, 0)
        if after is None:
            return [(anew, start, end)]
        return [(anew, start, after.t), (after, after.t + 1, end)]

    def _piece(self, slot: int, inputs: list[int], origin: _Origin, start: int, end: int) -> tuple[Any, ...]:
        samples = self.store.samples(inputs, origin.since, end)
        t, value = self.detection.watch.derive(slot, samples.fp, samples.t, samples.value, origin.watch)
        scores, bands = origin.bank.update_with_bands(np.zeros(len(t), np.int32), t, value)
        shown = slice(np.searchsorted(t, start), None)
        return tuple(column[shown] for column in (t, value, bands.expected, bands.lower, bands.upper, scores.score))

    def _first(self, slot: int, times: Iterable[int]) -> _Origin | None:
        """The first of these snapshots that can be read and holds the signal."""
        for t in times:
            try:
                arrays = self.snapshots.load(t)
                _, watch = unpacked(arrays, [])
                if (then := self.detection.watch.slot_then(slot, watch)) is not None:
                    bank, _ = unpacked(arrays, [then])
                    return _Origin(self.detection.make(bank, None)[0], watch, t, t - LATE_MS)
            except (StoreError, ValueError, KeyError, IndexError) as error:
                log.warning("snapshot.failed", error=str(error))
        return None

    def _slot(self, fp: int, kind: str | None) -> int:
        slots = {self.detection.watch.signal(s).kind: s for s in self.detection.watch.slots_of(fp)}
        if not slots or (kind is not None and kind not in slots):
            said = f"no signal {kind!r}, but {', '.join(slots)}" if slots else "no watched signal"
            raise NotFound(f"series {hex_id(fp)} has {said}; GET /series/coverage says why")
        return slots[kind] if kind else next(iter(slots.values()))
