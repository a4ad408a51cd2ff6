"""The kernel that turns samples into signals, against plain formulas."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.detect.derive import count_roles, route_samples
from airis_mon.detect.tracks import GAP_MS, PROVISIONAL, RING, Role, new_families, new_out, new_tracks
from airis_mon.series.batch import STALE

BOUNDS = [0.1, 0.5, 1.0, 2.5, math.inf]


def run(tracks, families, samples, room=10):
    sid, t, value = (np.array(x) for x in zip(*samples, strict=True))
    values = value.astype(float)
    _, members = count_roles(sid.astype(np.int32), tracks.role)
    out = new_out(len(sid), members, room)
    route_samples(sid.astype(np.int32), t, values, values.view(np.uint64), tracks, families, out)
    n = out.tally[0]
    return list(zip(out.slot[:n].tolist(), out.t[:n].tolist(), out.value[:n].tolist(), strict=True)), out


def one(role, slot=0):
    tracks = new_tracks(1)
    tracks.role[0], tracks.slot[0] = role, slot
    return tracks


def plain_rates(samples):
    before, rates = None, []
    for t, v in samples:
        if np.array(v).view(np.uint64) == np.array(STALE).view(np.uint64):
            before = (t, None)
        elif not math.isnan(v):
            if before and before[1] is not None and t - before[0] <= GAP_MS:
                rise = v - before[1] if v >= before[1] else v
                rates.append((0, t, rise * 1000 / (t - before[0])))
            before = (t, v)
    return rates


@given(
    st.lists(
        st.tuples(
            st.integers(1, GAP_MS + 1000), st.one_of(st.floats(0, 1e9), st.just(math.nan), st.just(float(STALE)))
        ),
        min_size=1,
    )
)
def test_rates_are_those_of_the_plain_formula(steps):
    times = np.cumsum([dt for dt, _ in steps]).tolist()
    samples = [(t, v) for t, (_, v) in zip(times, steps, strict=True)]
    # float(STALE) keeps the payload's bits on its way through numpy
    got, _ = run(one(Role.COUNTER), new_families(1, 1), [(0, t, v) for t, v in samples])
    assert got == plain_rates(samples)


def a_family(sums=True):
    k = len(BOUNDS) + (2 if sums else 0)
    tracks, families = new_tracks(k), new_families(1, k)
    tracks.role[:], tracks.slot[:] = Role.MEMBER, np.arange(k)
    families.end[0], families.buckets[0], families.le[: len(BOUNDS)] = k, len(BOUNDS), BOUNDS
    if sums:
        families.sum_at[0], families.count_at[0] = k - 2, k - 1
    families.alive[:], families.alive_n[0], families.slot[:, 0] = True, k, [0, 1, 2]
    return tracks, families


def scrape(t, per_bucket, total):
    cumulative = np.cumsum(per_bucket)
    return [(i, t, float(v)) for i, v in enumerate([*cumulative, total, cumulative[-1]])]


def plain_quantile(q, per_bucket):
    rank = q * sum(per_bucket)
    below = 0
    for i, n in enumerate(per_bucket[:-1]):
        if n and below + n >= rank:
            low = BOUNDS[i - 1] if i else 0.0
            return low + (BOUNDS[i] - low) * (rank - below) / n
        below += n
    return BOUNDS[-2]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 1000), min_size=5, max_size=5).filter(any),
    st.lists(st.integers(0, 1000), min_size=5, max_size=5),
    st.randoms(use_true_random=False),
)
def test_a_histogram_gives_rate_mean_and_p99_in_any_order_of_its_members(grown, base, rng):
    tracks, families = a_family()
    first, second = scrape(0, base, 7.0), scrape(10_000, np.add(base, grown), 7.0 + 2.5 * sum(grown))
    rng.shuffle(first)
    rng.shuffle(second)
    got, _ = run(tracks, families, first + second)
    assert [(slot, t) for slot, t, _ in got] == [(0, 10_000), (1, 10_000), (2, 10_000)]
    want = [sum(grown) / 10, 2.5, plain_quantile(0.99, grown)]
    np.testing.assert_allclose([v for _, _, v in got], want, rtol=1e-9)


def test_a_histogram_without_count_is_counted_by_its_last_bucket():
    tracks, families = a_family(sums=False)
    got, _ = run(tracks, families, [(i, t, t / 1000 * (i + 1)) for t in (0, 10_000) for i in range(5)])
    assert [slot for slot, _, _ in got] == [0, 2]
    assert got[0][2] == 5.0


def test_members_up_to_four_scrapes_apart_still_meet():
    tracks, families = a_family()
    scrapes = [scrape(t * 10_000, [t] * 5, t) for t in range(RING + 1)]
    ahead = [x for s in scrapes[1:] for x in s[1:]]
    behind = [s[0] for s in scrapes[1:]]
    got, _ = run(tracks, families, scrapes[0] + ahead + behind)
    assert [t for slot, t, _ in got if slot == 0] == [10_000, 20_000, 30_000, 40_000]


def test_births_beyond_the_room_are_refused_inside_one_batch():
    tracks = new_tracks(3)
    tracks.role[:] = Role.GAUGE
    samples = [(s, t, float(t)) for t in (1, 2, 3) for s in range(3)]
    got, out = run(tracks, new_families(1, 1), samples, room=2)
    assert out.tally.tolist() == [6, 2, 0]
    assert {slot for slot, _, _ in got} == {PROVISIONAL, PROVISIONAL + 1}
    assert out.birth[:2, 0].tolist() == [0, 1]


def test_an_empty_batch_gives_nothing():
    nothing = np.empty(0, np.int32)
    out = new_out(0, 0, 0)
    route_samples(
        nothing, np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint64), new_tracks(1), new_families(1, 1), out
    )
    assert out.tally.tolist() == [0, 0, 0]
