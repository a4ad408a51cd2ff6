"""How large a query may become. Pure."""

from __future__ import annotations

from collections.abc import Callable

from airis_mon.errors import QueryError

MOST_CELLS = 50_000_000
"""Numbers held at once, 9 bytes each: whatever makes more of them than it was given must ask before it does."""


CheckCells = Callable[[int], None]
"""Raises QueryError when so many numbers more than are held already are too many."""


def check_cells(cells: int, most: int) -> None:
    """Raises QueryError for more than the most numbers."""
    if cells > most:
        raise QueryError(
            "query processing would load too many samples into memory in query execution: "
            f"{cells:,}, at most {most:,}; ask for fewer series, a shorter time or a larger step"
        )
