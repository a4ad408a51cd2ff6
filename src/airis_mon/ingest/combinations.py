"""Rows of label codes -> which rows have the same labels, without sorting them and without Python for a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
Rows = NDArray[np.int64]


def combinations(codes: Codes) -> tuple[Rows, Rows]:
    """(m,) the first row of each distinct combination, in order of appearance; (n,) the combination of each row.

    codes: (columns, n), not negative. Without columns all rows are alike.
    """
    import pyarrow as pa

    n = codes.shape[1]
    group = np.zeros(n, np.int64)
    for column in codes:
        mixed = group * (int(column.max(initial=0)) + 1) + column  # below n * 2**31
        group = pa.array(mixed).dictionary_encode().indices.to_numpy().astype(np.int64)
    first = np.empty(int(group.max(initial=-1)) + 1, np.int64)
    first[group[::-1]] = np.arange(n)[::-1]  # of those assigned to one place the last one stays
    return first, group
