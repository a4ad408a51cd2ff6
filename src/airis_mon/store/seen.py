"""Which series the store has been told of, and for which hours: a series is written at first sight, then hourly."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Batch, Ids, Times
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.kernel import kernel
from airis_mon.store.base import Fingerprints, SeriesRow

HOUR_MS = 3_600_000
Hours = NDArray[np.int64]


class Seen:
    """The hours from first to last in which the store knows each series to have lived. Used by one thread at a time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._fp = np.zeros(0, np.uint64)  # by sid; another fp than the catalogue's = not told yet
        self._first = np.zeros(0, np.int64)
        self._last = np.zeros(0, np.int64)

    def remember(self, rows: Iterable[SeriesRow]) -> None:
        """Takes over what the store already holds; series that the catalogue does not know are passed over."""
        self._grow()
        for row in rows:
            if (sid := self.catalogue.find(row.fp)) is not None and sid < len(self._fp):
                first = row.last_seen if row.first_seen is None else row.first_seen
                self._fp[sid], self._first[sid], self._last[sid] = row.fp, first // HOUR_MS, row.last_seen // HOUR_MS

    def due(self, batch: Batch) -> list[SeriesRow]:
        """The series whose row must be written before this batch: seen for the first time, or in an hour not noted yet.

        Their times are floored to the hour. Each is answered once, unless it is forgotten.
        """
        with self.catalogue.lock:
            self._grow()
            sids = _due(batch.sid, batch.t, self.catalogue.fp, self._fp, self._first, self._last)
            return [self._row(int(s)) for s in sids if self.catalogue.has(int(s))]

    def forget(self, rows: Iterable[SeriesRow]) -> None:
        """These could not be written: they are due again."""
        for row in rows:
            if (sid := self.catalogue.find(row.fp)) is not None:
                self._fp[sid] = ~np.uint64(row.fp)

    def _row(self, sid: int) -> SeriesRow:
        first, last = int(self._first[sid]) * HOUR_MS, int(self._last[sid]) * HOUR_MS
        return SeriesRow(int(self._fp[sid]), self.catalogue.labels(sid), last, first)

    def _grow(self) -> None:
        if (more := len(self.catalogue.fp) - len(self._fp)) > 0:
            self._fp = np.concatenate([self._fp, np.zeros(more, np.uint64)])
            self._first = np.concatenate([self._first, np.zeros(more, np.int64)])
            self._last = np.concatenate([self._last, np.zeros(more, np.int64)])


@kernel
def _due(sid: Ids, t: Times, fp: Fingerprints, known: Fingerprints, first: Hours, last: Hours) -> Ids:
    is_due = np.zeros(len(known), np.bool_)
    out = np.empty(len(sid), np.int32)
    n = 0
    for i in range(len(sid)):
        s = sid[i]
        hour = t[i] // HOUR_MS
        is_new = known[s] != fp[s]
        if not is_new and first[s] <= hour <= last[s]:
            continue
        known[s] = fp[s]
        first[s] = hour if is_new else min(first[s], hour)
        last[s] = hour if is_new else max(last[s], hour)
        if not is_due[s]:
            is_due[s] = True
            out[n] = s
            n += 1
    return out[:n]
