"""The dialect of `promql-parser`: how PromQL must be written for it, and what of its answer means something else.

It knows no strings in backticks and no time before 1970 after @, and it compiles patterns for Rust, whose syntax is not
RE2's, however long that takes. So it is given other strings, other times, and marked values in place of patterns.
"""

from __future__ import annotations

import math
import re

import promql_parser as pp

from airis_mon.errors import InputError
from airis_mon.series.matchers import Matcher, compile_matchers

MOST_PATTERNS = 100
"""Different ones in one expression: each may take a tenth of a second to compile, in which nothing else runs."""

# All of these take time in proportion to the text: strings without an end too, a word is looked at from its start only.
_QUOTED = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|\'(?:[^\'\\]|\\.)*+(?:\'|\\?\Z)'
_NUMBER = r"0[xX][\da-fA-F]{1,16}+|(?:\d[\d_]*+\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?"
STRING = re.compile(_QUOTED, re.DOTALL)
_PLAIN = re.compile(rf"(?P<quoted>{_QUOTED})|`(?P<raw>[^`]*)`|(?<![\w:])(?P<ms>\d{{10,16}})ms\b|#[^\r\n]*", re.DOTALL)
_ESCAPES = re.compile(r"(?P<octets>(?:\\x[\da-fA-F]{2}|\\[0-7]{3})++)|\\.", re.DOTALL)
_OCTET = re.compile(r"\\(?:x([\da-fA-F]{2})|([0-7]{3}))")
_TIME = re.compile(
    rf"@\s*+(?P<sign>[+-]?)\s*+(?P<number>{_NUMBER})(?![\w.])|(?P<odd>@\s*+[-+.\d])|{_QUOTED}", re.DOTALL
)
_SPAN = re.compile(
    rf"(?:(?<![\w:])offset\s|[\[:])\s*+[+-]?\s*+(?P<seconds>(?:inf|nan)\b|{_NUMBER})(?!\w)|{_QUOTED}"
    r"|(?<![\w:])[a-z_][\w:]*+",  # a name, which may have colons too
    re.DOTALL | re.IGNORECASE,
)
_LONGEST_S = 2**63 / 1e9  # what Go's durations hold
_PATTERN = re.compile(
    rf"(?:\b(?P<name>\w{{1,99}}+)\s{{0,9}}+)?(?P<op>[=!]~)\s*+(?P<quoted>{_QUOTED})|{_QUOTED}", re.DOTALL
)
_MARK = "\ue000"  # of a private area of Unicode: before it and an operator no value of a label begins so
_LAID_OUT = re.compile(
    rf'!?="{_MARK}(?P<op>[=!]~)(?P<rest>(?:[^"\\]|\\.)*+")|(?P<time>@ \d++\.\d++)|{_QUOTED}', re.DOTALL
)
_FARTHEST = 2**49  # ms from 1970, some 17,800 years
_ERA = 2**50  # ms: by so much later stands a time before 1970, which the parser does not tell from 0


def plain(text: str) -> str:
    """The text without comments and with quotes in place of backticks."""
    return _PLAIN.sub(_plain, text)


def parsed(text: str) -> pp.Expr:
    """The tree of a plain text, to be read with `matcher_of` and `time_of`. Raises InputError when it is malformed."""
    for found in _SPAN.finditer(text):
        _check_span(found["seconds"])
    return _parsed(_unpatterned(_TIME.sub(_later, text)))


def matcher_of(found: pp.Matcher) -> Matcher:
    """A condition of a selector."""
    if found.value.startswith((f"{_MARK}=~", f"{_MARK}!~")):
        return Matcher(found.name, found.value[1:3], found.value[3:])
    return Matcher(found.name, "=" if str(found.op) == "MatchOp.Equal" else "!=", found.value)


def time_of(found: pp.AtModifier) -> int:
    """The time after @, ms."""
    return _time(str(found))


def laid_out(expr: pp.Expr) -> str:
    """The expression as PromQL, in lines as a person would break them."""
    return _LAID_OUT.sub(_meant, str(expr.prettify()))


def _plain(found: re.Match[str]) -> str:
    if found["quoted"] is not None:
        return _ESCAPES.sub(_as_text, found[0])
    if found["ms"] is not None:  # the parser's numbers in durations have 32 bits
        days, ms = divmod(int(found["ms"]), 86_400_000)
        return f"{days}d{ms}ms"
    if found["raw"] is None:
        return " "
    raw = found["raw"].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{raw}"'


def _as_text(found: re.Match[str]) -> str:
    """Escaped bytes as the text that they are in UTF-8; the parser would take each for a character."""
    if found["octets"] is None:
        return found[0]
    octets = [int(x or o, 16 if x else 8) for x, o in _OCTET.findall(found["octets"])]
    try:
        text = bytes(octets).decode()
    except ValueError:  # beyond a byte, or no text
        raise InputError(f"parse error: the bytes {found['octets'][:40]} of a string are not UTF-8") from None
    return "".join(f"\\U{ord(character):08x}" for character in text)


def _later(found: re.Match[str]) -> str:
    """A time after @, of a later era when it lies before 1970."""
    if found["odd"]:
        raise InputError("parse error: expected a number after @")
    if not found["number"]:
        return found[0]
    number = found["number"].replace("_", "")
    seconds = float(int(number, 16)) if number[:2] in {"0x", "0X"} else float(number)
    t = int(seconds * 1000 + 0.5) if seconds < math.inf else _FARTHEST
    if t >= _FARTHEST:
        raise InputError(f"parse error: timestamp out of bounds for @ modifier: {found['sign']}{seconds:f}")
    t = _ERA - t if found["sign"] == "-" and t else t
    return f"@ {t // 1000}.{t % 1000:03d}"


def _check_span(seconds: str | None) -> None:
    """Refuses what the parser panics about: the panic is caught, but its trace is written to stderr."""
    if seconds is None or seconds[:2] in {"0x", "0X"}:
        return
    if not abs(float(seconds.replace("_", ""))) < _LONGEST_S:  # NaN too
        raise InputError("parse error: duration out of range")


def _time(written: str) -> int:
    t = round(float(written.removeprefix("@ ")) * 1000)
    return t if t < _FARTHEST else t - _ERA


def _unpatterned(text: str) -> str:
    """The text with marked values in place of patterns.

    A pattern that matches the empty label stands after `!=`, as a value that the label is not: the parser asks for one
    matcher in each selector that needs a label.
    """
    patterns = set()

    def marked(found: re.Match[str]) -> str:
        if found["op"] is None:
            return found[0]
        literal = _parsed(found["quoted"])
        assert isinstance(literal, pp.StringLiteral)  # noqa: S101  there is nothing but a string in quotes
        matcher = Matcher(found["name"] or "", found["op"], literal.val)
        patterns.add(matcher.value)
        if len(patterns) > MOST_PATTERNS:
            raise InputError(f"parse error: the expression has more than {MOST_PATTERNS} different patterns")
        op = "!=" if _takes_nothing(matcher) else "="
        return f"{matcher.name}{op}{found['quoted'][0]}{_MARK}{matcher.op}{found['quoted'][1:]}"

    return _PATTERN.sub(marked, text)


def _takes_nothing(matcher: Matcher) -> bool:
    try:
        return compile_matchers([matcher])(())
    except InputError as error:
        raise InputError(f"parse error: {error}") from None


def _meant(found: re.Match[str]) -> str:
    if found["op"]:
        return f'{found["op"]}"{found["rest"]}'
    if found["time"]:
        return f"@ {_time(found['time']) / 1000:.3f}"
    return found[0]


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
