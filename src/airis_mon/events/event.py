"""What subscribers hear: the specification's event names and ours, each with one payload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NAMES = (
    "anomaly_detected",
    "model_trained",
    "pipeline_completed",
    "alert_triggered",
    "knowledge_data_collected",
    "configuration_updated",
    "finding_detected",  # ours: an entity as a whole
    "failure_predicted",  # ours: a limit that will be hit
)


@dataclass(frozen=True, slots=True)
class Event:
    """One fact told to subscribers: `seq` grows by one per event of a process, t is ms, payload is JSON-ready."""

    seq: int
    name: str
    t: int
    payload: dict[str, Any]
