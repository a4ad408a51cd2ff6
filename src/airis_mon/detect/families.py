"""The histograms and summaries under watch: which series are members, and the columns that the kernel works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airis_mon.detect.classify import FamilyKey, Part
from airis_mon.detect.tracks import NONE, Families, new_families
from airis_mon.series.batch import Ids
from airis_mon.series.catalogue import NEVER

MEMBER_COLUMNS = ("owner", "le", "base", "alive", "v", "has")
KEPT = ("waiting", "misses", "t", "base_t", "done_t", "slot", "n", "t0")
"""Columns of a family that a snapshot holds; the others follow from its members."""
KEPT_OF_MEMBER = ("base", "alive", "v", "has")


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One series of a family; ordered buckets first, by bound, then sum, then count."""

    part: Part
    le: float
    sid: int


class FamilyTable:
    """Families by key; a family's members lie side by side and move to a new place when their number changes."""

    def __init__(self) -> None:
        self.columns: Families = new_families(64, 1024)
        self.index: dict[FamilyKey, int] = {}
        self.members: dict[int, list[Member]] = {}
        self._keys: dict[int, FamilyKey] = {}
        self._place: dict[int, int] = {}  # sid -> member column
        self._family: dict[int, int] = {}  # sid -> family
        self._free: list[int] = []
        self._size = 0
        self._used = 0  # member columns
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self.index)

    def join(self, key: FamilyKey, sid: int, part: Part, le: float) -> int:
        """Makes a series a member, and a family when there is none; `settle` must follow. Answers the family."""
        family = self.index.get(key)
        if family is None:
            family = self._new(key)
        self.members[family] = sorted([*self.members[family], Member(part, le if part is Part.BUCKET else 0.0, sid)])
        self._family[sid] = family
        self._changed.add(family)
        return family

    def leave(self, sid: int) -> list[int]:
        """Takes a member out; `settle` must follow. Answers the family's slots when it was the last one."""
        family = self._family.pop(sid)
        self.members[family] = [m for m in self.members[family] if m.sid != sid]
        self._place.pop(sid, None)
        self._changed.add(family)
        if self.members[family]:
            return []
        del self.index[self._keys.pop(family)], self.members[family]
        self._changed.discard(family)
        self._free.append(family)
        slots = [int(s) for s in self.columns.slot[:, family] if s >= 0]
        self._clear(family)
        return slots

    def settle(self) -> dict[int, int]:
        """Lays out the families that changed; answers the member columns of the series that moved."""
        moved: dict[int, int] = {}
        need = sum(len(self.members[f]) for f in self._changed)
        if self._used + need > self.columns.le.shape[0]:
            self._changed = set(self.members)
            self._repack()
        for family in sorted(self._changed):
            moved |= self._lay_out(family)
        self._changed.clear()
        return moved

    def family_of(self, sid: int) -> int:
        """The family of a member. Raises KeyError for any other series."""
        return self._family[sid]

    def face(self, family: int) -> int:
        """The sid that stands for a family: its count, else its last bucket, else what there is."""
        members = self.members[family]
        return next((m.sid for m in members if m.part is Part.COUNT), members[-1].sid)

    def columns_of(self, family: int) -> slice:
        """Where a family's members lie."""
        return slice(int(self.columns.start[family]), int(self.columns.end[family]))

    def _new(self, key: FamilyKey) -> int:
        if self._free:
            family = self._free.pop()
        else:
            family = self._size
            self._size += 1
            if family >= self.columns.start.shape[0]:
                self.columns = _grown(self.columns, 2 * family, self.columns.le.shape[0])
        self.index[key] = family
        self._keys[family] = key
        self.members[family] = []
        return family

    def _clear(self, family: int) -> None:
        blank = new_families(1, 0)
        for name, column in self.columns._asdict().items():
            if name not in MEMBER_COLUMNS:
                column[..., family] = getattr(blank, name)[..., 0]

    def _repack(self) -> None:
        """Moves all members to fresh columns with room for twice as many."""
        old = self.columns
        total = sum(len(m) for m in self.members.values())
        fresh = new_families(old.start.shape[0], max(1024, 2 * total))
        for name in old._fields:
            if name not in MEMBER_COLUMNS:
                getattr(fresh, name)[...] = getattr(old, name)
        at = 0
        for sid, place in list(self._place.items()):
            for name in MEMBER_COLUMNS:
                getattr(fresh, name)[..., at] = getattr(old, name)[..., place]
            self._place[sid] = at
            at += 1
        # The families' own places come after these, which `_lay_out` reads from.
        self.columns = _grown(fresh, fresh.start.shape[0], fresh.le.shape[0] + at)
        self._used = at

    def _lay_out(self, family: int) -> dict[int, int]:
        c = self.columns
        members = self.members[family]
        start, end = self._used, self._used + len(members)
        self._used = end
        # First seen with its first sample: it will report. A latecomer counts from its first sample on.
        is_new = c.done_t[family] == NEVER and c.waiting[family] == 0
        for at, member in enumerate(members, start):
            place = self._place.get(member.sid)
            c.alive[at], c.base[at], c.has[:, at] = is_new, np.nan, False
            if place is not None:
                for name in KEPT_OF_MEMBER:
                    getattr(c, name)[..., at] = getattr(c, name)[..., place]
            c.owner[at], c.le[at] = family, member.le if member.part is Part.BUCKET else np.nan
            self._place[member.sid] = at
        c.start[family], c.end[family] = start, end
        c.buckets[family] = sum(m.part is Part.BUCKET for m in members)
        parts = {m.part: at for at, m in enumerate(members, start)}
        c.sum_at[family], c.count_at[family] = parts.get(Part.SUM, -1), parts.get(Part.COUNT, -1)
        self.recount(family)
        return {m.sid: at for at, m in enumerate(members, start)}

    def recount(self, family: int) -> None:
        """Counts anew who is alive and who reported each waiting scrape."""
        where = self.columns_of(family)
        self.columns.alive_n[family] = self.columns.alive[where].sum()
        self.columns.got[:, family] = self.columns.has[:, where].sum(axis=1)

    def slots(self, family: int) -> Ids:
        """(3,) rate, mean, p99; negative = none."""
        return self.columns.slot[:, family]


def _grown(old: Families, families: int, members: int) -> Families:
    fresh = new_families(families, members)
    for name in old._fields:
        column = getattr(old, name)
        getattr(fresh, name)[..., : column.shape[-1]] = column
    return fresh


def watched(slots: Ids) -> bool:
    """Whether any signal of a family has a slot."""
    return bool((slots > NONE).any())
