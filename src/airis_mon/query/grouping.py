"""Series in groups by some of their labels, and reductions of (series, step) arrays by group. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from airis_mon.query.values import Flags
from airis_mon.series.batch import Values
from airis_mon.series.labels import METRIC, Labels

Index = NDArray[np.intp]
Counts = NDArray[np.int64]
Key = TypeVar("Key", bound=Hashable)


def parts(labels: Iterable[Labels], names: Sequence[str], *, is_without: bool) -> list[Labels]:
    """Of each label set these labels alone (`by`, `on`), or all but these and the name (`without`, `ignoring`)."""
    if is_without:
        dropped = frozenset((*names, METRIC))
        return [tuple([pair for pair in each if pair[0] not in dropped]) for each in labels]
    if not names:
        return [() for _ in labels]
    kept = frozenset(names)
    return [tuple([pair for pair in each if pair[0] in kept]) for each in labels]


@dataclass(frozen=True, slots=True)
class Groups(Generic[Key]):
    """Rows in groups.

    keys: what the rows of a group have in common, by first appearance; index: (rows,) the group of each row;
    order: the rows sorted by group, within a group as they were; starts: (groups,) where each group begins there.
    """

    keys: list[Key]
    index: Index
    order: Index | slice
    starts: Index

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Self:
        """Rows with equal keys are a group."""
        found: dict[Key, int] = {}
        index = np.array([found.setdefault(key, len(found)) for key in keys], np.intp)
        is_sorted = bool((index[1:] >= index[:-1]).all())
        order = slice(None) if is_sorted else np.argsort(index, kind="stable")
        return cls(list(found), index, order, np.searchsorted(index[order], np.arange(len(found))))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def has_pairs(self) -> bool:
        """Whether any group has more than one row."""
        return len(self.keys) < len(self.index)

    @property
    def sizes(self) -> Index:
        """(groups,) rows."""
        return np.diff(self.starts, append=len(self.index))

    def reduce(self, ufunc: np.ufunc, rows: Values) -> Values:
        """(groups, steps) the function over the rows of each group, at each step."""
        found: Values = ufunc.reduceat(rows[self.order], self.starts, axis=0)
        return found

    def any(self, has: Flags) -> Flags:
        """(groups, steps) where any row has something."""
        found: Flags = np.logical_or.reduceat(has[self.order], self.starts, axis=0)
        return found

    def count(self, has: Flags) -> Counts:
        """(groups, steps) how many rows have something."""
        found: Counts = np.add.reduceat(has[self.order], self.starts, axis=0, dtype=np.int64)
        return found
