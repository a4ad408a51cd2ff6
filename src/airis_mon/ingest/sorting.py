"""Samples in any order -> windows in order of time, in bounded memory: an external merge sort.

Runs of some million rows are sorted and written to a temporary folder; windows are cut out of all of them by time and
merged. What fits into one run never leaves memory.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import TooLarge
from airis_mon.series.batch import Batch, Ids, Times, empty_batch, join
from airis_mon.series.catalogue import NEVER
from airis_mon.series.kernel import kernel

RUN_ROWS = 2_000_000
"""Of 20 bytes each; a file of two weeks of a thousand series at 15 s makes 40 runs."""


class _Run(Protocol):
    """Samples in order of time."""

    @property
    def t(self) -> Times: ...

    def part(self, low: int, high: int) -> Batch: ...


@dataclass(frozen=True, slots=True)
class _Held:
    """A run in memory."""

    batch: Batch

    @property
    def t(self) -> Times:
        return self.batch.t

    def part(self, low: int, high: int) -> Batch:
        return Batch(self.batch.sid[low:high], self.batch.t[low:high], self.batch.value[low:high])


@dataclass(frozen=True, slots=True)
class _Spilled:
    """A run in files. Only times are mapped, anew for each window, as pages once touched would count as memory."""

    stem: Path

    @property
    def t(self) -> Times:
        return np.memmap(self.stem.with_suffix(".t"), np.int64, "r")

    def part(self, low: int, high: int) -> Batch:
        sid = np.fromfile(self.stem.with_suffix(".sid"), np.int32, high - low, offset=low * 4)
        t = np.fromfile(self.stem.with_suffix(".t"), np.int64, high - low, offset=low * 8)
        value = np.fromfile(self.stem.with_suffix(".value"), np.float64, high - low, offset=low * 8)
        return Batch(sid, t, value)


@dataclass(frozen=True, slots=True)
class Window:
    """All samples of [start, end) ms, in order of time; rows: how many were added, repeated ones included."""

    start: int
    end: int
    batch: Batch
    rows: int


class Sorter:
    """Takes samples with `add`, then gives them in order of time with `windows`, once each. Used in a `with`.

    Of a repeated (series, time) the row that was added first stays; rows of one time keep their order. folder: where
    the temporary one is made, the system's own place unless given; leaving the `with` removes it. At most one run is
    held, and one window while windows are read. Not for several threads at once.
    """

    def __init__(self, *, run_rows: int = RUN_ROWS, folder: Path | None = None) -> None:
        self.rows = 0
        self._run_rows, self._parent = run_rows, folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._held = Batch(np.empty(run_rows, np.int32), np.empty(run_rows, np.int64), np.empty(run_rows))
        self._used = self._most_sid = 0
        self._runs: list[_Run] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._runs.clear()
        self._held = empty_batch()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, batch: Batch) -> None:
        """Takes a batch's samples. Raises TooLarge when the temporary folder cannot take them."""
        at = 0
        while at < len(batch):
            if self._used == self._run_rows:
                self._spill()
            n = min(len(batch) - at, self._run_rows - self._used)
            to, of = slice(self._used, self._used + n), slice(at, at + n)
            self._held.sid[to], self._held.t[to], self._held.value[to] = batch.sid[of], batch.t[of], batch.value[of]
            self._used += n
            at += n
        self.rows += len(batch)
        self._most_sid = max(self._most_sid, int(batch.sid.max(initial=0)))

    def windows(self, rows: int) -> Iterator[Window]:
        """Everything that was added, in windows of about `rows`; all samples of one time are in one window."""
        if not self.rows:
            return
        runs = [*self._runs, _Held(_ordered(self._held, self._used))] if self._used else self._runs
        start, last = min(int(run.t[0]) for run in runs), max(int(run.t[-1]) for run in runs)
        latest = np.full(1 + self._most_sid, NEVER, np.int64)
        low = [0] * len(runs)
        while start <= last:
            times = [run.t for run in runs]
            end = _cut([t[a : a + rows] for t, a in zip(times, low, strict=True)], start, last, rows)
            high = [int(t.searchsorted(end)) for t in times]
            found = join([run.part(a, b) for run, a, b in zip(runs, low, high, strict=True) if a < b])
            yield Window(start, end, _once(_ordered(found, len(found)), latest), len(found))
            start, low = end, high

    def _spill(self) -> None:
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="airis-mon-sort-", dir=self._parent)
            stem = Path(self._folder.name) / str(len(self._runs))
            held = _ordered(self._held, self._used)
            held.sid.tofile(stem.with_suffix(".sid"))
            held.t.tofile(stem.with_suffix(".t"))
            held.value.tofile(stem.with_suffix(".value"))
        except OSError as error:
            place = self._folder.name if self._folder else self._parent or tempfile.gettempdir()
            raise TooLarge(
                f"samples cannot be put in order of time: {place} takes no more ({error.strerror}); "
                "make room there, or set TMPDIR to a folder with more"
            ) from None
        self._runs.append(_Spilled(stem))
        self._used = 0


def _ordered(batch: Batch, n: int) -> Batch:
    """The first n rows by time; rows of one time keep their order."""
    t = batch.t[:n]
    if n < 2 or bool((t[1:] >= t[:-1]).all()):
        return Batch(batch.sid[:n], t, batch.value[:n])
    order = np.argsort(t, kind="stable")
    return Batch(batch.sid[order], t[order], batch.value[order])


def _cut(times: Sequence[Times], start: int, last: int, rows: int) -> int:
    """The earliest time before which `rows` of the times lie, or all of them: a few dozen searches in each run."""
    ends = range(start + 1, last + 1)
    return start + 1 + bisect_left(ends, rows, key=lambda end: sum(int(t.searchsorted(end)) for t in times))


def _once(batch: Batch, latest: Times) -> Batch:
    keep = firsts(batch.sid, batch.t, latest)
    return batch if keep.all() else Batch(batch.sid[keep], batch.t[keep], batch.value[keep])


@kernel
def firsts(sid: Ids, t: Times, latest: Times) -> NDArray[np.bool_]:
    """(n,) whether a row is the first of its series and time, rows in order of time; latest: (sids,), kept up."""
    keep = np.empty(len(sid), np.bool_)
    for i in range(len(sid)):
        keep[i] = latest[sid[i]] != t[i]
        latest[sid[i]] = t[i]
    return keep
