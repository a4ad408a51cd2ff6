"""Questions about series, answered in worker threads: how many at once, how long, kept by content.

Values that are sent along are judged as they are; stored series are read first, so no kept answer is ever stale.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import numpy as np
import xxhash

from airis_mon.analyze.analysis import analyze
from airis_mon.analyze.chance import confidence
from airis_mon.app.curves import Check
from airis_mon.app.foreteller import Foreteller
from airis_mon.app.queries import Lane
from airis_mon.app.signals import Found, Wanted
from airis_mon.app.workers import Worker
from airis_mon.errors import (
    InputError,
    ModelError,
    QueryCancelled,
    QueryError,
    QueryTimeout,
    Refusal,
    StoreBusy,
)
from airis_mon.series.batch import Times, Values
from airis_mon.series.zone import Zone
from airis_mon.store.cache import Cache, LocalCache

HOUR_MS = 3_600_000
FEWER = "send or ask for fewer values"
COMPILING = "kernels are being compiled, once after an install or upgrade: ask again in a minute"
STOPPING, STOPPING_S = "the server stops; ask again when it is back", 5.0
LARGEST = 1e100
"""Values beyond would overflow where squares and cubes are summed."""
HUGE = "huge"
"""Why a series was left out: it has a value beyond `LARGEST`."""
INLINE_POINTS = 1_000
"""A light question of so few values is answered at once: a thread would cost more than the work."""

__all__ = ["Analytics", "Answered", "Check", "Points", "Source", "Work"]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One series of a question: values sent along (with times, or a step, or neither), or a stored series by fp.

    name: for people; of a stored one empty = its own. value: (n,) finite; t: (n,) ms, strictly ascending. signal:
    value, rate, mean, p99; None = the only or first one. start, end: ms; without them the last hour until now.
    path: where it stands in the question. is_optional: one of many that a selector means, so it is left out, with
    `Points.why`, when nothing can be computed with it; else the question is refused.
    """

    name: str
    value: Values | None = None
    t: Times | None = None
    step_ms: int | None = None
    fp: int | None = None
    signal: str | None = None
    start: int | None = None
    end: int | None = None
    path: str = "$"
    is_optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """The numbers of one source: of a stored series its signal's samples. value: (n,) finite; t: (n,) ms, ascending.

    why: it was left out, so it has no values; "" = it was not. path: the field of the question that they came by.
    """

    name: str
    t: Times | None
    value: Values
    step_ms: int | None = None
    why: str = ""
    path: str = "$.values"


Work = Callable[[Sequence[Points], Check], Any]
"""Makes what msgspec can encode of the points, in a worker thread; calls the check now and then.

A coroutine function is awaited on the event loop instead, and cancelled when nobody waits any more.
"""


class Stored(Protocol):
    """Where stored series come from; `signals.StoredSignals` is one."""

    def load_many(self, wanted: Sequence[Wanted], most: int, check: Check) -> list[Found]:
        """Signals of series, in their order. Raises NotFound, InputError beyond `most` samples of all together."""

    def last_t(self, fp: int) -> int | None:
        """Time of the latest sample of a series, ms; None when it has had none lately."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The JSON of an answer, and whether it was kept from an earlier equal question."""

    raw: msgspec.Raw
    is_cached: bool


@dataclass(eq=False)
class _Deadline:
    """Until when one question may take, and whether anybody still waits for it. at: of `time.monotonic`, s.

    remedy: what to do about it when it is not met.
    """

    timeout_s: float
    at: float
    remedy: str
    cancelled: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raises QueryCancelled or QueryTimeout when it is time."""
        if self.cancelled.is_set():
            raise QueryCancelled("nobody waits for this answer any more")
        if time.monotonic() >= self.at:
            raise self.late()

    def late(self) -> QueryTimeout:
        return QueryTimeout(f"the answer took longer than analytics.timeout_s ({self.timeout_s:g} s); {self.remedy}")


@dataclass(eq=False)
class _Flight:
    """A question being answered, and how many wait for it."""

    task: asyncio.Task[bytes]
    deadline: _Deadline
    waiting: int = 0


class Analytics:
    """Answers questions about values that are sent along and about stored series.

    stored: reads series. clock: now in ms. concurrency: questions worked on at once. max_points: values of one
    question, all its series together. cache: answers kept in this process, None = none are; shared: with other servers,
    asked only for what takes longer than asking. A key is the content itself (question, options, names, values, times),
    so nothing kept is ever wrong, only old; `version` keeps the answers of another version apart. threshold, window_s:
    what questions mean that name none; zone: of their hours and weekdays, None = UTC. foreteller: who forecasts.
    """

    def __init__(
        self,
        stored: Stored,
        clock: Callable[[], int],
        *,
        version: str = "",
        concurrency: int = 2,
        timeout_s: float = 60.0,
        max_points: int = 1_000_000,
        cache: LocalCache | None = None,
        shared: Cache | None = None,
        cache_s: float = 3600.0,
        threshold: float = 2.5,
        window_s: float = 300.0,
        zone: Zone | None = None,
        foreteller: Foreteller | None = None,
    ) -> None:
        self.max_points = max_points
        self.threshold = threshold
        self.window_s = window_s
        self.zone = zone
        self.foreteller = foreteller or Foreteller(Worker())
        self.timeout_s = timeout_s
        self.inline_points = 0
        self.listeners = 0
        self._stored = stored
        self._clock = clock
        self._version = version
        self._cache = cache
        self._shared = shared
        self._cache_s = cache_s
        self._lane = Lane("airis-analytics", concurrency)
        self._flights: dict[str, _Flight] = {}
        self._is_closed = False

    def warm(self) -> None:
        """Compiles or loads the kernels of light questions, which are answered on the event loop from then on.

        For the thread that warms all kernels: the first time it takes seconds.
        """
        for n in (1, 2, 20, INLINE_POINTS):
            confidence(analyze(np.sin(np.arange(float(n)))).anomaly, n)
        self.inline_points = INLINE_POINTS

    def close(self) -> None:
        """Takes no question any more and ends those under way; who waits is told to ask again (StoreBusy)."""
        self._is_closed = True
        for flight in self._flights.values():
            flight.deadline.cancelled.set()
        self._lane.close()

    async def points(self, source: Source) -> Points:
        """The numbers of a source as they are now. Raises NotFound, InputError, QueryTimeout, StoreBusy."""
        (points,) = await self._points([source], self._deadline())
        return points

    def last_t(self, fp: int) -> int | None:
        """Time of the latest sample of a series, ms; None when it has had none lately."""
        return self._stored.last_t(fp)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Counts one who follows a series among `listeners` for the time of the block."""
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1

    async def ask(
        self,
        question: str,
        sources: Sequence[Source],
        options: Mapping[str, Any],
        work: Work,
        *,
        is_fresh: bool = False,
    ) -> Answered:
        """The JSON of what `work` makes of the points; equal questions at the same time are worked on once.

        question and options must say everything that `work` depends on beside the points. is_fresh: nothing kept is
        given. When the task that awaits this is cancelled, and nobody else waits for the same, the work ends at its
        next check. Raises InputError, NotFound, QueryTimeout, StoreBusy when too many wait, and what work raises.
        """
        self._demand_few(sources)
        deadline = self._deadline()
        points = await self._points(sources, deadline)
        key = self._key(question, options, points)
        if not is_fresh and (found := await self._found(key)) is not None:
            return Answered(msgspec.Raw(found), is_cached=True)
        flight = None if is_fresh else self._flights.get(key)
        if flight is None:
            flight = self._start(key, points, work, deadline)
        return Answered(msgspec.Raw(await self._landed(key, flight)), is_cached=False)

    def at_once(
        self,
        question: str,
        sources: Sequence[Source],
        options: Mapping[str, Any],
        work: Work,
        *,
        is_fresh: bool = False,
    ) -> Answered | None:
        """As `ask`, on the event loop; None when the values are stored or too many for that, or kernels not compiled.

        For light work only: well below a millisecond for `INLINE_POINTS` values.
        """
        total = 0
        points = []
        for source in sources:
            if source.value is None or (total := total + len(source.value)) > self.inline_points:
                return None
            points.append(Points(source.name, source.t, source.value, source.step_ms))
        if self._cache is None:
            return Answered(
                msgspec.Raw(msgspec.json.encode(work(points, _nothing))),
                is_cached=False,
            )
        key = self._key(question, options, points)
        if not is_fresh and (found := self._cache.find(key)) is not None:
            return Answered(msgspec.Raw(found), is_cached=True)
        made = msgspec.json.encode(work(points, _nothing))
        self._cache.keep(key, made, self._cache_s)
        return Answered(msgspec.Raw(made), is_cached=False)

    # -- points -------------------------------------------------------------------------------------------------

    def _demand_few(self, sources: Sequence[Source]) -> None:
        given = sum(len(s.value) for s in sources if s.value is not None)
        if given > self.max_points:
            reason = f"{given:,} values in all; one question may carry {self.max_points:,} (analytics.max_points)"
            raise InputError(reason, (Refusal("$", f"{given} values", reason),))

    async def _points(self, sources: Sequence[Source], deadline: _Deadline) -> list[Points]:
        if all(source.value is not None for source in sources):
            return [_pointed(s, s.name, s.t, s.value) for s in sources if s.value is not None]
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._lane.run(lambda: self._loaded(sources, deadline))
        except TimeoutError:
            deadline.cancelled.set()
            raise deadline.late() from None
        except asyncio.CancelledError:
            deadline.cancelled.set()
            raise

    def _loaded(self, sources: Sequence[Source], deadline: _Deadline) -> list[Points]:
        left = self.max_points - sum(len(s.value) for s in sources if s.value is not None)
        now = self._clock()
        wanted = [_wanted(source, now) for source in sources if source.value is None]
        found = iter(self._stored.load_many(wanted, left, deadline.check))
        return [
            _pointed(source, *next(found))
            if source.value is None
            else _pointed(source, source.name, source.t, source.value)
            for source in sources
        ]

    # -- what is kept -------------------------------------------------------------------------------------------

    def _key(self, question: str, options: Mapping[str, Any], points: Sequence[Points]) -> str:
        shape = [(p.name, len(p.value), p.step_ms, p.t is not None, p.why) for p in points]
        told = msgspec.json.encode((self._version, question, options, shape), order="deterministic")
        digest = xxhash.xxh3_128(told)
        for p in points:
            digest.update(p.value.tobytes())
            if p.t is not None:
                digest.update(p.t.tobytes())
        return digest.hexdigest()

    async def _found(self, key: str) -> bytes | None:
        if self._cache is None:
            return None
        if (found := self._cache.find(key)) is not None or self._shared is None:
            return found
        if (shared := await self._shared.get(key)) is None:
            return None
        found, left_s = shared
        self._cache.keep(key, found, min(left_s, self._cache_s))  # not anew: it would live twice its time
        return found

    # -- work ---------------------------------------------------------------------------------------------------

    def _deadline(self) -> _Deadline:
        remedy = FEWER if self.inline_points else COMPILING
        return _Deadline(self.timeout_s, time.monotonic() + self.timeout_s, remedy)

    def _start(self, key: str, points: Sequence[Points], work: Work, deadline: _Deadline) -> _Flight:
        flight = _Flight(asyncio.create_task(self._made(key, points, work, deadline)), deadline)
        self._flights[key] = flight
        return flight

    async def _made(self, key: str, points: Sequence[Points], work: Work, deadline: _Deadline) -> bytes:
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline.at - time.monotonic()):
                if inspect.iscoroutinefunction(work):  # done elsewhere: waiting for it takes no thread
                    made = msgspec.json.encode(await work(points, deadline.check))
                else:
                    made = await self._lane.run(lambda: _worked(points, work, deadline))
        except TimeoutError:
            raise deadline.late() from None
        except (QueryCancelled, ModelError):  # the latter when the process for heavy work was ended under it
            if self._is_closed:
                raise StoreBusy(STOPPING, STOPPING_S) from None
            raise
        finally:
            deadline.cancelled.set()  # nobody waits for it any more, whatever the reason
        if self._cache is not None:
            self._cache.keep(key, made, self._cache_s)
            if self._shared is not None:
                await self._shared.put(key, made, self._cache_s)
        return made

    async def _landed(self, key: str, flight: _Flight) -> bytes:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if (flight.task.done() or not flight.waiting) and self._flights.get(key) is flight:
                del self._flights[key]
            if not flight.waiting and not flight.task.done():
                flight.deadline.cancelled.set()
                flight.task.cancel()


def _wanted(source: Source, now: int) -> Wanted:
    if source.fp is None:
        raise ValueError("a source has neither values nor a series")
    end = now if source.end is None else source.end
    return Wanted(
        source.fp,
        source.signal,
        end - HOUR_MS if source.start is None else source.start,
        end,
    )


def _pointed(source: Source, name: str, t: Times | None, value: Values) -> Points:
    path = f"{source.path}.{'values' if source.fp is None else 'seriesId'}"
    is_sent = source.value is not None and not source.is_optional  # then it was looked at when it came
    if is_sent or not len(value) or np.abs(value).max() <= LARGEST:
        return Points(source.name or name, t, value, source.step_ms, path=path)
    if source.is_optional:
        return Points(source.name or name, None if t is None else t[:0], value[:0], source.step_ms, HUGE, path)
    reason = f"{name} has a value beyond {LARGEST:g} in this window, with which nothing can be computed"
    raise InputError(reason, (Refusal(path, name, reason),))


def _worked(points: Sequence[Points], work: Work, deadline: _Deadline) -> bytes:
    deadline.check()
    try:
        made = work(points, deadline.check)
    except MemoryError:
        raise QueryError("the answer needs more memory than there is; ask for fewer values") from None
    deadline.check()
    return msgspec.json.encode(made)


def _nothing() -> None:
    """The check of what is done before anybody could leave."""
