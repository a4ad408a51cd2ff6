"""Holidays of real years, in the time zone of the place."""

import zoneinfo

import holidays
import numpy as np
import pytest

from airis_mon.errors import ConfigError
from airis_mon.forecast.calendar import (
    _COUNTRY,
    AFTER,
    BEFORE,
    FESTIVAL,
    HOLIDAY,
    ORDINARY,
    calendar,
    country_of,
    weekday,
)
from airis_mon.series.zone import zone

SEOUL = zone("Asia/Seoul")


def day(text):
    return np.array(text.split(), "datetime64[D]").astype(np.int64)


def ms(text):
    return np.array(text.split(), "datetime64[ms]").astype(np.int64)


def known(*countries, where=SEOUL, first="2025-01-01", last="2025-12-31"):
    return calendar(countries, where, int(ms(first)[0]), int(ms(last)[0]))


def test_chuseok_is_a_festival_of_several_days_with_its_substitute():
    days = day("2025-10-02 2025-10-03 2025-10-05 2025-10-06 2025-10-07 2025-10-08 2025-10-10 2025-10-13")
    kinds = known("KR").kinds(days).tolist()
    assert kinds == [BEFORE, HOLIDAY, FESTIVAL, FESTIVAL, FESTIVAL, FESTIVAL, AFTER, ORDINARY]


def test_seollal_is_a_festival_and_a_substitute_holiday_is_a_holiday():
    kinds = known("KR", first="2024-01-01").kinds(day("2024-02-08 2024-02-10 2024-02-12 2024-02-13 2024-05-06"))
    assert kinds.tolist() == [BEFORE, FESTIVAL, FESTIVAL, AFTER, HOLIDAY]


def test_weekends_beside_a_holiday_stay_what_they_are():
    assert known("KR").kinds(day("2025-10-04 2025-08-16")).tolist() == [ORDINARY, ORDINARY]


def test_countries_are_taken_together():
    both = day("2025-07-04 2025-08-15")  # Independence Day, Liberation Day
    assert known("KR").kinds(both).tolist() == [ORDINARY, HOLIDAY]
    assert known("US").kinds(both).tolist() == [HOLIDAY, ORDINARY]
    assert known("KR", "US").kinds(both).tolist() == [HOLIDAY, HOLIDAY]


def test_holidays_are_known_a_year_beyond_the_times_given():
    far = known("KR", first="2023-05-01", last="2023-06-01").kinds(day("2022-08-15 2024-08-15"))
    assert far.tolist() == [HOLIDAY, HOLIDAY]


def test_a_day_is_that_of_the_place():
    assert known("KR").days(ms("2025-08-14T14:59 2025-08-14T15:00")).tolist() == day("2025-08-14 2025-08-15").tolist()


def test_days_of_23_and_25_hours_are_right():
    berlin = known("DE", where=zone("Europe/Berlin"))
    spring = berlin.days(ms("2025-03-29T22:59 2025-03-29T23:00 2025-03-30T21:59 2025-03-30T22:00"))
    assert spring.tolist() == day("2025-03-29 2025-03-30 2025-03-30 2025-03-31").tolist()
    hours = berlin.days(ms("2025-10-25T00:00")[0] + 3_600_000 * np.arange(72))
    assert np.bincount(hours - hours[0]).tolist() == [22, 25, 24, 1]


def test_weekdays_count_from_monday():
    assert weekday(day("1970-01-01 2025-10-05 2025-10-06")).tolist() == [3, 6, 0]


def test_an_unknown_country_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"'USAX' are known; did you mean USA\?"):
        known("USAX")
    with pytest.raises(ConfigError, match="ISO 3166"):
        known("somewhere")


@pytest.mark.parametrize(("name", "country"), [("Asia/Seoul", "KR"), ("America/New_York", "US"), ("UTC", None)])
def test_a_zone_tells_its_country(name, country):
    assert country_of(name) == country


def test_every_zone_of_the_table_exists_and_its_country_has_holidays():
    assert set(_COUNTRY) <= zoneinfo.available_timezones()
    assert set(_COUNTRY.values()) <= set(holidays.list_supported_countries())


@pytest.mark.parametrize("name", ["__class__", "country_holidays", "HolidayBase", "HolidaySum", "NYSE", "registry", ""])
def test_what_is_no_country_is_refused_although_the_package_has_something_of_that_name(name):
    with pytest.raises(ConfigError, match="no holidays of the country"):
        known(name)
