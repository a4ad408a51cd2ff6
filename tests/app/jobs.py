"""A records database on SQLite and a clock that is moved by hand, for what runs jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from airis_mon.store.backends.sql import Sql
from airis_mon.store.records import FINAL, Job
from airis_mon.store.tables import METADATA

T = 1_800_000_000_000
LEASE_S, BEAT_S, LOOK_S = 30, 5, 30


class Time:
    """ms UTC; who sleeps wakes when it has moved far enough."""

    def __init__(self) -> None:
        self.now = T
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def __call__(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + round(seconds * 1000), woken))
        await woken

    def pass_(self, seconds: float) -> None:
        self.now += round(seconds * 1000)
        for t, woken in self._sleepers:
            if t <= self.now and not woken.done():
                woken.set_result(None)
        self._sleepers = [(t, woken) for t, woken in self._sleepers if not woken.done()]

    @property
    def sleepers(self) -> int:
        """So many sleep."""
        return sum(not woken.done() for _, woken in self._sleepers)


@asynccontextmanager
async def records_in(folder: Path, time: Time) -> AsyncIterator[Sql]:
    """A records database with the newest schema; made without alembic, which imports for a second."""
    engine = sa.create_engine(f"sqlite:///{folder / 'records.db'}")
    METADATA.create_all(engine)
    engine.dispose()
    sql = Sql(f"sqlite:///{folder / 'records.db'}", time)
    try:
        yield sql
    finally:
        await sql.close()


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - threads tell nobody
            await asyncio.sleep(0.002)


async def seen(records: Sql, job: Job, is_so: Callable[[Job], Any]) -> Job:
    """The job as soon as it is so."""
    async with asyncio.timeout(10):
        while not is_so(found := await records.job(job.id)):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.002)
    return found


async def ended(records: Sql, job: Job) -> Job:
    """The job once it is in a final state."""
    return await seen(records, job, lambda found: found.state in FINAL)
