"""From raw samples to the signals that are judged: values, rates, and rate, mean and p99 of histograms.

One kernel serves the live way and the recomputation of history, so both give the same numbers. It knows series by
number and holds their state in columns; `watch.py` decides what each series is. What happens to nearly every sample
stands in the loop in full: handing its tuples to a function costs 200 ns, as numba counts references array by array.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect.tracks import (
    GAP_MS,
    LIMITED,
    MISSES,
    NONE,
    PROVISIONAL,
    RING,
    TRIAL_SAMPLES,
    Families,
    Out,
    Tracks,
)
from airis_mon.series.batch import STALE_BITS, Ids, Times, Values
from airis_mon.series.catalogue import NEVER
from airis_mon.series.kernel import kernel


@kernel
def count_roles(sid: Ids, role: NDArray[np.int8]) -> tuple[int, int]:
    """How many samples are of undecided series, and how many of members of families."""
    new = 0
    members = 0
    for i in range(len(sid)):
        r = role[sid[i]]
        new += r == 0
        members += r == 6
    return new, members


@kernel
def route_samples(  # noqa: C901 - see the module
    sid: Ids, t: Times, value: Values, bits: NDArray[np.uint64], tracks: Tracks, families: Families, out: Out
) -> None:
    """Takes samples in order of arrival, writes the signals they complete and the slots these need.

    bits: the values' bit patterns, for the staleness marker. A sample not newer than its series' latest is left out.
    """
    for i in range(len(sid)):
        s = sid[i]
        role = tracks.role[s]
        if role <= 1 or t[i] <= tracks.t[s]:
            continue
        x = value[i]
        if not np.isfinite(x):
            if bits[i] == STALE_BITS:
                _end(s, t[i], role, tracks, families)
            continue
        slot = tracks.slot[s]
        if role == 6:
            f = families.owner[slot]
            if families.waiting[f] == 0 and t[i] > families.done_t[f]:
                families.waiting[f] = 1
                families.t[0, f] = t[i]
                families.got[0, f] = 0
            if families.alive[slot] and families.waiting[f] == 1 and families.t[0, f] == t[i]:
                families.v[0, slot] = x
                families.has[0, slot] = True
                families.got[0, f] += 1
                if families.got[0, f] == families.alive_n[f]:
                    _complete(f, 0, families, out)
            else:
                _collect(slot, t[i], x, families, out)
        elif role == 2 and slot == NONE and (tracks.n[s] == 0 or x == tracks.v[s]):
            tracks.t0[s] = t[i] if tracks.n[s] == 0 else tracks.t0[s]
            tracks.n[s] += 1
            tracks.v[s] = x
        elif role == 2 and slot == NONE:
            _change(s, t[i], x, tracks, out)
        elif role == 4:
            _try(s, t[i], x, tracks, out)
        else:
            before = tracks.v[s]
            if role == 5 and 0.5 * before < x < before:
                _mistaken(s, t[i], x, tracks, out)
            elif role == 2 or (t[i] - tracks.t[s] <= GAP_MS and before == before):
                if role != 2:
                    tracks.v[s] = x
                    # A counter that fell has restarted at zero.
                    x = (x - before if x >= before else x) * 1000.0 / (t[i] - tracks.t[s])
                    if slot == NONE:
                        slot = _rate_slot(out, x, t[i], s, 0, tracks.slot, tracks.n, tracks.t0, tracks.t[s])
                if slot >= 0:
                    k = out.tally[0]
                    out.slot[k] = slot
                    out.t[k] = t[i]
                    out.value[k] = x
                    out.tally[0] = k + 1
            else:
                tracks.v[s] = x
        tracks.t[s] = t[i]


@kernel
def _emit(out: Out, slot: int, t: int, value: float) -> None:
    k = out.tally[0]
    out.slot[k] = slot
    out.t[k] = t
    out.value[k] = value
    out.tally[0] = k + 1


@kernel
def _birth(
    out: Out, target: int, of_family: int, kind: int, n: int, t0: int, t1: int, value: float, replaced: int
) -> int:
    if replaced < 0:
        if out.tally[2] <= 0:
            return LIMITED
        out.tally[2] -= 1
    k = out.tally[1]
    out.birth[k, 0] = target
    out.birth[k, 1] = of_family
    out.birth[k, 2] = kind
    out.birth[k, 3] = n
    out.birth[k, 4] = t0
    out.birth[k, 5] = t1
    out.birth[k, 6] = replaced
    out.birth_value[k] = value
    out.tally[1] = k + 1
    return PROVISIONAL + int(k)


@kernel
def _end(s: int, t: int, role: int, tracks: Tracks, families: Families) -> None:
    tracks.t[s] = t
    if role == 6:
        _leave(tracks.slot[s], families)
    elif role != 2:
        tracks.v[s] = np.nan  # the counter's next sample starts anew


@kernel
def _change(s: int, t: int, x: float, tracks: Tracks, out: Out) -> None:
    """The first change of a constant. One or two samples before it are handed on, more are told of as a constant."""
    n = tracks.n[s]
    slot = _birth(out, s, 0, 0, n if n > 2 else 0, tracks.t0[s], tracks.t[s], tracks.v[s], -1)
    tracks.slot[s] = slot
    if slot < 0:
        return
    if n == 2:
        _emit(out, slot, tracks.t0[s], tracks.v[s])
    if n <= 2:
        _emit(out, slot, tracks.t[s], tracks.v[s])
    _emit(out, slot, t, x)


@kernel
def _rate_slot(out: Out, rise: float, t: int, at: int, of_family: int, slot: Ids, n: Ids, t0: Times, last: int) -> int:
    """The slot of a rate: none while it has always been zero."""
    if slot[at] != NONE:
        return int(slot[at])
    if rise == 0.0:
        if n[at] == 0:
            t0[at] = t
        n[at] += 1
        return NONE
    slot[at] = _birth(out, at, of_family, 1, n[at], t0[at], last, 0.0, -1)
    return int(slot[at])


@kernel
def _try(s: int, t: int, x: float, tracks: Tracks, out: Out) -> None:
    n = tracks.n[s]
    before = tracks.v[s]
    if n == 0 or np.isnan(before):
        tracks.t0[s] = t
        tracks.n[s] = 1
        tracks.rises[s] = 0
        tracks.v[s] = x
        return
    if x == before and (n < TRIAL_SAMPLES or tracks.rises[s] == 0):
        tracks.n[s] = n + 1
    elif x >= before >= 0.0 and n < TRIAL_SAMPLES:
        tracks.rises[s] += 1
        tracks.n[s] = n + 1
        tracks.v[s] = x
    elif x >= before >= 0.0 and 2 * tracks.rises[s] >= n - 1:
        tracks.role[s] = 5
        tracks.n[s] = 0
        tracks.v[s] = x
        rate = (x - before) * 1000.0 / (t - tracks.t[s])
        slot = _rate_slot(out, rate, t, s, 0, tracks.slot, tracks.n, tracks.t0, tracks.t[s])
        if slot >= 0 and t - tracks.t[s] <= GAP_MS:
            _emit(out, slot, t, rate)
    else:
        tracks.role[s] = 2
        if tracks.rises[s] > 0:
            tracks.n[s] = 1  # only its latest sample is known
        _change(s, t, x, tracks, out)


@kernel
def _mistaken(s: int, t: int, x: float, tracks: Tracks, out: Out) -> None:
    """A counter restarts near zero; what falls a little was never one."""
    slot = _birth(out, s, 0, 0, 0, t, t, 0.0, tracks.slot[s])
    tracks.role[s] = 2
    tracks.slot[s] = slot
    if slot >= 0:
        _emit(out, slot, t, x)


@kernel
def _leave(m: int, families: Families) -> None:
    f = families.owner[m]
    families.base_t[f] = NEVER
    if families.alive[m]:
        families.alive[m] = False
        families.alive_n[f] -= 1
    for p in range(families.waiting[f]):
        if families.has[p, m]:
            families.has[p, m] = False
            families.got[p, f] -= 1
    if families.alive_n[f] == 0:
        families.waiting[f] = 0


@kernel
def _collect(m: int, t: int, x: float, families: Families, out: Out) -> None:
    f = families.owner[m]
    if not families.alive[m]:  # it is back, or its family has just grown: deltas need a common start
        families.alive[m] = True
        families.alive_n[f] += 1
        families.base_t[f] = NEVER
    if t <= families.done_t[f]:
        return
    p = _place(f, t, families)
    if p < 0:
        return
    families.v[p, m] = x
    families.has[p, m] = True
    families.got[p, f] += 1
    if families.got[p, f] == families.alive_n[f]:
        _complete(f, p, families, out)


@kernel
def _complete(f: int, p: int, families: Families, out: Out) -> None:
    """Every member has reported the waiting scrape `p`: its signals, and the end of all before it."""
    for _ in range(p):  # the members are past these: they stay incomplete
        _pop(f, families)
    t = families.t[0, f]
    dt = t - families.base_t[f]
    counted = _counter_of(f, families)
    if families.base_t[f] != NEVER and dt <= GAP_MS and counted >= 0:
        events = _rise(families.v[0, counted], families.base[counted])
        x = events * 1000.0 / dt
        for kind in range(1, 4 if events > 0.0 else 2):  # without events neither a mean nor a quantile exists
            if kind == 2:
                x = _mean(f, events, families)
            elif kind == 3:
                x = _p99(f, families)
            slot = families.slot[kind - 1, f]
            if slot == NONE and np.isfinite(x):
                slot = _family_slot(f, kind, x, t, families, out)
            if slot >= 0 and np.isfinite(x):
                k = out.tally[0]
                out.slot[k] = slot
                out.t[k] = t
                out.value[k] = x
                out.tally[0] = k + 1
    families.base_t[f] = t
    for m in range(families.start[f], families.end[f]):
        if families.alive[m]:
            families.base[m] = families.v[0, m]
            families.has[0, m] = False
    families.misses[f] = 0
    if families.waiting[f] > 1:
        _pop(f, families)
    else:
        families.done_t[f] = t
        families.waiting[f] = 0


@kernel
def _counter_of(f: int, families: Families) -> int:
    """The member that counts events: the count, else the bucket without bound; -1 = none."""
    m = families.count_at[f]
    if m >= 0 and families.alive[m]:
        return int(m)
    m = families.start[f] + families.buckets[f] - 1
    return int(m) if families.buckets[f] > 0 and families.alive[m] and families.le[m] == np.inf else -1


@kernel
def _mean(f: int, events: float, families: Families) -> float:
    m = families.sum_at[f]
    if m < 0 or not families.alive[m]:
        return np.nan
    return float(_rise(families.v[0, m], families.base[m]) / events)


@kernel
def _p99(f: int, families: Families) -> float:
    first = families.start[f]
    last = first + families.buckets[f] - 1
    return float(_quantile(0.99, first, last, families.le, families.alive, families.base, families.v[0]))


@kernel
def _family_slot(f: int, kind: int, x: float, t: int, families: Families, out: Out) -> int:
    if kind == 1:
        return int(_rate_slot(out, x, t, f, 1, families.slot[0], families.n, families.t0, families.base_t[f]))
    families.slot[kind - 1, f] = _birth(out, f, 1, kind, 0, t, t, 0.0, -1)
    return int(families.slot[kind - 1, f])


@kernel
def _place(f: int, t: int, families: Families) -> int:
    """The place of a scrape among those that wait, made when there is none; -1 when it is too late."""
    p = families.waiting[f]
    while p > 0 and families.t[p - 1, f] >= t:
        p -= 1
    if p < families.waiting[f] and families.t[p, f] == t:
        return int(p)
    if families.waiting[f] == RING:
        if p == 0:
            return -1
        _give_up(f, families)
        p -= 1
    last = families.waiting[f]
    for q in range(last, p, -1):
        families.t[q, f] = families.t[q - 1, f]
        families.got[q, f] = families.got[q - 1, f]
        for m in range(families.start[f], families.end[f]):
            families.v[q, m] = families.v[q - 1, m]
            families.has[q, m] = families.has[q - 1, m]
    families.t[p, f] = t
    families.got[p, f] = 0
    for m in range(families.start[f], families.end[f]):
        families.has[p, m] = False
    families.waiting[f] = last + 1
    return int(p)


@kernel
def _give_up(f: int, families: Families) -> None:
    """Drops the oldest waiting scrape: its increase goes into the next complete one."""
    families.misses[f] += 1
    if families.misses[f] >= MISSES:
        families.misses[f] = 0
        families.base_t[f] = NEVER
        families.alive_n[f] = 0
        for m in range(families.start[f], families.end[f]):
            seen = False
            for p in range(families.waiting[f]):
                seen |= families.has[p, m]
            families.alive[m] = seen
            families.alive_n[f] += seen
    _pop(f, families)


@kernel
def _pop(f: int, families: Families) -> None:
    families.done_t[f] = families.t[0, f]
    families.waiting[f] -= 1
    for p in range(families.waiting[f]):
        families.t[p, f] = families.t[p + 1, f]
        families.got[p, f] = families.got[p + 1, f]
        for m in range(families.start[f], families.end[f]):
            families.v[p, m] = families.v[p + 1, m]
            families.has[p, m] = families.has[p + 1, m]


@kernel
def _rise(now: float, before: float) -> float:
    return now - before if now >= before else now  # it fell: the counter has restarted at zero


@kernel
def _quantile(q: float, first: int, last: int, le: Values, alive: NDArray[np.bool_], base: Values, v: Values) -> float:
    """The quantile of the events since the base, linear inside a bucket, as Prometheus' histogram_quantile has it."""
    if last <= first or le[last] != np.inf or not alive[last]:
        return np.nan
    total = 0.0
    for m in range(first, last + 1):
        if alive[m]:
            total = max(total, _rise(v[m], base[m]))
    rank = q * total
    below = 0.0  # cumulative count, and bound, of the bucket before; made monotonic, members may race
    bound = 0.0
    is_first = True
    for m in range(first, last):
        if not alive[m]:
            continue
        upto = max(below, _rise(v[m], base[m]))
        if upto >= rank and upto > below:
            if is_first and le[m] <= 0.0:
                return float(le[m])
            return float(bound + (le[m] - bound) * (rank - below) / (upto - below))
        below = upto
        bound = le[m]
        is_first = False
    return np.nan if is_first or total <= 0.0 else bound


@kernel
def rates_in_place(
    sid: Ids, t: Times, value: Values, is_counter: NDArray[np.bool_], last_t: Times, last_v: Values
) -> Values:
    """(n,) each sample's value, of counters its rate per second; NaN where a rate cannot be told.

    is_counter, last_t, last_v: (series,); the latter two are carried from call to call, NEVER and NaN at the start.
    One row per sample, for files; resets and long gaps as in `route_samples`.
    """
    out = value.copy()
    for i in range(len(sid)):
        s = sid[i]
        if not is_counter[s]:
            continue
        out[i] = np.nan
        x = value[i]
        if t[i] <= last_t[s] or not np.isfinite(x):
            continue
        if last_t[s] != NEVER and t[i] - last_t[s] <= GAP_MS:
            out[i] = _rise(x, last_v[s]) * 1000.0 / (t[i] - last_t[s])
        last_t[s] = t[i]
        last_v[s] = x
    return out
