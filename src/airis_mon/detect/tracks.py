"""The columns that samples become signals in: series, families of series, and what the kernel writes."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Ids, Times, Values
from airis_mon.series.catalogue import NEVER

GAP_MS = 300_000
"""After a longer gap a counter starts anew: what it rose by meanwhile belongs to no interval (Prometheus' lookback)."""
TRIAL_SAMPLES = 30
"""An untyped series is a counter when none of so many first samples falls and at least half of them rise."""
RING = 4
"""So many scrapes of a histogram wait for members that arrive in other requests."""
MISSES = 5
"""After so many incomplete scrapes in a row a histogram's absent members no longer count as members."""


class Role(IntEnum):
    """What becomes of a series' samples."""

    NEW = 0  # not decided yet
    SKIPPED = 1
    GAUGE = 2
    COUNTER = 3
    TRIAL = 4  # untyped: its first samples decide
    GUESSED = 5  # a counter by behaviour
    MEMBER = 6  # of a histogram or summary


class Kind(IntEnum):
    """What of a series is judged."""

    VALUE = 0
    RATE = 1
    MEAN = 2
    P99 = 3


NONE = -1
"""The slot of a signal that was constant so far."""
LIMITED = -2
"""The slot of a signal that found no room."""
PROVISIONAL = 1 << 30
"""A slot given out inside the kernel, before the bank has reserved it: this plus its position among the births."""


class Tracks(NamedTuple):
    """What is kept per series; every array is (series,).

    t, v: latest sample used. n, t0: how many samples (of a counter: zero rates) were constant, and since when (ms).
    rises: how often an untyped series rose. slot: of a MEMBER its place among the members.
    """

    role: NDArray[np.int8]
    slot: Ids
    t: Times
    v: Values
    n: Ids
    rises: Ids
    t0: Times


class Families(NamedTuple):
    """Histograms and summaries: (family,) arrays, (member,) arrays, and scrapes that wait, (RING, ...).

    Members of a family are adjacent: buckets in order of `le`, then sum and count. t: the times that wait, ascending,
    the first `waiting` of them. got: how many members reported each. base_t: the scrape that deltas start at, NEVER =
    none. done_t: the latest scrape used or given up. slot: (3, family) of rate, mean, p99.
    """

    start: Ids
    buckets: Ids
    end: Ids
    sum_at: Ids  # member, -1 = none
    count_at: Ids
    alive_n: Ids
    waiting: Ids
    misses: Ids
    t: Times
    got: Ids
    base_t: Times
    done_t: Times
    slot: Ids
    n: Ids
    t0: Times
    owner: Ids  # from here on (member,)
    le: Values
    base: Values
    alive: NDArray[np.bool_]
    v: Values
    has: NDArray[np.bool_]


class Out(NamedTuple):
    """Where the kernel writes: signals, births of slots, and counters (signals, births, room).

    birth: (k, 7) = series or family, whether a family, kind, n, t_first, t_last of the constant before it (n = 0:
    none), slot that it replaces or -1. birth_value: the constant.
    """

    slot: Ids
    t: Times
    value: Values
    birth: Times
    birth_value: Values
    tally: Times


def new_tracks(n: int) -> Tracks:
    """Tracks of `n` series that nobody has seen."""
    return Tracks(
        role=np.zeros(n, np.int8),
        slot=np.full(n, NONE, np.int32),
        t=np.full(n, NEVER),
        v=np.full(n, np.nan),
        n=np.zeros(n, np.int32),
        rises=np.zeros(n, np.int32),
        t0=np.full(n, NEVER),
    )


def new_families(families: int, members: int) -> Families:
    """Columns for so many families and members, all empty."""

    def ints(fill: int = 0) -> Ids:
        return np.full(families, fill, np.int32)

    def times() -> Times:
        return np.full(families, NEVER)

    return Families(
        start=ints(),
        buckets=ints(),
        end=ints(),
        sum_at=ints(-1),
        count_at=ints(-1),
        alive_n=ints(),
        waiting=ints(),
        misses=ints(),
        t=np.full((RING, families), NEVER),
        got=np.zeros((RING, families), np.int32),
        base_t=times(),
        done_t=times(),
        slot=np.full((3, families), NONE, np.int32),
        n=ints(),
        t0=times(),
        owner=np.zeros(members, np.int32),
        le=np.full(members, np.nan),
        base=np.full(members, np.nan),
        alive=np.zeros(members, np.bool_),
        v=np.full((RING, members), np.nan),
        has=np.zeros((RING, members), np.bool_),
    )


def new_out(samples: int, members: int, room: int) -> Out:
    """Room for everything that so many samples, `members` of them of families, may bring forth."""
    cap = 3 * samples + 3 * RING * members  # the pages of what isn't used are never touched
    births = min(cap, samples + 2 * members, max(room, 0) + samples)
    out = (np.empty(cap, np.int32), np.empty(cap, np.int64), np.empty(cap))
    return Out(*out, np.empty((births, 7), np.int64), np.empty(births), np.array([0, 0, room], np.int64))
