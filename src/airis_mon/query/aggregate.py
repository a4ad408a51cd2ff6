"""Aggregation: a vector's series in groups by their labels, one result each. Pure."""

from __future__ import annotations

from airis_mon.errors import QueryError
from airis_mon.query.values import Value, Vector


def aggregate(op: str, vector: Vector, param: Value | None, labels: tuple[str, ...], *, is_without: bool) -> Vector:
    """The groups' results at each step."""
    raise QueryError(f"aggregation {op} is not built")
