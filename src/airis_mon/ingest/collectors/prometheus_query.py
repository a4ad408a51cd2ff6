"""Follows a Prometheus through its query API: what is new is read every few seconds."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import structlog
from numpy.typing import NDArray

from airis_mon.errors import InputError, UpstreamError
from airis_mon.ingest.base import Missing
from airis_mon.ingest.promreader import Window
from airis_mon.ingest.promsource import PromSource
from airis_mon.ingest.schedule import WallClock, ticks
from airis_mon.series.batch import Batch, Ids, Times

log = structlog.get_logger()

DISCOVERED_MS = 3_600_000
"""Metrics count as present when they had samples in the last hour."""


@dataclass(kw_only=True, eq=False, repr=False)
class PrometheusQuery(PromSource):
    """What a Prometheus (or Thanos, Mimir, VictoriaMetrics) stores, from now on, as raw samples.

    For systems that cannot send by remote write. match: selectors of the series to take, all unless given, and always
    firing `ALERTS`; labels are added to every series. Of more than `max_series` series, metrics of golden signals are
    taken first; `health` names what is left out. Which metrics there are is looked up every `refresh_s`.

    Every `interval_s` the samples with cursor < time <= now are read, in several batches when there are many. The last
    `overlap_s` are read again for samples that came late; none is handed out twice. `cursor` is the time (ms) up to
    which all was handed out; without one, reading begins `lookback_s` ago. A server that is away is asked again at
    the next interval, and nothing is lost while it keeps its samples; what it cannot answer even in small pieces is
    left out, and `health` says so.

    >>> from airis_mon.series.catalogue import Catalogue
    >>> PrometheusQuery(Catalogue(), url="http://127.0.0.1:9090").cursor
    ''
    """

    interval_s: float = 15.0
    overlap_s: float = 60.0
    lookback_s: float = 300.0
    refresh_s: float = 300.0
    slice_samples: int = 500_000
    cursor: str = ""

    kind: ClassVar[str] = "prometheus_query"

    def __post_init__(self) -> None:
        self._clock = self.clock or WallClock()
        self._reader = self._opened(max(self.interval_s, self.timeout_s))  # longer patience is the next interval's
        self._api = self._reader.api
        self._interval_ms, self._overlap_ms = int(self.interval_s * 1000), int(self.overlap_s * 1000)
        self._looked_at: int | None = None
        self._seen: tuple[Ids, Times] = (np.empty(0, np.int32), np.empty(0, np.int64))
        self._error, self._samples = "", 0
        self._missing: tuple[Missing, ...] = ()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Batches of new samples, until cancelled. A read that fails is told by `health` and tried again later."""
        try:
            async for _ in ticks(self._clock, self._interval_ms):
                now = self._clock.now() + 1
                since = self._start() - self._overlap_ms
                while since < now and (window := await self._window(since, now)) is not None:
                    batch = self._new(window.batch)
                    if len(batch):
                        self._samples += len(batch)
                        yield batch
                    self.cursor = str(max(self._start(), window.end - 1))  # only now has the consumer taken it
                    self._remember(batch, window.end)
                    since = window.end
        finally:
            await self._api.aclose()

    def health(self) -> dict[str, Any]:
        """How far it has read, what it leaves out, and what went wrong in the last read."""
        return {
            "kind": self.kind,
            **self._reader.health(),
            "cursor": self.cursor,
            "samples": self._samples,
            "missing": [f"{m.what}: {m.why}" for m in self._missing],
            "error": self._error,
            "degraded": [self._api.place] if self._error or self._missing else [],
        }

    def _start(self) -> int:
        if not self.cursor:
            self.cursor = str(self._clock.now() - int(self.lookback_s * 1000))
        return int(self.cursor)

    async def _window(self, since: int, limit: int) -> Window | None:
        """The next window, None when the server cannot be asked now."""
        try:
            if self._looked_at is None or limit - self._looked_at >= self.refresh_s * 1000:
                await self._reader.discover(min(since, limit - DISCOVERED_MS), limit)
                self._looked_at = limit
            window = await self._reader.window(since, limit)
        except (UpstreamError, InputError) as e:
            if not self._error:
                log.warning("prometheus_query.failed", url=self._api.place, error=str(e))
            self._error = str(e)
            return None
        self._error, self._missing = "", window.missing
        return window

    def _new(self, batch: Batch) -> Batch:
        """The samples that were not handed out before."""
        seen_sid, seen_t = self._seen
        if not len(batch) or not len(seen_sid):
            return batch
        first = int(min(batch.t[0], seen_t.min()))
        factor = self.catalogue.size + 1  # (t - first) * factor stays below 2**63 for centuries
        unread: NDArray[np.bool_] = ~np.isin(
            (batch.t - first) * factor + batch.sid, (seen_t - first) * factor + seen_sid
        )
        return Batch(batch.sid[unread], batch.t[unread], batch.value[unread])

    def _remember(self, taken: Batch, end: int) -> None:
        sid, t = np.concatenate([self._seen[0], taken.sid]), np.concatenate([self._seen[1], taken.t])
        recent = t >= end - self._overlap_ms - self._interval_ms
        self._seen = (sid[recent], t[recent])
