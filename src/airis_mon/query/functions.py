"""Functions of values at one step, by name: mathematics, time, sorting; labels, dates and histograms lie beside. Pure.

Computed values lose the metric's name; sorting, label_replace and label_join keep it. Rounding and the limits of
`clamp` are those of Go's math package, in which Prometheus computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from airis_mon.errors import QueryError
from airis_mon.query.arguments import Given
from airis_mon.query.dates import PARTS, date_part
from airis_mon.query.histogram import histogram_quantile
from airis_mon.query.labelling import Spending, label_join, label_replace
from airis_mon.query.values import Flags, Scalar, Value, Vector, nameless, vector
from airis_mon.series.batch import Values
from airis_mon.series.steps import Steps

Function = Callable[[Given], Value]


def call(function: str, args: Sequence[Value], steps: Steps, spending: Spending) -> Value:
    """The function's value at each step. args: those written; an optional one may be missing.

    spending: of the whole query. Raises QueryError for an unknown function, a pattern or label name that is refused,
    where two series of one step come to have the same labels, and for labels beyond the bounds.
    """
    found = _FUNCTIONS.get(function)
    if found is None:
        raise QueryError(f"unsupported function {function}")
    with np.errstate(all="ignore"):
        return found(Given(args, steps.t, spending))


def _each(compute: Callable[[Values], Values]) -> Function:
    def function(given: Given) -> Vector:
        inner = given.vector(0)
        return _computed(inner, compute(inner.value), inner.has)

    return function


def _computed(inner: Vector, value: Values, has: Flags) -> Vector:
    return nameless(vector(inner.labels, value, has))


def _date(part: str) -> Function:
    def function(given: Given) -> Vector:
        inner = given.vector(0) if given.args else Scalar(given.seconds).as_vector()
        return _computed(inner, date_part(part, inner.value), inner.has)

    return function


def _round(given: Given) -> Vector:
    """Ties go up. Multiplying by the inverse is what Prometheus does, as 0.1 and its like then err less."""
    inner, inverse = given.vector(0), 1 / given.scalar(1, default=1.0)
    return _computed(inner, np.floor(inner.value * inverse + 0.5) / inverse, inner.has)


def _clamp(given: Given) -> Vector:
    return _clamped(given.vector(0), given.scalar(1), given.scalar(2))


def _clamp_min(given: Given) -> Vector:
    return _clamped(given.vector(0), given.scalar(1), np.array(np.inf))


def _clamp_max(given: Given) -> Vector:
    return _clamped(given.vector(0), np.array(-np.inf), given.scalar(1))


def _clamped(inner: Vector, low: Values, high: Values) -> Vector:
    value = _larger(low, -_larger(-high, -inner.value))
    return _computed(inner, value, inner.has & ~(high < low))


def _larger(a: Values, b: Values) -> Values:
    """As Go's math.Max: +Inf beats NaN, NaN beats all else."""
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, np.maximum(a, b))


def _timestamp(given: Given) -> Vector:
    """Of a computed vector; a selector's samples have times of their own, which the store knows."""
    inner = given.vector(0)
    return _computed(inner, given.seconds, inner.has)


def _pi(given: Given) -> Scalar:
    return Scalar(np.full(len(given.t), np.pi))


def _scalar(given: Given) -> Scalar:
    inner = given.vector(0)
    total = np.where(inner.has, inner.value, 0.0).sum(axis=0)  # (steps,) the only value, if there is one
    return Scalar(np.where(inner.has.sum(axis=0) == 1, total, np.nan))


def _sorted(sign: int) -> Function:
    """Ascending or descending, NaN last in both. Only the answer to one moment has an order."""

    def function(given: Given) -> Vector:
        inner = given.vector(0)
        if len(given.t) != 1:
            return inner
        value = inner.value[:, 0]
        return inner.rows(np.lexsort((sign * value, np.isnan(value), ~inner.has[:, 0])))

    return function


def _histogram_quantile(given: Given) -> Vector:
    return histogram_quantile(given.scalar(0), given.vector(1), given.spending.check)


def _label_join(given: Given) -> Vector:
    return label_join(given.vector(0), *given.texts(1), spending=given.spending)


def _label_replace(given: Given) -> Vector:
    return label_replace(given.vector(0), *given.texts(1), spending=given.spending)


_MATHEMATICS: dict[str, Callable[[Values], Values]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": lambda value: value * 180 / np.pi,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": lambda value: value * np.pi / 180,
    "sgn": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}

_FUNCTIONS: dict[str, Function] = {
    **{name: _each(compute) for name, compute in _MATHEMATICS.items()},
    **{part: _date(part) for part in PARTS},
    "clamp": _clamp,
    "clamp_max": _clamp_max,
    "clamp_min": _clamp_min,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": _pi,
    "round": _round,
    "scalar": _scalar,
    "sort": _sorted(1),
    "sort_desc": _sorted(-1),
    "time": lambda given: Scalar(given.seconds),
    "timestamp": _timestamp,
    "vector": lambda given: Scalar(given.scalar(0)).as_vector(),
}
