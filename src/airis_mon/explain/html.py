"""Markup from parts: whatever is text of others is escaped on its way in, and mypy tells the two apart."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import NewType

Html = NewType("Html", str)
"""Markup that may stand in a page as it is; elements and attributes are well-formed as XML too."""
SHORT = 80
"""Longer names are cut in their middle: what tells two apart often stands at the end."""
CUT_TITLE = 200


def visible(text: str) -> str:
    """The text with escapes in place of what cannot be seen: control characters, marks that turn the writing."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def text(content: str) -> Html:
    """Text as markup."""
    return Html(escape(visible(content)))


def tag(element: str, *content: Html, **attributes: str | float | None) -> Html:
    """An element. Names of attributes: `_` for `-`, `class_` for class; None leaves one out."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(visible(_written(value)))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{element}{given}>{''.join(content)}</{element}>")


def join(parts: Iterable[Html]) -> Html:
    """Markup one after the other."""
    return Html("".join(parts))


def short(name: str, most: int = SHORT) -> str:
    """A name in at most so many characters, cut in its middle."""
    if len(name) > 2 * most:  # nothing of its middle is shown: it needs no look
        name = name[:most] + name[-most:]
    name = visible(name)
    if len(name) <= most:
        return name
    tail = most // 3
    return f"{name[: most - tail - 1]}…{name[-tail:]}"


class Names:
    """Names of others, shortened, the whole in the title, while all titles together stay within `budget` characters.

    Past the budget titles are cut too: 200 findings with names of 10 kB would make a page that no phone opens.
    """

    def __init__(self, budget: int = 600_000) -> None:
        self._left = budget

    def __call__(self, name: str, most: int = SHORT) -> Html:
        """The name as markup that does not turn the writing around it."""
        shown = short(name, most)
        title = None if shown == name else self._title(name)
        return tag("bdi", _breakable(shown), class_="name", title=None if title == shown else title)

    def _title(self, name: str) -> str:
        if len(name) <= self._left:
            whole = visible(name)
            if (size := len(escape(whole))) <= self._left:
                self._left -= size
                return whole
            self._left = 0  # else each of thousands would be written out and thrown away
        return short(name, CUT_TITLE)


def _breakable(name: str) -> Html:
    """A name that is broken behind its brackets and commas rather than within a word."""
    return Html(text(name).replace("{", "{<wbr/>").replace(",", ",<wbr/>"))


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
