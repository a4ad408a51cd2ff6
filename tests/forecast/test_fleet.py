from __future__ import annotations

import numpy as np
import pytest

from airis_mon.errors import ConfigError, InputError, MissingExtra
from airis_mon.forecast.base import BASELINE, NOBODY, UNTESTED, Panel
from airis_mon.forecast.fleet import FAST, FULL, SLOW, forecast, own


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


@pytest.mark.parametrize("kind", [*FAST, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (*FULL[-1:], *SLOW))])
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


class Lacking(Fixed):
    """Notices only when it learns that its library is not there."""

    def fit(self, panel):
        raise MissingExtra("oracles", "forecast")


def test_a_model_that_lacks_its_library_when_it_learns_is_left_out_as_if_never_named():
    told = []
    answer = forecast(
        days(),
        24,
        models=["wise", "smooth"],
        make=lambda kind: Lacking(0) if kind == "wise" else own(kind),
        tell=lambda share, _: told.append(share),
    )
    without = forecast(days(), 24, models=["smooth"])
    assert answer.left_out == ("wise: oracles is not installed; install it with: pip install 'airis-mon[forecast]'",)
    assert answer.model == without.model
    np.testing.assert_array_equal(answer.mean, without.mean)
    assert told[-1] == 1


@pytest.mark.parametrize("kind", ["../fleet", "..fleet", "a..b", "__init__", "", "smooth.", "os", "Smooth"])
def test_nothing_but_a_kind_of_ours_is_ever_imported(kind):
    with pytest.raises(ConfigError, match="there is no forecaster"):
        own(kind)


def test_a_set_stands_for_its_kinds():
    heard = []

    def make(kind):
        heard.append(kind)
        return Fixed(0.0)

    forecast(days(), 24, models=["last_season", "fast"], make=make)
    assert heard == [BASELINE, "last_season", *FAST[2:]]


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


def awkward(series=8, length=24 * 12):
    """Rows that trouble a forecaster: gaps, a constant, zeros, tiny and huge values, a jump, a late start, bursts."""
    rng = np.random.default_rng(11)
    value = 10 + 3 * np.sin(np.arange(length) * np.pi / 12) + rng.normal(0, 0.3, (series, length))
    value[0, rng.random(length) < 0.4] = np.nan
    value[1] = 7.0
    value[2] = 0.0
    value[3] *= 1e-15
    value[4] *= 1e15
    value[5, -3:] = 1e6
    value[6, :-40] = np.nan
    value[7] = np.where(rng.random(length) < 0.02, 50.0, 0.0)
    return value


def test_the_baseline_stands_in_even_where_nobody_needed_it_in_the_backtest():
    class Fails(Fixed):
        def predict(self, horizon):
            return np.full((1, horizon), np.nan if self.last else 5.0)

        def fit(self, panel):
            self.last = panel.length == 60

    noise = np.random.default_rng(4).normal(5, 1, (1, 60))
    answer = forecast(Panel(noise), 10, models=["fails"], make=lambda kind: Fails(0) if kind == "fails" else own(kind))
    assert (answer.mean == noise[0, -1]).all()
    assert answer.model == (BASELINE,)


@pytest.fixture(scope="module")
def awkward_answer():
    return forecast(Panel(awkward(), (24, 168)), 24)


def test_whatever_the_series_the_forecast_is_finite_and_inside_its_interval(awkward_answer):
    a = awkward_answer
    assert np.isfinite(a.mean).all()
    tested = np.isfinite(a.error)
    assert tested[:6].all()
    assert (a.lower[tested] <= a.mean[tested]).all()
    assert (a.mean[tested] <= a.upper[tested]).all()


def test_whatever_the_series_nobody_is_worse_than_the_baseline_in_the_backtest(awkward_answer):
    tested = np.isfinite(awkward_answer.error)
    assert (awkward_answer.error[tested] <= awkward_answer.baseline_error[tested]).all()


def test_constants_and_zeros_stay_what_they_are(awkward_answer):
    np.testing.assert_allclose(awkward_answer.mean[1], 7, rtol=1e-6)
    assert (awkward_answer.mean[2] == 0).all()


def test_tiny_and_huge_values_are_forecast_as_well_as_others(awkward_answer):
    for row, unit in ((3, 1e-15), (4, 1e15)):
        wanted = unit * (10 + 3 * np.sin(np.arange(24) * np.pi / 12))
        np.testing.assert_allclose(awkward_answer.mean[row], wanted, atol=0.7 * unit)


def test_no_forecast_goes_below_0_where_the_history_never_was_and_it_is_said():
    value = awkward()
    value[1] = -value[1]
    answer = forecast(Panel(value, (24,)), 24)
    assert answer.never_negative.tolist() == [True, False, *[True] * 6]
    kept = answer.never_negative
    assert np.nanmin(answer.mean[kept]) >= 0
    assert np.nanmin(answer.lower[kept]) >= 0
    assert (answer.mean[1] < 0).all()


def test_no_forecast_leaves_the_range_of_the_history_by_more_than_its_width():
    answer = forecast(Panel(np.arange(60.0)[None]), 20, models=["smooth", "far"], make=maker(far=45.0))
    assert answer.mean.max() <= 118
    assert answer.mean.max() > 70


def test_the_same_panel_gives_the_same_forecast(awkward_answer):
    again = forecast(Panel(awkward(), (24, 168)), 24)
    np.testing.assert_array_equal(again.mean, awkward_answer.mean)
    assert again.model == awkward_answer.model


def test_nothing_is_forecast_of_no_series():
    answer = forecast(Panel(np.empty((0, 50)), (24,)), 5)
    assert answer.mean.shape == (0, 5)
    assert answer.model == ()
    assert forecast(Panel(np.empty((2, 0))), 5).model == (NOBODY, NOBODY)
