"""A limit that will be hit unless something changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from airis_mon.series.labels import Labels

DEADLINE = "deadline"
"""The basis of what ends at a known moment: used is the time now, limit that moment, both in s since 1970."""
Why = Literal["", "crossed", "fell", "slowed", "renewed", "gone"]
"""Why a prediction ended: the limit was hit, it fell by itself or was cleared, it rises no longer, the deadline was
moved, there are no samples any more. Empty while it stands."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One warning, from the moment it was raised until it ends; times are ms UTC.

    id: the same as long as the warning stands. kind: what runs out, such as "disk". name: of the thing, for people.
    used, limit: now, in the unit of both. eta_ms: when it is full at the present rate; earliest_ms, latest_ms: the
    interval, None = never within sight. rate_per_h: growth of `used`. basis: what the rate was taken from, such as
    "hour", "six_hours", "day", "week", "deadline". is_recurring: it rose like this before and fell by itself each time,
    so it is told but not raised; of those falls says how many were seen, every_ms how far apart, None = not known.
    ended_ms: None while it stands. used_query, limit_query: the PromQL that gives both. unit: "bytes", "seconds",
    "ratio" or "count".
    """

    id: str
    kind: str
    name: str
    labels: Labels
    started_ms: int
    updated_ms: int
    ended_ms: int | None
    used: float
    limit: float
    eta_ms: int
    earliest_ms: int | None
    latest_ms: int | None
    rate_per_h: float
    basis: str
    is_recurring: bool
    used_query: str
    limit_query: str
    unit: str = "count"
    why_ended: Why = ""
    falls: int = 0
    every_ms: int | None = None

    @property
    def share(self) -> float | None:
        """Used of the limit, None where that says nothing: of a deadline."""
        return self.used / self.limit if self.basis != DEADLINE and self.limit > 0 else None

    @property
    def lead_ms(self) -> int:
        """How long it still takes from `updated_ms` on."""
        return max(0, self.eta_ms - self.updated_ms)

    @property
    def payload(self) -> dict[str, Any]:
        """JSON-ready, as GET /predictions shows it too, without the sentence."""
        return {
            "id": self.id,
            "state": "open" if self.ended_ms is None else "ended",
            "kind": self.kind,
            "name": self.name,
            "labels": dict(self.labels),
            "used": self.used,
            "limit": self.limit,
            "unit": self.unit,
            "share": self.share,
            "eta": _stamp(self.eta_ms),
            "earliest": _stamp_or_none(self.earliest_ms),
            "latest": _stamp_or_none(self.latest_ms),
            "leadTimeS": self.lead_ms / 1000,
            "ratePerHour": self.rate_per_h,
            "basis": self.basis,
            "recurring": self.is_recurring,
            "falls": self.falls,
            "everyS": None if self.every_ms is None else self.every_ms / 1000,
            "startedAt": _stamp(self.started_ms),
            "updatedAt": _stamp(self.updated_ms),
            "endedAt": _stamp_or_none(self.ended_ms),
            "whyEnded": self.why_ended or None,
            "queries": {"used": self.used_query, "limit": self.limit_query},
        }


def _stamp(t: int) -> str:
    return datetime.fromtimestamp(t / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stamp_or_none(t: int | None) -> str | None:
    return None if t is None else _stamp(t)
