"""Scrapes Prometheus targets as Prometheus does: on a spread grid, with `up`, and with staleness markers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
import structlog

from airis_mon.errors import InputError, UpstreamError
from airis_mon.ingest.schedule import Clock, WallClock, spread_ms, ticks
from airis_mon.ingest.scrape import Access, Fetcher, Page
from airis_mon.ingest.targets import Defaults, Discovery, Target, pairs
from airis_mon.series.batch import STALE, Batch, Ids, empty_batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.exposition import Exposition, attach
from airis_mon.series.labels import METRIC, canonical

log = structlog.get_logger()

INLINE_BYTES = 1 << 16
"""Longer pages are parsed in a thread, so that other targets' answers are not kept waiting."""
ALIGN_MS = 10
"""A scrape that began at most this late carries its due time: even spacing keeps rates true and packs better."""
OWN = ("up", "scrape_duration_seconds", "scrape_samples_scraped")


@dataclass(slots=True)
class _Watch:
    """What is known of one target."""

    target: Target
    page: Exposition
    rows: Ids = field(default_factory=lambda: np.empty(0, np.int32))  # sids of the last page, row by row
    live: Ids = field(default_factory=lambda: np.empty(0, np.int32))  # its series, without those that had own times
    last_t: int = 0
    duration_s: float = 0.0
    samples: int = 0
    error: str = "not scraped yet"


class Prometheus:
    """One group of targets, as an entry of Prometheus' scrape_configs.

    targets: `host:port` or whole URLs. file_sd: JSON or YAML files in Prometheus' format, looked at every `refresh_s`
    and read again when they changed. Each target has its own stable place within the interval. Its labels are `job`,
    `instance` and those of settings and files; a page's own label of the same name is renamed to `exported_<name>`,
    or wins with `honor_labels`. `honor_timestamps` keeps the times that a page gives; such samples get no staleness
    markers. A page that fails, is longer than `max_bytes` or holds more than `max_samples` sets `up` to 0, and its
    series get staleness markers, as do series and targets that disappear. At most `max_concurrent` pages are
    fetched at once. Secrets are given as text or as a file that is read at every scrape.

    >>> collector = Prometheus(Catalogue(), job="node", targets=["127.0.0.1:9100"])
    >>> collector.health()["targets"]
    []
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        job: str = "prometheus",
        targets: Sequence[str] = (),
        file_sd: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        interval_s: float = 15.0,
        timeout_s: float = 10.0,
        scheme: str = "http",
        metrics_path: str = "/metrics",
        params: Mapping[str, str] | None = None,
        honor_labels: bool = False,
        honor_timestamps: bool = True,
        bearer_token: str = "",
        bearer_token_file: str = "",
        username: str = "",
        password: str = "",
        password_file: str = "",
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
        verify_tls: bool = True,
        max_bytes: int = 64 << 20,
        max_samples: int = 500_000,
        max_concurrent: int = 20,
        refresh_s: float = 5.0,
        clock: Clock | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.kind = "prometheus"
        self.cursor = ""  # a page that was missed is gone
        self.catalogue = catalogue
        self.interval_ms = int(interval_s * 1000)
        self._honor_labels, self._honor_timestamps = honor_labels, honor_timestamps
        self._max_samples, self._max_concurrent, self._refresh_s = max_samples, max_concurrent, refresh_s
        access = Access(
            bearer_token, bearer_token_file, username, password, password_file, ca_file, cert_file, key_file, verify_tls
        )
        access.tls()  # unusable files are said at start
        self._make_fetcher: Callable[[], Fetcher] = lambda: Fetcher(
            access, timeout_s=timeout_s, max_bytes=max_bytes, transport=transport
        )
        self._discovery = Discovery(Defaults(job, scheme, metrics_path, pairs(params), pairs(labels)), targets, file_sd)
        self._clock = clock or WallClock()
        self._watches: dict[Target, _Watch] = {}
        self._loops: dict[Target, asyncio.Task[None]] = {}

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """One batch per scrape of each target, until cancelled. Targets that cannot be reached yield `up` 0."""
        fetcher = self._make_fetcher()
        queue: asyncio.Queue[Batch] = asyncio.Queue(2 * self._max_concurrent)
        keeper = asyncio.create_task(self._keep(fetcher, queue), name="scrape targets")
        try:
            while True:
                yield await _next(queue, keeper)
        finally:
            tasks = [keeper, *self._loops.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loops.clear()
            await fetcher.aclose()

    def health(self) -> dict[str, Any]:
        """Every target with its last scrape, and the files that cannot be read."""
        targets = [
            {
                "url": w.target.place,
                "labels": dict(w.target.labels),
                "up": not w.error,
                "error": w.error,
                "last_t": w.last_t,
                "duration_s": w.duration_s,
                "samples": w.samples,
            }
            for w in self._watches.values()
        ]
        down = [w.target.place for w in self._watches.values() if w.error and w.last_t]
        return {
            "kind": self.kind,
            "targets": targets,
            "file_errors": dict(self._discovery.errors),
            "degraded": [*down, *self._discovery.errors],
        }

    async def _keep(self, fetcher: Fetcher, queue: asyncio.Queue[Batch]) -> None:
        """Begins to scrape targets that appear and ends those that disappear."""
        gate = asyncio.Semaphore(self._max_concurrent)
        while True:
            targets = await asyncio.to_thread(self._discovery.targets)
            for gone in self._watches.keys() - set(targets):
                await self._end(gone, queue)
            for target in targets:
                if target not in self._loops:
                    loop = self._loop(self._watch(target), fetcher, gate, queue)
                    self._loops[target] = asyncio.create_task(loop, name=f"scrape {target.place}")
            await self._clock.sleep(self._refresh_s)

    def _watch(self, target: Target) -> _Watch:
        if target not in self._watches:
            name = attach(dict(target.labels), honor_labels=self._honor_labels)
            page = Exposition(self.catalogue, name, honor_timestamps=self._honor_timestamps)
            self._watches[target] = _Watch(target, page)
        return self._watches[target]

    async def _end(self, target: Target, queue: asyncio.Queue[Batch]) -> None:
        watch, task = self._watches.pop(target), self._loops.pop(target, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        now = self._clock.now()
        own = self._own(watch, now, [float(STALE)] * len(OWN)) if watch.last_t else empty_batch()
        await queue.put(_joined(self._stale(watch.live, now), own))

    async def _loop(
        self, watch: _Watch, fetcher: Fetcher, gate: asyncio.Semaphore, queue: asyncio.Queue[Batch]
    ) -> None:
        place = spread_ms(f"{watch.target.url}{watch.target.labels}", self.interval_ms)
        now = self._clock.now()
        async for due in ticks(self._clock, self.interval_ms, now + (place - now) % self.interval_ms):
            async with gate:
                batch = await self._scrape(watch, fetcher, due)
            await queue.put(batch)

    async def _scrape(self, watch: _Watch, fetcher: Fetcher, due: int) -> Batch:
        """One page with what is ours about it. Whatever goes wrong stays with this target."""
        began = self._clock.now()
        t = due if began - due <= min(ALIGN_MS, self.interval_ms // 100) else began
        page, error = empty_batch(), ""
        try:
            page = await self._parsed(watch.page, await fetcher.fetch(watch.target.url), t)
        except (UpstreamError, InputError) as e:
            error = str(e)
        except Exception as e:  # boundary: one target must not end the others
            error = f"{type(e).__name__}: {e}"
            log.exception("scrape.crashed", target=watch.target.place)
        if error and error != watch.error:
            log.warning("scrape.failed", target=watch.target.place, error=error)
        page, ended = _compare(watch, page, t)
        watch.error, watch.last_t, watch.samples = error, t, len(page)
        watch.duration_s = (self._clock.now() - began) / 1000
        own = self._own(watch, t, [float(not error), watch.duration_s, float(len(page))])
        return _joined(page, self._stale(ended, t), own)

    async def _parsed(self, reader: Exposition, page: Page, t: int) -> Batch:
        """The page's samples. Raises InputError when there is nothing to use."""
        if len(page.body) <= INLINE_BYTES:
            batch = reader.parse(page.body, page.content_type, t)
        else:
            batch = await asyncio.to_thread(reader.parse, page.body, page.content_type, t)
        if len(batch) > self._max_samples:
            raise InputError(f"the page holds {len(batch)} samples, max_samples is {self._max_samples}")
        if batch.refusals and not len(batch):
            first = batch.refusals[0]
            raise InputError(f"the page holds no sample; {first.path}: {first.reason}")
        return batch

    def _stale(self, sid: Ids, t: int) -> Batch:
        """Staleness markers of those series that the catalogue still knows."""
        alive = np.array([s for s in sid.tolist() if self.catalogue.has(s)], np.int32)
        return Batch(alive, np.full(len(alive), t, np.int64), np.full(len(alive), STALE))

    def _own(self, watch: _Watch, t: int, values: list[float]) -> Batch:
        """(3,) the series that say how the scrape itself went."""
        take_types(self.catalogue, [(name, MetricType.GAUGE) for name in OWN])
        try:
            sid = [self.catalogue.intern(canonical([*watch.target.labels, (METRIC, name)])) for name in OWN]
        except InputError as e:  # the catalogue is full, or the target's labels are beyond its limits
            watch.error = watch.error or str(e)
            return empty_batch()
        return Batch(np.array(sid, np.int32), np.full(len(sid), t, np.int64), np.array(values))


async def _next(queue: asyncio.Queue[Batch], keeper: asyncio.Task[None]) -> Batch:
    """The next batch. Raises what ended the keeper, so that the engine sees it and starts anew."""
    getting = asyncio.ensure_future(queue.get())
    try:
        await asyncio.wait({getting, keeper}, return_when=asyncio.FIRST_COMPLETED)
        if keeper.done():
            keeper.result()
        return await getting
    finally:
        getting.cancel()


def _compare(watch: _Watch, page: Batch, t: int) -> tuple[Batch, Ids]:
    """The page without repeated rows, and the series of the page before that are gone; the watch takes note.

    Nearly every page has the rows of the one before: one comparison instead of three sorts of its series.
    """
    is_regular = bool((page.t == t).all())
    if is_regular and np.array_equal(page.sid, watch.rows):
        return page, np.empty(0, np.int32)
    page = _first(page)
    ended = np.setdiff1d(watch.live, np.unique(page.sid), assume_unique=True)
    watch.live = np.unique(page.sid[page.t == t])  # samples with times of their own end when they end
    watch.rows = page.sid if is_regular else np.empty(0, np.int32)
    return page, ended


def _first(batch: Batch) -> Batch:
    """The first row of each series and time, as Prometheus keeps it; the others are counted as refused."""
    if len(np.unique(batch.sid)) == len(batch):
        return batch
    order = np.lexsort((batch.t, batch.sid))  # stable: the first of equal rows stays first
    sid, t = batch.sid[order], batch.t[order]
    again = np.flatnonzero((sid[1:] == sid[:-1]) & (t[1:] == t[:-1])) + 1
    keep = np.ones(len(batch), np.bool_)
    keep[order[again]] = False
    refused = batch.refused + len(again)
    return Batch(batch.sid[keep], batch.t[keep], batch.value[keep], batch.refusals, refused)


def _joined(page: Batch, *more: Batch) -> Batch:
    """The rows of all, with the refusals of the page."""
    every = (page, *more)
    return Batch(
        np.concatenate([b.sid for b in every]),
        np.concatenate([b.t for b in every]),
        np.concatenate([b.value for b in every]),
        page.refusals,
        page.refused,
    )
