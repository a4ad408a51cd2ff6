"""What rules give at each step of a block: the series to record, or the label sets to raise alerts for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import QueryError
from airis_mon.query.rules import AlertingRule, RecordingRule, RuleLabels
from airis_mon.query.templates import Dependence, Expander, dependence
from airis_mon.query.values import Flags, Runs, Scalar, Value, Vector, grouped
from airis_mon.series.batch import Times
from airis_mon.series.labels import Labels

REMEMBERED = 50_000
"""So many label sets of one rule are kept from one evaluation to the next."""
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule's result over steps.

    vector: no two rows have equal labels. source: (s, steps), the row of the expression's vector that each value came
    from, -1 where nothing is. failed: (steps,), where the rule fails as a whole, and nothing is there; why: the reason
    at the first of these steps.
    """

    vector: Vector
    source: Rows
    failed: Flags
    why: str = ""


class Recorder:
    """Makes the series of a recording rule; limit: so many it may give at a step, 0 = any number."""

    def __init__(self, rule: RecordingRule, limit: int = 0, remembered: int = REMEMBERED) -> None:
        self.rule, self.limit, self.remembered = rule, limit, remembered
        self._known: dict[Labels, Labels] = {}

    def outcome(self, value: Value | Runs) -> Outcome:
        """What is to be stored. Raises QueryError when the expression gives neither vector nor scalar."""
        given = _vector(value)
        outcome = _relabelled(given, [self._labels(labels) for labels in given.labels], "rule")
        count = outcome.vector.has.sum(axis=0)
        if not self.limit or not (over := count > self.limit).any():
            return outcome
        first = int(over.argmax())
        why = f"exceeded limit of {self.limit} with {count[first]} series"
        return _without(outcome, over, outcome.why if outcome.failed[:first].any() else why)

    def _labels(self, labels: Labels) -> Labels:
        found = self._known.get(labels)
        if found is None:
            _bound(self._known, self.remembered)
            found = self._known[labels] = self.rule.labels_of(labels)
        return found


class Alerter:
    """Makes the label sets for which an alerting rule's condition holds, and the texts of its alerts."""

    def __init__(self, rule: AlertingRule, expander: Expander, remembered: int = REMEMBERED) -> None:
        self.rule, self.expander, self.remembered = rule, expander, remembered
        self.needs = max((dependence(text) for _, text in rule.labels), default=Dependence.LABELS)
        self._known: dict[tuple[Labels, str, int], Labels] = {}

    def outcome(self, value: Value | Runs, t: Times) -> Outcome:
        """Alerts and their values at t, (steps,) ms; labels are expanded as seldom as their templates allow.

        Raises QueryError when the expression gives neither vector nor scalar, and what the expander's query raises
        beyond InputError and QueryError.
        """
        given = _vector(value)
        if self.needs is Dependence.LABELS:
            return _relabelled(given, [self._labels(labels, 0.0, 0) for labels in given.labels], "alert")
        self._known.clear()
        row, step = np.nonzero(given.has)
        cells = zip(row.tolist(), given.value[row, step].tolist(), t[step].tolist(), strict=True)
        return _gathered(given, row, step, [self._labels(given.labels[r], v, at) for r, v, at in cells], "alert")

    def annotations(self, labels: Labels, value: float, now_ms: int) -> RuleLabels:
        """The texts of an alert; labels and value: those of the expression's series."""
        alert, text_of = self.rule.alert, self.expander.text
        return tuple((name, text_of(text, alert, labels, value, now_ms)) for name, text in self.rule.annotations)

    def _labels(self, labels: Labels, value: float, at: int) -> Labels:
        key = (labels, repr(value), at if self.needs is Dependence.MOMENT else 0)  # by repr a NaN equals itself
        found = self._known.get(key)
        if found is None:
            _bound(self._known, self.remembered)
            alert, text_of = self.rule.alert, self.expander.text
            texts = tuple((name, text_of(text, alert, labels, value, at)) for name, text in self.rule.labels)
            found = self._known[key] = self.rule.labels_of(labels, texts)
        return found


def _bound(known: dict[Any, Labels], most: int) -> None:
    """Makes room in what is remembered from one evaluation to the next."""
    if len(known) >= most:
        known.clear()


def _vector(value: Value | Runs) -> Vector:
    if isinstance(value, Vector):
        return value
    if isinstance(value, Scalar):
        return value.as_vector()
    raise QueryError("rule result is not a vector or scalar")


def _relabelled(given: Vector, labels: Sequence[Labels], kind: str) -> Outcome:
    """The vector with a label set for each row."""
    if len(set(labels)) == len(labels):
        source = np.where(given.has, np.arange(len(labels))[:, np.newaxis], -1)
        return Outcome(Vector(labels, given.value, given.has), source, np.zeros(given.has.shape[1], np.bool_))
    row, step = np.nonzero(given.has)
    return _gathered(given, row, step, [labels[r] for r in row.tolist()], kind)


def _gathered(given: Vector, row: Rows, step: Rows, labels: Sequence[Labels], kind: str) -> Outcome:
    """Values of the vector under new labels, one for each (row, step); a step that has two with equal ones fails."""
    index, names = grouped(labels)
    shape = (len(names), given.has.shape[1])
    count = np.zeros(shape, np.int64)
    np.add.at(count, (index, step), 1)
    value, source = np.full(shape, np.nan), np.full(shape, -1)
    value[index, step], source[index, step] = given.value[row, step], row
    why = f"vector contains metrics with the same labelset after applying {kind} labels"
    outcome = Outcome(Vector(names, value, count > 0), source, np.zeros(shape[1], np.bool_))
    return _without(outcome, count.max(axis=0, initial=0) > 1, why)


def _without(outcome: Outcome, failed: Flags, why: str) -> Outcome:
    """The outcome without anything at steps that fail."""
    if not failed.any():
        return outcome
    has = outcome.vector.has & ~failed
    vector = Vector(outcome.vector.labels, np.where(has, outcome.vector.value, np.nan), has)
    return Outcome(vector, np.where(has, outcome.source, -1), outcome.failed | failed, why)
