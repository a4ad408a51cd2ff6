"""The past in a table or query of a ClickHouse server; it only ever reads."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from airis_mon.errors import AirisError, ConfigError, InputError, Permanent, Transient
from airis_mon.ingest import tablerows
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.schedule import Clock, WallClock
from airis_mon.ingest.sorting import firsts
from airis_mon.ingest.tablerows import Client, Labelling, bounds, page_sql, reading, span_sql
from airis_mon.ingest.threads import ahead, in_thread
from airis_mon.resilience.retry import retried
from airis_mon.series.batch import Batch, empty_batch
from airis_mon.series.catalogue import NEVER, Catalogue

R = TypeVar("R")
EARLIEST, LATEST = 1_000_000_000_001, 9_999_999_999_000
"""2001 and 2286, ms: seconds of ten digits, which alone ClickHouse reads as such; a row of 1970 has no time at all."""
NARROWEST_MS = 1000
"""A window of so little time is cut no further."""
# ClickHouse's src/Common/ErrorCodes.cpp. Over less time the same query may be answered: TOO_MANY_ROWS,
# TIMEOUT_EXCEEDED, TOO_SLOW, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES.
_TOO_MUCH = frozenset({158, 159, 160, 241, 307, 396})
# Later: TOO_MANY_SIMULTANEOUS_QUERIES, SOCKET_TIMEOUT, NETWORK_ERROR, ALL_CONNECTION_TRIES_FAILED, UNKNOWN_STATUS,
# CANNOT_SCHEDULE_TASK, KEEPER_EXCEPTION.
_LATER = frozenset({202, 209, 210, 279, 319, 439, 999})


class _TooMuch(Permanent):
    """The server gave up; less time at once may help."""


@dataclass(frozen=True, slots=True)
class _Span:
    first: int
    last: int
    rows: int


@dataclass(frozen=True, slots=True)
class _Page:
    """Rows with a time before `end`, as many as were read."""

    batch: Batch
    end: int
    rows: int


class ClickHouse:
    """The rows of a table or SELECT, window after window of its time column, each in order of time.

    query, watermark, value, metric, labels and metric_type are those of the collector of the same name: rows become
    samples in the same way, with the label job = `name`. A SELECT may use `{since:DateTime64(3)}` and
    `{until:DateTime64(3)}`, to leave out whole milliseconds only: where times are finer, those of `until` are meant to
    their end. Windows are as long as holds about `slice_rows`; a window is one query, so a table whose key or
    partitions begin with time is read once, and another one as often as there are windows. Of several rows of one
    series and time one stays, which one is the server's choice.

    A query may take `timeout_s`; what is too much for the server is asked for in shorter windows. A server that does
    not answer is asked again for `patience_s`; the rest of the time is missing then, and the end of the last slice is
    where to go on later. While a slice is worked on, the next one is read. `connect` makes a clickhouse-connect
    client; from `url` unless given. Queries are read-only.

    >>> ClickHouse(Catalogue(), url="http://me:secret@127.0.0.1:8123/shop", query="requests", metric="requests").name
    'http://127.0.0.1:8123'
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        query: str,
        url: str = "",
        name: str = "clickhouse",
        metric: str = "",
        metric_type: str = "unknown",
        watermark: str = "timestamp",
        value: str = "value",
        labels: Sequence[str] | None = None,
        slice_rows: int = 1_000_000,
        timeout_s: float = 120.0,
        patience_s: float = 300.0,
        connect: Callable[[], Client] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if slice_rows < 1:
            raise ConfigError(f"slice_rows = {slice_rows} must be at least 1")
        self.catalogue = catalogue
        self._labelling = Labelling(catalogue, job=name, metric=metric, metric_type=metric_type)
        self._page_sql, self._span_sql = page_sql(query, watermark, value, labels), span_sql(query, watermark, value)
        self._slice_rows, self._timeout_s, self._patience_s = slice_rows, timeout_s, patience_s
        self._connect = connect or (lambda: tablerows.connect(url, timeout_s))
        self._clock = clock or WallClock()
        self._client: Client | None = None
        self._name = _place(url) or name

    @property
    def name(self) -> str:
        """The server's address without user and password."""
        return self._name

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        """[start, end) ms, from 2001 on.

        Raises InputError for a query that the server refuses, Transient when it never answers.
        """
        try:
            async with aclosing(ahead(self._slices(start, end))) as stream:
                async for one in stream:
                    yield one
        finally:
            self._disconnect()

    async def _slices(self, start: int | None, end: int | None) -> AsyncGenerator[Slice, None]:
        since, until = EARLIEST if start is None else start, LATEST if end is None else end
        span = await self._patiently(partial(self._span, since - 1, until - 1))
        at, high = (span.first if start is None else start), (span.last + 1 if end is None else end)
        width = max(NARROWEST_MS, (span.last + 1 - span.first) * self._slice_rows // max(1, span.rows))
        done = 0
        while at < high:
            until = max(at, span.first) + width
            until = until if until <= span.last else high
            share = done / max(1, span.rows)
            try:
                page = await self._patiently(partial(self._page, at, until))
            except _TooMuch as error:
                if width > NARROWEST_MS:
                    width = max(NARROWEST_MS, width // 4)
                    continue
                yield Slice(at, until, empty_batch(), share, _lost(at, until, error))
                at = until
                continue
            except Transient as error:
                yield Slice(at, at, empty_batch(), share, _lost(at, high, error))
                return
            done = min(span.rows, done + page.rows)
            yield Slice(at, page.end, page.batch, 1.0 if page.end >= high else done / max(1, span.rows))
            at = page.end
            width = _fitting(width, self._slice_rows / max(1, page.rows))

    async def _patiently(self, call: Callable[[], R]) -> R:
        async def once() -> R:
            return await in_thread(lambda: self._asked(call))

        return await retried(once, deadline_s=self._patience_s, clock=time.monotonic, sleep=self._clock.sleep)

    def _asked(self, call: Callable[[], R]) -> R:
        try:
            return call()
        except AirisError:
            raise
        except Exception as error:
            self._disconnect()
            raise _told(self._name, error) from error

    def _ask(self, sql: str, since: int, until: int, more: dict[str, Any]) -> Any:
        if self._client is None:
            self._client = self._connect()
        settings = reading(self._client, self._timeout_s)
        return self._client.query(sql, parameters=bounds(since, until) | more, settings=settings, column_oriented=True)

    def _span(self, since: int, until: int) -> _Span:
        (first,), (last,), (rows,) = self._ask(self._span_sql, since, until, {}).result_columns
        if not rows:
            return _Span(until + 1, since, 0)  # nothing lies before the end, nothing after the start
        return _Span(int(first), int(last), int(rows))

    def _page(self, start: int, end: int) -> _Page:
        """The rows of [start, end), or the first `2 * slice_rows` and the rest of their last time."""
        most = 2 * self._slice_rows
        answer = self._ask(self._page_sql, start - 1, end - 1, {"limit_rows": most})
        t, value, *rest = answer.result_columns or ([], [])
        sid, refusals, refused = self._labelling.sids(list(answer.column_names[2:]), rest, len(t))
        at, number = np.array(t, np.int64), np.array(value, np.float64)
        good = np.flatnonzero(sid >= 0)
        good = good[firsts(sid[good], at[good], np.full(self.catalogue.size, NEVER, np.int64))]
        batch = Batch(sid[good], at[good], number[good], tuple(refusals), refused)
        return _Page(batch, int(at[-1]) + 1 if len(t) >= most else end, len(t))

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _fitting(width: int, factor: float) -> int:
    """The next window's width when this one should have been `factor` times as wide."""
    return max(NARROWEST_MS, int(width * min(4.0, max(0.25, factor))))


def _lost(start: int, end: int, error: Exception) -> tuple[Missing]:
    return (Missing(start, end, "all rows", str(error)),)


def _told(name: str, error: Exception) -> AirisError:
    """An error of clickhouse-connect, urllib3 or the system in our words."""
    code = getattr(error, "code", None)
    words = " ".join(str(error).split())[:400]
    if code in _TOO_MUCH:
        return _TooMuch(f"{name} gave up: {words}")
    if isinstance(code, int) and code not in _LATER:
        return InputError(f"{name} refused: {words}; correct the query, or what the user may read")
    return Transient(f"{name} does not answer: {words}")


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "") if parts.hostname else ""
