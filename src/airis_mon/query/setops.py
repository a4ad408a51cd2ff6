"""Set operators: which samples of two vectors stay, by whether the other side has a match at the same step. Pure."""

from __future__ import annotations

import numpy as np

from airis_mon.query.grouping import Groups, parts
from airis_mon.query.plan import Matching
from airis_mon.query.values import Flags, Vector, merged, vector
from airis_mon.series.labels import Labels

SET_OPERATORS = frozenset({"and", "or", "unless"})


def set_operation(op: str, lhs: Vector, rhs: Vector, matching: Matching) -> Vector:
    """`and`: samples of lhs that have a match; `unless`: those that have none; `or`: lhs, and of rhs what has none."""
    if op == "or":
        more = vector(rhs.labels, rhs.value, rhs.has & ~_matched(rhs, lhs, matching)).present()
        return _together(lhs, more)
    matched = _matched(lhs, rhs, matching)
    return vector(lhs.labels, lhs.value, lhs.has & (matched if op == "and" else ~matched)).present()


def _matched(of: Vector, among: Vector, matching: Matching) -> Flags:
    """(series of `of`, steps) where `among` has a series of the same signature."""
    if not len(among):
        return np.zeros_like(of.has)
    groups: Groups[Labels] = Groups.of(parts(among.labels, matching.labels, is_without=not matching.is_on))
    there = np.vstack([groups.any(among.has), np.zeros((1, among.has.shape[1]), np.bool_)])
    position = {key: i for i, key in enumerate(groups.keys)}
    found = [position.get(key, -1) for key in parts(of.labels, matching.labels, is_without=not matching.is_on)]
    return there[np.array(found, np.intp)]


def _together(lhs: Vector, rhs: Vector) -> Vector:
    """Both, one after the other. At no step they have equal labels: those would have had equal signatures."""
    if not len(rhs):
        return lhs
    return merged(Vector([*lhs.labels, *rhs.labels], np.vstack([lhs.value, rhs.value]), np.vstack([lhs.has, rhs.has])))
