"""Text -> the expression tree of `promql-parser` (the grammar of Prometheus 3), or an error in Prometheus' words.

What that library does otherwise, or at a price that a caller could misuse, is settled here: strings in backticks,
comments, the depth of its recursion, its panics, and patterns, whose syntax is RE2's and not Rust's.
"""

from __future__ import annotations

import re

import promql_parser as pp

from airis_mon.errors import InputError
from airis_mon.series.matchers import Matcher, compile_matchers

MOST_CHARACTERS = 50_000
MOST_DEPTH = 150
"""So deep may operations stand in each other.

The parser takes 2 kB of stack for each level and takes the process with it when there is no more: at 250 levels in a
thread of 512 kB. Planning and computing take some of the 1,000 frames that Python allows.
"""
MOST_PATTERNS = 100
"""Different ones in one expression: each may take a tenth of a second to compile, in which nothing else runs."""

# All of these take time in proportion to the text: strings without an end too, a word is looked at from its start only.
_QUOTED = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|\'(?:[^\'\\]|\\.)*+(?:\'|\\?\Z)'
_ASIDE = re.compile(rf"(?P<quoted>{_QUOTED})|`(?P<raw>[^`]*)`|(?<![\w:])(?P<ms>\d{{10,16}})ms\b|#[^\r\n]*", re.DOTALL)
_STRING = re.compile(_QUOTED, re.DOTALL)
_PATTERN = re.compile(
    rf"(?:\b(?P<name>\w{{1,99}}+)\s{{0,9}}+)?(?P<op>[=!]~)\s*+(?P<quoted>{_QUOTED})|{_QUOTED}", re.DOTALL
)
_FLAT = re.compile(r"\{[^{}]*\}")
_NESTING = re.compile(r"[()\[+\-*/%^<>]|==|!=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_BEFORE_1970 = re.compile(r"@\s*-\s*[0-9.]")
_MARK = "\ue000"  # of a private area of Unicode: before it and an operator no value of a label begins so
_MARKED = re.compile(rf'!?="{_MARK}([=!]~)')


def parse(text: str) -> pp.Expr:
    """The tree of an expression; its matchers are to be read by `matcher_of`.

    Raises InputError when it is malformed or too large to be parsed safely.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"parse error: the expression has {len(text)} characters, at most {MOST_CHARACTERS} are taken")
    text = _ASIDE.sub(_plain, text)
    if not text.strip():
        raise InputError("parse error: no expression found in input")
    if (deep := depth(text)) > MOST_DEPTH:
        raise InputError(
            f"parse error: up to {deep} operations stand in each other, at most {MOST_DEPTH} are taken; "
            "set brackets between long chains of operators, or record parts of the expression by rules"
        )
    return _parsed(_unpatterned(text))


def matcher_of(found: pp.Matcher) -> Matcher:
    """A condition of a selector."""
    if found.value.startswith((f"{_MARK}=~", f"{_MARK}!~")):
        return Matcher(found.name, found.value[1:3], found.value[3:])
    return Matcher(found.name, "=" if str(found.op) == "MatchOp.Equal" else "!=", found.value)


def formatted(text: str) -> str:
    """The expression as a person would lay it out. Raises InputError as `parse` does."""
    expr = parse(text)
    if _BEFORE_1970.search(_ASIDE.sub(" ", text)):
        raise InputError("a time before 1970 after @ cannot be formatted")  # it would be written as 0
    return _MARKED.sub(r'\1"', str(expr.prettify()))


def depth(text: str) -> int:
    """At most so many operations stand in each other, in a text without comments and backticks.

    It is reckoned from brackets and operators: all operators of one bracket might be a chain, each the operand of the
    next, with the deepest bracket among them at its end.
    """
    operators, deepest = [0], [0]  # of each open bracket: its operators, the deepest bracket within
    for sign in _NESTING.findall(_FLAT.sub(" ", _STRING.sub(" ", text))):
        if sign == "(":
            operators.append(0)
            deepest.append(0)
        elif sign != ")":
            operators[-1] += 1
        elif len(operators) > 1:
            inside = operators.pop() + deepest.pop() + 1
            deepest[-1] = max(deepest[-1], inside)
    return sum(operators) + max(deepest) + len(operators) - 1


def _plain(found: re.Match[str]) -> str:
    """What the parser has no words for: strings in backticks, comments, more than 2**32 ms."""
    if found["quoted"] is not None:
        return found[0]
    if found["ms"] is not None:
        days, ms = divmod(int(found["ms"]), 86_400_000)
        return f"{days}d{ms}ms"
    if found["raw"] is None:
        return " "
    raw = found["raw"].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{raw}"'


def _unpatterned(text: str) -> str:
    """The text with marked values in place of patterns, which the parser would compile for Rust, however long it takes.

    A pattern that matches the empty label stands after `!=`, as a value that the label is not: the parser asks for one
    matcher in each selector that needs a label.
    """
    patterns = set()

    def marked(found: re.Match[str]) -> str:
        if found["op"] is None:
            return found[0]
        literal = _parsed(found["quoted"])
        assert isinstance(literal, pp.StringLiteral)  # noqa: S101  there is nothing but a string in quotes
        pattern, name = literal.val, found["name"] or ""
        patterns.add(pattern)
        if len(patterns) > MOST_PATTERNS:
            raise InputError(f"parse error: the expression has more than {MOST_PATTERNS} different patterns")
        try:
            takes_empty = compile_matchers([Matcher(name, found["op"], pattern)])(())
        except InputError as error:
            raise InputError(f"parse error: {error}") from None
        quote, rest = found["quoted"][0], found["quoted"][1:]
        return f"{name}{'!=' if takes_empty else '='}{quote}{_MARK}{found['op']}{rest}"

    return _PATTERN.sub(marked, text)


def _parsed(text: str) -> pp.Expr:
    try:
        return pp.parse(text)
    except OverflowError:
        raise InputError("parse error: duration out of range") from None
    except ValueError as error:
        raise InputError(f"parse error: {error}") from None
    except BaseException as error:
        # Rust's panics, of `x[1e300]` and `x offset NaN`, derive from BaseException and can be known by name alone.
        if type(error).__name__ != "PanicException":
            raise
        raise InputError(f"parse error: {error}") from None
