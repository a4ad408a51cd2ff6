"""Functions that change labels: label_replace and label_join. Pure.

Patterns are RE2's; what replaces a match is read by `expansion`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import re2

from airis_mon.errors import QueryError
from airis_mon.query.expansion import expansion
from airis_mon.query.values import Vector, relabelled
from airis_mon.series.labels import Labels
from airis_mon.series.matchers import re2_options

LONGEST_VALUE = 64 << 10
"""Bytes of one label's value that these functions make; a stored one may have 4,096."""
MOST_TEXT = 64 << 20
"""Bytes of all values that they make for one query."""
LARGEST_PROGRAM = 1 << 16
"""Instructions of a compiled pattern: a thousand names of 64 characters each."""
MOST_WORK = LARGEST_PROGRAM * 512
"""Instructions by characters of one match, which nothing interrupts: hostile patterns were measured at 2 to 7 million
of them a second, so one takes some 15 s at most. Common ones are a hundred times faster."""

_OPTIONS = re2_options(8 << 20)


@dataclass(slots=True)
class Spending:
    """What the label functions of one query have made. check: raises when the query is to end; spent: bytes of text."""

    check: Callable[[], None] = lambda: None
    spent: int = 0

    def take(self, size: int, function: str) -> None:
        """Counts a value of so many bytes before it is made. Raises QueryError for one that may not be."""
        if size > LONGEST_VALUE:
            raise QueryError(
                f"{function}() would make a label value of {size:,} bytes, at most {LONGEST_VALUE:,}; "
                "let it put fewer or shorter values together"
            )
        self.spent += size
        if self.spent > MOST_TEXT:
            raise QueryError(
                f"the label functions of the query would make more than {MOST_TEXT:,} bytes of label values; "
                "ask for fewer series or make shorter values"
            )


def label_replace(
    inner: Vector, target: str, replacement: str, source: str, pattern: str, *, spending: Spending
) -> Vector:
    """The label `target` set, where the pattern matches the whole of `source`; an empty result removes it.

    Raises QueryError for a pattern that RE2 refuses or that is too costly, for an empty target, for labels that come to
    be equal and for values beyond the bounds; and what `spending.check` raises.
    """
    compiled = _compiled(pattern)
    _check_name(target, "destination", "label_replace")
    expand = _Expansion(replacement, compiled, spending)
    results: dict[str, str | None] = {}

    def change(labels: Labels) -> Labels:
        value = dict(labels).get(source, "")
        if value not in results:
            spending.check()
            _check_work(compiled, value)
            found = compiled.search(value)
            results[value] = None if found is None else expand.text(found)
        result = results[value]
        return labels if result is None else _with(labels, target, result)

    return relabelled(inner, change)


def label_join(inner: Vector, target: str, separator: str, *sources: str, spending: Spending) -> Vector:
    """The label `target` set to the values of the sources, joined; an empty result removes it.

    Raises QueryError for an empty label name, for labels that come to be equal and for values beyond the bounds; and
    what `spending.check` raises.
    """
    for source in sources:
        _check_name(source, "source", "label_join")
    _check_name(target, "destination", "label_join")

    between = _size(separator) * max(0, len(sources) - 1)

    def change(labels: Labels) -> Labels:
        spending.check()
        have = dict(labels)
        values = [have.get(source, "") for source in sources]
        spending.take(between + sum(map(_size, values)), "label_join")
        return _with(labels, target, separator.join(values))

    return relabelled(inner, change)


def _with(labels: Labels, name: str, value: str) -> Labels:
    rest = [pair for pair in labels if pair[0] != name]
    return tuple(sorted([*rest, (name, value)] if value else rest))


def _check_name(name: str, role: str, function: str) -> None:
    """Any text is a label's name in Prometheus 3, but not the empty one."""
    if not name:
        raise QueryError(f"invalid {role} label name in {function}(): {name}")


def _compiled(pattern: str) -> Any:
    try:
        compiled = re2.compile(f"^(?s:{pattern})$", options=_OPTIONS)
    except (re2.error, UnicodeEncodeError):
        raise QueryError(f"invalid regular expression in label_replace(): {pattern}") from None
    if compiled.programsize > LARGEST_PROGRAM:
        raise QueryError(
            f"the regular expression in label_replace() compiles to {compiled.programsize:,} instructions, "
            f"at most {LARGEST_PROGRAM:,}; repeat less in it or name fewer alternatives"
        )
    return compiled


def _check_work(pattern: Any, value: str) -> None:
    """Raises QueryError where one match could hold the query up beyond its end."""
    if pattern.programsize * len(value) > MOST_WORK:
        raise QueryError(
            f"the regular expression in label_replace() compiles to {pattern.programsize:,} instructions, too many for "
            f"a value of {len(value):,} characters; repeat less in it or match shorter values"
        )


class _Expansion:
    """Match -> the template's text with the match's groups in it; a group that is not there is empty."""

    def __init__(self, template: str, pattern: Any, spending: Spending) -> None:
        self.parts = expansion(template, pattern)
        self.spending = spending
        self.fixed = sum(_size(part) for part in self.parts if isinstance(part, str))
        self.groups = Counter(part for part in self.parts if isinstance(part, int))

    def text(self, match: Any) -> str:
        texts = {number: match[number] or "" for number in self.groups}
        size = self.fixed + sum(_size(texts[number]) * count for number, count in self.groups.items())
        self.spending.take(size, "label_replace")
        return "".join([part if isinstance(part, str) else texts[part] for part in self.parts])


def _size(text: str) -> int:
    """Its bytes as UTF-8; lone surrogates, which PromQL may write, count as such."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
