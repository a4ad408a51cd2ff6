"""The past of a simulated world: what a Prometheus would have stored of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import numpy as np

from airis_mon.ingest.base import Slice
from airis_mon.ingest.schedule import Clock, WallClock
from airis_mon.ingest.simulated import Cast, Rows, Scene, no_rows
from airis_mon.series.batch import empty_batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.simulate.dirt import MAX_SKEW_MS


class World:
    """All samples of a scene, some hundred scrapes at a time. They are made when they are asked for.

    A sample has the time of its target's clock, as a live one has.

    >>> scene = Scene(seed=1, start_ms=1_767_571_200_000, lively_ms=0)
    >>> World(Catalogue(), scene=scene).name
    'simulated shop, seed 1'
    """

    def __init__(self, catalogue: Catalogue, *, scene: Scene, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._scene = scene
        self._clock = clock or WallClock()

    @property
    def name(self) -> str:
        """What it is, so that nobody takes it for anything real."""
        return f"simulated {self._scene.topology}, seed {self._scene.seed}"

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        """[start, end) ms; unless given, from the world's first scrape until now."""
        begin = at = self._scene.start_ms if start is None else start
        until = max(begin, self._clock.now() if end is None else end)
        cast = Cast(self._catalogue)
        parts = self._parts(cast, begin, until)
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            upto, rows = part
            yield Slice(at, upto, cast.batch(rows), (upto - begin) / (until - begin))
            at = upto
        if begin == until:
            yield Slice(begin, begin, empty_batch(), 1.0)

    def _parts(self, cast: Cast, begin: int, until: int) -> Iterator[tuple[int, Rows]]:
        """(time up to which they are complete, samples since the last ones in order of time), up to `until`."""
        if begin >= until:
            return
        world, step = self._scene.world(), self._scene.step_ms
        first = max(begin - MAX_SKEW_MS, self._scene.start_ms)
        steps = max(0, until + MAX_SKEW_MS - first) // step + 1
        held, at = no_rows(), begin
        for block in world.blocks(first, steps):
            held = held.and_then(cast.rows(block))
            upto = min(until, int(block.t[-1]) + step - MAX_SKEW_MS)
            if upto > at:
                yield upto, _between(held, at, upto)
                held, at = held.where(held.t >= upto), upto
        if at < until:
            yield until, _between(held, at, until)


def _between(rows: Rows, start: int, end: int) -> Rows:
    """In order of time, each once: some came twice, and a clock that was put right shows a time again."""
    rows = rows.where((rows.t >= start) & (rows.t < end))
    rows = rows.where(np.lexsort((rows.place, rows.t)))
    is_new = np.ones(len(rows.t), np.bool_)
    is_new[1:] = (np.diff(rows.t) != 0) | (np.diff(rows.place) != 0)
    return rows.where(is_new)
