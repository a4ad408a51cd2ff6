"""Alerts -> notifications as Alertmanager groups them: what the rules of today send people. Pure.

Model of Prometheus Alertmanager's dispatcher (route with group_by, group_wait, group_interval, repeat_interval) and of
its deduplication; silences, inhibition and receivers that fail are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airis_mon.series.labels import Labels


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert from when it fired to when it was resolved, [start, end) ms; end None = it still fires."""

    labels: Labels
    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Grouping:
    """A route's timing and the labels that make a group; the defaults are those of Alertmanager's documentation."""

    by: tuple[str, ...] = ("alertname",)
    wait_ms: int = 30_000
    interval_ms: int = 300_000
    repeat_ms: int = 14_400_000


@dataclass(frozen=True, slots=True)
class Notification:
    """One message: at t ms, of a group, with the alerts that fire then and those that were resolved since the last."""

    t: int
    group: Labels
    firing: tuple[Labels, ...]
    resolved: tuple[Labels, ...]


def notifications(alerts: Sequence[Firing], grouping: Grouping, until: int) -> list[Notification]:
    """Every notification up to `until` ms, in order of time."""
    raise NotImplementedError
