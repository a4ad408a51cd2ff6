"""Points and lengths of time in templates: what `toTime`, `toDuration` and Go's methods on them give, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airis_mon.errors import TemplateError

_SMALL = (("ns", 1), ("µs", 1000), ("ms", 1_000_000))
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time (Go's time.Time, always UTC): ms since 1970."""

    ms: int

    @property
    def date(self) -> datetime:
        """The same as a datetime. Raises TemplateError beyond the years 1 to 9999."""
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.ms)
        except OverflowError:
            raise TemplateError(f"{self.ms} ms since 1970 is in no year from 1 to 9999") from None

    def __str__(self) -> str:
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")

    def format(self, layout: str) -> str:
        """The moment as Go's reference time, Mon Jan 2 15:04:05 MST 2006, is written in the layout."""
        date = self.date
        return _LAYOUT.sub(lambda found: _part(found[0], date), layout)


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time (Go's time.Duration): ns."""

    ns: int

    def __str__(self) -> str:
        sign, ns = "-" if self.ns < 0 else "", abs(self.ns)
        if ns < _SECOND_NS:
            unit, size = next((u, s) for u, s in _SMALL if ns < s * 1000)
            return sign + _decimal(ns, size) + (unit if ns else "s")
        minutes, ns = divmod(ns, 60 * _SECOND_NS)
        hours, minutes = divmod(minutes, 60)
        seconds = f"{_decimal(ns, _SECOND_NS)}s"
        return sign + (f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds)


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    return f"{whole}.{rest:0{len(str(unit)) - 1}}".rstrip("0") if rest else str(whole)


_PARTS = {
    "January": "%B", "Jan": "%b", "Monday": "%A", "Mon": "%a", "2006": "%Y", "002": "%j", "01": "%m", "02": "%d",
    "06": "%y", "15": "%H", "03": "%I", "04": "%M", "05": "%S", "PM": "%p",
}  # fmt: skip
_ZONES = {"Z07:00": "Z", "Z0700": "Z", "Z07": "Z", "-07:00": "+00:00", "-0700": "+0000", "-07": "+00", "MST": "UTC"}
_SHORT = {"1": "%m", "2": "%d", "3": "%I", "4": "%M", "5": "%S"}
_LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|Z07:00|Z0700|Z07|-07:00|-0700|-07|2006|002|_2006|_2"
    r"|01|02|03|04|05|06|15|PM|pm|[.,](?:0+|9+)(?![0-9])|1|2|3|4|5"
)


def _part(part: str, date: datetime) -> str:
    """One element of a layout."""
    if part in _ZONES:
        return _ZONES[part]
    if part in _PARTS:
        return f"{date.year:04}" if part == "2006" else date.strftime(_PARTS[part])
    if part in _SHORT:
        return date.strftime(_SHORT[part]).lstrip("0") or "0"
    if part[0] in ".,":
        digits = f"{date.microsecond * 1000:09}"[: len(part) - 1].ljust(len(part) - 1, "0")
        digits = digits.rstrip("0") if part[1] == "9" else digits
        return part[0] + digits if digits else ""
    return {"_2006": f"_{date.year:04}", "_2": f"{date.day:2}", "pm": date.strftime("%p").lower()}[part]
