"""Predictions as the routes see them: two that stand and one that ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from airis_mon.app.limits import Limit
from airis_mon.app.predictions import Asked, Watched
from airis_mon.errors import NotFound
from airis_mon.events.prediction import Prediction
from airis_mon.explain.prediction import name_of
from airis_mon.series.labels import Labels

HOUR_MS = 3_600_000
NOW = 1_772_366_400_000  # 2026-03-01T12:00:00Z
VAR: Labels = (("instance", "web-1:9100"), ("mountpoint", "/var"))
DISK = Prediction(
    id="b49e0e7bfd325e7e",
    kind="disk",
    name=name_of("disk", VAR),
    labels=VAR,
    started_ms=NOW - HOUR_MS,
    updated_ms=NOW,
    ended_ms=None,
    used=43 * 2.0**30,
    limit=50 * 2.0**30,
    eta_ms=NOW + round(9.33 * HOUR_MS),
    earliest_ms=NOW + round(7.5 * HOUR_MS),
    latest_ms=NOW + round(11.3 * HOUR_MS),
    rate_per_h=0.75 * 2.0**30,
    basis="day",
    is_recurring=False,
    used_query='used{instance="web-1:9100",mountpoint="/var"}',
    limit_query='size{instance="web-1:9100",mountpoint="/var"}',
    unit="bytes",
)
RECURRING = replace(DISK, id="00000000000000aa", is_recurring=True, falls=3, every_ms=6 * HOUR_MS, latest_ms=None)
ENDED = replace(DISK, id="00000000000000bb", ended_ms=NOW, why_ended="fell")
WATCHED = (
    Watched(Limit("disk", "used", "size", "bytes"), 14, 2, 1, ""),
    Watched(Limit("disk", "other_used", "other_size", "bytes"), 1, 0, 0, ""),
    Watched(Limit("memory", "ram", "ram_max", "bytes"), 0, 0, 0, "no metric ram"),
)


@dataclass
class FakePredictions:
    """As `app.predictions.Predictions` answers; asked: what it was asked for."""

    rows: Sequence[Prediction] = (DISK, RECURRING)
    looked_ms: int | None = NOW
    asked: list[Asked] = field(default_factory=list)

    def watched(self) -> Sequence[Watched]:
        return WATCHED

    async def found(self, asked: Asked) -> tuple[list[Prediction], bool]:
        self.asked.append(asked)
        return list(self.rows[: asked.limit]), len(self.rows) > asked.limit

    async def one(self, prediction_id: str) -> Prediction:
        if prediction_id != DISK.id:
            raise NotFound(f"there is no prediction {prediction_id}")
        return DISK
