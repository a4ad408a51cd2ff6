"""Operators between two values: arithmetic, comparisons and set operators, and how series find each other. Pure."""

from __future__ import annotations

from airis_mon.errors import QueryError
from airis_mon.query.matching import matched
from airis_mon.query.operators import ARITHMETIC, combined, number
from airis_mon.query.plan import Matching
from airis_mon.query.setops import SET_OPERATORS, set_operation
from airis_mon.query.size import CheckCells
from airis_mon.query.values import Scalar, Text, Value, Vector, nameless, vector
from airis_mon.series.batch import Values


def binary(op: str, lhs: Value, rhs: Value, matching: Matching, check_cells: CheckCells, *, is_bool: bool) -> Value:
    """The operator between two values at each step; check_cells: asked before it makes more of them.

    Raises QueryError where the series of a step do not match as they must, or get equal labels.
    """
    match lhs, rhs:
        case Scalar(), Scalar():
            return Scalar(number(op, lhs.value, rhs.value))
        case Vector(), Scalar():
            return _with_scalar(op, lhs, lhs.value, rhs.value, is_bool=is_bool)
        case Scalar(), Vector():
            return _with_scalar(op, rhs, lhs.value, rhs.value, is_bool=is_bool)
        case Vector(), Vector():
            if op in SET_OPERATORS:
                return set_operation(op, lhs, rhs, matching)
            return matched(op, lhs, rhs, matching, check_cells, is_bool=is_bool)
    raise QueryError("binary expression must contain only scalar and instant vector types")


def negate(value: Value) -> Value:
    """Minus the value; a vector loses its name. Raises QueryError where series then have equal labels."""
    match value:
        case Scalar():
            return Scalar(-value.value)
        case Vector():
            return nameless(Vector(value.labels, -value.value, value.has))
        case Text():
            raise QueryError(
                'unary expression only allowed on expressions of type scalar or instant vector, got "string"'
            )


def _with_scalar(op: str, of: Vector, lhs: Values, rhs: Values, *, is_bool: bool) -> Vector:
    """The operator between a vector's samples and a scalar; a comparison keeps the samples for which it holds."""
    value, has = combined(op, lhs, rhs, of.has, of.value, is_bool=is_bool)
    found = vector(of.labels, value, has)
    return nameless(found) if is_bool or op in ARITHMETIC else found.present()
