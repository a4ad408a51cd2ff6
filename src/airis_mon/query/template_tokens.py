"""The words of a template: Go's text/template as rule files write it (package text/template/parse, Go 1.24)."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NoReturn

from airis_mon.errors import TemplateError
from airis_mon.query.template_format import quoted

KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"})
BLANK = " \t\r\n"

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_WORDS = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<declare>:=) | (?P<assign>=) | (?P<pipe>\|) | (?P<left>\() | (?P<right>\)) | (?P<comma>,)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*") | (?P<raw>`[^`]*`) | (?P<char>'(?:[^'\\\n]|\\[^\n])*')
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]+)?
                    | 0[oObB][0-7_]+ | (?=\.?[0-9])[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?)i?)
      | (?P<field>\.\w+) | (?P<dot>\.) | (?P<variable>\$\w*) | (?P<word>[^\W\d]\w*)
    """,
    re.VERBOSE,
)
_CLOSED = re.compile(r"[\s.,|:()]|$")
"""What may follow a name."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an action, or the text between actions.

    kind: text, open, close, eof, or a group of the words. at: its place in the template. spaced: blanks stand before
    it, which keeps two operands apart.
    """

    kind: str
    text: str
    at: int
    spaced: bool = False

    def __str__(self) -> str:
        """As Go's messages show it."""
        if self.kind == "eof":
            return "EOF"
        if self.kind == "word" and self.text in KEYWORDS:
            return f"<{self.text}>"
        return quoted(self.text[:10]) + ("..." if len(self.text) > 10 else "")


def fail(name: str, text: str, at: int, why: str) -> NoReturn:
    """Raises TemplateError in Go's words: template, line, reason."""
    raise TemplateError(f"template: {name}:{1 + text.count(chr(10), 0, at)}: {why}")


def tokens(name: str, text: str) -> Iterator[Token]:
    """The words of a template, ending in one of the kind `eof`. Raises TemplateError where there is none."""
    at, trim = 0, False
    while True:
        opening = text.find("{{", at)
        found = text[at:] if opening < 0 else text[at:opening]
        if trim:
            found = found.lstrip(BLANK)
        if opening < 0:
            if found:
                yield Token("text", found, len(text) - len(found))
            break
        inside, trims_left = _inside(text, opening)
        if found := found.rstrip(BLANK) if trims_left else found:
            yield Token("text", found, at)
        if comment := _COMMENT.match(text, inside):
            at, trim = _comment_end(name, text, comment.end())
        elif text.startswith("/*", inside):
            fail(name, text, inside, "unclosed comment")
        else:
            at, trim = yield from _action(name, text, opening, inside)
    yield Token("eof", "", len(text))


def _inside(text: str, opening: int) -> tuple[int, bool]:
    """(where the action's words begin, whether it trims what stands before it)."""
    trims = text[opening + 2 : opening + 3] == "-" and text[opening + 3 : opening + 4] in tuple(BLANK)
    return opening + (4 if trims else 2), trims


def _closing(text: str, at: int) -> tuple[int, bool] | None:
    """(what follows the action that ends here, whether that is trimmed), None when it does not end here."""
    if text.startswith("}}", at):
        return at + 2, False
    if text[at : at + 1] in tuple(BLANK) and text.startswith("-}}", at + 1):
        return at + 4, True
    return None


def _comment_end(name: str, text: str, at: int) -> tuple[int, bool]:
    closing = _closing(text, at)
    if closing is None:
        fail(name, text, at, "comment ends before closing delimiter")
    return closing


def _action(name: str, text: str, opening: int, at: int) -> Generator[Token, None, tuple[int, bool]]:
    """The words of one action; answers as `_closing`."""
    yield Token("open", "{{", opening)
    spaced = False
    while (closing := _closing(text, at)) is None:
        word = _WORDS.match(text, at)
        if word is None or word.lastgroup is None:
            fail(name, text, at, _nothing(text, at))
        if word.lastgroup == "space":
            # The last blank may belong to the closing delimiter `-}}`.
            spaced, at = True, word.end() - 1 if text.startswith("-}}", word.end()) else word.end()
            continue
        _check(name, text, word)
        yield Token(word.lastgroup, word[0], at, spaced)
        spaced, at = False, word.end()
    yield Token("close", "}}", at, spaced)
    return closing


def _check(name: str, text: str, word: re.Match[str]) -> None:
    """Raises TemplateError for a name or a number that runs into something else."""
    after = text[word.end() : word.end() + 1]
    if word.lastgroup == "number" and (after.isalnum() or after == "_"):
        fail(name, text, word.start(), f'bad number syntax: "{word[0]}{after}"')
    if word.lastgroup in {"field", "variable", "word"} and not (
        _CLOSED.match(after) or text.startswith("}}", word.end())
    ):
        fail(name, text, word.start(), f"bad character {_named(after)}")


def _nothing(text: str, at: int) -> str:
    """Why no word begins here."""
    if at >= len(text):
        return "unclosed action"
    kinds = {
        '"': "unterminated quoted string",
        "`": "unterminated raw quoted string",
        "'": "unterminated character constant",
    }
    if text[at] == ":":
        return "expected :="
    return kinds.get(text[at]) or f"unrecognized character in action: {_named(text[at])}"


def _named(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"{code} '{character}'" if character.isprintable() else code
