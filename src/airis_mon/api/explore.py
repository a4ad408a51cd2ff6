"""Decomposition, change points, correlations, similar shapes, comparisons."""

from __future__ import annotations

from typing import Any

ROUTES: tuple[Any, ...] = ()
