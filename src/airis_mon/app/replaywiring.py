"""Settings -> replays: of a command, and of the jobs of a server."""

from __future__ import annotations

import asyncio
import platform
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import xxhash
from msgspec.structs import asdict

from airis_mon.app.jobs import Report
from airis_mon.app.replay import Parts, Replay
from airis_mon.app.replays import address_of
from airis_mon.app.wiring import catalogue_of, detectors_of, store_url
from airis_mon.config.sections import ClickhouseSource, PrometheusSource
from airis_mon.config.settings import Settings
from airis_mon.correlate.group import Grouping
from airis_mon.detect.findings import ENTITIES
from airis_mon.errors import NotFound
from airis_mon.ingest.base import History
from airis_mon.ingest.spool import Spool
from airis_mon.plugins import find
from airis_mon.query.rulefile import parse_rules
from airis_mon.query.rules import RuleGroup
from airis_mon.series.catalogue import Catalogue
from airis_mon.store.backends.clickhouse import MAX_DAYS, ClickHouse
from airis_mon.store.base import SeriesStore
from airis_mon.store.records import Json

log = structlog.get_logger()

SCRATCH = "airis_replay_"
"""Databases of replays begin so; an installation's own, which it may drop, with its mark after it."""
FETCHED = "replays"
"""Folder under the data directory of what replays under way have fetched."""
IsOver = Callable[[str], Awaitable[bool]]
"""Whether a job of that id has ended, or was never there."""


def replay_of(
    settings: Settings,
    history: History,
    catalogue: Catalogue,
    store: ClickHouse,
    groups: Sequence[RuleGroup] = (),
    grouping: Grouping | None = None,
) -> Replay:
    """A replay of a source's past; the history gives out sids of the catalogue, the store is a scratch one."""
    bank, watch = detectors_of(settings, catalogue)(None, None)
    of = settings.rules
    return Replay(
        Parts(
            history=history,
            catalogue=catalogue,
            bank=bank,
            watch=watch,
            store=store,
            entities=settings.detect.entities or ENTITIES,
            groups=groups,
            grouping=grouping or Grouping(),
            interval_s=of.interval_s,
            query_offset_s=of.query_offset_s,
            cells=settings.query.max_samples,
            external_labels=of.external_labels,
            external_url=of.external_url,
        )
    )


def scratch_of(settings: Settings, name: str, folder: Path | None = None) -> ClickHouse:
    """A database for one replay that keeps whatever age: embedded in a folder, or beside the store of the settings."""
    return ClickHouse(
        url=store_url(settings) if folder is None else str(folder),
        database=f"{SCRATCH}{name}",
        retention_days=MAX_DAYS,
        history_days=MAX_DAYS,
        memory_bytes=settings.store.memory_bytes,
        cluster=(settings.store.cluster or None) if folder is None else None,
    )


def history_of(source: PrometheusSource | ClickhouseSource, catalogue: Catalogue, **given: Any) -> History:
    """The past of a source as the settings have it; what is given stands over them."""
    kind = "prometheus" if isinstance(source, PrometheusSource) else "clickhouse"
    settings = {
        name: value for name, value in asdict(source).items() if name not in _ONLY_LIVE and value not in ("", [])
    }
    history: History = find("ingest.histories", kind)(catalogue, **settings | given)
    return history


_JOB = re.compile(r"[0-9a-f]{32}\Z")
_ONLY_LIVE = frozenset({"interval_s", "backfill_days", "lag_s", "overlap_s", "lookback_s", "limit_rows"})


class ReplayWork:
    """Does the replays that a server was asked for.

    store: the live one, which is only read; rules: the groups of the server's rule files.
    """

    def __init__(
        self, settings: Settings, store: SeriesStore, rules: Callable[[], Sequence[RuleGroup]], is_over: IsOver
    ) -> None:
        self._settings, self._store, self._rules, self._is_over = settings, store, rules, is_over
        self._mark = mark_of(settings)

    async def __call__(self, asked: Json, report: Report) -> dict[str, Any]:
        """The result of one replay. Raises QueryCancelled when it is called off, and what source and store raise."""
        name, catalogue = str(asked["id"]), catalogue_of(self._settings)
        await self._sweep(name)
        history = self._history(asked, catalogue)
        if asked["source"] != "store":
            history = Spool(history, catalogue, self._fetched / name, {n: v for n, v in asked.items() if n != "id"})
        replay = replay_of(self._settings, history, catalogue, self._scratch(name), self._groups(asked))
        result = await replay.run(int(asked["start"]), int(asked["end"]), report.report, report.cancelled)
        await asyncio.to_thread(shutil.rmtree, self._fetched / name, ignore_errors=True)
        return result

    def _scratch(self, name: str) -> ClickHouse:
        return scratch_of(self._settings, f"{self._mark}_{name}")

    def _history(self, asked: Mapping[str, Any], catalogue: Catalogue) -> History:
        if asked["source"] == "store":
            history: History = find("ingest.histories", "store")(catalogue, store=self._store, match=asked["match"])
            return history
        of = self._settings.ingest
        sources = of.prometheus if asked["source"] == "prometheus" else of.clickhouse
        source = next((s for s in sources if name_of(s) == asked["name"]), None)
        if source is None:
            raise NotFound(f"{asked['source']} {asked['name']!r} is configured no more; ask for another source")
        return history_of(source, catalogue, **{"match": asked["match"]} if asked["match"] else {})

    def _groups(self, asked: Mapping[str, Any]) -> Sequence[RuleGroup]:
        if asked["rules"] == "text":
            return parse_rules("rulesText", asked["rulesText"])
        return self._rules() if asked["rules"] == "server" else ()

    @property
    def _fetched(self) -> Path:
        return Path(self._settings.data_dir) / FETCHED

    async def _sweep(self, name: str) -> None:
        """Removes what replays left behind whose process ended before it could clean up."""
        left = await asyncio.to_thread(self._left)
        for other in [other for other in left if other != name and await self._is_over(other)]:
            await asyncio.to_thread(self._remove, other)
            log.info("replay.swept", replay=other)

    def _left(self) -> set[str]:
        """The jobs of which a database or a folder is there."""
        store, prefix = self._scratch(""), f"{SCRATCH}{self._mark}_"
        try:
            databases = [found.removeprefix(prefix) for found in store.databases(prefix)]
        finally:
            store.close()
        folders = [f.name for f in self._fetched.iterdir()] if self._fetched.is_dir() else []
        return {name for name in (*databases, *folders) if _JOB.match(name)}

    def _remove(self, name: str) -> None:
        shutil.rmtree(self._fetched / name, ignore_errors=True)
        store = self._scratch(name)
        try:
            store.drop()
        finally:
            store.close()


def mark_of(settings: Settings) -> str:
    """Names an installation: that whose jobs are in these records. Others may use the same ClickHouse."""
    home = f"{platform.node()}:{Path(settings.data_dir).resolve()}"
    return f"{xxhash.xxh3_64_intdigest((settings.records.url or home).encode()):016x}"


def name_of(source: PrometheusSource | ClickhouseSource) -> str:
    """How requests name a configured source: a Prometheus by its address, a ClickHouse by its name."""
    return address_of(source.url) if isinstance(source, PrometheusSource) else source.name


def sources_of(settings: Settings) -> dict[str, list[str]]:
    """The names of the configured sources that have a past, by kind."""
    of = settings.ingest
    return {"prometheus": [name_of(s) for s in of.prometheus], "clickhouse": [name_of(s) for s in of.clickhouse]}
