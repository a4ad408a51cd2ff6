"""Judged signals -> findings: which entity each signal belongs to, and what all of them say together.

Signals of an entity are scraped at different moments: they are brought together on a grid of times, and each time is
judged once, when its samples have come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airis_mon.app.judge import Judged
from airis_mon.detect.base import Floats
from airis_mon.detect.entity import Entities
from airis_mon.detect.findings import Findings
from airis_mon.detect.watch import Watch
from airis_mon.events.anomaly import signal_name
from airis_mon.events.finding import Finding
from airis_mon.series.batch import Ids, Times
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import first_of

STEP_MS = 15_000
"""A sample counts at the end of its step."""
_UNKNOWN, _NONE = -2, -1
_Rows = tuple[Ids, Times, Floats, Floats]
"""slot, time on the grid, onset, level."""


class EntityStage:
    """Follows the entities that the labels `names` name. Whoever owns the watch calls `release` on its releases."""

    def __init__(self, catalogue: Catalogue, watch: Watch, names: Sequence[str]) -> None:
        self._catalogue, self._watch, self._labels = catalogue, watch, tuple(names)
        self._entities = Entities()
        self._names: list[str] = []
        self._ids: dict[str, int] = {}
        self._of = np.empty(0, np.int32)  # (slot,) entity
        self._findings = Findings(lambda entity: self._names[entity], self._name)
        self._waiting: list[_Rows] = []
        self.slots: dict[str, int] = {}  # of the signals that were blamed, by name

    @property
    def open(self) -> list[Finding]:
        """Findings that may go on."""
        return self._findings.open

    def follow(self, watch: Watch) -> None:
        """Goes on with another watch, whose slots have other numbers. Open findings stay; what waits is forgotten."""
        self._watch, self._waiting, self.slots = watch, [], {}
        known = np.arange(len(self._of), dtype=np.int32)
        self._entities.assign(known, np.full(len(known), _NONE, np.int32))
        self._of = np.empty(0, np.int32)

    def take(self, judged: Judged) -> None:
        """Keeps what was judged until its time is due."""
        t = -(-judged.signals.t // STEP_MS) * STEP_MS
        if len(t):
            self._waiting.append((judged.signals.slot, t, judged.scores.onset, judged.scores.level))

    def advance(self, until: int) -> list[Finding]:
        """Judges what was taken of times up to `until` (ms); answers the findings that ended.

        What comes of these times later on counts at the next call.
        """
        if not self._waiting:
            return []
        slot, t, onset, level = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        due = t <= until
        self._waiting = [(slot[~due], t[~due], onset[~due], level[~due])] if not due.all() else []
        slot, t, onset, level = slot[due], t[due], onset[due], level[due]
        self._assign(slot)
        order = np.argsort(t, kind="stable")
        return self._findings.update(self._entities.update(slot[order], t[order], onset[order], level[order]))

    def series_of(self, finding: Finding) -> list[int]:
        """Fingerprints of the series that it blames and that are still watched."""
        found = []
        for slot in (self.slots[b.name] for b in finding.blamed if b.name in self.slots):
            try:
                found.append(self._watch.signal(slot).fp)
            except KeyError:
                continue
        return found

    def release(self, slots: Ids) -> None:
        """These slots will be given to other signals."""
        self._of[slots[slots < len(self._of)]] = _UNKNOWN

    def _assign(self, slot: Ids) -> None:
        more = int(slot.max(initial=-1)) + 1 - len(self._of)
        if more > 0:
            self._of = np.concatenate([self._of, np.full(more, _UNKNOWN, np.int32)])
        new = np.unique(slot[self._of[slot] == _UNKNOWN])
        if len(new):
            self._of[new] = [self._entity(s) for s in new.tolist()]
            self._entities.assign(new, self._of[new])

    def _entity(self, slot: int) -> int:
        try:
            labels = self._catalogue.labels(self._watch.signal(slot).sid)
        except KeyError:  # given up since it was judged
            return _NONE
        name = first_of(labels, self._labels)
        if not name:
            return _NONE
        if name not in self._ids:
            self._ids[name] = len(self._names)
            self._names.append(name)
        return self._ids[name]

    def _name(self, slot: int) -> str:
        try:
            signal = self._watch.signal(slot)
            name = signal_name(self._catalogue.labels(signal.sid), signal.kind)
        except KeyError:
            return "a signal that has ended"
        self.slots[name] = slot
        return name
