"""This window against another one: how far each series moved, and whether by more than chance.

Mann and Whitney's test (1947) on ranks: outliers weigh no more than any other point. Points that follow each other are
not independent, so the test counts as many as their autocorrelation leaves (Bartlett 1946).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.analyze.correlation import adjusted, autocorrelations, ranked, two_sided
from airis_mon.series.batch import Values

LEAST_POINTS = 5
"""Of a window, to be tested at all."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one series moved from one window to another.

    before, after: their means, None when empty; median_before, median_after likewise. effect: Cliff's delta (1993): how
    much more often a value after is the larger one of two than the smaller, -1..1. p: two-sided, q: over all series;
    None where it was not tested: `why` is "empty", "appeared", "vanished" (no value before, or after) or "few".
    """

    before: float | None
    after: float | None
    median_before: float | None
    median_after: float | None
    points_before: int
    points_after: int
    effect: float | None
    p: float | None
    q: float | None
    why: str


def compare(
    pairs: Sequence[tuple[Values, Values]], *, control: str = "bh", check: Callable[[], None] = lambda: None
) -> list[Change]:
    """Each series' values before and after, (n,) in the order of time, NaN left out; see `Change`.

    control: one of `correlation.CONTROLS`. check: called now and then, raises to end it.
    """
    changes = []
    for i, (before, after) in enumerate(pairs):
        if i % 64 == 0:
            check()
        changes.append(_change(before[~np.isnan(before)], after[~np.isnan(after)]))
    q = adjusted(np.array([math.nan if c[2] is None else c[2] for c in changes]), control)
    return [
        Change(*moved, effect, p, None if p is None else float(share), why)
        for (moved, effect, p, why), share in zip(changes, q, strict=True)
    ]


_Moved = tuple[float | None, float | None, float | None, float | None, int, int]


def _change(before: Values, after: Values) -> tuple[_Moved, float | None, float | None, str]:
    moved = (_mean(before), _mean(after), _median(before), _median(after), len(before), len(after))
    if why := _untested(len(before), len(after)):
        return moved, None, None, why
    effect, p = _tested(before, after)
    return moved, effect, p, ""


def _untested(before: int, after: int) -> str:
    if not before or not after:
        return "empty" if before == after else "vanished" if before else "appeared"
    return "few" if min(before, after) < LEAST_POINTS else ""


def _tested(before: Values, after: Values) -> tuple[float, float]:
    """Cliff's delta and its p."""
    n, m = len(before), len(after)
    rank = ranked(np.concatenate([before, after]))
    larger = float(rank[n:].sum()) - m * (m + 1) / 2  # Mann and Whitney's U
    effect = 2 * larger / (n * m) - 1
    _, ties = np.unique(rank, return_counts=True)
    both = n + m
    variance = n * m / 12 * (both + 1 - float((ties**3 - ties).sum()) / (both * (both - 1)))
    if variance <= 0:  # all are equal
        return 0.0, 1.0
    # U's variance is that of a difference of two means of ranks: each grows as its window's mean does.
    grown = (m / _share(rank[:n]) + n / _share(rank[n:])) / both
    return effect, two_sided((larger - n * m / 2) / math.sqrt(variance * grown))


def _share(rank: Values) -> float:
    """The share of a window's points that are independent of each other, as far as their mean is concerned.

    Autocorrelations are summed as long as two neighbouring ones are positive together (Geyer, Practical Markov Chain
    Monte Carlo, 1992): what comes later is noise.
    """
    n = len(rank)
    found = autocorrelations((rank - rank.mean())[None, :], n // 2)[0]
    summed = np.concatenate([[1.0], found])[: (len(found) + 1) // 2 * 2].reshape(-1, 2).sum(axis=1)
    kept = int(np.argmax(summed <= 0)) if (summed <= 0).any() else len(summed)
    grown = max(2 * float(summed[:kept].sum()) - 1, 1.0)
    # The window's own mean was taken off, which hides as much again as its n points share.
    grown = grown / max(1 - grown / n, 1 / n)
    return max(1 / grown, 1 / n)


def _mean(value: Values) -> float | None:
    return float(value.mean()) if len(value) else None


def _median(value: Values) -> float | None:
    return float(np.median(value)) if len(value) else None
