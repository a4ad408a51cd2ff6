"""The past of sources, fetched and learned beside a live detector, on a real store."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from airis_mon.app.backfill import DAY_MS, HOUR_MS, Backfill, Parts, Past
from airis_mon.app.detection import Detection, Make
from airis_mon.app.judge import judge
from airis_mon.app.learner import Learner
from airis_mon.app.spans import Progress, Spans
from airis_mon.detect.base import State
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.watch import Watch
from airis_mon.errors import InputError, Permanent, Transient
from airis_mon.events.anomaly import Anomaly
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.histories.prometheus import Prometheus
from airis_mon.series.admit import Limits
from airis_mon.series.batch import Batch, empty_batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import canonical
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.commit import GroupCommit
from airis_mon.store.snapshots import Snapshots
from tests.ingest.promfake import FakePrometheus, Quick

NOW = 1_800_000_000_000
STEP = 60_000
SPIKE_MS = NOW - 30 * HOUR_MS
Change = Callable[[int, int], None]


class Source:
    """A history of a few gauges with a daily season: a wave, and one spike. before(start, end) may raise."""

    name = "fake"

    def __init__(self, series: int = 3, since: int = 0) -> None:
        self.labels = [canonical([("__name__", "load"), ("n", str(i))]) for i in range(series)]
        self.since = since
        self.asked: list[tuple[int, int]] = []
        self.before: Change = lambda _start, _end: None
        self.missing: tuple[Missing, ...] = ()
        self.catalogue = Catalogue()

    def of(self, catalogue: Catalogue) -> Source:
        """As a process makes it."""
        self.catalogue = catalogue
        take_types(catalogue, [("load", MetricType.GAUGE)])
        return self

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        assert start is not None
        assert end is not None
        self.asked.append((start, end))
        for at in range(start, end, 6 * HOUR_MS):
            upto = min(at + 6 * HOUR_MS, end)
            self.before(at, upto)
            yield Slice(at, upto, self.batch(at, upto), (upto - start) / (end - start), self.missing)

    def batch(self, start: int, end: int) -> Batch:
        start = max(start, self.since)
        t = np.arange(-(-start // STEP) * STEP, end, STEP, dtype=np.int64)
        if not len(t):
            return empty_batch()
        sid = np.array([self.catalogue.intern(labels) for labels in self.labels], np.int32)
        every = np.repeat(t, len(sid))
        which = np.tile(np.arange(len(sid)), len(t))
        return Batch(np.tile(sid, len(t)), every, value(every, which))


def value(t: np.ndarray, which: np.ndarray) -> np.ndarray:
    day = np.sin(2 * np.pi * (t % DAY_MS) / DAY_MS)
    wave = 10 + which + day + 0.1 * np.sin(t / STEP / 3 + which)
    return np.where((t == SPIKE_MS) & (which == 0), 90.0, wave)


@dataclass
class Site:
    """A machine with a store; `process()` is what runs on it, and may die and be started again."""

    store: ClickHouse
    folder: Path
    source: Source
    told: list[Anomaly] = field(default_factory=list)
    now: int = NOW
    processes: list[Process] = field(default_factory=list)

    def process(self, days: float = 3.0, **given: Any) -> Process:
        self.processes.append(Process(self, days, **given))
        return self.processes[-1]


class Process:
    """A live detector and a backfill."""

    def __init__(self, site: Site, days: float, **given: Any) -> None:
        self.site = site
        self.catalogue = Catalogue()
        for row in site.store.load_series():
            self.catalogue.intern(row.labels)
        self.detection = Detection(
            self.catalogue,
            make_over(self.catalogue),
            site.store,
            Snapshots(site.folder / "snapshots"),
            site.told.extend,
            self.clock,
        )
        self._is_fed = threading.Event()
        self.commit = GroupCommit(
            site.store, self.catalogue, clock=time.monotonic, on_commit=self._committed, interval_s=0.0
        )
        past = GroupCommit(
            site.store, self.catalogue, clock=time.monotonic, on_commit=self.catalogue.observe, interval_s=0.0, rows=1
        )
        self.source = site.source.of(self.catalogue)
        history = given["history"](self.catalogue) if "history" in given else self.source
        self.backfill = Backfill(
            Parts(
                pasts=given.get("pasts") or [Past("fake", history, days)],
                spans=given.get("spans") or Spans(site.folder / "backfill.json"),
                catalogue=self.catalogue,
                commit=past,
                learner=Learner(site.store, fresh, lambda: self.catalogue.types, self.clock, lambda: False),
                detection=self.detection,
                limits=Limits(),
                keep_ms=given.get("keep_ms", 100 * DAY_MS),
                now=self.clock,
                is_busy=given.get("is_busy", lambda: False),
                retry_s=0.01,
                refused_s=given.get("refused_s", 0.05),
            )
        )
        self.detection.start()
        assert self.detection.settle(300)

    def clock(self) -> int:
        return self.site.now

    def _committed(self, batch: Batch) -> None:
        self.catalogue.observe(batch)
        self.detection.feed(batch)
        self._is_fed.set()

    def live(self, batch: Batch) -> None:
        self.site.now = max(self.site.now, int(batch.t.max()))
        self._is_fed.clear()
        self.commit.add(batch).result(30)
        assert self._is_fed.wait(30)  # the detector gets it after whoever sent it has his answer

    def sample(self, n: int, t: int, v: float) -> None:
        sid = self.catalogue.intern(self.source.labels[n])
        self.live(Batch(np.array([sid], np.int32), np.array([t]), np.array([v])))

    async def learn(self) -> None:
        self.backfill.start()
        await self.until(lambda: self.backfill.stage == "done")
        await self.backfill.stop()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(300):
            while not holds():  # noqa: ASYNC110 what is waited for happens in threads as well
                await asyncio.sleep(0.005)

    @property
    def told(self) -> dict[str, Any]:
        (source,) = self.backfill.status()["sources"]
        return dict(source)

    def die(self) -> None:
        """As a crash would have it; what a thread holds is let go, for the next one."""
        self.detection._snapshots.save = lambda *_: 0  # type: ignore[method-assign]
        self.end()

    def end(self) -> None:
        self.commit.close()
        self.detection.stop()


def make_over(catalogue: Catalogue) -> Make:
    def make(bank: State | None, watch: State | None) -> tuple[Record, Watch]:
        record = Record() if bank is None else Record.from_state(bank)
        return record, Watch(catalogue, record) if watch is None else Watch.from_state(watch, catalogue, record)

    return make


def fresh() -> tuple[Catalogue, Make]:
    catalogue = Catalogue()
    return catalogue, make_over(catalogue)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    store = ClickHouse(url=str(tmp_path / "store"), retention_days=10_000, history_days=10_000)
    store.open()
    made = Site(store, tmp_path, Source())
    yield made
    for process in made.processes:
        process.end()
    store.close()


def spans_asked(site: Site) -> list[tuple[float, float]]:
    """In hours before now."""
    return [((NOW - a) / HOUR_MS, (NOW - b) / HOUR_MS) for a, b in site.source.asked]


async def test_the_past_is_fetched_newest_first_in_growing_spans(site: Site) -> None:
    process = site.process(days=3)
    await process.learn()
    assert spans_asked(site) == [(6, 0), (30, 6), (54, 30), (72, 54)]
    assert process.told["fetched"] == 1.0
    assert process.told["samples"] == 3 * 72 * 60
    stored = site.store.samples(process.catalogue.fp[:3].tolist(), NOW - 3 * DAY_MS, NOW)
    assert len(stored.t) == 3 * 72 * 60


async def test_live_is_out_of_warm_up_when_the_newest_day_is_learned(site: Site) -> None:
    process = site.process(days=3)
    is_more = asyncio.Event()

    def hold(start: int, _end: int) -> None:
        if start < NOW - 30 * HOUR_MS and not is_more.is_set():
            raise Transient("not yet")

    site.source.before = hold
    process.sample(0, NOW, 50.0)  # nothing is known of it yet
    assert process.detection.settle(300)
    process.backfill.start()
    await process.until(lambda: process.told["learnedFrom"] is not None)
    assert [(a.t, a.value) for a in site.told] == [(NOW, 50.0)]  # told as soon as the past was known
    process.live(site.source.batch(NOW + STEP, NOW + 60 * STEP))
    process.sample(1, NOW + 60 * STEP, 90.0)
    assert process.detection.settle(300)
    assert [a.value for a in site.told] == [50.0, 90.0]
    await process.until(lambda: process.backfill.health()["degraded"] == ["fake"])
    is_more.set()
    await process.until(lambda: process.backfill.stage == "done")
    await process.backfill.stop()
    assert process.backfill.health()["degraded"] == []
    assert [a.value for a in site.told] == [50.0, 90.0]  # nothing twice


async def test_anomalies_of_the_past_are_stored_and_nobody_is_told(site: Site) -> None:
    process = site.process(days=3)
    await process.learn()
    assert site.told == []
    found = site.store.anomalies(None, 0, NOW)
    assert (SPIKE_MS, 90.0) in [(a.t, a.value) for a in found]
    again = site.process(days=3)  # what it catches up with is the past, too
    assert again.detection.settle(300)
    assert site.told == []


async def test_what_is_learned_is_what_judging_all_in_order_gives(site: Site) -> None:
    process = site.process(days=3)
    await process.learn()
    catalogue = Catalogue()
    source = Source().of(catalogue)
    bank, watch = make_over(catalogue)(None, None)
    judge(source.batch(NOW - 3 * DAY_MS, NOW), catalogue, bank, watch)
    for labels in source.labels:
        states = []
        for known, a_bank, a_watch in (
            (catalogue, bank, watch),
            (process.catalogue, process.detection.bank, process.detection.watch),
        ):
            (slot,) = a_watch.slots_of(int(known.fp[known.intern(labels)]))
            states.append({k: v.tobytes() for k, v in a_bank.take(np.array([slot])).items()})
        assert states[0] == states[1]


async def test_a_restart_in_the_middle_goes_on_where_it_was(site: Site) -> None:
    first = site.process(days=3)

    def gone(start: int, _end: int) -> None:
        if start < NOW - 40 * HOUR_MS and start >= NOW - 54 * HOUR_MS + 6 * HOUR_MS:
            raise Transient("the source is gone")

    site.source.before = gone
    first.backfill.start()
    await first.until(lambda: bool(first.told["fault"]) and first.told["learnedFrom"] is not None)
    await first.backfill.stop()
    first.die()
    site.source.before, site.source.asked = lambda _start, _end: None, []
    site.now += HOUR_MS

    second = site.process(days=3)
    await second.learn()
    assert spans_asked(site) == [(48, 30), (72, 54)]
    assert second.told["samples"] == 3 * 72 * 60
    third = site.process(days=3)
    await third.learn()
    assert len(site.source.asked) == 2  # nothing is left to do
    assert site.told == []


@pytest.mark.parametrize("error", [Transient, Permanent, OSError, RuntimeError])
async def test_a_source_that_is_away_is_told_and_asked_again(site: Site, error: type[Exception]) -> None:
    process = site.process(days=0.3)
    tries = []

    def flaky(_start: int, _end: int) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise error("connection refused")

    site.source.before = flaky
    process.backfill.start()
    await process.until(lambda: process.told["fault"] == "connection refused")
    await process.until(lambda: process.backfill.stage == "done")
    await process.backfill.stop()
    assert process.told["fault"] == ""


async def test_a_source_that_refused_is_told_and_asked_again(site: Site) -> None:
    process = site.process(days=1)
    token = asyncio.Event()

    def refused(_start: int, _end: int) -> None:
        if not token.is_set():
            raise InputError("the server answered 401")

    site.source.before = refused
    process.backfill.start()
    await process.until(lambda: len(site.source.asked) >= 3)
    assert process.backfill.stage != "done"
    assert (process.told["fault"], process.told["learnedFrom"]) == ("the server answered 401", None)
    assert process.backfill.health()["degraded"] == ["fake"]
    token.set()
    await process.until(lambda: process.backfill.stage == "done")
    await process.backfill.stop()
    assert (process.told["fault"], process.told["fetched"]) == ("", 1.0)
    assert process.backfill.health()["degraded"] == []


@pytest.mark.parametrize("trouble", [httpx2.ReadTimeout("too slow"), httpx2.Response(401)], ids=["slow", "refused"])
async def test_a_prometheus_that_is_slow_or_refuses_once_is_learned_all_the_same(
    site: Site, trouble: httpx2.Response | Exception
) -> None:
    left = [trouble]
    fake = FakePrometheus(lambda _: left.pop() if left else None)
    t = np.arange(NOW - DAY_MS, NOW, STEP)
    fake.add("load", t.tolist(), value(t, np.ones(len(t))).tolist())

    def history(catalogue: Catalogue) -> Prometheus:
        return Prometheus(
            catalogue, url="http://prom.test", transport=fake, clock=Quick(NOW), requests_per_s=1000, patience_s=20
        )

    process = site.process(days=1, history=history)
    await process.learn()
    assert not left
    assert (process.told["fetched"], process.told["samples"], process.told["missing"]) == (1.0, len(t), [])


async def test_a_source_that_refused_is_asked_less_often_than_one_that_is_away(site: Site) -> None:
    away = Source()

    def gone(_start: int, _end: int) -> None:
        raise Transient("no route to host")

    def refused(_start: int, _end: int) -> None:
        raise InputError("the selector is malformed")

    away.before, site.source.before = gone, refused
    process = site.process(pasts=[Past("away", away, 1.0), Past("fake", site.source, 1.0)], refused_s=600.0)
    process.backfill.start()
    await process.until(lambda: len(away.asked) >= 6)
    assert len(site.source.asked) == 1
    assert process.backfill.health()["degraded"] == ["away", "fake"]
    await process.backfill.stop()


async def test_what_is_missing_is_told_and_remembered(site: Site) -> None:
    site.source.missing = (Missing(NOW - HOUR_MS, NOW, "load", "it timed out"),)
    await site.process(days=0.2).learn()
    again = site.process(days=0.2)
    again.backfill.start()
    assert [(m["what"], m["why"]) for m in again.told["missing"]] == [("load", "it timed out")]
    await again.backfill.stop()


async def test_slices_that_end_early_are_not_taken_for_the_whole(site: Site) -> None:
    process = site.process(days=1)
    whole = site.source.slices
    broken = []

    async def half(start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        async for piece in whole(start, end):
            if not broken and piece.start > NOW - 20 * HOUR_MS and piece.end < NOW - 6 * HOUR_MS:
                broken.append(piece.start)
                gone = Missing(piece.start, NOW, "everything", "the server was away")
                yield Slice(piece.start, piece.start, empty_batch(), 0.5, (gone,))
                return
            yield piece

    site.source.slices = half  # type: ignore[method-assign]
    await process.learn()
    assert broken
    assert process.told["samples"] == 3 * 24 * 60
    assert process.told["missing"] == []


async def test_no_more_is_fetched_than_the_store_keeps(site: Site) -> None:
    process = site.process(days=30, keep_ms=2 * DAY_MS)
    await process.learn()
    assert spans_asked(site)[-1][0] == 47  # an hour before the end of keeping
    assert process.told["refused"] == 0


async def test_live_samples_that_wait_go_first(site: Site) -> None:
    busy = [True] * 5
    process = site.process(days=0.1, is_busy=lambda: bool(busy) and busy.pop())
    await process.learn()
    assert busy == []


async def test_a_file_that_cannot_be_read_is_an_empty_one(site: Site) -> None:
    (site.folder / "backfill.json").write_text('{"fake": {"until":')
    await site.process(days=0.5).learn()
    assert spans_asked(site) == [(6, 0), (12, 6)]


async def test_one_source_does_not_wait_for_another_that_is_away(site: Site) -> None:
    away = Source()

    def gone(_start: int, _end: int) -> None:
        raise Transient("no route to host")

    away.before = gone
    process = site.process(pasts=[Past("away", away, 1.0), Past("fake", site.source, 1.0)])
    process.backfill.start()
    await process.until(lambda: process.backfill.status()["sources"][1]["learnedFrom"] is not None)
    first, second = process.backfill.status()["sources"]
    assert (first["learnedFrom"], second["fetched"]) == (None, 1.0)
    await process.backfill.stop()


class Disk(Spans):
    """Notes which threads write."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.threads: set[threading.Thread] = set()

    def save(self) -> None:
        self.threads.add(threading.current_thread())
        super().save()


async def test_the_disk_is_never_waited_for_in_the_event_loop(site: Site) -> None:
    disk = Disk(site.folder / "backfill.json")
    process = site.process(days=1, spans=disk)
    tries = []

    def flaky(_start: int, _end: int) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise Transient("connection refused")

    site.source.before = flaky
    await process.learn()
    assert disk.threads
    assert threading.main_thread() not in disk.threads


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "backfill.json"
    spans = Spans(path)
    spans.known["fake"] = Progress.at(NOW)
    spans.save()
    path.unlink()
    spans.save()
    assert not path.exists()
    spans.known["fake"].samples = 1
    spans.save()
    assert Spans(path).known == spans.known
