"""Scores of entities -> findings: from when to when all metrics of one thing were unusual together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from airis_mon.detect.entity import EntityScores
from airis_mon.events.anomaly import ALARM
from airis_mon.events.finding import Blame, Finding

ENTITIES = ("service", "app", "container", "instance", "host", "node", "server", "job")
"""Labels that name an entity; the first that a series has counts."""
HOLD_MS = 900_000
"""A finding is over when the score has stayed below the line for so long."""


class Findings:
    """Follows the scores of entities; what is at the line again within `hold_ms` is the same finding.

    entity and signal answer the name of an entity and of a slot.
    """

    def __init__(self, entity: Callable[[int], str], signal: Callable[[int], str], hold_ms: int = HOLD_MS) -> None:
        self._entity, self._signal, self._hold_ms = entity, signal, hold_ms
        self._open: dict[int, Finding] = {}
        self._last: dict[int, int] = {}  # when an open one was last at the line

    @property
    def open(self) -> list[Finding]:
        """Those that may go on, in order of their start."""
        return sorted(self._open.values(), key=lambda f: (f.start, f.entity))

    def update(self, scores: EntityScores) -> list[Finding]:
        """Takes scores in, times rising per entity; answers the findings that have ended, in order of their start."""
        ended: list[Finding] = []
        hits = np.flatnonzero(scores.score >= np.float32(ALARM))
        for row in hits[np.argsort(scores.t[hits], kind="stable")].tolist():
            entity, t = int(scores.entity[row]), int(scores.t[row])
            if entity in self._open and t - self._last[entity] > self._hold_ms:
                ended.append(self._ended(entity))
            self._open[entity] = self._grown(entity, scores, row, t)
            self._last[entity] = t
        if len(scores):
            now = int(scores.t.max())
            ended += [self._ended(e) for e, last in list(self._last.items()) if now - last > self._hold_ms]
        return sorted(ended, key=lambda f: (f.start, f.entity))

    def _grown(self, entity: int, scores: EntityScores, row: int, t: int) -> Finding:
        known, score = self._open.get(entity), float(scores.score[row])
        if known is not None and score <= known.peak:
            return known
        blamed = tuple(
            Blame(self._signal(slot), round(share, 6))
            for slot, share in zip(scores.slot[row].tolist(), scores.share[row].tolist(), strict=True)
            if slot >= 0
        )
        if known is None:
            return Finding(self._entity(entity), t, None, score, t, blamed)
        return replace(known, peak=score, peak_t=t, blamed=blamed)

    def _ended(self, entity: int) -> Finding:
        return replace(self._open.pop(entity), end=self._last.pop(entity))
