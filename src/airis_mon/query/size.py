"""How large a computed vector may become. Pure."""

from __future__ import annotations

from airis_mon.errors import QueryError

MOST_CELLS = 50_000_000
"""Of one vector, 9 bytes each: an operation that makes more series than it was given must ask before it does."""


def check_cells(rows: int, steps: int) -> None:
    """Raises QueryError when a vector of so many series over so many steps is too large."""
    if rows * steps > MOST_CELLS:
        raise QueryError(
            "query processing would load too many samples into memory in query execution: "
            f"{rows:,} series of {steps:,} steps are computed, at most {MOST_CELLS:,} samples are kept; "
            "ask for fewer series, a shorter time or a larger step"
        )
