"""Rows of cells -> aligned lines for a terminal. Texts come from others: nothing in them may steer the terminal."""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

UNSEEN = re.compile("[\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Characters that JSON may hold as they are and a terminal obeys."""
GAP = "  "
LEAST = 24
"""The first column is never folded to less than this."""


def as_json(data: Any) -> str:
    """JSON that a person can read and no terminal obeys."""
    return UNSEEN.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(data, ensure_ascii=False))


def tame(text: str) -> str:
    """The text with escapes in place of what cannot be seen: control characters, marks that turn the writing."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def width(text: str) -> int:
    """Columns that a tame text takes; Korean, Chinese and Japanese characters take two."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def folded(text: str, columns: int) -> list[str]:
    """The text in lines of so many columns at most, cut behind commas where that wastes little."""
    if width(text) <= columns:
        return [text]
    ends = list(accumulate(map(_columns, text)))
    lines: list[str] = []
    at = 0
    while at < len(text):
        indent = GAP if lines else ""
        before = ends[at - 1] if at else 0
        cut = max(at + 1, bisect_right(ends, before + columns - len(indent), at))
        comma = text.rfind(",", at, cut) + 1
        if cut < len(text) and comma - at > (cut - at) // 2:
            cut = comma
        lines.append(indent + text[at:cut])
        at = cut
    return lines


def aligned(rows: Sequence[Sequence[str]], numbers: frozenset[int], columns: int | None = None) -> Iterator[list[str]]:
    """The lines of each row. numbers: which cells stand to the right; columns: the first cell is folded to fit."""
    cells = [[tame(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    if columns is not None:
        rest = sum(w + len(GAP) for w in widths[1:])
        widths[0] = min(widths[0], max(columns - rest, LEAST))
    for first, *others in cells:
        top, *more = folded(first, widths[0])
        line = [_padded(top, widths[0], is_number=0 in numbers)]
        line += [
            _padded(c, w, is_number=i in numbers) for i, (c, w) in enumerate(zip(others, widths[1:], strict=True), 1)
        ]
        yield [GAP.join(line).rstrip(), *more]


def _padded(cell: str, columns: int, *, is_number: bool) -> str:
    blank = " " * (columns - width(cell))
    return blank + cell if is_number else cell + blank


def _columns(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in {"Mn", "Me"} else 1


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
