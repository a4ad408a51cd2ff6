"""What a watch keeps over a restart, and how a signal's past is recomputed from stored samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect.base import State
from airis_mon.detect.classify import bound_of, family_key, part_of
from airis_mon.detect.derive import route_samples
from airis_mon.detect.families import KEPT, KEPT_OF_MEMBER, FamilyTable
from airis_mon.detect.slots import SlotTable
from airis_mon.detect.tracks import NONE, Families, Kind, Role, Tracks, new_families, new_out, new_tracks
from airis_mon.series.batch import Times, Values
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import metric_of

Fingerprints = NDArray[np.uint64]
KINDS_OF_FAMILY = (Kind.RATE, Kind.MEAN, Kind.P99)


def take(catalogue: Catalogue, size: int, tracks: Tracks, table: FamilyTable, free: list[int]) -> State:
    """The state of the first `size` series, by `fp`, of members by `member_fp` and their family's row; `free` slots.

    Skipped series are left out: they are judged anew by the settings and types that then hold.
    """
    roles = tracks.role[:size]
    sids = np.flatnonzero((roles != Role.NEW) & (roles != Role.SKIPPED))
    state: State = {"fp": catalogue.fp[sids], "free": np.array(free, np.int32)}
    state |= {name: column[sids] for name, column in tracks._asdict().items()}
    slots = tracks.slot[sids]
    state["slot"] = np.where(tracks.role[sids] == Role.MEMBER, np.int32(NONE), slots)
    families = list(table.members)
    members = [(row, m.sid) for row, family in enumerate(families) for m in table.members[family]]
    member_sids = np.array([sid for _, sid in members], np.intp)
    state["member_fp"] = catalogue.fp[member_sids]
    state["member_family"] = np.array([row for row, _ in members], np.int32)
    places, rows = tracks.slot[member_sids], np.array(families, np.intp)
    state |= {f"member_{name}": getattr(table.columns, name)[..., places] for name in KEPT_OF_MEMBER}
    state |= {f"family_{name}": getattr(table.columns, name)[..., rows] for name in KEPT}
    return state


def give(
    state: State,
    catalogue: Catalogue,
    is_wanted: Callable[[int], bool],
    tracks: Tracks,
    table: FamilyTable,
    slots: SlotTable,
) -> list[int]:
    """Puts a state into empty tables; answers the slots that no series holds any more."""
    sids = {fp: sid for fp in state["fp"].tolist() if (sid := catalogue.find(fp)) is not None and is_wanted(sid)}
    rows = np.array([i for i, fp in enumerate(state["fp"].tolist()) if fp in sids], np.intp)
    here = np.array([sids[fp] for fp in state["fp"][rows].tolist()], np.intp)
    for name, column in tracks._asdict().items():
        column[here] = state[name][rows]
    for slot, sid in zip(state["slot"][rows].tolist(), here.tolist(), strict=True):
        if slot >= 0:
            slots.put(slot, sid, False, Kind.VALUE if tracks.role[sid] == Role.GAUGE else Kind.RATE)
    _give_families(state, catalogue, sids, tracks, table, slots)
    known = np.concatenate([state["slot"], state["family_slot"].ravel()])
    lost: list[int] = np.setdiff1d(known[known >= 0], slots.held()).tolist()
    return lost


def replay(
    table: FamilyTable,
    target: tuple[int, bool, Kind],
    inputs: Fingerprints,
    fp: Fingerprints,
    t: Times,
    value: Values,
    start: State | None,
) -> tuple[Times, Values]:
    """One signal, computed by the kernel of the live way over stored samples of the series `inputs` it is made of."""
    at, of_family, kind = target
    row = {f: i for i, f in enumerate(inputs.tolist())}
    sid = np.array([row.get(f, -1) for f in fp.tolist()], np.int32)
    order = np.argsort(t, kind="stable")
    order = order[sid[order] >= 0]
    tracks = _small_tracks(of_family, kind, inputs, start)
    families = _small_family(table, at, inputs, start) if of_family else new_families(1, 1)
    out = new_out(len(order), len(order) if of_family else 0, 0)
    values = np.ascontiguousarray(value[order], np.float64)
    route_samples(sid[order], np.ascontiguousarray(t[order]), values, values.view(np.uint64), tracks, families, out)
    signals = int(out.tally[0])
    mine = out.slot[:signals] == int(kind)
    return out.t[:signals][mine], out.value[:signals][mine]


def _give_families(
    state: State, catalogue: Catalogue, sids: dict[int, int], tracks: Tracks, table: FamilyTable, slots: SlotTable
) -> None:
    placed: list[tuple[int, int, int, int]] = []  # row of member, sid, row of family, family
    pairs = zip(state["member_fp"].tolist(), state["member_family"].tolist(), strict=True)
    for row, (fp, family_row) in enumerate(pairs):
        if (sid := sids.get(fp)) is not None:
            labels = catalogue.labels(sid)
            family = table.join(family_key(labels), sid, part_of(metric_of(labels)), bound_of(labels))
            placed.append((row, sid, family_row, family))
    places = table.settle()
    for row, sid, _, _ in placed:
        tracks.slot[sid] = places[sid]
        for name in KEPT_OF_MEMBER:
            getattr(table.columns, name)[..., places[sid]] = state[f"member_{name}"][..., row]
    for family_row, family in dict.fromkeys((f, g) for _, _, f, g in placed):
        for name in KEPT:
            getattr(table.columns, name)[..., family] = state[f"family_{name}"][..., family_row]
        table.recount(family)
        for slot, kind in zip(table.slots(family).tolist(), KINDS_OF_FAMILY, strict=True):
            if slot >= 0:
                slots.put(slot, family, True, kind)


def _small_tracks(of_family: bool, kind: Kind, fps: Fingerprints, start: State | None) -> Tracks:
    """Columns for one signal alone, whose slot is the number of its kind."""
    tracks = new_tracks(len(fps))
    if of_family:
        tracks.role[:] = Role.MEMBER
        tracks.slot[:] = np.arange(len(fps))
    else:
        tracks.role[:] = Role.GAUGE if kind is Kind.VALUE else Role.COUNTER
        tracks.slot[:] = int(kind)
    if start is not None:
        for i, row in _rows(start["fp"], fps):
            tracks.t[i], tracks.v[i] = start["t"][row], start["v"][row]
    return tracks


def _small_family(table: FamilyTable, family: int, fps: Fingerprints, start: State | None) -> Families:
    live, members = table.columns, table.columns_of(family)
    columns = new_families(1, len(fps))
    columns.end[0], columns.buckets[0], columns.le[:] = len(fps), live.buckets[family], live.le[members]
    for ours, theirs in ((columns.sum_at, live.sum_at), (columns.count_at, live.count_at)):
        ours[0] = theirs[family] - members.start if theirs[family] >= 0 else NONE
    columns.alive[:] = True
    if start is not None and (rows := list(_rows(start["member_fp"], fps))):
        for name in KEPT:
            getattr(columns, name)[..., 0] = start[f"family_{name}"][..., start["member_family"][rows[0][1]]]
        columns.alive[:] = False
        for i, row in rows:
            for name in KEPT_OF_MEMBER:
                getattr(columns, name)[..., i] = start[f"member_{name}"][..., row]
    columns.slot[:, 0] = [int(k) for k in KINDS_OF_FAMILY]
    columns.alive_n[0] = columns.alive.sum()
    columns.got[:, 0] = columns.has.sum(axis=1)
    return columns


def _rows(known: NDArray[np.generic], fps: Fingerprints) -> Iterable[tuple[int, int]]:
    """(position in fps, row in known) of the fingerprints that are known."""
    for i, fp in enumerate(fps):
        found = np.flatnonzero(known == fp)
        if len(found):
            yield i, int(found[0])
