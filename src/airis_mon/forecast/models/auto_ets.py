"""Exponential smoothing of the kind that fits a series best, by statsforecast."""

from __future__ import annotations

from typing import Any

import numpy as np

from airis_mon.forecast.base import Panel
from airis_mon.forecast.classics import each, models
from airis_mon.series.batch import Values

LONGEST = 24
"""Points of a season at most."""


class AutoEts:
    """Error, trend and the shortest season, additive season, chosen by the corrected information criterion.

    Source: R. J. Hyndman et al., "A state space framework for automatic forecasting using exponential smoothing
    methods" (2002). About 0.1 s a series; a season of more than 24 points makes it slow and is left to `mstl`.

    Each series for itself. Raises MissingExtra without statsforecast.

    >>> model = AutoEts()
    >>> model.fit(Panel(np.tile([10.0, 20.0, 30.0, 20.0], (1, 30)), seasons=(4,)))
    >>> model.predict(4).round()
    array([[10., 20., 30., 20.]])
    """

    def __init__(self) -> None:
        self._models = models()
        self._panel = Panel(np.empty((0, 0)))

    def fit(self, panel: Panel) -> None:
        """Keeps the panel."""
        self._panel = panel

    def predict(self, horizon: int) -> Values:
        """(series, horizon); NaN where a series is too short or the library failed."""
        return each(self._panel, horizon, self._model)

    def _model(self, seasons: tuple[int, ...]) -> Any:
        if seasons and seasons[0] <= LONGEST:
            return self._models.AutoETS(season_length=seasons[0], model="ZNA")
        return self._models.AutoETS(model="ZZN")
