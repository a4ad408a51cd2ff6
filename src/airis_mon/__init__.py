"""AIRIS-MON: an AIOps engine that sits beside a monitoring stack and changes nothing in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airis_mon.manager import AIOpsManager

__all__ = ["AIOpsManager", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Loaded on first use: the manager brings the web framework and the kernels, `import airis_mon` should not.
    if name == "AIOpsManager":
        from airis_mon.manager import AIOpsManager

        return AIOpsManager
    raise AttributeError(f"module 'airis_mon' has no attribute {name!r}")
