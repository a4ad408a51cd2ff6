"""Settings -> the sources with a past, and the backfill that learns it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airis_mon.app.backfill import DAY_MS, Backfill, Parts, Past
from airis_mon.app.detection import Make
from airis_mon.app.engine import Engine
from airis_mon.app.ground import now_ms
from airis_mon.app.learner import Learner
from airis_mon.app.replaywiring import history_of
from airis_mon.app.spans import Spans
from airis_mon.app.wiring import catalogue_of, detectors_of, prometheus_named
from airis_mon.config.settings import Settings
from airis_mon.ingest.behind import Behind
from airis_mon.ingest.promgate import Gate
from airis_mon.plugins import find
from airis_mon.series.catalogue import Catalogue
from airis_mon.store.commit import GroupCommit

if TYPE_CHECKING:
    from airis_mon.ingest.simulated import Scene

BUSY_ROWS, BUSY_QUEUE = 20_000, 200_000
"""Live samples that wait for a commit, or for the detector: beyond that the past waits."""


def add_pasts(engine: Engine, settings: Settings) -> None:
    """Gives an engine that has not started the past of its sources to learn."""
    catalogue, followed, gates = engine.parts.catalogue, dict(engine.parts.collectors), dict[Gate, Behind]()
    pasts = []
    for name, source in prometheus_named(settings):
        gate: Gate | None = getattr(followed.get(name), "gate", None)
        # The live one shall never wait for an answer to the past: of two places one is its own.
        behind = gate and gates.setdefault(gate, Behind(gate, max(1, source.concurrency - 1)))
        if source.backfill_days:
            pasts.append(Past(name, history_of(source, catalogue, gate=behind), source.backfill_days))
    if pasts:
        _add(engine, settings, pasts)


def add_scene(engine: Engine, settings: Settings, scene: Scene) -> None:
    """Lets an engine that has not started watch a simulated world, live and its past, as if it were a source."""
    parts, name = engine.parts, "world"
    parts.is_demo = True
    live = find("ingest.collectors", name)(parts.catalogue, scene=scene, cursor=parts.cursors.get(name))
    parts.collectors = [*parts.collectors, (name, live)]
    past = find("ingest.histories", name)(parts.catalogue, scene=scene)
    _add(engine, settings, [Past(past.name, past, (scene.lively_ms - scene.start_ms) / DAY_MS)])


def _add(engine: Engine, settings: Settings, pasts: Sequence[Past]) -> None:
    parts, spans = engine.parts, Spans(Path(settings.data_dir) / "backfill.json")
    catalogue, detection, live = parts.catalogue, parts.detection, parts.commit
    detection.quiet_before = spans.past_end

    def is_busy() -> bool:
        waiting = live.waiting_rows > BUSY_ROWS or detection.queued > BUSY_QUEUE
        return waiting or detection.is_catching_up

    def fresh() -> tuple[Catalogue, Make]:
        other = catalogue_of(settings)
        return other, detectors_of(settings, other)

    commit = GroupCommit(
        parts.store, catalogue, clock=time.monotonic, on_commit=catalogue.observe, interval_s=0.0, rows=1
    )
    parts.backfill = Backfill(
        Parts(
            pasts=pasts,
            spans=spans,
            catalogue=catalogue,
            commit=commit,
            learner=Learner(parts.store, fresh, lambda: catalogue.types, now_ms, is_busy),
            detection=detection,
            limits=parts.limits,
            keep_ms=settings.store.retention_days * DAY_MS,
            now=now_ms,
            is_busy=is_busy,
        )
    )
