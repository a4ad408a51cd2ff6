"""Keeps the collectors running: one task each, started again after a failure, stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import structlog

from airis_mon.errors import StoreBusy
from airis_mon.ingest.base import Collector
from airis_mon.series.batch import Batch
from airis_mon.store.cursors import Cursors

log = structlog.get_logger()

RESTART_S = 5.0
"""Pause before a failed collector is started again."""
TRIES = 5
"""A scrape is offered so often while the store is busy; then it is dropped and counted."""


class Sources:
    """Runs collectors; `accept(name, batch)` takes what they bring. `dropped` counts samples the store never took."""

    def __init__(self, accept: Callable[[str, Batch], Awaitable[Batch]], cursors: Cursors) -> None:
        self.dropped = 0
        self._cursors = cursors
        self.failures: dict[str, int] = {}
        self._accept = accept
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, collectors: Sequence[tuple[str, Collector]]) -> None:
        """Begins to collect from each (name, collector)."""
        self._tasks = [asyncio.create_task(self._keep(name, c), name=f"source {name}") for name, c in collectors]

    async def stop(self) -> None:
        """Cancels all and waits until they are gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _keep(self, name: str, collector: Collector) -> None:
        while True:
            try:
                async with aclosing(collector.batches()) as batches:
                    async for batch in batches:
                        await self._offer(name, collector, batch)
                        if cursor := collector.cursor:
                            await asyncio.to_thread(self._cursors.keep, name, cursor)
            except Exception:  # boundary: one call into a plug-in
                self.failures[name] = self.failures.get(name, 0) + 1
                log.exception("source.failed", source=name, retry_s=RESTART_S)
            else:
                return  # the source is exhausted
            await asyncio.sleep(RESTART_S)

    async def _offer(self, name: str, collector: Collector, batch: Batch) -> None:
        """Hands a batch over. A source with a cursor waits for the store: it can read on later, a scrape cannot."""
        tries = 0
        while True:
            try:
                await self._accept(name, batch)
            except StoreBusy as busy:
                tries += 1
                if tries >= TRIES and not collector.cursor:
                    break
                await asyncio.sleep(busy.retry_after_s)
            else:
                return
        self.dropped += len(batch)
        log.warning("source.dropped", source=name, samples=len(batch))
