"""The functions of Go's text/template (its documentation, Go 1.24); `and` and `or` are the evaluator's own."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from airis_mon.errors import TemplateError
from airis_mon.query.template_format import sprint, sprintf, sprintln
from airis_mon.query.template_values import Arguments, is_true, type_name

ANY, STRING, RESULT, SAMPLES = "any", "string", "template.queryResult", "*template.sample"


@dataclass(frozen=True, slots=True)
class Function:
    """What a template may call: the kinds of its arguments, that of any number of further ones, or None."""

    run: Callable[..., object]
    takes: tuple[str, ...] = (ANY,)
    more: str | None = None


def _not(value: object) -> bool:
    return not is_true(value)


def _len(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict | list):
        return len(value)
    raise TemplateError("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def _index(item: object, *keys: object) -> object:
    if item is None:
        raise TemplateError("index of untyped nil")
    for key in keys:
        item = _item(item, key)
    return item


def _item(item: object, key: object) -> object:
    if isinstance(item, dict):
        if not isinstance(key, str):
            raise TemplateError(f"value has type {type_name(key)}; should be string")
        return item.get(key, None if isinstance(item, Arguments) else "")
    if not isinstance(item, list | str):
        raise TemplateError(f"can't index item of type {type_name(item)}")
    row = item.encode() if isinstance(item, str) else item
    return row[_position(key, len(row) - 1)]


def _position(key: object, last: int) -> int:
    if type(key) is not int:
        raise TemplateError(f"cannot index slice/array with {'nil' if key is None else f'type {type_name(key)}'}")
    if not 0 <= key <= last:
        raise TemplateError(f"index out of range: {key}")
    return key


def _slice(item: object, *ends: object) -> object:
    if not isinstance(item, str | list):
        raise TemplateError(f"can't slice item of type {type_name(item)}")
    if len(ends) > (2 if isinstance(item, str) else 3):
        raise TemplateError(
            "cannot 3-index slice a string" if len(ends) == 3 else f"too many slice indexes: {len(ends)}"
        )
    row = item.encode() if isinstance(item, str) else item
    bounds = [_position(end, len(row)) for end in ends]
    if bounds != sorted(bounds):
        raise TemplateError(f"invalid slice index: {bounds[0]} > {bounds[1]}")
    part = row[bounds[0] if bounds else 0 : bounds[1] if len(bounds) > 1 else len(row)]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _kind(value: object) -> type | None:
    """The kind by which a value is compared, None when it is no number, text, truth or nil."""
    return type(value) if value is None or isinstance(value, bool | int | float | str) else None


def _eq(first: object, *others: object) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    for other in others:
        if _kind(other) is not _kind(first) and first is not None and other is not None:
            raise TemplateError("incompatible types for comparison")
        if _kind(first) is _kind(other) is None:
            raise TemplateError(f"non-comparable type {type_name(first)}")
        if _kind(other) is _kind(first) and first == other:
            return True
    return False


def _ne(first: object, other: object) -> bool:
    return not _eq(first, other)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    def run(first: object, other: object) -> bool:
        kind, of_other = _kind(first), _kind(other)
        if kind in {None, type(None), bool} or of_other in {None, type(None)}:
            raise TemplateError("invalid type for comparison")
        if kind is not of_other:
            raise TemplateError("incompatible types for comparison")
        return compare(first, other)

    return run


_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"})
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _shown(values: tuple[object, ...]) -> str:
    return sprint(["<no value>" if value is None else value for value in values])


def _html(*values: object) -> str:
    return _shown(values).translate(_HTML)


def _js(*values: object) -> str:
    return "".join(_JS.get(c) or (c if c.isprintable() else f"\\u{ord(c):04X}") for c in _shown(values))


def _urlquery(*values: object) -> str:
    return quote_plus(_shown(values))


BUILTINS: dict[str, Function] = {
    "not": Function(_not),
    "len": Function(_len),
    "index": Function(_index, (ANY,), ANY),
    "slice": Function(_slice, (ANY,), ANY),
    "print": Function(lambda *values: sprint(values), (), ANY),
    "println": Function(lambda *values: sprintln(values), (), ANY),
    "printf": Function(lambda form, *values: sprintf(form, values), (STRING,), ANY),
    "html": Function(_html, (), ANY),
    "js": Function(_js, (), ANY),
    "urlquery": Function(_urlquery, (), ANY),
    "eq": Function(_eq, (ANY,), ANY),
    "ne": Function(_ne, (ANY, ANY)),
    "lt": Function(_ordered(operator.lt), (ANY, ANY)),
    "le": Function(_ordered(operator.le), (ANY, ANY)),
    "gt": Function(_ordered(operator.gt), (ANY, ANY)),
    "ge": Function(_ordered(operator.ge), (ANY, ANY)),
}
