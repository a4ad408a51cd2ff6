"""What limits ask for in PromQL: the steps since the last look, in pieces that fit into memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from airis_mon.app.deadlinewatch import DeadlineWatch
from airis_mon.app.limitrows import nameless_labels
from airis_mon.app.limits import Limit, narrowed
from airis_mon.app.limitwatch import LimitWatch, Standing, falls
from airis_mon.errors import QueryError
from airis_mon.query.engine import Deadline, QueryEngine
from airis_mon.query.values import Scalar, Vector
from airis_mon.series.steps import Steps

STEP_MS = 300_000
"""Between two steps of a bank."""
CELLS, LEAST_STEPS, MOST_STEPS = 500_000, 12, 288
"""Numbers of one piece, and its steps: an hour to a day."""
WEEK_MS = 7 * 86_400_000


class Asker:
    """Asks for what watches need, at the steps that they have not seen; blocks.

    history_ms: how far back a first look goes, and one after a long pause. timeout_s: of one question.
    """

    def __init__(self, engine: QueryEngine, history_ms: int, timeout_s: float) -> None:
        self.stopping = threading.Event()
        self._engine, self._history_ms, self._timeout_s = engine, history_ms, timeout_s

    def feed(self, watch: LimitWatch | DeadlineWatch, now: int) -> None:
        """Brings a watch up to now. Raises QueryError, StoreError, and QueryCancelled once `stopping` is set."""
        if isinstance(watch, DeadlineWatch):
            watch.take(now, self._vector(watch.limit.used, Steps.at(now)))
            return
        for steps in self._pieces(watch, now):
            used = self._vector(watch.limit.used, steps)
            watch.take(steps.t, used, self._limit(watch.limit, steps))
        watch.forget(now)

    def past(self, limit: Limit, s: Standing, now: int) -> tuple[int, int | None]:
        """How often a series rose to where it is and fell by itself within a week, and how far apart, ms."""
        steps = Steps.between(now - WEEK_MS, now, STEP_MS)
        used = _row(self._ask(narrowed(limit.used, s.labels), steps), s.labels, steps)
        most = _row(self._ask(narrowed(limit.limit, s.limit_labels), steps), s.limit_labels, steps)
        share = np.full(steps.count, np.nan)
        np.divide(used, most, out=share, where=most > 0)
        found = falls(steps.t, share, s.share)
        return len(found), round(float(np.median(np.diff(found)))) if len(found) > 1 else None

    def _pieces(self, watch: LimitWatch, now: int) -> Iterator[Steps]:
        end = now // STEP_MS * STEP_MS
        start = end - self._history_ms // STEP_MS * STEP_MS
        # Before the first look nobody knows how many series there are: those of now are asked for.
        series = len(self._vector(watch.limit.used, Steps.at(end))) if watch.since is None else 0
        start = start if watch.since is None else max(start, watch.since + STEP_MS)
        while start <= end:
            most = min(max(CELLS // max(len(watch), series, 1), LEAST_STEPS), MOST_STEPS)
            steps = Steps.between(start, min(end, start + (most - 1) * STEP_MS), STEP_MS)
            yield steps
            start = steps.end + STEP_MS

    def _limit(self, limit: Limit, steps: Steps) -> Vector | float:
        found = self._ask(limit.limit, steps)
        return float(found.value[-1]) if isinstance(found, Scalar) else found

    def _vector(self, text: str, steps: Steps) -> Vector:
        found = self._ask(text, steps)
        return found.as_vector() if isinstance(found, Scalar) else found

    def _ask(self, text: str, steps: Steps) -> Vector | Scalar:
        deadline = Deadline(time.monotonic() + self._timeout_s, self.stopping)
        found = self._engine.query(text, steps, deadline, range_end=steps.end).value
        if not isinstance(found, Vector | Scalar):
            raise QueryError(f"{text} gives no numbers")
        return found


def _row(found: Vector | Scalar, labels: object, steps: Steps) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(steps,) the values of one series, NaN where it has none."""
    if isinstance(found, Scalar):
        return found.value
    at = {x: i for i, x in enumerate(nameless_labels(found.labels))}.get(labels)  # type: ignore[call-overload]
    return np.full(steps.count, np.nan) if at is None else np.where(found.has[at], found.value[at], np.nan)
