"""A group of rules over a block of steps: expressions are asked, series recorded, alerts moved on.

Live is a block of one step, a replay asks for weeks at once. Nothing here knows the wall clock or where series go.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airis_mon.correlate.rules import (
    ALERTS,
    ALERTS_FOR_STATE,
    NO_ALERTS,
    Written,
    advance,
    restored,
    written,
)
from airis_mon.correlate.spells import FIRING, PENDING, RESOLVED
from airis_mon.errors import AirisError, QueryCancelled, StoreBusy
from airis_mon.events.alert import Alert
from airis_mon.query.engine import Answer
from airis_mon.query.outcomes import Alerter, Outcome, Recorder
from airis_mon.query.rules import AlertingRule, RecordingRule, Rule, RuleGroup
from airis_mon.query.templates import Expander
from airis_mon.series.batch import STALE, Times
from airis_mon.series.labels import Labels
from airis_mon.series.steps import Steps

Ask = Callable[[str, Steps], Answer]
"""An expression's value at some steps; raises as `QueryEngine.query`."""
Write = Callable[[Times, Written], None]
"""Stores series at times (n,) ms; when it returns they can be queried. Raises StoreBusy."""
Told = Callable[[Alert], None]
"""Hears of every alert that begins to fire or is resolved."""

Health = Literal["ok", "err", "unknown"]


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that is pending or firing, as it is shown."""

    labels: Labels
    annotations: Labels
    state: Literal["pending", "firing"]
    active_at: int
    value: float


class RuleRun:
    """A rule and how its last evaluation went. shown: the series that it gave at the last step."""

    type: Literal["alerting", "recording"] = "recording"
    duration_s = keep_firing_for_s = 0.0
    annotations: Labels = ()

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.name, self.query, self.labels = rule.name, rule.expr, rule.labels
        self.health: Health = "unknown"
        self.last_error = ""
        self.evaluation_s = 0.0
        self.last_evaluation: int | None = None
        self.failures = 0
        self.shown: frozenset[Labels] = frozenset()

    @property
    def alerts(self) -> list[ActiveAlert]:
        """Its alerts that are pending or firing."""
        return []

    def made(self, steps: Steps, answer: Answer, told: Told) -> Made:
        """What the expression's answer makes of the rule's series."""
        raise NotImplementedError


class RecordingRun(RuleRun):
    """A recording rule; limit: so many series may it give, 0 = any number."""

    def __init__(self, rule: RecordingRule, limit: int) -> None:
        super().__init__(rule)
        self._recorder = Recorder(rule, limit)

    def made(self, steps: Steps, answer: Answer, told: Told) -> Made:  # noqa: ARG002  records tell nobody
        """The series that are stored."""
        outcome = self._recorder.outcome(answer.value)
        ok = ~outcome.failed
        vector = outcome.vector
        series = Written(tuple(vector.labels), vector.value[:, ok], vector.has[:, ok])
        return Made(steps.t[ok], series, outcome.why)


class AlertingRun(RuleRun):
    """An alerting rule with its alerts. is_saving: whether they are stored."""

    type = "alerting"

    def __init__(self, rule: AlertingRule, limit: int, expander: Expander) -> None:
        super().__init__(rule)
        self.duration_s, self.keep_firing_for_s = rule.for_ms / 1000, rule.keep_firing_for_ms / 1000
        self.annotations = rule.annotations
        self.is_saving = True
        self._alerter = Alerter(rule, expander)
        self._spans = (rule.for_ms, rule.keep_firing_for_ms, limit)
        self._alerts = NO_ALERTS
        self._texts: dict[Labels, Labels] = {}

    @property
    def alerts(self) -> list[ActiveAlert]:
        """Its alerts that are pending or firing."""
        found, texts = self._alerts, self._texts
        columns = (found.carried.state, found.carried.active_at, found.carried.value)
        rows = zip(found.labels, *(column.tolist() for column in columns), strict=True)
        return [
            ActiveAlert(labels, texts.get(labels, ()), "firing" if state == FIRING else "pending", at, value)
            for labels, state, at, value in rows
            if state in (FIRING, PENDING)
        ]

    def made(self, steps: Steps, answer: Answer, told: Told) -> Made:
        """Moves the alerts on, tells of those that fire or are resolved; gives `ALERTS` and `ALERTS_FOR_STATE`."""
        outcome = self._alerter.outcome(answer.value, steps.t)
        ok = ~outcome.failed
        vector = outcome.vector
        t, value, has = steps.t[ok], vector.value[:, ok], vector.has[:, ok]
        block = advance(self._alerts, t, vector.labels, value, has, *self._spans)
        texts = _Texts(self._alerter, self._texts, outcome, answer, np.flatnonzero(ok), t)
        happened = block.happened
        for k in np.argsort(happened.step, kind="stable").tolist():
            if happened.state[k] in (FIRING, RESOLVED):
                told(block.alert(k, texts.at(block.labels[happened.row[k]], int(happened.seen[k]))))
        self._alerts = block.alerts
        self._texts = {labels: texts.at(labels, len(t) - 1) for labels in block.alerts.labels}
        kept = ~block.failed
        series = written(block) if self.is_saving else _nothing(len(t))
        series = Written(series.labels, series.value[:, kept], series.has[:, kept])
        return Made(t[kept], series, outcome.why or block.why)

    def restore(self, now: int, saved: Callable[[str], dict[Labels, tuple[int, float]]]) -> None:
        """Gives alerts back what they had waited for before a restart; see `correlate.rules.restored`."""
        if self._spans[0] and len(self._alerts):
            self._alerts = restored(self._alerts, saved(self.name), now, self._spans[0], grace_ms=0)


@dataclass(frozen=True, slots=True)
class Made:
    """Series at times (n,) ms, and why a step failed."""

    t: Times
    series: Written
    why: str


class _Texts:
    """The annotations of a rule's alerts at the steps of a block, each made when it is asked for."""

    def __init__(
        self,
        alerter: Alerter,
        before: dict[Labels, Labels],
        outcome: Outcome,
        answer: Answer,
        columns: NDArray[np.intp],
        t: Times,
    ) -> None:
        self._alerter, self._before, self._outcome, self._columns, self._t = alerter, before, outcome, columns, t
        self._labels: Sequence[Labels] = getattr(answer.value, "labels", [()])  # a scalar has none
        self._row = {labels: i for i, labels in enumerate(outcome.vector.labels)}

    def at(self, labels: Labels, step: int) -> Labels:
        """As the condition held last until a step of the block; where it did not, as before the block."""
        row = self._row.get(labels)
        if row is None:
            return self._before.get(labels, ())
        held = np.flatnonzero(self._outcome.source[row, self._columns[: step + 1]] >= 0)
        if not len(held):
            return self._before.get(labels, ())
        column = self._columns[held[-1]]
        source = self._labels[self._outcome.source[row, column]]
        return self._alerter.annotations(source, float(self._outcome.vector.value[row, column]), int(self._t[held[-1]]))


class GroupRun:
    """A group of rules with what it knows from one evaluation to the next.

    interval_ms, offset_ms: of the group, or else the given ones. `is_saving` is False as long as alerts of an earlier
    process may still be found in the store, which ours would hide.
    """

    def __init__(
        self, group: RuleGroup, expander: Expander, *, interval_ms: int, offset_ms: int = 0, is_saving: bool = True
    ) -> None:
        self.group = group
        self.interval_ms = group.interval_ms or interval_ms
        self.offset_ms = offset_ms if group.query_offset_ms is None else group.query_offset_ms
        self.rules = [_run_of(rule, group.limit, expander) for rule in group.rules]
        self.evaluation_s = 0.0
        self.last_evaluation: int | None = None
        self.evaluations = 0
        self.missed = 0
        self._save(is_saving=is_saving)

    @property
    def name(self) -> str:
        """Unique in its file."""
        return self.group.name

    @property
    def file(self) -> str:
        """The file that it stands in."""
        return self.group.file

    @property
    def interval_s(self) -> float:
        """Between two evaluations."""
        return self.interval_ms / 1000

    @property
    def limit(self) -> int:
        """So many series or alerts may one rule give; 0 = any number."""
        return self.group.limit

    def follow(self, before: GroupRun) -> list[Labels]:
        """Takes over what is known of rules that are the same; answers the series that nobody continues."""
        old = {run.rule: run for run in before.rules}
        self.rules = [old.pop(run.rule, run) for run in self.rules]
        self._save(is_saving=before.is_saving)
        self.evaluations, self.missed = before.evaluations, before.missed
        return [labels for run in old.values() for labels in run.shown]

    def evaluate(self, steps: Steps, ask: Ask, write: Write, told: Told) -> None:
        """Evaluates every rule at every step, a rule after those before it. Raises QueryCancelled and StoreBusy.

        A rule that fails for another reason says so and keeps what it knew; the others go on.
        """
        began = time.perf_counter()
        waiting: list[tuple[Times, Written]] = []
        recorded_names: set[str] = set()
        for run in self.rules:
            if waiting and _may_read(run.rule.expr, recorded_names):
                _flush(waiting, write)
            self._evaluate(run, steps, ask, waiting, told)
            recorded_names |= _writes(run.rule)
        _flush(waiting, write)
        self.evaluations += 1
        self.last_evaluation = steps.end
        self.evaluation_s = time.perf_counter() - began

    def restore(self, now: int, saved: Callable[[str], dict[Labels, tuple[int, float]]]) -> None:
        """Lets alerts go on where those of an earlier process were. saved: as in `restored`, by the alert's name."""
        for run in self.rules:
            if isinstance(run, AlertingRun):
                run.restore(now, saved)
        self._save(is_saving=True)

    def _save(self, *, is_saving: bool) -> None:
        self.is_saving = is_saving
        for run in self.rules:
            if isinstance(run, AlertingRun):
                run.is_saving = is_saving

    def _evaluate(self, run: RuleRun, steps: Steps, ask: Ask, waiting: list[tuple[Times, Written]], told: Told) -> None:
        began = time.perf_counter()
        try:
            made = run.made(steps, ask(run.query, steps.moved(-self.offset_ms)), told)
            series, run.shown = with_markers(made.series, run.shown)
            waiting.append((made.t - self.offset_ms, series))
            run.health, run.last_error = ("err", made.why) if made.why else ("ok", "")
        except (QueryCancelled, StoreBusy):
            raise
        except AirisError as error:
            run.health, run.last_error = "err", str(error)
        run.failures += run.health == "err"
        run.last_evaluation = steps.end
        run.evaluation_s = time.perf_counter() - began


def _run_of(rule: Rule, limit: int, expander: Expander) -> RuleRun:
    return RecordingRun(rule, limit) if isinstance(rule, RecordingRule) else AlertingRun(rule, limit, expander)


def with_markers(made: Written, shown: frozenset[Labels]) -> tuple[Written, frozenset[Labels]]:
    """The series with a staleness marker where one ends, and which of them are there at the last step.

    shown: those that were there before the first step. Without steps nothing changes.
    """
    count = made.has.shape[1]
    if not count:
        return made, shown
    gone = [labels for labels in shown if labels not in set(made.labels)]
    labels = (*made.labels, *gone)
    has = np.concatenate([made.has, np.zeros((len(gone), count), np.bool_)])
    value = np.concatenate([made.value, np.full((len(gone), count), np.nan)])
    first = np.array([name in shown for name in labels], np.bool_).reshape(-1, 1)
    ends = ~has & np.concatenate([first, has[:, :-1]], axis=1)
    value[ends] = STALE
    left = frozenset(name for name, is_there in zip(labels, has[:, -1].tolist(), strict=True) if is_there)
    return Written(labels, value, has | ends), left


def _nothing(count: int) -> Written:
    return Written((), np.empty((0, count)), np.empty((0, count), np.bool_))


def _flush(waiting: list[tuple[Times, Written]], write: Write) -> None:
    for t, made in waiting:
        write(t, made)
    waiting.clear()


_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NAMELESS = re.compile(r"(?:^|[^\w:\s])\s*\{")


def _writes(rule: Rule) -> set[str]:
    return {rule.record} if isinstance(rule, RecordingRule) else {ALERTS, ALERTS_FOR_STATE}


def _may_read(expr: str, names: set[str]) -> bool:
    """Whether an expression may select one of these metrics: by its name, or by conditions that could mean any."""
    return _NAMELESS.search(expr) is not None or not names.isdisjoint(_WORD.findall(expr))
