"""Forecasters that know holidays gain by them where they matter, and lose nothing where they don't."""

import numpy as np
import pytest

from airis_mon.forecast.base import BASELINE, Panel
from airis_mon.forecast.calendar import FESTIVAL, HOLIDAY, calendar, weekday
from airis_mon.forecast.calendar_effect import WithCalendar, with_calendar
from airis_mon.series.zone import zone

SEOUL = zone("Asia/Seoul")
HOUR_MS = 3_600_000
START = int(np.datetime64("2025-08-03T15:00", "ms").astype(np.int64))  # Monday 00:00 in Seoul
BEFORE_CHUSEOK = 62 * 24
"""Hours until Sunday, 5 October: Liberation Day and Foundation Day lie behind."""


class LastWeek:
    """Says what was a week ago."""

    def __init__(self, points=168):
        self.seen = None
        self.points = points

    def fit(self, panel):
        self.seen = panel

    def predict(self, horizon):
        week = self.seen.value[:, -self.points :]
        return np.tile(week, (1, horizon // self.points + 1))[:, :horizon]


def world(*, days=80, series=30, seed=0, holidays="quiet", is_weekly=True):
    """Hours of Korean working days, loud from morning to night, with slow noise; weekends and holidays are quieter."""
    t = START + HOUR_MS * np.arange(days * 24)
    known = calendar(("KR",), SEOUL, int(t[0]), int(t[-1]))
    day = known.days(t)
    is_holiday = np.isin(known.kinds(day), (HOLIDAY, FESTIVAL))
    hour = SEOUL.hour_of_day(t)
    profile = 10 + 8 * np.sin((hour - 6) / 24 * 2 * np.pi)
    level = np.where((weekday(day) > 4) & is_weekly, 0.4, 1.0)
    level = np.where(is_holiday, {"quiet": 0.4 if is_weekly else 1.0, "none": level, "loud": 2.0}[holidays], level)
    rng = np.random.default_rng(seed)
    slow = np.zeros((series, len(t)))
    noise = rng.normal(size=slow.shape) * 0.3
    for i in range(1, len(t)):
        slow[:, i] = 0.9 * slow[:, i - 1] + noise[:, i]
    return Panel(level * profile + slow + noise, (24, 168), HOUR_MS, START)


def errors(panel, at=BEFORE_CHUSEOK, horizon=72):
    """Mean absolute error of a plain forecaster and of the same one knowing holidays."""
    actual = panel.value[:, at : at + horizon]
    found = []
    for model in (LastWeek(), WithCalendar(LastWeek(), ("KR",), SEOUL)):
        model.fit(panel.until(at))
        found.append(np.abs(model.predict(horizon) - actual).mean())
    return found


def test_holidays_that_are_quiet_are_forecast_far_better():
    plain, knowing = errors(world())
    assert knowing < 0.4 * plain


def test_after_a_festival_it_is_not_expected_again():
    plain, knowing = errors(world(), at=BEFORE_CHUSEOK + 5 * 24)
    assert knowing < 0.4 * plain


def test_even_the_first_holiday_of_a_series_is_expected():
    panel = world()
    first = 10 * 24  # Liberation Day is a day later
    plain, knowing = errors(panel, at=first, horizon=48)
    assert knowing < 0.9 * plain


def test_without_a_holiday_in_sight_nothing_changes():
    plain, knowing = errors(world(), at=8 * 24, horizon=24)
    assert knowing == plain


@pytest.mark.parametrize("at", [40 * 24, 60 * 24, 66 * 24])
def test_a_series_without_weekends_loses_nothing(at):
    plain, knowing = errors(world(is_weekly=False), at=at)
    assert knowing < 1.03 * plain


def test_a_series_that_ignores_holidays_teaches_so():
    panel = world(holidays="none")
    first_plain, first = errors(panel, at=10 * 24, horizon=48)
    later_plain, later = errors(panel, at=67 * 24)
    assert first > 1.2 * first_plain  # nothing was known but the prior
    assert later < 1.1 * later_plain


def test_days_louder_than_any_other_are_learned_from_the_past():
    plain, knowing = errors(world(days=90, holidays="loud"), at=65 * 24)  # in the middle of Chuseok
    assert knowing < 0.7 * plain


def test_days_are_those_of_the_place():
    elsewhere = WithCalendar(LastWeek(), ("KR",), zone("America/Los_Angeles"))
    panel = world().until(BEFORE_CHUSEOK)
    here = WithCalendar(LastWeek(), ("KR",), SEOUL)
    elsewhere.fit(panel)
    here.fit(panel)
    assert not np.allclose(elsewhere.predict(48), here.predict(48))


@pytest.mark.parametrize("panel", [Panel(np.ones((2, 200))), Panel(np.ones((2, 200)), (), 2 * 86_400_000, START)])
def test_without_days_it_is_the_forecaster_itself(panel):
    inner = LastWeek()
    model = WithCalendar(inner, ("KR",), SEOUL)
    model.fit(panel)
    assert inner.seen is panel
    assert (model.predict(5) == 1).all()


def test_gaps_stay_gaps_and_harm_nothing():
    panel = world()
    value = panel.value.copy()
    value[np.random.default_rng(1).random(value.shape) < 0.3] = np.nan
    value[0] = np.nan
    holed = Panel(value, panel.seasons, panel.step_ms, panel.start_ms).until(BEFORE_CHUSEOK)
    inner = LastWeek()
    model = WithCalendar(inner, ("KR",), SEOUL)
    model.fit(holed)
    assert (np.isnan(inner.seen.value) == np.isnan(holed.value)).all()
    mean = model.predict(72)
    assert np.isnan(mean[0]).all()
    expected = WithCalendar(LastWeek(), ("KR",), SEOUL)
    expected.fit(panel.until(BEFORE_CHUSEOK))
    assert np.nanmean(np.abs(mean[1:] - expected.predict(72)[1:])) < 0.5


def test_days_of_one_value_are_taken_too():
    day_ms = 24 * HOUR_MS
    panel = world(days=77)
    daily = Panel(panel.value.reshape(panel.series, -1, 24).mean(axis=2), (7,), day_ms, START)
    model = WithCalendar(LastWeek(7), ("KR",), SEOUL)
    model.fit(daily.until(62))
    mean = model.predict(5)
    np.testing.assert_allclose(mean, daily.value[:, 62:67], atol=3)


def test_the_effect_goes_with_unit_and_zero():
    panel = world().until(BEFORE_CHUSEOK)
    model = WithCalendar(LastWeek(), ("KR",), SEOUL)
    model.fit(panel)
    mean = model.predict(72)
    model.fit(Panel(panel.value * 1e6 - 5e7, panel.seasons, panel.step_ms, panel.start_ms))
    np.testing.assert_allclose(model.predict(72), mean * 1e6 - 5e7, rtol=1e-9, atol=1e-2)


def test_the_baseline_stays_plain_and_no_country_changes_nothing():
    made = with_calendar(lambda kind: LastWeek(), ("KR",), SEOUL)
    assert isinstance(made(BASELINE), LastWeek)
    assert isinstance(made("other"), WithCalendar)
    assert isinstance(with_calendar(lambda kind: LastWeek(), (), SEOUL)("other"), LastWeek)
