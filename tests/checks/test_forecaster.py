"""Every forecaster passes the examination, and the examination finds what is wrong."""

import inspect

import numpy as np
import pytest

from airis_mon import plugins
from airis_mon.checks import forecaster
from airis_mon.errors import MissingExtra
from airis_mon.forecast.base import BASELINE
from airis_mon.forecast.calendar_effect import WithCalendar
from airis_mon.forecast.fleet import own
from airis_mon.forecast.models.seasonal_naive import SeasonalNaive
from airis_mon.series.zone import zone

SLOW = {"lightgbm", "mstl", "auto_ets", "auto_theta"}
KINDS = [
    pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in plugins.kinds("forecast.models")
]


def examined(kind):
    return lambda: own(kind)


@pytest.mark.parametrize("check", forecaster.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_every_forecaster_passes_the_examination(kind, check):
    try:
        check(examined(kind))
    except MissingExtra as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("kind", [BASELINE, "last_season", "smooth", "smooth_log", "ridge", "ridge_log"])
def test_what_thousands_of_series_are_forecast_with_goes_with_the_unit(kind):
    forecaster.goes_with_unit(examined(kind))


@pytest.mark.parametrize("kind", [BASELINE, "last_season", "smooth"])
def test_what_promises_so_goes_with_the_zero_too(kind):
    forecaster.goes_with_unit_and_zero(examined(kind))


@pytest.mark.parametrize("check", forecaster.CHECKS, ids=lambda c: c.__name__)
def test_a_forecaster_that_knows_holidays_passes_too(check):
    check(lambda: WithCalendar(SeasonalNaive(), ("KR",), zone("Asia/Seoul")))


def test_the_checks_are_all_there():
    written = [
        f for name, f in inspect.getmembers(forecaster, inspect.isfunction) if not name.startswith(("_", "goes_"))
    ]
    assert set(written) == set(forecaster.CHECKS)


class Faulty(SeasonalNaive):
    """The baseline with one fault, by name."""

    calls = 0

    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.past = []

    def fit(self, panel):
        super().fit(panel)
        self.past.append(panel)
        if self.fault == "changes the panel":
            panel.value[np.isnan(panel.value)] = 0.0
        if self.fault == "fails on short ones" and panel.length < 10:
            raise ValueError("too short")
        if self.fault == "needs seasons":
            panel.seasons[0]

    def predict(self, horizon):  # noqa: C901 - one case a fault
        mean = super().predict(horizon)
        value = self.past[-1].value
        match self.fault:
            case "gives a row in part":
                mean[:, 0] = np.nan
            case "gives float32":
                return mean.astype(np.float32)
            case "rolls dice":
                Faulty.calls += 1
                return mean + Faulty.calls
            case "goes by place":
                return mean * (1 + 0.1 * np.arange(len(mean)))[:, None]
            case "remembers":
                return mean + len(self.past) - 1
            case "runs away":
                return mean * 10
            case "fills what it cannot know":
                return np.nan_to_num(mean)
            case "learns of others":
                return mean + np.isnan(value).all(axis=1).sum() * np.nanmax(np.abs(mean))
            case "adds one":
                return mean + 1
            case "overflows":
                with np.errstate(over="ignore"):
                    return mean * np.where(np.abs(mean) > 1e100, 1e200, 1)
            case "says the mean":
                return np.broadcast_to(np.nanmean(np.where(np.isnan(mean), 0, mean), axis=1), (horizon, len(mean))).T
            case "gives one array":
                self.kept = getattr(self, "kept", mean)
                return self.kept
        return mean


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("gives a row in part", forecaster.means_have_their_shape_and_are_whole),
        ("gives float32", forecaster.means_have_their_shape_and_are_whole),
        ("rolls dice", forecaster.the_same_panel_gives_the_same_forecast),
        ("changes the panel", forecaster.a_panel_is_only_read),
        ("gives one array", forecaster.a_panel_is_only_read),
        ("goes by place", forecaster.order_of_series_does_not_matter),
        ("remembers", forecaster.a_later_fit_forgets_the_earlier),
        ("runs away", forecaster.gaps_are_bridged_or_refused),
        ("fills what it cannot know", forecaster.a_series_of_gaps_is_refused_and_harms_no_other),
        ("learns of others", forecaster.a_series_of_gaps_is_refused_and_harms_no_other),
        ("adds one", forecaster.constants_stay_or_are_refused),
        ("adds one", forecaster.goes_with_unit_and_zero),
        ("adds one", forecaster.goes_with_unit),
        ("fails on short ones", forecaster.what_is_too_short_is_refused),
        ("needs seasons", forecaster.a_panel_needs_neither_seasons_nor_times),
        ("overflows", forecaster.odd_values_give_no_odd_answer),
        ("says the mean", forecaster.a_series_that_repeats_is_continued),
    ],
)
def test_each_fault_is_found(fault, check):
    with pytest.raises((AssertionError, ValueError, IndexError)):
        check(lambda: Faulty(fault))


def test_the_faultless_one_has_none():
    for check in (*forecaster.CHECKS, forecaster.goes_with_unit_and_zero, forecaster.goes_with_unit):
        check(lambda: Faulty(""))
