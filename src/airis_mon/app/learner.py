"""Stored samples -> what a detector knows that has judged all of them in order, while the live one goes on working.

It has a catalogue of its own, so that nothing live can change under it: series that are evicted meanwhile, sids given
to others. What it learned goes over as a restart's snapshot does, by fingerprint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from airis_mon.app.detection import Make
from airis_mon.app.judge import judge
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.unite import Pair
from airis_mon.detect.watch import Watch
from airis_mon.errors import InputError
from airis_mon.events.anomaly import Anomaly
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.store.base import Columns, SeriesRow, SeriesStore

OVERLAP_MS = 120_000
"""A round begins so long before the last one's end: samples are committed a little after their time."""
NEAR_MS = 30_000
"""So near to the present the live detector is let in; what came since it reads from the store itself."""
MOST_ROUNDS = 6
ANOMALIES_AT_ONCE = 10_000
WAIT_S, WAITS = 0.05, 200
"""So long, at most, for live samples that wait, before each piece."""


class Stopped(Exception):
    """Nobody wants the answer any more."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of the samples from `since` to `until` (ms), and the work it took.

    news: those of its anomalies that are not of the past.
    """

    state: Pair
    since: int
    until: int
    samples: int
    anomalies: int
    news: tuple[Anomaly, ...]


class Learner:
    """Judges what the store holds, in order of time, from nothing on.

    fresh answers an empty catalogue and the maker of a detector over it. types: what sources say of metrics. is_busy:
    whether live samples wait; then it lets them pass, and goes on.
    """

    def __init__(
        self,
        store: SeriesStore,
        fresh: Callable[[], tuple[Catalogue, Make]],
        types: Callable[[], Mapping[str, MetricType]],
        now: Callable[[], int],
        is_busy: Callable[[], bool],
    ) -> None:
        self._store = store
        self._fresh = fresh
        self._types = types
        self._now = now
        self._is_busy = is_busy
        self._stopping = threading.Event()
        self.fraction = 0.0  # of the samples' time that is learned

    def stop(self) -> None:
        """Lets a `learn` under way end with `Stopped` soon."""
        self._stopping.set()

    def learn(self, since: int, past_end: int, *, is_saving: bool) -> Learned:
        """Learns all samples from `since` (ms) on; with is_saving it stores the anomalies of before past_end.

        Blocks for a microsecond or two a sample. Raises StoreError, and Stopped after `stop`.
        """
        pupil = _Pupil(*self._fresh(), self._store, past_end if is_saving else since)
        news: list[Anomaly] = []
        pupil.meet(self._store.load_series(since))
        self.fraction, until = 0.0, since
        for _ in range(MOST_ROUNDS):
            at, until = until, self._now()
            take_types(pupil.catalogue, self._types().items())
            for columns in self._store.scan(at - 1, until):
                self._let_pass()
                news += [a for a in pupil.judge(columns) if a.t >= past_end]
                self.fraction = (pupil.last - since) / max(until - since, 1)
            if until - at <= NEAR_MS + OVERLAP_MS:
                break
            until -= OVERLAP_MS
        pupil.save()
        state = pupil.bank.state(), pupil.watch.state()
        return Learned(state, since, until, pupil.samples, pupil.anomalies, tuple(news))

    def _let_pass(self) -> None:
        waits = 0
        while waits < WAITS and self._is_busy() and not self._stopping.wait(WAIT_S):
            waits += 1
        if self._stopping.is_set():
            raise Stopped


class _Pupil:
    """A detector that is being taught. Anomalies of before `saved_until` (ms) are stored."""

    def __init__(self, catalogue: Catalogue, make: Make, store: SeriesStore, saved_until: int) -> None:
        self.catalogue = catalogue
        self.bank: Record
        self.watch: Watch
        self.bank, self.watch = make(None, None)
        self.samples = self.anomalies = self.last = 0
        self._sids: dict[int, int] = {}  # by the store's fingerprint
        self._store = store
        self._saved_until = saved_until
        self._unsaved: list[Anomaly] = []

    def meet(self, rows: Iterable[SeriesRow]) -> None:
        """Gives series a place; those that find no room are not learned."""
        for row in rows:
            try:
                sid = self.catalogue.intern(row.labels)
            except InputError:
                continue
            if int(self.catalogue.fp[sid]) == row.fp:  # else two series would share a fingerprint: 1 in 2^64
                self._sids[row.fp] = sid

    def judge(self, columns: Columns) -> list[Anomaly]:
        """Judges samples that follow the last ones in time."""
        order = np.argsort(columns.t, kind="stable")
        unique, inverse = np.unique(columns.fp, return_inverse=True)
        if strangers := [fp for fp in unique.tolist() if fp not in self._sids]:  # they came since it began
            self.meet(self._store.series_by_fp(strangers))
        sid = np.array([self._sids.get(fp, -1) for fp in unique.tolist()], np.int32)[inverse][order]
        known = sid >= 0
        batch = Batch(sid[known], columns.t[order][known], columns.value[order][known])
        if not len(batch):
            return []
        found = judge(batch, self.catalogue, self.bank, self.watch).anomalies
        self.samples, self.last = self.samples + len(batch), int(batch.t[-1])
        self.anomalies += len(found)
        self._unsaved += [a for a in found if a.t < self._saved_until]
        if len(self._unsaved) >= ANOMALIES_AT_ONCE:
            self.save()
        return found

    def save(self) -> None:
        """Stores the anomalies found so far."""
        if self._unsaved:
            self._store.write_anomalies(self._unsaved)
            self._unsaved = []
