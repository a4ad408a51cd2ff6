"""Questions about series, answered in worker threads: how many at once, how long, kept by content."""

from __future__ import annotations


class Analytics:
    """Answers questions about values that are sent along and about stored series."""
