"""Scores, episodes and intervals that several benchmarks share; and the detector over arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect.base import Scores
from airis_mon.detect.detectors.record import Record

Array = NDArray[Any]
START = 1_700_000_000_000
LINE = 0.8


def folder(name: str, data: Path | None = None) -> Path:
    """Where a public set lies: AIRIS_BENCH_DATA, by default `../shared/data`."""
    root = data or Path(os.environ.get("AIRIS_BENCH_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    if not (root / name).is_dir():
        raise FileNotFoundError(f"{root / name} is no folder; set AIRIS_BENCH_DATA to where the public sets lie")
    return root / name


def judge_series(t: Array, value: Array) -> Scores:
    """The shipped detector over one series, in file order."""
    bank = Record()
    bank.reserve(1)
    return bank.update(np.zeros(len(t), np.int32), t, value)


def judge_matrix(value: Array, step_ms: int, start: int = START) -> tuple[Array, Array, Scores]:
    """The shipped detector over a (time, metric) matrix; slot, t and scores row by row."""
    n, m = value.shape
    bank = Record()
    bank.reserve(m)
    slot, t = np.tile(np.arange(m, dtype=np.int32), n), np.repeat(start + np.arange(n) * step_ms, m)
    return slot, t, bank.update(slot, t, value.ravel())


def rolling_z(value: Array, window: int = 100, least: int = 20) -> Array:
    """|z| against mean and population deviation of the last `window` values, the present one excluded."""
    x = np.nan_to_num(np.asarray(value, float))
    total, square = np.cumsum(np.append(0, x - x[0])), np.cumsum(np.append(0, (x - x[0]) ** 2))
    end = np.arange(len(x))
    begin = np.maximum(end - window, 0)
    count = np.maximum(end - begin, 1)
    mean = (total[end] - total[begin]) / count
    spread = np.maximum((square[end] - square[begin]) / count - mean**2, 1e-12 * (1 + (mean + x[0]) ** 2))
    return np.where(end < least, 0.0, np.abs(x - x[0] - mean) / np.sqrt(spread))


def average_precision(label: Array, score: Array) -> float:
    """Area under precision over recall, stepwise; equal scores are one step."""
    order = np.argsort(-score, kind="stable")
    hit, s = label[order] > 0, score[order]
    last = np.append(s[1:] != s[:-1], True)
    found, taken = np.cumsum(hit)[last], np.flatnonzero(last) + 1
    return float(np.sum(np.diff(np.append(0, found)) * found / taken) / max(hit.sum(), 1))


def best_f1(label: Array, score: Array) -> float:
    """Point F1 at the threshold that is best for these very labels: an upper bound, not a result."""
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(label[order] > 0)
    return float((2 * found / (np.arange(len(label)) + 1 + (label > 0).sum())).max())


def runs(flag: Array) -> list[tuple[int, int]]:
    """Where a 0/1 array is 1: [start, end) of each run."""
    edge = np.diff(np.concatenate([[0], (np.asarray(flag) > 0).astype(int), [0]]))
    return list(zip(np.flatnonzero(edge == 1).tolist(), np.flatnonzero(edge == -1).tolist(), strict=True))


def episodes(rows: Array, gap: int) -> int:
    """Alarms (row numbers, rising) closer than `gap` rows are one episode."""
    return int(len(rows) > 0) + int((np.diff(rows) >= gap).sum())


def interval(cases: Sequence[Any], score: Callable[[Sequence[Any]], float], draws: int = 1000) -> list[float]:
    """The middle 95 % of a score over cases drawn with replacement."""
    rng = np.random.default_rng(0)
    drawn = [score([cases[i] for i in rng.integers(0, len(cases), len(cases))]) for _ in range(draws)]
    return [float(q) for q in np.quantile(drawn, [0.025, 0.975])]
