"""What no day is without: unrest in both twins, and requests that fail on good days."""

import numpy as np
import pytest

from airis_mon.simulate.background import Background
from airis_mon.simulate.dice import Dice
from airis_mon.simulate.faults import Effects
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.topology import build
from airis_mon.simulate.world import World

STEP = 15_000
T = 1_767_571_200_000 + np.arange(2000, dtype=np.int64) * STEP


def stirred(topology, dice, level):
    x = Effects.none(topology, T, STEP)
    Background(topology, dice, level).stir(T, x)
    return x


@pytest.fixture(scope="module")
def shop():
    return build("shop", 20, Dice(3))


def test_a_world_without_noise_is_at_rest(shop):
    x = stirred(shop, Dice(3), 0)
    assert not any(getattr(x, name).any() for name in ("wait", "errors", "hog", "gc", "memory", "extra", "io"))


def test_some_have_a_habit_and_most_have_not(shop):
    x = stirred(shop, Dice(3), 1)
    for name in ("hog", "gc", "memory", "threads", "files"):
        has = (getattr(x, name) > 0).any(axis=0)
        assert 0 < has.mean() < 0.5, name


def test_nobody_calls_on_behalf_of_a_queue(shop):
    found = [stirred(shop, Dice(seed), 1).extra for seed in range(5)]
    assert any(extra.any() for extra in found)
    assert not any(extra[:, shop.is_async].any() for extra in found)


def test_most_services_fail_for_few_requests_on_a_good_day_and_a_few_for_many():
    shares = []
    for kind, seed in (("shop", 1), ("ticket", 2), ("social", 3), ("ticket", 4)):
        world = World(Settings(topology=kind, days=1, step_s=60, faults_per_day=0, histogram=False), seed)
        state, errors = world.settled, []
        for page in range(6):
            flow, _, state = world.happen(page, (), state)
            errors.append(flow.errors)
        shares.append(np.concatenate(errors).mean(axis=0))
    failing = np.concatenate(shares)
    assert 0.0002 < np.median(failing) < 0.002
    assert ((failing > 0.00005) & (failing < 0.005)).mean() > 0.75
    assert 0 < (failing > 0.008).mean() < 0.15


def test_what_fails_always_is_borne_by_its_callers():
    found = [build("ticket", 20, Dice(seed)) for seed in range(10)]
    bad = np.concatenate([t.spread[t.chronic[t.callee] > 0] for t in found])
    good = np.concatenate([t.spread[t.chronic[t.callee] == 0] for t in found])
    assert 0 < len(bad) < 0.2 * len(good)
    assert bad.max() < good.min()
    assert all(((t.chronic == 0) | ((t.chronic >= 0.01) & (t.chronic <= 0.03))).all() for t in found)
