"""Forecasts of watched signals on a schedule: made, stored, held against what then happened."""

from __future__ import annotations


class Fleet:
    """Forecasts all watched signals again and again."""
