"""False episodes per series-day on NAB against a rolling z-score (window 100) at equal recall.

Both thresholds come from one half of the files: ours where NAB's standard score is best, the rival's where it finds
the same share of windows. Counted on the other half: alarms outside windows, after probation, those closer than 100
rows being one episode. z at 3 stands beside for the eye only: its recall is another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoring import nab
from benchmarks.scoring.judging import LINE, Array, episodes, folder, interval, judge_series, rolling_z

SPLITS = 4


def measure(data: Path | None = None, *, quick: bool = False) -> dict[str, Any]:
    """Means over 4 splits x 2 halves; `saving` is the share of the rival's episodes that does not come."""
    files = nab.load(folder("nab", data))
    ours = [judge_series(f.t, f.value).score for f in files]
    rival = [rolling_z(f.value) for f in files]
    board = nab.Board(files, ours)
    cases = [_case(files, ours, rival, board, half) for half in nab.halves(files, SPLITS)]
    line = [_false(f, s, LINE) for f, s in zip(files, ours, strict=True)]
    at_line = {"episodes": _rate(line), "recall": _recall(files, ours, LINE)}
    return {
        "record": {"episodes": _mean(cases, 0), "recall": _mean(cases, 1)},
        "rolling_z_100": {"episodes": _mean(cases, 2), "recall": _mean(cases, 3)},
        "saving": _saving(cases),
        "saving_interval": interval(cases, _saving, 100 if quick else 1000),
        "record_at_line": at_line | {"false_points": sum(f[2] for f in line) / sum(f[1] for f in line)},
        "z_above_3": {
            "episodes": _rate([_false(f, s, 3.0) for f, s in zip(files, rival, strict=True)]),
            "recall": _recall(files, rival, 3.0),
        },
    }


def _case(files: list[nab.File], ours: list[Array], rival: list[Array], board: nab.Board, half: Array) -> list[float]:
    """Episodes per series-day and recall of both, on the half that chose nothing."""
    threshold = board.best(half)[0]
    wanted = _recall(_part(files, half), _part(ours, half), threshold)
    theirs = _threshold_for(_part(files, half), _part(rival, half), wanted)
    rest = _part(files, ~half)
    found = []
    for scores, limit in ((_part(ours, ~half), threshold), (_part(rival, ~half), theirs)):
        found += [_rate([_false(f, s, limit) for f, s in zip(rest, scores, strict=True)]), _recall(rest, scores, limit)]
    return found


def _part(items: list[Any], half: Array) -> list[Any]:
    return [item for item, chosen in zip(items, half, strict=True) if chosen]


def _peaks(files: list[nab.File], scores: list[Array]) -> Array:
    """The highest score in each window."""
    spans = [(s, max(a, f.start), b) for f, s in zip(files, scores, strict=True) for a, b in f.windows]
    return np.array([s[a : b + 1].max(initial=-1) for s, a, b in spans])


def _recall(files: list[nab.File], scores: list[Array], threshold: float) -> float:
    return float((_peaks(files, scores) >= threshold).mean())


def _threshold_for(files: list[nab.File], scores: list[Array], recall: float) -> float:
    """The highest threshold that finds at least that share of windows."""
    peaks = np.sort(_peaks(files, scores))[::-1]
    return float(peaks[max(int(np.ceil(recall * len(peaks) - 1e-9)) - 1, 0)])


def _false(file: nab.File, score: Array, threshold: float) -> tuple[int, float, int]:
    """Episodes outside windows, days watched (rows after probation at the usual distance), false points."""
    outside = np.arange(len(score)) >= file.start
    for left, right in file.windows:
        outside[left : right + 1] = False
    rows = np.flatnonzero(outside & (score >= threshold))
    return episodes(rows, 100), (len(score) - file.start) * float(np.median(np.diff(file.t))) / 86_400_000, len(rows)


def _rate(counts: list[tuple[int, float, int]]) -> float:
    return sum(c[0] for c in counts) / sum(c[1] for c in counts)


def _mean(cases: list[list[float]], column: int) -> float:
    return float(np.mean([c[column] for c in cases]))


def _saving(cases: Any) -> float:
    return float(1 - sum(c[0] for c in cases) / sum(c[2] for c in cases))


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
