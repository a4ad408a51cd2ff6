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

from airis_mon.app.bus import EventBus
from airis_mon.app.detection import Detection
from airis_mon.app.exposition import Exposition
from airis_mon.app.ground import KernelCache
from airis_mon.app.history import Curve, History
from airis_mon.app.sources import Sources
from airis_mon.app.vitals import Vitals
from airis_mon.app.warm import warm_detect, warm_ingest
from airis_mon.detect.coverage import Coverage
from airis_mon.errors import NotFound, Refusal, StoreBusy, StoreError
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
STORE_RETRY_S = 2.0
HOUSEKEEPING_S = 60.0


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A series as people see it: its latest sample (t None = none yet) and what is watched of it."""

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
    history: History
    bus: EventBus
    decoders: Mapping[str, Decoder]
    collectors: Sequence[tuple[str, Collector]]
    cursors: Cursors
    limits: Limits
    clock: Callable[[], int]
    data_dir: Path
    kernels: KernelCache
    idle_s: float = 86_400.0
    background: Sequence[Any] = ()  # what else has `start()` and `await stop()`, such as the write-back


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
        self._is_open = False
        self._vitals = Vitals(self, parts.data_dir)
        self._exposition = Exposition(self)

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Opens the store, restores what was known, begins to collect.

        A store that does not answer yet is waited for in the background: the engine runs and is not ready.
        Raises StoreError for what waiting will not mend.
        """
        self.started_at = self.parts.clock()
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
        await self._sources.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in reversed(self.parts.background):
            await part.stop()
        if self._is_open:
            await self._call(self.parts.commit.close)
            await self._call(self.parts.detection.stop)
            await self._call(self.parts.store.close)
        self._threads.shutdown()
        log.info("engine.stopped")

    @property
    def is_ready(self) -> bool:
        """Whether samples are taken in."""
        return not self.not_ready_reason

    @property
    def is_live(self) -> bool:
        """Whether nothing has died that only a restart would mend."""
        return not self.is_ready or (self.parts.detection.is_alive and self.parts.commit.is_alive)

    @property
    def dropped(self) -> int:
        """Collected samples that the store never took."""
        return self._sources.dropped

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each source failed."""
        return self._sources.failures

    async def _open(self) -> None:
        await self._call(self.parts.store.open)
        await self._call(self._know_series)
        self._is_open = True
        if not self.parts.kernels.is_complete:
            self.not_ready_reason = "compiling kernels, once after an install or upgrade: about a quarter of a minute"
            log.info("kernels.compiling", note=self.not_ready_reason)
            self._start_warming()
            await self._ingest_is_warm.wait()
        self.parts.detection.start()
        for part in self.parts.background:
            part.start()
        self._sources.start(self.parts.collectors)
        self.not_ready_reason = ""
        if not self._ingest_is_warm.is_set():
            self._start_warming()
        log.info("engine.started", series=len(self.parts.catalogue), sources=len(self.parts.collectors))

    async def _open_later(self) -> None:
        while not self.is_ready:
            await asyncio.sleep(STORE_RETRY_S)
            try:
                await self._open()
            except StoreError as error:
                self.not_ready_reason = str(error)

    def _start_warming(self) -> None:
        # A thread that ends with the process: nobody waits for kernels when it is told to stop meanwhile.
        threading.Thread(target=self._warm, args=(asyncio.get_running_loop(),), name="airis-warm", daemon=True).start()

    def _warm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Loads or compiles all kernels; samples are taken in as soon as those of their way are there."""
        began = self.parts.clock()
        catalogue, batches = warm_ingest(self.parts.store)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._ingest_is_warm.set)
        warm_detect(catalogue, batches)
        self.parts.kernels.complete()
        log.info("kernels.loaded", duration_ms=self.parts.clock() - began)

    def _know_series(self) -> None:
        since = self.parts.clock() - int(self.parts.idle_s * 1000)
        rows = list(self.parts.store.load_series(since))
        for row in rows:
            self.parts.catalogue.intern(row.labels)
        self.parts.commit.remember(rows)

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            if not self.is_ready:
                continue
            now = self.parts.clock()
            try:
                await self._call(self.parts.store.maintain, now)
                gone = await self._call(self.parts.detection.evict, now - int(self.parts.idle_s * 1000))
            except StoreError as error:
                log.warning("housekeeping.delayed", error=str(error))
                continue
            if gone:
                log.info("series.evicted", series=gone)

    # -- in -----------------------------------------------------------------------------------------------------

    async def ingest(self, kind: str, body: bytes, content_type: str) -> Receipt:
        """Takes a pushed body in; answers when its samples are committed, with what of it was refused.

        Good items are kept, bad ones refused. Raises InputError when the body cannot be read at all, TooLarge beyond a
        size limit, StoreBusy when nothing can be committed now: then nothing of it was acknowledged.
        """
        if not self.is_ready:
            raise StoreBusy(f"not ready: {self.not_ready_reason}", STORE_RETRY_S)
        now = self.parts.clock()
        if len(body) > INLINE_BYTES or not self._ingest_is_warm.is_set() or kind not in self.parts.decoders:
            batch = await self._call(self._decode, kind, body, content_type, now)
        else:
            batch = self._decode(kind, body, content_type, now)
        kept = await self.accept(kind, batch)
        accepted = len(batch) - (kept.refused - batch.refused)
        unsupported = batch.unsupported if isinstance(batch, Decoded) else 0
        return Receipt(accepted, kept.refused, kept.refusals, len(kept), now, unsupported)

    def _decode(self, kind: str, body: bytes, content_type: str, now: int) -> Batch:
        return self.parts.decoders[kind].decode(body, content_type, now)

    async def accept(self, kind: str, batch: Batch) -> Batch:
        """Admits and commits decoded samples; answers those committed, with all refusals."""
        batch = admit(batch, self.parts.catalogue, self.parts.clock(), self.parts.limits)
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
        """One series. Raises NotFound."""
        sid = self.parts.catalogue.find(fp)
        if sid is None:
            raise NotFound(f"no series {hex_id(fp)}; GET /series lists what is known")
        await self._recall([fp])
        (info,) = await self._call(self._infos, [(fp, self.parts.catalogue.labels(sid))])
        return info

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
        return await self._stored(self.parts.history.curve, fp, signal, start, end)

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

    def health(self) -> dict[str, Any]:
        """The specification's flat health."""
        return self._vitals.health()

    def status(self) -> dict[str, Any]:
        """The specification's flat status."""
        return self._vitals.status()

    async def exposition(self) -> bytes:
        """Our own metrics and scores in the text format."""
        return await self._call(self._exposition.page)

    async def store_size(self) -> tuple[int, int]:
        """(bytes on disk, stored samples)."""
        return await self._stored(self.parts.store.size)

    def scores(self) -> list[tuple[Labels, str, float]]:
        """(labels, signal, highest score of the last ten minutes) of every watched signal, highest first."""
        detection = self.parts.detection
        with detection.lock:
            highest = self._highest()
            held = set(detection.watch.slots.held().tolist())
            order = np.argsort(-highest, kind="stable")
            signals = [(detection.watch.signal(int(slot)), float(highest[slot])) for slot in order if slot in held]
        catalogue = self.parts.catalogue
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
        if not self.is_ready:
            raise StoreBusy(f"not ready: {self.not_ready_reason}", STORE_RETRY_S)
        return await self._call(function, *args)
