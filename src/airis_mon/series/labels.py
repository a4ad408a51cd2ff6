"""A series' name: its sorted labels, their fingerprint, and how both are written."""

from __future__ import annotations

import re
from collections.abc import Iterable

import xxhash

Labels = tuple[tuple[str, str], ...]
"""Sorted by name, no name twice, no empty value; the metric's name is the label `__name__`."""

METRIC = "__name__"
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def canonical(pairs: Iterable[tuple[str, str]]) -> Labels:
    """Sorted labels without empty values (an empty value is an absent label, as Prometheus has it).

    Raises ValueError for an empty or repeated name and for a missing `__name__`.
    """
    labels = tuple(sorted((n, v) for n, v in pairs if v))
    names = [n for n, _ in labels]
    if "" in names:
        raise ValueError("a label has an empty name")
    if len(set(names)) != len(names):
        twice = next(n for i, n in enumerate(names) if n in names[:i])
        raise ValueError(f"label {twice!r} stands twice")
    if METRIC not in names:
        raise ValueError(f"label {METRIC!r} (the metric's name) is missing")
    return labels


def packed(labels: Labels) -> bytes:
    """Length-prefixed bytes: unambiguous, the same in every process, the input of the fingerprint."""
    parts: list[bytes] = []
    for pair in labels:
        for word in pair:
            raw = word.encode()
            parts += (len(raw).to_bytes(4, "little"), raw)
    return b"".join(parts)


def fingerprint(labels: Labels, salt: int = 0) -> int:
    """The series' 64-bit identity; `salt` tells two label sets apart that meet in one value."""
    return xxhash.xxh3_64_intdigest(packed(labels), seed=salt)


def metric_of(labels: Labels) -> str:
    """The metric's name."""
    return next(v for n, v in labels if n == METRIC)


def without(labels: Labels, *names: str) -> Labels:
    """The labels less some of them."""
    return tuple([p for p in labels if p[0] not in names])


def series_name(labels: Labels) -> str:
    """`metric{a="b"}`, or `metric` alone when there is no other label."""
    rest = ",".join(f'{n}="{v.translate(_ESCAPES)}"' for n, v in labels if n != METRIC)
    metric = dict(labels).get(METRIC, "")
    return f"{metric}{{{rest}}}" if rest or not metric else metric


def hex_id(fp: int) -> str:
    """A fingerprint as it stands in JSON and paths: 16 hex digits."""
    return f"{fp:016x}"


def first_of(labels: Labels, names: Iterable[str]) -> str:
    """The value of the first of some labels that there is, "" for none of them."""
    values = dict(labels)
    return next((values[name] for name in names if name in values), "")
