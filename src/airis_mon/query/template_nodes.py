"""What a template consists of, each part with its place in the text, and written as Go's messages show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dot:
    """`.`: the present value."""

    at: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Constant:
    """Text, a number, true, false or nil; text is how it was written."""

    at: int
    value: str | float | int | bool | None
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Name:
    """A function."""

    at: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Path:
    """Fields of something: of a variable, of the present value (root: a Dot), of what stands in brackets."""

    at: int
    root: Dot | Variable | Pipe
    fields: tuple[str, ...]

    def __str__(self) -> str:
        root = "" if isinstance(self.root, Dot) else f"({self.root})" if isinstance(self.root, Pipe) else str(self.root)
        return root + "".join(f".{field}" for field in self.fields)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`."""

    at: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Command:
    """A function or a value, and what is given to it."""

    at: int
    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " ".join(f"({term})" if isinstance(term, Pipe) else str(term) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each given the last one's value; names are declared (`:=`), or assigned when `assigns`."""

    at: int
    names: tuple[str, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        names = ", ".join(self.names) + (" = " if self.assigns else " := ") if self.names else ""
        return names + " | ".join(map(str, self.commands))


Term = Dot | Constant | Name | Path | Variable | Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, `with` or `range`: kind, condition, body, what else."""

    kind: str
    at: int
    pipe: Pipe
    then: Body
    orelse: Body


@dataclass(frozen=True, slots=True)
class Call:
    """`{{template "name" pipe}}`."""

    at: int
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f'{{{{template "{self.name}"' + (f" {self.pipe}" if self.pipe else "") + "}}"


@dataclass(frozen=True, slots=True)
class Leave:
    """`{{break}}` or `{{continue}}`."""

    kind: str
    at: int


Node = str | Pipe | Branch | Call | Leave
"""What a template consists of; a str stands for itself."""
Body = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A template: its body and the bodies that it defines by name."""

    name: str
    text: str
    body: Body
    defined: dict[str, Body]

    def place(self, at: int) -> str:
        """`name:line:column` as Go counts it: lines from 1, columns in bytes from 0."""
        line_start = self.text.rfind("\n", 0, at) + 1
        return f"{self.name}:{1 + self.text.count(chr(10), 0, at)}:{len(self.text[line_start:at].encode())}"
