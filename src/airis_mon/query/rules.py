"""Groups of recording and alerting rules, and the labels of what they give."""

from __future__ import annotations

from dataclasses import dataclass

from airis_mon.series.labels import METRIC, Labels, without

ALERT_NAME = "alertname"

RuleLabels = tuple[tuple[str, str], ...]
"""Sorted by name; an empty value takes the label away."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """Stores what an expression gives as series named `record`; labels: the group's and its own."""

    record: str
    expr: str
    labels: RuleLabels = ()

    @property
    def name(self) -> str:
        """What the rule is called."""
        return self.record

    def labels_of(self, labels: Labels) -> Labels:
        """The labels of the series that is stored for one series of the expression."""
        return _changed(labels, ((METRIC, self.record), *self.labels))


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """Raises an alert for each series that an expression gives; labels (the group's and its own) are templates too."""

    alert: str
    expr: str
    for_ms: int = 0
    keep_firing_for_ms: int = 0
    labels: RuleLabels = ()
    annotations: RuleLabels = ()

    @property
    def name(self) -> str:
        """What the rule is called."""
        return self.alert

    def labels_of(self, labels: Labels, expanded: RuleLabels) -> Labels:
        """The labels of the alert for one series of the expression; expanded: the rule's labels as texts."""
        return _changed(without(labels, METRIC), (*expanded, (ALERT_NAME, self.alert)))


Rule = RecordingRule | AlertingRule


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated one after another, every `interval_ms` (None: as the settings have it).

    limit: so many series or alerts may one rule give, 0 = any number. query_offset_ms: so long before the moment of
    evaluation is asked, None as the settings have it.
    """

    name: str
    file: str
    interval_ms: int | None
    limit: int
    query_offset_ms: int | None
    labels: RuleLabels
    rules: tuple[Rule, ...]

    @property
    def key(self) -> str:
        """File and name: what tells groups apart."""
        return f"{self.file};{self.name}"


def _changed(labels: Labels, changes: RuleLabels) -> Labels:
    return tuple(sorted((name, value) for name, value in (dict(labels) | dict(changes)).items() if value))
