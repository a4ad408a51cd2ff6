"""Groups of rules and their alerts, as Prometheus' API shows them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from airis_mon.api.engine import ActiveAlert, Rule, RuleGroup
from airis_mon.api.promjson import scientific
from airis_mon.api.promschemas import PromAlert, PromGroup, PromRule
from airis_mon.api.schemas import stamp

NEVER = "0001-01-01T00:00:00Z"
"""How Go writes a time that is not set."""
TYPES = {"alert": "alerting", "record": "recording"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rules are asked for; what is empty leaves nothing out."""

    type: str = ""
    names: Collection[str] = ()
    groups: Collection[str] = ()
    files: Collection[str] = ()
    with_alerts: bool = True

    def has_group(self, group: RuleGroup) -> bool:
        """Whether any rule of the group may be wanted."""
        return (not self.groups or group.name in self.groups) and (not self.files or group.file in self.files)

    def has_rule(self, rule: Rule) -> bool:
        """Whether the rule is wanted."""
        return (not self.type or rule.type == TYPES[self.type]) and (not self.names or rule.name in self.names)


def groups_of(groups: Iterable[RuleGroup], wanted: Wanted) -> list[PromGroup]:
    """The groups that are wanted; when rules are chosen by name, without the groups that have none of them."""
    chosen = [(g, [r for r in g.rules if wanted.has_rule(r)]) for g in groups if wanted.has_group(g)]
    return [_group(group, rules, wanted) for group, rules in chosen if rules or not wanted.names]


def alerts_of(groups: Iterable[RuleGroup]) -> list[PromAlert]:
    """Every alert that is pending or firing."""
    return [_alert(alert) for group in groups for rule in group.rules for alert in rule.alerts]


def _group(group: RuleGroup, rules: Sequence[Rule], wanted: Wanted) -> PromGroup:
    return PromGroup(
        group.name,
        group.file,
        [_alerting(r, wanted) if r.type == "alerting" else _rule(r) for r in rules],
        group.interval_s,
        group.limit,
        group.evaluation_s,
        _moment(group.last_evaluation),
    )


def _rule(rule: Rule) -> PromRule:
    shown = PromRule(
        rule.name,
        rule.query,
        dict(rule.labels),
        rule.health,
        rule.evaluation_s,
        _moment(rule.last_evaluation),
        rule.type,
    )
    if rule.last_error:
        shown.last_error = rule.last_error
    return shown


def _alerting(rule: Rule, wanted: Wanted) -> PromRule:
    shown = _rule(rule)
    states = {alert.state for alert in rule.alerts}
    shown.state = "firing" if "firing" in states else "pending" if states else "inactive"
    shown.duration = rule.duration_s
    shown.keep_firing_for = rule.keep_firing_for_s
    shown.annotations = dict(rule.annotations)
    shown.alerts = [_alert(alert) for alert in rule.alerts] if wanted.with_alerts else []
    return shown


def _alert(alert: ActiveAlert) -> PromAlert:
    return PromAlert(
        dict(alert.labels),
        dict(alert.annotations),
        alert.state,
        stamp(alert.active_at),
        scientific(alert.value),
    )


def _moment(t: int | None) -> str:
    return NEVER if t is None else stamp(t)
