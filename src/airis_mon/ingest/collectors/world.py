"""A simulated world, live: what is scraped of it now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import numpy as np

from airis_mon.ingest.schedule import Clock, WallClock
from airis_mon.ingest.simulated import Cast, Rows, Scene, no_rows
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.simulate.dirt import MAX_LATE_STEPS, MAX_SKEW_MS

FOREVER_S = 10 * 365 * 86_400


class World:
    """Every scrape of a scene when its time has come; late samples come late, and some twice.

    Without a cursor it begins as far back as a clock of the world may be ahead, so that of no series a sample is missed
    whose time has yet to come; with one, what was missed since comes first, many scrapes at a time.

    >>> World(Catalogue(), scene=Scene(seed=1, start_ms=1_767_571_200_000, lively_ms=0)).health()["simulated"]
    True
    """

    def __init__(self, catalogue: Catalogue, *, scene: Scene, cursor: str = "", clock: Clock | None = None) -> None:
        self.kind = "world"
        self.cursor = cursor
        self._cast = Cast(catalogue)
        self._scene = scene
        self._clock = clock or WallClock()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """A batch per scrape, until cancelled."""
        parts = self._parts()
        while (rows := await asyncio.to_thread(next, parts, None)) is not None:
            while len(rows.arrival):
                await self._wait(int(rows.arrival[0]))
                here = int(np.searchsorted(rows.arrival, max(self._clock.now(), int(rows.arrival[0])), side="right"))
                yield self._cast.batch(rows.where(np.arange(here)))
                self.cursor = str(int(rows.arrival[here - 1]))
                rows = rows.where(np.arange(here, len(rows.arrival)))

    def health(self) -> dict[str, Any]:
        """That it is simulated, and how far it has come."""
        return {"kind": self.kind, "simulated": True, "cursor": self.cursor, "degraded": []}

    def _parts(self) -> Iterator[Rows]:
        """What arrives, in that order, some hundred scrapes at a time."""
        scene = self._scene
        since = int(self.cursor) + 1 if self.cursor else self._clock.now() - MAX_SKEW_MS
        first = max(since - MAX_LATE_STEPS * scene.step_ms, scene.start_ms)
        held = no_rows()
        for block in scene.world().blocks(first, round(FOREVER_S / scene.step_s)):
            rows = self._cast.rows(block)
            held = held.and_then(rows.where(rows.arrival >= since))
            held = held.where(np.argsort(held.arrival, kind="stable"))
            here = np.searchsorted(held.arrival, block.t[-1], side="right")
            yield held.where(np.arange(here))
            held = held.where(np.arange(here, len(held.arrival)))

    async def _wait(self, t: int) -> None:
        if (wait := t - self._clock.now()) > 0:
            await self._clock.sleep(wait / 1000)
