"""What a ranker offers, and what several of them need: how far signals moved, and how like the alarm they moved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from airis_mon.yardstick.cases import Case, Floats

Ranker = Callable[[Case], Floats]
"""A score for each candidate, more suspect = larger; -inf of whom it can say nothing. Equal scores are ties."""
LEAST_HISTORY = 10
"""A signal with fewer values before the window has no usual."""
FLAT = 0.01
"""Where a history does not vary, this share of its level stands for how far it usually varies."""


def deviations(case: Case, centre: Floats, scale: Floats) -> Floats:
    """(time, signal) of the window: how many usual variations above the centre; NaN where nothing can be said.

    Published code divides by 1 where a history does not vary, so that the unit of a metric decides its rank. Here a
    hundredth of its level stands in; what was always zero has no scale at all and is left out.
    """
    scale = np.where(scale > 0, scale, FLAT * np.abs(centre))
    known = (np.isfinite(case.history).sum(axis=0) >= LEAST_HISTORY) & (scale > 0)
    return np.asarray((case.window - centre) / np.where(known, scale, np.nan))


def sigmas(case: Case) -> Floats:
    """(time, signal) of the window in standard deviations of the history above its mean."""
    n = np.maximum(np.isfinite(case.history).sum(axis=0), 1)
    mean = np.nansum(case.history, axis=0) / n
    return deviations(case, mean, np.sqrt(np.nansum((case.history - mean) ** 2, axis=0) / n))


def quantiles(x: Floats, *of: float) -> list[Floats]:
    """(signal,) each, of the finite ones of each column, between neighbours; 0 where there are none.

    Sorted columns are far faster than numpy's nanquantile, which goes column by column.
    """
    ordered, column = np.sort(x, axis=0), np.arange(x.shape[1])  # gaps last
    n = np.isfinite(x).sum(axis=0)
    found = []
    for q in of:
        at = q * np.maximum(n - 1, 0)
        below = np.floor(at).astype(np.int64)
        a, b = ordered[below, column], ordered[np.minimum(below + 1, np.maximum(n - 1, 0)), column]
        found.append(np.asarray(np.where(n > 0, a + (b - a) * (at - below), 0.0)))
    return found


def worst(score: Floats) -> Floats:
    """(signal,) the largest of a window, -inf where there is none."""
    return np.asarray(np.where(np.isnan(score), -np.inf, score).max(axis=0, initial=-np.inf))


def per_candidate(case: Case, score: Floats) -> Floats:
    """(candidate,) the largest (signal,) score among its signals."""
    number = {name: i for i, name in enumerate(case.candidates)}
    best = np.full(len(case.candidates), -np.inf)
    for signal, s in zip(case.signals, score.tolist(), strict=True):
        if (i := number.get(signal.entity)) is not None:
            best[i] = max(best[i], s)
    return best


def correlation(case: Case) -> tuple[Floats, Floats]:
    """(signal,) |Pearson's r| with what alarmed over the window, and over how many rows; r 0 where there is none.

    Only of the kind that alarmed: latencies with latencies. Fewer than 3 rows in common are no correlation.
    """
    kind = case.signals[case.target].kind
    like = np.array([s.kind == kind for s in case.signals])
    y = case.window[:, [case.target]]
    both = np.isfinite(case.window) & np.isfinite(y) & like
    n = both.sum(axis=0).astype(float)
    x, y = np.where(both, case.window, 0), np.where(both, y, 0)
    with np.errstate(all="ignore"):
        x, y = (np.where(both, v - v.sum(axis=0) / n, 0) for v in (x, y))
        r = np.abs((x * y).sum(axis=0) / np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0)))
    return np.where((n >= 3) & np.isfinite(r), np.minimum(r, 1), 0.0), n


def calls(case: Case) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """(caller, callee) among candidates, from the published graph."""
    number = {name: i for i, name in enumerate(case.candidates)}
    adjacent = np.zeros((len(number), len(number)), np.bool_)
    for caller, callee in case.edges:
        if caller in number and callee in number:
            adjacent[number[caller], number[callee]] = True
    return adjacent


def stationary(weight: Floats, home: Floats, damping: float) -> Floats:
    """(node,) where a walker is in the long run: along weight (from, to), or with 1 - damping home; dead ends go home.

    Page, Brin, Motwani & Winograd (1998), with personal homes. Where home is all zero, every node is one.
    """
    n = len(home)
    home = home / home.sum() if home.sum() > 0 else np.full(n, 1 / n)
    out = weight.sum(axis=1, keepdims=True)
    step = np.where(out > 0, weight / np.where(out > 0, out, 1), home)
    return np.linalg.solve(np.eye(n) - damping * step.T, (1 - damping) * home)
