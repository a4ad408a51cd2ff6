from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.forecast.backtest import Backtest, backtest, origins
from airis_mon.forecast.base import BASELINE, NOBODY, UNTESTED, Panel
from airis_mon.forecast.select import choose, inverse, mix, names, unseen

KINDS = (BASELINE, "one", "two")


def errors_of(seed, gaps=0.1, windows=3, series=4, horizon=5):
    rng = np.random.default_rng(seed)
    actual = rng.normal(0, 10.0 ** rng.integers(-6, 6), (windows, series, horizon))
    actual[rng.random(actual.shape) < gaps] = np.nan
    mean = np.nan_to_num(actual)[None] + rng.normal(0, 10.0 ** rng.integers(-6, 6), (3, windows, series, horizon))
    mean[:, 0, 0] = np.nan  # the baseline had nothing to say of it yet
    return Backtest(KINDS, actual, mean)


@given(st.integers(0, 10_000), st.floats(0, 1))
@settings(max_examples=60)
def test_what_is_chosen_is_never_worse_than_the_baseline_in_the_backtest(seed, gaps):
    test = errors_of(seed, gaps)
    weight = choose(test)
    chosen, baseline = test.error(mix(weight, test.mean)), test.error(test.mean[0])
    assert ((chosen <= baseline) | np.isnan(baseline)).all()
    np.testing.assert_allclose(weight.sum(axis=0), 1)
    assert (weight >= 0).all()


def test_weights_go_with_the_inverse_of_the_error():
    weight = inverse(np.array([[2.0], [1.0]]))
    np.testing.assert_allclose(weight[:, 0], [1 / 9, 8 / 9])


def test_whoever_made_no_error_is_heard_alone():
    assert inverse(np.array([[2.0], [0.0], [0.0]]))[:, 0].tolist() == [0, 0.5, 0.5]


def test_a_mixture_is_the_weighted_mean_of_those_that_are_heard():
    mean = np.array([[[1.0]], [[3.0]], [[np.nan]]])
    assert mix(np.array([[0.25], [0.75], [0.0]]), mean).tolist() == [[2.5]]
    assert np.isnan(mix(np.zeros((3, 1)), mean)).all()


def test_a_window_is_forecast_by_those_who_were_good_in_the_others():
    actual = np.zeros((2, 1, 4))
    mean = np.ones((3, 2, 1, 4))
    mean[1, 0], mean[2, 1] = 0.0, 0.0  # each is perfect in one window and as bad as the baseline in the other
    said = unseen(Backtest(KINDS, actual, mean))
    assert (said == 1).all()


def test_a_single_window_is_its_own_judge():
    test = errors_of(3, windows=1)
    np.testing.assert_array_equal(unseen(test), mix(choose(test), test.mean))


def test_without_any_window_all_weight_is_on_the_baseline():
    test = Backtest(KINDS, np.empty((0, 2, 3)), np.empty((3, 0, 2, 3)))
    assert choose(test).tolist() == [[1, 1], [0, 0], [0, 0]]
    assert unseen(test).shape == (0, 2, 3)


def test_names_come_in_the_order_of_their_weights():
    weight = np.array([[0.2, 1.0, 1.0], [0.0, 0.0, 0.0], [0.8, 0.0, 0.0]])
    mean = np.array([[1.0], [1.0], [np.nan]])
    said = names(KINDS, weight, mean, np.array([0.1, np.nan, np.nan]))
    assert said == ("two+" + BASELINE, BASELINE + UNTESTED, NOBODY)


@pytest.mark.parametrize(
    ("length", "horizon", "wanted"), [(100, 10, [70, 80, 90]), (25, 10, [15]), (19, 10, []), (4, 1, [2, 3]), (1, 1, [])]
)
def test_windows_lie_side_by_side_at_the_end_with_a_horizon_of_past_before_them(length, horizon, wanted):
    assert origins(length, horizon, 3) == wanted


def test_the_oldest_window_lies_a_season_back_when_the_others_do_not_reach_so_far():
    assert origins(1000, 24, 3, (24, 168)) == [832, 952, 976]
    assert origins(1000, 100, 3, (24, 168)) == [700, 800, 900]  # they reach so far
    assert origins(1000, 24, 2, (24, 168)) == [952, 976]  # of two windows none can be spared
    assert origins(170, 24, 3, (24, 168)) == [122, 146]  # too short for it


def test_a_backtest_shows_no_model_what_came_after_its_origin():
    seen = []

    class Watcher:
        def fit(self, panel):
            seen.append(panel.value.copy())

        def predict(self, horizon):
            return np.zeros((1, horizon))

    value = np.arange(20.0)[None]
    test = backtest(Panel(value), 4, [(BASELINE, Watcher())], 3, lambda kind: None)
    assert [v[0, -1] for v in seen] == [7, 11, 15]
    assert test.actual[:, 0].tolist() == [[8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]]


def test_where_a_model_says_nothing_the_baseline_stands_in():
    class Silent:
        def fit(self, panel):
            pass

        def predict(self, horizon):
            return np.array([[1.0, np.nan, 1.0]])

    class Base(Silent):
        def predict(self, horizon):
            return np.full((1, horizon), 5.0)

    test = backtest(Panel(np.ones((1, 12))), 3, [(BASELINE, Base()), ("silent", Silent())], 2, lambda kind: None)
    assert (test.mean[1] == 5).all()
