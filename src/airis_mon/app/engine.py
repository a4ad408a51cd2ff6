"""The loop: it alone knows the order of the stages, and it is given its clock.

decode -> admit -> group commit -> acknowledge -> judge -> anomalies -> events. Start and stop belong to the engine, not
to a web framework: a mounted application never gets a lifespan.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import structlog

from airis_mon.app.analytics import Analytics
from airis_mon.app.backfill import Backfill
from airis_mon.app.bus import EventBus
from airis_mon.app.detection import Detection
from airis_mon.app.evaluate import GroupRun
from airis_mon.app.exposition import Exposition
from airis_mon.app.fleet import Fleet
from airis_mon.app.ground import KernelCache
from airis_mon.app.history import Curve, SignalHistory
from airis_mon.app.insight import Insight
from airis_mon.app.jobs import JobRunner
from airis_mon.app.predictions import Predictions
from airis_mon.app.queries import Queries
from airis_mon.app.replays import Replays
from airis_mon.app.reporter import Part
from airis_mon.app.rules import Rules
from airis_mon.app.sources import Sources
from airis_mon.app.vitals import Vitals
from airis_mon.app.warm import warm_detect, warm_ingest, warm_limits, warm_queries
from airis_mon.app.workers import Worker
from airis_mon.detect.coverage import Coverage
from airis_mon.errors import AirisError, Conflict, InputError, NotFound, Refusal, StoreBusy, StoreError
from airis_mon.events.anomaly import Anomaly
from airis_mon.ingest.base import Collector, Decoded, Decoder
from airis_mon.series.admit import Limits, admit
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import NEVER, Catalogue
from airis_mon.series.labels import Labels, hex_id, series_name
from airis_mon.series.matchers import Matcher
from airis_mon.store.base import Columns, SeriesStore
from airis_mon.store.commit import GroupCommit
from airis_mon.store.cursors import Cursors

log = structlog.get_logger()
R = TypeVar("R")

INLINE_BYTES = 64 * 1024
"""Smaller bodies are decoded on the event loop: a thread would cost more than the work."""
DRAWN_AT_ONCE, DRAWN_LATER = 2, 14
"""Curves are drawn by worker threads that ingest and queries need too: so many at once, so many more may wait."""
STORE_RETRY_S = 2.0
HOUSEKEEPING_S = 60.0


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A series as people see it: its latest sample and what is watched of it.

    last_t and last_value are None when none has come for as long as an idle series is remembered.
    """

    fp: int
    labels: Labels
    name: str
    last_t: int | None
    last_value: float | None
    score: float
    signals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a pushed body, given after the commit that holds its samples.

    accepted counts items taken, retries of stored ones included; samples those committed now; unsupported those of the
    refused that are of a kind that is never stored.
    """

    accepted: int
    refused: int
    refusals: tuple[Refusal, ...]
    samples: int
    received_ms: int
    unsupported: int = 0


@dataclass(slots=True)
class Counts:
    """What has passed the engine since its start, by way in."""

    requests: dict[str, int] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def note(self, kind: str, batch: Batch) -> None:
        """Counts one batch."""
        for counts, n in ((self.requests, 1), (self.samples, len(batch)), (self.refused, batch.refused)):
            counts[kind] = counts.get(kind, 0) + n


@dataclass(slots=True)
class Parts:
    """Everything the engine runs; `app/wiring.py` makes it from the settings."""

    catalogue: Catalogue
    store: SeriesStore
    commit: GroupCommit
    detection: Detection
    history: SignalHistory
    bus: EventBus
    decoders: Mapping[str, Decoder]
    collectors: Sequence[tuple[str, Collector]]
    cursors: Cursors
    limits: Limits
    clock: Callable[[], int]
    data_dir: Path
    kernels: KernelCache
    queries: Queries
    rules: Rules
    idle_s: float = 86_400.0
    background: Sequence[Part] = ()  # what else is a `reporter.Part`
    backfill: Backfill | None = None
    is_demo: bool = False  # all that is watched is simulated
    jobs: JobRunner | None = None
    replays: Replays | None = None
    insight: Insight | None = None
    analytics: Analytics | None = None
    worker: Worker | None = None  # the process for heavy work of those who ask
    fleet: Fleet | None = None  # also among `background`, as `predictions`
    predictions: Predictions | None = None


class Engine:
    """One engine per process and data directory."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.events = parts.bus
        self.counts = Counts()
        self.started_at: int | None = None
        self.not_ready_reason = "not started"
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="airis-work")
        self._sources = Sources(self.accept, parts.cursors)
        self._tasks: list[asyncio.Task[None]] = []
        self._ingest_is_warm = asyncio.Event()
        self._warming_ended = asyncio.Event()
        self._pencils = asyncio.Semaphore(DRAWN_AT_ONCE)
        self._drawing = 0
        self._failure = ""  # what only a restart would mend
        self._is_open = False
        self.store_size: tuple[int, int] | None = None  # (bytes on disk, stored samples), measured once a minute
        self._vitals = Vitals(self, parts.data_dir)
        self._exposition = Exposition(self)

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Opens the store, restores what was known, begins to collect.

        A store that does not answer yet is waited for in the background: the engine runs and is not ready.
        Raises BadRules for faulty rule files, StoreError for what waiting will not mend, AirisError when the kernels
        cannot be compiled.
        """
        self.parts.rules.load()
        self.started_at = self.parts.clock()
        self.parts.catalogue.tick(self.started_at)
        try:
            await self._open()
        except StoreBusy as error:
            self.not_ready_reason = str(error)
            log.warning("store.unavailable", error=str(error), retry_s=STORE_RETRY_S)
            self._tasks.append(asyncio.create_task(self._open_later()))
        self._tasks.append(asyncio.create_task(self._housekeeping()))

    async def stop(self) -> None:
        """Stops collecting, commits and judges what is under way, writes a snapshot, closes the store."""
        self.not_ready_reason = "stopping"
        if self.parts.jobs:
            await self.parts.jobs.stop()
        await self._sources.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.parts.rules.stop()
        self.parts.queries.close()
        if self.parts.analytics:
            self.parts.analytics.close()
        for part in reversed(self.parts.background):
            await part.stop()
        if self.parts.worker:
            await self.parts.worker.close()
        if self.parts.backfill:
            await self.parts.backfill.stop()
        if self._is_open:
            await self._call(self.parts.commit.close)
            await self._call(self.parts.detection.stop)
            await self._call(self.parts.store.close)
        self._threads.shutdown(wait=False, cancel_futures=True)  # what was acknowledged is committed already
        log.info("engine.stopped")

    @property
    def is_ready(self) -> bool:
        """Whether samples are taken in."""
        return not self.not_ready_reason

    @property
    def is_live(self) -> bool:
        """Whether nothing has died that only a restart would mend."""
        if self._failure:
            return False
        return not self.is_ready or (self.parts.detection.is_alive and self.parts.commit.is_alive)

    @property
    def dropped(self) -> int:
        """Collected samples that the store never took."""
        return self._sources.dropped

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each source failed and was started again."""
        return self._sources.failures

    def degraded(self) -> dict[str, list[str]]:
        """What of each source, part beside the loop, the rules and the jobs does not work at present; [] = all."""
        parts = [*self.parts.collectors, *((part.name, part) for part in self.parts.background)]
        found = {name: list(health()["degraded"]) for name, p in parts if (health := getattr(p, "health", None))}
        found["backfill"] = self.parts.backfill.health()["degraded"] if self.parts.backfill else []
        jobs = self.parts.jobs.degraded() if self.parts.jobs else []
        is_warm = self._warming_ended.is_set() or self.parts.kernels.is_complete or not self._is_open
        kernels = [] if is_warm else ["kernels are being compiled: computed series and questions wait for them"]
        return {**found, "rules": self.parts.rules.degraded(), "jobs": jobs, "kernels": kernels}

    async def _open(self) -> None:
        await self._open_store()
        try:
            await self._call(self._know_series)
            if not self.parts.kernels.is_complete:
                await self._compile()
        except BaseException:
            await self._call(self.parts.store.close)
            raise
        self._is_open = True
        for part in self.parts.background:
            part.start()
        self._sources.start(self.parts.collectors)
        self.parts.rules.start()
        if self.parts.backfill:
            self.parts.backfill.start()
        self.not_ready_reason = ""
        if self.parts.jobs:
            self.parts.jobs.start()
        if not self._ingest_is_warm.is_set():
            self._start_warming()
        log.info("engine.started", series=len(self.parts.catalogue), sources=len(self.parts.collectors))

    async def _open_store(self) -> None:
        """Given up meanwhile, it waits for the call in its thread: nobody else would close what that opens."""
        opening = asyncio.ensure_future(self._call(self.parts.store.open))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait([opening])
            await self._call(self.parts.store.close)
            raise

    async def _open_later(self) -> None:
        while not self.is_ready:
            await asyncio.sleep(STORE_RETRY_S)
            try:
                await self._open()
            except StoreError as error:
                self.not_ready_reason = str(error)
            except Exception as error:  # boundary: supervision; said where people look, since nobody awaits this task
                self._failure = self.not_ready_reason = f"the start failed: {error!r}; see the log"
                log.exception("engine.start.failed")
                return

    async def _compile(self) -> None:
        self.not_ready_reason = "compiling kernels, once after an install or upgrade: about a quarter of a minute"
        log.info("kernels.compiling", note=self.not_ready_reason)
        self._start_warming()
        wanted = [asyncio.ensure_future(e.wait()) for e in (self._ingest_is_warm, self._warming_ended)]
        try:
            await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in wanted:
                waiting.cancel()
        if self._failure:
            self.not_ready_reason = self._failure
            raise AirisError(self._failure)

    def _start_warming(self) -> None:
        # A thread that ends with the process: nobody waits for kernels when it is told to stop meanwhile.
        threading.Thread(target=self._warm, args=(asyncio.get_running_loop(),), name="airis-warm", daemon=True).start()

    def _warm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Loads or compiles all kernels; samples are taken in as soon as those of their way are there."""
        began = self.parts.clock()
        try:
            catalogue, batches = warm_ingest(self.parts.store)
            self._tell(loop, self._ingest_is_warm)
            warm_queries(batches)
            warm_detect(catalogue, batches)
            self.parts.kernels.complete()
            self.parts.detection.start()  # not before: it would hold its lock while it compiles
            if self.parts.analytics:
                self.parts.analytics.warm()
            if self.parts.predictions:
                warm_limits()
            log.info("kernels.loaded", duration_ms=self.parts.clock() - began)
        except Exception as error:  # boundary: supervision of this thread
            self._failure = f"the kernels cannot be compiled: {error!r}; see the log"
            log.exception("kernels.failed")
        finally:
            self._tell(loop, self._warming_ended)

    def _tell(self, loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(event.set)

    def _know_series(self) -> None:
        since = self.parts.clock() - int(self.parts.idle_s * 1000)
        rows, refused, why = [], 0, ""
        for row in self.parts.store.load_series(since):
            try:
                self.parts.catalogue.intern(row.labels)
            except InputError as error:  # a limit was lowered since, or the series sent now would not find room
                refused, why = refused + 1, str(error)
            else:
                rows.append(row)
        self.parts.commit.remember(rows)
        if refused:
            log.warning("series.refused", series=refused, last=why)

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            await self.tidy()

    async def tidy(self) -> None:
        """One round of what is done every minute; a part that fails keeps no other from its turn."""
        self.parts.catalogue.tick(self.parts.clock())
        if not self.is_ready:
            return
        for part in (self._maintain, self._evict, self._measure):
            try:
                await part()
            except StoreError as error:
                log.warning("housekeeping.delayed", part=part.__name__.strip("_"), error=str(error))
            except Exception:  # boundary: supervision; the next round tries again
                log.exception("housekeeping.failed", part=part.__name__.strip("_"))

    async def _maintain(self) -> None:
        await self._call(self.parts.store.maintain, self.parts.clock())

    async def _evict(self) -> None:
        gone = await self._call(self.parts.detection.evict, self.parts.clock() - int(self.parts.idle_s * 1000))
        if gone:
            log.info("series.evicted", series=gone)

    async def _measure(self) -> None:
        self.store_size = await self._call(self.parts.store.size)

    # -- in -----------------------------------------------------------------------------------------------------

    async def ingest(self, kind: str, body: bytes, content_type: str) -> Receipt:
        """Takes a pushed body in; answers when its samples are committed, with what of it was refused.

        Good items are kept, bad ones refused. Raises InputError when the body cannot be read at all, TooLarge beyond a
        size limit, StoreBusy when nothing can be committed now: then nothing of it was acknowledged.
        """
        self._demand_ready()
        now = self.parts.clock()
        batch = self._decoded_inline(kind, body, content_type, now)
        if batch is None:
            batch = await self._call(self._decode, kind, body, content_type, now)
        kept = await self.accept(kind, batch)
        accepted = len(batch) - (kept.refused - batch.refused)
        unsupported = batch.unsupported if isinstance(batch, Decoded) else 0
        return Receipt(accepted, kept.refused, kept.refusals, len(kept), now, unsupported)

    def _decoded_inline(self, kind: str, body: bytes, content_type: str, now: int) -> Batch | None:
        """None when the event loop would have to wait: for a large body, a kernel, an import, or another decoder."""
        if len(body) > INLINE_BYTES or not self._ingest_is_warm.is_set() or kind not in self.parts.decoders:
            return None
        lock = self.parts.catalogue.lock
        if not lock.acquire(blocking=False):
            return None
        try:
            return self._decode(kind, body, content_type, now)
        finally:
            lock.release()

    def _decode(self, kind: str, body: bytes, content_type: str, now: int) -> Batch:
        return self.parts.decoders[kind].decode(body, content_type, now)

    async def accept(self, kind: str, batch: Batch) -> Batch:
        """Admits and commits decoded samples; answers those committed, with all refusals."""
        batch = admit(batch, self.parts.catalogue, self.parts.clock(), self.parts.limits)
        self.parts.catalogue.touch(batch.sid)  # before the commit: else the series could be evicted under way
        if len(batch):
            await asyncio.wrap_future(self.parts.commit.add(batch))
        self.counts.note(kind, batch)
        return batch

    # -- out ----------------------------------------------------------------------------------------------------

    async def series(
        self, matchers: Sequence[Matcher], start: int | None, end: int | None, limit: int
    ) -> list[SeriesInfo]:
        """Stored series that match, ordered by fingerprint."""
        rows = await self._stored(self.parts.store.series, matchers, start, end, limit)
        await self._recall([row.fp for row in rows])
        return await self._call(self._infos, [(row.fp, row.labels) for row in rows])

    async def series_one(self, fp: int) -> SeriesInfo:
        """One series, also one that was silent for so long that only the store knows it. Raises NotFound."""
        labels = self._labels(fp)
        if labels is None:
            rows = await self._stored(self.parts.store.series_by_fp, [fp])
            if not rows:
                raise NotFound(f"no series {hex_id(fp)}; GET /series lists what is known")
            labels = rows[0].labels
        await self._recall([fp])
        (info,) = await self._call(self._infos, [(fp, labels)])
        return info

    def _labels(self, fp: int) -> Labels | None:
        sid = self.parts.catalogue.find(fp)
        try:
            return None if sid is None else self.parts.catalogue.labels(sid)
        except KeyError:  # evicted at this moment
            return None

    async def _recall(self, fps: Sequence[int]) -> None:
        """Fetches the latest sample of series that have had none since the start."""
        catalogue, now = self.parts.catalogue, self.parts.clock()
        sids = {fp: sid for fp in fps if (sid := catalogue.find(fp)) is not None and catalogue.last_t[sid] == NEVER}
        if sids:
            last = await self._stored(self.parts.store.last_samples, list(sids), now, int(self.parts.idle_s * 1000))
            rows = np.array([sids[fp] for fp in last.fp.tolist()], np.int32)
            catalogue.observe(Batch(rows, last.t, last.value))

    async def samples(self, fp: int, start: int, end: int, limit: int) -> Columns:
        """Raw samples of one series within [start, end]."""
        await self.series_one(fp)
        return await self._stored(self.parts.store.samples, [fp], start, end, limit)

    async def bands(self, fp: int, signal: str | None, start: int, end: int) -> Curve:
        """What was expected of one signal within [start, end]."""
        await self.series_one(fp)
        if self._drawing >= DRAWN_AT_ONCE + DRAWN_LATER:
            raise StoreBusy(f"{self._drawing} curves are being drawn; ask for fewer at once or shorter windows", 1.0)
        self._drawing += 1
        try:
            async with self._pencils:
                return await self._stored(self.parts.history.curve, fp, signal, start, end)
        finally:
            self._drawing -= 1

    async def anomalies(
        self,
        matchers: Sequence[Matcher],
        fp: int | None,
        start: int,
        end: int,
        min_score: float = 0.0,
        limit: int = 1000,
    ) -> list[Anomaly]:
        """Stored anomalies of the series that match, newest first."""
        fps = None if fp is None else [fp]
        return await self._stored(self.parts.store.anomalies, fps, start, end, min_score, limit, matchers)

    async def coverage(
        self, matchers: Sequence[Matcher], reason: str | None, is_watched: bool | None, offset: int, limit: int
    ) -> Coverage:
        """What is watched, what is not and why."""

        def covered() -> Coverage:
            with self.parts.detection.lock:
                return self.parts.detection.watch.coverage(
                    matchers, reason=reason, is_watched=is_watched, offset=offset, limit=limit
                )

        return await self._call(covered)

    @property
    def queries(self) -> Queries:
        """PromQL. Raises StoreBusy while the engine is not ready."""
        self._demand_ready()
        return self.parts.queries

    def rules(self) -> list[GroupRun]:
        """The groups of rules that are evaluated, by file and name."""
        return self.parts.rules.groups

    @property
    def replays(self) -> Replays:
        """Replays of the past. Raises Conflict when this engine was made without jobs."""
        if self.parts.replays is None:
            raise Conflict("this engine does no jobs; ask one that a server or an AIOpsManager runs")
        return self.parts.replays

    @property
    def analytics(self) -> Analytics:
        """Questions about series. Raises Conflict when this engine was made without them, StoreBusy when not ready."""
        self._demand_ready()
        return _demanded(self.parts.analytics, "answers no questions about series")

    @property
    def fleet(self) -> Fleet:
        """Forecasts of watched signals. Raises Conflict when they are switched off, StoreBusy when not ready."""
        self._demand_ready()
        return _demanded(self.parts.fleet, "makes no forecasts: forecasts.enabled is false")

    @property
    def predictions(self) -> Predictions:
        """Warnings of what runs out. Raises Conflict when they are switched off, StoreBusy when not ready."""
        self._demand_ready()
        return _demanded(self.parts.predictions, "watches no limits: predict.enabled is false")

    def health(self) -> dict[str, Any]:
        """The specification's flat health."""
        return self._vitals.health()

    def status(self) -> dict[str, Any]:
        """The specification's flat status."""
        return self._vitals.status()

    async def exposition(self) -> bytes:
        """Our own metrics and scores in the text format."""
        return await self._call(self._exposition.page)

    def scores(self, limit: int) -> list[tuple[Labels, str, float]]:
        """(labels, signal, highest score of the last ten minutes) of the `limit` highest watched signals, in order."""
        detection, catalogue = self.parts.detection, self.parts.catalogue
        with detection.lock:
            held = detection.watch.slots.held()
            scores = self._highest()[held]
            if len(held) > limit:  # only what is shown becomes Python objects: there may be a million
                top = np.argpartition(-scores, limit)[:limit]
                held, scores = held[top], scores[top]
            order = np.argsort(-scores, kind="stable")
            signals = [(detection.watch.signal(int(held[i])), float(scores[i])) for i in order]
            return [(catalogue.labels(s.sid), s.kind, score) for s, score in signals if catalogue.has(s.sid)]

    def _highest(self) -> Any:
        return self.parts.detection.peaks.highest(self.parts.clock(), self.parts.detection.bank.size)

    def _infos(self, series: Sequence[tuple[int, Labels]]) -> list[SeriesInfo]:
        with self.parts.detection.lock:
            scores = self._highest()
            return [self._info(fp, labels, scores) for fp, labels in series]

    def _info(self, fp: int, labels: Labels, scores: Any) -> SeriesInfo:
        catalogue, watch = self.parts.catalogue, self.parts.detection.watch
        sid = catalogue.find(fp)
        seen = sid is not None and catalogue.last_t[sid] != NEVER
        slots = watch.slots_of(fp)
        return SeriesInfo(
            fp=fp,
            labels=labels,
            name=series_name(labels),
            last_t=int(catalogue.last_t[sid]) if seen and sid is not None else None,
            last_value=float(catalogue.last_value[sid]) if seen and sid is not None else None,
            score=max((float(scores[s]) for s in slots), default=0.0),
            signals=tuple(watch.signal(s).kind for s in slots),
        )

    # -- threads ------------------------------------------------------------------------------------------------

    async def _call(self, function: Callable[..., R], *args: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _stored(self, function: Callable[..., R], *args: Any) -> R:
        self._demand_ready()
        return await self._call(function, *args)

    def _demand_ready(self) -> None:
        if not self.is_ready:
            raise StoreBusy(f"not ready: {self.not_ready_reason}", STORE_RETRY_S)


def _demanded(part: R | None, otherwise: str) -> R:
    if part is None:
        raise Conflict(f"this engine {otherwise}")
    return part
