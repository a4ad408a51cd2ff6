"""One rule from evaluation to evaluation: what it makes of its expression's value, its alerts, how it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airis_mon.correlate.rules import (
    ALERTS,
    ALERTS_FOR_STATE,
    NO_ALERTS,
    Alerts,
    Block,
    Written,
    advance,
    restored,
    written,
)
from airis_mon.correlate.spells import FIRING, PENDING, RESOLVED
from airis_mon.events.alert import Alert
from airis_mon.query.engine import Answer
from airis_mon.query.outcomes import Alerter, Outcome, Recorder
from airis_mon.query.rules import AlertingRule, RecordingRule, Rule, RuleLabels
from airis_mon.query.templates import Dependence, Expander, dependence
from airis_mon.query.values import Flags
from airis_mon.series.batch import Times
from airis_mon.series.labels import Labels
from airis_mon.series.steps import Steps

Told = Callable[[Alert], None]
"""Hears of every alert that begins to fire or is resolved."""
Saved = Callable[[str], dict[Labels, tuple[int, float]]]
"""An alert's name -> what an earlier process stored of it, as `restored` takes it."""
Health = Literal["ok", "err", "unknown"]


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that is pending or firing, as it is shown."""

    labels: Labels
    annotations: Labels
    state: Literal["pending", "firing"]
    active_at: int
    value: float


@dataclass(frozen=True, slots=True)
class Made:
    """What a rule gave: series at times (n,) ms, those of the steps that did not fail.

    failed: (steps,); why: the reason at the first step that failed.
    """

    t: Times
    series: Written
    failed: Flags
    why: str = ""


class RuleRun:
    """A rule and how its last evaluation went. shown: the series that it gave at the last step it did not fail.

    evaluations and failures count steps; fault says why it failed last, "" = never.
    """

    type: Literal["alerting", "recording"] = "recording"
    duration_s = keep_firing_for_s = 0.0
    annotations: Labels = ()
    asks = False
    """Whether its annotations ask the store."""

    def __init__(self, rule: Rule, writes: frozenset[str]) -> None:
        self.rule, self.writes = rule, writes
        self.name, self.query, self.labels = rule.name, rule.expr, rule.labels
        self.health: Health = "unknown"
        self.last_error = self.fault = ""
        self.evaluations = self.failures = 0
        self.evaluation_s = 0.0
        self.last_evaluation: int | None = None
        self.shown: tuple[Labels, ...] = ()
        self.is_new = True

    @property
    def identity(self) -> tuple[str, str, Labels]:
        """What two rules have in common when the one goes on where the other was: as in Prometheus, not all."""
        return self.type, self.name, self.labels

    @property
    def alerts(self) -> list[ActiveAlert]:
        """Its alerts that are pending or firing."""
        return []

    def follow(self, before: RuleRun) -> None:
        """Goes on where a rule of the same identity was."""
        self.is_new = False
        self.health, self.last_error, self.shown = before.health, before.last_error, before.shown
        self.evaluation_s, self.last_evaluation = before.evaluation_s, before.last_evaluation

    def made(self, steps: Steps, answer: Answer, told: Told) -> Made:
        """What the expression's answer makes of the rule's series. Raises QueryError, and changes nothing then."""
        raise NotImplementedError

    def ended(self, now: int) -> list[Alert]:  # noqa: ARG002  a recording rule has no alerts
        """What is to be told when the rule is no more."""
        return []


class RecordingRun(RuleRun):
    """A recording rule; limit: so many series may it give, 0 = any number."""

    def __init__(self, rule: RecordingRule, limit: int) -> None:
        super().__init__(rule, frozenset({rule.record}))
        self._recorder = Recorder(rule, limit)

    def made(self, steps: Steps, answer: Answer, told: Told) -> Made:  # noqa: ARG002  records tell nobody
        """The series that are stored."""
        outcome = self._recorder.outcome(answer.value)
        ok, vector = ~outcome.failed, outcome.vector
        series = Written(tuple(vector.labels), vector.value[:, ok], vector.has[:, ok])
        return Made(steps.t[ok], series, outcome.failed, outcome.why)


@dataclass(frozen=True, slots=True)
class _Held:
    """The last moment at which an alert's condition held, ms: the expression's series and value then.

    texts: the annotations, if they had to be made at once.
    """

    labels: Labels
    value: float
    t: int
    texts: Labels | None


class AlertingRun(RuleRun):
    """An alerting rule with its alerts.

    is_saving: whether they are stored; False while those of an earlier process may still be looked for, which ours
    would hide. Annotations are made when somebody looks: ten thousand alerts change their value at every evaluation.
    """

    type = "alerting"

    def __init__(self, rule: AlertingRule, limit: int, expander: Expander, *, is_saving: bool) -> None:
        super().__init__(rule, frozenset({ALERTS, ALERTS_FOR_STATE}))
        self.duration_s, self.keep_firing_for_s = rule.for_ms / 1000, rule.keep_firing_for_ms / 1000
        self.annotations = rule.annotations
        self.is_saving = is_saving
        self._alerter = Alerter(rule, expander)
        self._spans = (rule.for_ms, rule.keep_firing_for_ms, limit)
        self.asks = asks(rule.annotations)
        self.state = NO_ALERTS
        self.held: dict[Labels, _Held] = {}
        self._listed: tuple[Alerts, list[ActiveAlert]] = (NO_ALERTS, [])

    @property
    def alerts(self) -> list[ActiveAlert]:
        """Its alerts that are pending or firing. Any thread may ask."""
        alerts, listed = self._listed
        if alerts is not (now := self.state):
            listed = self._active(now)
            self._listed = now, listed
        return listed

    def _active(self, alerts: Alerts) -> list[ActiveAlert]:
        known, texts = alerts.carried, self._annotations
        columns = (known.state, known.active_at, known.value)
        return [
            ActiveAlert(labels, texts(self.held.get(labels)), "firing" if state == FIRING else "pending", at, value)
            for labels, state, at, value in zip(alerts.labels, *(c.tolist() for c in columns), strict=True)
            if state in (FIRING, PENDING)
        ]

    def follow(self, before: RuleRun) -> None:
        """Goes on where a rule of the same identity was, with its alerts."""
        super().follow(before)
        if isinstance(before, AlertingRun):
            self.is_saving, self.state, self.held = before.is_saving, before.state, before.held

    def made(self, steps: Steps, answer: Answer, told: Told) -> Made:
        """Moves the alerts on, tells of those that fire or are resolved; gives `ALERTS` and `ALERTS_FOR_STATE`."""
        outcome = self._alerter.outcome(answer.value, steps.t)
        ok = np.flatnonzero(~outcome.failed)
        if not len(ok):
            return Made(steps.t[ok], _nothing(0), outcome.failed, outcome.why)
        t, vector = steps.t[ok], outcome.vector
        block = advance(self.state, t, vector.labels, vector.value[:, ok], vector.has[:, ok], *self._spans)
        sources = _Sources(outcome, answer, ok, t)
        held = self._now_held(block, sources)
        news = self._news(block, sources, held)
        self.held, self.state = held, block.alerts
        for alert in news:
            told(alert)
        failed = outcome.failed.copy()
        failed[ok] = block.failed
        kept = ~block.failed
        series = written(block) if self.is_saving else _nothing(len(t))
        series = Written(series.labels, series.value[:, kept], series.has[:, kept])
        return Made(t[kept], series, failed, outcome.why or block.why)

    def _news(self, block: Block, sources: _Sources, now: dict[Labels, _Held]) -> list[Alert]:
        """The alerts that fire or are resolved, by step."""
        happened, news = block.happened, []
        for k in np.flatnonzero((happened.state == FIRING) | (happened.state == RESOLVED)).tolist():
            labels, step = block.labels[happened.row[k]], int(happened.seen[k])
            held = self.held[labels] if step < 0 else now.get(labels)
            if held is None or (step >= 0 and held.t != sources.t[step]):
                held = self._held_at(sources, labels, step)
            news.append(block.alert(k, self._annotations(held)))
        return news

    def _now_held(self, block: Block, sources: _Sources) -> dict[Labels, _Held]:
        steps = np.searchsorted(sources.t, block.alerts.carried.seen_at)
        is_now = block.alerts.carried.seen_at >= sources.t[0]
        held = {}
        for labels, step, is_here in zip(block.alerts.labels, steps.tolist(), is_now.tolist(), strict=True):
            held[labels] = self._held_at(sources, labels, step) if is_here else self.held[labels]
        return held

    def _held_at(self, sources: _Sources, labels: Labels, step: int) -> _Held:
        source, value, t = sources.at(labels, step)
        return _Held(source, value, t, self._alerter.annotations(source, value, t) if self.asks else None)

    def _annotations(self, held: _Held | None) -> Labels:
        if held is None:  # the alert was forgotten while somebody looked
            return ()
        return self._alerter.annotations(held.labels, held.value, held.t) if held.texts is None else held.texts

    def restore(self, now: int, saved: Saved) -> None:
        """Gives alerts back what they had waited for before a restart, and stores them from now on."""
        if len(self.state):
            self.state = restored(self.state, saved(self.name), now, self._spans[0], grace_ms=0)
        self.is_saving = True

    def ended(self, now: int) -> list[Alert]:
        """Those that fire are resolved when the rule is no more: nothing else would ever say so."""
        alerts, firing = self.state, np.flatnonzero(self.state.carried.state == FIRING)
        found = [alerts.alert(i, self._annotations(self.held.get(alerts.labels[i]))) for i in firing.tolist()]
        return [replace(alert, state="resolved", resolved_at=now) for alert in found]


class _Sources:
    """Which series and value of the expression stands behind an alert at the steps of a block.

    columns: (n,) the steps of the outcome that did not fail; t: (n,) ms.
    """

    def __init__(self, outcome: Outcome, answer: Answer, columns: NDArray[np.intp], t: Times) -> None:
        self.t = t
        self._outcome, self._columns = outcome, columns
        self._labels: Sequence[Labels] = getattr(answer.value, "labels", [()])  # a scalar has none
        self._row = {labels: i for i, labels in enumerate(outcome.vector.labels)}

    def at(self, labels: Labels, step: int) -> tuple[Labels, float, int]:
        """(labels, value, t) at a step at which the alert's condition holds."""
        row, column = self._row[labels], self._columns[step]
        source = self._labels[self._outcome.source[row, column]]
        return source, float(self._outcome.vector.value[row, column]), int(self.t[step])


def run_of(rule: Rule, limit: int, expander: Expander, *, is_saving: bool) -> RuleRun:
    """A rule that was never evaluated."""
    if isinstance(rule, RecordingRule):
        return RecordingRun(rule, limit)
    return AlertingRun(rule, limit, expander, is_saving=is_saving)


def asks(texts: RuleLabels) -> bool:
    """Whether any of the templates asks the store, or for the time."""
    return any(dependence(text) is Dependence.MOMENT for _, text in texts)


def _nothing(count: int) -> Written:
    return Written((), np.empty((0, count)), np.empty((0, count), np.bool_))
