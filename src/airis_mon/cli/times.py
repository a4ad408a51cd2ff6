"""Times and durations as people write them on a command line."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from airis_mon.errors import ConfigError, InputError
from airis_mon.query.durations import parse_duration

LATEST_MS = 10_413_791_999_999
"""The end of the year 2299, the last that the store can hold."""
MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds: as seconds they would lie beyond the year 5138."""
_FROM_NOW = re.compile(r"[+-]?\d[0-9a-z]*[a-z]\Z", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}(\.\d{0,15})?\Z", re.ASCII)


def read_duration(text: str) -> int:
    """Milliseconds of "1h30m", "15s", "500ms", or of a number of seconds. Raises ConfigError."""
    try:
        ms = round(float(text) * 1000) if _NUMBER.match(text) else parse_duration(text)
    except InputError:
        raise ConfigError(f"{text!r} is no duration; write 15s, 1h30m, 500ms, or a number of seconds") from None
    if not 1 <= ms <= LATEST_MS:
        raise ConfigError(f"the duration {text!r} must be at least 1ms and at most 300y")
    return ms


def read_time(text: str, now: int, zone: tzinfo) -> int:
    """Milliseconds of "now", "30m" or "-30m" (so long ago), "+30m" (ahead), epoch seconds or ms, or RFC 3339.

    What RFC 3339 leaves open is filled in: without an offset it is a time of the zone. Raises ConfigError.
    """
    if text == "now":
        return now
    if _NUMBER.match(text):
        t = float(text) if float(text) >= MILLISECONDS_FROM else float(text) * 1000
    elif _FROM_NOW.match(text):
        length = read_duration(text.lstrip("+-"))
        t = float(now + length if text[0] == "+" else now - length)
    else:
        t = _read_date(text, zone)
    if not 0 <= t <= LATEST_MS:
        raise ConfigError(f"the time {text!r} does not lie in the years 1970 to 2299")
    return round(t)


def _read_date(text: str, zone: tzinfo) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text!r} is no time; write 2026-03-01T12:00:00Z, epoch seconds, now, "
            "how long ago (1h, -30m) or ahead (+20h)"
        ) from None
