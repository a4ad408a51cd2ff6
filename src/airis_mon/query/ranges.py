"""Range functions over samples in memory: of subqueries, and those that the store has no function for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airis_mon.errors import QueryError
from airis_mon.query.values import Runs, Value, Vector
from airis_mon.series.batch import Times


def over(
    function: str,
    runs: Runs,
    ends: Times,
    window: int,
    args: Sequence[Value],
    t: Times,
    check: Callable[[], None],
) -> Vector:
    """The function of each series' samples in (end - window, end] for each end; the labels are the runs'.

    ends: (steps,) ms; t: (steps,) ms, the moments of evaluation, which differ from `ends` by offset and @; check
    raises when the query is to end.
    """
    raise QueryError(f"unsupported function {function}")
