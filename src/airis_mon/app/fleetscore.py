"""Forecasts held against what then happened: errors beside those of seasonal naive, and what the intervals held."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from airis_mon.series.batch import Times, Values
from airis_mon.series.steps import Steps
from airis_mon.store.base import Foreseen, Indexes, Outcomes

Key = tuple[int, str]
"""A signal: fingerprint and kind."""
SHARES = (1 / 24, 1 / 4, 1.0)
"""A round is scored when these shares of its horizon have passed: of a day the first hour, the next five, the rest."""


def leads(horizon_ms: int, step_ms: int) -> list[tuple[int, int]]:
    """(after, until) of the parts of a round that are scored apart, ms ahead of it."""
    ends = sorted({max(1, round(share * horizon_ms / step_ms)) * step_ms for share in SHARES})
    return list(zip([0, *ends[:-1]], ends, strict=True))


def outcome(
    points: Foreseen, actual: Values, rows: Mapping[Key, int], steps: Steps, season: int, lead: int
) -> Outcomes:
    """What became of one round's points. actual: (signals, steps), NaN = unknown; season: points, 0 = none.

    Points without a value, or whose signal had none before the round, are left out.
    """
    row = _rows(points, rows)
    column = np.asarray((points.t - steps.start) // steps.step)
    is_here = (row >= 0) & ((points.t - steps.start) % steps.step == 0) & (column >= 0) & (column < steps.count)
    is_here &= points.made >= steps.start
    at = np.flatnonzero(is_here)
    happened = actual[row[at], column[at]]
    naive = _naive(actual, row[at], column[at], np.asarray((points.made[at] - steps.start) // steps.step), season)
    is_told = np.isfinite(happened) & np.isfinite(points.mean[at]) & np.isfinite(naive)
    at, happened, naive = at[is_told], happened[is_told], naive[is_told]
    return _summed(points, at, happened, naive, lead)


def covered_share(found: Outcomes, rows: Mapping[Key, int], signals: int) -> Values:
    """(signals,) share of what happened that the intervals held, NaN = nothing was seen."""
    row = np.array([rows.get((int(f), found.kinds[k]), -1) for f, k in zip(found.fp, found.kind, strict=True)], np.intp)
    known = row >= 0
    banded = np.bincount(row[known], found.banded[known], signals)
    covered = np.bincount(row[known], found.covered[known], signals)
    return np.where(banded > 0, covered / np.maximum(banded, 1), np.nan)


def joined(found: list[Outcomes]) -> Outcomes:
    """One after another; they know the same kinds and models."""
    if not found:
        return Outcomes.empty()
    kinds = tuple(sorted({k for o in found for k in o.kinds}))
    models = tuple(sorted({m for o in found for m in o.models}))
    columns = ("fp", "made", "lead", "points", "error", "naive", "banded", "covered", "level", "runs")
    return Outcomes(
        **{name: np.concatenate([getattr(o, name) for o in found]) for name in columns},
        kind=np.concatenate([_moved(o.kind, o.kinds, kinds) for o in found]),
        model=np.concatenate([_moved(o.model, o.models, models) for o in found]),
        kinds=kinds,
        models=models,
    )


def _moved(index: Indexes, words: tuple[str, ...], into: tuple[str, ...]) -> Indexes:
    places = np.array([into.index(word) for word in words], np.int64)
    return places[index] if len(places) else index


def _rows(points: Foreseen, rows: Mapping[Key, int]) -> Indexes:
    """The row of each point's signal, -1 = it is not among them."""
    code = np.stack([points.fp, points.kind.astype(np.uint64)])
    unique, back = np.unique(code, axis=1, return_inverse=True)
    found = [rows.get((int(fp), points.kinds[int(kind)]), -1) for fp, kind in unique.T]
    return np.array(found, np.int64)[back.reshape(-1)] if found else np.empty(0, np.int64)


def _naive(actual: Values, row: Indexes, column: Times, known: Times, season: int) -> Values:
    """What repeating the last season before the round (column `known`) says; the latest value where that is a gap."""
    latest = _latest(actual)[row, known]
    if not season:
        return np.asarray(latest)
    back = column - -(-(column - known) // season) * season
    before = np.where(back >= 0, actual[row, np.maximum(back, 0)], np.nan)
    return np.where(np.isfinite(before), before, latest)


def _latest(actual: Values) -> Values:
    """(signals, steps) the latest value known at each step."""
    place = np.where(np.isfinite(actual), np.arange(actual.shape[1]), 0)
    return np.take_along_axis(actual, np.maximum.accumulate(place, axis=1), axis=1)


def _summed(points: Foreseen, at: Indexes, happened: Values, naive: Values, lead: int) -> Outcomes:
    """Sums by signal; within a round a signal has one model."""
    code = np.stack([points.fp[at], points.kind[at].astype(np.uint64)])
    unique, first, back = np.unique(code, axis=1, return_index=True, return_inverse=True)
    n, back = unique.shape[1], back.reshape(-1)
    lower, upper = points.lower[at], points.upper[at]
    banded = np.isfinite(lower) & np.isfinite(upper)
    covered = banded & (lower <= happened) & (happened <= upper)
    one = at[first]
    return Outcomes(
        fp=unique[0],
        kind=unique[1].astype(np.int64),
        made=points.made[one],
        lead=np.full(n, lead, np.int64),
        model=points.model[one],
        points=np.bincount(back, minlength=n).astype(np.int64),
        error=_sums(back, np.abs(points.mean[at] - happened), n),
        naive=_sums(back, np.abs(naive - happened), n),
        banded=np.bincount(back, banded, n).astype(np.int64),
        covered=np.bincount(back, covered, n).astype(np.int64),
        level=points.level[one],
        kinds=points.kinds,
        models=points.models,
        runs=np.ones(n, np.int64),
    )


def _sums(group: Indexes, value: Values, groups: int) -> Values:
    return np.bincount(group, value, groups).astype(np.float64)
