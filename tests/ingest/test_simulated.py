"""A simulated world on the wall clock: its past, its present, and that both are one world."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from airis_mon.checks.history import examine
from airis_mon.ingest.base import Slice
from airis_mon.ingest.collectors.world import World as Live
from airis_mon.ingest.histories.world import World as Past
from airis_mon.ingest.simulated import DEMO, QUIET, Scene
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.simulate.plan import Change

START = 1_767_571_200_000
HOUR, DAY = 3_600_000, 86_400_000
SCENE = Scene(seed=3, start_ms=START, lively_ms=START, step_s=60.0)
Row = tuple[Any, int, float]


class Clock:
    """Comes to the time that is waited for at once."""

    def __init__(self, now: int) -> None:
        self.t = now

    def now(self) -> int:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.t += round(seconds * 1000)
        await asyncio.sleep(0)


def rows(batch: Batch, catalogue: Catalogue) -> set[Row]:
    columns = zip(batch.sid.tolist(), batch.t.tolist(), batch.value.tolist(), strict=True)
    return {(catalogue.labels(sid), t, str(v)) for sid, t, v in columns}


async def live(clock: Clock, until: int, cursor: str = "") -> tuple[set[Row], list[Batch], Live]:
    catalogue, found = Catalogue(), []
    world = Live(catalogue, scene=SCENE, cursor=cursor, clock=clock)
    async with aclosing(world.batches()) as batches:
        async for batch in batches:
            if clock.now() > until:
                break
            found.append(batch)
    return set().union(*(rows(b, catalogue) for b in found)), found, world


async def past(start: int | None, end: int | None, catalogue: Catalogue | None = None, now: int = 0) -> list[Slice]:
    world = Past(Catalogue() if catalogue is None else catalogue, scene=SCENE, clock=Clock(now))
    return [piece async for piece in world.slices(start, end)]


async def test_what_is_scraped_live_is_what_its_past_tells_later():
    begin, end = START + 2 * HOUR, START + 3 * HOUR
    catalogue = Catalogue()
    told, _, _ = await live(Clock(begin), end)
    known = set().union(*(rows(p.batch, catalogue) for p in await past(START, end + HOUR, catalogue)))
    margin = 10 * 60_000  # what is late has not come yet
    inner = {row for row in known if begin <= row[1] < end - margin}
    assert inner
    assert inner <= told
    assert len(told - known) < 1e-3 * len(told)  # of a time that a clock showed twice one value is kept


async def test_each_scrape_comes_in_its_time_and_no_sample_is_of_the_future():
    begin = START + 2 * HOUR
    clock = Clock(begin)
    world = Live(Catalogue(), scene=SCENE, clock=clock)
    async with aclosing(world.batches()) as batches:
        await anext(batches)  # what was scraped shortly before
        for i in range(1, 5):
            batch = await anext(batches)
            assert (clock.now() - START) % 60_000 == 0
            assert clock.now() - begin == i * 60_000
            assert int(np.median(batch.t)) == clock.now()
            assert int(batch.t.max()) <= clock.now() + 90_000


async def test_what_was_missed_since_a_cursor_comes_first_at_once():
    begin = START + 2 * HOUR
    whole, _, _ = await live(Clock(begin), begin + 2 * HOUR)
    first, _, world = await live(Clock(begin), begin + 20 * 60_000)
    assert begin < int(world.cursor) <= begin + 20 * 60_000
    then, batches, _ = await live(Clock(begin + 2 * HOUR), begin + 2 * HOUR, world.cursor)
    assert len(batches) < 10
    assert first | then == whole


async def test_slices_follow_each_other_in_order_of_time():
    begin, end = START + 5 * HOUR, START + 25 * HOUR
    at = begin
    for piece in await past(begin, end):
        assert piece.start == at
        assert (np.diff(piece.batch.t) >= 0).all()
        assert ((piece.batch.t >= piece.start) & (piece.batch.t < piece.end)).all()
        at = piece.end
    assert (at, piece.fraction) == (end, 1.0)


async def test_its_past_passes_the_examination_of_histories():
    await examine(lambda catalogue: Past(catalogue, scene=SCENE), start=START + 20 * HOUR, end=START + 28 * HOUR)


async def test_a_past_without_bounds_reaches_from_the_first_scrape_until_now():
    pieces = await past(None, None, now=START + 6 * HOUR)
    assert (pieces[0].start, pieces[-1].end) == (START, START + 6 * HOUR)
    assert [p.end for p in await past(START, START)] == [START]


async def test_every_series_says_that_it_is_simulated():
    catalogue = Catalogue()
    await past(START, START + 300_000, catalogue)
    assert len(catalogue) > 500
    assert all(DEMO in catalogue.labels(sid) for sid in catalogue)


async def test_series_that_were_forgotten_get_other_sids():
    catalogue, clock = Catalogue(), Clock(START + HOUR)
    world = Live(catalogue, scene=SCENE, clock=clock)
    async with aclosing(world.batches()) as batches:
        first = await anext(batches)
        catalogue.observe(first)
        catalogue.evict(10**15)
        for _ in range(3):
            batch = await anext(batches)
            assert all(catalogue.has(sid) for sid in batch.sid.tolist())


async def test_series_beyond_the_limit_are_counted():
    pieces = await past(START, START + 300_000, Catalogue(max_series=100))
    assert len(np.unique(pieces[0].batch.sid)) == 100
    assert pieces[0].batch.refused > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_the_past_is_calmer_than_the_present(seed: int):
    scene = Scene(seed=seed, start_ms=START, lively_ms=START + 5 * DAY, faults_per_day=144.0)
    plan = scene.world().plan
    before = [c for c in plan.cases(START, START + 5 * DAY) if c.faults]
    after = [c for c in plan.cases(START + 5 * DAY, START + 10 * DAY) if c.faults]
    assert len(after) > 0.5 * QUIET * len(before)
    assert before


def test_changes_are_few_and_every_guilty_one_of_a_fault_that_happens_is_among_them():
    scene = Scene(seed=1, start_ms=START, lively_ms=START, faults_per_day=144.0)
    plan = scene.world().plan
    changes = set(plan.changes(START, START + 3 * DAY))
    guilty = [f for c in plan.cases(START + HOUR, START + 3 * DAY) for f in c.faults if f.change_ms is not None]
    assert guilty
    assert all(any((c.entity, c.t) == (f.entity, f.change_ms) for c in changes) for f in guilty)
    assert len(changes) < 4 * len(guilty)
    deploys = {(c.entity, c.t) for c in changes if isinstance(c, Change) and c.kind == "deploy"}
    rollouts = {(f.entity, f.onset_ms) for f in plan.harmless(START, START + 3 * DAY) if f.kind == "rollout"}
    assert {r for r in rollouts if START + HOUR <= r[1] < START + 3 * DAY} <= deploys
