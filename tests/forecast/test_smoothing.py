from __future__ import annotations

import numpy as np
import pytest

from airis_mon.forecast.smoothing import LEAST, smoothed

T = np.arange(24 * 21)
DAY = 5 * np.sin(T[:24] * np.pi / 12)


def test_a_day_and_a_week_are_both_continued():
    week = np.where((T // 24) % 7 >= 5, 0.5, 1.0)
    value = (20 + DAY[T % 24]) * week
    mean = smoothed(value[None, :-48], (24, 168), 48)
    np.testing.assert_allclose(mean[0], value[-48:], atol=1.5)
    assert np.abs(smoothed(value[None, :-48], (24,), 48)[0] - value[-48:]).mean() > 1


def test_a_steady_growth_goes_on():
    value = 100 + 0.5 * T + DAY[T % 24]
    np.testing.assert_allclose(smoothed(value[None, :-24], (24,), 24)[0], value[-24:], atol=1.0)


def test_noise_without_a_trend_is_forecast_near_its_mean():
    noise = np.random.default_rng(3).normal(10, 1, 400)
    assert np.abs(smoothed(noise[None], (), 50) - 10).max() < 0.5


def test_gaps_and_a_late_beginning_change_little():
    value = 20 + DAY[T % 24]
    holes = value.copy()
    holes[::7] = np.nan
    holes[:100] = np.nan
    np.testing.assert_allclose(smoothed(holes[None], (24,), 24), smoothed(value[None], (24,), 24), atol=0.3)


def test_a_constant_stays():
    assert smoothed(np.full((1, 60), 3.5), (24,), 5).tolist() == [[3.5] * 5]


def test_too_few_points_and_no_points_give_no_forecast():
    value = np.full((2, 40), np.nan)
    value[0, -LEAST + 1 :] = 1.0
    assert np.isnan(smoothed(value, (), 3)).all()


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_the_unit_does_not_matter(factor):
    value = (20 + DAY[T % 24] + np.random.default_rng(4).normal(0, 1, len(T)))[None]
    np.testing.assert_allclose(smoothed(value * factor, (24,), 24), smoothed(value, (24,), 24) * factor, rtol=1e-6)


def test_a_series_does_not_depend_on_its_company():
    value = np.random.default_rng(5).normal(10, 1, (3, 100)).cumsum(axis=1)
    np.testing.assert_array_equal(smoothed(value, (24,), 10)[1:2], smoothed(value[1:2], (24,), 10))
