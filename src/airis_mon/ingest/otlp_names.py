"""OpenTelemetry's names as Prometheus' names.

After "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry specification: characters that Prometheus does
not take become underscores, units become suffixes, monotonic sums end in `_total`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tebibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_WORD = re.compile(r"[a-zA-Z0-9:]+")
_ANNOTATION = re.compile(r"\{[^}]*\}")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def metric_name(name: str, unit: str, *, is_gauge: bool = False, is_counter: bool = False) -> str:
    """`http.server.duration` in `s` -> `http_server_duration_seconds`; "" when nothing of the name is left."""
    words = _WORD.findall(name)
    if not words:
        return ""
    kept = {"total"} if is_counter else {"ratio"} if is_gauge and unit.strip() == "1" else set()
    words = [w for w in words if w not in kept]
    main, _, per = _ANNOTATION.sub("", unit).partition("/")
    main, per = main.strip(), per.strip()
    for suffix in (*_unit_words(UNITS.get(main, main)), *(("per", *_unit_words(PER.get(per, per))) if per else ())):
        if suffix == "per" or suffix not in words:
            words.append(suffix)
    while words and words[-1] == "per":
        words.pop()
    full = "_".join([*words, *kept])
    return f"_{full}" if full[0].isdigit() else full


def _unit_words(unit: str) -> list[str]:
    return _WORD.findall(unit.replace(":", "_"))


def label_name(key: str) -> str:
    """`service.name` -> `service_name`; a name that would begin with a digit begins with `key_`."""
    name = _NOT_LABEL.sub("_", key)
    return f"key_{name}" if name[:1].isdigit() else name


def labels_of(attributes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Attributes as labels. Values whose keys become one name are joined with ";" in the order of their keys."""
    joined: dict[str, str] = {}
    for key, value in sorted(attributes):
        name = label_name(key)
        joined[name] = f"{joined[name]};{value}" if name in joined else value
    return list(joined.items())


def bound_text(bound: float) -> str:
    """A bucket's upper bound as the label `le` has it: 0.5, 10, +Inf."""
    if bound == float("inf"):
        return "+Inf"
    return str(int(bound)) if bound.is_integer() and abs(bound) < 1e15 else repr(bound)
