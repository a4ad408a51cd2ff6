"""Range functions over samples in memory: of subqueries, and those that the store has no function for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from airis_mon.errors import QueryError
from airis_mon.query import rates
from airis_mon.query.arguments import Given
from airis_mon.query.sums import mean, total
from airis_mon.query.values import Runs, Value, Vector, vector
from airis_mon.query.windows import Piece, Rows, Windows, blocks
from airis_mon.series.batch import Times, Values
from airis_mon.series.slopes import SLOPES, slopes

Compute = Callable[[Windows, Given], Values]


def over(
    function: str,
    runs: Runs,
    ends: Times,
    window: int,
    args: Sequence[Value],
    t: Times,
    check: Callable[[], None],
) -> Vector:
    """The function of each series' samples in (end - window, end] for each end; the labels are the runs'.

    ends: (steps,) ms, never falling; t: (steps,) ms, the moments of evaluation, which differ from `ends` by offset
    and @; check raises when the query is to end. Raises QueryError for an unknown function.
    """
    if function not in _FUNCTIONS:
        raise QueryError(f"unsupported function {function}")
    compute, least = _FUNCTIONS[function]
    given = Given(args, t)
    value = np.full((len(runs.labels), len(ends)), np.nan)
    has = np.zeros(value.shape, np.bool_)
    for rows, part in blocks(runs, len(ends)):
        check()
        if len(part.t):
            windows = Windows.over(part, ends, window, check)
            with np.errstate(all="ignore"):
                value[rows] = compute(windows, given)
            has[rows] = windows.count >= least
    return vector(runs.labels, value, has)


def _of_windows(compute: Callable[[Windows], Values]) -> Compute:
    return lambda windows, _: compute(windows)


def _of_slope(name: str) -> Compute:
    return lambda windows, given: slopes(name, windows.spans, given.t, given.scalar(0), windows.check)


def _of_each(compute: Callable[[Piece, Values], Values], pad: float = 0.0) -> Compute:
    """compute: of a piece and its values (k, windows), `pad` where a window has no more."""
    return lambda windows, _: windows.packed(lambda piece: compute(piece, piece.of(windows.value, pad)))


def _variance(piece: Piece, value: Values) -> Values:
    """In two passes, from each window's first sample on: exact for constants, and whatever the distance from 0."""
    moved = piece.padded(value - value[0])
    away = piece.padded(moved - moved.sum(axis=0) / piece.count)
    squares: Values = np.square(away).sum(axis=0)
    return squares / piece.count


def _quantile(windows: Windows, given: Given) -> Values:
    phi = given.scalar(0)
    return windows.packed(lambda piece: _quantiles(phi[piece.step], piece, piece.of(windows.value, np.inf)))


def _quantiles(phi: Values, piece: Piece, value: Values) -> Values:
    """Between the two samples next to the rank, in proportion. NaN counts as the least of all values."""
    nans = np.isnan(value).sum(axis=0)
    ordered = np.sort(np.where(np.isnan(value), -np.inf, value), axis=0)
    rank = np.clip(phi, 0, 1) * (piece.count - 1)
    lower = np.floor(np.nan_to_num(rank)).astype(np.intp)

    def at(place: Rows) -> Values:
        found = np.take_along_axis(ordered, place[np.newaxis], axis=0)[0]
        return np.where(place < nans, np.nan, found)

    weight = rank - np.floor(rank)
    inside = at(lower) * (1 - weight) + at(np.minimum(lower + 1, piece.count - 1)) * weight
    return np.select([phi < 0, phi > 1], [-np.inf, np.inf], inside)


_FUNCTIONS: dict[str, tuple[Compute, int]] = {
    **{name: (_of_slope(name), 2) for name in SLOPES},
    "avg_over_time": (_of_each(lambda piece, value: mean(value, piece.count)), 1),
    "changes": (_of_windows(rates.changes), 1),
    "count_over_time": (_of_windows(lambda windows: windows.count.astype(np.float64)), 1),
    "delta": (_of_windows(rates.delta), 2),
    "first_over_time": (_of_windows(lambda windows: windows.at(windows.value)), 1),
    "idelta": (_of_windows(rates.idelta), 2),
    "irate": (_of_windows(rates.irate), 2),
    "last_over_time": (_of_windows(lambda windows: windows.at_last(windows.value)), 1),
    "max_over_time": (_of_each(lambda _, value: np.fmax.reduce(value, axis=0), np.nan), 1),
    "min_over_time": (_of_each(lambda _, value: np.fmin.reduce(value, axis=0), np.nan), 1),
    "present_over_time": (_of_windows(lambda windows: np.ones(windows.count.shape)), 1),
    "quantile_over_time": (_quantile, 1),
    "resets": (_of_windows(rates.resets), 1),
    "stddev_over_time": (_of_each(lambda piece, value: np.sqrt(_variance(piece, value))), 1),
    "stdvar_over_time": (_of_each(_variance), 1),
    "sum_over_time": (_of_each(lambda _, value: total(value)), 1),
}
"""What computes a function, and how many samples a window needs to have a value."""
