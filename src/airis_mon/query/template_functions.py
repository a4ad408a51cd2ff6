"""The functions that Prometheus adds to Go's templates (its template reference, 3.x)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_plus, unquote, urlsplit

import re2

from airis_mon.errors import InputError, QueryCancelled, QueryError, TemplateError
from airis_mon.query.durations import parse_duration
from airis_mon.query.expansion import expansion
from airis_mon.query.template_builtins import ANY, RESULT, SAMPLES, STRING, Function
from airis_mon.query.template_format import sprintf
from airis_mon.query.template_times import Moment, Span
from airis_mon.query.template_values import Arguments, Struct, check_length, sample
from airis_mon.query.values import Runs, Scalar, Value, Vector
from airis_mon.series.matchers import re2_options

MOST_QUERIES = 50
MOST_SAMPLES = 10_000
"""So many queries may one expansion ask, and so many series may each of them give."""
_DEEPEST_ARGUMENTS = 10

QueryFunction = Callable[[str, int], Value | Runs]
"""(expression, ms) -> its value at that moment, as `QueryEngine.query` gives it."""


@dataclass(slots=True)
class Surroundings:
    """What functions know of the world: how to ask a query, what time it is, where the server is found."""

    ask: QueryFunction
    now_ms: int
    external_url: str
    asked: int = 0

    def query(self, text: str) -> list[Struct]:
        """The samples of an instant query. Raises TemplateError when it fails, and QueryCancelled as it is."""
        self.asked += 1
        if self.asked > MOST_QUERIES:
            raise TemplateError(f"more than {MOST_QUERIES} queries are asked by one template")
        try:
            found = self.ask(text, self.now_ms)
        except QueryCancelled:
            raise
        except (InputError, QueryError) as error:
            raise TemplateError(str(error)) from None
        if isinstance(found, Scalar):
            return [sample({}, float(found.value[0]))]
        if not isinstance(found, Vector):
            raise TemplateError("rule result is not a vector or scalar")
        return _samples(found)


def _samples(vector: Vector) -> list[Struct]:
    rows = vector.has[:, 0].nonzero()[0].tolist()
    if len(rows) > MOST_SAMPLES:
        raise TemplateError(f"the query gives {len(rows)} series, at most {MOST_SAMPLES} are taken; aggregate them")
    return [sample(dict(vector.labels[row]), float(vector.value[row, 0])) for row in rows]


# Results of queries


def _first(result: list[Struct]) -> Struct:
    if not result:
        raise TemplateError("first() called on vector with no elements")
    return result[0]


def _label(name: str, of: Struct) -> str:
    labels = of.fields["Labels"]
    return str(labels.get(name, "")) if isinstance(labels, dict) else ""


def _sort_by_label(name: str, result: list[Struct]) -> list[Struct]:
    return sorted(result, key=lambda of: _label(name, of))


def _args(*values: object) -> Arguments:
    made = Arguments((f"arg{i}", value) for i, value in enumerate(values))
    made.depth = 1 + max((value.depth for value in values if isinstance(value, Arguments)), default=0)
    if made.depth > _DEEPEST_ARGUMENTS:
        raise TemplateError(f"more than {_DEEPEST_ARGUMENTS} args stand inside one another")
    return made


# Numbers

_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)
_LARGE = "kMGTPEZY"
_SMALL = "munpfazy"


def _number(value: object) -> float:
    """What humanize and its like take: a number, or a text that is one."""
    if isinstance(value, Span):
        return value.ns / 1e9
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise TemplateError(f"can't convert {_type(value)} to float")
    if not _FLOAT.fullmatch(value):
        raise TemplateError(sprintf("strconv.ParseFloat: parsing %q: invalid syntax", [value]))
    number = float(value)
    if math.isinf(number) and "n" not in value.lower():
        raise TemplateError(sprintf("strconv.ParseFloat: parsing %q: value out of range", [value]))
    return number


def _type(value: object) -> str:
    return sprintf("%T", [value])


def _short(value: float) -> str:
    """The value by %.4g."""
    return sprintf("%.4g", [value])


def _humanize(given: object) -> str:
    value = _number(given)
    if value == 0 or not math.isfinite(value):
        return _short(value)
    if abs(value) >= 1:
        return _scaled(value, 1000, _LARGE)
    return _scaled_up(value)


def _scaled(value: float, base: int, prefixes: str, suffix: str = "") -> str:
    prefix = ""
    for following in prefixes:
        if abs(value) < base:
            break
        prefix, value = following + suffix, value / base
    return _short(value) + prefix


def _scaled_up(value: float) -> str:
    prefix = ""
    for following in _SMALL:
        if abs(value) >= 1:
            break
        prefix, value = following, value * 1000
    return _short(value) + prefix


def _humanize_1024(given: object) -> str:
    value = _number(given)
    if abs(value) <= 1 or not math.isfinite(value):
        return _short(value)
    return _scaled(value, 1024, "kMGTPEZY", "i")


def _humanize_duration(given: object) -> str:
    value = _number(given)
    if not math.isfinite(value):
        return _short(value)
    if value == 0:
        return "0s"
    if abs(value) < 1:
        return _scaled_up(value) + "s"
    sign, value = "-" if value < 0 else "", abs(value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if not (days or hours or minutes):
        return f"{sign}{_short(value)}s"
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    first = next(i for i, (amount, _) in enumerate(parts) if amount)
    return sign + " ".join(f"{amount}{unit}" for amount, unit in parts[first:])


def _humanize_percentage(given: object) -> str:
    return f"{_short(_number(given) * 100)}%"


def _moment(value: float) -> Moment:
    if not math.isfinite(value):
        raise TemplateError("value is NaN or Inf")
    if not -(2.0**63) <= value * 1e9 <= 2.0**63:
        text = sprintf("%v", [value])
        raise TemplateError(f"{text} cannot be represented as a nanoseconds timestamp since it overflows int64")
    ns = int(value * 1e9)
    return Moment(ns // 1_000_000 if ns >= 0 else -(-ns // 1_000_000))


def _humanize_timestamp(given: object) -> str:
    value = _number(given)
    return str(_moment(value)) if math.isfinite(value) else _short(value)


# Texts

_WORD = re.compile(r"\w+(?:['\u2019.:\u00b7]\w+)*")


def _title(text: str) -> str:
    """Each word's first letter as a capital, the others as they are; words as Unicode's annex 29 has them."""
    return _WORD.sub(lambda found: _capital(found[0]), text)


def _capital(word: str) -> str:
    at = next((i for i, c in enumerate(word) if c.isalpha()), 0)
    return word[:at] + word[at].title() + word[at + 1 :]


def _to_upper(text: str) -> str:
    return "".join(upper if len(upper := c.upper()) == 1 else c for c in text)  # Go maps one character to one


def _to_lower(text: str) -> str:
    return "".join(lower if len(lower := c.lower()) == 1 else c for c in text)


_OPTIONS = re2_options(1 << 20)


@lru_cache(maxsize=100)
def _pattern(pattern: str) -> Any:
    try:
        return re2.compile(pattern, options=_OPTIONS)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise TemplateError(f"error parsing regexp: {why}: `{pattern}`") from None


def _match(pattern: str, text: str) -> bool:
    return _pattern(pattern).search(text) is not None


def _re_replace_all(pattern: str, replacement: str, text: str) -> str:
    """Go's ReplaceAllString: an empty match right behind another one is none."""
    compiled = _pattern(pattern)
    written = expansion(replacement, compiled)
    parts: list[str] = []
    size = at = 0
    for found in compiled.finditer(text):
        if found.start() == found.end() == at and at:
            continue
        new = "".join([part if isinstance(part, str) else found[part] or "" for part in written])
        parts += [text[at : found.start()], new]
        size += found.start() - at + len(new)
        check_length(size)
        at = found.end()
    return "".join([*parts, text[at:]])


def _split_host_port(text: str) -> tuple[str, str] | None:
    """(host, port) of `host:port` and `[host]:port`, None of anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or "[" in port or "]" in port:
        return None
    if host.startswith("["):
        return (host[1:-1], port) if host.endswith("]") and not set("[]") & set(host[1:-1]) else None
    return None if set("[]:") & set(host) else (host, port)


def _strip_port(text: str) -> str:
    found = _split_host_port(text)
    return found[0] if found else text


def _strip_domain(text: str) -> str:
    host, port = _split_host_port(text) or (text, "")
    try:
        ip_address(host)
    except ValueError:
        name = host.split(".")[0]
        return f"[{name}]:{port}" if port and ":" in name else f"{name}:{port}" if port else name
    return text


def _parse_duration(text: str) -> float:
    try:
        return parse_duration(text) / 1000
    except InputError as error:
        raise TemplateError(str(error)) from None


def _link(tab: int) -> Callable[[str], str]:
    return lambda expression: f"/graph?g0.expr={quote_plus(expression)}&g0.tab={tab}"


FUNCTIONS: dict[str, Function] = {
    "first": Function(_first, (RESULT,)),
    "label": Function(_label, (STRING, SAMPLES)),
    "value": Function(lambda of: of.fields["Value"], (SAMPLES,)),
    "strvalue": Function(lambda of: _label("__value__", of), (SAMPLES,)),
    "sortByLabel": Function(_sort_by_label, (STRING, RESULT)),
    "args": Function(_args, (), ANY),
    "humanize": Function(_humanize),
    "humanize1024": Function(_humanize_1024),
    "humanizeDuration": Function(_humanize_duration),
    "humanizePercentage": Function(_humanize_percentage),
    "humanizeTimestamp": Function(_humanize_timestamp),
    "toTime": Function(lambda given: _moment(_number(given))),
    "toDuration": Function(lambda given: Span(int(_number(given) * 1e9))),
    "parseDuration": Function(_parse_duration, (STRING,)),
    "title": Function(_title, (STRING,)),
    "toUpper": Function(_to_upper, (STRING,)),
    "toLower": Function(_to_lower, (STRING,)),
    "match": Function(_match, (STRING, STRING)),
    "reReplaceAll": Function(_re_replace_all, (STRING, STRING, STRING)),
    "safeHtml": Function(lambda text: text, (STRING,)),
    "stripPort": Function(_strip_port, (STRING,)),
    "stripDomain": Function(_strip_domain, (STRING,)),
    "urlQueryEscape": Function(quote_plus, (STRING,)),
    "graphLink": Function(_link(0), (STRING,)),
    "tableLink": Function(_link(1), (STRING,)),
}
SURROUNDED: dict[str, Function] = {
    "query": Function(Surroundings.query, (STRING,)),
    "now": Function(lambda known: known.now_ms / 1000, ()),
    "externalURL": Function(lambda known: known.external_url, ()),
    "pathPrefix": Function(lambda known: unquote(urlsplit(known.external_url).path), ()),
}
"""Functions that are given the surroundings first."""
METHODS: dict[tuple[type, str], Function] = {
    (Moment, "Format"): Function(Moment.format, (STRING,)),
    (Moment, "Unix"): Function(lambda of: of.ms // 1000, ()),
    (Moment, "UnixMilli"): Function(lambda of: of.ms, ()),
    (Moment, "Year"): Function(lambda of: of.date.year, ()),
    (Moment, "Month"): Function(lambda of: of.format("January"), ()),
    (Moment, "Day"): Function(lambda of: of.date.day, ()),
    (Moment, "Weekday"): Function(lambda of: of.format("Monday"), ()),
    (Moment, "Hour"): Function(lambda of: of.date.hour, ()),
    (Moment, "Minute"): Function(lambda of: of.date.minute, ()),
    (Moment, "Second"): Function(lambda of: of.date.second, ()),
    (Moment, "UTC"): Function(lambda of: of, ()),
    (Moment, "Add"): Function(lambda of, by: Moment(of.ms + by.ns // 1_000_000), ("*time.Duration",)),
    (Moment, "Sub"): Function(lambda of, other: Span((of.ms - other.ms) * 1_000_000), ("*time.Time",)),
    (Span, "Seconds"): Function(lambda of: of.ns / 1e9, ()),
    (Span, "Minutes"): Function(lambda of: of.ns / 60e9, ()),
    (Span, "Hours"): Function(lambda of: of.ns / 3600e9, ()),
    (Span, "Milliseconds"): Function(lambda of: of.ns // 1_000_000, ()),
}
"""Go's methods that templates may call on a moment or a span, which is given first."""
