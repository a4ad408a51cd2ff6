from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np

from airis_mon.app import sources
from airis_mon.app.sources import Sources
from airis_mon.errors import StoreBusy
from airis_mon.series.batch import Batch
from airis_mon.store.cursors import Cursors

ONE = Batch(np.zeros(1, np.int32), np.ones(1, np.int64), np.ones(1))


class Source:
    """Yields `n` batches; with a cursor when asked, failing first when asked."""

    kind = "test"

    def __init__(self, n: int = 1, *, has_cursor: bool = False, fails: int = 0) -> None:
        self.cursor = ""
        self.closed = 0
        self._n, self._has_cursor, self._fails = n, has_cursor, fails

    async def batches(self) -> AsyncGenerator[Batch, None]:
        try:
            if self._fails:
                self._fails -= 1
                raise ValueError("broken")
            for i in range(self._n):
                self.cursor = str(i) if self._has_cursor else ""
                yield ONE
        finally:
            self.closed += 1


class Store:
    """Refuses the first `busy` batches."""

    def __init__(self, busy: int = 0) -> None:
        self.busy = busy
        self.taken: list[str] = []
        self.done = asyncio.Event()
        self.wanted = 1

    async def accept(self, name: str, batch: Batch) -> Batch:
        if self.busy:
            self.busy -= 1
            raise StoreBusy("busy", 0.0)
        self.taken.append(name)
        if len(self.taken) >= self.wanted:
            self.done.set()
        return batch


def cursors(tmp_path: Path) -> Cursors:
    return Cursors(tmp_path / "cursors.json")


async def run(store: Store, source: Source, kept: Cursors) -> Sources:
    running = Sources(store.accept, kept)
    running.start([("it", source)])
    async with asyncio.timeout(5):
        await store.done.wait()
    await running.stop()
    return running


async def test_a_batch_with_a_cursor_waits_for_the_store_however_long(tmp_path: Path) -> None:
    store, kept = Store(busy=sources.TRIES * 3), cursors(tmp_path)
    running = await run(store, Source(has_cursor=True), kept)
    assert (store.taken, running.dropped) == (["it"], 0)


async def test_a_scrape_is_dropped_and_counted_after_some_tries(tmp_path: Path) -> None:
    store = Store(busy=sources.TRIES)
    running = await run(store, Source(2), cursors(tmp_path))
    assert (store.taken, running.dropped) == (["it"], 1)


async def test_a_cursor_is_kept_after_its_batch_was_taken(tmp_path: Path) -> None:
    kept, store = cursors(tmp_path), Store()
    store.wanted = 3
    await run(store, Source(3, has_cursor=True), kept)
    assert Cursors(tmp_path / "cursors.json").get("it") in ("1", "2")  # the third is kept after it was taken


async def test_a_source_that_stops_under_way_is_closed(tmp_path: Path) -> None:
    source = Source(10**6)
    await run(Store(), source, cursors(tmp_path))
    assert source.closed == 1
