"""Statistics of a live time window: samples come in, old ones leave, any figure can be had at any moment."""

from __future__ import annotations

import numpy as np

from airis_mon.analyze.base import Statistics
from airis_mon.analyze.statistics import statistics
from airis_mon.errors import InputError
from airis_mon.series.batch import Times, Values

MOST = 100_000
"""Samples that a window holds at most: 1.6 MB."""


class Rolling:
    """The samples of the last `window_ms`, (newest - window_ms, newest]; NaN is a gap and is left out.

    Figures are computed when they are asked for, from the samples themselves: sums that are kept up by adding and
    taking away lose their digits, and a median cannot be kept at all. Adding is O(new); asking O(n log n), 20 us for
    300 samples. Memory is bounded: beyond `most` samples the oldest leave early, and `is_cut` says so.

    >>> live = Rolling(60_000)
    >>> live.add(np.array([0, 30_000, 70_000]), np.array([1.0, 2.0, 4.0]))
    >>> live.statistics().mean
    3.0
    """

    def __init__(self, window_ms: int, most: int = MOST) -> None:
        if window_ms < 1 or most < 1:
            raise InputError(f"window_ms {window_ms} and most {most} must be >= 1")
        self.window_ms, self.most = window_ms, most
        self._t, self._value = np.empty(0, np.int64), np.empty(0)
        self._first = self._after = 0
        self._newest: int | None = None
        self._lost: int | None = None

    def __len__(self) -> int:
        return self._after - self._first

    @property
    def t(self) -> Times:
        """(n,) ms, ascending: of the samples in the window."""
        return self._t[self._first : self._after]

    @property
    def value(self) -> Values:
        """(n,) of the samples in the window, in order of time."""
        return self._value[self._first : self._after]

    @property
    def last(self) -> float | None:
        """The newest value."""
        return float(self._value[self._after - 1]) if len(self) else None

    @property
    def is_cut(self) -> bool:
        """Whether samples that belong to the window had to leave, because there are more than `most`."""
        return self._lost is not None and self._newest is not None and self._lost > self._newest - self.window_ms

    def add(self, t: Times, value: Values) -> None:
        """Takes the samples t (n,) ms, value (n,), ascending and not before those it has. Raises InputError."""
        t, value = np.asarray(t, np.int64), np.asarray(value, np.float64)
        if t.shape != value.shape or t.ndim != 1:
            raise InputError(f"t {t.shape} and value {value.shape} must be one-dimensional and of one length")
        if len(t) == 0:
            return
        if (t[1:] < t[:-1]).any() or (self._newest is not None and t[0] < self._newest):
            raise InputError(f"samples must ascend in time: {t.min()} ms comes after {max(t[0], self._newest or t[0])}")
        kept = np.isfinite(value)
        self._append(t[kept], value[kept])
        self.advance(int(t[-1]))

    def advance(self, now: int) -> None:
        """Lets go what is `window_ms` or more before `now`, in ms; an earlier time than the newest changes nothing."""
        self._newest = now if self._newest is None else max(now, self._newest)
        self._first += int(np.searchsorted(self.t, self._newest - self.window_ms, side="right"))

    def statistics(self) -> Statistics | None:
        """Of the values in the window, as `analyze.statistics` tells them; None of an empty one."""
        return statistics(self.value.copy()) if len(self) else None

    def rate(self) -> float | None:
        """By how much the value rose per second from the first sample to the last; None without two moments."""
        if len(self) < 2 or self.t[-1] == self.t[0]:
            return None
        return float(self.value[-1] - self.value[0]) * 1000 / int(self.t[-1] - self.t[0])

    def _append(self, t: Times, value: Values) -> None:
        if len(t) > self.most:
            self._lost = int(t[-self.most - 1])
            t, value = t[-self.most :], value[-self.most :]
        over = len(self) + len(t) - self.most
        if over > 0:
            self._lost = max(self._lost or int(self.t[over - 1]), int(self.t[over - 1]))
            self._first += over
        if self._after + len(t) > len(self._t):
            self._moved(len(t))
        self._t[self._after : self._after + len(t)] = t
        self._value[self._after : self._after + len(t)] = value
        self._after += len(t)

    def _moved(self, more: int) -> None:
        """Puts the window at the front, with room for as much again: each sample is moved once on average."""
        n = len(self)
        size = min(2 * (n + more), n + more + self.most)
        t, value = np.empty(size, np.int64), np.empty(size)
        t[:n], value[:n] = self.t, self.value
        self._t, self._value, self._first, self._after = t, value, 0, n
