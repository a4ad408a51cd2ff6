"""Outcomes of forecasts, summed up: by signal, by model, by how far ahead, and of all together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from airis_mon.app.fleetscore import Key
from airis_mon.store.base import Indexes, Outcomes

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good forecasts were; None = nothing to tell it from.

    error, naive: mean absolute error and that of seasonal naive over the same points; of several signals in units that
    may differ. scaled: error / naive; of several signals the median of theirs. better: share of signals with less
    error than seasonal naive. coverage: share of points within the interval that was to hold `level`.
    """

    signals: int
    points: int
    error: float | None
    naive: float | None
    scaled: float | None
    better: float | None
    coverage: float | None
    level: float | None


def of_all(found: Outcomes) -> Accuracy:
    """Of all signals together."""
    return _accuracy(found, np.arange(len(found.fp)))


def by_signal(found: Outcomes) -> dict[Key, Accuracy]:
    """Of each signal alone, all models and leads together."""
    keys = [(int(fp), found.kinds[kind]) for fp, kind in zip(found.fp, found.kind.tolist(), strict=True)]
    return {key: _accuracy(found, rows) for key, rows in _groups(keys)}


def by_model(found: Outcomes) -> dict[str, Accuracy]:
    """Of each model, or mixture of models, that was chosen."""
    return {model: _accuracy(found, rows) for model, rows in _groups([found.models[m] for m in found.model.tolist()])}


def by_lead(found: Outcomes) -> dict[int, Accuracy]:
    """Of the points up to so far ahead, ms."""
    return {lead: _accuracy(found, rows) for lead, rows in _groups(found.lead.tolist())}


def _groups(keys: Iterable[K]) -> list[tuple[K, Indexes]]:
    rows: dict[K, list[int]] = {}
    for i, key in enumerate(keys):
        rows.setdefault(key, []).append(i)
    return [(key, np.array(at, np.int64)) for key, at in rows.items()]


def _accuracy(found: Outcomes, rows: Indexes) -> Accuracy:
    of = [(int(fp), int(kind)) for fp, kind in zip(found.fp[rows], found.kind[rows], strict=True)]
    place = {key: i for i, key in enumerate(dict.fromkeys(of))}
    group = np.array([place[key] for key in of], np.intp)
    error, naive = (np.bincount(group, part[rows], len(place)) for part in (found.error, found.naive))
    points, banded, covered = (int(part[rows].sum()) for part in (found.points, found.banded, found.covered))
    is_told = naive > 0
    ratio = error[is_told] / naive[is_told]
    return Accuracy(
        signals=len(place),
        points=points,
        error=float(error.sum()) / points if points else None,
        naive=float(naive.sum()) / points if points else None,
        scaled=float(np.median(ratio)) if len(ratio) else None,
        better=float((ratio < 1).mean()) if len(ratio) else None,
        coverage=covered / banded if banded else None,
        level=float(found.level[rows[-1]]) if len(rows) else None,
    )
