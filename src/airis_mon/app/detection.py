"""Committed samples -> anomalies, in one thread that owns the detector bank; and what outlives a crash of it.

The bank learns committed samples only. Its state is snapshotted; after a restart it catches up from the store, and an
anomaly whose identity is stored already is not raised again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from airis_mon.app.entities import STEP_MS, EntityStage
from airis_mon.app.judge import judge
from airis_mon.app.peaks import MINUTE_MS, MINUTES, Peaks
from airis_mon.detect.base import State
from airis_mon.detect.detectors.record import PROFILES, Record
from airis_mon.detect.tracks import Role
from airis_mon.detect.unite import Pair, united
from airis_mon.detect.watch import Watch
from airis_mon.errors import StoreError
from airis_mon.events.anomaly import Anomaly
from airis_mon.events.finding import Finding
from airis_mon.series.batch import Batch, Ids, join
from airis_mon.series.catalogue import Catalogue
from airis_mon.store.base import Columns, SeriesStore
from airis_mon.store.snapshots import Snapshots

log = structlog.get_logger()

Make = Callable[[State | None, State | None], tuple[Record, Watch]]

LATE_MS = 15 * 60_000
"""Catching up begins so long before the last snapshot: samples of before it may have been committed after it.

A sample that came later than that and was committed between the last snapshot and a crash is stored, never judged.
"""
FLUSH_S = 0.25
"""While samples wait, anomalies are stored so often: an insert per batch cost a third of the detector's time."""
RESTART_S = 5.0
GIVE_UP = 3
"""After so many failures in a row the past is left unjudged."""
LAYOUT = "1"
"""Of a snapshot; to be raised when an array comes to mean something else."""
SETTLE_MS = 30_000
"""Entities are judged so long after a time: until then samples of it are waited for."""
JUDGED_TOGETHER = 200_000
"""So many waiting samples are judged in one call of the kernels at most."""


@dataclass(slots=True)
class Counts:
    """What the detector has done since the start."""

    samples: int = 0
    signals: int = 0
    anomalies: int = 0
    findings: int = 0
    busy_s: float = 0.0
    snapshots: int = 0
    overflows: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """What was learned elsewhere of stored samples up to `until` (ms); done ends when a snapshot holds it.

    news: anomalies among them that the live detector should have raised.
    """

    state: Pair
    until: int
    news: Sequence[Anomaly] = ()
    done: Future[None] = field(default_factory=Future)


class Detection:
    """One thread: takes committed batches in order, raises anomalies, keeps snapshots.

    make answers a bank and a watch, fresh ones or those that continue from two states. publish is called with
    anomalies that are new and stored. now is the wall clock in ms. entities: labels that name what is also judged as a
    whole; tell hears of each finding when it begins and when it has ended, also when the detector went on from another
    state meanwhile; but a finding that is open when the process ends is not told an end.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        make: Make,
        store: SeriesStore,
        snapshots: Snapshots,
        publish: Callable[[list[Anomaly]], None],
        now: Callable[[], int],
        *,
        snapshot_interval_s: float = 600.0,
        retention_s: float = 15 * 86_400.0,
        catch_up_s: float = 6 * 3600.0,
        queue_rows: int = 4_000_000,
        entities: Sequence[str] = (),
        tell: Callable[[Finding], None] = lambda _: None,
    ) -> None:
        self.catalogue = catalogue
        self.bank, self.watch = make(None, None)
        self.peaks = Peaks()
        self._entities = EntityStage(catalogue, self.watch, entities)
        self._tell = tell
        self._open: dict[tuple[str, int], bool] = {}  # open findings, and whether they were told
        self._followed = 0
        self.counts = Counts()
        self.lock = threading.RLock()  # held while bank and watch change; readers of live state take it
        self.is_catching_up = False
        self.failures_in_a_row = 0
        self.quiet_before = 0  # ms; of series that were new then, what is older is stored, not told: it is the past
        self._known = np.empty(0, np.uint64)  # fingerprints, in order, of the series it began with
        self.make = make
        self._store = store
        self._snapshots = snapshots
        self._publish = publish
        self._now = now
        self._snapshot_ms = int(snapshot_interval_s * 1000)
        self._retention_ms = int(retention_s * 1000)
        self._catch_up_ms = int(catch_up_s * 1000)
        self._queue: deque[Batch] = deque()
        self._queued = 0
        self._queue_rows = queue_rows
        self._wake = threading.Condition()
        self._dropped_from = _NEVER
        self._stopping = False
        self._idle = False
        self._unsaved: list[Anomaly] = []  # raised, not stored yet: the store was away
        self._judged_until = 0  # ms; samples of before it are judged, but for those that came later than LATE_MS
        self._last_snapshot = 0
        self._flushed = 0.0
        self._mark = 0
        self._is_whole = True
        self._offers: deque[Offer] = deque()
        self._unsnapped: list[Offer] = []  # taken over, in no snapshot yet
        self._thread = threading.Thread(target=self._run, name="airis-detect", daemon=True)

    def start(self) -> None:
        """Begins to judge; first restores the latest snapshot and catches up from the store."""
        with self._wake:
            if not self._stopping:
                self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Judges what waits, takes a last snapshot, ends."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether the thread has not died; one that was not started yet will be."""
        return self._thread.ident is None or self._thread.is_alive()

    @property
    def queued(self) -> int:
        """Samples that wait to be judged."""
        return self._queued

    def feed(self, batch: Batch) -> None:
        """Takes a committed batch; never blocks. What does not fit is read back from the store later."""
        with self._wake:
            self._idle = False
            self._queue.append(batch)
            self._queued += len(batch)
            if self._queued > self._queue_rows:
                self._dropped_from = min(self._dropped_from, *(int(b.t.min()) for b in self._queue))
                self._queue.clear()
                self._queued = 0
                self.counts.overflows += 1
            self._wake.notify_all()

    def settle(self, timeout_s: float) -> bool:
        """Waits until everything fed so far is judged and stored; False when that takes longer."""
        with self._wake:
            return self._wake.wait_for(lambda: self._idle, timeout_s)

    def adopt(self, state: Pair, until: int, news: Sequence[Anomaly] = ()) -> Future[None]:
        """Offers what was learned of the stored samples up to `until` (ms), to be taken over between two batches.

        news are anomalies of the time in which live knew too little; those it has raised itself stay as they are.
        Series that the live detector has known for longer stay as they are, see `united`. What came after `until` is
        judged again from the store; an anomaly that is known already is not raised again. The future ends when a
        snapshot holds what was taken over, or fails: then nothing was taken, or a crash may forget it, and it should
        be offered again.
        """
        offer = Offer(state, until, news)
        with self._wake:
            self._offers.append(offer)
            self._wake.notify_all()
        return offer.done

    def evict(self, idle_since: int) -> int:
        """Forgets series without a sample since then; answers how many."""
        with self.lock:
            sids = self.catalogue.evict(idle_since)
            self.watch.evict(sids)
            return len(sids)

    def _run(self) -> None:
        """Works until it is stopped. After a failure it begins again from the last snapshot, as after a crash."""
        while not self._stopping:
            try:
                self._restore()
                self._work()
            except StoreError as error:  # it may be away for hours; what it holds is judged when it is back
                self._pause("detection.waiting", error)
            except Exception as error:  # boundary: a stage's supervision
                self.failures_in_a_row += 1
                log.exception("detection.stumbled")
                self._pause("detection.failed", error)

    def _pause(self, event: str, error: Exception) -> None:
        self.counts.failures += 1
        log.warning(event, error=str(error), retry_s=RESTART_S)
        with self._wake:
            self._wake.wait_for(lambda: self._stopping, RESTART_S)

    def _work(self) -> None:
        if self.failures_in_a_row >= GIVE_UP:  # something in the past cannot be judged: failing for ever helps nobody
            log.error("detection.skipped", since_ms=self._judged_until - LATE_MS)
        elif not self._catch_up(self._judged_until - LATE_MS):
            return
        while (batch := self._next()) is not None:
            if self._offers and not self._take_over(self._offers.popleft()):
                return
            since = self._take_dropped()
            if since is not None and not self._catch_up(min(since - 1, self._judged_until - LATE_MS)):
                return
            self._judge(batch)
            self._judged_until = self._now()
            self._follow()
            if not self._queue or time.monotonic() - self._flushed >= FLUSH_S:
                self._flush()
            self.failures_in_a_row = 0
            if self._now() - self._last_snapshot >= self._snapshot_ms:
                self.snapshot()
        self._flush()
        self.snapshot()

    def _take_dropped(self) -> int | None:
        """The time of the oldest sample that found no room, once."""
        with self._wake:
            since, self._dropped_from = self._dropped_from, _NEVER
        return since if since < _NEVER else None

    def _next(self) -> Batch | None:
        """The samples that wait, joined; after a second without any, none of them; None to stop."""
        with self._wake:
            if not self._queue and not self._stopping:
                self._idle = not self._unsaved and self._dropped_from == _NEVER and not self._offers
                self._wake.notify_all()
                self._wake.wait(1.0)
            self._idle = False
            if not self._queue:
                return None if self._stopping else Batch(*_NOTHING)
            taken, rows = [self._queue.popleft()], 0
            while self._queue and (rows := rows + len(taken[-1])) + len(self._queue[0]) <= JUDGED_TOGETHER:
                taken.append(self._queue.popleft())
            self._queued -= sum(map(len, taken))
            return join(taken)

    def _judge(self, batch: Batch, known: frozenset[str] = frozenset()) -> None:
        if not len(batch):
            return
        began = time.thread_time()
        with self.lock:
            judged = judge(batch, self.catalogue, self.bank, self.watch)
            self.peaks.add(judged.signals.slot, judged.signals.t, judged.scores.score, self._now())
            if not self.is_catching_up:  # the past is told by nobody's clock
                self._entities.take(judged)
        self.counts.samples += len(batch)
        self.counts.signals += len(judged.signals)
        self.counts.busy_s += time.thread_time() - began
        self._unsaved += [a for a in judged.anomalies if a.id not in known]

    def _follow(self) -> None:
        """Judges entities at the times whose samples should have come by now; tells what began and what ended."""
        until = self._now() - SETTLE_MS
        if until - self._followed >= STEP_MS:
            self._followed = until
            self._advance(until)

    def _advance(self, until: int) -> None:
        with self.lock:
            ended, is_open = self._entities.advance(until), self._entities.open
            began = [f for f in (*ended, *is_open) if _identity(f) not in self._open]
            self._open |= {_identity(f): self._is_news(f.start, self._entities.series_of(f)) for f in began}
        self.counts.findings += len(began)
        for finding in (*ended, *(f for f in began if f.end is None)):
            if self._open[_identity(finding)]:
                self._tell(finding)
        self._open = {name: self._open[name] for name in map(_identity, is_open)}

    def _is_news(self, t: int, fps: Sequence[int]) -> bool:
        """Whether what was seen at `t` in these series is to be told.

        A source whose past is fetched later has an end of its past, too, that lies after what another one's series
        did while nothing ran: these were known before, and caught up with.
        """
        if t >= self.quiet_before:
            return True
        wanted = np.array(fps, np.uint64)
        return bool(np.any(np.searchsorted(self._known, wanted, "right") > np.searchsorted(self._known, wanted)))

    def _flush(self) -> None:
        """Stores what was raised, then tells it; while the store is away both wait."""
        self._flushed = time.monotonic()
        if not self._unsaved:
            return
        try:
            self._store.write_anomalies(self._unsaved)
        except StoreError as error:
            log.warning("anomalies.delayed", waiting=len(self._unsaved), error=str(error))
            return
        told, self._unsaved = self._unsaved, []
        self.counts.anomalies += len(told)
        self._publish([a for a in told if self._is_news(a.t, [a.fp])])

    def _restore(self) -> None:
        """Continues from the newest snapshot that can be read; without one everything is learned anew."""
        while self._unsnapped:
            self._unsnapped.pop().done.set_exception(StoreError("the detector began again before it was saved"))
        self._last_snapshot = self._now()
        self._judged_until = self._now() - self._catch_up_ms
        self._is_whole = True
        for t in reversed(self._snapshots.times()):
            try:
                state = {k: np.array(v) for k, v in self._snapshots.load(t).items()}
                bank, watch = self.make(*unpacked(state))
            except (StoreError, ValueError, KeyError, IndexError) as error:
                log.warning("snapshot.failed", error=str(error))
                continue
            self._judged_until = max(t, self._judged_until)
            self._known = np.union1d(state["watch.fp"], state["watch.member_fp"])
            break
        else:
            bank, watch = self.make(None, None)
        with self.lock:
            self.bank, self.watch = bank, watch
            self._own(watch)

    def _own(self, watch: Watch) -> None:
        """Goes on with the entities of a watch that takes the place of another one."""
        self._entities.follow(watch)
        watch.on_release = self._release

    def _release(self, slots: Ids) -> None:
        self.peaks.forget(slots)
        self._entities.release(slots)

    def _catch_up(self, since: int) -> bool:
        """Judges what the store holds since then; samples already learned change nothing.

        False when it was told to stop: then no snapshot may be taken, the next start resumes from the one before.
        """
        self.is_catching_up = True
        until = self._now() + LATE_MS
        stored = self._store.anomalies(None, since, until, limit=1_000_000)
        known = frozenset(a.id for a in (*stored, *self._unsaved))
        for columns in self._store.scan(since, until):
            if self._stopping:
                return False
            self._judge(self._batch(columns), known)
            self._judged_until = max(self._judged_until, min(self._now(), int(columns.t.max(initial=0))))
            self._flush()
        self._recall(stored)
        self.is_catching_up = False
        return True

    def _take_over(self, offer: Offer) -> bool:
        """Goes on from what was learned; False when it was told to stop meanwhile."""
        if not offer.done.set_running_or_notify_cancel():
            return True
        with self.lock:
            live = self.bank.state(), self.watch.state()
        try:
            bank, watch = self.make(*united(offer.state, live))
        except (ValueError, KeyError, IndexError) as error:
            offer.done.set_exception(StoreError(f"what was learned cannot be used: {error!r}"))
            return True
        self._exchange(bank, watch)
        self._unsnapped.append(offer)
        self._unsaved += self._unknown(offer.news)
        if not self._catch_up(offer.until - LATE_MS):
            return False
        self._flush()
        self.snapshot()
        return True

    def _unknown(self, anomalies: Sequence[Anomaly]) -> list[Anomaly]:
        if not anomalies:
            return []
        times = [a.t for a in anomalies]
        stored = self._store.anomalies(None, min(times), max(times), limit=1_000_000)
        known = {a.id for a in (*stored, *self._unsaved)}
        return [a for a in anomalies if a.id not in known]

    def _exchange(self, bank: Record, watch: Watch) -> None:
        """Puts another bank and watch in the place of the live ones; their slots have other numbers."""
        self._advance(self._now())  # what waits knows the old numbers
        with self.lock:
            known = np.flatnonzero(watch.tracks.role != Role.NEW).tolist()
            gone = [sid for sid in known if not self.catalogue.has(sid)]  # evicted while the watch was made
            watch.evict(np.array(gone, np.int32))
            self.bank, self.watch, self.peaks = bank, watch, Peaks()
            self._own(watch)
        self._mark, self._is_whole = 0, True

    def _recall(self, stored: Sequence[Anomaly]) -> None:
        """Knows the alarms of before the start again, of which the last ten minutes' peaks are asked for."""
        since = self._now() - (MINUTES + 1) * MINUTE_MS
        with self.lock:
            for anomaly in (a for a in stored if a.t >= since):
                for slot in self.watch.slots_of(anomaly.fp):
                    if self.watch.signal(slot).kind == anomaly.signal:
                        row = np.array([slot], np.int32), np.array([anomaly.t]), np.array([anomaly.score])
                        self.peaks.add(*row, self._now())

    def _batch(self, columns: Columns) -> Batch:
        order = np.argsort(columns.t, kind="stable")
        unique, inverse = np.unique(columns.fp[order], return_inverse=True)
        found = [self.catalogue.find(int(fp)) for fp in unique]
        sid = np.array([-1 if s is None else s for s in found], np.int32)[inverse]
        known = sid >= 0
        batch = Batch(sid[known], columns.t[order][known], columns.value[order][known])
        self.catalogue.observe(batch)
        return batch

    def snapshot(self) -> None:
        """Writes the state; waits for anomalies that are not stored yet, so that none is lost by a crash.

        A disk that takes nothing is no reason to stop judging: it is tried again at the next interval.
        """
        if self._unsaved:
            return
        with self.lock:
            t = self._now()
            arrays = packed(self.bank.state(), self.watch.state())
            touched, mark = self.bank.touched(self._mark), self.bank.mark()
        self._last_snapshot = t
        try:
            # The first one of a process is whole: what the files of an earlier one hold is not known to be ours.
            written = self._snapshots.save(t, arrays, () if self._is_whole else _unchanged(touched))
            self._snapshots.thin(t, t - self._retention_ms)
        except OSError as error:
            log.warning("snapshot.failed", error=str(error))
            return
        self._mark, self._is_whole = mark, False
        self.counts.snapshots += 1
        while self._unsnapped:
            self._unsnapped.pop().done.set_result(None)
        log.info("snapshot.saved", bytes=written, slots=self.bank.size)


def _identity(finding: Finding) -> tuple[str, int]:
    return finding.entity, finding.start


_NEVER = np.iinfo(np.int64).max
_NOTHING = (np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))


def packed(bank: State, watch: State) -> State:
    """Both states as arrays of one snapshot; each hour of a profile stands alone, since few change between two."""
    arrays = {f"watch.{k}": v for k, v in watch.items()}
    for name, array in bank.items():
        if name in PROFILES:
            arrays |= {f"profile.{name}.{hour}": row for hour, row in enumerate(array)}
        else:
            arrays[f"bank.{name}"] = array
    return arrays


def unpacked(arrays: State, slots: Sequence[int] | None = None) -> tuple[State, State]:
    """(bank, watch) of a snapshot; of the bank only `slots` when given."""
    some = slice(None) if slots is None else list(slots)
    bank = {k.removeprefix("bank."): v[..., some] for k, v in arrays.items() if k.startswith("bank.")}
    for name, hours in PROFILES.items():
        bank[name] = np.stack([arrays[f"profile.{name}.{hour}"][some] for hour in range(hours)])
    return bank, {k.removeprefix("watch."): v for k, v in arrays.items() if k.startswith("watch.")}


def _unchanged(touched: Mapping[str, NDArray[np.intp]]) -> set[str]:
    return {
        f"profile.{name}.{hour}"
        for name, hours in PROFILES.items()
        for hour in set(range(hours)) - set(touched[name].tolist())
    }
