"""Which row of a bank stands for which label set, and which limit holds for which series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.labels import METRIC, Labels, without

Rows = NDArray[np.int64]


class LabelRows:
    """A row for each label set, `most` at most; rows given back are given out again, lowest first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.labels: list[Labels | None] = []  # by row; None = free
        self._row: dict[Labels, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """Rows in use."""
        return len(self._row)

    @property
    def size(self) -> int:
        """Rows given out so far, the free ones included."""
        return len(self.labels)

    def find(self, labels: Labels) -> int | None:
        """The row of a label set."""
        return self._row.get(labels)

    def take(self, sets: Sequence[Labels]) -> Rows:
        """(n,) the row of each label set, a new one at first sight, -1 for those beyond `most`."""
        row = self._row
        return np.fromiter((row[x] if x in row else self._new(x) for x in sets), np.int64, len(sets))

    def forget(self, rows: Rows) -> None:
        """Gives rows back."""
        for at in rows.tolist():
            labels = self.labels[at]
            if labels is not None:
                del self._row[labels]
                self.labels[at] = None
                self._free.append(at)
        self._free.sort(reverse=True)

    def _new(self, labels: Labels) -> int:
        if len(self._row) >= self.most:
            return -1
        if self._free:
            at = self._free.pop()
            self.labels[at] = labels
        else:
            at = len(self.labels)
            self.labels.append(labels)
        self._row[labels] = at
        return at


def nameless_labels(labels: Sequence[Labels]) -> list[Labels]:
    """Label sets without the metric's name."""
    return [without(x, METRIC) for x in labels]


def limits_for(used: Sequence[Labels], limits: Sequence[Labels]) -> Rows:
    """(n,) the place in `limits` of that which holds for each of `used`, -1 = there is none.

    It is the one with the same labels, or else the one whose labels are all among them, of several that with the most:
    a limit without labels holds for all.
    """
    by_names: dict[tuple[str, ...], dict[Labels, int]] = {}
    for at, labels in enumerate(limits):
        by_names.setdefault(tuple(name for name, _ in labels), {})[labels] = at
    tables = sorted(by_names.items(), key=lambda item: -len(item[0]))
    return np.fromiter((_limit_of(labels, tables) for labels in used), np.int64, len(used))


def _limit_of(labels: Labels, tables: Sequence[tuple[tuple[str, ...], dict[Labels, int]]]) -> int:
    for names, table in tables:
        at = table.get(labels)
        if at is None and len(names) < len(labels):
            at = table.get(tuple([pair for pair in labels if pair[0] in names]))
        if at is not None:
            return at
    return -1
