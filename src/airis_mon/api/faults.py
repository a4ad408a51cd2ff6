"""What is wrong with a JSON body: one entry per fault, as far as they are told."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from airis_mon.errors import InputError, Refusal
from airis_mon.series.batch import MAX_REFUSALS

MOST_BYTES = 256 * 1024
"""Of a larger body only the first fault is told: to read it again, for what it holds, takes seconds of the server."""
_AT = re.compile(r" - at `(\$[^`]*)`\Z")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_ENUM = re.compile(r"Invalid enum value '?(.*?)'?", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_BYTE = re.compile(r"\(byte (\d+)\)")
_NO_NUMBER = re.compile(rb"(?<![\w\"])-?(?:NaN|Infinity|nan|inf)\b")
_SHOWN = 80

Schema = Mapping[str, Any]


def faulty(body: bytes, schema: Schema, message: str) -> InputError:
    """Why a JSON text is not what was asked for.

    schema: of what was asked for, without references; message: what msgspec said of the first fault.
    """
    found = _AT.search(message)
    path, reason = (found[1], message[: found.start()]) if found else ("$", message)
    raw = _any(body) if len(body) <= MOST_BYTES else None
    faults = _faults(raw, schema, path, reason)
    told: dict[str, Refusal] = {}
    for refusal in islice(faults, MAX_REFUSALS):
        told.setdefault(refusal.path, refusal)
    first = next(iter(told.values()))
    return InputError(f"{first.path}: {first.reason}", tuple(told.values()))


def no_json(body: bytes, error: Exception) -> InputError:
    """Why a text is no JSON at all."""
    reason = f"is no JSON: {error}"
    place = _BYTE.search(str(error))
    at = int(place[1]) if place else 0
    if place and _NO_NUMBER.search(body[max(0, at - 3) : at + 12]):
        reason = "is no JSON, which has neither NaN nor Infinity; leave such values out"
    return InputError(f"$: {reason}", (Refusal("$", body[:_SHOWN].decode(errors="replace"), reason),))


def _faults(raw: Any, schema: Schema, path: str, reason: str) -> Iterator[Refusal]:
    """The first fault, and of what was read again all bad numbers beside it and all fields that there are not."""
    parent = path.rpartition("[")[0]
    is_number = path.endswith("]") and "`float`" in reason
    numbers = _at(raw, parent if is_number else "$.values")
    bad = _bad_numbers(numbers, parent if is_number else "$.values")
    if is_number and (first := next(bad, None)) is not None:
        yield first
    else:
        yield _first(raw, schema, path, reason)
    if is_number or _within(schema, "$.values").get("items", {}).get("type") == "number":
        yield from bad
    if isinstance(raw, dict):
        known = list(schema.get("properties", {}))
        yield from (_no_field("$", name, known) for name in raw if name not in known)


def _first(raw: Any, schema: Schema, path: str, reason: str) -> Refusal:
    if unknown := _UNKNOWN.fullmatch(reason):
        return _no_field(path, unknown[1], list(_within(schema, path).get("properties", {})))
    if missing := _MISSING.fullmatch(reason):
        return Refusal(f"{path}.{missing[1]}", "", "is missing")
    if wrong := _ENUM.fullmatch(reason):
        allowed = [str(one) for one in _within(schema, path).get("enum", ())]
        near = difflib.get_close_matches(wrong[1][:_SHOWN], allowed, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return Refusal(path, wrong[1][:_SHOWN], f"is none of {', '.join(allowed)}{hint}" if allowed else reason[:200])
    return Refusal(path, "" if raw is None else json.dumps(_at(raw, path))[:200], reason)


def _no_field(path: str, name: str, known: Sequence[str]) -> Refusal:
    name = name[:_SHOWN]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
    return Refusal(f"{path}.{name}", "", f"is no field here; {hint}")


def _bad_numbers(values: Any, parent: str) -> Iterator[Refusal]:
    for i, value in enumerate(values if isinstance(values, list) else ()):
        if isinstance(value, bool) or not isinstance(value, int | float):
            shown = json.dumps(value)[:200]
            yield Refusal(f"{parent}[{i}]", shown, "is no number; leave it out or send a number")


def _any(body: bytes) -> Any:
    """A JSON text as it is, to show parts of it; None when that is too deep or too long a number."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _at(raw: Any, path: str) -> Any:
    """What stands at a path such as `$.series[0].values`."""
    for name, index in _STEP.findall(path):
        try:
            raw = raw[int(index)] if index else raw[name]
        except (ValueError, KeyError, IndexError, TypeError):
            return None
    return raw


def _within(schema: Schema, path: str) -> Schema:
    """The part of a schema that a path leads to; empty when it leads nowhere."""
    for name, _ in _STEP.findall(path):
        schema = schema.get("properties", {}).get(name, {}) if name else schema.get("items", {})
    return schema
