"""Sends the scores of watched signals back to where the user's dashboards and rules already look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import structlog

from airis_mon.app.detection import Detection

if TYPE_CHECKING:
    from airis_mon.act.writeback import RemoteWriter

log = structlog.get_logger()

SCORE = "aiops_anomaly_score"


class Part(Protocol):
    """Something that works beside the loop of the engine."""

    @property
    def name(self) -> str:
        """What it is called in metrics."""

    def start(self) -> None:
        """Begins to work."""

    async def stop(self) -> None:
        """Ends what is under way."""

    def health(self) -> dict[str, Any]:
        """How it is: `degraded` lists what does not work now, `sent` and `dropped` count samples."""


class Reporter:
    """Offers to `writer`, every `interval_s`, the highest score of the last ten minutes of each watched signal.

    The series are those of GET /metrics, with the label `signal`. Only signals whose score reached `min_score`, and
    once more when they fall below it: writing every quiet one would double what the user's Prometheus holds.
    """

    name = "writeback"

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
        self._shown: set[tuple[str, int]] = set()  # (signal, sid) last reported with a score of note
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

    def health(self) -> dict[str, Any]:
        """What the writer says of itself."""
        return self._writer.health()

    def report(self) -> int:
        """Offers the present scores; answers how many signals."""
        now, rows = self._now(), self._noted()
        for kind in sorted({kind for kind, _ in rows}):
            of_kind = {sid: score for (k, sid), score in rows.items() if k == kind}
            n = len(of_kind)
            value = np.fromiter(of_kind.values(), np.float64, n)
            self._writer.offer(SCORE, np.fromiter(of_kind, np.int32, n), np.full(n, now, np.int64), value, kind)
        return len(rows)

    def _noted(self) -> dict[tuple[str, int], float]:
        """The score by (signal, sid) of all that reached `min_score`, or had when last asked."""
        detection = self._detection
        with detection.lock:
            held = detection.watch.slots.held()
            scores = detection.peaks.highest(self._now(), detection.bank.size)[held]
            rows = {}
            before = {slot for key in self._shown if (slot := self._slot(*key)) is not None}
            noted = (scores >= self._min_score) | np.isin(held, list(before))
            for slot, score in zip(held[noted].tolist(), scores[noted].tolist(), strict=True):
                signal = detection.watch.signal(slot)
                rows[signal.kind, signal.sid] = score
        self._shown = {key for key, score in rows.items() if score >= self._min_score}
        return rows

    def _slot(self, kind: str, sid: int) -> int | None:
        """The slot that judges a signal still, None when its series has gone."""
        catalogue, watch = self._detection.catalogue, self._detection.watch
        slots = watch.slots_of(int(catalogue.fp[sid])) if catalogue.has(sid) else []
        return next((s for s in slots if watch.signal(s).kind == kind), None)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await asyncio.to_thread(self.report)
            except Exception:  # boundary: supervision; a failed round must not end all later ones
                log.exception("report.failed")
