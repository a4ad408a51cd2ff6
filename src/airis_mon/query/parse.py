"""Text -> the expression tree of `promql-parser` (the grammar of Prometheus 3), or an error in Prometheus' words."""

from __future__ import annotations

import re

import promql_parser as pp

from airis_mon.errors import InputError
from airis_mon.query.dialect import STRING, laid_out, parsed, plain

MOST_CHARACTERS = 50_000
MOST_DEPTH = 150
"""So deep may operations stand in each other.

The parser takes 2 kB of stack for each level and takes the process with it when there is no more: at 250 levels in a
thread of 512 kB. Planning and computing take some of the 1,000 frames that Python allows.
"""

_FLAT = re.compile(r"\{[^{}]*\}")
_NESTING = re.compile(r"[()\[+\-*/%^<>]|==|!=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


def parse(text: str) -> pp.Expr:
    """The tree of an expression, to be read with `dialect.matcher_of` and `dialect.time_of`.

    Raises InputError when it is malformed or too large to be parsed safely.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"parse error: the expression has {len(text)} characters, at most {MOST_CHARACTERS} are taken")
    text = plain(text)
    if not text.strip():
        raise InputError("parse error: no expression found in input")
    if (deep := depth(text)) > MOST_DEPTH:
        raise InputError(
            f"parse error: up to {deep} operations stand in each other, at most {MOST_DEPTH} are taken; "
            "set brackets between long chains of operators, or record parts of the expression by rules"
        )
    return parsed(text)


def formatted(text: str) -> str:
    """The expression as a person would lay it out. Raises InputError as `parse` does."""
    return laid_out(parse(text))


def depth(text: str) -> int:
    """At most so many operations stand in each other, in a text without comments and backticks.

    It is reckoned from brackets and operators: all operators of one bracket might be a chain, each the operand of the
    next, with the deepest bracket among them at its end.
    """
    operators, deepest = [0], [0]  # of each open bracket: its operators, the deepest bracket within
    for sign in _NESTING.findall(_FLAT.sub(" ", STRING.sub(" ", text))):
        if sign == "(":
            operators.append(0)
            deepest.append(0)
        elif sign != ")":
            operators[-1] += 1
        elif len(operators) > 1:
            inside = operators.pop() + deepest.pop() + 1
            deepest[-1] = max(deepest[-1], inside)
    return sum(operators) + max(deepest) + len(operators) - 1
