"""Templates as trees: what a template means, or why it means nothing, in the words of Go's text/template."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import NoReturn

from airis_mon.query.template_format import quoted
from airis_mon.query.template_nodes import (
    Body,
    Branch,
    Call,
    Command,
    Constant,
    Dot,
    Leave,
    Name,
    Node,
    Path,
    Pipe,
    Term,
    Tree,
    Variable,
)
from airis_mon.query.template_tokens import Token, fail, tokens

DEEPEST = 50
"""So many brackets or blocks may stand inside one another."""
LARGEST_INT = (1 << 63) - 1

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\'\"]))")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def parse_template(name: str, text: str, functions: Collection[str]) -> Tree:
    """The tree of a template. Raises TemplateError in Go's words, with template and line."""
    return _Parser(name, text, functions).tree()


class _Parser:
    """A position in a template's words, the variables that are known there, and how deep it is."""

    def __init__(self, name: str, text: str, functions: Collection[str]) -> None:
        self.name, self.text, self.functions = name, text, functions
        self.words: Sequence[Token] = list(tokens(name, text))
        self.next = 0
        self.known = ["$"]
        self.depth = self.loops = 0
        self.defined: dict[str, Body] = {}

    def tree(self) -> Tree:
        body, ending = self.body(top=True)
        if ending.kind != "eof":
            self.fail(ending, f"unexpected {{{{{ending.text}}}}}")
        return Tree(self.name, self.text, body, self.defined)

    # Words

    def take(self) -> Token:
        word = self.words[self.next]
        self.next += 1
        return word

    def peek(self, ahead: int = 0) -> Token:
        return self.words[min(self.next + ahead, len(self.words) - 1)]

    def skip(self, kind: str) -> bool:
        if self.peek().kind != kind:
            return False
        self.next += 1
        return True

    def need(self, kind: str, context: str) -> Token:
        word = self.take()
        if word.kind != kind:
            self.unexpected(word, context)
        return word

    def fail(self, word: Token, why: str) -> NoReturn:
        fail(self.name, self.text, word.at, why)

    def unexpected(self, word: Token, context: str) -> NoReturn:
        self.fail(word, f"unexpected {word} in {context}")

    def enter(self, word: Token) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(word, f"more than {DEEPEST} blocks or brackets stand inside one another")

    # Bodies

    def body(self, *, top: bool = False) -> tuple[Body, Token]:
        """(nodes, what ended them: the keyword end or else, or the end of the template)."""
        nodes: list[Node] = []
        while True:
            word = self.take()
            if word.kind == "eof":
                return tuple(nodes), word
            if word.kind == "text":
                nodes.append(word.text)
                continue
            keyword = self.peek()
            if keyword.kind == "word" and keyword.text in {"end", "else"}:
                return tuple(nodes), self.take()
            if top and keyword.kind == "word" and keyword.text == "define":
                self.define(self.take())
            else:
                nodes.append(self.action())

    def action(self) -> Node:
        word = self.peek()
        if word.kind != "word":
            return self.pipe("command", "close")
        match word.text:
            case "if" | "with" | "range":
                return self.branch(self.take().text)
            case "template" | "block":
                return self.call(self.take())
            case "break" | "continue":
                return self.leave(self.take())
            case "define":
                self.unexpected(word, "command")
        return self.pipe("command", "close")

    def branch(self, kind: str) -> Branch:
        """`{{kind pipe}} body [{{else}} body | {{else kind pipe}} ...] {{end}}`, from the pipe on."""
        self.enter(self.peek())
        known = len(self.known)
        at = self.peek().at
        pipe = self.pipe(kind, "close")
        self.loops += kind == "range"
        then, ending = self.body()
        self.loops -= kind == "range"
        orelse = self.orelse(kind, ending)
        del self.known[known:]
        self.depth -= 1
        return Branch(kind, at, pipe, then, orelse)

    def orelse(self, kind: str, ending: Token) -> Body:
        if ending.kind == "eof":
            self.fail(ending, "unexpected EOF")
        if ending.text == "end":
            self.need("close", "end")
            return ()
        if self.peek().text == kind and kind in {"if", "with"}:  # the inner one takes the {{end}} of both
            return (self.branch(self.take().text),)
        self.need("close", "else")
        body, ending = self.body()
        if ending.text != "end":
            self.fail(ending, "unexpected EOF" if ending.kind == "eof" else "expected end; found {{else}}")
        self.need("close", "end")
        return body

    def define(self, word: Token) -> None:
        name = self.quoted(self.title(word))
        self.need("close", "define clause")
        self.defined[name] = self.apart(word)

    def apart(self, word: Token) -> Body:
        """The body of a template of its own: it knows no variable of this one."""
        self.enter(word)
        known, self.known, loops, self.loops = self.known, ["$"], self.loops, 0
        body, ending = self.body()
        if ending.text != "end":
            self.fail(ending, "unexpected EOF" if ending.kind == "eof" else "unexpected {{else}}")
        self.need("close", "end")
        self.known, self.loops = known, loops
        self.depth -= 1
        return body

    def call(self, word: Token) -> Call:
        title = self.title(word)
        name = self.quoted(title)
        if word.text == "template":
            return Call(title.at, name, None if self.skip("close") else self.pipe("template clause", "close"))
        pipe = self.pipe("block clause", "close")
        self.defined[name] = self.apart(word)
        return Call(title.at, name, pipe)

    def title(self, word: Token) -> Token:
        title = self.take()
        if title.kind not in {"string", "raw"}:
            self.unexpected(title, f"{word.text} clause")
        return title

    def leave(self, word: Token) -> Leave:
        self.need("close", f"{{{{{word.text}}}}}")
        if not self.loops:
            self.fail(word, f"{{{{{word.text}}}}} outside {{{{range}}}}")
        return Leave(word.text, word.at)

    # Pipes

    def pipe(self, context: str, closing: str) -> Pipe:
        """Commands up to the closing word, and the variables they are kept in."""
        start = self.peek()
        names, assigns = self.names(context)
        commands = [self.command(context)]
        while not self.skip(closing):
            self.piped(self.take(), closing, context)
            if self.skip(closing):  # Go takes a | at the end for none
                break
            commands.append(self.command("command"))
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.terms[0], Constant | Dot):
                self.fail(start, f"non executable command in pipeline stage {stage}")
        if not assigns:  # a variable is known from its declaration's end on
            self.known += names
        return Pipe(start.at, tuple(names), assigns, tuple(commands))

    def piped(self, word: Token, closing: str, context: str) -> None:
        if word.kind == "right":
            self.fail(word, "unexpected right paren")
        if closing == "right" and word.kind != "pipe":
            self.fail(word, "unclosed left paren")
        if word.kind != "pipe":
            self.unexpected(word, context)

    def names(self, context: str) -> tuple[list[str], bool]:
        """The variables that a pipe sets, and whether they exist already."""
        names: list[str] = []
        ahead = 0
        while len(names) < 2 and self.peek(ahead).kind == "variable":
            names.append(self.peek(ahead).text)
            following = self.peek(ahead + 1)
            if following.kind in {"declare", "assign"}:
                self.next += ahead + 2
                for name in names if following.kind == "assign" else ():
                    self.check_known(name, following)
                return names, following.kind == "assign"
            if following.kind != "comma":
                break
            if context != "range" or len(names) == 2:
                self.fail(following, f"too many declarations in {context}")
            ahead += 2
        return [], False

    def check_known(self, name: str, word: Token) -> None:
        if name not in self.known:
            self.fail(word, f'undefined variable "{name}"')

    def command(self, context: str) -> Command:
        start = self.peek()
        terms: list[Term] = []
        while (term := self.term()) is not None:
            terms.append(term)
            following = self.peek()
            if following.kind in {"close", "right", "pipe"}:
                break
            if not following.spaced:
                self.unexpected(following, "operand")
        if not terms:
            if start.kind in {"close", "right"}:
                self.fail(start, f"missing value for {context}")
            self.unexpected(start, context)
        return Command(start.at, tuple(terms))

    def term(self) -> Term | None:
        """A value with the fields written behind it, None when none begins here."""
        word = self.peek()
        root = self.root(word)
        if root is None:
            return None
        fields = [word.text[1:]] if word.kind == "field" else []
        behind = self.peek()
        while self.peek().kind == "field" and not self.peek().spaced:
            fields.append(self.take().text[1:])
        if not fields:
            return root
        is_behind = len(fields) > (word.kind == "field")
        if isinstance(root, Constant | Name) or word.kind == "dot":
            self.fail(behind, f"unexpected . after term {quoted(str(root))}")
        return Path(behind.at if is_behind else word.at, root, tuple(fields))  # Go points there

    def root(self, word: Token) -> Dot | Variable | Constant | Name | Pipe | None:
        match word.kind:
            case "dot" | "field":
                self.take()
                return Dot(word.at)
            case "variable":
                self.check_known(word.text, self.take())
                return Variable(word.at, word.text)
            case "string" | "raw":
                return Constant(word.at, self.quoted(self.take()), word.text)
            case "number" | "char":
                return self.number(self.take())
            case "left":
                self.enter(self.take())
                pipe = self.pipe("parenthesized pipeline", "right")
                self.depth -= 1
                return pipe
            case "word":
                return self.named(word)
        return None

    def named(self, word: Token) -> Constant | Name | None:
        if word.text in {"true", "false", "nil"}:
            self.take()
            return Constant(word.at, {"true": True, "false": False, "nil": None}[word.text], word.text)
        if str(word).startswith("<"):  # a keyword
            return None
        self.take()
        if word.text not in self.functions:
            self.fail(word, f"function {quoted(word.text)} not defined")
        return Name(word.at, word.text)

    # Constants

    def quoted(self, word: Token) -> str:
        if word.kind == "raw":
            return word.text[1:-1].replace("\r", "")
        return self.unquoted(word)

    def unquoted(self, word: Token) -> str:
        """What stands between the quotes; escapes may name single bytes of UTF-8."""
        inner = word.text[1:-1]
        if "\\" in _ESCAPE.sub("", inner):
            self.fail(word, "invalid syntax")
        raw = bytearray()
        last = 0
        for found in _ESCAPE.finditer(inner):
            raw += inner[last : found.start()].encode()
            raw += self.escaped(word, found)
            last = found.end()
        return (raw + inner[last:].encode()).decode(errors="replace")

    def escaped(self, word: Token, found: re.Match[str]) -> bytes:
        byte = int(found[1], 16) if found[1] else int(found[2], 8) if found[2] else -1
        if byte >= 0:
            return bytes([byte]) if byte < 256 else self.fail(word, "invalid syntax")
        digits = found[3] or found[4]
        if not digits:
            return _ESCAPED.get(found[5], found[5]).encode()
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            self.fail(word, "invalid syntax")
        return chr(code).encode()

    def number(self, word: Token) -> Constant:
        if word.kind == "char":
            character = self.unquoted(word)
            if len(character) != 1:
                self.fail(word, f"malformed character constant: {word.text}")
            return Constant(word.at, ord(character), word.text)
        value = _number(word.text)
        if value is None:
            self.fail(word, f'bad number syntax: "{word.text}"')
        if isinstance(value, int) and not -LARGEST_INT - 1 <= value <= LARGEST_INT:
            self.fail(word, f'integer overflow: "{word.text}"')
        return Constant(word.at, value, word.text)


def _number(text: str) -> int | float | None:
    """Go's numbers: any base, digits grouped by _, floats by their point or exponent; complex ones are refused."""
    lower = text.lower()
    try:
        if "x" in lower:
            return float.fromhex(text.replace("_", "")) if "." in text or "p" in lower else int(text, 0)
        if "." in text or "e" in lower:
            return None if math.isinf(found := float(text)) else found
        if re.fullmatch(r"[+-]?0[0-7_]+", text):
            return int(text, 8)
        return int(text, 0)
    except (ValueError, OverflowError):
        return None
