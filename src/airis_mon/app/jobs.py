"""Runs the jobs of the records database in this process: one of a kind at a time, beside the engine.

At least once: a job whose process died is taken up again, here or by another server, when its lease has run out.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from airis_mon.errors import AirisError, Conflict, QueryCancelled, StoreBusy, StoreError, Transient
from airis_mon.store.records import Job, Jobs, JobState, Json

log = structlog.get_logger()

MAX_RESULT_BYTES = 8 * 1024 * 1024
KEEP_S = 30 * 86_400.0
"""Jobs that have ended are forgotten after so long."""
UNFORESEEN = "the job failed: see the log"


class Report:
    """How a job says how far it is, and hears that it is called off; for any thread.

    cancelled: set when the job was cancelled or lost, and when the server stops.
    """

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self._said = (0.0, "")

    def report(self, fraction: float, note: str = "") -> None:
        """Tells how far the work is, 0..1, and a few words about it."""
        self._said = (min(max(fraction, 0.0), 1.0), note)

    def check(self) -> None:
        """Raises QueryCancelled when the job is called off; for between two steps of the work."""
        if self.cancelled.is_set():
            raise QueryCancelled("the job was called off")

    @property
    def fraction(self) -> float:
        """How far the work is, 0..1."""
        return self._said[0]

    @property
    def note(self) -> str:
        """What was said of it last."""
        return self._said[1]


Handler = Callable[[Job, Report], Awaitable[Json]]
"""Does the work of one kind of job and answers its result, JSON-ready.

It looks at `cancelled` between steps and raises when that is set; it answers only what came of the whole work. An
AirisError ends the job in its words: Transient and StoreBusy are tried again, any other is not.
"""


@dataclass(frozen=True, slots=True)
class _Done:
    result: Json


@dataclass(frozen=True, slots=True)
class _Failed:
    why: str
    retry: bool = False
    retry_after_ms: int | None = None


class _GivenBack:
    """The server stops: the job goes back into the queue and the attempt does not count."""


_Outcome = _Done | _Failed | _GivenBack


class JobRunner:
    """Claims jobs of the kinds it has handlers for, one of a kind at a time, and keeps their leases.

    records opens the records database (StoreBusy is waited for); it is asked only once `has_records` says that there
    may be jobs in it, so that a server that never had one opens nothing. clock: ms UTC. sleep waits for seconds.
    grace_s: a job that is called off gets so long to end by itself, then its task is cancelled.
    """

    def __init__(
        self,
        records: Callable[[], Awaitable[Jobs]],
        handlers: Mapping[str, Handler],
        *,
        has_records: Callable[[], bool],
        clock: Callable[[], int],
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
        lease_s: float = 30.0,
        beat_s: float = 5.0,
        look_s: float = 30.0,
        grace_s: float = 10.0,
    ) -> None:
        self._records, self._handlers, self._has_records = records, dict(handlers), has_records
        self._clock, self._sleep = clock, sleep
        self._lease_ms, self._beat_s, self._look_s, self._grace_s = round(lease_s * 1000), beat_s, look_s, grace_s
        self._holder = uuid.uuid4().hex
        self._pokes = {kind: asyncio.Event() for kind in self._handlers}
        self._running: dict[str, Report] = {}  # by the job's id
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._fault = ""

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to look for jobs, in the background."""
        self._tasks = [asyncio.create_task(self._serve(kind), name=f"jobs {kind}") for kind in self._handlers]

    async def stop(self) -> None:
        """Calls off what runs and gives it back, for the next start or another server to do."""
        self._stopping.set()
        for report in self._running.values():
            report.cancelled.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3 * self._grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def poke(self, kind: str) -> None:
        """Says that a job of this kind was enqueued: it is claimed now, not at the next look."""
        self._pokes[kind].set()

    def call_off(self, job_id: str) -> None:
        """Tells a job that was cancelled at once, if it runs here; elsewhere its next heartbeat does."""
        if report := self._running.get(job_id):
            report.cancelled.set()

    def report(self, job_id: str) -> Report | None:
        """How far the job is at this moment, if it runs here."""
        return self._running.get(job_id)

    def degraded(self) -> list[str]:
        """Why no jobs are done at present; [] when they are."""
        return [self._fault] if self._fault else []

    # -- one kind -----------------------------------------------------------------------------------------------

    async def _serve(self, kind: str) -> None:
        while not self._stopping.is_set():
            found = False
            try:
                found = await self._next(kind)
            except AirisError as error:
                if str(error) != self._fault:
                    log.warning("jobs.delayed", kind=kind, error=str(error), retry_s=self._look_s)
                self._fault = str(error)
            except Exception as error:  # boundary: supervision; the next look tries again
                self._fault = f"{error!r}; see the log"
                log.exception("jobs.failed", kind=kind)
            if not found:
                await self._first(self._pokes[kind].wait(), self._sleep(self._look_s))
                self._pokes[kind].clear()

    async def _next(self, kind: str) -> bool:
        """Does one job, if there is any."""
        if not self._has_records():
            return False
        jobs = await self._records()
        claimed = await jobs.claim(self._holder, self._lease_ms, kinds=[kind])
        self._fault = ""
        for job in claimed:
            await self._run(jobs, job)
            await jobs.forget_jobs(self._clock() - round(KEEP_S * 1000))
        return bool(claimed)

    async def _first(self, *waits: Coroutine[Any, Any, Any]) -> None:
        """Waits for one of them, or until the runner stops."""
        tasks = [asyncio.ensure_future(wait) for wait in (*waits, self._stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    # -- one job ------------------------------------------------------------------------------------------------

    async def _run(self, jobs: Jobs, job: Job) -> None:
        began, report = self._clock(), Report()
        self._running[job.id] = report
        work = asyncio.create_task(self._work(job, report), name=f"job {job.id}")
        beat = asyncio.create_task(self._beat(jobs, job, report), name=f"heartbeat {job.id}")
        stopping = asyncio.create_task(self._stopping.wait())
        log.info("job.started", kind=job.kind, job_id=job.id, attempt=job.attempt)
        try:
            await asyncio.wait({work, beat, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await self._end(work, report)
            state = await self._settle(jobs, job, self._outcome(work, report))
        finally:
            del self._running[job.id]
            for task in (work, beat, stopping):
                task.cancel()
            await asyncio.gather(beat, stopping, return_exceptions=True)
        log.info("job.ended", kind=job.kind, job_id=job.id, state=state, duration_s=(self._clock() - began) / 1000)

    async def _work(self, job: Job, report: Report) -> _Done | _Failed:
        try:
            result = await self._handlers[job.kind](job, report)
            return await asyncio.to_thread(_bounded, result)
        except AirisError as error:
            wait_s = error.retry_after_s if isinstance(error, Transient) else None
            return _Failed(
                str(error),
                retry=isinstance(error, Transient | StoreBusy),
                retry_after_ms=None if wait_s is None else round(wait_s * 1000),
            )
        except Exception:  # boundary: one job; the kind's next one is done all the same
            log.exception("job.failed", kind=job.kind, job_id=job.id)
            return _Failed(UNFORESEEN)

    async def _beat(self, jobs: Jobs, job: Job, report: Report) -> None:
        """Keeps the lease until it is lost. While the database is away the work goes on: its attempt fences it."""
        while True:
            await self._sleep(self._beat_s)
            try:
                await jobs.heartbeat(job, self._lease_ms, report.fraction, report.note)
            except Conflict:
                return
            except Exception as error:  # noqa: BLE001 boundary: supervision; the next beat tries again
                log.warning("job.heartbeat.delayed", kind=job.kind, job_id=job.id, error=repr(error))

    async def _end(self, work: asyncio.Task[Any], report: Report) -> None:
        """Ends work that is called off: it is asked first, because its threads hear nothing of a cancelled task."""
        if work.done():
            return
        report.cancelled.set()
        await asyncio.wait({work}, timeout=self._grace_s)
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=self._grace_s)

    def _outcome(self, work: asyncio.Task[_Done | _Failed], report: Report) -> _Outcome | None:
        """What is to be written of an attempt; None when it was cancelled or lost."""
        is_told = work.done() and not work.cancelled()
        if is_told and (isinstance(work.result(), _Done) or not report.cancelled.is_set()):
            return work.result()
        if self._stopping.is_set():
            return _GivenBack()
        return None if report.cancelled.is_set() else _Failed(UNFORESEEN)

    async def _settle(self, jobs: Jobs, job: Job, outcome: _Outcome | None) -> str:
        """Writes what became of an attempt; answers it in a word. Raises StoreError when that cannot be written."""
        while outcome is not None:
            try:
                if isinstance(outcome, _Done):
                    await jobs.finish(job, outcome.result)
                    return JobState.DONE
                if isinstance(outcome, _GivenBack):
                    await jobs.give_back(job)
                    return JobState.QUEUED
                return await jobs.fail(job, outcome.why, retry=outcome.retry, retry_after_ms=outcome.retry_after_ms)
            except Conflict:
                break
            except StoreBusy:
                if self._stopping.is_set():
                    raise  # its lease runs out, and somebody takes it up again
                await self._first(self._sleep(self._beat_s))
            except StoreError as error:
                if not isinstance(outcome, _Done):
                    raise
                outcome = _Failed(f"the result cannot be kept: {error}")
        return "called off"


def _bounded(result: Json) -> _Done | _Failed:
    """The result as any database keeps it: what is no number in JSON becomes null."""
    text = msgspec.json.encode(result)
    if len(text) > MAX_RESULT_BYTES:
        return _Failed(f"the result has {len(text)} bytes, {MAX_RESULT_BYTES} are kept; ask for a shorter time or less")
    return _Done(msgspec.json.decode(text))
