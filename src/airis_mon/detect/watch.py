"""Between committed samples and the detector bank: which signals are judged, and in which slot.

Decided once per series, in Python; the samples themselves go through one kernel (`derive.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect.base import State
from airis_mon.detect.classify import (
    FamilyKey,
    Part,
    Verdict,
    Why,
    bound_of,
    classify,
    declared_type,
    family_key,
    part_of,
)
from airis_mon.detect.coverage import ORDER, REASONS, WATCHED, Coverage, CoverageItem, Signal
from airis_mon.detect.derive import count_roles, route_samples
from airis_mon.detect.families import FamilyTable
from airis_mon.detect.kept import give, replay, take
from airis_mon.detect.slots import SlotTable
from airis_mon.detect.tracks import LIMITED, NONE, PROVISIONAL, Kind, Out, Role, Tracks, new_out, new_tracks
from airis_mon.series.batch import Batch, Ids, Times, Values
from airis_mon.series.catalogue import NEVER, Catalogue, MetricType
from airis_mon.series.labels import Labels, metric_of, series_name
from airis_mon.series.matchers import Matcher, compile_matchers, compile_selectors

OWN_SAMPLES = 30
"""A signal that was constant for so many samples borrows nothing."""
DONORS = 32
"""So many signals of a metric and job are remembered as examples for new ones."""
LikeKey = tuple[str, str, int]


class Bank(Protocol):
    """What the watch needs of a detector bank."""

    def reserve(self, n: int) -> int:
        """Adds `n` fresh slots; answers the first one."""

    def seed_constant(self, slot: int, value: float, t_first: int, t_last: int, n: int) -> None:
        """Teaches a fresh slot `n` equal samples from `t_first` to `t_last`."""

    def borrow(self, slot: int, donors: Ids) -> bool:
        """Gives a fresh slot what like signals know; False when they know too little."""

    def release(self, slots: Ids) -> None:
        """Makes slots fresh again; the watch hands them out anew."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What the bank is to judge, in order of arrival: (m,) each; value is finite."""

    slot: Ids
    t: Times
    value: Values

    def __len__(self) -> int:
        return len(self.slot)


def _nobody(_slots: Ids) -> None:
    """Told when nobody listens."""


class Watch:
    """Decides per series what is judged, turns samples into signals and gives each signal its slot.

    select: when not empty, only series that one of these selectors means are watched, also those that would be
    skipped by name. drop: selectors of series that are never watched. max_signals: slots in use at most. One lock
    guards all; slots that a call gives up stay the bank's until the next `route`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        bank: Bank,
        select: Sequence[str] = (),
        drop: Sequence[str] = (),
        max_signals: int = 1_000_000,
    ) -> None:
        self.catalogue = catalogue
        self.max_signals = max_signals
        self.tracks: Tracks = new_tracks(1024)
        self.families = FamilyTable()
        self._bank = bank
        self._lock = threading.RLock()
        self._has_select = bool(select)
        self._is_selected = compile_selectors(select)
        self._is_dropped = compile_selectors(drop)
        self.why: NDArray[np.int8] = np.zeros(1024, np.int8)
        self.slots = SlotTable()
        self._parted: list[int] = []  # slots given up while signals for them may still be under way
        self._free: list[int] = []
        self._like: dict[LikeKey, dict[int, None]] = {}  # slots in order of birth
        self._likeness: dict[int, LikeKey] = {}
        self._loose: dict[FamilyKey, dict[Part, int]] = {}  # untyped `_sum` or `_count` without the other
        self._loose_key: dict[int, FamilyKey] = {}
        self._known_types: dict[str, MetricType] = {}
        self.on_release: Callable[[Ids], None] = _nobody  # told of slots that will be given to other signals

    def route(self, batch: Batch) -> Signals:
        """The signals that committed samples complete; their slots are ready in the bank.

        A sample not newer than the latest of its series, a gap and a skipped series give none.
        """
        with self._lock:
            self._drain()
            self.fit()
            self._take_types()
            new, members = count_roles(batch.sid, self.tracks.role)
            if new:
                self._decide(_first_seen(batch.sid, self.tracks.role))
                new, members = count_roles(batch.sid, self.tracks.role)
            out = new_out(len(batch), members, self.max_signals - self.in_use)
            columns = self.families.columns
            value = np.ascontiguousarray(batch.value)
            route_samples(batch.sid, batch.t, value, value.view(np.uint64), self.tracks, columns, out)
            signals, births = int(out.tally[0]), int(out.tally[1])
            slot = out.slot[:signals]
            if births:
                is_new = slot >= PROVISIONAL
                slot[is_new] = self._bear(out, births)[slot[is_new] - PROVISIONAL]
            return Signals(slot, out.t[:signals], out.value[:signals])

    @property
    def in_use(self) -> int:
        """Slots that signals hold."""
        return len(self.slots)

    def signal(self, slot: int) -> Signal:
        """What a slot judges. Raises KeyError for a slot that no signal holds."""
        with self._lock:
            at, of_family, kind = self.slots.get(slot)
            sid = self.families.face(at) if of_family else at
            return Signal(int(self.catalogue.fp[sid]), sid, kind.name.lower())

    def slots_of(self, fp: int) -> list[int]:
        """The slots that judge a series; of a histogram's member those of the histogram."""
        with self._lock:
            sid = self.catalogue.find(fp)
            return [] if sid is None or sid >= len(self.tracks.role) else self._slots_of(sid)

    def evict(self, sids: Ids) -> None:
        """Forgets series that the catalogue has evicted and gives their slots back."""
        with self._lock:
            self._drain()
            for sid in sids.tolist():
                if sid < len(self.tracks.role):
                    self._forget(sid)
                    self._blank(sid)
            self._settle()
            if self._parted:
                self._drain()
                self._reopen()

    def coverage(
        self,
        matchers: Sequence[Matcher] = (),
        *,
        reason: str | None = None,
        is_watched: bool | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Coverage:
        """What is watched and why not, in total and for one page of the series that meet every matcher.

        reason: only series with this key of `coverage.REASONS`; is_watched: only these or only the others. O(series).
        """
        with self._lock:
            size = self.fit()
            codes = self._reasons(size)
            living = np.array([self.catalogue.has(s) for s in range(size)], np.bool_)
            counts = np.bincount(codes[living], minlength=len(ORDER))
            totals = {name: int(n) for name, n in zip(ORDER, counts, strict=True)}
            wanted = living if reason is None else living & (codes == (ORDER.index(reason) if reason in ORDER else -1))
            if is_watched is not None:
                watched = np.array([name in WATCHED for name in ORDER])
                wanted = wanted & (watched[codes] == is_watched)
            matches = compile_matchers(matchers)
            sids = np.flatnonzero(wanted).tolist()
            asked = [s for s in sids if matches(self.catalogue.labels(s))] if matchers else sids
            return Coverage(
                watched=sum(totals[name] for name in WATCHED),
                skipped={name: n for name, n in totals.items() if n and name not in WATCHED},
                signals=self.in_use,
                matched=len(asked),
                items=tuple(self._item(s, ORDER[codes[s]]) for s in asked[offset : offset + limit]),
            )

    def state(self) -> State:
        """Everything the watch knows of the series, by fingerprint, as named arrays."""
        with self._lock:
            self._drain()
            return take(self.catalogue, self.fit(), self.tracks, self.families, self._free)

    @classmethod
    def from_state(
        cls,
        state: State,
        catalogue: Catalogue,
        bank: Bank,
        select: Sequence[str] = (),
        drop: Sequence[str] = (),
        max_signals: int = 1_000_000,
    ) -> Self:
        """A watch that continues exactly where `state()` was taken, over the bank saved with it.

        Series that the catalogue doesn't know any more, or that `select` and `drop` now exclude, lose their slots.
        """
        watch = cls(catalogue, bank, select, drop, max_signals)
        watch._restore(state)
        return watch

    def derive(
        self, slot: int, fp: NDArray[np.uint64], t: Times, value: Values, start: State | None = None
    ) -> tuple[Times, Values]:
        """One signal recomputed from stored samples of the series in `inputs(slot)`, in any order; (m,), (m,).

        start: a `state()` taken before the first sample; without it a rate begins with the second sample. Equals what
        was live, unless a histogram's members then arrived more than four scrapes apart.
        """
        with self._lock:
            inputs = np.array(self.inputs(slot), np.uint64)
            return replay(self.families, self.slots.get(slot), inputs, fp, t, value, start)

    def slot_then(self, slot: int, state: State) -> int | None:
        """The slot that judged the same signal when `state()` was taken, None if there was none."""
        with self._lock:
            at, of_family, kind = self.slots.get(slot)
            sid = self.families.members[at][0].sid if of_family else at
            fp = self.catalogue.fp[sid]
        if of_family:
            rows = np.flatnonzero(state["member_fp"] == fp)
            then = state["family_slot"][int(kind) - 1, state["member_family"][rows]]
        else:
            then = state["slot"][state["fp"] == fp]
        return int(then[0]) if len(then) and then[0] >= 0 else None

    def inputs(self, slot: int) -> list[int]:
        """Fingerprints of the series that a signal is computed from. Raises KeyError for a slot not in use."""
        with self._lock:
            at, of_family, _ = self.slots.get(slot)
            sids = [m.sid for m in self.families.members[at]] if of_family else [at]
            return [int(self.catalogue.fp[s]) for s in sids]

    def _restore(self, state: State) -> None:
        size = self.fit()
        lost = give(state, self.catalogue, self._is_wanted, self.tracks, self.families, self.slots)
        for sid in np.flatnonzero(self.tracks.role[:size] == Role.TRIAL).tolist():
            self._await_family(sid)
        for slot in self.slots.held().tolist():
            self._enlist(slot)
        self._free = state["free"].tolist()
        self._parted = lost

    # --- deciding -----------------------------------------------------------------------------------------------

    def _decide(self, sids: list[int]) -> None:
        for sid in sids:
            if self.catalogue.has(sid):  # not so when it was evicted while its batch was under way
                self._assign(sid, self._verdict(sid))
        self._settle()

    def _is_wanted(self, sid: int) -> bool:
        """Whether `select` and `drop` let a series be watched."""
        return self._unwanted(self.catalogue.labels(sid)) is Why.NOT

    def _unwanted(self, labels: Labels) -> Why:
        if self._is_dropped(labels):
            return Why.DROPPED
        return Why.UNSELECTED if self._has_select and not self._is_selected(labels) else Why.NOT

    def _verdict(self, sid: int) -> Verdict:
        labels = self.catalogue.labels(sid)
        if (why := self._unwanted(labels)) is not Why.NOT:
            return Verdict(Role.SKIPPED, why)
        return classify(labels, declared_type(metric_of(labels), self._known_types), forced=self._has_select)

    def _assign(self, sid: int, verdict: Verdict) -> None:
        self.tracks.role[sid] = verdict.role
        self.why[sid] = verdict.why
        if verdict.role is Role.MEMBER:
            self._join(sid, verdict.part)
        elif verdict.role is Role.TRIAL:
            self._await_family(sid)

    def _join(self, sid: int, part: Part) -> None:
        labels = self.catalogue.labels(sid)
        key = family_key(labels)
        self.tracks.role[sid] = Role.MEMBER
        self.families.join(key, sid, part, bound_of(labels))
        for other, waiting in self._loose.pop(key, {}).items():
            if waiting != sid and self.tracks.role[waiting] != Role.MEMBER:
                self._forget(waiting)
                self._restart(waiting)
                self._join(waiting, other)

    def _await_family(self, sid: int) -> None:
        """An untyped `x_sum` or `x_count` is a member as soon as its family shows another member."""
        labels = self.catalogue.labels(sid)
        if (part := part_of(metric_of(labels))) not in {Part.SUM, Part.COUNT}:
            return
        key = family_key(labels)
        others = self._loose.setdefault(key, {})
        if key in self.families.index or any(p is not part for p in others):
            self._join(sid, part)
        else:
            others[part] = sid
            self._loose_key[sid] = key

    def _settle(self) -> None:
        for sid, place in self.families.settle().items():
            self.tracks.slot[sid] = place

    def _take_types(self) -> None:
        """Decides anew about series whose type has become known since."""
        if len(self.catalogue.types) == len(self._known_types):
            return
        with self.catalogue.lock:
            before, self._known_types = self._known_types, dict(self.catalogue.types)
        names = self.catalogue.metrics
        changed = [i for i, n in enumerate(names) if declared_type(n, before) != declared_type(n, self._known_types)]
        size = self.fit()
        decided = self.tracks.role[:size] != Role.NEW
        for sid in np.flatnonzero(decided & np.isin(self.catalogue.metric[:size], changed)).tolist():
            if self.catalogue.has(sid):
                self._redecide(sid)
        self._settle()

    def _redecide(self, sid: int) -> None:
        role, verdict = Role(self.tracks.role[sid]), self._verdict(sid)
        if verdict.role is role and verdict.role is not Role.SKIPPED:
            return
        if role is Role.GUESSED and verdict.role is Role.COUNTER:
            self.tracks.role[sid] = Role.COUNTER  # its slot knows the rate already
            return
        if role is Role.TRIAL and verdict.role is Role.GAUGE and self.tracks.rises[sid] == 0:
            self.tracks.role[sid] = Role.GAUGE  # constant so far, and known to be
            return
        self._forget(sid)
        self._restart(sid)
        self._assign(sid, verdict)

    # --- slots --------------------------------------------------------------------------------------------------

    def _bear(self, out: Out, births: int) -> Ids:
        """Makes the slots that the kernel gave out provisionally; (births,) their numbers in the bank."""
        slots = self._take_slots(births)
        for slot, row, value in zip(
            slots.tolist(), out.birth[:births].tolist(), out.birth_value[:births].tolist(), strict=True
        ):
            at, of_family, kind, n, t_first, t_last, replaced = row
            if of_family:
                self.families.columns.slot[kind - 1, at] = slot
            else:
                self.tracks.slot[at] = slot
            if replaced >= 0:
                self._part(int(slots[replaced - PROVISIONAL]) if replaced >= PROVISIONAL else replaced)
            self.slots.put(slot, at, bool(of_family), Kind(kind))
            donors = self._enlist(slot)
            # A long life as a constant says more of the series than its like do.
            if not (n < OWN_SAMPLES and len(donors) and self._bank.borrow(slot, donors)) and n:
                self._bank.seed_constant(slot, value, t_first, t_last, n)
        return slots

    def _take_slots(self, n: int) -> Ids:
        reused = [self._free.pop() for _ in range(min(n, len(self._free)))]
        first = self._bank.reserve(n - len(reused)) if n > len(reused) else 0
        return np.array([*reused, *range(first, first + n - len(reused))], np.int32)

    def _enlist(self, slot: int) -> Ids:
        """Notes a signal as an example for like ones, of which there may be `DONORS`; answers those before it."""
        at, of_family, kind = self.slots.get(slot)
        labels = self.catalogue.labels(self.families.face(at) if of_family else at)
        key = metric_of(labels), dict(labels).get("job", ""), int(kind)
        like = self._like.setdefault(key, {})
        donors = np.fromiter(like, np.int32, len(like))
        if len(like) < DONORS:
            like[slot] = None
            self._likeness[slot] = key
        return donors

    def _part(self, slot: int) -> None:
        self.slots.drop(slot)
        self._parted.append(slot)
        if key := self._likeness.pop(slot, None):
            del self._like[key][slot]
            if not self._like[key]:
                del self._like[key]

    def _drain(self) -> None:
        if self._parted:
            self._bank.release(parted := np.array(self._parted, np.int32))
            self.on_release(parted)
            self._free += reversed(self._parted)
            self._parted.clear()

    def _forget(self, sid: int) -> None:
        """Gives up a series' slot or its place in a family."""
        role = self.tracks.role[sid]
        if role == Role.MEMBER:
            for slot in self.families.leave(sid):
                self._part(slot)
        elif self.tracks.slot[sid] >= 0:
            self._part(int(self.tracks.slot[sid]))
        if key := self._loose_key.pop(sid, None):
            self._loose.pop(key, None)

    def _restart(self, sid: int) -> None:
        """Lets a series begin anew in another role; its latest counter value stays."""
        self.tracks.slot[sid], self.tracks.n[sid], self.tracks.rises[sid] = NONE, 0, 0

    def _blank(self, sid: int) -> None:
        self._restart(sid)
        self.tracks.role[sid], self.tracks.t[sid], self.tracks.v[sid] = Role.NEW, NEVER, np.nan
        self.why[sid] = Why.NOT

    def _reopen(self) -> None:
        """Lets signals that found no room try again, since slots came back."""
        limited = (self.tracks.slot == LIMITED) & (self.tracks.role != Role.MEMBER)
        self.tracks.slot[limited], self.tracks.n[limited] = NONE, 0
        columns = self.families.columns
        columns.n[columns.slot[0] == LIMITED] = 0
        columns.slot[columns.slot == LIMITED] = NONE

    # --- answering ----------------------------------------------------------------------------------------------

    def _slots_of(self, sid: int) -> list[int]:
        if self.tracks.role[sid] == Role.MEMBER:
            slots = self.families.slots(self.families.family_of(sid)).tolist()
        else:
            slots = [int(self.tracks.slot[sid])]
        return [s for s in slots if s >= 0]

    def _reasons(self, size: int) -> NDArray[np.int8]:
        """(size,) index into coverage.ORDER per series."""
        role, slot = self.tracks.role[:size], self.tracks.slot[:size].copy()
        members = np.flatnonzero(role == Role.MEMBER)
        columns = self.families.columns
        slot[members] = columns.slot.max(axis=0)[columns.owner[slot[members]]]
        skipped = {why: self.why[:size] == why for why in Why if why is not Why.NOT}
        conditions = {
            **{why.name.lower(): (role == Role.SKIPPED) & met for why, met in skipped.items()},
            "undecided": (role == Role.NEW) | (role == Role.TRIAL) & (self.tracks.rises[:size] > 0),
            "limit": slot == LIMITED,
            "constant": slot == NONE,
            "value": role == Role.GAUGE,
            "rate": role == Role.COUNTER,
            "guessed": role == Role.GUESSED,
            "family": role == Role.MEMBER,
        }
        numbers = [ORDER.index(name) for name in conditions]
        return np.select(list(conditions.values()), numbers, ORDER.index("undecided")).astype(np.int8)

    def _item(self, sid: int, reason: str) -> CoverageItem:
        kinds = tuple(self.slots.get(s)[2].name.lower() for s in self._slots_of(sid))
        name, fp = series_name(self.catalogue.labels(sid)), int(self.catalogue.fp[sid])
        return CoverageItem(name, fp, reason in WATCHED, kinds, reason, REASONS[reason])

    def fit(self) -> int:
        """Grows the columns to the catalogue's size, which it answers."""
        size = self.catalogue.size
        if size > (have := len(self.tracks.role)):
            grown = new_tracks(max(size, 2 * have))
            for name, column in self.tracks._asdict().items():
                getattr(grown, name)[:have] = column
            self.tracks = grown
            self.why = np.concatenate([self.why, np.zeros(len(grown.role) - have, np.int8)])
        return size


def _first_seen(sid: Ids, role: NDArray[np.int8]) -> list[int]:
    """The undecided series of a batch in order of arrival: their slots become adjacent, which the bank is fast with."""
    new = sid[role[sid] == Role.NEW]
    sids, first = np.unique(new, return_index=True)
    ordered: list[int] = sids[np.argsort(first)].tolist()
    return ordered
