"""Rule files of Prometheus 3 (YAML) -> groups of rules, or everything that is wrong with them, with line and column."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

from airis_mon.errors import BadRules, InputError, RuleFault, TemplateError
from airis_mon.query.durations import parse_duration
from airis_mon.query.parse import parse
from airis_mon.query.rules import AlertingRule, RecordingRule, Rule, RuleGroup, RuleLabels
from airis_mon.query.templates import check
from airis_mon.query.yamltree import Items, Malformed, Scalar, Tree, pairs_of, read_tree
from airis_mon.query.yamltree import Mapping as Fields
from airis_mon.series.labels import METRIC

LARGEST_BYTES = 10_000_000
MOST_VALUES = 1_000_000
"""So many values may a file have, aliases followed."""
MOST_FAULTS = 1000

_GROUP = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_WILD = re.compile(r"[*?\[]")

T = TypeVar("T")


def load_rules(patterns: Iterable[str]) -> tuple[RuleGroup, ...]:
    """The groups of all files that the patterns mean: files by path, each once, groups as their file has them.

    Raises BadRules, which lists the faults of all files, when any of them cannot be taken as a whole.
    """
    groups: list[RuleGroup] = []
    faults: list[RuleFault] = []
    for path in paths_of(patterns):
        try:
            groups += parse_rules(path, _text(path))
        except BadRules as error:
            faults += error.faults
    _refuse(faults)
    return tuple(groups)


def paths_of(patterns: Iterable[str]) -> list[str]:
    """The files that patterns mean, each once, by path."""
    return sorted({path for pattern in patterns for path in _paths(pattern)})


def parse_rules(file: str, text: str) -> tuple[RuleGroup, ...]:
    """The groups of one file's text. Raises BadRules with everything that is wrong with it."""
    reader = _Reader(file)
    try:
        tree = read_tree(text)
        groups = reader.file(tree) if tree is not None else ()
    except Malformed as error:
        raise BadRules((RuleFault(file, error.line, error.column, str(error)),)) from None
    _refuse(sorted(reader.faults, key=lambda fault: (fault.line, fault.column)))
    return groups


def _refuse(faults: Sequence[RuleFault]) -> None:
    """Raises BadRules when there is any fault; of very many some are listed."""
    left = len(faults) - MOST_FAULTS
    more = [RuleFault(faults[-1].file, 0, 0, f"{left} more faults are not listed")] if left > 0 else []
    if faults:
        raise BadRules((*faults[:MOST_FAULTS], *more))


def _paths(pattern: str) -> list[str]:
    """The files of a pattern; a path without wildcards stands for itself, whether or not it is there."""
    if _WILD.search(pattern) is None:
        return [pattern]
    return glob.glob(pattern, include_hidden=True)  # noqa: PTH207  # Path.glob takes no absolute patterns


def _text(path: str) -> str:
    """A file's text. Raises BadRules."""
    if not _is_utf8(path):
        raise BadRules((RuleFault(ascii(path), 0, 0, "the path is not UTF-8; rename the file"),))
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  Path.stat says no more
            raise BadRules((RuleFault(path, 0, 0, "it is no regular file; name files alone"),))
        with open(path, "rb", opener=_opened) as file:
            raw = file.read(LARGEST_BYTES + 1) or b""
        if len(raw) > LARGEST_BYTES:
            raise BadRules((RuleFault(path, 0, 0, f"the file has more than {LARGEST_BYTES} bytes; divide it"),))
        return raw.decode()
    except OSError as error:
        raise BadRules((RuleFault(path, 0, 0, f"the file cannot be read: {error.strerror}"),)) from None
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise BadRules((RuleFault(path, line, column, "the file is not UTF-8"),)) from None


def _opened(path: str, flags: int) -> int:
    """Without waiting, if meanwhile a pipe has taken the file's place."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class _Reader:
    """Collects the faults of one file while its rules are read; place: in which group and rule it is."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.faults: list[RuleFault] = []
        self.values = 0
        self.expressions: dict[str, str] = {}
        self.group_name = ""
        self.rule_number = 0
        self.rule_name = ""

    def fault(self, at: Tree, why: str) -> None:
        place = (self.group_name, self.rule_number, self.rule_name)
        printable = why.encode(errors="backslashreplace").decode()
        self.faults.append(RuleFault(self.path, at.line, at.column, printable, *place))

    def count(self, tree: Tree) -> None:
        """Raises Malformed when aliases unfold to more than a file may hold."""
        self.values += 1
        if self.values > MOST_VALUES:
            raise Malformed(tree.line, tree.column, f"the file has more than {MOST_VALUES} values, aliases followed")

    # Kinds of values

    def fields(self, tree: Tree, what: str, known: Sequence[str] | None = None) -> dict[str, tuple[Scalar, Tree]]:
        """The pairs of a mapping by key; known: the only keys it may have. What is null has none."""
        self.count(tree)
        if not isinstance(tree, Fields):
            if not (isinstance(tree, Scalar) and tree.is_null):
                self.fault(tree, f"{what} must be a mapping, not {_kind(tree)}")
            return {}
        found: dict[str, tuple[Scalar, Tree]] = {}
        for key, value in pairs_of(tree):
            self.count(value)
            if not isinstance(key, Scalar):
                self.fault(key, f"a key of {what} must be text, not {_kind(key)}")
            elif key.value in found:
                self.fault(key, f'mapping key "{key.value}" already defined at line {found[key.value][0].line}')
            elif known is not None and key.value not in known:
                self.fault(key, f"field {key.value} not found in {what}; {_hint(key.value, known)}")
            else:
                found[key.value] = key, value
        return found

    def items(self, found: Mapping[str, tuple[Scalar, Tree]], name: str) -> list[Tree]:
        tree = found[name][1] if name in found else None
        if tree is None or (isinstance(tree, Scalar) and tree.is_null):
            return []
        if not isinstance(tree, Items):
            self.fault(tree, f"{name} must be a list, not {_kind(tree)}")
            return []
        return tree.items

    def text(self, found: Mapping[str, tuple[Scalar, Tree]], name: str) -> str:
        """The text of a key, empty when it has none."""
        if name not in found:
            return ""
        tree = found[name][1]
        if not isinstance(tree, Scalar):
            self.fault(tree, f"{name} must be text, not {_kind(tree)}")
            return ""
        if not _is_utf8(tree.value):
            self.fault(tree, f"{name} is not valid UTF-8")
            return ""
        return tree.value

    def parsed(self, found: Mapping[str, tuple[Scalar, Tree]], name: str, read: Callable[[str], T], missing: T) -> T:
        """The value of a key by a function that raises InputError, `missing` when there is none."""
        faults = len(self.faults)
        text = self.text(found, name)
        if len(self.faults) > faults or name not in found or (text == "" and _is_null(found[name][1])):
            return missing
        try:
            return read(text)
        except InputError as error:
            self.fault(found[name][1], f"{name}: {error}")
            return missing

    def labels(self, found: Mapping[str, tuple[Scalar, Tree]], name: str) -> dict[str, tuple[Tree, str]]:
        """Names with their texts and where these stand; name: labels or annotations."""
        if name not in found:
            return {}
        kind = name.removesuffix("s")
        pairs = self.fields(found[name][1], name)
        for key, (at, _) in pairs.items():
            if not key or not _is_utf8(key) or (key == METRIC and kind == "label"):
                self.fault(at, f"invalid {kind} name: {key}")
        return {key: (value, self.text(pairs, key)) for key, (_, value) in pairs.items()}

    # Files, groups and rules

    def file(self, tree: Tree) -> tuple[RuleGroup, ...]:
        found = self.fields(tree, "a rule file", ("groups",))
        groups: list[RuleGroup] = []
        lines: dict[str, int] = {}
        for item in self.items(found, "groups"):
            group = self.group(item)
            if not group.name:
                self.fault(item, "Groupname must not be empty")
            elif group.name in lines:
                first = lines[group.name]
                self.fault(item, f'groupname: "{group.name}" is repeated in the same file, first in line {first}')
            lines.setdefault(group.name, item.line)
            groups.append(group)
            self.group_name = ""
        return tuple(groups)

    def group(self, tree: Tree) -> RuleGroup:
        self.group_name = _peeked(tree, "name")
        found = self.fields(tree, "a group", _GROUP)
        name = self.text(found, "name")
        labels = self.labels(found, "labels")
        rules = self.rules(self.items(found, "rules"), labels)
        if any(isinstance(rule, AlertingRule) for rule in rules):
            self.templates("label", labels, "")
        return RuleGroup(
            name=name,
            file=self.path,
            interval_ms=self.parsed(found, "interval", parse_duration, 0) or None,
            limit=self.parsed(found, "limit", _integer, 0),
            query_offset_ms=self.parsed(found, "query_offset", _offset, None),
            labels=_sorted(labels),
            rules=rules,
        )

    def rules(self, items: Iterable[Tree], labels: Mapping[str, tuple[Tree, str]]) -> tuple[Rule, ...]:
        first: dict[Rule, int] = {}
        rules: list[Rule] = []
        for number, item in enumerate(items, 1):
            self.rule_number, faults = number, len(self.faults)
            rule = self.rule(item, labels)
            if rule in first and len(self.faults) == faults:
                self.fault(item, f"the rule says the same as rule {first[rule]} of its group; remove one of them")
            first.setdefault(rule, number)
            rules.append(rule)
            self.rule_number, self.rule_name = 0, ""
        return tuple(rules)

    def rule(self, tree: Tree, of_group: Mapping[str, tuple[Tree, str]]) -> Rule:
        self.rule_name = _peeked(tree, "alert") or _peeked(tree, "record")
        found = self.fields(tree, "a rule", _RULE)
        if not isinstance(tree, Fields) and not _is_null(tree):
            return RecordingRule("", "")  # that it is no mapping has been said
        record, alert = self.text(found, "record"), self.text(found, "alert")
        if record and alert:
            self.fault(found["record"][1], "only one of 'record' and 'alert' must be set")
        elif not record and not alert:
            self.fault(tree, "one of 'record' or 'alert' must be set")
        expr = self.expr(tree, found)
        own = self.labels(found, "labels")
        labels = _sorted({**of_group, **own})
        wait = self.parsed(found, "for", parse_duration, 0)
        keep = self.parsed(found, "keep_firing_for", parse_duration, 0)
        annotations = self.labels(found, "annotations")
        if record:
            self.recording(record, found, {"annotations": annotations, "for": wait, "keep_firing_for": keep})
            return RecordingRule(record, expr, labels)
        self.templates("label", own, alert)
        self.templates("annotation", annotations, alert)
        return AlertingRule(alert, expr, wait, keep, labels, _sorted(annotations))

    def expr(self, tree: Tree, found: Mapping[str, tuple[Scalar, Tree]]) -> str:
        faults = len(self.faults)
        expr = self.text(found, "expr")
        if not expr and len(self.faults) == faults:
            self.fault(found["expr"][1] if "expr" in found else tree, "field 'expr' must be set in rule")
        if expr:
            if expr not in self.expressions:  # aliases may say the same one very often
                self.expressions[expr] = _why_malformed(expr)
            if why := self.expressions[expr]:
                self.fault(found["expr"][1], f"could not parse expression: {why}")
        return expr

    def recording(
        self, record: str, found: Mapping[str, tuple[Scalar, Tree]], only_of_alerts: Mapping[str, object]
    ) -> None:
        for name, value in only_of_alerts.items():
            if value:
                self.fault(found[name][0], f"invalid field '{name}' in recording rule")
        if "{" in record or "}" in record:
            why = "braces present in the recording rule name; should it be in expr?"
            self.fault(found["record"][1], f"{why}: {record}")

    def templates(self, kind: str, texts: Mapping[str, tuple[Tree, str]], alert: str) -> None:
        for name, (at, text) in texts.items():
            try:
                check(text, alert)
            except TemplateError as error:
                self.fault(at, f'{kind} "{name}": {error}')


def _why_malformed(expr: str) -> str:
    try:
        parse(expr)
    except InputError as error:
        return str(error)
    return ""


def _sorted(labels: Mapping[str, tuple[Tree, str]]) -> RuleLabels:
    return tuple(sorted((name, text) for name, (_, text) in labels.items()))


def _peeked(tree: Tree, name: str) -> str:
    """The text of a key before the mapping is checked: what faults are named by."""
    pairs = tree.pairs if isinstance(tree, Fields) else []
    found = [v.value for k, v in pairs if isinstance(k, Scalar) and isinstance(v, Scalar) and k.value == name]
    return found[0].encode(errors="backslashreplace").decode() if found else ""


def _offset(text: str) -> int | None:
    return parse_duration(text)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]{1,9}", text):
        raise InputError(f'not an integer: "{text}"')
    return max(int(text), 0)  # as Prometheus, which takes a negative limit for none


def _kind(tree: Tree) -> str:
    return {Scalar: "text", Items: "a list", Fields: "a mapping"}[type(tree)]


def _is_null(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.is_null


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _hint(key: str, known: Sequence[str]) -> str:
    close = get_close_matches(key, known, 1)
    return f"did you mean {close[0]}?" if close else f"it may have {', '.join(known)}"
