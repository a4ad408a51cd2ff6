"""Deadlines watched: when each of them ends, exactly as its exporter tells; there is no trend in it."""

from __future__ import annotations

import math

from airis_mon.app.limitrows import nameless_labels
from airis_mon.app.limits import Limit
from airis_mon.query.values import Vector
from airis_mon.series.labels import Labels


class DeadlineWatch:
    """The deadlines of one limit, of `most` series at most; ends: ms UTC by labels, at the latest look."""

    def __init__(self, limit: Limit, most: int) -> None:
        self.limit = limit
        self.ends: dict[Labels, int] = {}
        self.since: int | None = None
        self.left_out = 0
        self.unlimited = 0
        self._most = most

    def __len__(self) -> int:
        """Deadlines that are known."""
        return len(self.ends)

    @property
    def seen(self) -> int:
        """Deadlines at the latest look."""
        return len(self.ends)

    def take(self, now: int, found: Vector) -> None:
        """What the expression gave at this moment, in s since 1970."""
        values = [float(v) if has else math.nan for v, has in zip(found.value[:, -1], found.has[:, -1], strict=True)]
        ends = dict(zip(nameless_labels(found.labels), values, strict=True))
        known = [(labels, round(end * 1000)) for labels, end in sorted(ends.items()) if math.isfinite(end)]
        self.ends = dict(known[: self._most])
        self.left_out = len(known) - len(self.ends)
        self.since = now
