"""Follows a ClickHouse table or query by a watermark; it only ever reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from airis_mon.errors import ConfigError
from airis_mon.ingest import tablerows
from airis_mon.ingest.schedule import Clock, WallClock, ticks
from airis_mon.ingest.tablerows import Client, Labelling, bounds, page_sql, reading
from airis_mon.series.batch import Batch, Ids, Times
from airis_mon.series.catalogue import Catalogue

log = structlog.get_logger()

MAX_OVERLAP_S = 86_400.0


@dataclass(frozen=True, slots=True)
class _Page:
    """Rows of one read; every row up to `upto` (ms) has been read, and there are more if `more`."""

    batch: Batch
    upto: int
    more: bool


class ClickHouse:
    """Reads rows newer than the watermark from a table or SELECT, again and again.

    query: a table's name, or a SELECT that may use `{since:DateTime64(3)}` and `{until:DateTime64(3)}`. watermark: the
    column with the sample's time (Date, DateTime or DateTime64); value: a number, NULL rows are left out; metric: the
    name of all series, else the query yields a column named `metric`. labels: the columns that become labels, every
    other column unless given; a Map column gives one label per entry. Series get the label job = `name`, unless a
    column of that name says otherwise.

    Every `interval_s` rows with since < time <= now - `lag_s` are read in pages of `limit_rows`; a page never ends
    within one millisecond, so none is cut. The last `overlap_s` are read again for rows that came late; of a row
    whose series and time were read before, the first value stays, so a query that sums up needs a `lag_s` longer
    than its step. `cursor` is the time up to which all was handed out, in ms; without one, reading begins
    `lookback_s` ago. `connect` makes a clickhouse-connect client; from `url` unless given.

    Every query is sent with `readonly`: 2, because 1 would refuse the settings that the client itself sends; an
    account that is read-only by itself stays so.

    >>> source = ClickHouse(Catalogue(), url="http://127.0.0.1:8123", query="shop.requests", metric="requests")
    >>> source.cursor
    ''
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
        interval_s: float = 15.0,
        lag_s: float = 5.0,
        overlap_s: float = 60.0,
        lookback_s: float = 3600.0,
        limit_rows: int = 100_000,
        timeout_s: float = 30.0,
        cursor: str = "",
        connect: Callable[[], Client] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not 0 <= overlap_s <= MAX_OVERLAP_S:
            raise ConfigError(f"overlap_s = {overlap_s:g} must lie between 0 and {MAX_OVERLAP_S:g}")
        self.kind = "clickhouse"
        self.catalogue = catalogue
        self._clock = clock or WallClock()
        self._name = name
        self._labelling = Labelling(catalogue, job=name, metric=metric, metric_type=metric_type)
        self._sql = page_sql(query, watermark, value, labels)
        self._interval_ms, self._lag_ms = int(interval_s * 1000), int(lag_s * 1000)
        self._overlap_ms, self._lookback_ms = int(overlap_s * 1000), int(lookback_s * 1000)
        self._limit_rows, self._timeout_s = limit_rows, timeout_s
        self._connect = connect or (lambda: tablerows.connect(url, timeout_s))
        self._client: Client | None = None
        self._cursor = int(cursor) if cursor else None
        self._seen: tuple[Ids, Times] = (np.empty(0, np.int32), np.empty(0, np.int64))
        self._error, self._read = "", 0

    @property
    def cursor(self) -> str:
        """The time (ms) up to which every row was handed out before the last batch, "" at the start."""
        return "" if self._cursor is None else str(self._cursor)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Batches of new rows, until cancelled. A read that fails is told by `health` and tried again later."""
        try:
            async for _ in ticks(self._clock, self._interval_ms):
                since = self._start() - self._overlap_ms
                more = True
                while more and (page := await self._page(since)) is not None:
                    if len(page.batch) or page.batch.refused:
                        yield page.batch
                    self._cursor = max(self._start(), page.upto)  # only now has the consumer taken it
                    self._remember(page.batch)
                    since, more = page.upto, page.more
        finally:
            self._disconnect()

    def health(self) -> dict[str, Any]:
        """How far it has read, and what went wrong in the last read."""
        return {
            "kind": self.kind,
            "name": self._name,
            "cursor": self.cursor,
            "rows": self._read,
            "error": self._error,
            "degraded": [self._name] if self._error else [],
        }

    def _start(self) -> int:
        if self._cursor is None:
            self._cursor = self._clock.now() - self._lag_ms - self._lookback_ms
        return self._cursor

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _page(self, since: int) -> _Page | None:
        until = self._clock.now() - self._lag_ms
        if until <= since:
            return None
        try:
            page = await asyncio.to_thread(self._fetch, since, until)
        except Exception as e:  # noqa: BLE001 - boundary: clickhouse-connect, urllib3 and chDB raise their own
            if not self._error:
                log.warning("clickhouse.failed", source=self._name, error=type(e).__name__)
            self._error = f"{type(e).__name__}: {e}"
            self._disconnect()
            return None
        self._error = ""
        return page

    def _fetch(self, since: int, until: int) -> _Page:
        if self._client is None:
            self._client = self._connect()
        answer = self._client.query(
            self._sql,
            parameters=bounds(since, until) | {"limit_rows": self._limit_rows},
            settings=reading(self._client, self._timeout_s),
            column_oriented=True,
        )
        t, value, *rest = answer.result_columns or ([], [])
        names = list(answer.column_names[2:])
        self._read += len(t)
        more = len(t) >= self._limit_rows
        upto = int(t[-1]) if more else until
        return _Page(self._new(names, rest, np.array(t, np.int64), np.array(value, np.float64), since), upto, more)

    def _new(self, names: list[str], columns: list[Any], t: Times, value: NDArray[np.float64], since: int) -> Batch:
        """The rows of a page that were not read before."""
        sids, refusals, refused = self._labelling.sids(names, columns, len(t))
        good = np.flatnonzero(sids >= 0)
        good = good[self._unread(sids[good], t[good], since)]
        return Batch(sids[good], t[good], value[good], tuple(refusals), refused)

    def _unread(self, sid: Ids, t: Times, since: int) -> NDArray[np.bool_]:
        """(n,) whether a row is the first of its series and time, in this page and within the overlap."""
        factor = self.catalogue.size + 1  # (t - since) * factor stays below 2**63 for centuries
        keys = (t - since) * factor + sid
        seen_sid, seen_t = self._seen
        unread = ~np.isin(keys, (seen_t - since) * factor + seen_sid)
        first = np.zeros(len(keys), np.bool_)
        first[np.unique(keys, return_index=True)[1]] = True
        return np.asarray(unread & first)

    def _remember(self, taken: Batch) -> None:
        sid, t = np.concatenate([self._seen[0], taken.sid]), np.concatenate([self._seen[1], taken.t])
        recent = t > t.max(initial=0) - self._overlap_ms
        self._seen = (sid[recent], t[recent])
