"""What an expression is while it is computed: vectors, scalars and text over steps, and runs of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import QueryError
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import METRIC, Labels, without

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Vector:
    """Series over steps.

    labels: s label sets, sorted by name, `__name__` among them only while the metric's name is kept. value: (s, steps),
    NaN where nothing is; has: (s, steps), False where nothing is. A NaN that is there is a value like any other.
    No two rows have equal labels.
    """

    labels: Sequence[Labels]
    value: Values
    has: Flags

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, keep: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Vector:
        """Some of the series, in the order given."""
        chosen = np.arange(len(self.labels))[keep]
        return Vector([self.labels[i] for i in chosen], self.value[keep], self.has[keep])

    def present(self) -> Vector:
        """The series that have a value at any step."""
        has = np.any(self.has, axis=1)
        return self if has.all() else self.rows(has)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number at each step: (steps,)."""

    value: Values

    def as_vector(self) -> Vector:
        """One series without labels."""
        return Vector([()], self.value[np.newaxis], np.ones((1, len(self.value)), np.bool_))


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str


@dataclass(frozen=True, slots=True)
class Runs:
    """Samples of several series one after another.

    Series i has the rows bounds[i]:bounds[i + 1], by time; bounds: (s + 1,), t: (n,) ms, value: (n,).
    """

    labels: Sequence[Labels]
    bounds: NDArray[np.intp]
    t: Times
    value: Values


Value = Vector | Scalar | Text


def empty(steps: int) -> Vector:
    """No series over so many steps."""
    return Vector([], np.empty((0, steps)), np.empty((0, steps), np.bool_))


def vector(labels: Sequence[Labels], value: Values, has: Flags) -> Vector:
    """A vector whose values are NaN where nothing is."""
    return Vector(labels, np.where(has, value, np.nan), has)


def relabelled(vector: Vector, change: Callable[[Labels], Labels]) -> Vector:
    """The vector with other labels; rows that come to have the same ones become one. Raises what `merged` raises."""
    return merged(Vector([change(labels) for labels in vector.labels], vector.value, vector.has))


def nameless(vector: Vector) -> Vector:
    """The vector without the metric's name, which a computed value has lost. Raises what `merged` raises."""
    firsts = {labels[:1] for labels in vector.labels}
    lowest = {first[0][0] for first in firsts if first}
    if all(name > METRIC for name in lowest):  # names are sorted, so it is not among them
        return vector
    if lowest == {METRIC} and len(firsts) == 1:  # less the same name all are as different as before
        return Vector([labels[1:] for labels in vector.labels], vector.value, vector.has)
    return relabelled(vector, lambda labels: without(labels, METRIC))


def merged(vector: Vector) -> Vector:
    """Rows with equal labels as one. Raises QueryError when a step has two of them."""
    if len(set(vector.labels)) == len(vector):
        return vector
    index, firsts = grouped(vector.labels)
    counts = np.zeros((len(firsts), vector.has.shape[1]), np.int64)
    np.add.at(counts, index, vector.has)
    if (counts > 1).any():
        raise QueryError("vector cannot contain metrics with the same labelset")
    value = np.full(counts.shape, np.nan)
    row, step = np.nonzero(vector.has)
    value[index[row], step] = vector.value[row, step]
    return Vector(firsts, value, counts > 0)


def grouped(keys: Iterable[Labels]) -> tuple[NDArray[np.intp], list[Labels]]:
    """(the group of each key, the groups in order of first appearance)."""
    groups: dict[Labels, int] = {}
    index = [groups.setdefault(key, len(groups)) for key in keys]
    return np.array(index, np.intp), list(groups)
