"""What templates compute with, besides None, bool, int, float, str, dict (a map) and list (samples of a query)."""

from __future__ import annotations

from dataclasses import dataclass

from airis_mon.errors import TemplateError
from airis_mon.query.template_times import Moment, Span

LONGEST = 1 << 16
"""So many characters may any text have that a template makes."""
SAMPLE = "*template.sample"
DATA = "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"


@dataclass(frozen=True, slots=True)
class Struct:
    """What has named fields: a sample of a query, or the data that a template begins with."""

    type: str
    fields: dict[str, object]


class Arguments(dict[str, object]):
    """What `args` gives: a map of anything. depth: how many of them stand inside one another."""

    depth = 1


def sample(labels: dict[str, str], value: float) -> Struct:
    """One result of a query."""
    return Struct(SAMPLE, {"Labels": labels, "Value": value})


def check_length(size: int) -> None:
    """Raises TemplateError when a text of so many characters is too long."""
    if size > LONGEST:
        raise TemplateError(f"the text becomes longer than {LONGEST} characters")


def type_name(value: object) -> str:
    """What Go calls the value's type."""
    if isinstance(value, Struct):
        return value.type
    return _TYPES[type(value)]


_TYPES: dict[type, str] = {
    type(None): "<nil>",
    bool: "bool",
    int: "int",
    float: "float64",
    str: "string",
    dict: "map[string]string",
    Arguments: "map[string]interface {}",
    list: "template.queryResult",
    Moment: "*time.Time",
    Span: "*time.Duration",
}


def is_true(value: object) -> bool:
    """Whether `if` takes the value for true: not nil, false, 0 or empty."""
    return bool(value) if isinstance(value, bool | int | float | str | dict | list) else value is not None
