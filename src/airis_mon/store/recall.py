"""Which series a selector means, kept between queries: rules and dashboards ask the same every few seconds."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from airis_mon.series.batch import Times
from airis_mon.series.labels import Labels
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.store.base import Fingerprints, SeriesRow
from airis_mon.store.patience import ENDLESS, Patience

ROWS = 100_000
"""So many rows are kept of all selectors together, and half as many of one."""
NEWS = 20_000
"""A selector that was not asked for while so many rows were written is forgotten."""
KEEP_S = 60.0
"""An answer is used so long, for others may write to the same store."""
HOUR_MS = 3_600_000
IMPATIENCE_S = 0.1
"""So often those who wait for another's answer look whether somebody still waits for theirs."""

Read = Callable[[Sequence[Matcher], int, int, Patience], list[SeriesRow]]
"""(matchers, since, limit, patience) -> the first rows by fp that were last seen since then (ms)."""

_ENTRY = 100  # what a selector weighs itself, in rows


class Recall:
    """The rows of the selectors asked for last; `read` asks the store.

    Any number of threads may ask at once; those that ask the same wait for one answer.
    """

    def __init__(self, read: Read, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._selectors: OrderedDict[tuple[Matcher, ...], _Selector] = OrderedDict()  # asked for last = last
        self._lock = threading.Lock()

    def find(
        self, matchers: Sequence[Matcher], since: int, end: int, limit: int, patience: Patience = ENDLESS
    ) -> list[SeriesRow] | None:
        """Rows seen within [since, end] (ms), the first `limit` of them by fp; None when there are too many to keep.

        The list may be shared with others: never change it. Raises QueryTimeout, and what else patience or the store
        raises.
        """
        key = tuple(matchers)
        with self._lock:
            if key not in self._selectors:
                self._selectors[key] = _Selector(key, compile_matchers(key))
            selector = self._selectors[key]
            self._selectors.move_to_end(key)
        with selector.turn(patience):
            try:
                if not selector.answers(since, self._clock()):
                    selector.refresh(self._read, since, self._clock() + KEEP_S, patience)
            except BaseException:
                self._forget(key)
                raise
            found = selector.within(since, end)
        self._shrink()
        return found if found is None or len(found) <= limit else found[:limit]

    def note(self, rows: Sequence[SeriesRow]) -> None:
        """These rows are in the store now: what was read before may lack them."""
        with self._lock:
            for key, selector in list(self._selectors.items()):
                selector.news.append(rows)
                selector.told += len(rows)
                if selector.told > NEWS:
                    del self._selectors[key]

    def _forget(self, key: tuple[Matcher, ...]) -> None:
        with self._lock:
            self._selectors.pop(key, None)

    def _shrink(self) -> None:
        with self._lock:
            held = sum(len(selector.rows) + _ENTRY for selector in self._selectors.values())
            while held > ROWS:
                _, selector = self._selectors.popitem(last=False)
                held -= len(selector.rows) + _ENTRY


@dataclass(slots=True)
class _Selector:
    """A selector's rows with the times between which they were seen, used under its lock.

    news: what was written since they were read, `told` rows; since: rows that were last seen earlier are not among
    them; until: when they are too old, by the clock; is_wide: there are too many rows to keep.
    """

    matchers: tuple[Matcher, ...]
    matches: Callable[[Labels], bool]
    lock: threading.Lock = field(default_factory=threading.Lock)
    news: list[Sequence[SeriesRow]] = field(default_factory=list)
    told: int = 0
    rows: list[SeriesRow] = field(default_factory=list)
    fp: Fingerprints = field(default_factory=lambda: np.empty(0, np.uint64))
    first: Times = field(default_factory=lambda: np.empty(0, np.int64))
    last: Times = field(default_factory=lambda: np.empty(0, np.int64))
    since: int | None = None
    until: float = 0.0
    is_wide: bool = False

    @contextmanager
    def turn(self, patience: Patience) -> Iterator[None]:
        while not self.lock.acquire(timeout=min(patience.left_s(), IMPATIENCE_S)):
            pass
        try:
            yield
        finally:
            self.lock.release()

    def answers(self, since: int, now: float) -> bool:
        """Whether what is known is enough, once the news are worked in."""
        if self.since is None or now >= self.until:
            return False
        if self.is_wide:
            return True
        return self.since <= since and self._learn()

    def refresh(self, read: Read, since: int, until: float, patience: Patience) -> None:
        self.since = None  # when the reading fails, those who wait for it must read themselves
        self.news.clear()  # before reading: what is written meanwhile is worked in later, seen or not
        self.told = 0
        found = read(self.matchers, since, ROWS // 2 + 1, patience)
        self.is_wide = len(found) > ROWS // 2
        self._hold([] if self.is_wide else found)
        self.since, self.until = since, until

    def within(self, since: int, end: int) -> list[SeriesRow] | None:
        if self.is_wide:
            return None
        keep = (self.last >= since) & (self.first <= end)
        if keep.all():
            return self.rows
        return [self.rows[i] for i in np.flatnonzero(keep).tolist()]

    def _hold(self, rows: list[SeriesRow]) -> None:
        self.rows = rows
        self.fp = np.array([row.fp for row in rows], np.uint64)
        self.first = np.array([_first(row) for row in rows], np.int64)
        self.last = np.array([row.last_seen for row in rows], np.int64)

    def _learn(self) -> bool:
        """Works in the news; False when they hold a series that is missing here."""
        count = len(self.news)
        told = [row for rows in self.news[:count] for row in rows]
        fp = np.array([row.fp for row in told], np.uint64)
        at = np.searchsorted(self.fp, fp)
        is_here = np.append(self.fp, np.uint64(0))[at] == fp if len(self.fp) else np.zeros(len(fp), np.bool_)
        if any(self.matches(told[i].labels) for i in np.flatnonzero(~is_here).tolist()):
            return False
        self._seen([told[i] for i in np.flatnonzero(is_here).tolist()], at[is_here])
        del self.news[:count]
        self.told -= len(told)
        return True

    def _seen(self, told: Sequence[SeriesRow], at: Times) -> None:
        if not told:
            return
        rows = list(self.rows)  # the present list may be in use
        for row, i in zip(told, at.tolist(), strict=True):
            self.first[i] = min(self.first[i], _first(row))
            self.last[i] = max(self.last[i], row.last_seen)
            rows[i] = replace(rows[i], first_seen=int(self.first[i]), last_seen=int(self.last[i]))
        self.rows = rows


def _first(row: SeriesRow) -> int:
    return (row.last_seen if row.first_seen is None else row.first_seen) // HOUR_MS * HOUR_MS
