"""Functions of values at one step: mathematics, labels, time and date, sorting, histograms. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from airis_mon.errors import QueryError
from airis_mon.query.values import Value
from airis_mon.series.steps import Steps


def call(function: str, args: Sequence[Value], steps: Steps) -> Value:
    """The function's value at each step."""
    raise QueryError(f"unsupported function {function}")
