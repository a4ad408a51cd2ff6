"""Percentiles and ratios of what lies in several worlds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from airis_mon.yardstick.redrawn import percentile, ratio


def test_percentile_is_that_of_all_numbers_together() -> None:
    found = percentile([[1.0, 2.0], [], [3.0, 4.0, 5.0]], 50)
    assert (found.value, found.n) == (3.0, 5)
    assert found.low < 3 < found.high


@pytest.mark.parametrize("percent", [0, 5, 50, 95, 100])
def test_percentile_is_that_of_numpy_also_where_numbers_are_equal(percent: float) -> None:
    some = [[3.0, 1.0, 1.0], [2.5, 3.0, 3.0, 7.0]]
    assert percentile(some, percent).value == pytest.approx(np.percentile(np.concatenate(some), percent))


def test_one_world_alone_still_has_an_interval() -> None:
    found = percentile([list(np.arange(100.0))], 50)
    assert 2 < found.high - found.low < 40


def test_worlds_that_differ_widen_the_interval() -> None:
    alike, apart = [list(np.arange(50.0))] * 4, [[float(k)] * 50 for k in (0, 10, 40, 50)]
    widths = [found.high - found.low for found in (percentile(alike, 50), percentile(apart, 50))]
    assert widths[0] < widths[1]


def test_nothing_is_said_of_nothing() -> None:
    found = percentile([[], []], 50)
    assert found.n == 0
    assert math.isnan(found.value)
    assert np.isnan(ratio(np.array([0.0]), np.array([0.0]))).all()


def test_same_numbers_give_the_same_interval() -> None:
    assert percentile([[1.0, 5.0, 9.0]], 95) == percentile([[1.0, 5.0, 9.0]], 95)
