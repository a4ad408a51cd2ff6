"""Learning from the past in the background: a source's past -> the store -> a detector -> the live one.

Newest first, so that the live detector is out of warm-up soon: it is taught once when the newest day is there, and
again when all of it is. Live samples have priority throughout, and nobody is notified of what is past.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from airis_mon.app.detection import Detection
from airis_mon.app.learner import Learned, Learner, Stopped
from airis_mon.app.spans import Progress, Spans
from airis_mon.errors import AirisError, InputError, StoreBusy, StoreError, Transient
from airis_mon.ingest.base import History, Missing, Slice
from airis_mon.ingest.threads import in_thread
from airis_mon.series.admit import Limits, admit
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.store.commit import GroupCommit

log = structlog.get_logger()

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
FIRST_MS = 6 * HOUR_MS
"""The first span; every later one is a day."""
SOON_MS = DAY_MS
"""When so much of every source is there the live detector is taught for the first time."""
MARGIN_MS = HOUR_MS
"""The past is fetched so long after the store's end of keeping: while it is under way time goes on."""
ROWS = 50_000
"""Samples of one commit: live commits wait for one such at most."""
RETRY_S = 30.0
REFUSED_S = 600.0
"""A source that refused is asked again so much later: its token may be mended, or somebody else had answered."""
SAVE_S = 5.0
WAIT_S, WAITS = 0.05, 200
"""So long, at most, for live samples that wait, before each commit."""


@dataclass(frozen=True, slots=True)
class Past:
    """A source whose past is to be learned, and how many days of it."""

    name: str
    history: History
    days: float


@dataclass(slots=True)
class Parts:
    """What a backfill works with.

    commit: its own, so that nothing live waits behind its rows. keep_ms: how long the store keeps samples. now: ms of
    the wall clock. is_busy: whether live samples wait. retry_s, refused_s: when a source is asked again that was away,
    or that refused.
    """

    pasts: Sequence[Past]
    spans: Spans
    catalogue: Catalogue
    commit: GroupCommit
    learner: Learner
    detection: Detection
    limits: Limits
    keep_ms: int
    now: Callable[[], int]
    is_busy: Callable[[], bool]
    retry_s: float = RETRY_S
    refused_s: float = REFUSED_S


@dataclass(slots=True)
class _State:
    """How one source is at present."""

    past: Past
    progress: Progress
    goal: int  # ms, from when on its past is wanted
    fraction: float = 0.0  # of the span under way
    fault: str = ""  # why it does not go on
    rests_until: float = 0.0  # monotonic s; it refused, and is not asked before

    @property
    def is_fetched(self) -> bool:
        return self.progress.since <= self.goal

    @property
    def is_learned(self) -> bool:
        """Whether the detector knows all that is there."""
        return self.progress.learned <= self.progress.since

    @property
    def is_soon(self) -> bool:
        """Whether its newest day is there."""
        return self.is_fetched or self.progress.since <= self.progress.until - SOON_MS


class Backfill:
    """Fetches and learns the past of sources, in one task. What it has done is in the file of its `spans`."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.stage = "waiting"  # fetching, learning, done
        self._states: list[_State] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="airis-learn")
        self._saved = 0.0

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins, or goes on where an earlier process had stopped. A second call changes nothing."""
        if self._task is None:
            now, spans = self.parts.now(), self.parts.spans
            for past in self.parts.pasts:
                progress = spans.known.setdefault(past.name, Progress.at(now))
                self._states.append(_State(past, progress, progress.until - int(past.days * DAY_MS)))
            self.parts.detection.quiet_before = spans.past_end
            self._task = asyncio.create_task(self._run(), name="backfill")

    async def stop(self) -> None:
        """Ends what is under way; the next start goes on from there."""
        self.parts.learner.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        await asyncio.to_thread(self.parts.commit.close)

    def health(self) -> dict[str, Any]:
        """The sources whose past cannot be had at present."""
        return {"degraded": [s.past.name for s in self._states if s.fault]}

    def status(self) -> dict[str, Any]:
        """How far it is: `stage`, the share of learning, and each source with what of it is missing."""
        learned = round(self.parts.learner.fraction, 3) if self.stage == "learning" else None
        return {"stage": self.stage, "learning": learned, "sources": [_told(s) for s in self._states]}

    async def _run(self) -> None:
        while True:
            try:
                is_done = await self._round()
            except Exception:  # boundary: supervision of this task, which calls plug-ins
                log.exception("backfill.failed", retry_s=self.parts.retry_s)
                is_done = False
            if is_done:
                self.stage = "done"
                return
            self.stage = "waiting"
            await asyncio.sleep(self.parts.retry_s)

    async def _round(self) -> bool:
        """All that can be done now; whether nothing is left to do."""
        for state in self._states:
            await self._fetch(state, lambda s: s.is_soon)
        if any(s.is_soon and s.progress.learned == s.progress.until for s in self._states):
            await self._learn()
        for state in self._states:
            await self._fetch(state, lambda s: s.is_fetched)
        if any(s.is_fetched and not s.is_learned for s in self._states):
            await self._learn()
        return all(s.is_fetched and s.is_learned for s in self._states)

    # -- fetching -----------------------------------------------------------------------------------------------

    async def _fetch(self, state: _State, is_there: Callable[[_State], bool]) -> None:
        """Span by span backwards, until enough is there or the source does not answer."""
        try:
            while not is_there(state) and time.monotonic() >= state.rests_until:
                self.stage = "fetching"
                state.goal = max(state.goal, self.parts.now() - self.parts.keep_ms + MARGIN_MS)
                if not state.is_fetched:
                    await self._span(state)
                state.fault = ""
        except InputError as error:
            state.fault, state.rests_until = str(error), time.monotonic() + self.parts.refused_s
            log.warning("backfill.refused", source=state.past.name, error=state.fault, retry_s=self.parts.refused_s)
        except Exception as error:  # noqa: BLE001 boundary: one call into a plug-in; other sources go on
            state.fault = str(error) or type(error).__name__
            tell = log.warning if isinstance(error, AirisError | OSError) else log.exception
            tell("backfill.delayed", source=state.past.name, error=state.fault, retry_s=self.parts.retry_s)

    async def _span(self, state: _State) -> None:
        progress, began = state.progress, time.monotonic()
        if progress.begin == progress.since:
            length = FIRST_MS if progress.since == progress.until else DAY_MS
            progress.begin = progress.ahead = max(state.goal, progress.since - length)
        before = progress.samples
        missing: list[Missing] = []
        try:
            async with aclosing(state.past.history.slices(progress.ahead, progress.since)) as slices:
                async for piece in slices:
                    await self._store(piece, state)
                    missing += piece.missing
        finally:
            await in_thread(self.parts.spans.save)  # whatever ended it: what is stored need not be fetched again
        self._note(state, missing)
        if progress.ahead < progress.since:
            raise Transient(missing[-1].why if missing else "it answered a part only")
        took = time.monotonic() - began
        log.info("backfill.advanced", **_work(state, progress.begin, progress.since, progress.samples - before, took))
        progress.seconds += took
        progress.since = progress.ahead = progress.begin
        state.fraction = 0.0
        await in_thread(self.parts.spans.save)

    async def _store(self, piece: Slice, state: _State) -> None:
        progress = state.progress
        for rows in _portions(piece.batch):
            await self._let_pass()
            kept = admit(rows, self.parts.catalogue, self.parts.now(), self.parts.limits)
            progress.refused += kept.refused
            progress.samples += len(kept)
            await self._commit(kept)
        progress.refused += piece.batch.refused
        progress.ahead = max(progress.ahead, min(piece.end, progress.since))
        state.fraction = piece.fraction
        if time.monotonic() - self._saved >= SAVE_S:
            self._saved = time.monotonic()
            await in_thread(self.parts.spans.save)

    def _note(self, state: _State, missing: Sequence[Missing]) -> None:
        """What is missing for good; what lies ahead will be asked for again."""
        gone = [m for m in missing if m.end <= state.progress.ahead]
        for part in gone:
            what = {"what": part.what, "why": part.why}
            log.warning("backfill.missing", source=state.past.name, **_span(part.start, part.end), **what)
        state.progress.lacks(gone)

    async def _commit(self, batch: Batch) -> None:
        while len(batch):
            try:
                self.parts.catalogue.touch(batch.sid)  # before the commit: else they could be evicted under way
                await asyncio.wrap_future(self.parts.commit.add(batch))
            except StoreBusy as busy:
                await asyncio.sleep(busy.retry_after_s)
            else:
                return

    async def _let_pass(self) -> None:
        for _ in range(WAITS):
            if not self.parts.is_busy():
                return
            await asyncio.sleep(WAIT_S)

    # -- learning -----------------------------------------------------------------------------------------------

    async def _learn(self) -> None:
        """Teaches the live detector all that is there.

        What lies in the past is no news, but worth keeping: its anomalies are stored when no more of it will come soon.
        """
        self.stage, began = "learning", time.monotonic()
        is_last = all(s.is_fetched or s.fault for s in self._states)
        since = [s.progress.since for s in self._states]
        try:
            learned = await self._in_thread(min(since), is_last)
            await asyncio.wrap_future(self.parts.detection.adopt(learned.state, learned.until, learned.news))
        except StoreError as error:
            log.warning("backfill.delayed", stage="learning", error=str(error), retry_s=self.parts.retry_s)
            return
        except Stopped:
            return
        for state, known in zip(self._states, since, strict=True):
            state.progress.learned = known
        await in_thread(self.parts.spans.save)
        took = time.monotonic() - began
        pace = {"samples": learned.samples, "seconds": round(took, 1), "samples_per_s": round(learned.samples / took)}
        event = "backfill.completed" if is_last else "backfill.learned"
        log.info(event, **_span(learned.since, learned.until), **pace, anomalies=learned.anomalies)

    async def _in_thread(self, since: int, is_last: bool) -> Learned:
        def learn() -> Learned:
            return self.parts.learner.learn(since, self.parts.spans.past_end, is_saving=is_last)

        return await asyncio.get_running_loop().run_in_executor(self._thread, learn)


def _portions(batch: Batch) -> Iterator[Batch]:
    for at in range(0, len(batch), ROWS):
        rows = slice(at, at + ROWS)
        yield Batch(batch.sid[rows], batch.t[rows], batch.value[rows])


def _told(state: _State) -> dict[str, Any]:
    progress = state.progress
    whole, have = progress.until - state.goal, progress.until - progress.since
    have += round(state.fraction * (progress.since - progress.begin))
    return {
        "source": state.past.name,
        "start": _moment(state.goal),
        "end": _moment(progress.until),
        "fetched": round(min(1.0, have / whole), 3) if whole > 0 else 1.0,
        "learnedFrom": None if progress.learned >= progress.until else _moment(progress.learned),
        "samples": progress.samples,
        "refused": progress.refused,
        "seconds": round(progress.seconds, 1),
        "missing": [{**_span(m.start, m.end), "what": m.what, "why": m.why} for m in progress.missing],
        "fault": state.fault,
    }


def _work(state: _State, start: int, end: int, samples: int, took: float) -> dict[str, Any]:
    rate = round(samples / took) if took else 0
    return {
        "source": state.past.name,
        **_span(start, end),
        "samples": samples,
        "seconds": round(took, 1),
        "samples_per_s": rate,
    }


def _span(start: int, end: int) -> dict[str, str]:
    return {"start": _moment(start), "end": _moment(end)}


def _moment(t: int) -> str:
    return datetime.fromtimestamp(t / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
