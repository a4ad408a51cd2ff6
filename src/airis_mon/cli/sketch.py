"""What a person wants to know after a file was judged: counts, the worst values, and a picture of the worst series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.cli.judged import Judged
from airis_mon.cli.plot import BLOCKS, farthest, in_blocks
from airis_mon.series.batch import Ids, Values
from airis_mon.series.kernel import kernel

WIDTH = 60
PICTURED = 10_000
"""A picture is kept of so many series, the first ones (10 MB)."""
TOP = 5


@dataclass(frozen=True, slots=True)
class Worst:
    """One value that was judged an anomaly; feature is an index into the detector's names, -1 = none."""

    sid: int
    t: int
    value: float
    score: float
    expected: float
    lower: float
    upper: float
    feature: int


class Summary:
    """Counts per series and the `TOP` highest scores, gathered piece by piece."""

    def __init__(self) -> None:
        self.values = 0
        self.gaps = 0
        self.skipped = 0
        self.anomalies: Ids = np.zeros(0, np.int32)  # (series,)
        self.highest: Values = np.zeros(0)  # (series,) score
        self.top: list[Worst] = []
        self._low = np.zeros((0, WIDTH))
        self._high = np.zeros((0, WIDTH))
        self._mark = np.zeros((0, WIDTH), np.bool_)
        self._seen = np.zeros((0, 2), np.int64)  # values, values per place

    def add(self, judged: Judged, series: int) -> None:
        """Takes a piece; `series` are known by now."""
        self._grow(series)
        flags = judged.is_anomaly
        self.values += len(judged)
        self.gaps += int((~np.isfinite(judged.value)).sum())
        np.add.at(self.anomalies, judged.sid[flags], 1)
        np.maximum.at(self.highest, judged.sid[flags], judged.scores.score[flags])
        self._take_top(judged, np.flatnonzero(flags))
        _draw(judged.sid, judged.value, flags, self._seen, self._low, self._high, self._mark)

    def worst_series(self) -> int | None:
        """The sid with the highest score, of several the one with most anomalies; None when nothing was unusual."""
        if not self.anomalies.any():
            return None
        return int(np.lexsort((self.anomalies, self.highest))[-1])

    def picture(self, sid: int, blocks: str = BLOCKS) -> tuple[str, str] | None:
        """A line of a series' values and a line of marks under its anomalies, None when no picture was kept."""
        if sid >= len(self._seen) or self._seen[sid, 0] == 0:
            return None
        places = -(-self._seen[sid, 0] // self._seen[sid, 1])
        low, high = self._low[sid, :places], self._high[sid, :places]
        mark = self._mark[sid, :places]
        return in_blocks(farthest(low, high), blocks), "".join("^" if m else " " for m in mark).rstrip()

    def _take_top(self, judged: Judged, rows: NDArray[np.intp]) -> None:
        rows = rows[np.argsort(-judged.scores.score[rows], kind="stable")[:TOP]]
        for i in rows.tolist():
            self.top.append(
                Worst(
                    int(judged.sid[i]),
                    int(judged.t[i]),
                    float(judged.value[i]),
                    float(judged.scores.score[i]),
                    float(judged.bands.expected[i]),
                    float(judged.bands.lower[i]),
                    float(judged.bands.upper[i]),
                    int(judged.scores.feature[i]),
                )
            )
        self.top = sorted(self.top, key=lambda w: -w.score)[:TOP]

    def _grow(self, series: int) -> None:
        if (more := series - len(self.anomalies)) > 0:
            self.anomalies = np.concatenate([self.anomalies, np.zeros(more, np.int32)])
            self.highest = np.concatenate([self.highest, np.zeros(more)])
        if (more := min(series, PICTURED) - len(self._seen)) > 0:
            fresh = np.zeros((more, WIDTH))
            self._low, self._high = np.concatenate([self._low, fresh]), np.concatenate([self._high, fresh])
            self._mark = np.concatenate([self._mark, fresh.astype(np.bool_)])
            self._seen = np.concatenate([self._seen, np.tile(np.array([[0, 1]]), (more, 1))])


@kernel
def _draw(
    sid: Ids,
    value: Values,
    flags: NDArray[np.bool_],
    seen: NDArray[np.int64],
    low: Values,
    high: Values,
    mark: NDArray[np.bool_],
) -> None:
    """Keeps lowest and highest value of each of `WIDTH` places; when they are full, each takes in its neighbour."""
    for i in range(len(sid)):
        s = sid[i]
        if s >= len(seen):
            continue
        if seen[s, 0] == WIDTH * seen[s, 1]:
            for p in range(WIDTH // 2):
                low[s, p] = _lower(low[s, 2 * p], low[s, 2 * p + 1])
                high[s, p] = -_lower(-high[s, 2 * p], -high[s, 2 * p + 1])
                mark[s, p] = mark[s, 2 * p] or mark[s, 2 * p + 1]
            seen[s, 1] *= 2
        p = seen[s, 0] // seen[s, 1]
        is_first = seen[s, 0] % seen[s, 1] == 0
        x = value[i] if np.isfinite(value[i]) else np.nan
        low[s, p] = x if is_first else _lower(low[s, p], x)
        high[s, p] = x if is_first else -_lower(-high[s, p], -x)
        mark[s, p] = flags[i] or (mark[s, p] and not is_first)
        seen[s, 0] += 1


@kernel
def _lower(a: float, b: float) -> float:
    if np.isnan(a) or b < a:
        return b
    return a
