"""How long a condition held, and what that means for alerts: the arithmetic of `correlate/rules.py`.

A **run** is a stretch of steps at which the condition of a row holds; a **spell** is an alert from its beginning to its
end: one run, or several when `keep firing` bridges what lies between them. Columns count from 1; column 0 stands for
what was before the block, column n + 1 for what is not known yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times, Values

RESOLVED, PENDING, FIRING, LAPSED = 0, 1, 2, 3
"""LAPSED: the condition ended before the alert fired."""
NEVER = -(1 << 62)
"""The time of what has not come; an hour can be added to it."""
RETENTION_MS = 900_000
"""So long a resolved alert is kept, for whoever has to be told again (Prometheus' resolvedRetention)."""

Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]
States = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Carried:
    """What is known of r alerts after a step; every array is (r,), times are ms or NEVER.

    state: PENDING, FIRING, or RESOLVED, which without resolved_at is no alert at all. keep_since: since when the
    condition has not held while the alert keeps firing. sent_at: when somebody was last told. seen_at, value: the last
    moment at which the condition held, and the value then.
    """

    state: States
    active_at: Times
    fired_at: Times
    resolved_at: Times
    keep_since: Times
    sent_at: Times
    seen_at: Times
    value: Values

    @classmethod
    def none(cls, rows: int) -> Self:
        """No alert in any row."""
        never = np.full(rows, NEVER)
        return cls(np.zeros(rows, np.int8), never, never, never, never, never, never, np.full(rows, np.nan))

    @property
    def is_kept(self) -> Flags:
        """(r,) where there is an alert."""
        return np.asarray((self.state != RESOLVED) | (self.resolved_at != NEVER))

    def rows(self, index: Rows | Flags) -> Self:
        """Some rows."""
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))

    def put(self, index: Rows, other: Carried) -> Self:
        """With the rows of another in place of some."""
        made = [getattr(self, f.name).copy() for f in fields(self)]
        for array, f in zip(made, fields(self), strict=True):
            array[index] = getattr(other, f.name)
        return type(self)(*made)


@dataclass(frozen=True, slots=True)
class Happened:
    """Changes of states, by step; every array is (k,).

    state: what the alert of the row became at the step: PENDING, FIRING, RESOLVED or LAPSED. seen: the last step at
    which its condition held, -1 = one before the block; value: the value then.
    """

    row: Rows
    step: Rows
    state: States
    active_at: Times
    fired_at: Times
    seen: Rows
    value: Values

    def __len__(self) -> int:
        return len(self.row)

    def later(self, steps: int, before: Rows) -> Self:
        """The same, so many steps later; before: (k,) the step then that each condition held at last before these."""
        seen = np.where(self.seen < 0, before, self.seen + steps)
        return type(self)(self.row, self.step + steps, self.state, self.active_at, self.fired_at, seen, self.value)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some steps worked off: what is known after them; (r, n): state and active_at at each; what happened."""

    carried: Carried
    state: States
    active_at: Times
    happened: Happened


def nothing(rows: int, steps: int, carried: Carried | None = None) -> Piece:
    """Steps at which there is no alert, nor anything left of those before unless it is given."""
    none = np.empty(0, np.intp)
    never = np.empty(0, np.int64)
    happened = Happened(none, none, np.empty(0, np.int8), never, never, none, np.empty(0))
    shape = (rows, steps)
    return Piece(carried or Carried.none(rows), np.zeros(shape, np.int8), np.zeros(shape, np.int64), happened)


def joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces that follow one another as one."""
    if len(pieces) == 1:
        return pieces[0]
    parts = [piece.happened for piece in pieces]
    happened = Happened(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Happened)))
    state = np.concatenate([piece.state for piece in pieces], axis=1)
    return Piece(pieces[-1].carried, state, np.concatenate([piece.active_at for piece in pieces], axis=1), happened)


def worked_off(carried: Carried, t: Times, value: Values, has: Flags, for_ms: int, keep_ms: int) -> Piece:
    """What n >= 1 steps do to r alerts; value, has: (r, n). Cost: O(r x n)."""
    spells = _spells(carried, t, has, for_ms, keep_ms)
    state, active_at = _drawn(spells, has.shape)
    return Piece(_after(carried, spells, t, value), state, active_at, _happened(carried, spells, t, value))


@dataclass(frozen=True, slots=True)
class _Runs:
    """Every array is (m,), by row and column; the condition holds from `start` to before `stop`.

    active_at: since when an alert that begins with the run is active; fires: the column at which that one fires, 0 when
    it fired before the block, n + 1 when it does not; gap_since: when keeping on firing would begin behind the run;
    over: the column at which a firing alert would be resolved behind it, n + 1 = not in this block.
    """

    row: Rows
    start: Rows
    stop: Rows
    active_at: Times
    fires: Rows
    gap_since: Times
    over: Rows


def _runs(carried: Carried, t: Times, has: Flags, for_ms: int, keep_ms: int) -> _Runs:
    n = len(t)
    held = np.zeros((len(has), n + 3), np.int8)
    held[:, 1] = carried.state != RESOLVED
    held[:, 2:-1] = has
    edges = np.diff(held, axis=1)
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    is_old = start == 0
    active_at = np.where(is_old, carried.active_at[row], t[start - 1])
    fires = np.maximum(np.searchsorted(t, active_at + for_ms) + 1, np.maximum(start, 1))
    fires = np.where(is_old & (carried.state[row] == FIRING), 0, np.where(fires < stop, fires, n + 1))
    kept = carried.keep_since[row]
    gap_since = np.where(is_old & (stop == 1) & (kept != NEVER), kept, t[np.minimum(stop, n) - 1])
    over = np.maximum(np.searchsorted(t, gap_since + keep_ms) + 1, stop) if keep_ms else stop
    return _Runs(row, start, stop, active_at, fires, gap_since, np.where(stop > n, n + 1, over))


@dataclass(frozen=True, slots=True)
class _Spells:
    """Alerts that were there; every array is (k,), by row and column.

    begin: its first column, 0 = before the block; fires: as in `_Runs`; does_fire: whether it ever does; end: the
    column at which it is over, n + 1 = it goes on; last: the last column at which the condition held; gap_since: when
    it began to keep on firing, NEVER = it does not.
    """

    row: Rows
    begin: Rows
    active_at: Times
    fires: Rows
    does_fire: Flags
    end: Rows
    last: Rows
    gap_since: Times


def _spells(carried: Carried, t: Times, has: Flags, for_ms: int, keep_ms: int) -> _Spells:
    """Runs joined to spells.

    Only a firing alert bridges gaps. Of runs whose gaps can be bridged, those before the first that fires by itself are
    spells of their own, which lapse; from that one on all are one spell.
    """
    runs, n = _runs(carried, t, has, for_ms, keep_ms), len(t)
    number = np.arange(len(runs.row))
    joins = np.zeros(len(number), np.bool_)
    joins[1:] = (runs.row[1:] == runs.row[:-1]) & (runs.over[:-1] >= runs.start[1:])
    heads = np.flatnonzero(~joins)
    chain = np.cumsum(~joins) - 1
    firing = np.where(runs.fires <= n, number, len(number))
    first = (
        np.minimum.reduceat(firing, heads)[chain] if len(number) else number
    )  # the first run of its chain that fires
    tail = (np.append(heads[1:], len(number)) - 1)[chain] if len(number) else number
    is_spell = number <= first
    does_fire = (number == first)[is_spell]
    tail = np.where(does_fire, tail[is_spell], number[is_spell])
    end = np.where(does_fire, runs.over[tail], np.minimum(runs.stop[tail], n + 1))
    gap_since = np.where(does_fire & (runs.stop[tail] <= n), runs.gap_since[tail], NEVER)
    head = number[is_spell]
    return _Spells(
        runs.row[head], runs.start[head], runs.active_at[head], runs.fires[head], does_fire, np.minimum(end, n + 1),
        runs.stop[tail] - 1, gap_since,
    )  # fmt: skip


def _drawn(spells: _Spells, shape: tuple[int, ...]) -> tuple[States, Times]:
    """(states, since when active) at each step: sums of what begins and ends."""
    rows, n = shape
    state = np.zeros((rows, n + 2), np.int8)
    active_at = np.zeros((rows, n + 2), np.int64)
    begin = (spells.row, np.maximum(spells.begin, 1))
    end = (spells.row, spells.end)
    fires = (spells.row[spells.does_fire], np.maximum(spells.fires, 1)[spells.does_fire])
    np.add.at(state, begin, PENDING)
    np.add.at(state, fires, FIRING - PENDING)
    np.subtract.at(state, end, np.where(spells.does_fire, FIRING, PENDING).astype(np.int8))
    np.add.at(active_at, begin, spells.active_at)
    np.subtract.at(active_at, end, spells.active_at)
    np.cumsum(state, axis=1, dtype=np.int8, out=state)
    np.cumsum(active_at, axis=1, out=active_at)
    return state[:, 1:-1], active_at[:, 1:-1]


def _fired_at(carried: Carried, spells: _Spells, t: Times) -> Times:
    fired = np.where(spells.fires == 0, carried.fired_at[spells.row], t[np.clip(spells.fires, 1, len(t)) - 1])
    return np.where(spells.does_fire, fired, NEVER)


def _seen(carried: Carried, spells: _Spells, t: Times, value: Values) -> tuple[Times, Values]:
    """(when the condition last held, the value then)."""
    at = np.maximum(spells.last, 1) - 1
    is_new = spells.last > 0
    row = spells.row
    return np.where(is_new, t[at], carried.seen_at[row]), np.where(is_new, value[row, at], carried.value[row])


def _after(carried: Carried, spells: _Spells, t: Times, value: Values) -> Carried:
    """What is known after the last step."""
    n = len(t)
    gone = (carried.state == RESOLVED) & (t[-1] - carried.resolved_at > RETENTION_MS)
    carried = carried.put(np.flatnonzero(gone), Carried.none(int(gone.sum())))
    goes_on = spells.end > n
    resolved_at = np.where(spells.does_fire & ~goes_on, t[np.minimum(spells.end, n) - 1], NEVER)
    seen_at, seen = _seen(carried, spells, t, value)
    all_spells = Carried(
        np.where(goes_on, np.where(spells.does_fire, FIRING, PENDING), RESOLVED).astype(np.int8),
        spells.active_at,
        _fired_at(carried, spells, t),
        np.where(t[-1] - resolved_at > RETENTION_MS, NEVER, resolved_at),
        np.where(goes_on, spells.gap_since, NEVER),
        np.where(spells.begin == 0, carried.sent_at[spells.row], NEVER),
        seen_at,
        seen,
    )
    is_last = np.append(spells.row[1:] != spells.row[:-1], True)[: len(spells.row)]
    return carried.put(spells.row[is_last], all_spells.rows(is_last))


def _happened(carried: Carried, spells: _Spells, t: Times, value: Values) -> Happened:
    """Every change of a state; an alert that fires as it begins is not pending first."""
    n = len(t)
    fires = np.where(spells.does_fire, spells.fires, n + 1)
    fired_at = _fired_at(carried, spells, t)
    _, seen = _seen(carried, spells, t, value)
    ends = np.where(spells.does_fire, RESOLVED, LAPSED)
    changes = [
        (np.flatnonzero((spells.begin > 0) & (fires > spells.begin)), spells.begin, np.full(len(ends), PENDING)),
        (np.flatnonzero((fires > 0) & (fires <= n)), fires, np.full(len(ends), FIRING)),
        (np.flatnonzero(spells.end <= n), spells.end, ends),
    ]
    which = np.concatenate([k for k, _, _ in changes])
    step = np.concatenate([column[k] for k, column, _ in changes]) - 1
    state = np.concatenate([what[k] for k, _, what in changes]).astype(np.int8)
    order = np.lexsort((spells.row[which], step))
    which, step, state = which[order], step[order], state[order]
    is_end = (state == RESOLVED) | (state == LAPSED)
    row = spells.row[which]
    return Happened(
        row, step, state, spells.active_at[which], np.where(state == PENDING, NEVER, fired_at[which]),
        np.where(is_end, spells.last[which] - 1, step), np.where(is_end, seen[which], value[row, step]),
    )  # fmt: skip
