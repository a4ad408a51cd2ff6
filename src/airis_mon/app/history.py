"""What was expected of signals, redrawn for any window by the live detector, from the nearest kept snapshots."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import structlog

from airis_mon.app.detection import LATE_MS, Detection, unpacked
from airis_mon.detect.base import State
from airis_mon.detect.detectors.record import Record
from airis_mon.errors import NotFound, StoreError, TooLarge
from airis_mon.series.batch import Times, Values, is_stale
from airis_mon.series.labels import hex_id
from airis_mon.store.base import Columns, Fingerprints, SeriesStore
from airis_mon.store.snapshots import Snapshots

log = structlog.get_logger()

ROWS_AT_ONCE = 500_000
"""So many samples are read and judged together, as far as a single signal has not more."""
DENSE_MS = 10_000
"""How far apart samples are taken to be, to tell how many a span holds before they are read."""
DAY_MS = 86_400_000
SHOTS = 8
"""So many snapshots stay open: the files of one take 30 ms to map."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A signal over time with its bands; (n,) each, t in ms, in the signal's unit.

    expected, lower and upper are NaN while nothing is known yet, and throughout when no bands were asked for. ended:
    (m,) ms, when the source said that a series of the signal has ended (Prometheus' staleness marker).
    """

    signal: str
    t: Times
    value: Values
    expected: Values
    lower: Values
    upper: Values
    score: Values
    ended: Times = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class _Signal:
    """A signal to be drawn, and the series it is computed from."""

    slot: int
    inputs: Fingerprints


_Piece = tuple[Any, ...]
"""The columns of a curve, of one span."""


@dataclass(frozen=True, eq=False)
class _Shot:
    """A snapshot that can be read, mapped into memory."""

    t: int
    arrays: State

    @cached_property
    def watch(self) -> State:
        """The watch's state of then."""
        return unpacked(self.arrays, [])[1]

    @cached_property
    def size(self) -> int:
        """Slots that every array of the bank holds."""
        return min(int(a.shape[-1]) for name, a in self.arrays.items() if not name.startswith("watch."))

    def bank(self, slots: Sequence[int]) -> State:
        """The bank's state of then, these slots only."""
        return unpacked(self.arrays, slots)[0]


@dataclass(frozen=True, slots=True)
class _Span:
    """A part of a window that is drawn from one snapshot, or learned anew (None)."""

    origin: _Shot | None
    start: int
    end: int


class SignalHistory:
    """Redraws signals of the live detection.

    From the first snapshot that holds a signal on a curve equals what was live, as far as samples arrived in the order
    of their times; before that it is learned anew from the first stored sample, so what a new signal borrowed from
    others then is not in it.
    """

    def __init__(self, detection: Detection, store: SeriesStore, snapshots: Snapshots) -> None:
        self.detection = detection
        self.store = store
        self.snapshots = snapshots
        self._shots: dict[int, _Shot | None] = {}  # None: cannot be used

    def curve(self, fp: int, kind: str | None, start: int, end: int) -> Curve:
        """The signal `kind` of a series (its first one when None) within [start, end] ms.

        Raises NotFound for a series that is not watched.
        """
        with self.detection.lock:
            kind = self._kind(fp, kind)
        (curve,) = self.curves([(fp, kind)], start, end)
        return curve

    def curves(
        self, signals: Sequence[tuple[int, str]], start: int, end: int, *, has_bands: bool = True
    ) -> list[Curve]:
        """Signals (fp, kind) within [start, end] ms, in their order; one that is watched no longer is empty.

        The more at once, the less each costs; all are held in memory, see `portions`. Bands take some 5 us a sample,
        scores alone, and what lies between the snapshot and `start`, a tenth of a microsecond.
        """
        try:
            return self._curves(signals, start, end, has_bands)
        except TooLarge:  # learned anew from long ago, some may need more than `portions` took them for
            if len(signals) == 1:
                raise
        half = len(signals) // 2
        first, second = (self.curves(s, start, end, has_bands=has_bands) for s in (signals[:half], signals[half:]))
        return first + second

    def _curves(self, signals: Sequence[tuple[int, str]], start: int, end: int, has_bands: bool) -> list[Curve]:
        times = self.snapshots.times()
        parts: dict[_Span, list[tuple[int, _Signal, int]]] = {}
        for i, (fp, kind) in enumerate(signals):
            if (signal := self._signal(fp, kind)) is not None:
                for span, then in self._spans(signal, times, start, end):
                    parts.setdefault(span, []).append((i, signal, then))
        pieces: list[list[_Piece]] = [[] for _ in signals]
        for span in sorted(parts, key=lambda s: s.start):
            drawn = self._drawn(span, [(signal, then) for _, signal, then in parts[span]], has_bands)
            for (i, _, _), piece in zip(parts[span], drawn, strict=True):
                pieces[i].append(piece)
        return [_curve(kind, columns) for (_, kind), columns in zip(signals, pieces, strict=True)]

    def portions(self, signals: Sequence[tuple[int, str]], start: int, end: int) -> Iterator[Sequence[tuple[int, str]]]:
        """The signals, so many at a time as may be drawn at once."""
        since = self.snapshots.nearest(start)
        rows = max(1, (end - (start - DAY_MS if since is None else since) + LATE_MS) // DENSE_MS)
        first = held = 0
        for i, (fp, kind) in enumerate(signals):
            signal = self._signal(fp, kind)
            need = rows * len(signal.inputs) if signal else 0
            if i > first and held + need > ROWS_AT_ONCE:
                yield signals[first:i]
                first, held = i, 0
            held += need
        if first < len(signals):
            yield signals[first:]

    def _spans(self, signal: _Signal, times: Sequence[int], start: int, end: int) -> list[tuple[_Span, int]]:
        """The parts of a window that are drawn from one snapshot each, at most two, and the signal's slot in it.

        A signal stays where it was born: what the snapshot before `start` does not hold, no earlier one does.
        """
        before = next((t for t in reversed(times) if t <= start and self._shot(t) is not None), None)
        if before is not None and (found := self._then(signal, before)):
            return [(_Span(found[0], start, end), found[1])]
        after = [t for t in times if start < t <= end]
        first = bisect_left(after, True, key=lambda t: self._then(signal, t) is not None)
        if first < len(after) and (found := self._then(signal, after[first])):
            shot, then = found
            return [(_Span(None, start, shot.t), 0), (_Span(shot, shot.t + 1, end), then)]
        return [(_Span(None, start, end), 0)]

    def _then(self, signal: _Signal, t: int) -> tuple[_Shot, int] | None:
        """A snapshot and the signal's slot in it; None when it cannot be read or does not hold the signal."""
        if (shot := self._shot(t)) is None:
            return None
        try:
            then = self.detection.watch.slot_then(signal.slot, shot.watch)
        except KeyError:  # given up at this moment
            return None
        return None if then is None or then >= shot.size else (shot, then)

    def _shot(self, t: int) -> _Shot | None:
        shots = self._shots
        if t not in shots:
            shots = self._shots = dict([*shots.items(), (t, self._opened(t))][-SHOTS:])
        return shots[t]

    def _opened(self, t: int) -> _Shot | None:
        try:
            shot = _Shot(t, self.snapshots.load(t))
            self.detection.make(shot.bank([]), None)
        except (StoreError, ValueError, KeyError, IndexError) as error:
            log.warning("snapshot.failed", error=str(error))
            return None
        return shot

    def _drawn(self, span: _Span, signals: Sequence[tuple[_Signal, int]], has_bands: bool) -> list[_Piece]:
        """Signals, with their slots of then, within one span."""
        bank, watch = self._origin(span, [then for _, then in signals])
        fps = np.unique(np.concatenate([signal.inputs for signal, _ in signals]))
        since = 0 if span.origin is None else span.origin.t - LATE_MS
        samples = self.store.samples(fps.tolist(), since, span.end)
        own = [_of(samples, signal.inputs) for signal, _ in signals]
        derived = [self._derived(signal, rows, watch) for (signal, _), rows in zip(signals, own, strict=True)]
        judged = _judged(bank, derived, span.start if has_bands else None)
        return [_piece(mine, rows, span.start) for mine, rows in zip(judged, own, strict=True)]

    def _origin(self, span: _Span, slots: Sequence[int]) -> tuple[Record, State | None]:
        """A bank that has these slots as its first ones, as they were where the span begins, and the watch of then."""
        if span.origin is None:
            bank, _ = self.detection.make(None, None)
            bank.reserve(len(slots))
            return bank, None
        return self.detection.make(span.origin.bank(slots), None)[0], span.origin.watch

    def _derived(self, signal: _Signal, rows: Columns, watch: State | None) -> tuple[Times, Values]:
        try:
            return self.detection.watch.derive(signal.slot, rows.fp, rows.t, rows.value, watch)
        except KeyError:  # given up at this moment
            return np.empty(0, np.int64), np.empty(0)

    def _signal(self, fp: int, kind: str) -> _Signal | None:
        watch = self.detection.watch
        try:
            slot = next((s for s in watch.slots_of(fp) if watch.signal(s).kind == kind), None)
            return None if slot is None else _Signal(slot, np.array(watch.inputs(slot), np.uint64))
        except KeyError:  # given up at this moment
            return None

    def _kind(self, fp: int, kind: str | None) -> str:
        kinds = [self.detection.watch.signal(s).kind for s in self.detection.watch.slots_of(fp)]
        if not kinds or (kind is not None and kind not in kinds):
            said = f"no signal {kind!r}, but {', '.join(kinds)}" if kinds else "no watched signal"
            raise NotFound(f"series {hex_id(fp)} has {said}; GET /series/coverage says why")
        return kind or kinds[0]


def _of(samples: Columns, inputs: Fingerprints) -> Columns:
    """The samples of some series, out of those of many."""
    first, last = (np.searchsorted(samples.fp, inputs, side=side) for side in ("left", "right"))
    rows = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    return Columns(samples.fp[rows], samples.t[rows], samples.value[rows])


def _judged(bank: Record, derived: Sequence[tuple[Times, Values]], bands_from: int | None) -> list[tuple[Any, ...]]:
    """(t, value, expected, lower, upper, score) of signals, of which each has the slot of its place."""
    t, value = (np.concatenate(column) for column in zip(*derived, strict=True))
    slot = np.repeat(np.arange(len(derived), dtype=np.int32), [len(times) for times, _ in derived])
    order = np.argsort(t, kind="stable")  # neighbouring slots come together: ten times as fast
    first = len(t) if bands_from is None else int(np.searchsorted(t[order], bands_from))
    before, after = order[:first], order[first:]
    drawn = np.full((4, len(t)), np.nan)
    drawn[3, before] = bank.update(slot[before], t[before], value[before]).score
    scores, bands = bank.update_with_bands(slot[after], t[after], value[after])
    drawn[:, after] = bands.expected, bands.lower, bands.upper, scores.score
    ends = np.cumsum([len(times) for times, _ in derived])[:-1]
    return list(zip(*(np.split(column, ends) for column in (t, value, *drawn)), strict=True))


def _piece(columns: tuple[Any, ...], rows: Columns, start: int) -> _Piece:
    t = columns[0]
    shown = slice(np.searchsorted(t, start), None)
    ended = np.unique(rows.t[is_stale(rows.value)])
    return (*(column[shown] for column in columns), ended[(ended >= start) & ~np.isin(ended, t)])


def _curve(kind: str, pieces: Sequence[_Piece]) -> Curve:
    return Curve(kind, *(np.concatenate(column) for column in zip(_NOTHING, *pieces, strict=True)))


_NOTHING = tuple(np.empty(0, dtype) for dtype in (np.int64, *[np.float64] * 5, np.int64))
