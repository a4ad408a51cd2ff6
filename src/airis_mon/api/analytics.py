"""Analyses of values and stored series."""

from __future__ import annotations

from typing import Any

ROUTES: tuple[Any, ...] = ()
