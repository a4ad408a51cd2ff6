"""As it was one long season ago, such as a week: what the baseline says where it takes the longest season."""

from __future__ import annotations

import numpy as np

from airis_mon.forecast.base import Remembering
from airis_mon.forecast.panel import carried, filled
from airis_mon.series.batch import Values


class LastSeason(Remembering):
    """Repeats the longest season that the panel carries, whatever it did before; without seasons nothing.

    Alone it is poor where the level moves; beside others it keeps a mixture near to what a week looks like.

    >>> from airis_mon.forecast.base import Panel
    >>> week = LastSeason()
    >>> week.fit(Panel(np.tile([1.0, 5.0, 2.0, 5.0], (1, 3)), seasons=(2, 4)))
    >>> week.predict(3)
    array([[1., 5., 2.]])
    """

    def predict(self, horizon: int) -> Values:
        """(series, horizon); NaN where a series is shorter than the season."""
        seasons = carried(self._panel.seasons, self._panel.length)
        if not seasons:
            return np.full((self._panel.series, horizon), np.nan)
        season = seasons[-1]
        whole = filled(self._panel.value, season)
        return whole[:, -season:][:, np.arange(horizon) % season]
