"""The world: labels once, then block after block of scrapes. The same seed and settings give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import xxhash

from airis_mon.series.labels import Labels
from airis_mon.simulate.background import Background
from airis_mon.simulate.dice import MINUTE, Dice, Floats, Times
from airis_mon.simulate.dirt import Block, Dirt, Mask
from airis_mon.simulate.faults import Effects, Fault
from airis_mon.simulate.kinds import effects
from airis_mon.simulate.load import demand, season
from airis_mon.simulate.metrics import Exporter, Layout
from airis_mon.simulate.physics import Flow, Physics, State
from airis_mon.simulate.plan import TITLES, Change, Plan
from airis_mon.simulate.settings import Settings, check_seed
from airis_mon.simulate.topology import PEAK_FACTOR, Edge, build, published

VERSION = "2"
"""Named in everything that is measured on a world; another number means other worlds from the same seeds."""
PAGE = 240
"""Steps that are made at once, always the same ones: a shorter block is cut from them."""
SCALE_DELAY_MS = 5 * MINUTE
DRIFT_MS = 7 * MINUTE
DRIFT = 0.6
"""Noise with memory beside that without."""
KEEP_EVERY = 24


@dataclass(frozen=True, slots=True)
class _Carry:
    """What one page hands on to the next."""

    physics: State
    counters: Floats  # (counter,)
    labels: tuple[Labels, ...]


class World:
    """One world. Raises InputError for a seed that cannot be.

    `blocks` may be asked for any stretch after the start; the stretch that follows the last one costs nothing extra,
    another is reached from the nearest page that was kept.
    """

    version = VERSION

    def __init__(self, settings: Settings, seed: int) -> None:
        check_seed(seed)
        self.settings = settings
        self.dice = Dice(seed, f"{settings.topology} {settings.services}")
        self.topology = build(settings.topology, settings.services, self.dice)
        self.edges: tuple[Edge, ...] = published(self.topology, settings.edges_wrong, self.dice)
        self.plan = Plan(settings, self.topology, self.dice)
        self.physics = Physics(self.topology, settings.step_s)
        traits = self.dice.at("traits")
        self._exporter = Exporter(self.topology, traits, settings.step_s, settings.noise, histogram=settings.histogram)
        self._background = Background(self.topology, self.dice, settings.noise)
        self._dirt = Dirt(self.layout, self.dice, settings.dirt)
        self.settled = self._settled()
        start = _Carry(self.settled, np.zeros(self.layout.counters), self.layout.labels)
        self._kept: dict[int, _Carry] = {0: start}
        self._made: tuple[int, list[Block]] = (-1, [])

    @property
    def layout(self) -> Layout:
        """What each column is."""
        return self._exporter.layout

    @property
    def labels(self) -> tuple[Labels, ...]:
        """(series,) at the start; pods are renamed by deploys, so that a block carries its own."""
        return self.layout.labels

    def blocks(self, start_ms: int | None = None, steps: int | None = None) -> Iterator[Block]:
        """Scrapes from the first at or after start_ms on: `steps` of them, or those of the settings' days."""
        step, origin = self.settings.step_ms, self.settings.start_ms
        first = 0 if start_ms is None else max(0, -(-(start_ms - origin) // step))
        end = self.settings.steps if steps is None else first + steps
        a, b = origin + first * step, origin + end * step
        for n in range(first // PAGE, -(-end // PAGE)):
            for block in self._page(n):
                part = block.cut(a, b)
                if len(part.t):
                    yield part

    def changes(self, start: int, end: int) -> list[Change]:
        """Every change in [start, end): deploys, settings, flags, and what the autoscaler does."""
        both = self.plan.changes(start, end) + self._scalings(start, end)
        return sorted(both, key=lambda c: (c.t, c.entity, c.kind))

    def times(self, page: int) -> Times:
        """(time,) ms of a page's scrapes."""
        step = self.settings.step_ms
        return self.settings.start_ms + (page * PAGE + np.arange(PAGE, dtype=np.int64)) * step

    def page_of(self, t: int) -> int:
        """The page of a moment."""
        return max(0, t - self.settings.start_ms) // (PAGE * self.settings.step_ms)

    def happen(self, page: int, faults: Iterable[Fault], state: State) -> tuple[Flow, Effects, State]:
        """The truth of a page under some faults, and under the harmless events that are there in any case."""
        t = self.times(page)
        harmless = self.plan.harmless(int(t[0]), int(t[-1]) + 1)
        x = effects([*faults, *harmless], self.topology, t, self.settings.step_ms)
        users = demand(self.topology, self.dice, t, self.settings.noise)
        self._background.stir(t, x)
        flow, state = self.physics.advance(users, self._active(t), x, state)
        return flow, x, state

    def _settled(self) -> State:
        """The state of a quiet world."""
        return self.happen(0, (), self.physics.start)[2]

    def _page(self, n: int) -> list[Block]:
        if self._made[0] == n:
            return self._made[1]
        at = max(k for k in self._kept if k <= n)
        carry = self._kept[at]
        for page in range(at, n):
            _, carry = self._make(page, carry)
            self._keep(page + 1, carry)
        blocks, carry = self._make(n, carry)
        self._keep(n + 1, carry)
        self._made = (n, blocks)
        return blocks

    def _keep(self, page: int, carry: _Carry) -> None:
        """The newest, and one of a day."""
        self._kept[page] = carry
        if page > 1 and (page - 1) % KEEP_EVERY:
            self._kept.pop(page - 1, None)

    def _make(self, n: int, carry: _Carry) -> tuple[list[Block], _Carry]:
        t, step = self.times(n), self.settings.step_ms
        faults = self.plan.faults(int(t[0]), int(t[-1]) + 1)
        flow, x, state = self.happen(n, faults, carry.physics)
        active = self._active(t)
        value = self._exporter.measure(flow, x, self.dice.at("measure", n), self._drift(t))
        resets = self._resets(active > self._active(t - step), x, t)
        counters = self._count(value, resets, carry.counters)
        present = self._present(active, x)
        self._dirt.soil(t, value, present, n)
        whole = Block(t, value, present, self._dirt.skew(int(t[0])), carry.labels, self._dirt.late(len(t), n, step))
        blocks = self._renamed(whole)
        return blocks, _Carry(state, counters, blocks[-1].labels)

    def _drift(self, t: Times) -> Floats:
        return DRIFT * self.dice.smooth("drift", t, DRIFT_MS, self._exporter.blurred)

    def _active(self, t: Times) -> Floats:
        """(time, replica) 1 where the autoscaler, which follows the season, runs it."""
        top = self.topology
        wanted = season(top, self.dice, np.maximum(t - SCALE_DELAY_MS, 0)) @ top.demand
        share = wanted / (top.demand.sum() * PEAK_FACTOR)
        return np.asarray((share[:, None] >= top.scale_at).astype(float))

    def _scalings(self, start: int, end: int) -> list[Change]:
        """Changes of the number of replicas, to the minute."""
        t = np.arange(start // MINUTE * MINUTE - MINUTE, end, MINUTE, dtype=np.int64)
        first = np.flatnonzero(np.r_[True, np.diff(self.topology.service) > 0])
        running = np.add.reduceat(self._active(t), first, axis=1)
        found = []
        for row, service in zip(*np.nonzero(np.diff(running, axis=0)), strict=True):
            at, entity = int(t[row + 1]), self.topology.names[service]
            title = TITLES["scale"].format(entity=entity, n=int(running[row + 1, service]))
            if start <= at < end:
                found.append(Change(at, entity, "scale", title))
        return found

    def _resets(self, started: Mask, x: Effects, t: Times) -> Mask:
        """(time, counter) where it begins anew: its replica was restarted or started, its host came back."""
        replica, host = self.layout.replica[: self.layout.counters], self.layout.host[: self.layout.counters]
        restarted = np.where(replica >= 0, ((x.restart > 0) | started)[:, replica], False)
        back = np.diff(x.off, axis=0, prepend=x.off[:1]) < 0
        returned = np.where((host >= 0) & (replica < 0), back[:, host], False)
        return np.asarray(restarted | returned | self._dirt.resets(t, self.settings.step_ms))

    def _count(self, value: Floats, resets: Mask, before: Floats) -> Floats:
        """Turns increments into counters in place, and answers where they stand."""
        counters = value[:, : self.layout.counters]
        total = before + np.cumsum(counters, axis=0)
        lost = np.where(resets, total - counters, 0.0)
        np.maximum.accumulate(lost, axis=0, out=lost)
        np.round(total - lost, 6, out=counters)
        return np.asarray(total[-1] - lost[-1])

    def _present(self, active: Floats, x: Effects) -> Mask:
        """(time, series): dead replicas and hosts are not scraped."""
        replica, host = self.layout.replica, self.layout.host
        runs = (active > 0) & (x.down < 1)
        stands = x.off < 1
        return np.asarray(np.where(replica >= 0, runs[:, replica], True) & np.where(host >= 0, stands[:, host], True))

    def _renamed(self, whole: Block) -> list[Block]:
        """The page, cut where a deploy gives pods new names."""
        t, labels, blocks = whole.t, whole.labels, []
        step, begin = self.settings.step_ms, int(whole.t[0])
        deploys = [c for c in self.plan.changes(begin - step + 1, int(t[-1]) + 1) if c.kind == "deploy"]
        for change in deploys if self.settings.dirt else []:
            part = replace(whole, labels=labels).cut(begin, change.t)
            blocks += [part] if len(part.t) else []
            begin, labels = max(begin, change.t), self._rename(labels, change)
        return [*blocks, replace(whole, labels=labels).cut(begin, int(t[-1]) + 1)]

    def _rename(self, labels: tuple[Labels, ...], change: Change) -> tuple[Labels, ...]:
        service = self.topology.names.index(change.entity)
        tag = f"{xxhash.xxh32_intdigest(f'{change.entity} {change.t}'.encode()):08x}"[:5]
        made = list(labels)
        for column in np.flatnonzero((self.layout.service == service) & (self.layout.replica >= 0)):
            name = f"{change.entity}-{tag}-{self.layout.replica[column]}"
            made[column] = tuple((k, name if k == "pod" else v) for k, v in labels[column])
        return tuple(made)
