"""Exponential smoothing with two seasons and a damped trend, each series for itself."""

from __future__ import annotations

from airis_mon.forecast.base import Remembering
from airis_mon.forecast.smoothing import smoothed
from airis_mon.series.batch import Values


class Smooth(Remembering):
    """Level, damped trend and two seasons that each learn at their own pace; see `forecast/smoothing.py`.

    The paces are searched for the horizon asked for, so the work is done by `predict`.

    >>> import numpy as np
    >>> from airis_mon.forecast.base import Panel
    >>> model = Smooth()
    >>> model.fit(Panel(np.tile([1.0, 5.0, 3.0], (1, 20)), seasons=(3,)))
    >>> model.predict(4).round(6)
    array([[1., 5., 3., 1.]])
    """

    def predict(self, horizon: int) -> Values:
        """(series, horizon); NaN where a series has less than a dozen points."""
        return smoothed(self._panel.value, self._panel.seasons, horizon)
