"""Functions that change labels: label_replace and label_join. Pure.

Patterns are RE2's; what replaces a match is written as Go's `Regexp.Expand` reads it: `$1`, `$name`, `${name}`, `$$`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import re2

from airis_mon.errors import QueryError
from airis_mon.query.values import Vector, relabelled
from airis_mon.series.labels import Labels

_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<bare>\w+)|\{(?P<braced>\w+)\})")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


def label_replace(inner: Vector, target: str, replacement: str, source: str, pattern: str) -> Vector:
    """The label `target` set, where the pattern matches the whole of `source`; an empty result removes it.

    Raises QueryError for a pattern that RE2 refuses, for an empty target, and for labels that come to be equal.
    """
    compiled = _compiled(pattern)
    _check_name(target, "destination", "label_replace")
    expand = _expansion(replacement, compiled)
    results: dict[str, str | None] = {}

    def change(labels: Labels) -> Labels:
        value = dict(labels).get(source, "")
        if value not in results:
            found = compiled.search(value)
            results[value] = None if found is None else expand(found)
        result = results[value]
        return labels if result is None else _with(labels, target, result)

    return relabelled(inner, change)


def label_join(inner: Vector, target: str, separator: str, *sources: str) -> Vector:
    """The label `target` set to the values of the sources, joined; an empty result removes it.

    Raises QueryError for an empty label name and for labels that come to be equal.
    """
    for source in sources:
        _check_name(source, "source", "label_join")
    _check_name(target, "destination", "label_join")

    def change(labels: Labels) -> Labels:
        values = dict(labels)
        return _with(labels, target, separator.join(values.get(source, "") for source in sources))

    return relabelled(inner, change)


def _with(labels: Labels, name: str, value: str) -> Labels:
    rest = [pair for pair in labels if pair[0] != name]
    return tuple(sorted([*rest, (name, value)] if value else rest))


def _check_name(name: str, role: str, function: str) -> None:
    """Any text is a label's name in Prometheus 3, but not the empty one."""
    if not name:
        raise QueryError(f"invalid {role} label name in {function}(): {name}")


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(f"^(?s:{pattern})$", options=options)
    except (re2.error, UnicodeEncodeError):
        raise QueryError(f"invalid regular expression in label_replace(): {pattern}") from None


def _expansion(template: str, pattern: Any) -> Callable[[Any], str]:
    """Match -> the template's text with the match's groups in it; a group that is not there is empty."""
    parts: list[str | int] = []  # text, or the number of a group
    at = 0
    for found in _REFERENCE.finditer(template):
        parts.append(template[at : found.start()])
        parts.append("$" if found["dollar"] else _group(found["bare"] or found["braced"], pattern))
        at = found.end()
    parts.append(template[at:])
    return lambda match: "".join(part if isinstance(part, str) else match[part] or "" for part in parts)


def _group(name: str, pattern: Any) -> int | str:
    """The group's number, or "" when the pattern has no such group."""
    number = int(name) if _NUMBER.fullmatch(name) else pattern.groupindex.get(name, -1)
    return number if 0 <= number <= pattern.groups else ""
