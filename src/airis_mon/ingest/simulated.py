"""A simulated world put on the wall clock, so that a server can watch it: its past is there, and it goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import InputError
from airis_mon.series.batch import Batch, Ids
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import Labels, canonical
from airis_mon.simulate.deliver import deliver
from airis_mon.simulate.dice import Floats, Times
from airis_mon.simulate.dirt import Block
from airis_mon.simulate.kinds import KINDS
from airis_mon.simulate.metrics import COUNTERS, FAMILIES, GAUGES
from airis_mon.simulate.plan import Case, Change, Cycle, Plan
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.topology import Ints
from airis_mon.simulate.world import World

DEMO = ("demo", "simulated")
"""The label of every series: nobody shall take them for real ones."""
QUIET = 45
"""Of so many cases of the past one keeps its faults: whoever learns from it must see good days."""
FEW = 10
"""Of so many innocent changes, and of so many planned works, one happens: a deploy gives pods new names, and nothing
is known of a pod whose name is minutes old."""
_ASK = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One world and its place in time; the same scene is the same bytes. Times are ms.

    Its first scrape is at start_ms; from lively_ms on faults come at faults_per_day, before that one in QUIET. Other
    settings are the world's own, as simulate has them.
    """

    seed: int
    start_ms: int
    lively_ms: int
    topology: str = "shop"
    step_s: float = 15.0
    faults_per_day: float = 144.0
    amplitude: float = 1.0
    dirt: float = 1.0
    kinds: tuple[str, ...] = tuple(KINDS)

    def world(self) -> World:
        """The world. Raises InputError for settings that cannot be."""
        settings = Settings(
            topology=self.topology,
            days=1.0,  # it goes on without end
            step_s=self.step_s,
            start_ms=self.start_ms,
            faults_per_day=self.faults_per_day,
            amplitude=self.amplitude,
            dirt=self.dirt,
            kinds=self.kinds,
        )
        world = World(settings, self.seed)
        world.plan = _Calmer(world, self.lively_ms)
        return world

    @property
    def step_ms(self) -> int:
        """The time between two scrapes."""
        return round(self.step_s * 1000)


class _Calmer(Plan):
    """The plan of a world, with fewer faults in its past, and fewer changes throughout."""

    def __init__(self, world: World, lively_ms: int) -> None:
        super().__init__(world.settings, world.topology, world.dice)
        self._lively_ms = lively_ms

    def _draw(self, n: int, start: int) -> Cycle:
        whole = super()._draw(n, start)
        cases = tuple(self._calmed(case, 20 * n + i) for i, case in enumerate(whole.cases))
        changes = _fewer(whole, cases)
        rolled = {(c.entity, c.t) for c in changes if c.kind == "deploy"}
        has_works = n % FEW == 0
        harmless = tuple(
            f
            for f in whole.harmless
            if (f.kind != "rollout" or (f.entity, f.onset_ms) in rolled) and (f.kind != "drain" or has_works)
        )
        return Cycle(cases, changes, harmless, whole.maintenance if has_works else ())

    def _calmed(self, case: Case, number: int) -> Case:
        return case if case.start_ms >= self._lively_ms or number % QUIET == 0 else replace(case, faults=())


def _fewer(whole: Cycle, cases: tuple[Case, ...]) -> tuple[Change, ...]:
    """The guilty changes of faults that stay, and some innocent ones."""
    guilty = {(f.entity, f.change_ms) for case in whole.cases for f in case.faults}
    stay = {(f.entity, f.change_ms) for case in cases for f in case.faults}
    innocent = [c for c in whole.changes if (c.entity, c.t) not in guilty]
    return tuple(c for c in whole.changes if (c.entity, c.t) in stay or c in innocent[::FEW])


class Rows(NamedTuple):
    """Samples of a world, (n,) each; place: the number that a Cast gives to their series."""

    place: Ints
    t: Times
    value: Floats
    arrival: Times  # the scrape with which each comes

    def where(self, chosen: NDArray[np.generic]) -> Rows:
        """Some of them, by a mask or by place."""
        return Rows(self.place[chosen], self.t[chosen], self.value[chosen], self.arrival[chosen])

    def and_then(self, more: Rows) -> Rows:
        """These and those."""
        place, arrival = np.concatenate([self.place, more.place]), np.concatenate([self.arrival, more.arrival])
        return Rows(place, np.concatenate([self.t, more.t]), np.concatenate([self.value, more.value]), arrival)


def no_rows() -> Rows:
    """None."""
    return Rows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))


class Cast:
    """The series of a world, each with the label DEMO: a number for each that stays, and its sid of the moment."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.refused = 0
        self._catalogue = catalogue
        self._number: dict[Labels, int] = {}
        self._known: tuple[tuple[Labels, ...], Ints] = ((), np.empty(0, np.int64))
        self._sid: Ids = np.empty(0, np.int32)  # by number, _ASK = to be asked for
        self._epoch = -1
        take_types(catalogue, _types())

    def rows(self, block: Block) -> Rows:
        """A block's samples, the doubled ones twice."""
        rows = no_rows()
        numbers = self._numbers(block.labels)
        for told in deliver([block]):
            rows = rows.and_then(Rows(numbers[told.column], told.t, told.value, told.arrival))
        return rows

    def batch(self, rows: Rows) -> Batch:
        """Rows as they go into the engine; those of series that find no room are counted and left out."""
        sid = self._sids(rows.place)
        found = sid >= 0
        refused = int(np.count_nonzero(~found))
        return Batch(sid[found], rows.t[found], rows.value[found], (), refused)

    def _numbers(self, labels: tuple[Labels, ...]) -> Ints:
        if labels is not self._known[0]:  # pods were renamed
            numbers = [self._number.setdefault(one, len(self._number)) for one in labels]
            self._known = labels, np.array(numbers, np.int64)
            self._sid = np.append(self._sid, np.full(len(self._number) - len(self._sid), _ASK, np.int32))
        return self._known[1]

    def _sids(self, place: Ints) -> Ids:
        if self._epoch != self._catalogue.epoch:
            self._epoch = self._catalogue.epoch
            self._sid[:] = _ASK
        if len(asked := np.unique(place[self._sid[place] == _ASK])):
            named = list(self._number)
            self._sid[asked] = [self._intern(named[i]) for i in asked.tolist()]
        return self._sid[place]

    def _intern(self, labels: Labels) -> int:
        try:
            return self._catalogue.intern(canonical([*labels, DEMO]))
        except InputError:
            return -1


def _types() -> list[tuple[str, MetricType]]:
    """What a client library says of the world's metrics."""
    found = [(m.name, MetricType.COUNTER) for m in COUNTERS] + [(m.name, MetricType.GAUGE) for m in GAUGES]
    for f in FAMILIES:
        found.append((f"{f.name}_requests_total", MetricType.COUNTER))
        kind = MetricType.HISTOGRAM if f.has_buckets else MetricType.SUMMARY
        found.append((f"{f.name}_request_duration_seconds", kind))
    return found
