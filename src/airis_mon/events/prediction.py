"""A limit that will be hit unless something changes."""

from __future__ import annotations

from dataclasses import dataclass

from airis_mon.series.labels import Labels


@dataclass(frozen=True, slots=True)
class Prediction:
    """One warning, from the moment it was raised until it ends; times are ms UTC.

    id: the same as long as the warning stands. kind: what runs out, such as "disk". name: of the thing, for people.
    used, limit: now, in the unit of both. eta_ms: when it is full at the present rate; earliest_ms, latest_ms: the
    interval, None = never within sight. rate_per_h: growth of `used`. basis: what the rate was taken from, such as
    "day", "same_hour", "week", "deadline". is_recurring: it rose like this before and fell by itself each time, so it
    is told but not raised. ended_ms: None while it stands. used_query, limit_query: the PromQL that gives both.
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
