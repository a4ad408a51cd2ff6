"""One alert: that a rule's condition holds for one label set, since when, and what became of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from airis_mon.series.labels import Labels, fingerprint, hex_id

AlertState = Literal["pending", "firing", "resolved", "inactive"]
"""inactive: the condition ended before the alert fired; nobody was told of it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert at one moment.

    labels: its identity, `alertname` among them. annotations: texts for people. Times are ms, None while they have not
    come. value: the expression's at the last moment it held.
    """

    labels: Labels
    annotations: tuple[tuple[str, str], ...]
    state: AlertState
    active_at: int
    fired_at: int | None
    resolved_at: int | None
    value: float

    @property
    def name(self) -> str:
        """The rule's name."""
        return dict(self.labels).get("alertname", "")

    @property
    def id(self) -> str:
        """The same for the same label set in every process."""
        return hex_id(fingerprint(self.labels))

    @property
    def payload(self) -> dict[str, Any]:
        """The alert as events carry it: JSON-ready, None for what is not finite or has not come."""
        return {
            "id": self.id,
            "name": self.name,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "state": self.state,
            "activeAt": _stamp(self.active_at),
            "firedAt": _stamp(self.fired_at),
            "resolvedAt": _stamp(self.resolved_at),
            "value": self.value if math.isfinite(self.value) else None,
        }


def _stamp(t: int | None) -> str | None:
    if t is None:
        return None
    return datetime.fromtimestamp(t / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
