"""Where rankers put the truth: AC@k, Avg@5 and their intervals, in which every group of cases counts the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.yardstick.base import Estimate
from airis_mon.yardstick.cases import Case, Floats

DEPTH = 5
ROUNDS = 2000
MEASURES = ("AC@1", "AC@3", "Avg@5")
"""The share of cases with the truth first, among the first three; and the mean of AC@1 to AC@5."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case. hits: (DEPTH,) by arm, the probability that the truth is among the first k."""

    source: str
    part: str
    group: str
    kind: str
    moment: str
    hits: dict[str, Floats]


def hits(score: Floats, truth: int) -> Floats:
    """(DEPTH,) with equal scores in random order, in expectation: no order of names or columns can look like skill.

    score: (candidate,), none of them NaN.
    """
    above, equal = (score > score[truth]).sum(), (score == score[truth]).sum()
    return np.asarray(np.clip((np.arange(1, DEPTH + 1) - above) / equal, 0, 1))


def outcome(case: Case, part: str, arms: Mapping[str, Callable[[Case], Floats]]) -> Outcome:
    """What every arm makes of a case."""
    truth = case.candidates.index(case.truth)
    found = {name: hits(rank(case), truth) for name, rank in arms.items()}
    return Outcome(case.source, part, case.group, case.kind, case.moment, found)


def estimates(outcomes: Sequence[Outcome], arm: str) -> dict[str, Estimate]:
    """Every measure of one arm."""
    return _estimates(outcomes, lambda o: o.hits[arm])


def lead(outcomes: Sequence[Outcome], arm: str, other: str) -> Estimate:
    """By how much the Avg@5 of an arm exceeds that of another, over the same cases drawn."""
    return _estimates(outcomes, lambda o: o.hits[arm] - o.hits[other])["Avg@5"]


def _estimates(outcomes: Sequence[Outcome], of: Callable[[Outcome], Floats]) -> dict[str, Estimate]:
    """Means over groups of means over cases; drawn with replacement within groups (Efron 1979)."""
    if not outcomes:
        return dict.fromkeys(MEASURES, Estimate(np.nan, np.nan, np.nan, 0))
    rng, groups = np.random.default_rng(0), sorted({o.group for o in outcomes})
    means, drawn = np.zeros(len(MEASURES)), np.zeros((ROUNDS, len(MEASURES)))
    for group in groups:
        found = np.array([of(o) for o in outcomes if o.group == group])  # (case, depth)
        measured = np.stack([found[:, 0], found[:, 2], found.mean(axis=1)], axis=1)
        draw = rng.integers(0, len(found), (ROUNDS, len(found)))
        means += measured.mean(axis=0) / len(groups)
        drawn += measured[draw].mean(axis=1) / len(groups)
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0).tolist()
    rows = zip(MEASURES, means.tolist(), low, high, strict=True)
    return {name: Estimate(value, a, b, len(outcomes)) for name, value, a, b in rows}
