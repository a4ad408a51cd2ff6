"""Linear in the last points: one regression over all series, bent to each one."""

from __future__ import annotations

from airis_mon.forecast.base import Remembering
from airis_mon.forecast.ridge import regressed
from airis_mon.series.batch import Values


class Ridge(Remembering):
    """Direct linear forecasts of every step; see `forecast/ridge.py`. `predict` does the work.

    >>> import numpy as np
    >>> from airis_mon.forecast.base import Panel
    >>> model = Ridge()
    >>> model.fit(Panel(np.tile([1.0, 5.0, 3.0], (1, 20)), seasons=(3,)))
    >>> model.predict(4).round(6)
    array([[1., 5., 3., 1.]])
    """

    def predict(self, horizon: int) -> Values:
        """(series, horizon); NaN of a series shorter than what is looked back at."""
        return regressed(self._panel.value, self._panel.seasons, horizon)
