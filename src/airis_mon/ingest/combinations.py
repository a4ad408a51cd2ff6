"""Rows of label codes -> which rows have the same labels, without sorting them and without Python for a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.kernel import kernel

Codes = NDArray[np.int32]
Rows = NDArray[np.int64]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def combinations(codes: Codes) -> tuple[Rows, Rows]:
    """(m,) the first row of each distinct combination, in order of appearance; (n,) the combination of each row.

    codes: (columns, n). Without columns all rows are alike.
    """
    n = codes.shape[1]
    table = np.full(1 << (2 * n + 1).bit_length(), -1, np.int32)  # half full at most
    first, group = np.empty(n, np.int64), np.empty(n, np.int64)
    return first[: _group(np.ascontiguousarray(codes, np.int32), table, first, group)], group


@kernel
def _group(codes: Codes, table: Codes, first: Rows, group: Rows) -> int:
    """Open addressing; a row is compared to the first one of its combination, so that equal hashes do no harm."""
    columns, n = codes.shape
    hashes = np.zeros(n, np.uint64)
    for c in range(columns):
        for i in range(n):
            h = (hashes[i] ^ np.uint64(codes[c, i])) * _MIX
            hashes[i] = h ^ (h >> _SHIFT)
    mask = len(table) - 1
    found = 0
    for i in range(n):
        at = np.int64(hashes[i]) & mask
        while True:
            k = table[at]
            if k < 0:
                table[at] = found
                first[found] = i
                group[i] = found
                found += 1
                break
            if hashes[first[k]] == hashes[i] and _same(codes, first[k], i):
                group[i] = k
                break
            at = (at + 1) & mask
    return found


@kernel
def _same(codes: Codes, a: int, b: int) -> bool:
    for c in range(codes.shape[0]):  # noqa: SIM110  numba knows no generators
        if codes[c, a] != codes[c, b]:
            return False
    return True
