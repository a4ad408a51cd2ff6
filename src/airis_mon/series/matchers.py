"""Which series are meant: selectors such as `up{job="api"}` and their conditions on labels.

Patterns are RE2's, here and in the store: linear in time whatever a caller writes (Cox, Regular Expression Matching
Can Be Simple And Fast, 2007).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import re2

from airis_mon.errors import InputError
from airis_mon.series.labels import METRIC, Labels

MOST_INSTRUCTIONS = 65_536
"""Of a pattern: a thousand names take 26,000; what is far larger takes milliseconds for each value it is tried on."""
OPERATORS = ("=~", "!~", "!=", "=")

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\\"']))")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label: `op` is =, !=, =~ or !~ (fully anchored RE2, as in PromQL)."""

    name: str
    op: str
    value: str

    def __str__(self) -> str:
        """The condition as PromQL writes it."""
        value = self.value.translate({92: "\\\\", 34: '\\"', 10: "\\n"})
        return f'{self.name}{self.op}"{value}"'


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The conditions of a selector: `name`, `name{label="value",...}`, `{label=~"pattern"}`, `{"any name"}`.

    Raises InputError that names the selector, the position and what was expected there; a selector without any
    condition and a pattern that RE2 refuses are errors too.
    """
    reader = _Reader(text)
    matchers: list[Matcher] = []
    if name := reader.take(_NAME):
        matchers.append(Matcher(METRIC, "=", name))
    if reader.skip("{"):
        while not reader.skip("}"):
            matchers.append(_condition(reader))
            if not reader.skip(","):
                reader.need("}")
                break
    reader.end()
    if not matchers:
        raise InputError(f"selector {text!r} names no series; write a metric or at least one label condition")
    for matcher in matchers:
        _pattern(matcher)
    return tuple(matchers)


def compile_matchers(matchers: Sequence[Matcher]) -> Callable[[Labels], bool]:
    """A function that tells whether a label set meets every condition; an absent label counts as "".

    Raises InputError for an unknown operator and for a pattern that RE2 refuses.
    """
    tests = [_test(m) for m in matchers]

    def matches(labels: Labels) -> bool:
        have = dict(labels)
        return all(test(have.get(name, "")) for name, test in tests)

    return matches


def compile_selectors(texts: Sequence[str]) -> Callable[[Labels], bool]:
    """A function that tells whether any of the selectors means a label set; without selectors none does."""
    tests = [compile_matchers(parse_selector(text)) for text in texts]
    return lambda labels: any(test(labels) for test in tests)


def _test(matcher: Matcher) -> tuple[str, Callable[[str], bool]]:
    want = matcher.value
    if matcher.op == "=":
        return matcher.name, want.__eq__
    if matcher.op == "!=":
        return matcher.name, want.__ne__
    if matcher.op not in OPERATORS:
        raise InputError(f"operator {matcher.op!r} is none of {', '.join(OPERATORS)}")
    pattern = _pattern(matcher)
    if matcher.op == "=~":
        return matcher.name, lambda value: pattern.fullmatch(value) is not None
    return matcher.name, lambda value: pattern.fullmatch(value) is None


def _pattern(matcher: Matcher) -> Any:
    """The compiled pattern of a regular expression matcher, None of another one. Raises InputError for a bad one."""
    if matcher.op not in {"=~", "!~"}:
        return None
    try:
        pattern = re2.compile(matcher.value, options=_RE2)
    except (re2.error, UnicodeEncodeError) as error:
        why = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise InputError(f"pattern {matcher.value!r} of label {matcher.name!r} is refused by RE2: {why}") from None
    if (size := pattern.programsize) > MOST_INSTRUCTIONS:
        raise InputError(
            f"the pattern of label {matcher.name!r} compiles to {size:,} instructions, at most {MOST_INSTRUCTIONS:,} "
            "are taken; write fewer alternatives and repetitions"
        )
    return pattern


def re2_options(max_mem: int, *, dot_nl: bool = False) -> Any:
    """How patterns are compiled: in silence, in so many bytes; dot_nl: a dot means the end of a line too."""
    options = re2.Options()
    options.dot_nl = dot_nl
    options.log_errors = False
    options.max_mem = max_mem
    return options


_RE2 = re2_options(8 << 20, dot_nl=True)


def _condition(reader: _Reader) -> Matcher:
    if quoted := reader.take(_QUOTED):
        name = _unquoted(quoted)
        operator = reader.operator()
        if operator is None:
            return Matcher(METRIC, "=", name)
    else:
        name = reader.take(_NAME) or reader.fail("a label name")
        operator = reader.operator() or reader.fail("one of = != =~ !~")
    value = reader.take(_QUOTED) or reader.fail("a quoted value")
    return Matcher(name, operator, _unquoted(value))


def _unquoted(quoted: str) -> str:
    if quoted[0] == "`":
        return quoted[1:-1]
    return _ESCAPE.sub(_unescaped, quoted[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2] or found[3]
    if not digits:
        return _ESCAPED.get(found[4], found[4])
    code = int(digits, 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise InputError(f"{found[0]} is no character; write one up to \\U0010FFFF that is no surrogate")
    return chr(code)


class _Reader:
    """A position in a selector's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def take(self, token: re.Pattern[str]) -> str | None:
        self.at = self._blank()
        found = token.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def skip(self, word: str) -> bool:
        self.at = self._blank()
        if not self.text.startswith(word, self.at):
            return False
        self.at += len(word)
        return True

    def need(self, word: str) -> None:
        if not self.skip(word):
            self.fail(f"{word!r}")

    def operator(self) -> str | None:
        return next((op for op in OPERATORS if self.skip(op)), None)

    def end(self) -> None:
        self.at = self._blank()
        if self.at < len(self.text):
            self.fail("the end")

    def fail(self, expected: str) -> NoReturn:
        raise InputError(
            f"selector {self.text!r}: expected {expected} at position {self.at + 1}; "
            'a selector looks like up{job="api",instance!~"test.*"}'
        )

    def _blank(self) -> int:
        found = _SPACE.match(self.text, self.at)
        return found.end() if found else self.at
