"""What will run out: limits watched on a schedule, warnings raised and ended."""

from __future__ import annotations


class Predictions:
    """Watches limits."""
