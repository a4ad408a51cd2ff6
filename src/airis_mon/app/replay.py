"""The engine on history: a source's past through the same stages as live, on a virtual clock, in a scratch database.

Nothing live is touched and nobody is notified: a replay has its own catalogue, detector and database.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from airis_mon.app.entities import EntityStage
from airis_mon.app.evaluate import GroupRun
from airis_mon.app.firings import Firings, Told, is_alerts
from airis_mon.app.judge import Judged, judge
from airis_mon.app.replayed import Ours, Raw, Run, charts, result, stamp
from airis_mon.app.rulerun import Made
from airis_mon.app.rules import first_moment
from airis_mon.app.rulewriter import RuleWriter
from airis_mon.app.warm import warm_detect, warm_ingest, warm_queries
from airis_mon.correlate.group import Grouping
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.watch import Watch
from airis_mon.errors import InputError, QueryCancelled
from airis_mon.ingest.base import History, Missing, Slice
from airis_mon.ingest.simulated import DEMO
from airis_mon.ingest.threads import in_thread
from airis_mon.query.engine import Answer, Bounds, Deadline, QueryEngine
from airis_mon.query.rules import RuleGroup
from airis_mon.query.templates import Expander
from airis_mon.query.values import Runs, Value
from airis_mon.series.admit import Limits, admit
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.steps import Steps
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.commit import GroupCommit

R = TypeVar("R")

Tell = Callable[[float, str], None]
"""Hears how far a replay is, 0..1, and a word about it."""
COMMIT_S, BLOCK_S = 300.0, 600.0
"""So long may a commit, and a rule over one block of steps, take."""
MOST_STEPS = 2000
"""Rules are evaluated over so many steps at once at most."""
QUEUE_BYTES = 2_000_000_000
LATEST = 2**62
_NEVER = -LATEST
SILENCE_MS = 86_400_000
"""Where a source was silent for longer, rules are not evaluated: a stray row of 1970 would mean years of steps."""
ANY_TIME = Limits(max_future_s=0.0, max_past_s=1e11)


def _nobody(_fraction: float, _note: str) -> None:
    """Told when nobody listens."""


@dataclass(slots=True)
class Parts:
    """What one replay runs; `app/replaywiring.py` makes it. store is a scratch database: it is dropped at the end.

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
        self._latest = _NEVER  # the time of the last sample
        self._recorded: list[Batch] = []  # given by rules, not judged yet
        self._first: int | None = None
        self._end = self._samples = self._refused = 0
        self._fraction = 0.0
        self._tell: Tell = _nobody
        self._missing: list[Missing] = []
        self._had = np.zeros(0, np.bool_)  # (sid,) whether the source had a sample of it

    async def run(
        self,
        start: int | None = None,
        end: int | None = None,
        tell: Tell = _nobody,
        cancelled: threading.Event | None = None,
    ) -> dict[str, Any]:
        """What would have been raised within [start, end) ms, beside what the user's rules notified, JSON-ready.

        Raises QueryCancelled once `cancelled` is set, and what the source and the store raise.
        """
        self._cancelled = cancelled or self._cancelled
        self._tell = tell
        self._say("making ready; the first time kernels are compiled")
        try:
            await self._do(self._ready)
            began = time.monotonic()
            async with aclosing(self.parts.history.slices(start, end)) as slices:
                async for part in slices:
                    self._check()
                    await self._take(part)
                    self._fraction = 0.98 * part.fraction
                    self._say(f"{self._samples:,} samples")
            return await self._do(lambda: self._result(began))
        finally:
            await in_thread(self._clean)

    def _ready(self) -> None:
        self.parts.store.open()
        catalogue, batches = warm_ingest(self.parts.store)
        warm_queries(batches)
        warm_detect(catalogue, batches)

    async def _do(self, call: Callable[[], R]) -> R:
        """The answer of a call in a thread; cancelled meanwhile, it is called off and waited for."""
        work = asyncio.ensure_future(in_thread(call))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._cancelled.set()
            await asyncio.wait({work})
            raise

    async def _take(self, part: Slice) -> None:
        """One slice: stored and judged at once, then the rules up to its end."""
        self._missing += part.missing
        self._refused += part.batch.refused
        if part.end <= part.start or (self._first is None and not len(part.batch)):
            return  # before its first sample a source says nothing of anything
        if self._first is None:
            self._first = int(part.batch.t[0])
        self._now = self._end = part.end
        batch = await self._do(lambda: self._admitted(part.batch))
        stored = self._commit.add(batch)
        judged, _ = await asyncio.gather(self._do(lambda: self._judged(batch)), asyncio.wrap_future(stored))
        self.parts.catalogue.observe(batch)
        recorded = await self._do(lambda: self._evaluate(part))
        await self._do(lambda: self._follow(judged, recorded))
        self._samples += len(batch)

    def _admitted(self, batch: Batch) -> Batch:
        """The samples as live takes them; what the source's own rules wrote of alerts gives way to our evaluation."""
        self._told.take(batch)
        if self._groups and (ours := is_alerts(batch, self.parts.catalogue)).any():
            batch = replace(batch, sid=batch.sid[~ours], t=batch.t[~ours], value=batch.value[~ours])
        if (more := self.parts.catalogue.size - len(self._had)) > 0:
            self._had = np.concatenate([self._had, np.zeros(more, np.bool_)])
        self._had[batch.sid] = True
        kept = admit(batch, self.parts.catalogue, self._now, ANY_TIME)
        self._refused += kept.refused - batch.refused
        return kept

    def _judged(self, batch: Batch) -> Judged:
        return judge(batch, self.parts.catalogue, self.parts.bank, self.parts.watch)

    def _follow(self, first: Judged, recorded: Sequence[Batch]) -> None:
        """What rules recorded is judged with what was scraped: an entity is judged by all that it shows at a time."""
        for judged in (first, *map(self._judged, recorded)):
            self._entities.take(judged)
            self._ours.add(judged.anomalies, ())
        self._ours.add((), self._entities.advance(self._end - 1))  # a sample at the end is of the next slice

    # -- rules --------------------------------------------------------------------------------------------------

    def _evaluate(self, part: Slice) -> list[Batch]:
        """Every rule at its steps within a slice, where the source is not silent; answers what was recorded."""
        for start, end in _awake(part, self._latest):
            for group in self._groups:
                self._group(group, start, end)
        self._latest = int(part.batch.t[-1]) if len(part.batch) else self._latest
        recorded, self._recorded = self._recorded, []
        return recorded

    def _group(self, group: GroupRun, start: int, end: int) -> None:
        t = first_moment(group.key, start - 1, group.interval_ms)
        while t < end:
            count = min(MOST_STEPS, (end - 1 - t) // group.interval_ms + 1)
            group.evaluate(Steps(t, group.interval_ms, count), self._ask, self._write, self._firings.tell)
            t += count * group.interval_ms
            self._check()
            self._say(f"{self._samples:,} samples; rules of {group.name} up to {stamp(t)}")

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

    def _say(self, note: str) -> None:
        self._tell(self._fraction, note)

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise QueryCancelled("the replay was cancelled")

    # -- what came of it ----------------------------------------------------------------------------------------

    def _result(self, began: float) -> dict[str, Any]:
        if self._first is None:
            why = f": {self._missing[0].why}" if self._missing else "; ask for another time, or other series"
            raise InputError(f"{self.parts.history.name}: no samples were found{why}")
        self._ours.add((), self._entities.advance(LATEST))
        self._ours.add((), self._entities.open)
        if self._groups:
            raw = Raw("rule files", self._firings.all(), self.parts.grouping, self._faults())
        else:
            told = self._told.firings()
            raw = Raw("ALERTS history" if told else None, told, self.parts.grouping)
        run = Run(
            source=self.parts.history.name,
            is_simulated=self.parts.is_simulated or self._is_demo(),
            start=self._first,
            end=self._end,
            series=int(self._had.sum()),
            signals=self.parts.watch.in_use,
            samples=self._samples,
            seconds=time.monotonic() - began,
            missing=tuple(self._missing),
            refused=self._refused,
        )
        found = result(run, raw, self._ours)
        found["charts"] = charts(self._ours.highest(), self._entities.slots, self.parts.watch, self.parts.store)
        return found

    def _is_demo(self) -> bool:
        return any(DEMO in self.parts.catalogue.labels(sid) for sid in self.parts.catalogue)

    def _faults(self) -> list[dict[str, str]]:
        return [
            {
                "group": group.name,
                "rule": run.name,
                "error": f"{run.fault} (at {run.failures:,} of {run.evaluations:,} steps)",
            }
            for group in self._groups
            for run in group.rules
            if run.failures
        ]

    def _clean(self) -> None:
        self._commit.close()
        try:
            self.parts.store.drop()
        finally:
            self.parts.store.close()


def _awake(part: Slice, latest: int) -> Iterator[tuple[int, int]]:
    """The spans [start, end) ms of a slice in which the last sample is not older than `SILENCE_MS`.

    latest: the time of the last sample before the slice.
    """
    heard = np.unique(np.concatenate([[latest], part.batch.t]))
    gaps = np.flatnonzero(np.diff(heard) > SILENCE_MS)
    firsts = np.concatenate([heard[:1], heard[gaps + 1]]).tolist()
    lasts = np.concatenate([heard[gaps], heard[-1:]]).tolist()
    for first, last in zip(firsts, lasts, strict=True):
        start, end = max(first, part.start), min(last + SILENCE_MS + 1, part.end)
        if start < end:
            yield start, end
