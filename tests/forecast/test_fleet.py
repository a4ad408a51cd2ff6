from __future__ import annotations

import numpy as np
import pytest

from airis_mon.errors import ConfigError, InputError, MissingExtra
from airis_mon.forecast.base import BASELINE, NOBODY, UNTESTED, Panel
from airis_mon.forecast.fleet import FAST, FULL, forecast, own


class Fixed:
    """Says one number for ever."""

    def __init__(self, number: float) -> None:
        self.number = number
        self.series = 0

    def fit(self, panel):
        self.series = panel.series

    def predict(self, horizon):
        return np.full((self.series, horizon), self.number)


def maker(**fixed):
    return lambda kind: Fixed(fixed[kind]) if kind in fixed else own(kind)


def days(series=3, count=8, season=24, seed=1):
    rng = np.random.default_rng(seed)
    shape = 10 + 3 * np.sin(np.arange(season * count) * 2 * np.pi / season)
    return Panel(shape + rng.normal(0, 0.3, (series, season * count)), (season,), 3_600_000, 0)


@pytest.mark.parametrize("kind", FULL)
def test_every_kind_of_ours_is_found_by_its_name(kind):
    assert hasattr(own(kind), "predict")


def test_the_baseline_alone_repeats_the_last_season():
    panel = days()
    answer = forecast(panel, 24, models=[BASELINE])
    assert answer.model == (BASELINE,) * 3
    np.testing.assert_array_equal(answer.mean, panel.value[:, -24:])
    assert (answer.lower < answer.mean).all()
    assert (answer.mean < answer.upper).all()
    assert answer.windows == 3
    np.testing.assert_array_equal(answer.error, answer.baseline_error)


def test_a_model_worse_than_the_baseline_is_not_heard():
    answer = forecast(days(), 24, models=["wild"], make=maker(wild=1e6))
    assert answer.model == (BASELINE,) * 3
    assert (answer.error <= answer.baseline_error).all()


def test_a_better_model_outweighs_the_baseline():
    rng = np.random.default_rng(2)
    answer = forecast(Panel(rng.normal(5, 1, (4, 200)), (24,)), 24, models=["middle"], make=maker(middle=5.0))
    assert all(name.startswith("middle") for name in answer.model)
    assert (answer.error < answer.baseline_error).all()
    assert np.abs(answer.mean - 5).mean() < 1


def test_a_series_too_short_for_a_backtest_has_the_baseline_and_says_so():
    value = np.full((3, 100), np.nan)
    value[0] = np.arange(100.0) % 24
    value[1, -5:] = 7.0
    answer = forecast(Panel(value, (24,)), 24)
    assert answer.model[1:] == (BASELINE + UNTESTED, NOBODY)
    assert (answer.mean[1] == 7).all()
    assert np.isnan(answer.error[1])
    assert np.isnan(answer.mean[2]).all()
    assert np.isnan(answer.lower[2]).all()


def test_a_panel_too_short_for_any_window_is_answered_by_the_baseline():
    answer = forecast(Panel(np.array([[1.0, 2.0, 3.0]])), 5)
    assert (answer.windows, answer.model) == (0, (BASELINE + UNTESTED,))
    assert (answer.mean == 3).all()
    assert np.isnan(answer.lower).all()


def test_a_model_whose_library_is_missing_is_left_out_by_name():
    def make(kind):
        if kind == "lightgbm":
            raise MissingExtra("lightgbm", "forecast")
        return own(kind)

    answer = forecast(days(), 24, models=["lightgbm"], make=make)
    assert answer.model == (BASELINE,) * 3
    assert answer.left_out == (
        "lightgbm: lightgbm is not installed; install it with: pip install 'airis-mon[forecast]'",
    )


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=BASELINE):
        forecast(days(), 24, models=["oracle"])


@pytest.mark.parametrize(("horizon", "level"), [(0, 0.95), (3, 1.0), (3, 0.0)])
def test_a_horizon_or_level_without_meaning_is_refused(horizon, level):
    with pytest.raises(InputError, match=r"horizon|level"):
        forecast(days(), horizon, level=level)


def test_progress_is_told_and_ends_at_one():
    said = []
    forecast(days(), 24, models=FAST, tell=lambda share, what: said.append((share, what)))
    assert [share for share, _ in said] == sorted(share for share, _ in said)
    assert said[-1][0] == 1.0
    assert {what for _, what in said} == set(FAST)
