"""Brings a batch into the order of the samples table before it is sent, so that the engine need not sort it.

The table's order is (metric, fp, ts); a series' rank in it is kept between commits and mended when series come or go.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Batch, Ids, Times, Values
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.kernel import kernel

Ranks = NDArray[np.int64]
Fps = NDArray[np.uint64]


class SeriesOrder:
    """The rank of every sid of one catalogue by (metric name, fp). Used by one thread at a time."""

    def __init__(self) -> None:
        self.rank = np.empty(0, np.int64)  # by sid
        self.metric = np.empty(0, np.int32)  # by sid
        self.metrics: list[str] = []
        self.exponent = np.empty(0, np.int8)  # by sid: what fitted the series' last value
        self._fp = np.empty(0, np.uint64)  # by sid, as ranked
        self._by_rank = np.empty(0, np.int64)  # sids
        self._metric_rank = np.empty(0, np.int64)

    def follow(self, catalogue: Catalogue) -> None:
        """Takes in what has changed in the catalogue: new sids, and sids that were given to another series."""
        with catalogue.lock:
            fp, metric = catalogue.fp[: catalogue.size], catalogue.metric[: catalogue.size]
            known = len(self._fp)
            moved = np.flatnonzero(fp[:known] != self._fp)
            if len(fp) == known and not len(moved):
                return
            self._fp, self.metric = fp.copy(), metric.copy()
            self.exponent = np.concatenate([self.exponent, np.zeros(len(fp) - known, np.int8)])
            self.exponent[moved] = 0
            if len(catalogue.metrics) != len(self.metrics):
                self.metrics = list(catalogue.metrics)
                self._metric_rank = np.argsort(np.argsort(np.array(self.metrics, dtype=object), kind="stable"))
        self._rank(np.concatenate([moved, np.arange(known, len(fp))]), moved)

    def _rank(self, fresh: Ranks, moved: Ranks) -> None:
        stays = np.ones(len(self._fp), np.bool_)
        stays[moved] = False
        old = self._by_rank[stays[self._by_rank]]
        new = fresh[np.lexsort((self._fp[fresh], self._metric_rank[self.metric[fresh]]))]
        self._by_rank = _merge(old, new, self._metric_rank, self.metric, self._fp)
        self.rank = np.empty(len(self._by_rank), np.int64)
        self.rank[self._by_rank] = np.arange(len(self._by_rank))

    def sort(self, batch: Batch) -> tuple[Ids, Fps, Times, Values]:
        """sid, fp, t and value of the batch by (metric, fp, t); rows that are equal in all three keep their order."""
        sid, fp, t, value, is_timely = _sort(batch.sid, batch.t, batch.value, self.rank, self._fp)
        if not is_timely:
            by = np.lexsort((t, self.rank[sid]))
            sid, fp, t, value = sid[by], fp[by], t[by], value[by]
        return sid, fp, t, value


@kernel
def _merge(old: Ranks, new: Ranks, metric_rank: Ranks, metric: Ids, fp: Fps) -> Ranks:
    out = np.empty(len(old) + len(new), np.int64)
    i = j = 0
    for k in range(len(out)):
        if j == len(new):
            takes_old = True
        elif i == len(old):
            takes_old = False
        else:
            a, b = metric_rank[metric[old[i]]], metric_rank[metric[new[j]]]
            takes_old = a < b or (a == b and fp[old[i]] < fp[new[j]])
        if takes_old:
            out[k] = old[i]
            i += 1
        else:
            out[k] = new[j]
            j += 1
    return out


@kernel
def _sort(sid: Ids, t: Times, value: Values, rank: Ranks, fp: Fps) -> tuple[Ids, Fps, Times, Values, bool]:
    """A counting sort by rank; the last answer is False when a series' rows did not arrive in time order."""
    n = len(sid)
    start = np.zeros(len(rank) + 1, np.int64)
    for i in range(n):
        start[rank[sid[i]] + 1] += 1
    for r in range(len(rank)):
        start[r + 1] += start[r]
    out_sid, out_fp = np.empty(n, np.int32), np.empty(n, np.uint64)
    out_t, out_value = np.empty(n, np.int64), np.empty(n, np.float64)
    for i in range(n):
        s = sid[i]
        r = rank[s]
        k = start[r]
        start[r] = k + 1
        out_sid[k], out_fp[k], out_t[k], out_value[k] = s, fp[s], t[i], value[i]
    is_timely = True
    for k in range(1, n):
        if out_sid[k] == out_sid[k - 1] and out_t[k] < out_t[k - 1]:
            is_timely = False
    return out_sid, out_fp, out_t, out_value, is_timely
