from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airis_mon.app.detection import Detection
from airis_mon.detect.base import State
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.watch import Watch
from airis_mon.errors import StoreBusy
from airis_mon.events.anomaly import Anomaly
from airis_mon.series.batch import Batch, is_stale
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Grid, SeriesRow
from airis_mon.store.snapshots import Snapshots

T0 = 1_800_000_000_000


@dataclass
class MemoryStore:
    """A SeriesStore in a few dictionaries: what was written is there, in every later engine too."""

    rows: dict[tuple[int, int], float] = field(default_factory=dict)
    known: dict[int, SeriesRow] = field(default_factory=dict)
    found: dict[str, Anomaly] = field(default_factory=dict)
    is_down: bool = False
    grid_functions: frozenset[str] = frozenset({"last", "timestamp"})

    def open(self) -> None:
        self.ping()

    def close(self) -> None:
        pass

    def warm(self, catalogue: Catalogue, batch: Batch) -> None:
        pass

    def ping(self) -> None:
        if self.is_down:
            raise StoreBusy("the store is down", 0.01)

    def write(self, catalogue: Catalogue, batch: Batch, token: str) -> None:
        self.ping()
        fps = catalogue.fp[batch.sid].tolist()
        for fp, t, value in zip(fps, batch.t.tolist(), batch.value.tolist(), strict=True):
            self.rows.setdefault((fp, t), value)

    def write_series(self, rows: Sequence[SeriesRow]) -> None:
        self.ping()
        self.known.update({r.fp: r for r in rows})

    def write_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        self.ping()
        self.found.update({a.id: a for a in anomalies})

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> list[SeriesRow]:
        matches = compile_matchers(matchers)
        return [r for _, r in sorted(self.known.items()) if matches(r.labels)][:limit]

    def series_by_fp(self, fps: Sequence[int]) -> list[SeriesRow]:
        self.ping()
        return [r for fp, r in sorted(self.known.items()) if fp in fps]

    def load_series(self, since: int | None = None) -> Iterator[SeriesRow]:
        return iter(list(self.known.values()))

    def label_names(
        self, matchers: Sequence[Matcher] = (), start: int | None = None, end: int | None = None
    ) -> list[str]:
        return sorted({name for row in self.series(matchers) for name, _ in row.labels})

    def label_values(
        self,
        name: str,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
    ) -> list[str]:
        return sorted({value for row in self.series(matchers) for key, value in row.labels if key == name})[:limit]

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Any = None,
    ) -> Grid:
        found = [self.last_samples(fps, t, window) for t in steps.t.tolist()]
        known = sorted({fp for last in found for fp in last.fp.tolist()})
        value, has = np.full((len(known), steps.count), np.nan), np.zeros((len(known), steps.count), np.bool_)
        for step, last in enumerate(found):
            here = ~is_stale(last.value)
            rows = np.searchsorted(np.array(known, np.uint64), last.fp[here])
            value[rows, step] = last.value[here] if function == "last" else last.t[here] / 1000
            has[rows, step] = True
        return Grid(np.array(known, np.uint64)[has.any(axis=1)], value[has.any(axis=1)], has[has.any(axis=1)])

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = 11_000_000,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> Columns:
        return self._columns(sorted(k for k in self.rows if k[0] in set(fps) and start <= k[1] <= end)[:limit])

    def last_samples(self, fps: Sequence[int] | None, before: int, window: int) -> Columns:
        last = {fp: t for fp, t in sorted(self.rows) if before - window < t <= before and (fps is None or fp in fps)}
        return self._columns(list(last.items()))

    def scan(self, start: int, end: int, rows: int = 500_000) -> Iterator[Columns]:
        yield self._columns(sorted((k for k in self.rows if start < k[1] <= end), key=lambda k: k[1]))

    def anomalies(
        self,
        fps: Sequence[int] | None,
        start: int,
        end: int,
        min_score: float = 0.0,
        limit: int = 1000,
        matchers: Sequence[Matcher] = (),
    ) -> list[Anomaly]:
        matches = compile_matchers(matchers)
        asked = [a for a in self.found.values() if (fps is None or a.fp in fps) and matches(a.labels)]
        return [a for a in asked if start <= a.t <= end and a.score >= min_score][:limit]

    def maintain(self, now: int) -> None:
        self.ping()

    def size(self) -> tuple[int, int]:
        return 0, len(self.rows)

    def _columns(self, keys: list[tuple[int, int]]) -> Columns:
        return Columns(
            np.array([fp for fp, _ in keys], np.uint64),
            np.array([t for _, t in keys], np.int64),
            np.array([self.rows[k] for k in keys]),
        )


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: int = T0

    def __call__(self) -> int:
        return self.now


@dataclass
class Site:
    """One machine's store, snapshots and clock; `detection()` is the process, which may die and be started again."""

    store: MemoryStore
    snapshots: Snapshots
    clock: Clock
    folder: Path
    told: list[Anomaly] = field(default_factory=list)

    def detection(self, **settings: float) -> Detection:
        catalogue = Catalogue()
        for row in self.store.load_series():
            catalogue.intern(row.labels)

        def make(bank: State | None, watch: State | None) -> tuple[Record, Watch]:
            record = Record() if bank is None else Record.from_state(bank)
            return record, Watch(catalogue, record) if watch is None else Watch.from_state(watch, catalogue, record)

        return Detection(
            catalogue,
            make,
            self.store,
            self.snapshots,
            self.told.extend,
            self.clock,
            **settings,  # type: ignore[arg-type]
        )

    def commit(self, detection: Detection, metric: str, t: int, values: Sequence[float], step_ms: int = 15_000) -> None:
        """Stores a run of samples of one series and hands it to the process, as the group commit does."""
        sid = detection.catalogue.intern(canonical([("__name__", metric), ("job", "test")]))
        labels = detection.catalogue.labels(sid)
        fp = int(detection.catalogue.fp[sid])
        self.store.known[fp] = SeriesRow(fp, labels, t)
        n = len(values)
        batch = Batch(np.full(n, sid, np.int32), t + np.arange(n, dtype=np.int64) * step_ms, np.array(values, float))
        self.store.write(detection.catalogue, batch, "")
        detection.catalogue.observe(batch)
        self.clock.now = max(self.clock.now, int(batch.t[-1]))
        detection.feed(batch)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(MemoryStore(), Snapshots(tmp_path / "snapshots"), Clock(), tmp_path)


@pytest.fixture
def running() -> Iterator[Callable[[Detection], Detection]]:
    """Starts processes, ends them after the test."""
    started: list[Detection] = []

    def start(detection: Detection) -> Detection:
        detection.start()
        started.append(detection)
        return detection

    yield start
    for detection in started:
        detection.stop()
