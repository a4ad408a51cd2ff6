from __future__ import annotations

import numpy as np
import pytest

from airis_mon.app.analytics import Points
from airis_mon.app.together import Ask, judged
from airis_mon.errors import InputError

NOON, STEP = 1_772_366_400_000, 15_000
ASK = Ask("web-1", "pca", NOON - 200 * STEP, NOON, NOON + 40 * STEP, STEP, "en")
HUGE = Points("huge", np.empty(0, np.int64), np.empty(0), why="huge")


def nobody_leaves():
    pass


def signals(count=3):
    t = NOON + np.arange(-199, 41) * STEP
    value = np.random.default_rng(0).normal(size=(count, len(t)))
    return [Points(f"s{i}", t, v) for i, v in enumerate(value)]


def test_a_signal_with_which_nothing_can_be_computed_is_left_out_and_counted():
    found = judged([*signals(), HUGE], ASK, None, nobody_leaves)
    assert (found.metrics, found.left_out) == (["s0", "s1", "s2"], {"huge": 1})
    assert judged(signals(), ASK, None, nobody_leaves).left_out == {}


def test_when_all_are_left_out_the_reason_is_told():
    with pytest.raises(InputError, match="no signal has a sample in that time, but for 1 with values beyond 1e\\+100"):
        judged([HUGE], ASK, None, nobody_leaves)
