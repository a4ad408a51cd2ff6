"""Arithmetic and comparison between numbers, as IEEE 754 and Go's `math` have them. Pure."""

from __future__ import annotations

import numpy as np

from airis_mon.query.values import Flags
from airis_mon.series.batch import Values

ARITHMETIC: dict[str, np.ufunc] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "%": np.fmod,  # the sign of the dividend, as math.Mod; np.mod takes the divisor's
    "^": np.float_power,  # np.power takes the square root for 0.5, which is NaN of -Inf
    "atan2": np.arctan2,
}
COMPARISONS: dict[str, np.ufunc] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


def number(op: str, lhs: Values, rhs: Values) -> Values:
    """The operator's result; a comparison gives 1 or 0. The sides broadcast."""
    with np.errstate(all="ignore"):
        found = (ARITHMETIC.get(op) or COMPARISONS[op])(lhs, rhs)
    return np.asarray(found, np.float64)


def combined(op: str, lhs: Values, rhs: Values, has: Flags, kept: Values, *, is_bool: bool) -> tuple[Values, Flags]:
    """(values, where they are) of an operator between samples that are there where `has` says so.

    A comparison without `bool` gives `kept` where it holds and nothing elsewhere.
    """
    if is_bool or op in ARITHMETIC:
        return number(op, lhs, rhs), has
    return kept, has & COMPARISONS[op](lhs, rhs)
