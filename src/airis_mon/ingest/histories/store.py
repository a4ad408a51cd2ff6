"""The past in our own store, for a replay beside the live engine; it only ever reads."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

import numpy as np

from airis_mon.errors import StoreBusy, Transient
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.schedule import Clock, WallClock
from airis_mon.ingest.threads import ahead, in_thread
from airis_mon.resilience.retry import retried
from airis_mon.series.batch import Batch, Ids, empty_batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.matchers import compile_selectors
from airis_mon.store.base import Columns, Fingerprints, SeriesStore

R = TypeVar("R")
FIRST, LAST = -(2**62), 2**62
"""Before and after every time, ms."""
HOUR_MS = 3_600_000
_UNWANTED, _UNKNOWN = -1, -2


class Store:
    """All samples of a store, of the series that one of the selectors in `match` means if there are any.

    The catalogue is another one than the live engine's: series get sids of it when their first sample is read. All
    samples are read whatever `match` says, as the store keeps them by time. A store that is busy is asked again for
    `patience_s`; the rest of the time is missing then, and the end of the last slice is where to go on later. So are
    the samples of series whose labels the store has forgotten. While a slice is worked on, the next one is read.

    >>> from airis_mon.store.backends.clickhouse import ClickHouse
    >>> Store(Catalogue(), store=ClickHouse(url="chdb:///var/lib/airis"), match=["http_requests_total"]).name
    'own store'
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        store: SeriesStore,
        match: Sequence[str] = (),
        slice_rows: int = 1_000_000,
        patience_s: float = 300.0,
        clock: Clock | None = None,
    ) -> None:
        self.catalogue = catalogue
        self._store = store
        self._is_meant = compile_selectors(match) if match else lambda _: True
        self._slice_rows, self._patience_s = slice_rows, patience_s
        self._clock = clock or WallClock()
        self._sids: dict[int, int] = {}  # by fingerprint
        self._epoch = catalogue.epoch
        self._scan: Iterator[Columns] | None = None

    @property
    def name(self) -> str:
        """What it is; there is one."""
        return "own store"

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        """[start, end) ms. Raises Transient when the store cannot be reached, StoreError when it refuses."""
        async with aclosing(ahead(self._slices(start, end))) as stream:
            async for one in stream:
                yield one

    async def _slices(self, start: int | None, end: int | None) -> AsyncGenerator[Slice, None]:
        self._scan = None
        first, last = await self._patiently(lambda: self._seen(start))
        low, high = first if start is None else start, last if end is None else end
        at = start
        while True:
            try:
                columns = await self._patiently(partial(self._read, at, end))
            except Transient as error:
                since = low if at is None else at
                gone = Missing(since, max(high, since), "all series", str(error))
                yield Slice(since, since, empty_batch(), _share(low, since, high), (gone,))
                return
            if columns is None:
                break
            since = int(columns.t.min()) if at is None else at
            at = int(columns.t.max()) + 1
            batch, missing = await self._patiently(partial(self._batch, columns, since, at))
            yield Slice(since, at, batch, _share(low, at, high), missing)
        if at is not None:
            yield Slice(at, at if end is None else max(at, end), empty_batch(), 1.0)

    async def _patiently(self, call: Callable[[], R]) -> R:
        """The answer of a call to the store, asked again while it is busy. Raises Transient in the end."""

        async def once() -> R:
            try:
                return await in_thread(call)
            except StoreBusy as error:
                raise Transient(str(error), error.retry_after_s) from error

        return await retried(once, deadline_s=self._patience_s, clock=time.monotonic, sleep=self._clock.sleep)

    def _seen(self, since: int | None) -> tuple[int, int]:
        """When any series was first seen and until when, ms, to the hour: for telling progress."""
        times = [(row.first_seen or row.last_seen, row.last_seen) for row in self._store.load_series(since)]
        return min((t for t, _ in times), default=0), HOUR_MS + max((t for _, t in times), default=0)

    def _read(self, at: int | None, end: int | None) -> Columns | None:
        """The next piece of the scan, begun anew at `at` after an error; None at its end."""
        if self._scan is None:
            after, until = FIRST if at is None else at - 1, LAST if end is None else end - 1
            self._scan = self._store.scan(after, until, self._slice_rows)
        try:
            return next((columns for columns in self._scan if len(columns.t)), None)
        except BaseException:
            self._scan = None
            raise

    def _batch(self, columns: Columns, start: int, end: int) -> tuple[Batch, tuple[Missing, ...]]:
        """The samples of the series that are meant, in order of time, and what is known of no series."""
        starts = np.flatnonzero(np.append(True, columns.fp[1:] != columns.fp[:-1]))
        sids = self._resolve(columns.fp[starts])
        sid = np.repeat(sids, np.diff(starts, append=len(columns.fp)))
        unknown = int((sids == _UNKNOWN).sum())
        rows = np.flatnonzero(sid >= 0)
        rows = rows[np.argsort(columns.t[rows], kind="stable")]
        told = (Missing(start, end, f"{unknown} series", "the store no longer knows their labels"),) if unknown else ()
        return Batch(sid[rows], columns.t[rows], columns.value[rows]), told

    def _resolve(self, fps: Fingerprints) -> Ids:
        if self._epoch != self.catalogue.epoch:
            self._epoch = self.catalogue.epoch
            self._sids.clear()
        new = [fp for fp in fps.tolist() if fp not in self._sids]
        for row in self._store.series_by_fp(new) if new else ():
            self._sids[row.fp] = self.catalogue.intern(row.labels) if self._is_meant(row.labels) else _UNWANTED
        return np.array([self._sids.get(fp, _UNKNOWN) for fp in fps.tolist()], np.int32)


def _share(low: int, at: int, high: int) -> float:
    return min(1.0, (at - low) / max(1, high - low))
