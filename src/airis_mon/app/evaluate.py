"""A group of rules over a block of steps: expressions are asked, series recorded, alerts moved on.

Live is a block of one step, a replay asks for weeks at once. Nothing here knows the wall clock or where series go.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from airis_mon.app.rulerun import AlertingRun, Made, RuleRun, Saved, Told, asks, run_of
from airis_mon.correlate.rules import Written
from airis_mon.errors import AirisError, QueryCancelled, QueryError
from airis_mon.query.engine import LOOKBACK_MS, SUBQUERY_STEP_MS, Answer
from airis_mon.query.parse import parse
from airis_mon.query.plan import Leaf, Node, Planner, leaves
from airis_mon.query.rules import AlertingRule, Rule, RuleGroup
from airis_mon.query.templates import Expander
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.labels import METRIC, Labels
from airis_mon.series.matchers import compile_matchers
from airis_mon.series.steps import Steps

log = structlog.get_logger()

Ask = Callable[[str, Steps], Answer]
"""An expression's value at some steps; raises as `QueryEngine.query`."""
Write = Callable[[Sequence[Made]], Sequence[Batch]]
"""Stores what rules gave, all of it at once; when it returns it can be queried. Answers for each what was taken, with
what was refused. Raises AirisError when nothing was stored."""

_MOVING_END = re.compile(r"@\s*(?:start|end)\s*\(")


class GroupRun:
    """A group of rules with what it knows from one evaluation to the next.

    interval_ms, offset_ms: of the group, or else the given ones. is_saving: whether alerts are stored from the first
    evaluation on, or only after `restore`. Counters: evaluations and failures of single rules at single steps, samples
    refused; evaluations of the whole group that were missed, which whoever keeps its time counts.
    """

    def __init__(
        self, group: RuleGroup, expander: Expander, *, interval_ms: int, offset_ms: int = 0, is_saving: bool = True
    ) -> None:
        self.group = group
        self.interval_ms = group.interval_ms or interval_ms
        self.offset_ms = offset_ms if group.query_offset_ms is None else group.query_offset_ms
        self.rules = [run_of(rule, group.limit, expander, is_saving=is_saving) for rule in group.rules]
        self.evaluation_s = 0.0
        self.last_evaluation: int | None = None
        self.rounds = self.evaluations = self.failures = self.missed = self.refused = 0
        names = {name for run in self.rules for name in run.writes}
        self._reads = [_reads(rule, names) for rule in group.rules]
        self._is_stepwise = _is_stepwise(self.rules, self._reads)

    @property
    def key(self) -> str:
        """File and name: what tells groups apart."""
        return self.group.key

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

    @property
    def is_saving(self) -> bool:
        """Whether the alerts of all rules are stored."""
        return all(run.is_saving for run in self.rules if isinstance(run, AlertingRun))

    def continue_counting(self, before: GroupRun) -> None:
        """Counts on from what the group was before its file changed."""
        self.evaluation_s, self.last_evaluation, self.rounds = (
            before.evaluation_s,
            before.last_evaluation,
            before.rounds,
        )
        self.evaluations, self.failures = before.evaluations, before.failures
        self.missed, self.refused = before.missed, before.refused

    def follow(self, before: list[RuleRun]) -> None:
        """Lets rules that are new go on where some were that are no more; takes those out of the list."""
        for run in self.rules:
            old = next((old for old in before if old.identity == run.identity), None) if run.is_new else None
            if old is not None:
                run.follow(old)
                before.remove(old)

    def evaluate(
        self, steps: Steps, ask: Ask, write: Write, told: Told, begin: Callable[[], None] = lambda: None
    ) -> None:
        """Evaluates every rule at every step, a rule after those before it. Raises QueryCancelled.

        begin is called before each rule: what it and its templates may take counts from there.

        A block of any length gives what its steps give one by one. It is asked and stored as a whole, so the bounds of
        `ask` must allow for its steps; step by step where a rule reads what it or a later one writes. A rule that fails
        says so and keeps what it knew, the others go on. Annotations show what they ask for as far as it is stored.
        """
        began = time.perf_counter()
        for part in _singles(steps) if self._is_stepwise else (steps,):
            self._round(part, ask, write, told, begin)
        self.rounds += steps.count
        self.last_evaluation = steps.end
        self.evaluation_s = time.perf_counter() - began

    def restore(self, now: int, saved: Saved) -> None:
        """Lets alerts go on where those of an earlier process were, and stores them from now on."""
        for run in self.rules:
            if isinstance(run, AlertingRun) and not run.is_saving:
                run.restore(now, saved)

    def _round(self, steps: Steps, ask: Ask, write: Write, told: Told, begin: Callable[[], None]) -> None:
        waiting: list[_Waiting] = []
        for run, reads in zip(self.rules, self._reads, strict=True):
            if run.asks or any(reads & one.run.writes for one in waiting):
                self._flush(waiting, write)
            began = time.perf_counter()
            begin()
            waiting += self._evaluated(run, steps, ask, told)
            run.last_evaluation = steps.end
            run.evaluation_s = time.perf_counter() - began
        self._flush(waiting, write)

    def _evaluated(self, run: RuleRun, steps: Steps, ask: Ask, told: Told) -> list[_Waiting]:
        """What is to be stored. A block that fails is asked in halves: perhaps some of its steps alone fail."""
        try:
            made = run.made(steps, ask(run.query, steps.moved(-self.offset_ms)), told)
        except QueryCancelled:
            raise
        except Exception as error:  # boundary: supervision of a rule
            if type(error) is QueryError and steps.count > 1 and _planned(run.query):  # else it fails at every step
                return [one for half in _halves(steps) for one in self._evaluated(run, half, ask, told)]
            if not isinstance(error, AirisError):
                log.exception("rule.broken", group=self.name, rule=run.name)
            self._count(run, steps.count, steps.count, str(error) or repr(error))
            self._note(run, steps.count, str(error) or repr(error), type(error).__name__)
            return []
        self._count(run, steps.count, int(made.failed.sum()), made.why)
        self._note(run, int(made.failed.sum()), made.why if made.failed[-1] else "")
        if made.failed.all():
            return []
        before = run.shown
        series, run.shown = with_markers(made.series, before)
        return [_Waiting(run, Made(made.t - self.offset_ms, series, made.failed), before)]

    def _count(self, run: RuleRun, steps: int, failures: int, why: str) -> None:
        self.evaluations += steps
        run.evaluations += steps
        run.failures += failures
        run.fault = why if failures else run.fault

    def _note(self, run: RuleRun, failures: int, why: str, kind: str = "QueryError") -> None:
        """How it went: so many failures; why the last step failed, "" = it did not.

        The log has the kind of error alone: the reason may name labels, and is for those who may see these.
        """
        if why and run.health != "err":
            log.warning("rule.failed", group=self.name, rule=run.name, error=kind)
        self.failures += failures
        run.health, run.last_error = ("err", why) if why else ("ok", "")

    def _flush(self, waiting: list[_Waiting], write: Write) -> None:
        if not waiting:
            return
        try:
            taken = write([one.made for one in waiting])
        except AirisError as error:
            for one in reversed(waiting):
                one.run.shown = one.before  # so that what has ended meanwhile ends at the next evaluation
                self._note(one.run, 1, str(error), type(error).__name__)
        else:
            for one, batch in zip(waiting, taken, strict=True):
                if batch.refused:
                    self.refused += batch.refused
                    self._note(one.run, 1, f"{batch.refused} samples refused: {batch.refusals[0].reason}", "Refusal")
        waiting.clear()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What a rule gave and is not stored yet; before: what it had shown until then."""

    run: RuleRun
    made: Made
    before: tuple[Labels, ...]


def with_markers(made: Written, shown: tuple[Labels, ...]) -> tuple[Written, tuple[Labels, ...]]:
    """The series with a staleness marker where one ends, and which of them are there at the last step.

    shown: those that were there before the first step. Series that are nowhere are left out; without steps nothing
    changes.
    """
    count = made.has.shape[1]
    if not count or (made.labels == shown and made.has.all()):
        return made, shown
    here, before = set(made.labels), set(shown)
    gone = [labels for labels in shown if labels not in here]
    labels = (*made.labels, *gone)
    has = np.concatenate([made.has, np.zeros((len(gone), count), np.bool_)])
    value = np.concatenate([made.value, np.full((len(gone), count), np.nan)])
    first = np.array([name in before for name in labels], np.bool_).reshape(-1, 1)
    ends = ~has & np.concatenate([first, has[:, :-1]], axis=1)
    value[ends] = STALE
    left = tuple(name for name, is_there in zip(labels, has[:, -1].tolist(), strict=True) if is_there)
    rows = np.flatnonzero((has | ends).any(axis=1))
    return Written(tuple(labels[i] for i in rows.tolist()), value[rows], (has | ends)[rows]), left


def _singles(steps: Steps) -> Iterator[Steps]:
    return (Steps.at(t) for t in steps.t.tolist())


def _halves(steps: Steps) -> tuple[Steps, Steps]:
    half = steps.count // 2
    return Steps(steps.start, steps.step, half), Steps(steps.start + half * steps.step, steps.step, steps.count - half)


# Which rules depend on which


def _reads(rule: Rule, names: set[str]) -> set[str]:
    """Those of some metrics' names that a rule may read; all of them if the templates of its labels ask."""
    return names if isinstance(rule, AlertingRule) and asks(rule.labels) else meant(rule.expr, names)


def _is_stepwise(runs: Sequence[RuleRun], reads: Sequence[set[str]]) -> bool:
    """Whether a rule sees what an earlier step wrote of it or of a later rule, or an end that moves with the step."""
    later: set[str] = set()
    for run, read in zip(reversed(runs), reversed(reads), strict=True):
        later |= run.writes
        if later & read or _MOVING_END.search(run.query):
            return True
    return False


def meant(expr: str, names: set[str]) -> set[str]:
    """Those of some metrics' names that an expression may select: by the name, or by conditions that it meets."""
    node = _planned(expr)
    return {name for leaf in leaves(node) for name in _meant(leaf, names)} if node else set()


def _planned(expr: str) -> Node | None:
    """What is to be computed; None of an expression that cannot be, which will say so at each evaluation."""
    try:
        return Planner(Steps.at(0), 0, LOOKBACK_MS, SUBQUERY_STEP_MS, frozenset()).plan(parse(expr))
    except AirisError:
        return None


def _meant(leaf: Leaf, names: set[str]) -> set[str]:
    conditions: list[Any] = [m for m in leaf.matchers if m.name == METRIC]
    matches = compile_matchers(conditions)
    exact = {m.value for m in conditions if m.op == "="}
    return {name for name in (names & exact if exact else names) if matches(((METRIC, name),))}
