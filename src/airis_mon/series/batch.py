"""Samples in columns, as every stage hands them on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import Refusal

Ids = NDArray[np.int32]
Times = NDArray[np.int64]
Values = NDArray[np.float64]

STALE_BITS = 0x7FF0000000000002
"""The NaN with which Prometheus says that a series has ended; it is stored bit for bit."""
STALE = np.uint64(STALE_BITS).view(np.float64)
MAX_REFUSALS = 100
"""So many refused items of one request are described; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of many series, and what of the request could not be used.

    sid: (n,) dense ids of a Catalogue; t: (n,) ms UTC; value: (n,), NaN = gap. Rows keep the order of arrival.
    refused counts every item that was not taken, refusals describes the first `MAX_REFUSALS` of them.
    """

    sid: Ids
    t: Times
    value: Values
    refusals: tuple[Refusal, ...] = field(default=())
    refused: int = 0

    def __len__(self) -> int:
        return len(self.sid)


def empty_batch(refusals: tuple[Refusal, ...] = (), refused: int = 0) -> Batch:
    """A batch without samples."""
    return Batch(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0), refusals, refused)


def join(batches: list[Batch]) -> Batch:
    """The samples of several batches, one after another; refusals stay with their requests."""
    if len(batches) == 1:
        return batches[0]
    return Batch(
        np.concatenate([b.sid for b in batches]),
        np.concatenate([b.t for b in batches]),
        np.concatenate([b.value for b in batches]),
    )


def is_stale(value: Values) -> NDArray[np.bool_]:
    """(n,) True where the value is the staleness marker, not any other NaN."""
    return np.asarray(value.view(np.uint64) == np.uint64(STALE_BITS))
