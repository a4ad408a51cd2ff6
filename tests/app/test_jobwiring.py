"""What the settings make of jobs: which sources can be named, when the records are opened, and what the engine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airis_mon.app.access import Access
from airis_mon.app.engine import Engine
from airis_mon.app.jobwiring import add_jobs
from airis_mon.app.replays import Request
from airis_mon.app.wiring import engine_of
from airis_mon.config.settings import load
from airis_mon.errors import Conflict, InputError
from tests.app.jobs import until

SOURCES = {
    "ingest.prometheus": [{"url": "http://reader:secret@prom:9090/"}],
    "ingest.clickhouse": [{"name": "orders", "url": "http://house:8123", "query": "orders", "metric": "orders"}],
}


def made(folder: Path, **settings: Any) -> tuple[Engine, Access]:
    """An engine with its jobs, nothing opened."""
    tree = load(Path("/dev/null"), {}, {"data_dir": str(folder), **settings}).settings
    engine, access = engine_of(tree, collect=False), Access(tree, lambda: 1_800_000_000_000)
    add_jobs(engine, tree, access)
    return engine, access


async def test_replays_name_the_sources_of_the_settings_without_their_secrets(tmp_path: Path):
    engine, access = made(tmp_path, **SOURCES)
    try:
        asked = [(await engine.replays.start(Request(source))).asked for source in ("prometheus", "clickhouse")]
        assert [a["name"] for a in asked] == ["http://prom:9090", "orders"]
        with pytest.raises(InputError) as caught:
            await engine.replays.start(Request("prometheus", "http://elsewhere"))
        assert "secret" not in str(caught.value)
    finally:
        await access.close()


async def test_a_server_that_never_had_a_job_opens_no_records(tmp_path: Path):
    engine, access = made(tmp_path)
    assert engine.parts.jobs is not None
    engine.parts.jobs.start()
    await engine.parts.jobs.stop()
    assert not (tmp_path / "records.db").exists()
    await access.close()


async def test_records_that_cannot_be_opened_degrade_jobs_by_name(tmp_path: Path):
    engine, access = made(tmp_path, **{"records.url": f"sqlite:///{tmp_path}"})
    assert engine.parts.jobs is not None
    engine.parts.jobs.start()
    await until(lambda: engine.degraded()["jobs"])
    assert engine.health()["degraded"] == ["jobs"]
    await engine.parts.jobs.stop()
    await access.close()


def test_an_engine_without_jobs_says_so(tmp_path: Path):
    tree = load(Path("/dev/null"), {}, {"data_dir": str(tmp_path)}).settings
    with pytest.raises(Conflict, match="does no jobs"):
        _ = engine_of(tree, collect=False).replays
