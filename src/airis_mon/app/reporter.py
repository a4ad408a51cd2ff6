"""Sends the scores of watched series back to where the user's dashboards and rules already look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from airis_mon.app.detection import Detection

if TYPE_CHECKING:
    from airis_mon.act.writeback import RemoteWriter

SCORE = "aiops_anomaly_score"


class Reporter:
    """Offers to `writer`, every `interval_s`, the highest score of the last ten minutes of each watched series.

    Only series whose score reached `min_score`, and once more when they fall below it: writing every quiet series
    would double what the user's Prometheus holds.
    """

    def __init__(
        self,
        detection: Detection,
        writer: RemoteWriter,
        now: Callable[[], int],
        *,
        interval_s: float = 15.0,
        min_score: float = 0.5,
    ) -> None:
        self._detection = detection
        self._writer = writer
        self._now = now
        self._interval_s = interval_s
        self._min_score = min_score
        self._shown: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to report."""
        self._writer.start()
        self._task = asyncio.create_task(self._run(), name="reporter")

    async def stop(self) -> None:
        """Reports no more; what was offered is still sent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._writer.stop()

    def report(self) -> int:
        """Offers the present scores; answers how many series."""
        now, detection = self._now(), self._detection
        with detection.lock:
            highest = detection.peaks.highest(now, detection.bank.size)
            by_sid: dict[int, float] = {}
            for slot in detection.watch.slots.held():
                if (score := float(highest[slot])) >= self._min_score:
                    sid = detection.watch.signal(int(slot)).sid
                    by_sid[sid] = max(score, by_sid.get(sid, 0.0))
            fallen = {s for s in self._shown - by_sid.keys() if detection.catalogue.has(s)}
            self._shown = set(by_sid)
        rows = by_sid | dict.fromkeys(fallen, 0.0)
        sids = np.fromiter(rows, np.int32, len(rows))
        value = np.fromiter(rows.values(), np.float64, len(rows))
        self._writer.offer(SCORE, sids, np.full(len(rows), now, np.int64), value)
        return len(rows)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await asyncio.to_thread(self.report)
