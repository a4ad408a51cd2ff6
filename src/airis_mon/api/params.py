"""Query parameters: each is declared once, and read, checked and documented from that declaration."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NoReturn, TypeVar
from urllib.parse import parse_qsl

from litestar import Request

from airis_mon.api.errors import short
from airis_mon.api.schemas import now_ms
from airis_mon.errors import InputError, Refusal
from airis_mon.events.event import NAMES
from airis_mon.series.matchers import Matcher, parse_selector

T = TypeVar("T")

DAY_MS = 86_400_000
LATEST_MS = 253_402_300_799_999
"""The last millisecond that RFC 3339 can write."""
MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds: as seconds they would lie beyond the year 5138."""
MOST_PATTERN = 1000
"""Characters of a pattern in `match`: each is tried on every series."""
_DIGITS = re.compile(r"-?\d+(\.\d+)?\Z", re.ASCII)
_HEX_ID = re.compile(r"[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True)
class Param(Generic[T]):
    """A query parameter: `read` turns its text into a value or raises InputError, `schema` is its OpenAPI schema."""

    name: str
    about: str
    schema: dict[str, Any]
    example: str
    read: Callable[[str], T]
    absent: T
    is_required: bool = False


class Query:
    """The parameters of one request, checked against those that its route declares.

    Raises InputError for an unknown or repeated parameter; the message names the nearest known one.
    """

    def __init__(self, query_string: bytes, declared: tuple[Param[Any], ...]) -> None:
        known = [p.name for p in declared]
        self._given: dict[str, str] = {}
        for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
            if name not in known:
                _refuse(name, value, _unknown(name, known))
            if name in self._given:
                _refuse(name, value, "is given twice; give it once")
            self._given[name] = value

    def __getitem__(self, param: Param[T]) -> T:
        """The parameter's value, `absent` when it was not given."""
        text = self._given.get(param.name)
        if text is None:
            return param.absent
        try:
            return param.read(text)
        except InputError as error:
            _refuse(param.name, text, str(error))


def query_of(request: Request[Any, Any, Any]) -> Query:
    """The parameters of a request, by the declaration of its route."""
    return Query(request.scope["query_string"], request.route_handler.opt["doc"].params)


def window(query: Query, default_ms: int) -> tuple[int, int]:
    """`start` and `end` in ms; without them the last `default_ms` until now."""
    end = query[END]
    end = now_ms() if end is None else end
    start = query[START]
    start = end - default_ms if start is None else start
    if start > end:
        _refuse("start", str(start), f"is later than end ({end}); exchange them")
    return start, end


def read_time(text: str) -> int:
    """Milliseconds of a time written in RFC 3339 or as epoch seconds or milliseconds.

    Times outside the years 1970 to 9999 become the nearest inside: no sample lies between. Raises InputError for what
    is no time.
    """
    return round(min(max(exact_time(text), 0), LATEST_MS))


def exact_time(text: str) -> float:
    """As `read_time`, wherever the time lies."""
    if not _DIGITS.match(text):
        return _read_rfc3339(text)
    number = float(text)
    return number if abs(number) >= MILLISECONDS_FROM else number * 1000


def read_id(text: str) -> int:
    """The fingerprint written in 16 hex digits. Raises InputError."""
    if not _HEX_ID.match(text):
        raise InputError(
            f"{short(text)!r} is no series id; an id has 16 hex digits in lower case, as /series lists them"
        )
    return int(text, 16)


def whole(name: str, about: str, absent: int, most: int, remedy: str, least: int = 1) -> Param[int]:
    """A parameter that is a whole number of `least` to `most`."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise InputError(f"is no whole number; give {least} to {most}")
        if int(text) < least:
            raise InputError(f"is less than {least}; give {least} to {most}")
        if int(text) > most:
            raise InputError(f"is more than {most}; {remedy}")
        return int(text)

    schema = {"type": "integer", "minimum": least, "maximum": most, "default": absent}
    return Param(name, about, schema, str(absent), read, absent)


def choice(name: str, about: str, words: tuple[str, ...]) -> Param[str | None]:
    """A parameter that is one of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise InputError(f"is none of {', '.join(words)}")
        return text

    return Param(name, about, {"type": "string", "enum": list(words)}, words[0], read, None)


def _read_share(text: str) -> float:
    number = float(text) if _DIGITS.match(text) else math.nan
    if not 0 <= number <= 1:
        raise InputError("is no number of 0 to 1")
    return number


def _read_names(text: str) -> set[str]:
    names = set(text.split(","))
    if unknown := sorted(names - set(NAMES)):
        raise InputError(f"{short(unknown[0])!r} is no event; the events are {', '.join(NAMES)}")
    return names


def _read_rfc3339(text: str) -> float:
    # A "+" of an offset that was not percent-encoded arrives as a space.
    written = re.sub(r" (\d\d:?\d\d)\Z", r"+\1", text, flags=re.ASCII)
    try:
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, OverflowError):
        raise InputError("is no time; write RFC 3339 (2026-03-01T12:00:00Z) or epoch seconds or milliseconds") from None


def _read_selector(text: str) -> tuple[Matcher, ...]:
    matchers = parse_selector(text)
    for matcher in matchers:
        if matcher.op in {"=~", "!~"} and len(matcher.value) > MOST_PATTERN:
            raise InputError(f"has a pattern of {len(matcher.value)} characters; {MOST_PATTERN} are allowed")
    return matchers


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"is no parameter here; did you mean {near[0]}?"
    return f"is no parameter here; this path takes {', '.join(known) or 'none'}"


def _refuse(name: str, value: str, reason: str) -> NoReturn:
    name = short(name)
    raise InputError(f"parameter {name} {reason}", (Refusal(name, value, reason),))


_TIME = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}
MATCH: Param[Sequence[Matcher]] = Param(
    "match", "One PromQL selector; only series that meet it.", {"type": "string"}, 'up{job="api"}', _read_selector, ()
)
START: Param[int | None] = Param(
    "start", "From this time: RFC 3339, epoch seconds or milliseconds.", _TIME, "2026-03-01T12:00:00Z", read_time, None
)
END: Param[int | None] = Param(
    "end", "Until this time, inclusive; without it: now.", _TIME, "2026-03-01T13:00:00Z", read_time, None
)
SERIES: Param[int | None] = Param(
    "series",
    "Only this series, by its id.",
    {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "9f86d081884c7d65",
    read_id,
    None,
)
MIN_SCORE: Param[float] = Param(
    "minScore",
    "Only scores of at least this.",
    {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    "0.8",
    _read_share,
    0.0,
)
EVENT_NAMES: Param[set[str] | None] = Param(
    "names",
    "Only these events, separated by commas: " + ", ".join(NAMES),
    {"type": "string"},
    "anomaly_detected",
    _read_names,
    None,
)
