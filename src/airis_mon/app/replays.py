"""Replays as jobs: a request is checked and enqueued here, shown while it runs, and kept with its result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

from airis_mon.app.jobs import Handler, JobRunner, Report
from airis_mon.errors import BadRules, InputError, NotFound, Refusal, StoreBusy
from airis_mon.series.matchers import parse_selector
from airis_mon.store.records import FINAL, Job, Jobs, JobState, Json

KIND = "replay"
DAY_MS = 86_400_000
DAYS, LEAST_DAYS, MOST_DAYS = 14.0, 0.001, 366
"""Of so many days a replay is when nothing is said, at least, and at most."""
MOST_QUEUED = 20
QUEUE_RETRY_S = 60.0
MOST_SELECTORS, MOST_PATTERN = 50, 1000
MOST_RULES = 1_000_000
"""Characters of rules that come with a request."""
MOST_REFUSALS = 100

Run = Callable[[Json, Report], Awaitable[Json]]
"""Does a replay and answers its result.

It is given the job's `id`, `source` (store, prometheus, clickhouse), `name` of that source ("" for the store), `start`
and `end` (ms), `match` (selectors), `rules` (server, none, text) and `rulesText`.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """A replay as it was asked for. Times are ms; None = until now, from `days` before the end.

    source: store, prometheus or clickhouse; name: which of the configured ones, "" = the only one. match: selectors of
    series, none = all. rules: whose notifications are recomputed: those of the server's rule files, none, or those of
    `rules_text`, a rule file. A repeated idempotency key means the replay that was asked for before.
    """

    source: Literal["store", "prometheus", "clickhouse"] = "store"
    name: str = ""
    start: int | None = None
    end: int | None = None
    days: float | None = None
    match: tuple[str, ...] = ()
    rules: Literal["server", "none", "text"] = "server"
    rules_text: str = ""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay as it stands. Times are ms UTC.

    asked: what `Run` is given, without the text of rules. started_ms: when its last attempt began.
    """

    id: str
    state: JobState
    progress: float
    note: str
    asked: Json
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    error: str | None
    result: Json | None


class Replays:
    """Starts, shows and cancels replays; the jobs themselves are done by `runner`.

    records opens the records database. sources: names of the configured ones by kind. clock: ms UTC.
    """

    def __init__(
        self,
        records: Callable[[], Awaitable[Jobs]],
        runner: JobRunner,
        sources: Mapping[str, Sequence[str]],
        clock: Callable[[], int],
    ) -> None:
        self._records, self._runner, self._sources, self._clock = records, runner, sources, clock
        self._starting = asyncio.Lock()

    async def start(self, request: Request) -> Replay:
        """Enqueues a replay.

        Raises InputError for what cannot be asked, Conflict when the idempotency key is that of another replay,
        StoreBusy when too many wait.
        """
        payload = await self._checked(request)
        key = request.idempotency_key and f"{KIND}:{request.idempotency_key}"
        jobs = await self._records()
        async with self._starting:
            waiting = await jobs.jobs(kind=KIND, state=JobState.QUEUED, limit=MOST_QUEUED)
            if len(waiting) >= MOST_QUEUED and key not in {job.idempotency_key for job in waiting if key}:
                raise StoreBusy(f"{MOST_QUEUED} replays wait already; cancel one or try again later", QUEUE_RETRY_S)
            job = await jobs.enqueue(KIND, payload, idempotency_key=key)
        self._runner.poke(KIND)
        return self._shown(job)

    async def one(self, replay_id: str) -> Replay:
        """One replay with its result. Raises NotFound."""
        return self._shown(await self._job(replay_id))

    async def latest(self, limit: int) -> list[Replay]:
        """Replays without their results, newest first."""
        records = await self._records()
        return [self._shown(job) for job in await records.jobs(kind=KIND, limit=limit, with_results=False)]

    async def cancel(self, replay_id: str) -> Replay:
        """Ends a replay that waits or runs. Raises NotFound, or Conflict when it has ended."""
        await self._job(replay_id)
        await (await self._records()).cancel(replay_id)
        self._runner.call_off(replay_id)
        return await self.one(replay_id)

    async def _job(self, replay_id: str) -> Job:
        missing = NotFound(f"there is no replay {replay_id!r}; GET /replays lists them")
        try:
            job = await (await self._records()).job(replay_id)
        except NotFound:
            raise missing from None
        if job.kind != KIND:
            raise missing
        return job

    def _shown(self, job: Job) -> Replay:
        report = self._runner.report(job.id) if job.state is JobState.RUNNING else None
        asked = window_of(job)
        return Replay(
            id=job.id,
            state=job.state,
            progress=report.fraction if report else job.progress,
            note=report.note if report else job.note,
            asked={name: value for name, value in asked.items() if name != "rulesText"},
            created_ms=job.created_ms,
            started_ms=job.started_ms,
            ended_ms=job.updated_ms if job.state in FINAL else None,
            error=job.error,
            result=job.result,
        )

    # -- what was asked -----------------------------------------------------------------------------------------

    async def _checked(self, request: Request) -> dict[str, Any]:
        """The job's payload: everything but secrets and the moment, which the job itself knows."""
        name = self._named(request.source, request.name)
        _check_times(request, self._clock())
        if request.match and request.source == "clickhouse":
            _refuse("match", str(request.match), "is not for a ClickHouse source: its query says what is read")
        _check_selectors(request.match)
        if request.rules == "text":
            await asyncio.to_thread(_check_rules, request.rules_text)
        return {
            "source": request.source,
            "name": name,
            "start": request.start,
            "end": request.end,
            "days": request.days,
            "match": list(request.match),
            "rules": request.rules,
            "rulesText": request.rules_text,
        }

    def _named(self, source: str, name: str) -> str:
        """The configured source that is meant: addresses come from the settings alone, never from a request."""
        if source == "store":
            if name:
                _refuse("name", name, "names nothing: there is one store; leave it out, or choose another source")
            return ""
        known = self._sources.get(source, ())
        if not known:
            _refuse("source", source, f"is not configured; add one under [[ingest.{source}]] of the settings")
        if not name and len(known) > 1:
            _refuse("name", name, f"is needed, several are configured; choose one of {', '.join(known)}")
        if name and name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
            _refuse("name", name, f"is no {source} that is configured; {hint}")
        return name or known[0]


def handler_of(run: Run) -> Handler:
    """The job's handler: gives `run` what was asked for, the same window at every attempt."""

    async def handle(job: Job, report: Report) -> Json:
        return await run({"id": job.id, **window_of(job)}, report)

    return handle


def window_of(job: Job) -> dict[str, Any]:
    """What a replay's job asks for, with its times: an open end is the moment at which it was asked for."""
    asked = dict(job.payload)
    days = asked.pop("days")
    end = job.created_ms if asked["end"] is None else asked["end"]
    start = end - round((DAYS if days is None else days) * DAY_MS) if asked["start"] is None else asked["start"]
    return {**asked, "start": max(start, 0), "end": end}


def address_of(url: str) -> str:
    """A source's URL as its name: without login, query and last slash."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def _check_times(request: Request, now: int) -> None:
    days, start = request.days, request.start
    end = now if request.end is None else request.end
    if days is not None and start is not None:
        _refuse("days", f"{days:g}", "is given beside start; give one of them")
    if days is not None and not LEAST_DAYS <= days <= MOST_DAYS:
        _refuse("days", f"{days:g}", f"is not {LEAST_DAYS} to {MOST_DAYS}")
    if start is None:
        return
    if end - start < LEAST_DAYS * DAY_MS:
        said = "now" if request.end is None else str(end)
        _refuse("start", str(start), f"is not at least {LEAST_DAYS} days before end ({said}); give an earlier one")
    if end - start > MOST_DAYS * DAY_MS:
        _refuse("start", str(start), f"lies {(end - start) / DAY_MS:.0f} days before end; {MOST_DAYS} are allowed")


def _check_selectors(texts: Sequence[str]) -> None:
    if len(texts) > MOST_SELECTORS:
        _refuse(
            "match",
            str(texts),
            f"has {len(texts)} selectors; {MOST_SELECTORS} are allowed: write a pattern for several",
        )
    for i, text in enumerate(texts):
        path = f"match[{i}]"
        if "\0" in text:
            _refuse(path, text, "holds a character that no database keeps (U+0000); leave it out")
        try:
            matchers = parse_selector(text)
        except InputError as error:
            _refuse(path, text, str(error))
        for matcher in matchers:
            if matcher.op in {"=~", "!~"} and len(matcher.value) > MOST_PATTERN:
                _refuse(path, text, f"has a pattern of {len(matcher.value)} characters; {MOST_PATTERN} are allowed")


def _check_rules(text: str) -> None:
    from airis_mon.query.rulefile import parse_rules

    if len(text) > MOST_RULES:
        _refuse("rulesText", text, f"has {len(text)} characters; {MOST_RULES} are allowed: send the groups that matter")
    try:
        groups = parse_rules("rulesText", text)
    except BadRules as error:
        refusals = tuple(Refusal(f"$.rulesText:{f.line}:{f.column}", "", str(f)) for f in error.faults[:MOST_REFUSALS])
        more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
        raise InputError(f"{error.faults[0]}{more}", refusals) from None
    if not groups:
        _refuse("rulesText", text, 'holds no group of rules; leave it out, or say "rules": "none"')


def _refuse(field: str, value: str, reason: str) -> NoReturn:
    raise InputError(f"{field} {reason}", (Refusal(f"$.{field}", value, reason),))
