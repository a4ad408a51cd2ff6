"""Text -> the expression tree of `promql-parser` (the grammar of Prometheus 3), or an error in Prometheus' words."""

from __future__ import annotations

import re

import promql_parser as pp

from airis_mon.errors import InputError

MOST_CHARACTERS = 50_000
MOST_OPERATORS = 500
"""The parser is recursive, quadratic in nesting, and takes the process with it when its stack ends (near 10,000)."""

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`|#[^\n]*', re.DOTALL)
_NESTING = re.compile(r"[(\[{+\-*/%^]|==|!=|>|<|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


def parse(text: str) -> pp.Expr:
    """The tree of an expression. Raises InputError when it is malformed or too large to be parsed safely."""
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"parse error: the expression has {len(text)} characters, at most {MOST_CHARACTERS} are taken")
    operators = sum(1 for _ in _NESTING.finditer(_TEXT.sub(" ", text)))
    if operators > MOST_OPERATORS:
        raise InputError(
            f"parse error: the expression has {operators} operators and brackets, at most {MOST_OPERATORS} are taken; "
            "record parts of it by rules"
        )
    if not text.strip():
        raise InputError("parse error: no expression found in input")
    try:
        return pp.parse(_TEXT.sub(_escaped, text))
    except ValueError as error:
        raise InputError(f"parse error: {error}") from None


def _escaped(found: re.Match[str]) -> str:
    """A string in backticks, which is raw, as one with escapes: the parser's grammar has none without."""
    if not found[0].startswith("`"):
        return found[0]
    raw = found[0][1:-1].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{raw}"'


def formatted(text: str) -> str:
    """The expression as a person would lay it out. Raises InputError as `parse` does."""
    return str(parse(text).prettify())
