"""What a question of the yardstick answers with, and the intervals around its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

NOT_BUILT: Final = "not built"
Verdict = Literal["HOLDS", "FAILS", "INCONCLUSIVE", "not built"]
Tell = Callable[[float, str], None]
"""Hears what share of the work is done, 0..1, and a word about it."""


def untold(fraction: float, note: str) -> None:
    """Told when nobody listens."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; n: what was resampled, such as faults, cases or series."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Row:
    """One arm on one part of the data. estimates by name of the measure; note says what a figure cannot."""

    arm: str
    part: str
    estimates: dict[str, Estimate]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence that the figures bear out or not. bound: what the estimate is held against."""

    name: str
    words: str
    estimate: Estimate | None
    bound: float
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question found.

    on: the data, named so that they can be had again (world version, topologies, seeds, files). chosen: what was set
    and on which part. not_built: what cannot be measured since its engine does not exist.
    """

    question: str
    on: dict[str, Any]
    chosen: dict[str, Any]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    not_built: tuple[str, ...] = ()
    seconds: float = 0.0
    remarks: tuple[str, ...] = field(default=())


class Question(Protocol):
    """What a module of this package offers to be asked by `airis-mon bench`; its name is the question's."""

    def answer(self, *, quick: bool, tell: Tell) -> Answer:
        """Measures. quick: fewer and shorter worlds, for a look at whether it works, never for a claim."""


Sums = NDArray[np.float64]
"""(..., k) columns added up."""


@dataclass(frozen=True, slots=True)
class Resampled:
    """Column sums of items that lie in groups, and those of the same data drawn again. n: items.

    drawn: (round, k), each round's groups drawn with replacement, then the items of each: faults or series of one
    world are no independent witnesses (Davison & Hinkley, Bootstrap Methods and their Application, 1997, 3.8). Of one
    group, items alone (Efron 1979, doi:10.1214/aos/1176344552). Both may have axes between, as (round, stratum, k).
    """

    total: Sums
    drawn: Sums
    n: int

    def estimate(self, figure: Callable[[Sums], NDArray[np.float64]]) -> Estimate:
        """A figure of the sums, (..., k) -> (...), with its percentile interval; NaN where it is not defined."""
        again = figure(self.drawn)
        known = again[np.isfinite(again)]
        low, high = np.percentile(known, (2.5, 97.5)).tolist() if len(known) else (np.nan, np.nan)
        return Estimate(float(figure(self.total)), low, high, self.n)


def resampled(groups: Sequence[NDArray[Any]], *, rounds: int = 1000, seed: int = 0) -> Resampled:
    """Groups of items, (items, k) each; cost O(rounds x items)."""
    rng, kept = np.random.default_rng(seed), [np.asarray(g, float) for g in groups if len(g)]
    if not kept:
        return Resampled(np.full(1, np.nan), np.full((rounds, 1), np.nan), 0)
    drawn = np.zeros((rounds, kept[0].shape[1]))
    for k in range(rounds):
        for at in rng.integers(0, len(kept), len(kept)):
            n = len(kept[at])
            drawn[k] += np.bincount(rng.integers(0, n, n), minlength=n) @ kept[at]
    return Resampled(np.sum([g.sum(axis=0) for g in kept], axis=0), drawn, sum(map(len, kept)))
