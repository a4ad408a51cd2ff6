"""Alerts -> notifications as Alertmanager groups them: what the rules of today send people. Pure.

A model of what Prometheus Alertmanager 0.25 does with one route (dispatch/dispatch.go, and the deduplication in
notify/notify.go), checked against the program itself. Silences, inhibition, receivers that fail or that leave out what
is resolved, several servers, and the way from Prometheus to Alertmanager are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airis_mon.series.labels import Labels

ALL_LABELS = "..."
"""In `group_by`: every alert is a group of its own."""
SWEEP_MS = 30_000
"""So often groups without alerts are deleted. Until then a new alert waits for the group's interval, not its wait."""


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
    """One message: at t ms, of a group, with the alerts that fire then and those that were resolved since the last.

    Both in the order of their labels.
    """

    t: int
    group: Labels
    firing: tuple[Labels, ...]
    resolved: tuple[Labels, ...]


def notifications(
    alerts: Sequence[Firing], grouping: Grouping, until: int, *, swept_from: int = 0
) -> list[Notification]:
    """Every notification up to `until` ms, in order of time, then of group.

    Alerts with the same labels that overlap or touch are one. An alert that began and ended between two flushes of its
    group is told as resolved if the group tells anything of its own accord, and one that ended within the wait of a
    new group never. swept_from: ms at which the server began, which sets the phase of its sweeps. Cost: that of the
    messages and of the alerts in them.
    """
    members: dict[Labels, list[Firing]] = {}
    for alert in alerts:
        members.setdefault(group_of(alert.labels, grouping.by), []).append(alert)
    told = [
        Notification(t, group, firing, resolved)
        for group, firings in members.items()
        for t, firing, resolved in _messages(_Group(_joined(firings)), grouping, until, swept_from)
    ]
    return sorted(told, key=lambda n: (n.t, n.group))


def group_of(labels: Labels, by: Sequence[str]) -> Labels:
    """The labels of an alert that make its group; those that it lacks are left out."""
    return labels if ALL_LABELS in by else tuple(pair for pair in labels if pair[0] in by)


def _joined(firings: Sequence[Firing]) -> list[Firing]:
    """In order of start, with one for all that overlap or touch and have the same labels."""
    last: dict[Labels, Firing] = {}
    done: list[Firing] = []
    for one in sorted(firings, key=lambda f: f.start):
        before = last.get(one.labels)
        if before is None or (before.end is not None and before.end < one.start):
            done += [before] if before else []
            last[one.labels] = one
        else:
            ends = (before.end, one.end)
            last[one.labels] = Firing(one.labels, before.start, None if None in ends else max(e for e in ends if e))
    return sorted([*done, *last.values()], key=lambda f: (f.start, f.labels))


@dataclass(slots=True)
class _Group:
    """The alerts that a group holds from flush to flush, and those yet to come."""

    coming: list[Firing]
    at: int = 0
    held: dict[Labels, Firing] = field(default_factory=dict)

    @property
    def next_start(self) -> int | None:
        """When another alert comes."""
        return self.coming[self.at].start if self.at < len(self.coming) else None

    def flush(self, t: int) -> tuple[tuple[Labels, ...], tuple[Labels, ...]]:
        """(those that fire, those that are resolved) of all that came until t; the resolved are held no longer."""
        while self.at < len(self.coming) and self.coming[self.at].start <= t:
            self.held[self.coming[self.at].labels] = self.coming[self.at]
            self.at += 1
        gone = [labels for labels, one in self.held.items() if one.end is not None and one.end <= t]
        for labels in gone:
            del self.held[labels]
        return tuple(sorted(self.held)), tuple(sorted(gone))

    def next_change(self) -> int | None:
        """When what a flush finds changes."""
        ends = [one.end for one in self.held.values() if one.end is not None]
        return min([*ends, *([] if self.next_start is None else [self.next_start])], default=None)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the log of notifications knows of a group; it outlives the group."""

    t: int
    firing: frozenset[Labels]
    resolved: frozenset[Labels]


def _messages(
    group: _Group, grouping: Grouping, until: int, swept_from: int
) -> Iterator[tuple[int, tuple[Labels, ...], tuple[Labels, ...]]]:
    """(t, firing, resolved) of each message of a group. Flushes at which nothing can have changed are passed over."""
    told: _Told | None = None
    t = None if group.next_start is None else group.next_start + grouping.wait_ms
    while t is not None and t <= until:
        firing, resolved = group.flush(t)
        if _is_due(told, firing, resolved, t - grouping.repeat_ms):
            told = _Told(t, frozenset(firing), frozenset(resolved))
            yield t, firing, resolved
        t = _next_flush(group, told, t, grouping, swept_from)


def _is_due(told: _Told | None, firing: tuple[Labels, ...], resolved: tuple[Labels, ...], old: int) -> bool:
    """Whether a flush tells anybody; old: what was told then or before is told again.

    At a repeat of exactly so many intervals the program tells it then or one interval later, as its timers happen to
    lag behind; measured: then, from some ten intervals on, as in the defaults.
    """
    if told is None:
        return bool(firing)
    if not told.firing.issuperset(firing):
        return True
    if not firing:  # what was told to nobody needs no end
        return bool(told.firing)
    return not told.resolved.issuperset(resolved) or told.t <= old


def _next_flush(group: _Group, told: _Told | None, t: int, grouping: Grouping, swept_from: int) -> int | None:
    """The first flush after t at which something may have changed; None = none."""
    change = group.next_change()
    if not group.held:
        if change is None:
            return None
        swept = t + (swept_from - t) % SWEEP_MS
        if swept <= change:  # the group is deleted; the alert makes a new one
            return change + grouping.wait_ms
    again = told.t + grouping.repeat_ms if told and group.held else None
    due = min(x for x in (change, again) if x is not None)
    return t + max(1, -(-(due - t) // grouping.interval_ms)) * grouping.interval_ms
