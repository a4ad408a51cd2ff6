"""The highest score of the last ten minutes per signal: what `aiops_anomaly_score` shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect.base import Floats
from airis_mon.series.batch import Ids, Times

MINUTES = 10
MINUTE_MS = 60_000


class Peaks:
    """One maximum per signal and minute, eleven minutes of them, so that `> 0.8` with `for: 5m` can fire.

    A maximum counts from its sample until ten to eleven minutes later.
    """

    def __init__(self) -> None:
        self._peak = np.zeros((MINUTES + 1, 0), np.float32)  # (minute mod 11, slot)
        self._minute = np.full(MINUTES + 1, -1, np.int64)  # which minute a row holds

    def add(self, slot: Ids, t: Times, score: Floats, now: int) -> None:
        """Takes scores of one batch in; (n,) each, t in ms. A time ahead of `now` counts as now."""
        rows = np.flatnonzero(score > 0)
        if not len(rows):
            return
        self._reach(int(slot[rows].max()) + 1)
        minutes = np.minimum(t[rows], now) // MINUTE_MS  # else one sender with a fast clock would clear the others'
        for minute in np.unique(minutes):
            row = minute % (MINUTES + 1)
            if self._minute[row] > minute:
                continue  # ten minutes late: nobody looks at it any more
            if self._minute[row] < minute:
                self._peak[row] = 0
                self._minute[row] = minute
            these = rows[minutes == minute]
            np.maximum.at(self._peak[row], slot[these], score[these])

    def highest(self, now: int, size: int) -> Floats:
        """(size,) the highest score of each slot over the last ten minutes."""
        self._reach(size)
        recent = self._minute > now // MINUTE_MS - MINUTES - 1
        highest: Floats = self._peak[recent].max(axis=0, initial=0)[:size]
        return highest

    def forget(self, slots: NDArray[np.int32]) -> None:
        """Clears slots that will be given to other signals."""
        self._reach(int(slots.max(initial=-1)) + 1)
        self._peak[:, slots] = 0

    def _reach(self, size: int) -> None:
        if (missing := size - self._peak.shape[1]) > 0:
            self._peak = np.pad(self._peak, ((0, 0), (0, max(missing, 1024))))
