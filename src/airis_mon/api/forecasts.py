"""Forecasts of values and of watched signals."""

from __future__ import annotations

from typing import Any

ROUTES: tuple[Any, ...] = ()
