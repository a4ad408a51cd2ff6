"""Where rankers put the truth: AC@k, Avg@5 and their intervals, in which every group of cases counts the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.yardstick.base import Estimate, Resampled, Sums, resampled
from airis_mon.yardstick.cases import Case, Floats

DEPTH = 5
MEASURES = ("AC@1", "AC@3", "Avg@5")
"""The share of cases with the truth first, among the first three; and the mean of AC@1 to AC@5."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case.

    hits: (DEPTH,) by arm, the probability that the truth is among the first k. world: which one it happened in, "" of
    cases that stand by themselves.
    """

    source: str
    part: str
    group: str
    kind: str
    moment: str
    hits: dict[str, Floats]
    world: str = ""


def hits(score: Floats, truth: int) -> Floats:
    """(DEPTH,) with equal scores in random order, in expectation: no order of names or columns can look like skill.

    score: (candidate,), none of them NaN.
    """
    above, equal = (score > score[truth]).sum(), (score == score[truth]).sum()
    return np.asarray(np.clip((np.arange(1, DEPTH + 1) - above) / equal, 0, 1))


def outcome(case: Case, part: str, arms: Mapping[str, Callable[[Case], Floats]], world: str = "") -> Outcome:
    """What every arm makes of a case."""
    truth = case.candidates.index(case.truth)
    found = {name: hits(rank(case), truth) for name, rank in arms.items()}
    return Outcome(case.source, part, case.group, case.kind, case.moment, found, world)


class Drawn:
    """Some outcomes, and the same drawn again: of each group the worlds, then the cases in them.

    Cases of one world share its graph, its load and its habits: they are no independent witnesses. Where no world is
    named, as in public sets, cases alone are drawn. A figure is the mean over groups of the means over their cases.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self._arms = tuple(outcomes[0].hits) if outcomes else ()
        parts = _by(outcomes, lambda o: o.group)
        made = [resampled(_worlds(some, self._arms), seed=k) for k, some in enumerate(parts)]
        if made:
            drawn = np.stack([one.drawn for one in made], axis=1)  # (round, group, column)
            self._sums = Resampled(np.stack([one.total for one in made]), drawn, len(outcomes))

    def estimates(self, arm: str) -> dict[str, Estimate]:
        """Every measure of one arm."""
        return {name: self._estimate(name, arm) for name in MEASURES}

    def lead(self, arm: str, other: str) -> Estimate:
        """By how much the Avg@5 of an arm exceeds that of another, over the same cases drawn."""
        return self._estimate("Avg@5", arm, other)

    def _estimate(self, measure: str, arm: str, other: str = "") -> Estimate:
        """Of an arm, less what another one has."""
        if not self._arms:
            return Estimate(np.nan, np.nan, np.nan, 0)
        a, b = (MEASURES.index(measure) + len(MEASURES) * self._arms.index(name) for name in (arm, other or arm))

        def figure(sums: Sums) -> Sums:
            """(..., group, column) to the mean over groups of means over cases."""
            found = sums[..., a] - sums[..., b] if other else sums[..., a]
            return np.asarray((found / sums[..., -1]).mean(axis=-1))

        return self._sums.estimate(figure)


def _worlds(outcomes: Sequence[Outcome], arms: Sequence[str]) -> list[Floats]:
    """Per world (case, MEASURES of each arm, and 1)."""
    return [np.array([[*_measured(o, arms), 1.0] for o in some]) for some in _by(outcomes, lambda o: o.world)]


def _measured(o: Outcome, arms: Sequence[str]) -> list[float]:
    return [x for arm in arms for x in (o.hits[arm][0], o.hits[arm][2], o.hits[arm].mean())]


def _by(outcomes: Sequence[Outcome], key: Callable[[Outcome], str]) -> list[list[Outcome]]:
    """In order of the key."""
    return [[o for o in outcomes if key(o) == name] for name in sorted({key(o) for o in outcomes})]
