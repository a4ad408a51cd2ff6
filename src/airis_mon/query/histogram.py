"""Quantiles of classic histograms: cumulative buckets that the label `le` tells apart. Pure.

The definition is that of Prometheus' documentation of histogram_quantile; counts are made monotonic as Prometheus 3
does, which takes differences below 1e-12 for rounding errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.query.values import Flags, Vector, empty, grouped, nameless, vector
from airis_mon.series.batch import Values
from airis_mon.series.labels import Labels, without

_BOUND = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
_TOLERANCE = 1e-12
_SMALLEST = np.finfo(np.float64).tiny
_LARGEST = np.finfo(np.float64).max

Layer = tuple[NDArray[np.intp], NDArray[np.intp]]
"""(buckets, the histogram of each): at most one bucket of each histogram."""


@dataclass(frozen=True, slots=True)
class _Buckets:
    """Buckets of h histograms, ordered by histogram and bound, no bound twice in one.

    labels: of the histograms, `le` left out; owner: (b,) the histogram of each bucket; bound: (b,); count, has:
    (b, steps). check: raises when the query is to end.
    """

    labels: list[Labels]
    owner: NDArray[np.intp]
    bound: Values
    count: Values
    has: Flags
    check: Callable[[], None]

    def layers(self) -> Iterator[Layer]:
        """First the lowest bucket of every histogram, then the next ones: a loop over buckets, not over histograms."""
        rank = np.arange(len(self.owner)) - np.searchsorted(self.owner, self.owner)
        order = np.argsort(rank, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(rank[order])) + 1):
            self.check()  # a histogram may have as many buckets as a query may have series
            yield rows, self.owner[rows]


@dataclass(frozen=True, slots=True)
class _Tops:
    """What the highest buckets of each histogram say, where they are present; all (h, steps).

    buckets: how many there are; total: the count of the highest; bound: the highest; below: the second highest.
    """

    buckets: NDArray[np.int64]
    total: Values
    bound: Values
    below: Values


def histogram_quantile(phi: Values, given: Vector, check: Callable[[], None]) -> Vector:
    """phi: (steps,). One series for each histogram, at the steps at which any of its buckets is present.

    Series without a usable `le` are left out. Raises QueryError when histograms differ in nothing but their name, and
    what `check` raises.
    """
    buckets = _buckets(given, check)
    if buckets is None:
        return empty(len(phi))
    count, tops = _monotonic(buckets)
    value = _interpolated(buckets, count, phi * tops.total, tops.below)
    value[(tops.buckets < 2) | (tops.total == 0) | ~np.isposinf(tops.bound)] = np.nan
    value = np.select([np.isnan(phi), phi < 0, phi > 1], [np.nan, -np.inf, np.inf], value)
    return nameless(vector(buckets.labels, value, tops.buckets > 0))


def _buckets(given: Vector, check: Callable[[], None]) -> _Buckets | None:
    bounds = [_bound(dict(labels).get("le", "")) for labels in given.labels]
    usable = [i for i, bound in enumerate(bounds) if bound is not None]
    if not usable:
        return None
    owner, labels = grouped(without(given.labels[i], "le") for i in usable)
    bound = np.array([bounds[i] for i in usable], np.float64)
    order = np.lexsort((bound, owner))
    rows, owner, bound = np.array(usable)[order], owner[order], bound[order]
    starts = np.flatnonzero(np.append(True, (np.diff(owner) != 0) | (bound[1:] != bound[:-1])))
    has = given.has[rows]
    # le="1" and le="1.0" are one bucket.
    count = np.add.reduceat(np.where(has, given.value[rows], 0.0), starts, axis=0)
    return _Buckets(labels, owner[starts], bound[starts], count, np.logical_or.reduceat(has, starts, axis=0), check)


def _bound(le: str) -> float | None:
    """The number as Go reads it; None when it is none, is NaN, or is beyond a float's range."""
    if not _BOUND.fullmatch(le):
        return None
    bound = float(le)
    return None if np.isinf(bound) and "inf" not in le.lower() else bound


def _monotonic(buckets: _Buckets) -> tuple[Values, _Tops]:
    """(counts that never fall from one bucket to the next, what the highest buckets say)."""
    shape = (len(buckets.labels), buckets.has.shape[1])
    seen = np.zeros(shape, np.int64)
    total, bound, below = (np.full(shape, np.nan) for _ in range(3))
    fixed = np.empty_like(buckets.count)
    for rows, owner in buckets.layers():
        has, count, before = buckets.has[rows], buckets.count[rows], total[owner]
        fixed[rows] = np.where((count < before) | _is_near(count, before), before, count)
        total[owner] = np.where(has, fixed[rows], before)
        below[owner] = np.where(has, bound[owner], below[owner])
        bound[owner] = np.where(has, buckets.bound[rows, np.newaxis], bound[owner])
        seen[owner] += has
    return fixed, _Tops(seen, total, bound, below)


def _is_near(a: Values, b: Values) -> Flags:
    """Whether they differ by rounding errors only, as Prometheus 3 judges; False when one of them is NaN."""
    size, gap = np.abs(a) + np.abs(b), np.abs(a - b)
    is_tiny = (a == 0) | (b == 0) | (size < _SMALLEST)
    return np.where(is_tiny, gap < _TOLERANCE * _SMALLEST, gap / np.minimum(size, _LARGEST) < _TOLERANCE)


def _interpolated(buckets: _Buckets, count: Values, rank: Values, otherwise: Values) -> Values:
    """(h, steps): where the rank falls into a bucket with a finite bound; elsewhere the other value."""
    value = otherwise.copy()
    is_found = np.zeros(rank.shape, np.bool_)
    start, under = np.full(rank.shape, np.nan), np.zeros(rank.shape)
    for rows, owner in buckets.layers():
        has, end, upto = buckets.has[rows], buckets.bound[rows, np.newaxis], count[rows]
        hit = has & ~is_found[owner] & (upto >= rank[owner]) & ~np.isposinf(end)
        # Observations of the lowest bucket lie between 0 and its bound, unless the bound is not above 0.
        low = np.where(np.isnan(start[owner]), np.minimum(end, 0.0), start[owner])
        inside = low + (end - low) * ((rank[owner] - under[owner]) / (upto - under[owner]))
        value[owner] = np.where(hit, np.where(low == end, end, inside), value[owner])
        is_found[owner] |= hit
        start[owner] = np.where(has, end, start[owner])
        under[owner] = np.where(has, upto, under[owner])
    return value
