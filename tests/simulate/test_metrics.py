"""What is measured: counters count, buckets agree with counts, seasons and dirt are there."""

import numpy as np
import pytest

from airis_mon.series.labels import metric_of
from airis_mon.simulate.deliver import deliver
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World

CLEAN = Settings(topology="shop", days=1.5, step_s=60, faults_per_day=0, dirt=0)
DIRTY = Settings(topology="shop", days=2, step_s=60, dirt=2)


def whole(world):
    blocks = list(world.blocks())
    return np.concatenate([b.value for b in blocks]), np.concatenate([b.present for b in blocks]), blocks


@pytest.fixture(scope="module")
def clean():
    world = World(CLEAN, 8)
    return world, *whole(world)


@pytest.fixture(scope="module")
def dirty():
    world = World(DIRTY, 8)
    return world, *whole(world)


def column(world, metric, **asked):
    wanted = {("__name__", metric), *asked.items()}
    return next(i for i, labels in enumerate(world.labels) if wanted <= set(labels))


def test_a_counter_falls_only_where_a_replica_began_anew(clean):
    world, value, _, _ = clean
    falls = np.diff(value[:, : world.layout.counters], axis=0) < 0
    restarted = {c.entity for c in world.changes(CLEAN.start_ms - 10**7, CLEAN.end_ms) if c.kind in {"deploy", "scale"}}
    restarted |= {f.entity for f in world.plan.harmless(CLEAN.start_ms, CLEAN.end_ms) if f.kind == "refill"}
    services = world.layout.service[: world.layout.counters][falls.any(axis=0)]
    assert {world.topology.names[i] for i in services} <= restarted
    assert (world.layout.replica[: world.layout.counters][falls.any(axis=0)] >= 0).all()
    assert np.isfinite(value).all()


def test_planted_resets_reach_other_counters_too(dirty):
    world, value, _, _ = dirty
    with np.errstate(invalid="ignore"):
        falls = (np.diff(value[:, : world.layout.counters], axis=0) < 0).any(axis=0)
    assert (world.layout.replica[: world.layout.counters][falls] < 0).any()


def test_buckets_are_cumulative_and_end_in_the_count(clean):
    world, value, _, _ = clean
    les = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")
    buckets = value[:, [column(world, "http_request_duration_seconds_bucket", service="cart", le=le) for le in les]]
    assert (np.diff(buckets, axis=1) >= -1e-5).all()
    count = value[:, column(world, "http_request_duration_seconds_count", service="cart")]
    codes = [value[:, column(world, "http_requests_total", service="cart", code=c)] for c in ("200", "500")]
    assert np.allclose(buckets[:, -1], count)
    assert np.allclose(sum(codes), count)


def test_demand_is_higher_by_day_than_by_night(clean):
    world, value, _, _ = clean
    asked = np.diff(value[:, column(world, "frontend_requests_total", handler="/browse", code="200")])
    assert asked[11 * 60 : 17 * 60].mean() > 1.3 * asked[60 : 5 * 60].mean()


def test_limits_are_told_and_nothing_is_measured_above_them(clean):
    world, value, _, _ = clean
    pairs = {
        "container_memory_working_set_bytes": "container_spec_memory_limit_bytes",
        "process_open_fds": "process_max_fds",
        "volume_used_bytes": "volume_size_bytes",
        "node_filesystem_avail_bytes": "node_filesystem_size_bytes",
    }
    number = {x: i for i, x in enumerate(world.labels)}
    for used, limit in pairs.items():
        limits = [i for i, x in enumerate(world.labels) if metric_of(x) == limit]
        assert limits
        for i in limits:
            own = number[tuple((k, used if k == "__name__" else v) for k, v in world.labels[i])]
            assert len(set(value[:, i])) == 1
            assert (value[:, own] <= value[:, i]).all()


def test_what_is_counted_by_a_gauge_is_whole(clean):
    world, value, _, _ = clean
    for metric in ("process_open_fds", "process_threads", "queue_depth"):
        columns = [i for i, x in enumerate(world.labels) if metric_of(x) == metric]
        assert (value[:, columns] % 1 == 0).all()


def test_sessions_follow_the_day(clean):
    world, value, _, _ = clean
    columns = [i for i, x in enumerate(world.labels) if metric_of(x) == "process_open_fds"]
    by_day = value[11 * 60 : 17 * 60, columns].mean(axis=0) / value[60 : 5 * 60, columns].mean(axis=0)
    assert (by_day > 1.05).mean() > 0.2


def test_every_part_of_the_system_is_told_of(clean):
    world = clean[0]
    names = {metric_of(x) for x in world.labels}
    assert len(names) >= 30
    assert {n for x in world.labels for n, _ in x} >= {"service", "pod", "host", "zone", "client", "server", "handler"}


def test_clean_series_have_every_sample(clean):
    world, _, present, blocks = clean
    always = world.topology.scale_at[world.layout.replica] == 0
    assert present[:, always | (world.layout.replica < 0)].all()
    assert not any(len(b.late) for b in blocks)
    assert not any(b.skew_ms.any() for b in blocks)


def test_dirt_is_missing_odd_skewed_late_and_double(dirty):
    _, value, present, blocks = dirty
    assert 0.0001 < (~present).mean() < 0.1
    assert np.isnan(value).any()
    assert np.isinf(value).any()
    skews = np.concatenate([b.skew_ms for b in blocks])
    assert skews.any()
    assert np.abs(skews).max() <= 90_000
    by = np.concatenate([b.late[:, 2] for b in blocks])
    assert (by > 0).any()
    assert (by < 0).any()


def test_some_series_are_broken_for_good(dirty):
    _, value, _, _ = dirty
    assert np.isnan(value).all(axis=0).any()


def test_a_delivery_holds_every_sample_once_but_the_doubled_ones(dirty):
    _, _, present, blocks = dirty
    told = list(deliver(iter(blocks)))
    doubled = sum(int(b.present[b.late[b.late[:, 2] < 0, 0], b.late[b.late[:, 2] < 0, 1]].sum()) for b in blocks)
    assert sum(len(d.t) for d in told) == present.sum() + doubled
    arrival = np.concatenate([d.arrival for d in told])
    assert (np.diff(arrival) >= 0).mean() > 0.9999
    t, col = np.concatenate([d.t for d in told]), np.concatenate([d.column for d in told])
    _, twice = np.unique(t * 10_000 + col, return_counts=True)
    assert (twice == 2).sum() >= 0.5 * doubled


def test_a_delivery_of_single_scrapes_is_that_of_larger_blocks(dirty):
    world = World(DIRTY, 8)
    start, step = DIRTY.start_ms, DIRTY.step_ms
    large = list(deliver(world.blocks(start, 100)))
    small = list(deliver(b for i in range(100) for b in world.blocks(start + i * step, 1)))
    for name in ("t", "column", "value", "arrival"):
        a, b = (np.concatenate([getattr(d, name) for d in ds]) for ds in (large, small))
        assert np.array_equal(a, b, equal_nan=name == "value")
