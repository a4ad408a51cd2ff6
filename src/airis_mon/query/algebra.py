"""What is left of a plan when its leaves are fetched: numbers over (series, step) arrays. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from airis_mon.errors import QueryError
from airis_mon.query.aggregate import aggregate
from airis_mon.query.binary import binary, negate
from airis_mon.query.functions import call
from airis_mon.query.labelling import Spending
from airis_mon.query.plan import (
    KEEPS_NAME,
    Absent,
    Aggregate,
    Binary,
    Call,
    Held,
    Leaf,
    Negate,
    Node,
    Number,
    Over,
    Samples,
    Select,
    String,
    Subquery,
)
from airis_mon.query.ranges import over
from airis_mon.query.size import check_cells
from airis_mon.query.values import Flags, Runs, Scalar, Text, Value, Vector, nameless
from airis_mon.series.steps import Steps

Fetched = Mapping[Leaf, Vector | Runs]


class Algebra:
    """Evaluates nodes. fetched: what each leaf of the plan gave; check: raises when the query is to end.

    most: so many numbers are held at once.
    """

    def __init__(self, fetched: Fetched, check: Callable[[], None], most: int) -> None:
        self._fetched = fetched
        self._check = check
        self._most = most
        self._held = 0
        self._spending = Spending(check)

    def evaluate(self, node: Node, steps: Steps) -> Value:
        """The node's value at each step. Raises QueryError where the values of a step contradict the operation."""
        self._check()
        match node:
            case Number():
                return Scalar(np.full(steps.count, node.value))
            case String():
                return Text(node.value)
            case Select():
                return self._selected(node)
            case Over():
                return self._over(node, steps)
            case Held():
                return self._repeated(self._vector(node.inner, node.steps), steps.count)
            case Absent():
                return _absent(node, self._vector(node.inner, steps))
            case Call():
                return call(node.function, self._values(node.args, steps), steps, self._spending)
            case Negate():
                return negate(self.evaluate(node.inner, steps))
            case Binary():
                lhs, rhs = self._values((node.lhs, node.rhs), steps)
                return binary(node.op, lhs, rhs, node.matching, self._check_cells, is_bool=node.is_bool)
            case Aggregate():
                param = None if node.param is None else self.evaluate(node.param, steps)
                inner = self._vector(node.inner, steps)
                return aggregate(node.op, inner, param, node.labels, self._check_cells, is_without=node.is_without)
        raise QueryError("a range of samples is no value here; use a function such as rate() over it")

    def runs(self, source: Samples | Subquery) -> Runs:
        """Samples, or the values of a subquery as samples."""
        if isinstance(source, Subquery):
            self._check_cells(source.inner_steps.count)
            inner = self._vector(source.inner, source.inner_steps)
            return _as_samples(inner, source.inner_steps, source.at.end)
        found = self._fetched[source]
        assert isinstance(found, Runs)  # noqa: S101  a Samples leaf gives runs
        return found

    def _values(self, nodes: Sequence[Node], steps: Steps) -> list[Value]:
        """Of several nodes. Those that are known are held while the others are computed."""
        found: list[Value] = []
        before = self._held
        for node in nodes:
            found.append(value := self.evaluate(node, steps))
            self._held += 0 if isinstance(value, Text) else value.value.size
            self._check_cells(0)
        self._held = before
        return found

    def _check_cells(self, more: int) -> None:
        check_cells(self._held + more, self._most)

    def _vector(self, node: Node, steps: Steps) -> Vector:
        value = self.evaluate(node, steps)
        assert isinstance(value, Vector)  # noqa: S101  the parser has checked the types
        return value

    def _selected(self, node: Select) -> Vector:
        found = self._fetched[node]
        assert isinstance(found, Vector)  # noqa: S101  a Select leaf gives a vector
        return found if node.function in KEEPS_NAME | {"last"} else nameless(found)

    def _over(self, node: Over, steps: Steps) -> Vector:
        args = self._values(node.args, steps)
        ends = np.broadcast_to(node.at.t, steps.count)
        runs = self.runs(node.source)
        self._check_cells(len(runs.labels) * steps.count)
        found = over(node.function, runs, ends, node.source.window, args, steps.t, self._check)
        return found if node.function in KEEPS_NAME else nameless(found)

    def _repeated(self, vector: Vector, count: int) -> Vector:
        self._check_cells(len(vector) * count)
        return Vector(vector.labels, np.repeat(vector.value, count, axis=1), np.repeat(vector.has, count, axis=1))


def _absent(node: Absent, inner: Vector) -> Vector:
    has = ~np.any(inner.has, axis=0, keepdims=True)
    return Vector([node.labels], np.where(has, 1.0, np.nan), has)


def _as_samples(vector: Vector, steps: Steps, end: int) -> Runs:
    """The vector's values up to the last moment that was meant."""
    has: Flags = vector.has & (steps.t <= end)
    bounds = np.concatenate([[0], np.cumsum(has.sum(axis=1))])
    t = np.broadcast_to(steps.t, has.shape)[has]
    return Runs(vector.labels, bounds, t, vector.value[has])
