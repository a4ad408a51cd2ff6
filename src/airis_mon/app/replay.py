"""The engine on history: a source's past through the same stages as live, on a virtual clock, in a scratch database.

Nothing live is touched and nobody is notified: a replay has its own catalogue, detector and database.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog

from airis_mon.app.entities import EntityStage
from airis_mon.app.evaluate import GroupRun
from airis_mon.app.firings import Firings, Told, is_alerts
from airis_mon.app.judge import Judged, judge
from airis_mon.app.replayed import Ours, Raw, Run, charts, result
from airis_mon.app.rulerun import Made
from airis_mon.app.rules import first_moment
from airis_mon.app.rulewriter import RuleWriter
from airis_mon.correlate.group import Grouping
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.watch import Watch
from airis_mon.errors import QueryCancelled
from airis_mon.ingest.base import History, Missing, Slice
from airis_mon.query.engine import Answer, Bounds, Deadline, QueryEngine
from airis_mon.query.rules import RuleGroup
from airis_mon.query.templates import Expander
from airis_mon.query.values import Runs, Value
from airis_mon.series.admit import Limits, admit
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.steps import Steps
from airis_mon.store.backends.clickhouse import MAX_DAYS, ClickHouse
from airis_mon.store.commit import GroupCommit

log = structlog.get_logger()

Tell = Callable[[float, str], None]
"""Hears how far a replay is, 0..1, and a word about it."""
COMMIT_S, BLOCK_S = 300.0, 600.0
"""So long may a commit, and a rule over one block of steps, take."""
MOST_STEPS = 2000
"""Rules are evaluated over so many steps at once at most."""
QUEUE_BYTES = 2_000_000_000
LATEST = 2**62
ANY_TIME = Limits(max_future_s=0.0, max_past_s=MAX_DAYS * 86_400.0)


@dataclass(slots=True)
class Parts:
    """What one replay runs; `app/wiring.py` makes it. store is a scratch database: it is dropped at the end.

    groups: the user's rules, to be evaluated anew; without any, what they notified is read from the source's `ALERTS`.
    """

    history: History
    catalogue: Catalogue
    bank: Record
    watch: Watch
    store: ClickHouse
    entities: Sequence[str]
    groups: Sequence[RuleGroup] = ()
    grouping: Grouping = field(default_factory=Grouping)
    interval_s: float = 60.0
    query_offset_s: float = 0.0
    cells: int = 50_000_000
    external_labels: dict[str, str] = field(default_factory=dict)
    external_url: str = ""
    is_simulated: bool = False


class Replay:
    """One replay. `run` may be called once."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._commit = GroupCommit(
            parts.store, parts.catalogue, clock=time.monotonic, interval_s=0.0, rows=1, queue_bytes=QUEUE_BYTES
        )
        self._now = 0  # the virtual clock, ms
        self._writer = RuleWriter(parts.catalogue, self._commit, ANY_TIME, lambda: self._now, COMMIT_S)
        self._engine = QueryEngine(parts.store, Bounds(steps=MOST_STEPS, cells=parts.cells))
        self._cancelled = threading.Event()
        self._entities = EntityStage(parts.catalogue, parts.watch, parts.entities)
        parts.watch.on_release = self._entities.release
        self._firings, self._told, self._ours = Firings(), Told(parts.catalogue), Ours(parts.entities)
        expander = Expander(self._instant, parts.external_labels, parts.external_url, self._check)
        interval_ms, offset_ms = round(parts.interval_s * 1000), round(parts.query_offset_s * 1000)
        self._groups = [
            GroupRun(group, expander, interval_ms=interval_ms, offset_ms=offset_ms) for group in parts.groups
        ]
        self._next: dict[str, int] = {}  # when each group is evaluated next
        self._recorded: list[Batch] = []  # given by rules, not judged yet
        self._first: int | None = None
        self._end = self._samples = 0
        self._missing: list[Missing] = []
        self._had = np.zeros(0, np.bool_)  # (sid,) whether the source had a sample of it

    async def run(
        self,
        start: int | None = None,
        end: int | None = None,
        tell: Tell = lambda *_: None,
        cancelled: threading.Event | None = None,
    ) -> dict[str, Any]:
        """What would have been raised within [start, end) ms, beside what the user's rules notified, JSON-ready.

        Raises QueryCancelled once `cancelled` is set, and what the source and the store raise.
        """
        self._cancelled = cancelled or self._cancelled
        began = time.monotonic()
        tell(0.0, "making ready; the first time kernels are compiled")
        await asyncio.to_thread(self.parts.store.open)
        try:
            slices = self.parts.history.slices(start, end)
            async for part in _ahead(slices):
                self._check()
                await self._take(part)
                tell(0.98 * part.fraction, f"{self._samples:,} samples")
            return await asyncio.to_thread(self._result, began)
        except asyncio.CancelledError:
            self._cancelled.set()  # threads that work for us end at their next look
            raise
        finally:
            await asyncio.to_thread(self._clean)

    async def _take(self, part: Slice) -> None:
        """One slice: stored and judged at once, then the rules up to its end."""
        self._missing += part.missing
        if part.end <= part.start:
            return
        if self._first is None:
            self._first = part.start
        self._now = self._end = part.end
        batch = await asyncio.to_thread(self._admitted, part.batch)
        stored = self._commit.add(batch)
        judged, _ = await asyncio.gather(asyncio.to_thread(self._judged, batch), asyncio.wrap_future(stored))
        self.parts.catalogue.observe(batch)
        recorded = await asyncio.to_thread(self._evaluate, part.start, part.end)
        await asyncio.to_thread(self._follow, judged, recorded)
        self._samples += len(batch)

    def _admitted(self, batch: Batch) -> Batch:
        """The samples as live takes them; what the source's own rules wrote of alerts gives way to our evaluation."""
        self._told.take(batch)
        if self._groups and (ours := is_alerts(batch, self.parts.catalogue)).any():
            batch = Batch(batch.sid[~ours], batch.t[~ours], batch.value[~ours])
        if (more := self.parts.catalogue.size - len(self._had)) > 0:
            self._had = np.concatenate([self._had, np.zeros(more, np.bool_)])
        self._had[batch.sid] = True
        return admit(batch, self.parts.catalogue, self._now, ANY_TIME)

    def _judged(self, batch: Batch) -> Judged:
        return judge(batch, self.parts.catalogue, self.parts.bank, self.parts.watch)

    def _follow(self, first: Judged, recorded: Sequence[Batch]) -> None:
        """What rules recorded is judged with what was scraped: an entity is judged by all that it shows at a time."""
        for judged in (first, *map(self._judged, recorded)):
            self._entities.take(judged)
            self._ours.add(judged.anomalies, ())
        self._ours.add((), self._entities.advance(self._end))

    # -- rules --------------------------------------------------------------------------------------------------

    def _evaluate(self, start: int, end: int) -> list[Batch]:
        """Every rule at its steps within [start, end); answers the samples that were recorded."""
        for group in self._groups:
            t = self._next.setdefault(group.key, first_moment(group.key, start - 1, group.interval_ms))
            while t < end:
                count = min(MOST_STEPS, (end - 1 - t) // group.interval_ms + 1)
                group.evaluate(Steps(t, group.interval_ms, count), self._ask, self._write, self._firings.tell)
                t += count * group.interval_ms
                self._check()
            self._next[group.key] = t
        recorded, self._recorded = self._recorded, []
        return recorded

    def _ask(self, text: str, steps: Steps) -> Answer:
        return self._engine.query(text, steps, Deadline(time.monotonic() + BLOCK_S, self._cancelled))

    def _instant(self, text: str, t: int) -> Value | Runs:
        return self._ask(text, Steps.at(t)).value

    def _write(self, made: Sequence[Made]) -> list[Batch]:
        batches = self._writer.write(made)
        for batch in batches:
            self.parts.catalogue.observe(batch)
        self._recorded += batches
        return batches

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise QueryCancelled("the replay was cancelled")

    # -- what came of it ----------------------------------------------------------------------------------------

    def _result(self, began: float) -> dict[str, Any]:
        self._ours.add((), self._entities.advance(LATEST))
        self._ours.add((), self._entities.open)
        if self._groups:
            raw = Raw("rule files", self._firings.all(), self.parts.grouping, self._faults())
        else:
            told = self._told.firings()
            raw = Raw("ALERTS history" if told else None, told, self.parts.grouping)
        run = Run(
            source=self.parts.history.name,
            is_simulated=self.parts.is_simulated,
            start=self._first or 0,
            end=self._end,
            series=int(self._had.sum()),
            signals=self.parts.watch.in_use,
            samples=self._samples,
            seconds=time.monotonic() - began,
            missing=tuple(self._missing),
        )
        found = result(run, raw, self._ours)
        found["charts"] = charts(self._ours.highest(), self._entities.slots, self.parts.watch, self.parts.store)
        return found

    def _faults(self) -> list[dict[str, str]]:
        return [
            {"group": group.name, "rule": run.name, "error": run.last_error}
            for group in self._groups
            for run in group.rules
            if run.health == "err"
        ]

    def _clean(self) -> None:
        self._commit.close()
        try:
            self.parts.store.drop()
        finally:
            self.parts.store.close()


async def _ahead(slices: AsyncGenerator[Slice, None]) -> AsyncGenerator[Slice, None]:
    """The slices, the next one being fetched while one is used."""
    coming = asyncio.ensure_future(anext(slices, None))
    try:
        while (part := await coming) is not None:
            coming = asyncio.ensure_future(anext(slices, None))
            yield part
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await slices.aclose()
