from __future__ import annotations

import numpy as np
import pytest

from airis_mon.forecast import ridge
from airis_mon.forecast.ridge import regressed

RNG = np.random.default_rng(7)


def autoregression(series, length, seed=8):
    """Each value is 0.9 of the one before, plus noise around 50."""
    noise = np.random.default_rng(seed).normal(0, 1, (series, length))
    value = np.zeros((series, length))
    for t in range(1, length):
        value[:, t] = 0.9 * value[:, t - 1] + noise[:, t]
    return value + 50


def test_what_follows_from_the_last_values_is_learned_from_all_series():
    value = autoregression(60, 300)
    after = 50 + (value[:, -1:] - 50) * 0.9 ** np.arange(1, 13)
    apart = np.abs(regressed(value, (), 12) - after).mean()
    assert apart < 0.6 * np.abs(value[:, -1:] - after).mean()


def test_the_weights_are_those_of_a_ridge_regression():
    sklearn = pytest.importorskip("sklearn.linear_model")
    x = np.concatenate([RNG.normal(size=(50, 4)), np.ones((50, 1))], axis=1)
    y = RNG.normal(size=(50, 3))
    reference = sklearn.Ridge(alpha=2.5, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(ridge._solve(x.T @ x, x.T @ y, 2.5), reference.coef_.T, rtol=1e-9)


def test_a_series_bends_the_common_weights_to_a_rule_of_its_own_but_not_to_noise():
    x = np.concatenate([RNG.normal(size=(120, 4)), np.ones((120, 1))], axis=1)
    rule = RNG.normal(size=(5, 3))
    at = RNG.normal(size=5)
    common = np.zeros((5, 3))
    ruled = ridge._bend(ridge._Windows(x, x @ rule, 2), common, at)
    np.testing.assert_allclose(ruled, at @ rule, atol=0.3)
    noise = ridge._bend(ridge._Windows(x, RNG.normal(size=(120, 3)), 2), common, at)
    assert np.abs(noise).max() < 0.2


def test_without_windows_of_its_own_a_series_follows_the_others():
    value = np.tile(np.sin(np.arange(240) * np.pi / 12), (5, 1)) * np.arange(1, 6)[:, None] + 20
    value[4, :-30] = np.nan
    mean = regressed(value, (24,), 12)
    np.testing.assert_allclose(mean[4], 20 + 5 * np.sin(np.arange(240, 252) * np.pi / 12), atol=0.5)


def test_a_series_shorter_than_what_is_looked_back_at_is_left_to_the_baseline():
    value = RNG.normal(size=(3, 240))
    value[2, :-20] = np.nan
    mean = regressed(value, (24,), 12)
    assert np.isfinite(mean[:2]).all()
    assert np.isnan(mean[2]).all()


def test_gaps_constants_and_steps_give_finite_forecasts():
    value = autoregression(4, 300)
    value[0, RNG.integers(0, 300, 100)] = np.nan
    value[1] = 7.0
    value[2, 290:] = 1e6
    mean = regressed(value, (24,), 12)
    assert np.isfinite(mean).all()
    np.testing.assert_allclose(mean[1], 7.0, rtol=1e-4)


@pytest.mark.parametrize("shape", [(0, 100), (2, 0), (2, 5)])
def test_a_panel_too_small_for_any_window_has_no_forecast(shape):
    assert np.isnan(regressed(np.ones(shape), (24,), 12)).all()


def test_the_same_panel_gives_the_same_forecast():
    value = autoregression(5, 200)
    np.testing.assert_array_equal(regressed(value, (24,), 12), regressed(value.copy(), (24,), 12))
