"""Measured series have the tails that real ones have: most a light one, some a heavy one."""

import numpy as np
import pytest

from airis_mon.series.labels import metric_of
from airis_mon.simulate.blur import heavy, tails
from airis_mon.simulate.dice import Dice
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World


def unlikeness(value):
    """(n,) standard deviation over that of a normal with the same quartiles."""
    low, high = np.nanpercentile(value, [25, 75], axis=0)
    with np.errstate(all="ignore"):
        return np.nanstd(value, axis=0) / ((high - low) / 1.349)


def test_noise_has_unit_variance_however_heavy_its_tails():
    tail = np.array([0.0, 0.05, 0.5, 5.0])
    noise = heavy(Dice(1).at("test").standard_normal((400_000, 4)), tail)
    assert noise.std(axis=0) == pytest.approx(np.ones(4), rel=0.05)
    assert (np.diff(unlikeness(noise)) > 0).all()
    assert unlikeness(noise)[0] == pytest.approx(1, rel=0.02)


def test_most_tails_are_light_and_some_are_heavy():
    drawn = tails(Dice(1).at("test"), 10_000)
    assert 0.6 < (drawn < 0.2).mean() < 0.8
    assert 0.1 < (drawn > 1).mean() < 0.3


def test_the_quiet_series_of_a_world_are_as_unlike_a_normal_as_real_ones():
    world = World(Settings(topology="shop", days=1, step_s=60, faults_per_day=0, dirt=0, histogram=False), 6)
    blocks = list(world.blocks())
    value = np.concatenate([b.value for b in blocks])
    value = np.where(np.concatenate([b.present for b in blocks]) & np.isfinite(value), value, np.nan)
    counters = world.layout.counters
    rate = np.diff(value[:, :counters], axis=0)
    names = [metric_of(x) for x in world.labels]
    kept = [i for i, n in enumerate(names) if "duration" not in n and "limit" not in n and "max" not in n]
    seen = np.concatenate([np.where(rate < 0, np.nan, rate), value[1:, counters:]], axis=1)[:, kept]
    found = unlikeness(seen[:, np.nanstd(seen, axis=0) > 0])
    assert 0.2 < (found > 2).mean() < 0.45
    assert 0.08 < (found > 5).mean() < 0.3
    assert 0.4 < (found < 1.5).mean() < 0.75
