"""Two detectors of the same series -> one that goes on, for each, with whichever has known it for longer.

A unit is what must stay together: a series with its slot, or a histogram with its members and slots. Units are matched
by fingerprint, so both may have given out sids and slots as they liked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect import _rows as rows
from airis_mon.detect.base import State
from airis_mon.detect.tracks import Role
from airis_mon.series.batch import Ids, Times
from airis_mon.series.catalogue import NEVER

CLOSE_MS = 600_000
"""Of what both have known for almost as long, `learned` is taken."""
_UNKNOWN = np.iinfo(np.int64).max

Pair = tuple[State, State]
"""(bank, watch), as their `state()` gives them."""
_Columns = dict[str, Any]
_Pair = tuple[_Columns, _Columns]


@dataclass(frozen=True, slots=True)
class _Unit:
    """The fingerprints of a unit's series, and since when it is known (ms)."""

    fps: tuple[int, ...]
    since: int


def united(learned: Pair, live: Pair) -> Pair:
    """All of `learned`, but those units that only `live` knows or of which it knows earlier samples.

    A unit is taken over whole: it says itself from which sample on its series are still to be judged. O(series), some
    microseconds each.
    """
    ours, theirs = _units(learned), _units(live)
    since = {fp: unit.since for unit in ours for fp in unit.fps}
    kept = [u for u in theirs if u.since + CLOSE_MS < min(since.get(fp, _UNKNOWN) for fp in u.fps)]
    taken = {fp for unit in kept for fp in unit.fps}
    rest = [u for u in ours if taken.isdisjoint(u.fps)]
    return _joined(_some(learned, rest), _some(live, kept))


def _units(pair: _Pair) -> list[_Unit]:
    bank, watch = pair
    alone = np.flatnonzero(watch["role"] != Role.MEMBER)
    since = _earlier(_slots_since(bank, watch["slot"][alone]), watch["t0"][alone], watch["t"][alone])
    units = [_Unit((fp,), t) for fp, t in zip(watch["fp"][alone].tolist(), since.tolist(), strict=True)]
    of_slots = np.min([_slots_since(bank, slots) for slots in watch["family_slot"]], axis=0)
    of_families = _earlier(of_slots, watch["family_t0"], watch["family_base_t"])
    return units + [_Unit(fps, int(of_families[row])) for row, fps in _members(watch).items()]


def _members(watch: _Columns) -> dict[int, tuple[int, ...]]:
    """Fingerprints by the row of their family."""
    found: dict[int, list[int]] = {}
    for fp, row in zip(watch["member_fp"].tolist(), watch["member_family"].tolist(), strict=True):
        found.setdefault(row, []).append(fp)
    return {row: tuple(fps) for row, fps in found.items()}


def _earlier(of_slots: Times, constant_since: Times, last: Times) -> Times:
    """What has no slot yet is known since it is constant, else since its latest sample."""
    found = np.where(constant_since == NEVER, last, constant_since)
    return np.where(of_slots < _UNKNOWN, of_slots, np.where(found == NEVER, _UNKNOWN, found))


def _slots_since(bank: _Columns, slots: Ids) -> Times:
    """(n,) ms, when the knowledge of each slot begins, silences left out; _UNKNOWN without a slot or a sample."""
    found = np.full(len(slots), _UNKNOWN)
    held = np.flatnonzero(slots >= 0)
    last, span_s = bank["learned"][slots[held]], bank["core"][rows.SPAN][slots[held]]
    is_taught = last != rows.NEVER
    found[held[is_taught]] = last[is_taught] - (span_s[is_taught] * 1000.0).astype(np.int64)
    return found


def _some(pair: _Pair, units: Iterable[_Unit]) -> _Pair:
    """These units alone; their slots are numbered anew in the old order, those that nobody holds are left behind."""
    bank, watch = pair
    fps = np.array([fp for unit in units for fp in unit.fps], np.uint64)
    series, members = (np.flatnonzero(np.isin(watch[name], fps)) for name in ("fp", "member_fp"))
    families = np.unique(watch["member_family"][members])
    places = {"member": members, "family": families, "free": np.empty(0, np.intp)}
    part = {name: column[..., places.get(name.partition("_")[0], series)] for name, column in watch.items()}
    part["member_family"] = np.searchsorted(families, part["member_family"]).astype(np.int32)
    held = np.concatenate([part["slot"], part["family_slot"].ravel()])
    slots = np.unique(held[held >= 0])
    for name in ("slot", "family_slot"):
        part[name] = _renumbered(part[name], np.searchsorted(slots, part[name]))
    return {name: column[..., slots] for name, column in bank.items()}, part


def _joined(first: _Pair, second: _Pair) -> Pair:
    """Two that share no unit; the second's slots and families follow the first's."""
    slots, families = len(first[0]["learned"]), first[1]["family_slot"].shape[-1]
    moved = second[1] | {"member_family": second[1]["member_family"] + np.int32(families)}
    for name in ("slot", "family_slot"):
        moved[name] = _renumbered(moved[name], moved[name] + slots)
    bank = {name: np.concatenate([column, second[0][name]], axis=-1) for name, column in first[0].items()}
    return bank, {name: np.concatenate([column, moved[name]], axis=-1) for name, column in first[1].items()}


def _renumbered(slot: Ids, number: NDArray[Any]) -> Ids:
    """Numbers where there is a slot; NONE and LIMITED stay."""
    return np.where(slot >= 0, number, slot).astype(np.int32)
