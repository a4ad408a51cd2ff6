"""The parts of a date: of seconds since 1970, in UTC and the Gregorian calendar. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times, Values

_ERA_YEARS = 400
_ERA = 146_097 * 86_400
"""So many seconds later the calendar repeats itself, weekdays included."""
_BEYOND_ERA, _BEYOND = divmod(2**63, _ERA)
"""Where Go on amd64 lands with a float that no int64 holds (NaN, Inf): a Sunday in the year 292277026596."""


@dataclass(frozen=True, slots=True)
class _Moments:
    """era: which 400 years since 1970; second, day, month, year: the same moment counted within the era."""

    era: Times
    second: Times

    @property
    def day(self) -> NDArray[np.datetime64]:
        return self.second.astype("datetime64[s]").astype("datetime64[D]")

    @property
    def month(self) -> NDArray[np.datetime64]:
        return self.day.astype("datetime64[M]")

    @property
    def year(self) -> NDArray[np.datetime64]:
        return self.day.astype("datetime64[Y]")


def _days(later: NDArray[np.datetime64], earlier: NDArray[np.datetime64]) -> Times:
    days: Times = (later.astype("datetime64[D]") - earlier.astype("datetime64[D]")).astype(np.int64)
    return days


PARTS: dict[str, Callable[[_Moments], Times]] = {
    "minute": lambda at: at.second // 60 % 60,
    "hour": lambda at: at.second // 3600 % 24,
    "day_of_week": lambda at: (at.second // 86_400 + 4) % 7,  # 1970 began on a Thursday
    "day_of_month": lambda at: _days(at.day, at.month) + 1,
    "day_of_year": lambda at: _days(at.day, at.year) + 1,
    "days_in_month": lambda at: _days(at.month + 1, at.month),
    "month": lambda at: at.month.astype(np.int64) % 12 + 1,
    "year": lambda at: at.year.astype(np.int64) + 1970 + _ERA_YEARS * at.era,
}


def date_part(part: str, seconds: Values) -> Values:
    """A part (see PARTS) of each moment, in seconds since 1970; fractions are cut off."""
    return PARTS[part](_moments(seconds)).astype(np.float64)


def _moments(seconds: Values) -> _Moments:
    is_held = np.abs(seconds) < 2.0**63
    era, second = np.divmod(np.where(is_held, seconds, 0.0).astype(np.int64), _ERA)
    return _Moments(np.where(is_held, era, _BEYOND_ERA), np.where(is_held, second, _BEYOND))
