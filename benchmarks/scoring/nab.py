"""The official NAB score, written from the rules in the corpus' README; `quality_nab` proves it on the scoreboard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

Array = NDArray[Any]

PROFILES = {"standard": (0.11, 1.0), "reward_low_FP_rate": (0.22, 1.0), "reward_low_FN_rate": (0.11, 2.0)}
"""What a false alarm and a missed window cost; a found window earns 1."""


@dataclass(frozen=True)
class File:
    """One series: t (n,) ms, value (n,), windows as inclusive pairs of rows, the first row that counts."""

    name: str
    t: Array
    value: Array
    windows: list[tuple[int, int]]
    start: int

    @property
    def folder(self) -> str:
        """The corpus' folder: what kind of series it is."""
        return self.name.split("/")[0]


def load(folder: Path) -> list[File]:
    """All 58 files, in the order of the corpus."""
    table = pq.read_table(folder / "series.parquet")
    names = np.asarray(table["file"].combine_chunks().dictionary_decode().to_pylist())
    stamps = table["timestamp"].to_numpy().astype("datetime64[us]")
    values = table["value"].to_numpy()
    official = json.loads((folder / "combined_windows.json").read_text())
    cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    return [_file(str(names[a]), stamps[a:b], values[a:b], official[str(names[a])]) for a, b in pairwise(cuts)]


def _file(name: str, stamps: Array, values: Array, official: list[list[str]]) -> File:
    windows = []
    for left, right in official:
        rows = np.flatnonzero((stamps >= np.datetime64(left)) & (stamps <= np.datetime64(right)))
        windows.append((int(rows[0]), int(rows[-1])))
    t = stamps.astype("datetime64[ms]").astype(np.int64)
    return File(name, t, values, windows, int(min(0.15 * len(t), 750)))


def published(folder: Path, files: Sequence[File]) -> dict[str, list[Array]]:
    """Stored scores of published detectors, file by file."""
    table = pq.read_table(folder / "published_detector_scores.parquet")
    ends = np.cumsum([len(f.t) for f in files])[:-1]
    return {d: np.split(table[d].to_numpy(), ends) for d in table.column_names if d not in {"file", "timestamp"}}


def _sigma(x: Array) -> Array:
    return np.where(x > 3, -1.0, 2 / (1 + np.exp(np.clip(5 * x, -700, 700))) - 1)


class Board:
    """What each row of the corpus adds to the score when the threshold sinks to the row's score."""

    def __init__(self, files: Sequence[File], scores: Sequence[Array], profile: str = "standard") -> None:
        self.files = files
        self._fp, self._fn = PROFILES[profile]
        parts = [self._rows(k, f, np.asarray(s, float)) for k, (f, s) in enumerate(zip(files, scores, strict=True))]
        score, gain, owner = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(-score, kind="stable")
        self._score, self._gain, self._owner = score[order], gain[order], owner[order]

    def _rows(self, number: int, file: File, score: Array) -> tuple[Array, Array, Array]:
        n = len(score)
        gain = np.full(n, -self._fp)
        for left, right in file.windows:  # each window sets the price of the rows behind it
            behind = np.arange(right + 1, n)
            gain[right + 1 :] = self._fp * _sigma((behind - right) / max(right - left, 1))
        for left, right in file.windows:
            gain[left : right + 1] = 0
            self._window(score, gain, max(left, file.start), left, right)
        use = np.arange(n) >= file.start
        return score[use], gain[use], np.full(int(use.sum()), number)

    def _window(self, score: Array, gain: Array, first: int, left: int, right: int) -> None:
        """Only the earliest detection counts: a row earns what it adds to the best of the rows above it."""
        if right < first:
            return
        rows = np.arange(first, right + 1)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        credit = _sigma(-(right - rows + 1) / (right - left + 1)) / float(_sigma(np.array(-1.0)))
        gain[rows] = np.diff(np.maximum.accumulate(credit), prepend=-self._fn)

    def per_file(self, threshold: float) -> Array:
        """(files,) what each adds to the score of nothing, before it is put on the scale of 100."""
        rows = self._score >= threshold
        return np.bincount(self._owner[rows], self._gain[rows], len(self.files))

    def scaled(self, gains: Array, chosen: Sequence[int] | Array) -> float:
        """The official scale: 0 = no detection at all, 100 = every window at its start and no false alarm."""
        windows = sum(len(self.files[i].windows) for i in chosen)
        return float(100 * gains[chosen].sum() / max(windows * (1 + self._fn), 1e-9))

    def at(self, threshold: float, chosen: Array | None = None) -> float:
        """The score of the chosen files at a given threshold."""
        return self.scaled(self.per_file(threshold), self._chosen(chosen))

    def best(self, chosen: Array | None = None) -> tuple[float, float]:
        """The threshold above 0 that is best on the chosen files, and their score there."""
        files = self._chosen(chosen)
        rows = np.isin(self._owner, files)
        score, total = self._score[rows], np.cumsum(self._gain[rows])
        ends = np.flatnonzero(np.append(score[1:] != score[:-1], True) & (score > 0))
        if not len(ends) or total[ends].max() <= 0:
            return float("inf"), 0.0
        threshold = float(score[ends[total[ends].argmax()]])
        return threshold, self.at(threshold, chosen)

    def _chosen(self, mask: Array | None) -> Array:
        return np.arange(len(self.files)) if mask is None else np.flatnonzero(mask)


def halves(files: Sequence[File], splits: int = 6) -> list[Array]:
    """2 x splits masks of half the files, every folder shared out evenly; each mask is followed by its complement."""
    rng = np.random.default_rng(0)
    folders = np.array([f.folder for f in files])
    masks: list[Array] = []
    for _ in range(splits):
        mask = np.zeros(len(files), np.bool_)
        odd = 0
        for name in np.unique(folders):
            rows = rng.permutation(np.flatnonzero(folders == name))
            mask[rows[odd::2]] = True
            odd ^= len(rows) & 1
        masks += [mask, ~mask]
    return masks


def corpus_and_cross(files: Sequence[File], scores: Sequence[Array], profile: str = "standard") -> dict[str, float]:
    """corpus: the one threshold best for all files. cross: threshold from the other half, mean of 12 halves."""
    board = Board(files, scores, profile)
    threshold, value = board.best()
    cross = [board.at(board.best(half)[0], ~half) for half in halves(files)]
    return {"corpus": value, "threshold": threshold, "cross": float(np.mean(cross))}
