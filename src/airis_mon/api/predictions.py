"""What will run out, and when."""

from __future__ import annotations

from typing import Any

ROUTES: tuple[Any, ...] = ()
