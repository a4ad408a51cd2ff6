"""One judgement over all metrics of an entity: for a while they were unusual together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Blame:
    """A signal of the entity, and its part of the score at the peak, 0..1."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Finding:
    """An entity whose score reached the line. Times are ms.

    start: the first moment at the line; end: the last one, None while it may go on. peak: the highest score, 0..1, at
    peak_t; blamed: what gave most of it then, most first. (entity, start) is its identity.
    """

    entity: str
    start: int
    end: int | None
    peak: float
    peak_t: int
    blamed: tuple[Blame, ...]

    @property
    def payload(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "id": f"{self.entity}-{self.start}",
            "entity": self.entity,
            "start": _stamp(self.start),
            "end": None if self.end is None else _stamp(self.end),
            "peak": round(self.peak, 4),
            "peakAt": _stamp(self.peak_t),
            "metrics": [{"name": b.name, "share": round(b.share, 4)} for b in self.blamed],
        }


def _stamp(t: int) -> str:
    return datetime.fromtimestamp(t / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
