"""What replaces a match of a pattern, as Go's `Regexp.Expand` reads it: `$1`, `$name`, `${name}`, `$$`. Pure."""

from __future__ import annotations

import re
from typing import Any

# Go's names are of letters, digits and underscores, of any script.
_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<bare>\w+)|\{(?P<braced>\w+)\})")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


def expansion(template: str, pattern: Any) -> list[str | int]:
    """The template's text and, as numbers, the groups of the pattern that stand in it."""
    parts: list[str | int] = []
    at = 0
    for found in _REFERENCE.finditer(template):
        parts.append(template[at : found.start()])
        parts.append("$" if found["dollar"] else _group(found["bare"] or found["braced"], pattern))
        at = found.end()
    return [part for part in (*parts, template[at:]) if part != ""]


def _group(name: str, pattern: Any) -> int | str:
    """The group's number, or "" when the pattern has no such group."""
    number = int(name) if _NUMBER.fullmatch(name) else pattern.groupindex.get(name, -1)
    return number if 0 <= number <= pattern.groups else ""
