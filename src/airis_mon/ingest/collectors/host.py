"""The machine we run on, watched without asking anybody: the first source a new installation has."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import numpy as np
import psutil

from airis_mon.errors import InputError, Refusal
from airis_mon.ingest.machine import Reading, Source, sources
from airis_mon.ingest.schedule import Clock, WallClock, ticks
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import METRIC, Labels, canonical, series_name


class Host:
    """CPU, memory, disks, network, load, processes and pressure of this machine, as `host_*` series.

    interval_s: between two readings. process_interval_s: between two walks over all processes, which cost most.
    instance: the label that names the machine, its host name unless given. labels: added to every series. top: how
    many program names are kept by CPU and by memory. readers: where values come from, the system unless given.

    A source that the platform lacks is left out and named by `health`. A series that ends (a disk is unplugged, a
    program leaves the heaviest) gets a staleness marker. The number of series is bounded by devices and `top`.

    >>> host = Host(Catalogue(), interval_s=5.0, instance="web-1")
    >>> batch = host.read(1_000)
    >>> "host_memory_used_ratio" in host.catalogue.metrics
    True
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        interval_s: float = 5.0,
        process_interval_s: float = 15.0,
        instance: str | None = None,
        labels: Mapping[str, str] | None = None,
        top: int = 10,
        clock: Clock | None = None,
        readers: Mapping[str, Source] | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.kind = "host"
        self.cursor = ""  # a machine has no past to resume
        self.interval_s = interval_s
        self._identity = {"job": "host", "instance": instance or socket.gethostname(), **(labels or {})}
        self._clock = clock or WallClock()
        self._readers = dict(sources(top=top) if readers is None else readers)
        self._rounds_per_walk = max(1, round(process_interval_s / interval_s))
        self._names: dict[tuple[str, tuple[tuple[str, str], ...]], Labels] = {}
        self._alive: dict[str, frozenset[Labels]] = {}  # by source
        self._missing: dict[str, str] = {}
        self._round = 0
        self._last_t = 0
        self._refused = 0

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """A batch at once and then one per interval, until cancelled."""
        async for t in ticks(self._clock, int(self.interval_s * 1000)):
            yield await asyncio.to_thread(self.read, t)

    def read(self, t: int) -> Batch:
        """One round of all sources that are due, stamped `t` (ms). Blocks for some milliseconds."""
        rows: list[tuple[Labels, float]] = []
        for name, reader in self._readers.items():
            if name != "processes" or self._round % self._rounds_per_walk == 0:
                rows += self._rows(name, reader)
        self._round += 1
        self._last_t = t
        return self._batch(rows, t)

    def health(self) -> dict[str, Any]:
        """When the last round was, how many series live, and which sources this platform lacks."""
        return {
            "kind": self.kind,
            "instance": self._identity["instance"],
            "last_t": self._last_t,
            "series": sum(len(alive) for alive in self._alive.values()),
            "missing": dict(self._missing),
            "refused": self._refused,
            "degraded": [],
        }

    def _rows(self, source: str, reader: Source) -> list[tuple[Labels, float]]:
        try:
            readings = list(reader())
        except (OSError, AttributeError, NotImplementedError, ValueError, psutil.Error) as e:
            self._missing[source] = f"{type(e).__name__}: {e}"
            readings = []
        else:
            self._missing.pop(source, None)
        rows = [(self._labels(r), float(r.value)) for r in readings]
        alive = frozenset(labels for labels, _ in rows)
        ended = self._alive.get(source, frozenset()) - alive
        self._alive[source] = alive
        return rows + [(labels, float(STALE)) for labels in sorted(ended)]

    def _labels(self, reading: Reading) -> Labels:
        key = (reading.name, reading.labels)
        if key not in self._names:
            pairs = {**self._identity, **dict(reading.labels), METRIC: reading.name}
            self._names[key] = canonical(pairs.items())
            kind = MetricType.COUNTER if reading.name.endswith("_total") else MetricType.GAUGE
            take_types(self.catalogue, [(reading.name, kind)])
        return self._names[key]

    def _batch(self, rows: list[tuple[Labels, float]], t: int) -> Batch:
        sid, value, refusals = [], [], []
        for labels, v in rows:
            try:
                sid.append(self.catalogue.intern(labels))
            except InputError as e:
                refusals.append(Refusal(series_name(labels), f"{v:g}", str(e)))
            else:
                value.append(v)
        self._refused += len(refusals)
        return Batch(
            np.array(sid, np.int32),
            np.full(len(sid), t, np.int64),
            np.array(value, np.float64),
            tuple(refusals[:100]),
            len(refusals),
        )
