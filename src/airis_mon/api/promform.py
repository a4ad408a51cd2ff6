"""Parameters of Prometheus' query API, of the query string and of a form, with its rules and in its words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import parse_qsl

from airis_mon.api.body import decoded, read_body
from airis_mon.api.errors import HttpError, short
from airis_mon.api.given import Bounds, Req
from airis_mon.api.openapi import FORM
from airis_mon.api.params import Param
from airis_mon.errors import InputError
from airis_mon.series.matchers import Matcher, compile_matchers, parse_selector

T = TypeVar("T")

FORM_BYTES = 1 << 20
MOST_FIELDS = 1000
MOST_SELECTORS = 100
EARLIEST_MS, LATEST_MS = -2_208_988_800_000, 10_413_791_999_999
"""1900 to 2299: what the store can hold."""
ENDLESS = ("-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z")
"""How Prometheus writes its earliest and latest moments; its own pages send them."""
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII)
_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile("".join(rf"(?:(\d+){unit})?" for unit in _UNITS) + r"\Z", re.ASCII)
_ESCAPE = re.compile(r"__|_([0-9a-fA-F]{1,6})_|_")
_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)


class Form:
    """The parameters of one request; unknown ones mean nothing here, of a repeated one the first counts."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __getitem__(self, param: Param[T]) -> T:
        """The parameter's value, `absent` when it is not given or empty. Raises InputError that names it."""
        text = next((value for name, value in self._pairs if name == param.name), "")
        if not text and not param.is_required:
            return param.absent
        try:
            return param.read(text)
        except InputError as error:
            raise invalid(param.name, error) from None

    def all(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return [value for given, value in self._pairs if given == name]


async def form_of(request: Req, bounds: Bounds) -> Form:
    """The parameters of a request: those of a form in its body before those of its query string.

    Raises InputError for what cannot be read, TooLarge, and HttpError 415 for a body that is no form.
    """
    pairs = _pairs(request.scope["query_string"])
    if request.method != "POST":
        return Form(pairs)
    most = min(bounds.json_bytes, FORM_BYTES)
    body = await read_body(request, most, bounds.body_timeout_s)
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and media != FORM:
        raise HttpError(415, f"the body is {media[:60]!r}; send a form with the header `Content-Type: {FORM}`")
    body = await decoded(body, request.headers.get("content-encoding", ""), most)
    return Form(_pairs(body) + pairs)


def invalid(name: str, error: InputError) -> InputError:
    """The error of a parameter, as Prometheus says it."""
    return InputError(f'invalid parameter "{name}": {error}')


def selectors(form: Form) -> list[tuple[Matcher, ...]]:
    """What `match[]` asks for, each once. Raises InputError."""
    texts = list(dict.fromkeys(form.all(MATCH.name)))
    if len(texts) > MOST_SELECTORS:
        raise InputError(f'invalid parameter "match[]": {len(texts)} selectors; at most {MOST_SELECTORS} are taken')
    try:
        return [_selector(text) for text in texts]
    except InputError as error:
        raise invalid(MATCH.name, error) from None


def label_name(escaped: str) -> str:
    """The name of a label as it stands in a path: U__ announces escapes, `__` and `_hex_`, of other characters."""
    if not escaped.startswith("U__"):
        return escaped
    try:
        return _ESCAPE.sub(_unescaped, escaped[3:])
    except (ValueError, OverflowError):  # an escape that means nothing: then it is a name like any other
        return escaped


def read_time(text: str) -> int:
    """Milliseconds of a time in RFC 3339 or in seconds. Raises InputError, also outside the years 1900 to 2299."""
    t = _time(text)
    if not EARLIEST_MS <= t <= LATEST_MS:
        raise InputError(f"cannot parse {_shown(text)} to a valid timestamp: it lies outside the years 1900 to 2299")
    return int(t)


def read_bound(text: str) -> int | None:
    """As `read_time` for one end of a range of time; beyond the years it is open."""
    t = math.inf if text in ENDLESS else _time(text)
    return int(t) if EARLIEST_MS <= t <= LATEST_MS else None


def read_duration_ms(text: str) -> int:
    """Milliseconds, cut off, of seconds or of a duration such as 1h30m. Raises InputError."""
    if _FLOAT.match(text):
        ms = float(text) * 1000
        if abs(ms) * 1e6 >= 2**63:
            raise InputError(f"cannot parse {_shown(text)} to a valid duration. It overflows int64")
        return int(round(ms, 6))
    found = _DURATION.match(text) if len(text) <= 100 else None
    if not text or not found:
        raise InputError(f"cannot parse {_shown(text)} to a valid duration")
    ms = sum(int(n) * unit for n, unit in zip(found.groups(), _UNITS.values(), strict=True) if n)
    if ms * 1_000_000 >= 2**63:
        raise InputError(f"cannot parse {_shown(text)} to a valid duration")
    return int(ms)


def _read_step(text: str) -> int:
    step = read_duration_ms(text)
    if step <= 0:
        raise InputError("zero or negative query resolution step widths are not accepted. Try a positive integer")
    return step


def _read_limit(text: str) -> int:
    limit = _whole(text)
    if limit is None:
        raise InputError(f"cannot parse {_shown(text)} to a number")
    if limit < 0:
        raise InputError("limit must be non-negative")
    return limit


def _read_count(text: str) -> int:
    count = _whole(text)
    if count is None:
        raise InputError("limit must be a number")
    return count


def _read_type(text: str) -> str:
    if text.lower() not in {"alert", "record"}:
        raise InputError(f"not supported value {_shown(text)}")
    return text.lower()


def _read_flag(text: str) -> bool:
    if text.lower() not in {"1", "t", "true", "0", "f", "false"}:
        raise InputError(f"{_shown(text)} is neither true nor false")
    return text.lower() in {"1", "t", "true"}


def _names(name: str, about: str, example: str) -> Param[Sequence[str]]:
    """A parameter that may be repeated; `Form.all` gives its values."""
    return Param(name, about, {"type": "array", "items": {"type": "string"}}, example, lambda text: (text,), ())


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) else None


def _time(text: str) -> float:
    if _FLOAT.match(text) and math.isfinite(float(text)):
        fraction, whole = math.modf(float(text))
        return whole * 1000 + math.copysign(math.floor(abs(fraction) * 1000 + 0.5), fraction)
    if _RFC3339.match(text):
        try:
            return (datetime.fromisoformat(text) - _EPOCH) // _MS
        except (ValueError, OverflowError):
            pass
    raise InputError(f"cannot parse {_shown(text)} to a valid timestamp")


def _named(name: str, read: Callable[[str], T]) -> Callable[[str], T]:
    def named(text: str) -> T:
        try:
            return read(text)
        except InputError as error:
            raise InputError(f"invalid time value for '{name}': {error}") from None

    return named


def _selector(text: str) -> tuple[Matcher, ...]:
    matchers = parse_selector(text)
    if all(compile_matchers([matcher])(()) for matcher in matchers):
        raise InputError("match[] must contain at least one non-empty matcher")
    return matchers


def _unescaped(found: re.Match[str]) -> str:
    if found[0] == "__":
        return "_"
    char = chr(int(found[1] or "", 16))
    char.encode()  # a surrogate is no character
    return char


def _pairs(data: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except UnicodeDecodeError:
        raise InputError("error parsing form values: they are no UTF-8") from None
    except ValueError:
        raise InputError(f"error parsing form values: more than {MOST_FIELDS} of them") from None


def _shown(text: str) -> str:
    return f'"{short(text)}"'


_TIME = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}
_SPAN = {"anyOf": [{"type": "string"}, {"type": "number"}]}
_LIMIT = {"type": "integer", "minimum": 0, "default": 0}

QUERY: Param[str] = Param("query", "A PromQL expression.", {"type": "string"}, "up", str, "", is_required=True)
TIME: Param[int | None] = Param(
    "time",
    "The moment: RFC 3339 or seconds; without it: now.",
    _TIME,
    "2026-03-01T12:00:00Z",
    _named("time", read_time),
    None,
)
START: Param[int] = Param("start", "The first moment.", _TIME, "2026-03-01T11:00:00Z", read_time, 0, is_required=True)
END: Param[int] = Param("end", "The last moment.", _TIME, "2026-03-01T12:00:00Z", read_time, 0, is_required=True)
STEP: Param[int] = Param(
    "step", "Between two moments: seconds, or a duration such as 1m.", _SPAN, "15", _read_step, 0, is_required=True
)
TIMEOUT: Param[int | None] = Param(
    "timeout",
    "Gives up after this time; the setting query.timeout_s is its limit.",
    _SPAN,
    "30s",
    read_duration_ms,
    None,
)
LIMIT: Param[int] = Param(
    "limit", "So many at most, with a warning when there are more; 0: all.", _LIMIT, "100", _read_limit, 0
)
SINCE: Param[int | None] = Param(
    "start", "Only what was seen from this time on.", _TIME, "2026-03-01T11:00:00Z", _named("start", read_bound), None
)
UNTIL: Param[int | None] = Param(
    "end", "Only what was seen until this time.", _TIME, "2026-03-01T13:00:00Z", _named("end", read_bound), None
)
LOOKBACK: Param[str] = Param(
    "lookback_delta", "How old a sample may be that an instant selector takes.", _SPAN, "5m", str, ""
)
MATCH = _names("match[]", "Only series that meet this selector; may be repeated.", 'cpu_usage{host="web-1"}')
TYPE: Param[str] = Param(
    "type", "Only rules of this kind.", {"type": "string", "enum": ["alert", "record"]}, "alert", _read_type, ""
)
RULE_NAMES = _names("rule_name[]", "Only rules with this name; may be repeated.", "HostDown")
RULE_GROUPS = _names("rule_group[]", "Only groups with this name; may be repeated.", "hosts")
FILES = _names("file[]", "Only groups of this file; may be repeated.", "/etc/rules/hosts.yml")
WITHOUT_ALERTS: Param[bool] = Param(
    "exclude_alerts", "Leaves alerts out.", {"type": "boolean", "default": False}, "true", _read_flag, False
)
METRIC: Param[str] = Param("metric", "Only this metric.", {"type": "string"}, "cpu_usage", str, "")
COUNT: Param[int] = Param("limit", "So many metrics at most.", {"type": "integer"}, "10", _read_count, -1)
NAME: Param[str] = Param("name", "The label's name.", {"type": "string"}, "host", str, "")
