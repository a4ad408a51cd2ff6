"""Aggregation: a vector's series in groups by their labels, one result each. Pure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from airis_mon.errors import QueryError
from airis_mon.query.grouping import Groups, parts
from airis_mon.query.ranking import extremes, quantiles
from airis_mon.query.size import CheckCells
from airis_mon.query.summation import sums
from airis_mon.query.tally import tally
from airis_mon.query.values import Scalar, Text, Value, Vector, empty, vector
from airis_mon.series.batch import Values
from airis_mon.series.labels import Labels


def aggregate(
    op: str,
    of: Vector,
    param: Value | None,
    labels: tuple[str, ...],
    check_cells: CheckCells,
    *,
    is_without: bool,
) -> Vector:
    """The groups' results at each step: `by` these labels, or without them and the metric's name.

    param: of topk, bottomk and quantile a scalar, of count_values a text. `topk` and `bottomk` give some of the series
    themselves. check_cells: asked before there are more numbers than `of` has. Raises QueryError for a parameter that
    the operator cannot take.
    """
    if op == "count_values":
        return tally(_text(param), of, labels, check_cells, is_without=is_without)
    is_ranked = op in {"topk", "bottomk"}
    of = of.present() if is_ranked else of  # whose groups come in the order of what is there
    groups: Groups[Labels] = Groups.of(parts(of.labels, labels, is_without=is_without))
    if is_ranked:
        return extremes(op, of, groups, _number(param))
    if not len(of):
        return empty(of.has.shape[1])
    with np.errstate(all="ignore"):
        value = quantiles(of, groups, _number(param)) if op == "quantile" else _SIMPLE[op](of, groups)
    return vector(groups.keys, value, groups.any(of.has)).present()


def _number(param: Value | None) -> Values:
    if not isinstance(param, Scalar):
        raise QueryError("expected type scalar in aggregation parameter")
    return param.value


def _text(param: Value | None) -> str:
    if not isinstance(param, Text):
        raise QueryError("expected type string in aggregation parameter")
    return param.value


def _sum(of: Vector, groups: Groups[Labels]) -> Values:
    return sums(groups, np.where(of.has, of.value, 0.0))


def _avg(of: Vector, groups: Groups[Labels]) -> Values:
    return sums(groups, np.where(of.has, of.value, 0.0), _count(of, groups))


def _min(of: Vector, groups: Groups[Labels]) -> Values:
    """A NaN only where there is nothing else."""
    return groups.reduce(np.fmin, of.value)


def _max(of: Vector, groups: Groups[Labels]) -> Values:
    return groups.reduce(np.fmax, of.value)


def _count(of: Vector, groups: Groups[Labels]) -> Values:
    return groups.count(of.has).astype(np.float64)


def _group(of: Vector, groups: Groups[Labels]) -> Values:
    return np.ones((len(groups), of.has.shape[1]))


def _stdvar(of: Vector, groups: Groups[Labels]) -> Values:
    """The population's variance, of the distances from the smallest value: equal values have none at all."""
    count = _count(of, groups)
    far = np.where(of.has, of.value - _min(of, groups)[groups.index], 0.0)
    mean = groups.reduce(np.add, far) / count
    far = np.where(of.has, far - mean[groups.index], 0.0)
    return groups.reduce(np.add, far * far) / count


def _stddev(of: Vector, groups: Groups[Labels]) -> Values:
    return np.sqrt(_stdvar(of, groups))


_SIMPLE: dict[str, Callable[[Vector, Groups[Labels]], Values]] = {
    "sum": _sum,
    "avg": _avg,
    "min": _min,
    "max": _max,
    "count": _count,
    "group": _group,
    "stdvar": _stdvar,
    "stddev": _stddev,
}
