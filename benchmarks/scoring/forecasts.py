"""M4 hourly and how its forecasts are scored: sMAPE, MASE, OWA, MSIS and coverage, as the competition defined them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.scoring.judging import Array

DAY, WEEK, HORIZON = 24, 168, 48
NAIVE2 = (18.383, 2.395)
"""Published sMAPE and MASE of Naive2 on M4 hourly, the measure of OWA."""


@dataclass(frozen=True)
class Set:
    """value: (series, time) that ends where the forecast begins, NaN = not begun. actual: (series, horizon)."""

    value: Array
    actual: Array

    @property
    def scale(self) -> Array:
        """(series,) mean absolute difference of one day over what is known: the unit of MASE and MSIS."""
        unit: Array = np.nanmean(np.abs(self.value[:, DAY:] - self.value[:, :-DAY]), axis=1)
        return unit

    def every(self, step: int) -> Set:
        """Some of the series."""
        return Set(self.value[::step], self.actual[::step])

    def held_out(self) -> Set:
        """The training part alone: its last horizon is to be forecast. For choosing; the test part judges."""
        return Set(self.value[:, :-HORIZON], self.value[:, -HORIZON:])


def load(at: Path) -> Set:
    """The 414 series, in the order of their numbers."""
    columns = pq.read_table(at / "series.parquet").to_pydict()
    parts: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for name, split, t, value in zip(*(columns[c] for c in ("id", "split", "t", "value")), strict=True):
        parts.setdefault((split, name), []).append((t, value))
    names = sorted({name for _, name in parts}, key=lambda name: int(name[1:]))
    train = [np.array([v for _, v in sorted(parts["train", name])]) for name in names]
    whole = np.full((len(names), max(map(len, train))), np.nan)
    for row, known in zip(whole, train, strict=True):
        row[-len(known) :] = known
    return Set(whole, np.array([[v for _, v in sorted(parts["test", name])] for name in names]))


def judge(data: Set, mean: Array, lower: Array | None = None, upper: Array | None = None) -> dict[str, float]:
    """Means over series; with intervals of 95 % also MSIS and the share of points inside."""
    a = data.actual
    size = np.abs(a) + np.abs(mean)
    smape = float(np.mean(np.divide(200 * np.abs(a - mean), size, out=np.zeros_like(a), where=size > 0)))
    mase = float(np.mean(np.abs(a - mean).mean(axis=1) / data.scale))
    found = {"smape": smape, "mase": mase, "owa": owa(smape, mase)}
    if lower is not None and upper is not None:
        missed = np.maximum(lower - a, 0) + np.maximum(a - upper, 0)
        found["msis"] = float(np.mean((upper - lower + 2 / 0.05 * missed).mean(axis=1) / data.scale))
        found["coverage"] = float(np.mean((a >= lower) & (a <= upper)))
    return found


def owa(smape: float, mase: float) -> float:
    """Overall weighted average: the mean of both in units of Naive2."""
    return (smape / NAIVE2[0] + mase / NAIVE2[1]) / 2


def ranks(at: Path, found: dict[str, float]) -> dict[str, Any]:
    """Where the figures would stand among the published ones, 1 = best, and out of how many."""
    with (at / "published_scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = {"smape": "sMAPE_Hourly", "mase": "MASE_Hourly", "owa": "OWA_Hourly", "msis": "MSIS_Hourly"}
    answer: dict[str, Any] = {}
    for name, column in names.items():
        published = [float(row[column]) for row in rows if row[column]]
        better = sum(value < found[name] for value in published)
        answer[name] = {"rank": better + 1, "of": len(published) + 1, "best": min(published)}
    return answer
