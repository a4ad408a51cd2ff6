"""As it was one season ago: the baseline of every other forecaster, and its stand-in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airis_mon.forecast.base import Panel
from airis_mon.forecast.panel import carried
from airis_mon.series.batch import Values


class SeasonalNaive:
    """Repeats the last season; of several seasons, for each series the one that held best in its own past.

    A series that carries no season repeats its last value. A gap takes what stood there a season earlier.
    Source: the benchmark sNaive of Makridakis, Spiliotis and Assimakopoulos, "The M4 Competition" (2020), there with
    one season for all. Cost: O(series x time x seasons).

    >>> day = SeasonalNaive()
    >>> day.fit(Panel(np.array([[1.0, 5.0, 1.0, 5.0]]), seasons=(2,)))
    >>> day.predict(3)
    array([[1., 5., 1.]])
    """

    def __init__(self) -> None:
        self._value: Values = np.empty((0, 0))
        self._season: NDArray[np.int64] = np.empty(0, np.int64)

    def fit(self, panel: Panel) -> None:
        """Chooses the season of each series."""
        self._value, self._season = panel.value, best_season(panel)

    def predict(self, horizon: int) -> Values:
        """(series, horizon); NaN only where a series has no value at all."""
        mean = np.full((len(self._value), horizon), np.nan)
        for season in np.unique(self._season):
            rows = self._season == season
            mean[rows] = last_season(self._value[rows], int(season))[:, np.arange(horizon) % season]
        return mean


def best_season(panel: Panel) -> NDArray[np.int64]:
    """(series,) points of the season with the least mean absolute error one season ahead; 1 = none.

    A season is compared where the series is seen at both ends; it needs half a season of such points.
    """
    least, season = np.full(panel.series, np.inf), np.ones(panel.series, np.int64)
    for points in carried(panel.seasons, panel.length):
        apart = np.abs(panel.value[:, points:] - panel.value[:, :-points])
        seen = np.isfinite(apart)
        count = seen.sum(1)
        error = np.where(2 * count >= points, np.where(seen, apart, 0.0).sum(1) / np.maximum(count, 1), np.inf)
        season[error < least] = points
        least = np.minimum(least, error)
    return season


def last_season(value: Values, season: int) -> Values:
    """(series, season): the last value seen at each place of the season; a place never seen takes the last value."""
    series, length = value.shape
    whole = np.full((series, -(-length // season) * season), np.nan)
    whole[:, whole.shape[1] - length :] = value
    blocks = whole.reshape(series, -1, season)
    last = np.full((series, season), np.nan)
    for at in range(blocks.shape[1] - 1, -1, -1):
        last = np.where(np.isfinite(last), last, blocks[:, at])
        if np.isfinite(last).all():
            return last
    return np.where(np.isfinite(last), last, _last_value(value)[:, None])


def _last_value(value: Values) -> Values:
    if not value.shape[1]:
        return np.full(len(value), np.nan)
    at = value.shape[1] - 1 - np.argmax(np.isfinite(value[:, ::-1]), axis=1)  # all gaps: a gap
    return np.asarray(value[np.arange(len(value)), at])
