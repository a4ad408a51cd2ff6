"""Judged signals -> findings: which entity each signal belongs to, and what all of them say together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airis_mon.app.judge import Judged
from airis_mon.detect.entity import Entities
from airis_mon.detect.findings import Findings
from airis_mon.detect.watch import Watch
from airis_mon.events.anomaly import signal_name
from airis_mon.events.finding import Finding
from airis_mon.series.batch import Ids
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import first_of

_UNKNOWN, _NONE = -2, -1


class EntityStage:
    """Follows the entities that the labels `names` name. Tells the watch to be told of slots that change hands."""

    def __init__(self, catalogue: Catalogue, watch: Watch, names: Sequence[str]) -> None:
        self._catalogue, self._watch, self._labels = catalogue, watch, tuple(names)
        self._entities = Entities()
        self._names: list[str] = []
        self._ids: dict[str, int] = {}
        self._of = np.empty(0, np.int32)  # (slot,) entity
        self._findings = Findings(lambda entity: self._names[entity], self._name)
        self.slots: dict[str, int] = {}  # of the signals that were blamed, by name
        watch.on_release = self._release

    @property
    def open(self) -> list[Finding]:
        """Findings that may go on."""
        return self._findings.open

    def update(self, judged: Sequence[Judged]) -> list[Finding]:
        """The findings that ended. Hand over all samples of one time together, later times after earlier ones."""
        slot, t, onset, level = (
            np.concatenate(column)
            for column in zip(
                *((j.signals.slot, j.signals.t, j.scores.onset, j.scores.level) for j in judged), strict=True
            )
        )
        self._assign(slot)
        order = np.argsort(t, kind="stable")
        return self._findings.update(self._entities.update(slot[order], t[order], onset[order], level[order]))

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

    def _release(self, slots: Ids) -> None:
        self._of[slots[slots < len(self._of)]] = _UNKNOWN
