"""How numba compiles every kernel here: one set of flags, no lock, a cache on disk where one can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

# Never `nnan`: NaN means "unseen" and "missing". numba's default raises ZeroDivisionError, numpy's gives inf.
FLAGS: dict[str, Any] = {
    "fastmath": {"contract", "arcp", "nsz", "reassoc"},
    "error_model": "numpy",
    "nogil": True,
}


def kernel(function: F) -> F:
    """Compiles `function` at its first call, from the cache when there is one.

    The cache's folder is numba's `NUMBA_CACHE_DIR`, which the application sets before it imports a kernel; where
    no folder can be written, the function is compiled anew in every process.
    """
    try:
        return numba.njit(cache=True, **FLAGS)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return numba.njit(**FLAGS)(function)  # type: ignore[no-any-return]


def inlined(function: F) -> F:
    """Compiles `function` into each kernel that calls it."""
    return numba.njit(inline="always", **FLAGS)(function)  # type: ignore[no-any-return]
