"""Pulses come of themselves, and the same whenever they are asked about."""

import numpy as np
import pytest

from airis_mon.simulate.dice import DAY, Dice
from airis_mon.simulate.pulses import HIGHEST, Habit, drawn

HABIT = Habit(0.5, (10, 60), (30, 120), 2.0)
STEP = 15_000


@pytest.fixture
def pulses():
    return drawn(Dice(3).at("test"), 200, HABIT)


def times(step=STEP, days=1.0):
    return 1_767_571_200_000 + np.arange(step, round(days * DAY) + 1, step, dtype=np.int64)


def test_a_stretch_alone_has_the_pulses_that_it_has_in_the_whole(pulses):
    t = times()
    whole = pulses.at(t, STEP)
    assert np.array_equal(whole[1000:1100], pulses.at(t[1000:1100], STEP))
    assert whole.any()


def test_only_who_has_the_habit_has_pulses_and_about_the_share_has_it(pulses):
    height = pulses.at(times(), STEP)
    has = (height > 0).any(axis=0)
    assert set(np.flatnonzero(has)) == set(pulses.owner.tolist())
    assert has.mean() == pytest.approx(HABIT.share, abs=0.12)


def test_who_may_not_have_a_habit_has_none():
    may = np.arange(200) < 20
    assert (drawn(Dice(3).at("test"), 200, HABIT, may).owner < 20).all()


def test_pulses_are_rare_and_never_beyond_their_height(pulses):
    height = pulses.at(times(), STEP)[:, pulses.owner]
    assert 0.005 < (height > 0).mean() < 0.2
    assert (height <= HIGHEST * pulses.height + 1e-9).all()


def test_a_long_step_holds_as_much_as_the_short_steps_in_it(pulses):
    long, short = pulses.at(times(4 * STEP), 4 * STEP).mean(axis=0), pulses.at(times(), STEP).mean(axis=0)
    assert long.sum() == pytest.approx(short.sum(), rel=0.05)


def test_those_on_the_dot_come_in_whole_periods(pulses):
    exact = np.flatnonzero((pulses.jitter == 0) & (pulses.odds > 0.9))[0]
    t = times(1000, 0.5)
    on = pulses.at(t, 1000)[:, pulses.owner[exact]] > 0
    starts = t[1:][np.diff(on.astype(int)) > 0]
    apart = np.diff(starts) / pulses.period_ms[exact]
    assert np.allclose(apart, np.round(apart), atol=0.01)
