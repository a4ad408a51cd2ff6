from __future__ import annotations

import numpy as np
import pytest

from airis_mon.forecast.base import Panel
from airis_mon.forecast.models.seasonal_naive import SeasonalNaive


def said(value, horizon, seasons=()):
    model = SeasonalNaive()
    model.fit(Panel(np.atleast_2d(np.asarray(value, float)), seasons))
    return model.predict(horizon)


def test_the_last_season_is_repeated_beyond_its_length():
    assert said([9, 9, 9, 1, 2, 3], 5, (3,)).tolist() == [[1, 2, 3, 1, 2]]


def test_without_a_season_the_last_seen_value_stays():
    assert said([1, 2, np.nan], 2).tolist() == [[2, 2]]


def test_a_season_that_the_history_hardly_holds_is_not_believed():
    assert said([1, 2, 3, 4], 2, (3,)).tolist() == [[4, 4]]


def test_each_series_takes_the_season_that_held_in_its_past():
    t = np.arange(84)
    week = np.where(t % 21 == 4, 9.0, t % 3)
    day = (t % 3).astype(float)
    answer = said([week, day + 0.001 * t], 21, (3, 21))
    np.testing.assert_array_equal(answer[0], week[-21:])
    np.testing.assert_array_equal(answer[1], np.tile((day + 0.001 * t)[-3:], 7))


def test_a_gap_takes_what_stood_there_a_season_earlier():
    assert said([1, 2, 3, 4, np.nan, 6], 3, (3,)).tolist() == [[4, 2, 6]]


def test_a_place_never_seen_takes_the_last_value():
    nan = np.nan
    assert said([1, nan, 3, 4, nan, 6, 4, nan, 6, 5, nan, 7, 5, nan, 7], 3, (3,)).tolist() == [[5, 7, 7]]


@pytest.mark.parametrize("value", [[], [np.nan, np.nan]])
def test_nothing_is_said_of_a_series_without_values(value):
    assert np.isnan(said(value, 2, (1,))).all()
