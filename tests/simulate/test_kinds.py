"""Every kind of fault moves what it is known by."""

import numpy as np
import pytest

from airis_mon.simulate.kinds import HARMLESS, KINDS, effects
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World

LATENCY = "http_request_duration_seconds_sum"
SIGNATURES = {
    "cpu_hog": ("container_cpu_usage_seconds_total", "service", 1),
    "memory_leak": ("container_memory_working_set_bytes", "service", 1),
    "disk_fill": ("volume_used_bytes", "service", 1),
    "disk_slow": (LATENCY, "service", 1),
    "network_delay": ("rpc_client_request_duration_seconds_sum", "server", 1),
    "network_loss": ("rpc_client_requests_total 500", "server", 1),
    "network_partition": ("rpc_client_requests_total 500", "server", 1),
    "dns_failure": ("rpc_client_requests_total 500", "client", 1),
    "pool_exhaustion": ("connection_pool_used_ratio", "service", 1),
    "fd_leak": ("process_open_fds", "service", 1),
    "thread_leak": ("process_threads", "service", 1),
    "lock_contention": (LATENCY, "service", 1),
    "bad_deploy_latency": (LATENCY, "service", 1),
    "bad_deploy_errors": ("http_requests_total 500", "service", 1),
    "bad_config": ("http_requests_total 500", "service", 1),
    "feature_flag": (LATENCY, "service", 1),
    "cache_failure": ("cache_misses_total", "service", 1),
    "quota_throttling": ("quota_remaining", "service", -1),
    "certificate_expiry": ("certificate_days_left", "service", -1),
    "queue_stall": ("queue_depth", "service", 1),
    "noisy_neighbour": ("node_cpu_busy_seconds_total", "host", 1),
    "traffic_surge": ("frontend_requests_total 200", "handler", 1),
    "clock_jump": ("node_time_offset_seconds", "host", 1),
    "host_failure": ("container_network_receive_bytes_total", "host", -1),
    "gc_thrash": ("gc_pause_seconds_total", "service", 1),
}


def told(world, page, faults, rows):
    """Series name and labels -> mean over rows, as measured without noise."""
    flow, x, _ = world.happen(page, faults, world.settled)
    exporter = world._exporter
    drift = np.zeros((len(x.t), exporter.blurred))
    return exporter.measure(flow, x, world.dice.at("test"), drift)[rows].mean(axis=0)


def test_every_kind_has_a_signature_and_there_are_more_than_sixteen():
    assert set(SIGNATURES) == set(KINDS)
    assert len(KINDS) >= 16


def level(world, means, asked):
    """The sum over the series that have these labels; for a sum of latencies, the mean latency."""
    columns = [i for i, labels in enumerate(world.labels) if asked <= set(labels)]
    assert columns
    number = {(n, v.replace("seconds_sum", "seconds_count")) for n, v in asked}
    return means[columns].sum() / (level(world, means, number) if number != asked else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_moves_its_own_signature_in_its_own_direction(kind):
    world = World(Settings(topology="shop", days=4, kinds=(kind,), amplitude=3, noise=0, dirt=0, histogram=False), 11)
    begin, end = world.settings.start_ms, world.settings.end_ms
    faults = [f for c in world.plan.cases(begin, end) for f in c.faults]
    fault = min(faults, key=lambda f: abs(f.amplitude - 4))  # the strongest open breakers, which hide what they end
    page = world.page_of((fault.full_ms + fault.end_ms) // 2)
    t = world.times(page)
    rows = (t >= fault.full_ms) & (t < fault.end_ms)
    assert rows.any()
    with_it, without = told(world, page, [fault], rows), told(world, page, [], rows)
    name, label, direction = SIGNATURES[kind]
    metric, _, code = name.partition(" ")
    owner = world.topology.endpoints[fault.at] if label == "handler" else fault.entity
    asked = {("__name__", metric), (label, owner)} | ({("code", code)} if code else set())
    if KINDS[kind].befalls == ("edge",):
        asked |= {("client", world.topology.edges[fault.at][0])}
    a, b = level(world, with_it, asked), level(world, without, asked)
    assert (a - b) * direction > 0.03 * b


@pytest.mark.parametrize("kind", [*KINDS, *HARMLESS])
def test_what_has_ended_leaves_nothing_behind(kind):
    world = World(Settings(topology="shop", days=4, noise=1, dirt=0, histogram=False, kinds=("cpu_hog",)), 2)
    what = (KINDS | HARMLESS)[kind]
    fault = world.plan._befall("x", kind, what, world.settings.start_ms + 40_000_000, world.dice.at("t"))
    t = world.times(world.page_of(fault.end_ms + 7_200_000))
    x = effects([fault], world.topology, t, world.settings.step_ms)
    assert not fault.is_active(int(t[0]), int(t[-1]))
    for name in ("steal", "hog", "slow", "wait", "errors", "down", "drained", "memory", "restart", "delay", "loss"):
        assert not getattr(x, name).any()


def test_a_leak_ends_in_a_loop_of_restarts():
    world = World(Settings(topology="shop", days=3, kinds=("memory_leak",), noise=0, dirt=0), 4)
    fault = world.plan.cases(world.settings.start_ms, world.settings.end_ms)
    fault = next(f for c in fault for f in c.faults)
    t = np.arange(fault.full_ms, fault.end_ms, 15_000)
    x = effects([fault], world.topology, t, 15_000)
    assert x.restart[:, fault.replicas[0]].sum() == pytest.approx((fault.end_ms - fault.full_ms) / 300_000, abs=1)
    assert (x.down[:, fault.replicas[0]] == 1).mean() == pytest.approx(0.2, abs=0.05)


LIMITS = {
    "memory_leak": ("container_memory_working_set_bytes", "container_spec_memory_limit_bytes"),
    "fd_leak": ("process_open_fds", "process_max_fds"),
    "disk_fill": ("volume_used_bytes", "volume_size_bytes"),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_a_leak_reaches_the_limit_that_is_told_when_it_begins_to_harm_and_not_before(kind):
    world = World(Settings(topology="shop", days=4, kinds=(kind,), dirt=0, histogram=False), 11)
    fault = world.plan.cases(world.settings.start_ms + 86_400_000, world.settings.end_ms)
    fault = next(f for c in fault for f in c.faults)

    def share(at):
        """Of its limit, in the three minutes before."""
        page = world.page_of(at - 1)
        t = world.times(page)
        means = told(world, page, [fault], (t < at) & (t >= at - 180_000))
        used, limit = (
            [i for i, x in enumerate(world.labels) if {("__name__", n), ("service", fault.entity)} <= set(x)]
            for n in LIMITS[kind]
        )
        assert len(used) == len(limit)
        return (means[used] / means[limit]).max()

    assert share(fault.full_ms) > 0.97
    assert share(fault.onset_ms + fault.ramp_ms // 2) < 0.92


def test_a_cache_that_begins_anew_fills_for_hours_and_then_stays():
    world = World(Settings(topology="shop", days=4, noise=0, dirt=0, histogram=False, faults_per_day=0), 2)
    fault = world.plan._passing("x", "refill", world.settings.start_ms, world.settings.start_ms + 1, world.dice.at("t"))
    t = np.arange(fault.onset_ms - 600_000, fault.end_ms + 600_000, 60_000)
    lacks = effects([fault], world.topology, t, 60_000).empty[:, fault.replicas[0]]
    assert fault.end_ms - fault.onset_ms >= 3_600_000
    assert lacks[:10].max() == 0
    assert lacks[10] > 0.99
    assert (np.diff(lacks[10:]) <= 0).all()
    assert lacks[len(lacks) // 2] < 0.15
    assert lacks[-1] == 0


def test_a_rollout_leaves_new_processes_whose_memory_grows():
    world = World(Settings(topology="shop", days=4, noise=0, dirt=0, histogram=False), 2)
    plan = world.plan.harmless(world.settings.start_ms, world.settings.end_ms)
    fault = next(f for f in plan if f.kind == "rollout")
    t = np.arange(fault.onset_ms, fault.end_ms, 15_000)
    x = effects([fault], world.topology, t, 15_000)
    for replica in fault.replicas:
        assert x.restart[:, replica].sum() == 1
        assert x.drained[:, replica].sum() * 15_000 == pytest.approx(fault.ramp_ms, abs=15_000)
        begun = int(x.restart[:, replica].argmax())
        assert x.empty[begun, replica] > 0.98
        assert x.empty[-1, replica] < 0.02
