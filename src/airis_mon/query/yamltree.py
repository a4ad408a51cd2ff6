"""YAML as a tree whose parts know their line and column: nothing is constructed, no tag runs anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

DEEPEST = 20
"""So many lists and mappings may stand inside one another."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is twenty times as fast
_NULLS = {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, or nothing at all (null)."""

    line: int
    column: int
    value: str
    is_null: bool = False


@dataclass(slots=True)
class Items:
    """A list."""

    line: int
    column: int
    items: list[Tree] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Pairs, in the order of the text."""

    line: int
    column: int
    pairs: list[tuple[Tree, Tree]] = field(default_factory=list)


Tree = Scalar | Items | Mapping


class Malformed(Exception):
    """A text is no YAML, or not such as is taken here; carries line and column (from 1)."""

    def __init__(self, line: int, column: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.column = column


def read_tree(text: str) -> Tree | None:
    """The tree of a text, None when it is empty; an alias is the very tree that it names. Raises Malformed."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Malformed(line, column, " ".join(filter(None, [error.context, error.problem]))) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        raise Malformed(before.count("\n") + 1, len(before) - before.rfind("\n"), str(error.reason)) from None
    return builder.root


def pairs_of(mapping: Mapping) -> Iterator[tuple[Tree, Tree]]:
    """The pairs of a mapping; those merged in by `<<` come last, as far as its own keys leave them room."""
    merged: list[Mapping] = []
    own: set[str] = set()
    for key, value in mapping.pairs:
        if isinstance(key, Scalar) and key.value == "<<":
            merged += _merged(value)
            continue
        if isinstance(key, Scalar):
            own.add(key.value)
        yield key, value
    for other in merged:
        for key, value in other.pairs:
            if not isinstance(key, Scalar) or key.value not in own:
                yield key, value
            if isinstance(key, Scalar):
                own.add(key.value)


def _merged(value: Tree) -> list[Mapping]:
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, Items) and all(isinstance(item, Mapping) for item in value.items):
        return [item for item in value.items if isinstance(item, Mapping)]
    raise Malformed(value.line, value.column, "<< needs a mapping or a list of mappings")


class _Builder:
    """Events become a tree, without recursion."""

    def __init__(self) -> None:
        self.root: Tree | None = None
        self.open: list[Items | Mapping] = []
        self.keys: list[Tree | None] = []
        self.anchors: dict[str, Tree] = {}
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise Malformed(line, column, "only one document is read of a file; put the others into files")
            case yaml.ScalarEvent():
                is_null = event.implicit[0] and not event.style and event.value in _NULLS
                is_null = is_null or event.tag == "tag:yaml.org,2002:null"
                self.add(Scalar(line, column, "" if is_null else event.value, is_null), event.anchor)
            case yaml.AliasEvent():
                self.add(self.named(event.anchor, line, column), None)
            case yaml.SequenceStartEvent():
                self.enter(Items(line, column), event.anchor)
            case yaml.MappingStartEvent():
                self.enter(Mapping(line, column), event.anchor)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self.open.pop()
                self.keys.pop()

    def named(self, anchor: str | None, line: int, column: int) -> Tree:
        tree = self.anchors.get(anchor or "")
        if tree is None:
            raise Malformed(line, column, f"found undefined alias {anchor!r}")
        if any(tree is outer for outer in self.open):
            raise Malformed(line, column, f"anchor {anchor!r} value contains itself")
        return tree

    def enter(self, tree: Items | Mapping, anchor: str | None) -> None:
        if len(self.open) >= DEEPEST:
            raise Malformed(tree.line, tree.column, f"more than {DEEPEST} lists or mappings stand inside one another")
        self.add(tree, anchor)
        self.open.append(tree)
        self.keys.append(None)

    def add(self, tree: Tree, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = tree
        if not self.open:
            self.root = tree
            return
        outer = self.open[-1]
        if isinstance(outer, Items):
            outer.items.append(tree)
        elif (key := self.keys[-1]) is None:
            self.keys[-1] = tree
        else:
            outer.pairs.append((key, tree))
            self.keys[-1] = None
