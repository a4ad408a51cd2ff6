"""The simulated worlds that questions are asked on, split by topology and seed, and what our engine makes of each.

What is chosen is chosen on `train` or `dev`; `test` has other graphs and other seeds, and nobody tunes on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from airis_mon.app.entities import EntityStage
from airis_mon.app.judge import judge
from airis_mon.detect.base import Floats
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.findings import ENTITIES
from airis_mon.detect.watch import Watch
from airis_mon.events.anomaly import signal_name
from airis_mon.events.finding import Finding
from airis_mon.series.batch import Batch, Ids, Times
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels, first_of
from airis_mon.simulate.deliver import deliver
from airis_mon.simulate.plan import Case
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.truth import Verdict, verdicts
from airis_mon.simulate.world import World
from airis_mon.yardstick.base import Tell, untold

Part = Literal["train", "dev", "test"]

STEP_S, FAULTS_PER_DAY = 60.0, 6.0
DAYS, HISTORY_DAYS = 10.0, 3.0
QUICK_DAYS, QUICK_HISTORY_DAYS = 4.0, 1.0
LAST_MS = 3_600_000
"""A fault that begins later than so long before the end is not asked for: what follows it would be cut off."""
GATHERED_MS = 180_000
"""Clocks are wrong by up to 90 s: so long is waited for all that an entity shows at a time."""
KEPT_BYTES = 2**28
"""Runs are kept until they take so much together; the others are made anew each time: ten days take 100 to 350 MB."""
_FIXED = 20  # services, which the fixed graphs don't read
_SEEDS: dict[Part, tuple[int, ...]] = {"train": (101, 102, 103), "dev": (201, 202), "test": (301, 302, 303, 304)}
_GRAPHS: dict[Part, tuple[str, ...]] = {
    "train": ("shop", "ticket"),
    "dev": ("shop", "ticket"),
    "test": ("social", "random"),
}
_SERVICES = {301: 12, 302: 28, 303: 44, 304: 60}
"""Of the random graphs, by seed."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One world by what makes it; the same spec is the same world in every process."""

    part: Part
    topology: str
    seed: int
    services: int = _FIXED
    days: float = DAYS
    history_days: float = HISTORY_DAYS
    faults_per_day: float = FAULTS_PER_DAY

    @property
    def name(self) -> str:
        """For tables: topology and seed."""
        size = f"-{self.services}" if self.topology == "random" else ""
        return f"{self.topology}{size} seed {self.seed}"

    @property
    def settings(self) -> Settings:
        """Everything else as the world's version has it; latencies as sums and counts."""
        return Settings(
            topology=self.topology,
            services=self.services,
            days=self.days,
            step_s=STEP_S,
            history_days=self.history_days,
            faults_per_day=self.faults_per_day,
            histogram=False,
        )

    def world(self) -> World:
        """A fresh one, at its start."""
        return World(self.settings, self.seed)


def specs(part: Part, *, quick: bool = False) -> tuple[Spec, ...]:
    """The worlds of a part; quick: one seed of each graph, four days of which the first is history."""
    days, history = (QUICK_DAYS, QUICK_HISTORY_DAYS) if quick else (DAYS, HISTORY_DAYS)
    return tuple(
        Spec(part, graph, seed, _SERVICES[seed] if graph == "random" else _FIXED, days, history)
        for graph in _GRAPHS[part]
        for seed in (_SEEDS[part][:1] if quick else _SEEDS[part])
    )


def described(of: Iterable[Spec]) -> dict[str, Any]:
    """What an answer says of the worlds it was found on, enough to make them again."""
    asked = list(of)
    return {
        "world": World.version,
        "stepSeconds": STEP_S,
        "faultsPerDay": sorted({s.faults_per_day for s in asked}),
        "days": sorted({s.days for s in asked}),
        "historyDays": sorted({s.history_days for s in asked}),
        "worlds": {part: [s.name for s in asked if s.part == part] for part in dict.fromkeys(s.part for s in asked)},
    }


@dataclass(frozen=True, slots=True)
class WorldSignal:
    """One thing that the engine judged. kind: value, rate or mean; entity: the service or host it tells of, or ""."""

    labels: Labels
    kind: str
    entity: str

    @property
    def name(self) -> str:
        """As findings name it."""
        return signal_name(self.labels, self.kind)


@dataclass(frozen=True, slots=True)
class WorldRun:
    """One world and what our engine, run over it as live, made of it.

    Signal i has the rows [first[i], first[i + 1]) of offset, value and score, times rising; a gap has no row.
    A pod that gets a new name is a new signal, as it is live. truth: every injected fault, felt or not, those of the
    history too; controls: stretches in which nothing was injected. findings: of the whole run, end None = still open.
    """

    spec: Spec
    world: World
    signals: tuple[WorldSignal, ...]
    first: Times  # (signal + 1,)
    offset: Ids  # (row,) ms after the start
    value: Floats  # (row,)
    score: Floats  # (row,) 0..1, 0.8 is the line
    truth: tuple[Verdict, ...]
    controls: tuple[Case, ...]
    findings: tuple[Finding, ...]

    @property
    def start_ms(self) -> int:
        """The world's first moment."""
        return self.spec.settings.start_ms

    @property
    def judged_ms(self) -> int:
        """Where the history ends and judging begins."""
        return self.start_ms + round(self.spec.history_days * 86_400_000)

    @property
    def end_ms(self) -> int:
        """The end of the days."""
        return self.spec.settings.end_ms

    @property
    def events(self) -> tuple[Verdict, ...]:
        """The faults to be found: felt by users, after the history, with time left to show."""
        last = self.end_ms - LAST_MS
        return tuple(v for v in self.truth if v.is_valid and not v.is_history and v.fault.onset_ms < last)

    @property
    def size_bytes(self) -> int:
        """What the columns take."""
        return self.offset.nbytes + self.value.nbytes + self.score.nbytes

    def rows(self, signal: int) -> slice:
        """Where a signal's rows lie in offset, value and score."""
        return slice(int(self.first[signal]), int(self.first[signal + 1]))

    def times(self, signal: int) -> Times:
        """(n,) ms of a signal's rows."""
        return self.start_ms + self.offset[self.rows(signal)].astype(np.int64)


_kept: dict[Spec, WorldRun] = {}


def run(spec: Spec, tell: Tell = untold) -> WorldRun:
    """The run of one world; the same one again within a process, as long as there is room to keep it."""
    if spec not in _kept:
        made = _made(spec, tell)
        if sum(r.size_bytes for r in _kept.values()) + made.size_bytes > KEPT_BYTES:
            return made
        _kept[spec] = made
    return _kept[spec]


def runs(of: Iterable[Spec], tell: Tell = untold) -> Iterator[WorldRun]:
    """The runs of several worlds, one after another; tell hears which one, and how far all are."""
    asked = list(of)
    for k, spec in enumerate(asked):

        def told(fraction: float, _: str, k: int = k, spec: Spec = spec) -> None:
            tell((k + fraction) / len(asked), f"world {spec.name}")

        yield run(spec, told)


def _made(spec: Spec, tell: Tell) -> WorldRun:
    world, gathered, length = spec.world(), _Gathered(spec), spec.days * 86_400_000
    sid, labels = np.zeros(0, np.int32), None
    for some in deliver(world.blocks()):
        if some.labels is not labels:
            sid = np.array([gathered.catalogue.intern(x) for x in some.labels], np.int32)
            labels = some.labels
        gathered.take(Batch(sid[some.column], some.t, some.value))
        tell(float(some.arrival[-1] - spec.settings.start_ms) / length * 0.9 if len(some.t) else 0.0, spec.name)
    begin, end = spec.settings.start_ms, spec.settings.end_ms
    controls = tuple(c for c in world.plan.cases(begin, end) if not c.faults)
    truth = tuple(verdicts(world, begin, end))
    tell(1.0, spec.name)
    return WorldRun(
        spec, world, tuple(gathered.signals), *gathered.columns(), truth, controls, tuple(gathered.findings())
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one batch gave, by signal."""

    signal: Ids
    offset: Ids
    value: Floats
    score: Floats


class _Gathered:
    """Takes batches as a live engine does, and keeps what was judged of each signal."""

    def __init__(self, spec: Spec) -> None:
        self.catalogue = Catalogue()
        self.signals: list[WorldSignal] = []
        self._bank = Record()
        self._watch = Watch(self.catalogue, self._bank)
        self._watch.on_release = self._release
        self._start = spec.settings.start_ms
        self._of = np.zeros(0, np.int32)  # (slot,) -> signal, -1 = none yet
        self._pieces: deque[_Piece] = deque()
        self._entities = EntityStage(self.catalogue, self._watch, ENTITIES)
        self._ended: list[Finding] = []

    def take(self, batch: Batch) -> None:
        """Judges a batch."""
        self.catalogue.observe(batch)
        judged = judge(batch, self.catalogue, self._bank, self._watch)
        slot = judged.signals.slot
        self._name(slot)
        is_known = self._of[slot] >= 0
        self._pieces.append(
            _Piece(
                self._of[slot][is_known],
                (judged.signals.t[is_known] - self._start).astype(np.int32),
                judged.signals.value[is_known].astype(np.float32),
                judged.scores.score[is_known],
            )
        )
        self._entities.take(judged)
        self._ended += self._entities.advance(int(batch.t.max(initial=0)) - GATHERED_MS)

    def findings(self) -> list[Finding]:
        """Those that ended, and those still open, in order of their start."""
        last = self._entities.advance(np.iinfo(np.int64).max)
        return sorted([*self._ended, *last, *self._entities.open], key=lambda f: (f.start, f.entity))

    def columns(self) -> tuple[Times, Ids, Floats, Floats]:
        """(first, offset, value, score), and forgets the pieces: both at once would take twice the room."""
        counts = np.zeros(len(self.signals), np.int64)
        for piece in self._pieces:
            counts += np.bincount(piece.signal, minlength=len(counts))
        first = np.concatenate([[0], np.cumsum(counts)])
        n = int(first[-1])
        offset, value, score = np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32)
        free = first[:-1].copy()  # where each signal's next row goes
        while self._pieces:
            piece = self._pieces.popleft()
            order = np.argsort(piece.signal, kind="stable")
            signal, count = np.unique(piece.signal, return_counts=True)
            at = np.repeat(free[signal] - np.cumsum(count) + count, count) + np.arange(len(order))
            offset[at], value[at], score[at] = piece.offset[order], piece.value[order], piece.score[order]
            free[signal] += count
        return first, offset, value, score

    def _name(self, slot: Ids) -> None:
        """Gives a signal to each slot that has none."""
        more = self._bank.size - len(self._of)
        self._of = np.concatenate([self._of, np.full(max(more, 0), -1, np.int32)])
        for s in np.unique(slot[self._of[slot] < 0]).tolist():
            try:
                judged = self._watch.signal(s)
            except KeyError:  # given up within this very batch
                continue
            labels = self.catalogue.labels(judged.sid)
            self._of[s] = len(self.signals)
            self.signals.append(WorldSignal(labels, judged.kind, first_of(labels, ENTITIES)))

    def _release(self, slots: Ids) -> None:
        """The slots' next samples are another signal's."""
        self._of[slots[slots < len(self._of)]] = -1
        self._entities.release(slots)
