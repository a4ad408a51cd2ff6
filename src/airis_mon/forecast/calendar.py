"""What kind of day it is where the users are: weekday, public holiday, festival, the days beside them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import ConfigError, MissingExtra
from airis_mon.series.batch import Times
from airis_mon.series.zone import Zone

DAY_MS = 86_400_000
SATURDAY, SUNDAY = 5, 6
"""Weekdays count from Monday = 0; 1970-01-01 was a Thursday."""
ORDINARY, HOLIDAY, FESTIVAL, BEFORE, AFTER = range(5)
"""Kinds of days: a holiday that stands in a run of `RUN` or more is of a festival; working days beside a holiday."""
RUN = 3

Kinds = NDArray[np.int8]

_ZONES = {
    "KR": "Asia/Seoul ROK",
    "JP": "Asia/Tokyo Japan",
    "CN": "Asia/Shanghai Asia/Chongqing Asia/Harbin PRC",
    "TW": "Asia/Taipei ROC",
    "HK": "Asia/Hong_Kong Hongkong",
    "SG": "Asia/Singapore Singapore",
    "MY": "Asia/Kuala_Lumpur",
    "TH": "Asia/Bangkok",
    "VN": "Asia/Ho_Chi_Minh Asia/Saigon",
    "ID": "Asia/Jakarta Asia/Makassar",
    "PH": "Asia/Manila",
    "IN": "Asia/Kolkata Asia/Calcutta",
    "AE": "Asia/Dubai",
    "SA": "Asia/Riyadh",
    "IL": "Asia/Jerusalem Asia/Tel_Aviv Israel",
    "TR": "Europe/Istanbul Turkey",
    "US": "America/New_York America/Detroit America/Chicago America/Denver America/Phoenix America/Los_Angeles "
    "America/Anchorage Pacific/Honolulu US/Eastern US/Central US/Mountain US/Pacific US/Alaska US/Hawaii",
    "CA": "America/Toronto America/Montreal America/Winnipeg America/Edmonton America/Vancouver America/Halifax",
    "MX": "America/Mexico_City America/Monterrey America/Tijuana",
    "BR": "America/Sao_Paulo America/Bahia America/Manaus Brazil/East",
    "AR": "America/Argentina/Buenos_Aires America/Buenos_Aires",
    "CL": "America/Santiago",
    "CO": "America/Bogota",
    "GB": "Europe/London GB",
    "IE": "Europe/Dublin Eire",
    "PT": "Europe/Lisbon Portugal",
    "ES": "Europe/Madrid",
    "FR": "Europe/Paris",
    "BE": "Europe/Brussels",
    "NL": "Europe/Amsterdam",
    "DE": "Europe/Berlin",
    "CH": "Europe/Zurich",
    "AT": "Europe/Vienna",
    "IT": "Europe/Rome",
    "DK": "Europe/Copenhagen",
    "SE": "Europe/Stockholm",
    "NO": "Europe/Oslo",
    "FI": "Europe/Helsinki",
    "PL": "Europe/Warsaw Poland",
    "CZ": "Europe/Prague",
    "HU": "Europe/Budapest",
    "RO": "Europe/Bucharest",
    "GR": "Europe/Athens",
    "UA": "Europe/Kyiv Europe/Kiev",
    "ZA": "Africa/Johannesburg",
    "EG": "Africa/Cairo Egypt",
    "NG": "Africa/Lagos",
    "KE": "Africa/Nairobi",
    "AU": "Australia/Sydney Australia/Melbourne Australia/Brisbane Australia/Perth Australia/Adelaide",
    "NZ": "Pacific/Auckland NZ",
}
_COUNTRY = {zone: country for country, zones in _ZONES.items() for zone in zones.split()}


def country_of(zone: str) -> str | None:
    """The country (ISO 3166) whose zone this is, None for zones that belong to none (UTC) or that we don't know."""
    return _COUNTRY.get(zone)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of one place. holidays: (n,) local days since 1970, ascending."""

    zone: Zone
    holidays: Times

    def days(self, t: Times) -> Times:
        """(n,) local days since 1970 of ms UTC; days with 23 or 25 hours are right."""
        return np.asarray(self.zone.local(t) // DAY_MS)

    def kinds(self, day: Times) -> Kinds:
        """(n,) what kind of day each is."""
        is_holiday = self._are(day)
        kind = np.where(is_holiday, HOLIDAY, ORDINARY)
        is_working = ~is_holiday & (weekday(day) < SATURDAY)
        kind[is_working & self._are(day + 1)] = BEFORE
        kind[is_working & self._are(day - 1)] = AFTER
        for shift in range(RUN):
            kind[np.logical_and.reduce([self._are(day - shift + k) for k in range(RUN)])] = FESTIVAL
        return kind.astype(np.int8)

    def _are(self, day: Times) -> NDArray[np.bool_]:
        return np.isin(day, self.holidays)


def weekday(day: Times) -> Times:
    """(n,) 0..6, Monday = 0, of days since 1970."""
    return np.asarray((day + 3) % 7)


def calendar(countries: Sequence[str], zone: Zone, first_ms: int, last_ms: int) -> Calendar:
    """The holidays of some countries together, from a year before the one time to a year after the other.

    Substitute and temporary holidays are among them, as far as the `holidays` package knows them. Raises ConfigError
    for a country it does not know, MissingExtra without it.
    """
    first, last = (np.array([first_ms, last_ms]) // DAY_MS).astype("datetime64[D]").astype("datetime64[Y]").astype(int)
    years = (int(first) + 1969, int(last) + 1971)
    return Calendar(zone, np.unique([day for country in countries for day in _days(country, *years)]).astype(np.int64))


@lru_cache(maxsize=64)
def _days(country: str, first_year: int, last_year: int) -> tuple[int, ...]:
    try:
        import holidays
    except ImportError:
        raise MissingExtra("holidays", "forecast") from None
    if country not in (listed := holidays.list_supported_countries()):  # the package would call any name of its own
        close = difflib.get_close_matches(country[:40].upper(), sorted(listed), 1)
        hint = f"; did you mean {close[0]}?" if close else "; give its code of ISO 3166, such as KR or US"
        raise ConfigError(f"holidays: no holidays of the country {country[:40]!r} are known{hint}")
    found = holidays.country_holidays(country, years=range(first_year, last_year + 1))
    return tuple(int(np.datetime64(day, "D").astype(np.int64)) for day in found)
