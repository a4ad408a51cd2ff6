"""What fills and never overflows: logs are rotated, growth levels off."""

import numpy as np
import pytest

from airis_mon.simulate.dice import DAY, HOUR, Dice
from airis_mon.simulate.topology import build
from airis_mon.simulate.traits import Filling, traits

T = 1_767_571_200_000 + np.arange(0, 60 * DAY, HOUR // 2, dtype=np.int64)


def filling(is_levelling):
    one = np.ones(1)
    return Filling(0.3 * one, 0.2 * one, 2.0 * DAY * one, 0 * one, is_levelling * one).at(T)[:, 0]


def test_logs_rise_in_a_straight_line_and_fall_when_they_are_rotated():
    used = filling(0.0)
    rises = np.diff(used)
    assert (rises < -0.15).sum() == pytest.approx(30, abs=1)
    assert rises[rises > 0] == pytest.approx(0.2 / 96, rel=0.01)


def test_growth_that_levels_off_rises_ever_slower():
    used = filling(1.0)
    start = int(np.argmin(used[:200]))
    cycle = used[start : start + 90]
    assert (np.diff(cycle) > 0).all()
    assert cycle[10] - cycle[0] > 5 * (cycle[-1] - cycle[-11])


def test_no_disk_and_no_volume_ever_comes_near_its_limit_by_itself():
    for seed in range(10):
        drawn = traits(build("ticket", 20, Dice(seed)), Dice(seed).at("traits"))
        assert drawn.disk.at(T).max() < 0.85
        assert drawn.volume.at(T).max() < 0.75
        assert drawn.volume.at(T).min() > 0.1


def test_of_a_world_s_disks_some_rotate_some_level_off_and_some_are_still():
    drawn = traits(build("social", 20, Dice(1)), Dice(1).at("traits")).volume
    assert 0 < drawn.is_levelling.sum() < len(drawn.height)
    assert 0 < (drawn.height < 0.01).sum() < len(drawn.height) / 2
