"""Label matchers as a condition in ClickHouse's SQL; every name and value travels as a bound parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airis_mon.errors import InputError
from airis_mon.series.labels import METRIC
from airis_mon.store.base import Matcher

_OPS = {"=": "{0} = {1}", "!=": "{0} != {1}", "=~": "match({0}, {1})", "!~": "NOT match({0}, {1})"}


def condition(matchers: Sequence[Matcher], metric: str = "metric") -> tuple[str, dict[str, Any]]:
    """SQL over the columns `metric` and `labels`, and its parameters; `1` for no matchers.

    metric: SQL of the series' name, where the table has no such column. A missing label is the empty string, as in
    PromQL. Raises InputError for an unknown operator.
    """
    terms: list[str] = []
    parameters: dict[str, Any] = {}
    for i, matcher in enumerate(matchers):
        if matcher.op not in _OPS:
            raise InputError(f"matcher {matcher.name}{matcher.op}{matcher.value!r}: use one of {', '.join(_OPS)}")
        column = metric
        if matcher.name != METRIC:
            parameters[f"n{i}"] = matcher.name
            column = f"labels[{{n{i}:String}}]"
        parameters[f"v{i}"] = matcher.value if matcher.op in {"=", "!="} else anchored(matcher.value)
        terms.append(_OPS[matcher.op].format(column, f"{{v{i}:String}}"))
    return " AND ".join(terms) or "1", parameters


def anchored(regex: str) -> str:
    """The regex over the whole value, a dot matching newlines too, as Prometheus has it."""
    return f"^(?s:{regex})$"
