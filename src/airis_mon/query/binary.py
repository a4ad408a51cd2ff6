"""Operators between two values: arithmetic, comparisons and set operators, and how series find each other. Pure."""

from __future__ import annotations

from airis_mon.errors import QueryError
from airis_mon.query.plan import Matching
from airis_mon.query.values import Value


def binary(op: str, lhs: Value, rhs: Value, matching: Matching, *, is_bool: bool) -> Value:
    """The operator between two values at each step."""
    raise QueryError(f"operator {op} is not built")


def negate(value: Value) -> Value:
    """Minus the value."""
    raise QueryError("operator - is not built")
