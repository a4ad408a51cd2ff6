"""What is left of a plan when its leaves are fetched: numbers over (series, step) arrays. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from airis_mon.errors import QueryError
from airis_mon.query.aggregate import aggregate
from airis_mon.query.binary import binary, negate
from airis_mon.query.functions import call
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
from airis_mon.query.values import Runs, Scalar, Text, Value, Vector, nameless
from airis_mon.series.steps import Steps

Fetched = Mapping[Leaf, Vector | Runs]


class Algebra:
    """Evaluates nodes. fetched: what each leaf of the plan gave; check: raises when the query is to end."""

    def __init__(self, fetched: Fetched, check: Callable[[], None]) -> None:
        self._fetched = fetched
        self._check = check

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
                return _repeated(self._vector(node.inner, node.steps), steps.count)
            case Absent():
                return _absent(node, self._vector(node.inner, steps))
            case Call():
                return call(node.function, [self.evaluate(arg, steps) for arg in node.args], steps)
            case Negate():
                return negate(self.evaluate(node.inner, steps))
            case Binary():
                lhs, rhs = self.evaluate(node.lhs, steps), self.evaluate(node.rhs, steps)
                return binary(node.op, lhs, rhs, node.matching, is_bool=node.is_bool)
            case Aggregate():
                param = None if node.param is None else self.evaluate(node.param, steps)
                inner = self._vector(node.inner, steps)
                return aggregate(node.op, inner, param, node.labels, is_without=node.is_without)
        raise QueryError("a range of samples is no value here; use a function such as rate() over it")

    def runs(self, source: Samples | Subquery) -> Runs:
        """Samples, or the values of a subquery as samples."""
        if isinstance(source, Subquery):
            inner = self.evaluate(source.inner, source.inner_steps)
            return _as_samples(inner, source.inner_steps)
        found = self._fetched[source]
        assert isinstance(found, Runs)  # noqa: S101  a Samples leaf gives runs
        return found

    def _vector(self, node: Node, steps: Steps) -> Vector:
        value = self.evaluate(node, steps)
        assert isinstance(value, Vector)  # noqa: S101  the parser has checked the types
        return value

    def _selected(self, node: Select) -> Vector:
        found = self._fetched[node]
        assert isinstance(found, Vector)  # noqa: S101  a Select leaf gives a vector
        return found if node.function in KEEPS_NAME | {"last"} else nameless(found)

    def _over(self, node: Over, steps: Steps) -> Vector:
        args = [self.evaluate(arg, steps) for arg in node.args]
        ends = np.broadcast_to(node.at.t, steps.count)
        found = over(node.function, self.runs(node.source), ends, node.source.window, args, steps.t, self._check)
        return found if node.function in KEEPS_NAME else nameless(found)


def _repeated(vector: Vector, count: int) -> Vector:
    return Vector(vector.labels, np.repeat(vector.value, count, axis=1), np.repeat(vector.has, count, axis=1))


def _absent(node: Absent, inner: Vector) -> Vector:
    has = ~inner.has.any(axis=0, keepdims=True)
    return Vector([node.labels], np.where(has, 1.0, np.nan), has)


def _as_samples(value: Value, steps: Steps) -> Runs:
    if isinstance(value, Scalar):
        return Runs([()], np.array([0, steps.count]), steps.t, value.value)
    assert isinstance(value, Vector)  # noqa: S101  the parser has checked the types
    bounds = np.concatenate([[0], np.cumsum(value.has.sum(axis=1))])
    t = np.broadcast_to(steps.t, value.has.shape)[value.has]
    return Runs(value.labels, bounds, t, value.value[value.has])
