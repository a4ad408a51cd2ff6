"""Local hour and hour of week of UTC times, from a small table of offset changes; pure once the table is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import ConfigError
from airis_mon.series.batch import Times
from airis_mon.series.kernel import inlined

HOUR_MS = 3_600_000
WEEK_SHIFT_H = 72
"""1970-01-01 was a Thursday: three days after Monday 00:00, the first hour of the week."""

Hours = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Zone:
    """Offsets of one time zone: `offset[k]` ms holds from `start[k]` (ms UTC, rising) until the next start."""

    name: str
    start: Times
    offset: Times

    def local(self, t: Times) -> Times:
        """(n,) ms on the local clock's face."""
        return np.asarray(t + self.offset[np.searchsorted(self.start, t, side="right") - 1])

    def hour_of_day(self, t: Times) -> Hours:
        """(n,) 0..23 on the local clock."""
        return np.asarray(self.local(t) // HOUR_MS % 24, np.int16)

    def hour_of_week(self, t: Times) -> Hours:
        """(n,) 0..167 on the local clock, 0 = Monday 00:00."""
        return np.asarray((self.local(t) // HOUR_MS + WEEK_SHIFT_H) % 168, np.int16)


def zone(name: str = "UTC", first_year: int = 1970, last_year: int = 2070) -> Zone:
    """The table of a zone of the IANA database, exact to the millisecond between the two years.

    Raises ConfigError when the zone is not known.
    """
    try:
        rules = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"time.zone: {name!r} is not a known time zone; use a name such as Europe/Berlin") from error
    starts, offsets = [np.iinfo(np.int64).min], [_offset_s(rules, _day(first_year))]
    for day in range(_day(first_year), _day(last_year + 1), 86_400):
        if _offset_s(rules, day + 86_400) != offsets[-1]:
            _split(rules, day, day + 86_400, starts, offsets)
    return Zone(name, np.array(starts, np.int64), np.array(offsets, np.int64) * 1000)


def _split(rules: ZoneInfo, low: int, high: int, starts: list[int], offsets: list[int]) -> None:
    """Finds the second in low..high at which the offset becomes that of `high`."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(rules, middle) == offsets[-1]:
            low = middle
        else:
            high = middle
    starts.append(high * 1000)
    offsets.append(_offset_s(rules, high))


def _day(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())


def _offset_s(rules: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(rules).utcoffset()
    return int((offset or timedelta()).total_seconds())


@inlined
def local_hour(start: Times, offset: Times, t: int) -> int:
    """Hours since 1970 on the local clock, for kernels."""
    k = np.searchsorted(start, t, side="right") - 1
    return (t + offset[k]) // HOUR_MS  # type: ignore[no-any-return]
