"""This window against another one: how far each series moved, and whether by more than chance.

Yuen's test (The two-sample trimmed t for unequal population variances, 1974): means without the outer fifths, so that
outliers do not bend it. Points that follow each other are not independent: it counts as many as their autocorrelation
leaves (Bartlett 1946). What wanders has next to none of these: there the change is held against the steps within both
windows. Where most values are equal, Mann and Whitney's test on ranks (1947) stands in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.analyze.chance import incomplete_beta
from airis_mon.analyze.correlation import adjusted, autocorrelations, ranked, two_sided
from airis_mon.series.batch import Values

LEAST_POINTS = 5
"""Of a window, to be tested at all."""
TRIM = 0.2
LEAST_INDEPENDENT = 8.0
"""With fewer in a window, and than a quarter of its points, only its steps tell whether it lies elsewhere."""
LEAST_INNER = 1.2
"""Independent points within the outer fifths are taken as no fewer: with less there is no test."""


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
    pairs: Sequence[tuple[Values, Values]],
    *,
    apart: float = 0.0,
    control: str = "bh",
    check: Callable[[], None] = lambda: None,
) -> list[Change]:
    """Each series' values before and after, (n,) in the order of time, NaN left out; see `Change`.

    apart: how far the windows lie from each other, in lengths of the one after. control: one of
    `correlation.CONTROLS`. check: called now and then, raises to end it.
    """
    changes = []
    for i, (before, after) in enumerate(pairs):
        if i % 64 == 0:
            check()
        changes.append(_change(before[~np.isnan(before)], after[~np.isnan(after)], apart))
    q = adjusted(np.array([math.nan if c[2] is None else c[2] for c in changes]), control)
    return [
        Change(*moved, effect, p, None if p is None else float(share), why)
        for (moved, effect, p, why), share in zip(changes, q, strict=True)
    ]


_Moved = tuple[float | None, float | None, float | None, float | None, int, int]


def _change(before: Values, after: Values, apart: float) -> tuple[_Moved, float | None, float | None, str]:
    moved = (_mean(before), _mean(after), _median(before), _median(after), len(before), len(after))
    if why := _untested(len(before), len(after)):
        return moved, None, None, why
    effect, p = _tested(before, after, apart)
    return moved, effect, p, ""


def _untested(before: int, after: int) -> str:
    if not before or not after:
        return "empty" if before == after else "vanished" if before else "appeared"
    return "few" if min(before, after) < LEAST_POINTS else ""


def _tested(before: Values, after: Values, apart: float) -> tuple[float, float]:
    """Cliff's delta and the p of the change."""
    n, m = len(before), len(after)
    rank = ranked(np.concatenate([before, after]))
    larger = float(rank[n:].sum()) - m * (m + 1) / 2  # Mann and Whitney's U
    effect = 2 * larger / (n * m) - 1
    shares = _share(rank[:n]), _share(rank[n:])
    independent = n * shares[0], m * shares[1]
    p = _yuen(before, after, *independent)
    if p is not None:
        wandered = _wandered(before, after, apart)
        if min(independent) < min(LEAST_INDEPENDENT, n / 4, m / 4):
            return effect, wandered
        return effect, min(1.0, 2 * min(p, wandered))  # the surer one; either may be the one that fits
    # Most values of each window are equal: what is left to go by is how often one is the larger of two.
    _, ties = np.unique(rank, return_counts=True)
    both = n + m
    variance = n * m / 12 * (both + 1 - float((ties**3 - ties).sum()) / (both * (both - 1)))
    if variance <= 0:  # all are equal
        return 0.0, 1.0
    # U's variance is that of a difference of two means of ranks: each grows as its window's mean does.
    grown = (m / shares[0] + n / shares[1]) / both
    return effect, two_sided((larger - n * m / 2) / math.sqrt(variance * grown))


def _yuen(before: Values, after: Values, n: float, m: float) -> float | None:
    """The p of a difference of trimmed means, of windows with n and m independent points; None without variance."""
    first, second = _trimmed(before, n), _trimmed(after, m)
    spread = first[1] + second[1]
    if spread <= 1e-24 * max(abs(first[0]), abs(second[0])) ** 2:
        return None
    freedom = spread**2 / (first[1] ** 2 / first[2] + second[1] ** 2 / second[2])
    t2 = (second[0] - first[0]) ** 2 / spread
    return float(incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t2)))


def _wandered(before: Values, after: Values, apart: float) -> float:
    """The p of a difference of trimmed means of a walk whose steps go on as they do within the windows.

    What wanders has few independent points, but many steps. For what does not, this test has hardly any power.
    """
    n, m = len(before), len(after)
    steps = np.concatenate([np.diff(before), np.diff(after)])
    variance = float(steps.var(ddof=1)) / _share(steps)
    if variance <= 0:
        return 1.0
    gone = _trimmed(after, m)[0] - _trimmed(before, n)[0]
    t2 = gone**2 / (variance * ((n + m) / 3 + apart * m + 1))  # of the means of two stretches of a walk
    freedom = n + m - 3
    return float(incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t2)))


def _trimmed(value: Values, independent: float) -> tuple[float, float, float]:
    """(mean without the outer fifths, its squared standard error, degrees of freedom)."""
    ordered = np.sort(value)
    n, cut = len(value), int(TRIM * len(value))
    kept = ordered[cut : n - cut]
    winsorised = np.clip(ordered, kept[0], kept[-1])
    inner = max(independent * (n - 2 * cut) / n, LEAST_INNER)
    error = max(independent - 1, LEAST_INNER) * float(winsorised.var(ddof=1)) / (inner * (inner - 1))
    return float(kept.mean()), error, inner - 1


def _share(value: Values) -> float:
    """The share of points that follow each other which are independent, as far as their mean is concerned.

    Autocorrelations are summed as long as two neighbouring ones are positive together (Geyer, Practical Markov Chain
    Monte Carlo, 1992): what comes later is noise.
    """
    n = len(value)
    found = autocorrelations((value - value.mean())[None, :], n // 2)[0]
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
