"""What replays of a server leave behind is swept, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from airis_mon.app.replaywiring import FETCHED, SCRATCH, ReplayWork, mark_of, scratch_of
from airis_mon.app.wiring import store_of
from airis_mon.config.settings import Settings, load
from airis_mon.store.backends.clickhouse import ClickHouse

OURS, GOING_ON = "a" * 32, "b" * 32


def settings(tmp_path: Path, home: str) -> Settings:
    """An installation of its own on a ClickHouse that others use too."""
    given = {"data_dir": str(tmp_path / home), "store.url": f"chdb://{tmp_path}/engine"}
    return load(Path("/dev/null"), {}, given).settings


@pytest.fixture
def live(tmp_path: Path) -> Iterator[ClickHouse]:
    store = store_of(settings(tmp_path, "one"))
    store.open()
    yield store
    store.close()


def made(of: Settings, job: str) -> None:
    store = scratch_of(of, f"{mark_of(of)}_{job}")
    store.open()
    store.close()


def swept(of: Settings, live: ClickHouse) -> list[str]:
    """The databases that are left after a sweep in which all jobs but one are over."""

    async def is_over(job: str) -> bool:
        return job != GOING_ON

    asyncio.run(ReplayWork(of, live, lambda: (), is_over)._sweep("c" * 32))
    return live.databases(SCRATCH)


def test_only_what_ended_replays_of_this_installation_left_is_removed(tmp_path: Path, live: ClickHouse) -> None:
    one, two = settings(tmp_path, "one"), settings(tmp_path, "two")
    for of, job in ((one, OURS), (one, GOING_ON), (two, OURS)):
        made(of, job)
    kept = sorted([f"{SCRATCH}{mark_of(one)}_{GOING_ON}", f"{SCRATCH}{mark_of(two)}_{OURS}"])
    assert swept(one, live) == kept


def test_folders_of_ended_replays_go_and_strange_files_stay(tmp_path: Path, live: ClickHouse) -> None:
    of = settings(tmp_path, "one")
    folder = Path(of.data_dir) / FETCHED
    for job in (OURS, GOING_ON):
        (folder / job).mkdir(parents=True)
    (folder / ".DS_Store").touch()
    swept(of, live)
    assert {f.name for f in folder.iterdir()} == {GOING_ON, ".DS_Store"}


def test_who_shares_records_shares_the_mark(tmp_path: Path) -> None:
    url = {"records.url": "postgresql://db/airis"}
    one, two = (load(Path("/dev/null"), {}, {"data_dir": str(tmp_path / d), **url}).settings for d in "ab")
    assert mark_of(one) == mark_of(two)
    assert mark_of(settings(tmp_path, "a")) != mark_of(settings(tmp_path, "b"))
