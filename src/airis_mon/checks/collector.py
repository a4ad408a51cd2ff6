"""The examination of a collector: what the engine relies on, whoever wrote it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import cast

import numpy as np

from airis_mon.ingest.base import Collector
from airis_mon.series.batch import MAX_REFUSALS, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels

Make = Callable[[Catalogue, str], Collector]
"""Makes the collector under examination for a catalogue and a cursor ("" at the start), with a short interval."""
Row = tuple[Labels, int, float]
Stream = AsyncIterator[Batch]


async def examine(make: Make, *, kind: str, timeout_s: float = 30.0) -> None:
    """Runs every examination on collectors of a source that has data. Raises AssertionError that says what is wrong."""
    async with asyncio.timeout(timeout_s):
        await batches_are_well_formed(make, kind)
        await evicted_series_never_return(make)
        await cancelling_leaves_nothing_behind(make)
        await resuming_misses_nothing(make)


async def batches_are_well_formed(make: Make, kind: str, n: int = 2) -> None:
    """Types, lengths, known series and honest counts; one time per row in ms; a health that is JSON."""
    catalogue = Catalogue()
    collector = make(catalogue, "")
    _require(collector.kind == kind, f"kind is {collector.kind!r}, the plug-in is called {kind!r}")
    _require(collector.cursor == "", f"a collector that has not begun has the cursor {collector.cursor!r}")
    for batch in await _take(collector, n):
        _check(batch, catalogue)
    _require(isinstance(collector.cursor, str), "cursor is no text")
    health = getattr(collector, "health", None)
    if health is not None:
        json.dumps(health())
        _require(isinstance(health().get("degraded"), list), "health() has no list named degraded")


async def evicted_series_never_return(make: Make) -> None:
    """A sid that the catalogue has taken back stands in no later batch."""
    catalogue = Catalogue()
    async with aclosing(_stream(make(catalogue, ""))) as stream:
        first = await anext(stream)
        catalogue.observe(first)
        catalogue.evict(int(first.t.max(initial=0)) + 1)
        async for batch in _some(stream, 2):
            gone = [int(s) for s in batch.sid if not catalogue.has(int(s))]
            _require(not gone, f"sids {gone[:5]} were evicted and stand in a batch")


async def cancelling_leaves_nothing_behind(make: Make) -> None:
    """A cancelled collector ends at once, its tasks with it, and can be started again."""
    before = asyncio.all_tasks()
    collector = make(Catalogue(), "")
    for _ in range(2):
        began = asyncio.Event()

        async def drain(began: asyncio.Event = began) -> None:
            async with aclosing(_stream(collector)) as stream:
                async for _ in stream:
                    began.set()

        task = asyncio.create_task(drain())
        waiting = asyncio.create_task(began.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        task.cancel()
        ended = (await asyncio.gather(task, waiting, return_exceptions=True))[0]
        _require(isinstance(ended, asyncio.CancelledError | None), f"a cancelled collector ended with {ended!r}")
    left = [t.get_name() for t in asyncio.all_tasks() - before if not t.done()]
    _require(not left, f"tasks outlive the collector: {left}")


async def resuming_misses_nothing(make: Make, n: int = 3) -> None:
    """What a second collector reads from the first one's cursor completes what the first one's consumer committed.

    Examined where the source has a cursor; then it must answer the same rows to every reader.
    """
    catalogue = Catalogue()
    collector = make(catalogue, "")
    committed: set[Row] = set()
    async with aclosing(_stream(collector)) as stream:
        whole: set[Row] = set()
        cursor = ""
        for k in range(n):
            if (batch := await anext(stream, None)) is None:
                break
            whole |= _rows(batch, catalogue)
            if k == n - 2:  # as after a crash: this batch was committed, the next was only read
                committed, cursor = set(whole), collector.cursor
    if not cursor:
        return
    second = Catalogue()
    async with aclosing(_stream(make(second, cursor))) as stream:
        async for batch in _some(stream, n):
            committed |= _rows(batch, second)
            if whole <= committed:
                return
    _require(whole <= committed, f"{len(whole - committed)} rows are missing after a restart from the cursor")


def _stream(collector: Collector) -> _Closable:
    return cast("_Closable", collector.batches())


class _Closable(Stream):
    """An asynchronous generator, as `batches` must be, so that ending it runs its clean-up."""

    async def aclose(self) -> None: ...


async def _some(stream: Stream, n: int) -> AsyncIterator[Batch]:
    for _ in range(n):
        if (batch := await anext(stream, None)) is None:
            return
        yield batch


async def _take(collector: Collector, n: int) -> list[Batch]:
    async with aclosing(_stream(collector)) as stream:
        return [batch async for batch in _some(stream, n)]


def _check(batch: Batch, catalogue: Catalogue) -> None:
    for name, dtype in (("sid", np.int32), ("t", np.int64), ("value", np.float64)):
        column = getattr(batch, name)
        _require(column.dtype == dtype, f"{name} is {column.dtype}, it must be {np.dtype(dtype)}")
        _require(column.shape == (len(batch.sid),), f"{name} has the shape {column.shape}, sid {batch.sid.shape}")
    unknown = [int(s) for s in batch.sid if not catalogue.has(int(s))]
    _require(not unknown, f"sids {unknown[:5]} are not the catalogue's")
    _require(len(batch.refusals) <= MAX_REFUSALS, f"{len(batch.refusals)} refusals are described")
    _require(batch.refused >= len(batch.refusals), f"refused = {batch.refused} of {len(batch.refusals)} described")
    early = batch.t[batch.t < 10**11]  # March 1973 in ms; seconds of today lie below it
    _require(not len(early), f"times such as {early[:1]} are no ms since 1970")


def _rows(batch: Batch, catalogue: Catalogue) -> set[Row]:
    columns = zip(batch.sid.tolist(), batch.t.tolist(), batch.value.tolist(), strict=True)
    return {(catalogue.labels(s), t, v) for s, t, v in columns}


def _require(claim: object, message: str) -> None:
    if not claim:
        raise AssertionError(message)
