"""Predictions over a real store: a disk that fills is pushed, warned of, and still known after a restart."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airis_mon.app.engine import Engine
from airis_mon.app.limits import KNOWN
from airis_mon.app.predictions import Asked, Predictions
from airis_mon.app.wiring import engine_of
from airis_mon.config.settings import load
from airis_mon.explain.prediction import sentence
from airis_mon.query.engine import Deadline
from airis_mon.query.values import Vector
from airis_mon.series.steps import Steps

pytestmark = pytest.mark.slow

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SIZE = 50 * 2.0**30
HOURS, SINCE = 30, 8
"""So long has it been filling, after so many hours of rest."""


def samples(now: int) -> list[dict[str, Any]]:
    """A disk at 40 % that has been filling by 2 % an hour for 22 hours, as node_exporter tells it once a minute."""
    minutes = np.arange(HOURS * 60)
    share = 0.4 + 0.02 * np.maximum(0, minutes / 60 - SINCE) + np.random.default_rng(5).normal(0, 0.001, len(minutes))
    free = SIZE * (1 - share)
    labels = {"instance": "web-1:9100", "mountpoint": "/var", "fstype": "ext4"}
    rows = []
    for i, value in zip(minutes.tolist(), free.tolist(), strict=True):
        at = datetime.fromtimestamp((now - (HOURS * 60 - i) * MINUTE_MS) / 1000, UTC).isoformat()
        rows.append({"metricName": "node_filesystem_avail_bytes", "value": value, "labels": labels, "timestamp": at})
        rows.append({"metricName": "node_filesystem_size_bytes", "value": SIZE, "labels": labels, "timestamp": at})
    return rows


def watching(engine: Engine, told: list[dict[str, Any]], now: int) -> Predictions:
    parts = engine.parts
    return Predictions(
        parts.queries.engine,
        parts.store,
        parts.catalogue,
        lambda name, payload: told.append({"event": name, **payload}),
        lambda: now,
        limits=KNOWN,
    )


async def test_a_filling_disk_is_warned_of_once_over_a_restart_of_the_server(tmp_path: Path) -> None:
    settings = load(Path(os.devnull), {}, {"data_dir": str(tmp_path)}).settings
    told: list[dict[str, Any]] = []
    engine = engine_of(settings, collect=False)
    await engine.start()
    try:
        now = engine.parts.clock() // MINUTE_MS * MINUTE_MS
        receipt = await engine.ingest("json", json.dumps(samples(now)).encode(), "application/json")
        assert (receipt.accepted, receipt.refused) == (2 * HOURS * 60, 0)
        (raised,) = watching(engine, told, now).look()
        found = engine.parts.queries.engine.query(raised.used_query, Steps.at(raised.updated_ms), Deadline.after(30))
    finally:
        await engine.stop()
    full = now + round((1 - 0.4 - 0.02 * (HOURS - SINCE)) / 0.02 * HOUR_MS)
    assert (raised.name, raised.kind, raised.limit) == ("/var on web-1", "disk", SIZE)
    assert raised.earliest_ms is not None
    assert raised.latest_ms is not None
    assert raised.earliest_ms < full < raised.latest_ms
    assert sentence(raised).startswith("/var on web-1 fills up in ")
    assert isinstance(found.value, Vector)
    assert found.value.value.tolist() == [[raised.used]]

    engine = engine_of(settings, collect=False)
    await engine.start()
    try:
        later = watching(engine, told, now + HOUR_MS // 2)
        assert later.look() == []
        (still,), _ = await later.found(Asked())
        stored = engine.parts.store.predictions(0, now + HOUR_MS, True, 10)
    finally:
        await engine.stop()
    assert [p["id"] for p in told] == [still.id] == [p.id for p in stored] == [raised.id]
    assert still.started_ms == raised.started_ms
