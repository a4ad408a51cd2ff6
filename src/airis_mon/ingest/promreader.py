"""Windows of a Prometheus' past -> batches: what its history and its follower have in common."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import ConfigError, InputError, Transient, UpstreamError
from airis_mon.ingest.base import Missing
from airis_mon.ingest.matrix import Matrix, decode_labels
from airis_mon.ingest.promapi import PromApi, TooMuch
from airis_mon.ingest.promplan import (
    ALERTS,
    FIRING,
    GUESSED_INTERVAL_MS,
    Matchers,
    Part,
    Plan,
    in_words,
    make_plan,
    merged,
)
from airis_mon.ingest.promplan import selector as text_of
from airis_mon.series.batch import Batch, Ids, Times, Values, empty_batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import METRIC, canonical
from airis_mon.series.matchers import Matcher, parse_selector

EVERYTHING = (Matcher(METRIC, "=~", ".+"),)
MOST_POINTS = 10_000
"""Of a range query, per series; Prometheus refuses more than 11,000."""
SHORTEST_MS, LONGEST_MS = 60_000, 86_400_000
"""Of a window. A piece of one metric that fails over a sixteenth of a window or `SHORTEST_MS` is given up."""
FIRST_SHARE = 0.1
"""The first window is so much shorter than it could be: until then the rate of samples is only guessed."""
STRIKES = 3
"""So many pieces of a metric may fail in a window before the rest of it is left; so many windows in a row at all."""
RECOVERY = 1.02
"""Each answer lets the next questions be so much larger again, after one that was too much halved them."""
COUNTS = 8
"""So many times, spread over the span, series are counted to plan."""
MOST_DAYS = 32
_HOUR = 3_600_000
_UNUSED = -1


@dataclass(frozen=True, slots=True)
class Window:
    """Samples of [start, end) in order of time, one for each series and time, and what is missing of them."""

    start: int
    end: int
    batch: Batch
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rows:
    """sid, t, value: (n,) series after series; series: (s,) their sids; is_rising: each of them rises in time."""

    sid: Ids
    t: Times
    value: Values
    series: Ids
    is_rising: bool


class Reader:
    """Reads window after window of the series that `match` means (empty: all), and of firing `ALERTS`.

    labels are added to every series and win over its own. Of more than `max_series` series of a window the metrics of
    golden signals are taken first. step_s: 0 = raw samples; otherwise one value per step, as a dashboard shows it. A
    window has about `slice_samples`, a request `request_samples`; both follow what the server gets done: a part that is
    too much for it is halved, by metrics, then in time, and what cannot be had even so is missing.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        api: PromApi,
        *,
        match: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        max_series: int = 10_000,
        step_s: float = 0.0,
        slice_samples: int = 1_500_000,
        request_samples: int = 400_000,
    ) -> None:
        self.catalogue = catalogue
        self.api = api
        self.unused = 0  # label sets that were met and cannot be taken
        self.histograms = 0  # answers with native histograms, which are left out
        self.plan = Plan((), (), {})
        self._match = _selectors(match)
        self._labels = dict(labels or {})
        self._max_series, self._step_ms = max_series, round(step_s * 1000)
        self._slice_samples, self._most_samples, self._samples = slice_samples, request_samples, float(request_samples)
        self._share = FIRST_SHARE
        self._rates: dict[str, float] = {}  # samples per ms, by metric
        self._sids: dict[bytes, int] = {}  # by the labels as they stand in an answer
        self._taken: set[int] = set()  # of this window
        self._no_room: set[int] = set()  # of this window, hashes of what was met
        self._series = self._left_out = 0  # of the last whole window
        self._why_unused = ""
        self._epoch = catalogue.epoch
        self._lock = threading.Lock()
        self._failing_since: float | None = None  # by the api's clock
        self._strikes: dict[str, int] = {}  # of this window
        self._bad_windows: dict[str, int] = {}  # in a row
        self._given_up: dict[str, str] = {}  # metric -> why

    async def earliest(self, start: int | None, end: int) -> int | None:
        """A time (ms) before which there is nothing since `start`, to an hour; None when there is nothing at all.

        Without `start` it is looked for backwards until 32 days hold nothing. Names are asked for, which costs a
        server a look into its index: whole blocks, or days, count as holding what they hold anywhere.
        """
        if start is None:
            start = await self._first_piece(end)
        if start is None or not await self._has_names(start, end):
            return None
        if await self._has_names(start, min(end, start + _HOUR)):
            return start
        low, high = start, end  # nothing before low; something before high
        while high - low > _HOUR:
            middle = (low + high) // 2
            if await self._has_names(start, middle):
                high = middle
            else:
                low = middle
        return low

    async def _first_piece(self, end: int) -> int | None:
        """Where the earliest of pieces of time begins that hold something; pieces grow from a day to 32.

        VictoriaMetrics answers names of all times when it is asked about more than 40 days.
        """
        days, found = 1, None
        while end > 0:
            begin = max(0, end - days * LONGEST_MS)
            if await self._has_names(begin, end):
                found = begin
            elif days == MOST_DAYS:
                break
            end, days = begin, min(2 * days, MOST_DAYS)
        return found

    async def discover(self, start: int, end: int, *, is_past: bool = False) -> tuple[Missing, ...]:
        """Looks what there is in [start, end) ms and plans anew; answers what there is no room for.

        is_past: alerts that did not fire by now need not be asked for.
        """
        self._given_up.clear()
        self._bad_windows.clear()
        found: list[tuple[Matchers, Sequence[str]]] = []
        series: dict[str, int] = {}
        for matchers in self._match or [()]:
            names = await self.api.names(text_of(matchers) if matchers else "", start, end - 1)
            found.append((matchers, names))
            for name, n in (await self._count(matchers or EVERYTHING, start, end)).items():
                series[name] = max(series.get(name, 0), n)
        means_alerts = any(not matchers and ALERTS in names for matchers, names in found)
        firing = not means_alerts and not (is_past and not await self.api.names(text_of(FIRING), start, end - 1))
        self.plan = make_plan(found, series, self._max_series, firing=firing)
        every = GUESSED_INTERVAL_MS if not self._step_ms else self._step_ms
        self._rates = {n: s / every for n, s in self.plan.series.items()} | self._rates
        await self._take_types()
        if not self.plan.left_out:
            return ()
        n = sum(self.plan.series[name] for name in self.plan.left_out)
        why = f"max_series = {self._max_series} is reached and these have about {n} more; raise it or narrow match"
        return (Missing(start, end, in_words(self.plan.left_out), why),)

    async def window(self, start: int, limit: int) -> Window:
        """The samples from `start` on, up to `limit` (ms, without it) at most.

        Raises Transient when the server was away longer than the api's patience, InputError as the api does.
        """
        end = min(limit, start + self._span())
        self._strikes.clear()
        self._taken.clear()
        self._no_room.clear()
        self._failing_since = None  # time that nothing was asked in is no failure
        parts = list(self.plan.parts(end - start, self._rates, self._samples))
        shortest = max(SHORTEST_MS, (end - start) // 16)
        unused = self.unused
        answers = await _all([self._fetch(p, start, end, shortest) for p in parts])
        missing = [m for _, every in answers for m in every]
        if self.unused > unused:
            missing.append(Missing(start, end, f"{self.unused - unused} series", self._why_unused))
        if self._no_room:
            why = f"max_series = {self._max_series} is reached; raise it or narrow match"
            missing.append(Missing(start, end, f"{len(self._no_room)} series", why))
        self._series, self._left_out = len(self._taken), len(self._no_room)
        batch = await asyncio.to_thread(_assembled, [r for rows, _ in answers for r in rows])
        self._learn(batch, end - start, parts)
        return Window(start, end, batch, merged(missing))

    def health(self) -> dict[str, Any]:
        """How it gets on with the server, and what it leaves out."""
        return {
            "url": self.api.place,
            "series": self._series,
            "series_left_out": self.unused + self._left_out,
            "metrics_left_out": list(self.plan.left_out),
            "metrics_given_up": dict(self._given_up),
            "native_histograms_left_out": self.histograms,
            "requests": self.api.requests,
            "retries": self.api.retries,
            "error": self.api.last_error,
        }

    # --- discovery --------------------------------------------------------------------------------------------------

    async def _has_names(self, start: int, end: int) -> bool:
        for matchers in self._match or [()]:
            if await self.api.names(text_of(matchers) if matchers else "", start, end - 1):
                return True
        return False

    async def _count(self, matchers: Matchers, start: int, end: int) -> dict[str, int]:
        """About how many series each metric has at once; nothing when that is too much to ask."""
        query = f"count by ({METRIC}) ({text_of(matchers)})"
        step = max(1000, (end - start) // COUNTS)
        try:
            answer = await self.api.over(query, end - 1 - step * ((end - 1 - start) // step), end - 1, step)
        except TooMuch:
            return {}
        ends = np.cumsum(answer.counts)
        return {
            decode_labels(metric).get(METRIC, ""): int(answer.value[e - n : e].max())
            for metric, n, e in zip(answer.metric, answer.counts.tolist(), ends.tolist(), strict=True)
            if n
        }

    async def _take_types(self) -> None:
        """Notes which metrics are counters; a server that does not know leaves it to their names."""
        try:
            types = await self.api.types()
        except (UpstreamError, InputError):
            return
        known = {t.name.lower().replace("_", ""): t for t in MetricType}
        take_types(self.catalogue, [(name, known.get(kind, MetricType.UNKNOWN)) for name, kind in types.items()])

    # --- windows ----------------------------------------------------------------------------------------------------

    def _span(self) -> int:
        rates = [self._rates.get(n, 0.0) for _, names in self.plan.chosen for n in names]
        span = self._share * self._slice_samples / max(sum(rates), 1e-9)
        span = min(span, self._samples / max([*rates, 1e-9]))  # the metric with most samples fits into one question
        if self._step_ms:
            span = min(span, MOST_POINTS * self._step_ms)
        return int(min(max(span, SHORTEST_MS), LONGEST_MS))

    def _learn(self, batch: Batch, span_ms: int, parts: Sequence[Part]) -> None:
        """Remembers how many samples came of each metric; an empty window says nothing of the next one."""
        self._share = 1.0
        for name in {n for p in parts for n in p.names}:
            if name not in self._strikes:
                self._bad_windows.pop(name, None)
        if not len(batch):
            return
        counts = np.bincount(self.catalogue.metric[batch.sid])
        for i in np.flatnonzero(counts).tolist():
            name, seen = self.catalogue.metrics[i], counts[i] / span_ms
            old = self._rates.get(name, seen)
            self._rates[name] = max(seen, (old + seen) / 2)

    async def _fetch(self, part: Part, start: int, end: int, shortest: int) -> tuple[list[_Rows], list[Missing]]:
        """A part of a window, in as many pieces as it needs, and what cannot be had of it."""
        part, hopeless = self._without_hopeless(part)
        missing = [Missing(start, end, name, why) for name, why in hopeless.items()]
        if not part.names:
            return [], missing
        try:
            matrix = await self._ask(part, start, end)
        except TooMuch as e:
            self._check_patience(e)
            self._samples = max(self._samples / 2, self._most_samples / 64)
            pieces: list[tuple[Part, int, int]] = [(p, start, end) for p in part.halves()]
            middle = (start + end) // 2
            if not pieces and end - start >= 2 * shortest:
                pieces = [(part, start, middle), (part, middle, end)]
            if not pieces:
                self._strike(part.names[0], str(e))
                return [], [*missing, Missing(start, end, part.names[0], str(e))]
            answers = [await self._fetch(p, a, b, shortest) for p, a, b in pieces]
            return [r for rows, _ in answers for r in rows], missing + [m for _, every in answers for m in every]
        self._failing_since = None
        self._samples = min(self._samples * RECOVERY, self._most_samples)
        missing += [Missing(start, end, in_words(part.names), f"the server warns: {w}") for w in matrix.warnings]
        return [await asyncio.to_thread(self._take, matrix, start, end)], missing

    async def _ask(self, part: Part, start: int, end: int) -> Matrix:
        if not self._step_ms:
            # Up to Prometheus 2 a range has both its ends, from 3 on only the later one: what is early is left out.
            return await self.api.at(f"{part.selector}[{end - start}ms]", end - 1)
        first, last = -(-start // self._step_ms) * self._step_ms, (end - 1) // self._step_ms * self._step_ms
        return await self.api.over(part.selector, first, max(first, last), self._step_ms)

    def _without_hopeless(self, part: Part) -> tuple[Part, dict[str, str]]:
        hopeless = {n: self._given_up[n] for n in part.names if n in self._given_up}
        hopeless |= {n: "it failed too often in this window" for n in part.names if self._strikes.get(n, 0) >= STRIKES}
        if not hopeless:
            return part, hopeless
        return Part(part.matchers, tuple(n for n in part.names if n not in hopeless)), hopeless

    def _strike(self, name: str, why: str) -> None:
        if name not in self._strikes:
            self._bad_windows[name] = self._bad_windows.get(name, 0) + 1
        self._strikes[name] = self._strikes.get(name, 0) + 1
        if self._bad_windows[name] >= STRIKES:
            self._given_up[name] = f"it failed in {STRIKES} windows in a row: {why}"

    def _check_patience(self, error: TooMuch) -> None:
        """Raises Transient when smaller and smaller questions have failed for as long as the patience lasts."""
        now = self.api.clock()
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since > self.api.patience_s:
            raise Transient(f"no question was answered for {self.api.patience_s:g} s; the last: {error}")

    # --- rows -------------------------------------------------------------------------------------------------------

    def _take(self, matrix: Matrix, start: int, end: int) -> _Rows:
        """The rows of an answer that belong to [start, end) and to series that are taken."""
        with self._lock:
            if self._epoch != self.catalogue.epoch or len(self._sids) > 4 * self._max_series + 1024:
                self._epoch = self.catalogue.epoch
                self._sids.clear()
            self.histograms += matrix.histograms
            known = self._sids.keys()
            order = sorted(range(len(matrix.metric)), key=lambda i: matrix.metric[i] not in known)
            found = {i: self._sid(matrix.metric[i]) for i in order}  # what was read before has room before what is new
        series = np.array([found[i] for i in range(len(found))], np.int32)
        sid = np.repeat(series, matrix.counts)
        keep = (sid >= 0) & (matrix.t >= start) & (matrix.t < end)
        used = (series >= 0) & (matrix.counts > 0)
        is_rising = bool(matrix.is_rising[used].all())
        if keep.all():
            return _Rows(sid, matrix.t, matrix.value, series[used], is_rising)
        return _Rows(sid[keep], matrix.t[keep], matrix.value[keep], series[used], is_rising)

    def _sid(self, metric: bytes) -> int:
        """The sid of a series, `_UNUSED` when it cannot be taken: a hostile label set, or one too many."""
        sid = self._sids.get(metric)
        if sid is not None and (sid == _UNUSED or sid in self._taken):
            return sid
        try:
            if sid is None:
                labels = canonical({**decode_labels(metric), **self._labels}.items())
            else:
                labels = self.catalogue.labels(sid)
            needs_room = (METRIC, ALERTS) not in labels
            if needs_room and len(self._taken) >= self._max_series:
                self._no_room.add(hash(metric))
                return _UNUSED
            sid = self.catalogue.intern(labels) if sid is None else sid
        except (InputError, ValueError) as e:
            self.unused += 1
            self._why_unused, sid, needs_room = str(e), _UNUSED, False
        if needs_room:
            self._taken.add(sid)
        if len(metric) <= 2 * self.catalogue.max_label_bytes:  # longer ones are refused and not worth the memory
            self._sids[metric] = sid
        return sid


def _selectors(match: Sequence[str]) -> list[Matchers]:
    try:
        return [parse_selector(m) for m in match]
    except InputError as e:
        raise ConfigError(f"match: {e}") from e


_Answer = tuple[list[_Rows], list[Missing]]


async def _all(calls: Sequence[Coroutine[None, None, _Answer]]) -> list[_Answer]:
    """The answers of all; when one fails the others are ended first."""
    tasks = [asyncio.create_task(c) for c in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _assembled(parts: list[_Rows]) -> Batch:
    """The rows of all parts in order of time, one for each series and time: the first."""
    parts = [p for p in parts if len(p.sid)]
    if not parts:
        return empty_batch()
    sid, t = np.concatenate([p.sid for p in parts]), np.concatenate([p.t for p in parts])
    value = np.concatenate([p.value for p in parts])
    series = np.concatenate([p.series for p in parts])
    if len(np.unique(series)) < len(series) or not all(p.is_rising for p in parts):
        keep = _first(sid, t)
        sid, t, value = sid[keep], t[keep], value[keep]
    order = np.argsort(t, kind="stable")
    return Batch(sid[order], t[order], value[order])


def _first(sid: Ids, t: Times) -> NDArray[np.bool_]:
    """(n,) whether a row is the first of its series and time."""
    order = np.lexsort((t, sid))  # stable: the first of equal rows stays first
    again = (np.diff(sid[order]) == 0) & (np.diff(t[order]) == 0)
    keep = np.ones(len(sid), np.bool_)
    keep[order[1:][again]] = False
    return keep
