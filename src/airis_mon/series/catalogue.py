"""Every series this process knows: a dense id (sid) per label set, its fingerprint, type and latest sample.

Dense ids index arrays: in the wire walkers, the store's writer and the detector bank. One lock guards the label sets;
a second, held only briefly, the latest samples, so that noting them never waits for a large body being decoded.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum

import numpy as np

from airis_mon.errors import InputError
from airis_mon.series.batch import Batch, Ids, Times, Values
from airis_mon.series.kernel import kernel
from airis_mon.series.labels import Labels, fingerprint, metric_of, packed

NEVER = np.iinfo(np.int64).min
"""`last_t` of a series without a sample."""
REST_MS = 600_000
"""The sids of evicted series are not given out again for so long: batches under way may still name them."""


class MetricType(IntEnum):
    """What the source says of a metric; UNKNOWN when it says nothing."""

    UNKNOWN = 0
    COUNTER = 1
    GAUGE = 2
    HISTOGRAM = 3
    SUMMARY = 4
    INFO = 5
    STATESET = 6
    GAUGE_HISTOGRAM = 7


class Catalogue:
    """Dense ids for label sets, bounded by `max_series` and `max_labels`.

    A sid is an int32; sids of series that arrive together are adjacent (first-sight order), which the detector bank
    needs for speed. `epoch` changes when sids are taken back: whoever caches sids by raw bytes drops its cache then.
    `heard` is when a series last sent something by the clock told to `tick`, whatever the times of its samples.
    """

    def __init__(self, *, max_series: int = 1_000_000, max_labels: int = 64, max_label_bytes: int = 4096) -> None:
        self.max_series = max_series
        self.max_labels = max_labels
        self.max_label_bytes = max_label_bytes
        self.lock = threading.RLock()
        self.epoch = 0
        self.size = 0  # sids given out so far, the evicted ones included
        self.fp = np.zeros(1024, np.uint64)
        self.metric = np.zeros(1024, np.int32)  # index into `metrics`
        self.last_t = np.full(1024, NEVER, np.int64)
        self.last_value = np.full(1024, np.nan)
        self.heard = np.full(1024, NEVER, np.int64)  # ms
        self.metrics: list[str] = []
        self.types: dict[str, MetricType] = {}  # by metric name
        self._labels: list[Labels | None] = []  # by sid; None = evicted
        self._by_labels: dict[Labels, int] = {}
        self._by_fp: dict[int, int] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}  # most pairs stand in many series: one object each
        self._metric_ids: dict[str, int] = {}
        self._free: list[int] = []
        self._resting: deque[tuple[int, int, list[int]]] = deque()  # (round, idle_since) of the eviction, sids
        self._round = 0
        self._now = NEVER
        self._columns = threading.Lock()  # held while last_t, last_value and heard change or are replaced

    def __len__(self) -> int:
        return len(self._by_labels)

    def __iter__(self) -> Iterator[int]:
        """The sids of all living series."""
        return iter(list(self._by_labels.values()))

    def intern(self, labels: Labels) -> int:
        """The sid of a canonical label set, a new one at first sight.

        Raises InputError beyond `max_series`, `max_labels` or `max_label_bytes`; the message names limit and remedy.
        """
        with self.lock:
            sid = self._by_labels.get(labels)
            return self._add(labels) if sid is None else sid

    def find(self, fp: int) -> int | None:
        """The sid of a fingerprint."""
        return self._by_fp.get(fp)

    def labels(self, sid: int) -> Labels:
        """The labels of a sid. Raises KeyError for an evicted one."""
        labels = self._labels[sid]
        if labels is None:
            raise KeyError(sid)
        return labels

    def has(self, sid: int) -> bool:
        """Whether the sid belongs to a living series."""
        return sid < self.size and self._labels[sid] is not None

    def tick(self, now: int) -> None:
        """Tells the wall clock (ms); series that appear or send something from now on were heard then.

        A catalogue that is never told goes by the times of the samples, as suits a replay.
        """
        self._now = now

    def touch(self, sid: Ids) -> None:
        """Notes that these series send something, before it is committed or even if it is refused."""
        with self._columns:
            self.heard[sid] = np.maximum(self.heard[sid], self._now)

    def observe(self, batch: Batch) -> None:
        """Moves each series' latest sample forward; older samples change nothing but when it was heard."""
        with self._columns:
            _observe(batch.sid, batch.t, batch.value, self._now, self.last_t, self.last_value, self.heard)

    def evict(self, idle_since: int) -> Ids:
        """Forgets series not heard since `idle_since` (ms), those that never had a sample too; answers their sids.

        Those sids are given out again after two more calls and `REST_MS` at the earliest, so batches under way stay
        right.
        """
        with self.lock:
            self._round += 1
            while self._resting and self._has_rested(idle_since):
                self._free += self._resting.popleft()[2]
            living = np.fromiter(self._by_labels.values(), np.int32, len(self._by_labels))
            heard = self.heard[living]
            idle: Ids = living[(heard < idle_since) & (heard != NEVER)]
            for sid in idle.tolist():
                labels = self.labels(sid)
                del self._by_labels[labels], self._by_fp[int(self.fp[sid])]
                self._labels[sid] = None
            if len(idle):
                self.epoch += 1
                self._resting.append((self._round, idle_since, idle.tolist()))
                self._pairs = {pair: pair for labels in self._by_labels for pair in labels}
            return idle

    def _has_rested(self, idle_since: int) -> bool:
        evicted_in, evicted_at, _ = self._resting[0]
        return self._round >= evicted_in + 2 and idle_since >= evicted_at + REST_MS

    def _add(self, labels: Labels) -> int:
        self._check(labels)
        labels = tuple(self._pairs.setdefault(p, p) for p in labels)
        salt = 0
        while (fp := fingerprint(labels, salt)) in self._by_fp:
            salt += 1
        sid = self._free.pop() if self._free else self.size
        if sid >= len(self.fp):
            self._grow()
        self.fp[sid] = fp
        self.metric[sid] = self._metric_id(metric_of(labels))
        with self._columns:
            self.last_t[sid], self.last_value[sid], self.heard[sid] = NEVER, np.nan, self._now
        if sid < self.size:
            self._labels[sid] = labels
        else:
            self._labels.append(labels)
            self.size += 1  # last: readers without the lock find everything of a sid below it
        self._by_labels[labels] = sid
        self._by_fp[fp] = sid
        return sid

    def _check(self, labels: Labels) -> None:
        if len(self._by_labels) >= self.max_series:
            raise InputError(
                f"the limit of {self.max_series} series is reached; raise limits.max_series or send fewer label values"
            )
        if len(labels) > self.max_labels:
            raise InputError(f"{len(labels)} labels are more than limits.max_labels = {self.max_labels}")
        if (size := len(packed(labels))) > self.max_label_bytes:
            raise InputError(f"labels of {size} bytes are more than limits.max_label_bytes = {self.max_label_bytes}")

    def _metric_id(self, metric: str) -> int:
        if metric not in self._metric_ids:
            self._metric_ids[metric] = len(self.metrics)
            self.metrics.append(metric)
        return self._metric_ids[metric]

    def _grow(self) -> None:
        more = len(self.fp)
        self.fp = np.concatenate([self.fp, np.zeros(more, np.uint64)])
        self.metric = np.concatenate([self.metric, np.zeros(more, np.int32)])
        with self._columns:  # what is noted between copy and replacement would be lost
            self.last_t = np.concatenate([self.last_t, np.full(more, NEVER, np.int64)])
            self.last_value = np.concatenate([self.last_value, np.full(more, np.nan)])
            self.heard = np.concatenate([self.heard, np.full(more, NEVER, np.int64)])


def take_types(catalogue: Catalogue, types: Iterable[tuple[str, MetricType]]) -> None:
    """Notes what a source says of its metrics; of `max_series` names at most, later ones stay unknown."""
    with catalogue.lock:
        known = catalogue.types
        for metric, kind in types:
            if kind is not MetricType.UNKNOWN and (metric in known or len(known) < catalogue.max_series):
                known[metric] = kind


@kernel
def _observe(sid: Ids, t: Times, value: Values, now: int, last_t: Times, last_value: Values, heard: Times) -> None:
    for i in range(len(sid)):
        s = sid[i]
        heard[s] = max(heard[s], t[i] if now == NEVER else now)
        if t[i] > last_t[s]:
            last_t[s] = t[i]
            last_value[s] = value[i]
