"""The laws: load goes down, latency and errors go up, queues keep what is not fetched."""

from dataclasses import replace

import numpy as np
import pytest

from airis_mon.simulate.dice import Dice
from airis_mon.simulate.faults import Effects
from airis_mon.simulate.physics import FULL, Physics, _waiting
from airis_mon.simulate.topology import build

STEPS = 80


@pytest.fixture(scope="module")
def shop():
    return build("shop", 20, Dice(3))


def run(shop, change=lambda x: None, factor=1.0):
    physics = Physics(shop, 15.0)
    t = np.arange(STEPS, dtype=np.int64) * 15_000
    x = Effects.none(shop, t, 15_000)
    users, active = np.tile(shop.demand * factor, (STEPS, 1)), np.ones((STEPS, len(shop.service)))
    _, settled = physics.advance(users, active, Effects.none(shop, t, 15_000), physics.start)
    change(x)
    return physics.advance(users, active, x, settled)[0]


def test_a_quiet_world_carries_what_users_ask_for(shop):
    flow = run(shop)
    expected = shop.demand @ shop.visits
    assert np.allclose(flow.load[-1], expected, rtol=0.05)
    assert flow.errors.max() < 0.02
    assert flow.depth[-1].max() == 0


def test_waiting_is_that_of_one_server_when_there_is_one():
    rho = np.array([0.1, 0.5, 0.9])
    assert np.allclose(_waiting(rho, 1.0), rho / (1 - rho))  # M/M/1: Wq / S = rho / (1 - rho)
    assert (np.diff(_waiting(np.linspace(0, FULL, 50), 8.0)) > 0).all()


def test_more_users_wait_longer_and_are_refused_at_last(shop):
    calm, busy, flooded = (run(shop, factor=f) for f in (1, 1.7, 6))
    assert busy.user_latency[-1].mean() > calm.user_latency[-1].mean()
    assert flooded.errors[-1].max() > 0.2


def test_a_failing_callee_fails_its_callers_and_nobody_else(shop):
    at = shop.names.index("pricing")

    def fail(x):
        x.errors[:, shop.replicas(at)] = 0.5

    flow, calm = run(shop, fail), run(shop)
    worse = flow.errors[-1] - calm.errors[-1] > 1e-4
    names = {n for n, w in zip(shop.names, worse, strict=True) if w}
    assert {"pricing", "catalog", "cart"} <= names
    assert "account" not in names


def test_errors_are_tried_again_as_often_as_an_edge_allows(shop):
    at = shop.names.index("pricing")
    edges = np.flatnonzero(shop.callee == at)

    def fail(x):
        x.errors[:, shop.replicas(at)] = 0.3

    for retries, attempts in ((0, 1.0), (1, 1.3), (2, 1.39)):
        tried = replace(shop, retries=np.full(len(shop.caller), retries))
        ratio = run(tried, fail).calls[-1, edges] / run(tried).calls[-1, edges]
        assert np.allclose(ratio, attempts, rtol=0.05)


def test_a_breaker_opens_when_most_calls_fail(shop):
    at = shop.names.index("pricing")
    edges = np.flatnonzero(shop.callee == at)

    def fail(x):
        x.loss[:, edges] = 0.95

    assert (run(shop, fail).calls[-1, edges] < 0.5 * run(shop).calls[-1, edges]).all()


def test_a_stalled_queue_grows_by_what_arrives_and_drains_afterwards(shop):
    at = int(shop.of("queue")[0])

    def stall(x):
        x.stall[10:20, at] = 1.0

    flow = run(shop, stall)
    assert flow.depth[19, at] == pytest.approx(flow.load[10:20, at].sum() * 15, rel=1e-6)
    assert flow.depth[-1, at] == 0
    assert flow.served[25, at] > flow.load[25, at]
    assert flow.served[:, at].sum() == pytest.approx(flow.load[:, at].sum(), rel=1e-6)


def test_a_cache_that_misses_sends_its_load_to_the_store_behind(shop):
    at = shop.names.index("catalog-cache")

    def miss(x):
        x.misses[:, at] = 0.9

    behind = shop.names.index("catalog-db")
    assert run(shop, miss).load[-1, behind] > 2 * run(shop).load[-1, behind]


def test_a_caller_feels_a_slow_edge_after_its_lag(shop):
    edge = int(np.flatnonzero((shop.callee == shop.names.index("pricing")) & ~shop.is_async)[0])
    caller = int(shop.caller[edge])
    late = replace(
        shop, lag_s=np.where(np.arange(len(shop.caller)) == edge, 60.0, 0.0), is_parallel=shop.is_parallel & False
    )

    def delay(x):
        x.delay[30:, edge] = 0.1

    flow, calm = run(late, delay), run(late)
    felt = np.flatnonzero(flow.latency[:, caller] > 1.05 * calm.latency[:, caller])
    seen = np.flatnonzero(flow.call_latency[:, edge] > 1.05 * calm.call_latency[:, edge])
    assert (seen[0], felt[0]) == (30, 34)


def test_a_dead_replica_leaves_its_share_to_the_others(shop):
    replica = int(shop.replicas(1)[0])

    def die(x):
        x.down[:, replica] = 1.0

    flow, calm = run(shop, die), run(shop)
    others = shop.replicas(1)[1:]
    assert flow.share[-1, replica] < 0.2 * calm.share[-1, replica]
    assert (flow.cpu[-1, others] > calm.cpu[-1, others]).all()
