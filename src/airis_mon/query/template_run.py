"""Templates at work: a tree and its data become text, within bounds.

A template reaches nothing but the values given to it: fields are looked up in maps of ours, never as attributes of
Python's objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from airis_mon.errors import TemplateError
from airis_mon.query.template_builtins import ANY, BUILTINS, STRING, Function
from airis_mon.query.template_format import Printer, quoted, sprint
from airis_mon.query.template_functions import FUNCTIONS, METHODS, SURROUNDED, Surroundings
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
from airis_mon.query.template_values import Arguments, Struct, check_length, is_true, type_name

MOST_STEPS = 100_000
DEEPEST = 100
"""So many parts may be evaluated by one expansion, and so many bodies inside one another."""
SHORT_CIRCUIT = {"and": False, "or": True}
"""Functions that leave arguments out, and the truth of an argument at which they do."""
NAMES = frozenset({*BUILTINS, *FUNCTIONS, *SURROUNDED, *SHORT_CIRCUIT})


def run_template(tree: Tree, data: Struct, known: Surroundings) -> str:
    """The text that a template makes of the data. Raises TemplateError in Go's words, and what `known` raises."""
    return _Expansion(tree, known).text(data)


class _Left(Exception):
    """`{{break}}` or `{{continue}}` on its way to the loop."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _NotGiven:
    """Stands for the value that the first command of a pipe does not get."""


_NOT_GIVEN = _NotGiven()


@dataclass(slots=True)
class _Expansion:
    """One template being expanded: what was printed, the variables in sight, what may still be spent.

    at: the part that errors point at, the one begun last, as in Go.
    """

    tree: Tree
    known: Surroundings
    printer: Printer = field(default_factory=Printer)
    variables: list[tuple[str, object]] = field(default_factory=list)
    steps: int = 0
    depth: int = 0
    running: str = ""
    at: Term | Command | Call = field(default_factory=lambda: Dot(0))

    def text(self, data: Struct) -> str:
        self.running = self.tree.name
        self.variables = [("$", data)]
        self.walk(data, self.tree.body)
        return str(self.printer)

    def fail(self, why: str) -> NoReturn:
        place = self.tree.place(self.at.at)
        raise TemplateError(f"template: {place}: executing {quoted(self.running)} at <{self.at}>: {why}")

    def step(self, at: Term | Command | Call | None = None) -> None:
        self.at = at or self.at
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TemplateError(f"the template takes more than {MOST_STEPS} steps")

    # Bodies

    def walk(self, dot: object, body: Body) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise TemplateError(f"more than {DEEPEST} blocks or templates run inside one another")
        for node in body:
            self.step()
            self.node(dot, node)
        self.depth -= 1

    def node(self, dot: object, node: Node) -> None:
        match node:
            case str():
                self.printer.write(node)
            case Pipe():
                value = self.pipe(dot, node)
                if not node.names:
                    self.show(value)
            case Branch():
                known = len(self.variables)
                self.branch(dot, node)
                del self.variables[known:]
            case Call():
                self.call(dot, node)
            case Leave():
                raise _Left(node.kind)

    def show(self, value: object) -> None:
        """Prints what an action gives: nothing is `<no value>`, a sample its fields."""
        if value is None:
            self.printer.write("<no value>")
        elif isinstance(value, Struct):
            self.printer.struct(value)
        else:
            self.printer.value(value)

    def branch(self, dot: object, node: Branch) -> None:
        value = self.pipe(dot, node.pipe)
        if node.kind == "range":
            self.loop(dot, node, value)
        elif not is_true(value):
            self.walk(dot, node.orelse)
        else:
            self.walk(value if node.kind == "with" else dot, node.then)

    def loop(self, dot: object, node: Branch, value: object) -> None:
        items = self.items(node.pipe, value)
        if not items:
            self.walk(dot, node.orelse)
            return
        known, depth = len(self.variables), self.depth
        for key, item in items:
            self.step()
            self.bind(node.pipe, key, item)
            try:
                self.walk(item, node.then)
            except _Left as left:
                self.depth = depth
                if left.kind == "break":
                    break
            del self.variables[known:]

    def items(self, pipe: Pipe, value: object) -> list[tuple[object, object]]:
        """What `range` goes through: (index or key, element), keys sorted."""
        if value is None:
            return []
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, list):
            return list(enumerate(value))
        if type(value) is int and len(pipe.names) < 2:
            return [(i, i) for i in range(min(value, MOST_STEPS + 1))]
        return self.fail(f"range can't iterate over {sprint([value])}")

    def bind(self, pipe: Pipe, key: object, item: object) -> None:
        """Sets the variables of a range: one is the element, two are key and element."""
        values = [item] if len(pipe.names) == 1 else [key, item]
        for name, value in zip(pipe.names, values, strict=False):
            self.set(name, value, declares=not pipe.assigns)

    def call(self, dot: object, node: Call) -> None:
        body = self.tree.defined.get(node.name)
        if body is None:
            self.at = node
            self.fail(f"template {quoted(node.name)} not defined")
        value = self.pipe(dot, node.pipe) if node.pipe else None
        kept = self.variables, self.running
        self.variables, self.running = [("$", value)], node.name
        self.walk(value, body)
        self.variables, self.running = kept

    # Values

    def set(self, name: str, value: object, *, declares: bool) -> None:
        if declares:
            self.variables.append((name, value))
            return
        at = next(i for i in reversed(range(len(self.variables))) if self.variables[i][0] == name)
        self.variables[at] = (name, value)

    def pipe(self, dot: object, pipe: Pipe) -> object:
        value: object = _NOT_GIVEN
        for command in pipe.commands:
            value = self.command(dot, command, value)
        for name in pipe.names:
            self.set(name, value, declares=not pipe.assigns)
        return value

    def command(self, dot: object, command: Command, final: object) -> object:
        """A function of what is given, or a value, to which nothing can be given."""
        first, given = command.terms[0], command.terms[1:]
        self.step(first)
        match first:
            case Name():
                return self.function(dot, first, command, given, final)
            case Path():
                return self.path(dot, first, given, final)
            case Constant(text="nil"):
                self.fail("nil is not a command")
        if given or final is not _NOT_GIVEN:
            self.fail(f"can't give argument to non-function {first}")
        return self.term(dot, first)

    def term(self, dot: object, term: Term) -> object:
        self.step(term)
        match term:
            case Dot():
                return dot
            case Constant():
                return term.value
            case Variable():
                return next(value for name, value in reversed(self.variables) if name == term.name)
            case Pipe():
                return self.pipe(dot, term)
            case Path():
                return self.path(dot, term, (), _NOT_GIVEN)
        return self.function(dot, term, Command(term.at, (term,)), (), _NOT_GIVEN)

    def path(self, dot: object, path: Path, given: tuple[Term, ...], final: object) -> object:
        """Fields of fields; only a method, as the last one, can be given anything."""
        value = self.term(dot, path.root)
        self.at = self.at if isinstance(path.root, Pipe) else path
        *inner, last = path.fields
        for name in inner:
            value = self.field(dot, path, value, name, (), _NOT_GIVEN)
        return self.field(dot, path, value, last, given, final)

    def field(
        self, dot: object, path: Path, value: object, name: str, given: tuple[Term, ...], final: object
    ) -> object:
        method = METHODS.get((type(value), name))
        if method is not None:
            return self.run(dot, path, name, method, given, final, of=value)
        is_given = bool(given) or final is not _NOT_GIVEN
        if isinstance(value, dict):
            if is_given:
                self.fail(f"{name} is not a method but has arguments")
            return value.get(name, None if isinstance(value, Arguments) else "")
        if isinstance(value, Struct) and name in value.fields:
            if is_given:
                self.fail(f"{name} has arguments but cannot be invoked as function")
            return value.fields[name]
        if value is None:
            self.fail(f"nil pointer evaluating interface {{}}.{name}")
        return self.fail(f"can't evaluate field {name} in type {type_name(value)}")

    def function(self, dot: object, name: Name, command: Command, given: tuple[Term, ...], final: object) -> object:
        if name.name in SHORT_CIRCUIT:
            return self.short_circuit(dot, name, given, final)
        if name.name in SURROUNDED:
            return self.run(dot, command, name.name, SURROUNDED[name.name], given, final, of=self.known)
        function = BUILTINS.get(name.name) or FUNCTIONS[name.name]
        return self.run(dot, command, name.name, function, given, final)

    def short_circuit(self, dot: object, name: Name, given: tuple[Term, ...], final: object) -> object:
        """`and` gives its first false value, `or` its first true one, else the last; the others are not evaluated."""
        if not given and final is _NOT_GIVEN:
            self.fail(f"wrong number of args for {name}: want at least 1 got 0")
        value: object = None
        for term in given:
            value = self.argument(dot, term, "any")
            if is_true(value) is SHORT_CIRCUIT[name.name]:
                return value
        return value if final is _NOT_GIVEN else final

    def run(
        self,
        dot: object,
        node: Command | Path,
        name: str,
        function: Function,
        given: tuple[Term, ...],
        final: object,
        of: object = None,
    ) -> object:
        """The value of a function or method for what is given; of: what a method belongs to."""
        values = self.arguments(dot, name, function, given, final)
        try:
            value = function.run(*([] if of is None else [of]), *values)
        except TemplateError as error:
            self.at = node
            self.fail(f"error calling {name}: {error}")
        if isinstance(value, str):
            check_length(len(value))
        return value

    def arguments(
        self, dot: object, name: str, function: Function, given: tuple[Term, ...], final: object
    ) -> list[object]:
        least, count = len(function.takes), len(given) + (final is not _NOT_GIVEN)
        if count < least or (count > least and function.more is None):
            want = f"{'at least ' if function.more else ''}{least}"
            self.fail(f"wrong number of args for {name}: want {want} got {count}")
        kinds = [*function.takes, *[function.more or ANY] * (count - least)]
        values = [self.argument(dot, term, kind) for term, kind in zip(given, kinds, strict=False)]
        return values if final is _NOT_GIVEN else [*values, self.fitting(final, kinds[-1])]

    def argument(self, dot: object, term: Term, kind: str) -> object:
        if isinstance(term, Constant) and kind not in {ANY, type_name(term.value)}:
            self.at = term
            nil = f"cannot assign nil to {kind}" if term.text == "nil" else ""
            self.fail(nil or (f"expected string; found {term}" if kind == STRING else _unfit(term, kind)))
        return self.fitting(self.term(dot, term), kind)

    def fitting(self, value: object, kind: str) -> object:
        if kind not in {ANY, type_name(value)}:
            self.fail(f"wrong type for value; expected {kind}; got {type_name(value)}")
        return value


def _unfit(term: Term, kind: str) -> str:
    return f"can't handle {term} for arg of type {kind}"
