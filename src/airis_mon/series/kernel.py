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
    return _compiled(function, FLAGS)


def bare(function: F) -> F:
    """As `kernel`, without reference counts: for a loop that reads and writes arrays it was given and makes none.

    Counting cost the remote write walker 105 of 124 ns a sample, an atomic step per array and helper call.
    """
    return _compiled(function, {**FLAGS, "_nrt": False})


def exact_kernel(function: F) -> F:
    """As `kernel`, with every operation rounded as IEEE 754 says: for results that another program must reproduce."""
    return _compiled(function, {**FLAGS, "fastmath": False})


def inlined(function: F) -> F:
    """Compiles `function` into each kernel that calls it.

    LLVM inlines it: numba's own inlining runs as fast and doubles the time to compile.
    """
    return numba.njit(forceinline=True, **FLAGS)(function)  # type: ignore[no-any-return]


def _compiled(function: F, flags: dict[str, Any]) -> F:
    try:
        return numba.njit(cache=True, **flags)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return numba.njit(**flags)(function)  # type: ignore[no-any-return]
