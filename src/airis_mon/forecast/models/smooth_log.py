"""Exponential smoothing of logarithms: for series whose swings grow with their level."""

from __future__ import annotations

from airis_mon.forecast.base import Remembering
from airis_mon.forecast.panel import logs
from airis_mon.forecast.smoothing import smoothed
from airis_mon.series.batch import Values


class SmoothLog(Remembering):
    """As `smooth`, on logarithms. A series that was ever below 0 is not forecast; zeros are lifted a little.

    >>> import numpy as np
    >>> from airis_mon.forecast.base import Panel
    >>> model = SmoothLog()
    >>> model.fit(Panel(np.tile([1.0, 100.0, 10.0], (1, 20)), seasons=(3,)))
    >>> model.predict(4).round(6)
    array([[  1., 100.,  10.,   1.]])
    """

    def predict(self, horizon: int) -> Values:
        """(series, horizon); NaN where a series was below 0 or has less than a dozen points."""
        log = logs(self._panel.value)
        return log.back(smoothed(log.value, self._panel.seasons, horizon))
