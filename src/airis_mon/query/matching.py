"""Arithmetic and comparison between two vectors: how their series find each other, and what the results are called.

Everything is judged step by step, as in Prometheus: two series of one signature contradict each other only where both
have a sample. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.errors import QueryError
from airis_mon.query.grouping import Groups, Index, parts
from airis_mon.query.operators import ARITHMETIC, combined
from airis_mon.query.plan import Matching
from airis_mon.query.size import CheckCells
from airis_mon.query.template_format import quoted
from airis_mon.query.values import Flags, Vector, empty, merged, vector
from airis_mon.series.batch import Values
from airis_mon.series.labels import METRIC, Labels

_IMPLICIT = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
_AMBIGUOUS = "multiple matches for labels: grouping labels must ensure unique matches"
Naming = Callable[[Labels, Labels], Labels]


def matched(op: str, lhs: Vector, rhs: Vector, matching: Matching, check_cells: CheckCells, *, is_bool: bool) -> Vector:
    """The operator between the series of two vectors that have equal signatures.

    Raises QueryError where a step has several candidates on the one side, or several results of one signature: what
    a comparison has filtered away is none. check_cells is asked before the pairs' values are laid out.
    """
    is_swapped = matching.card == "one-to-many"
    many, one = (rhs, lhs) if is_swapped else (lhs, rhs)
    if not (len(many) and len(one)):
        return empty(lhs.has.shape[1])
    pairs = _paired(many, one, matching)
    check_cells(len(pairs.many) * many.has.shape[1])
    has = many.has[pairs.many] & pairs.has[pairs.one]
    name = _naming(matching, is_nameless=is_bool or op in ARITHMETIC, is_bool=is_bool)
    labels = [name(many.labels[m], pairs.labels[o]) for m, o in zip(pairs.many, pairs.one, strict=True)]
    left, right = many.value[pairs.many], pairs.value[pairs.one]
    if is_swapped:
        left, right = right, left
    value, has = combined(op, left, right, has, left, is_bool=is_bool)
    _check_unique(pairs.signature, labels, has, matching)
    return merged(vector(labels, value, has)).present()


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Which series of the many side goes with which of the one side.

    many, one, signature: (pairs,) indices; labels, value, has: of the one side, its alternating series made one.
    """

    many: Index
    one: Index
    signature: Index
    labels: Sequence[Labels]
    value: Values
    has: Flags


def _paired(many: Vector, one: Vector, matching: Matching) -> _Pairs:
    is_without = not matching.is_on
    signatures: Groups[Labels] = Groups.of(parts(one.labels, matching.labels, is_without=is_without))
    if signatures.has_pairs:
        _check_one_side(many, one, signatures, matching)
    position = {key: i for i, key in enumerate(signatures.keys)}
    keys = parts(many.labels, matching.labels, is_without=is_without)
    found = np.array([position.get(key, -1) for key in keys], np.intp)
    rows = np.flatnonzero(found >= 0)
    if not signatures.has_pairs:
        return _Pairs(rows, found[rows], found[rows], one.labels, one.value, one.has)
    # Series that share a signature take turns. They become one, except where the result is to carry their labels.
    included = parts(one.labels, matching.include, is_without=False)
    variants = Groups.of(zip(signatures.index.tolist(), included, strict=True))
    value, has = _by_turns(one, variants)
    of = np.array([signature for signature, _ in variants.keys], np.intp)
    labels = [label for _, label in variants.keys]
    chosen = _meetings(many.has, has, rows, found, of)
    return _Pairs(chosen[0], chosen[1], of[chosen[1]], labels, value, has)


def _by_turns(one: Vector, variants: Groups[tuple[int, Labels]]) -> tuple[Values, Flags]:
    """(variants, steps) the values of series of which no two have a sample at the same step."""
    row, step = np.nonzero(one.has)
    value = np.full((len(variants), one.has.shape[1]), np.nan)
    value[variants.index[row], step] = one.value[row, step]
    return value, variants.any(one.has)


def _meetings(many_has: Flags, one_has: Flags, rows: Index, found: Index, of: Index) -> tuple[Index, Index]:
    """(series of the many side, variants of the one side) that meet at any step.

    of: the signature of each variant. They are looked up by step because all combinations could be too many.
    """
    now = np.full((int(of.max()) + 1, one_has.shape[1]), -1, np.intp)
    variant, step = np.nonzero(one_has)
    now[of[variant], step] = variant
    at = now[found[rows]]  # (rows, step)
    row, step = np.nonzero(many_has[rows] & (at >= 0))
    codes = np.unique(rows[row] * len(of) + at[row, step])
    return codes // len(of), codes % len(of)


def _check_one_side(many: Vector, one: Vector, signatures: Groups[Labels], matching: Matching) -> None:
    doubled = (signatures.count(one.has) > 1) & many.has.any(axis=0)
    if not doubled.any():
        return
    rows = np.flatnonzero(one.has[:, np.argmax(doubled.any(axis=0))])  # at the first such step
    groups, firsts = np.unique(signatures.index[rows], return_index=True)
    second = rows[np.setdiff1d(np.arange(len(rows)), firsts)[0]]
    group = signatures.index[second]
    first = rows[firsts[np.searchsorted(groups, group)]]
    side = "left" if matching.card == "one-to-many" else "right"
    raise QueryError(
        f"found duplicate series for the match group {_shown(signatures.keys[group])} on the {side} hand-side of the "
        f"operation: [{_shown(one.labels[second])}, {_shown(one.labels[first])}]"
        ";many-to-many matching not allowed: matching labels must be unique on one side"
    )


def _check_unique(signature: Index, labels: Sequence[Labels], has: Flags, matching: Matching) -> None:
    """One-to-one: a signature has one pair at a step. Grouped: it may have several, with different labels."""
    keys: Iterator[Hashable]
    if matching.card == "one-to-one":
        message, keys = _IMPLICIT, iter(signature.tolist())
    else:
        message, keys = _AMBIGUOUS, zip(signature.tolist(), labels, strict=True)
    groups: Groups[Hashable] = Groups.of(keys)
    if groups.has_pairs and (groups.count(has) > 1).any():
        raise QueryError(message)


def _naming(matching: Matching, *, is_nameless: bool, is_bool: bool) -> Naming:
    """How a result is called, from the labels of its many side and those included from its one side."""
    gone = frozenset({METRIC} if is_nameless else ())
    if matching.card == "one-to-one":
        if matching.is_on:
            kept = frozenset(matching.labels) - gone
            return lambda many, _: tuple([pair for pair in many if pair[0] in kept])
        gone |= frozenset(matching.labels)
        return lambda many, _: tuple([pair for pair in many if pair[0] not in gone])
    # An included name is set after arithmetic has dropped the many side's; `bool` drops whatever name there is.
    taken = frozenset(matching.include) - (gone if is_bool else frozenset())
    gone |= taken
    if not taken:
        return lambda many, _: tuple([pair for pair in many if pair[0] not in gone])
    return lambda many, one: tuple(
        sorted([pair for pair in many if pair[0] not in gone] + [pair for pair in one if pair[0] in taken])
    )


def _shown(labels: Labels) -> str:
    """The labels as Prometheus writes them in its messages, the metric's name among them."""
    return "{" + ", ".join(f"{name}={quoted(value)}" for name, value in labels) + "}"
