"""Settings -> the jobs of a server: what does them and what takes them."""

from __future__ import annotations

from pathlib import Path

from airis_mon.app.access import Access
from airis_mon.app.engine import Engine
from airis_mon.app.ground import now_ms
from airis_mon.app.jobs import JobRunner
from airis_mon.app.replays import KIND, Replays, handler_of
from airis_mon.app.replaywiring import ReplayWork, sources_of
from airis_mon.config.settings import Settings
from airis_mon.errors import NotFound
from airis_mon.store.records import FINAL


def add_jobs(engine: Engine, settings: Settings, access: Access) -> None:
    """Gives an engine that has not started its jobs. They are kept in the records, which are opened when needed."""

    async def is_over(job_id: str) -> bool:
        try:
            return (await (await access.records()).job(job_id)).state in FINAL
        except NotFound:
            return True

    def has_records() -> bool:
        return bool(settings.records.url) or (Path(settings.data_dir) / "records.db").exists()

    parts = engine.parts
    work = ReplayWork(settings, parts.store, lambda: [run.group for run in parts.rules.groups], is_over)
    parts.jobs = JobRunner(access.records, {KIND: handler_of(work)}, has_records=has_records, clock=now_ms)
    parts.replays = Replays(access.records, parts.jobs, sources_of(settings), now_ms)
