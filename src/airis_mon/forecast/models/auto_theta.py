"""The best of four Theta models, by statsforecast."""

from __future__ import annotations

from typing import Any

import numpy as np

from airis_mon.forecast.base import Panel
from airis_mon.forecast.classics import each, models
from airis_mon.series.batch import Values


class AutoTheta:
    """Two lines of different curvature, deseasonalised by the shortest season.

    Source: J. A. Fiorucci et al., "Models for optimising the theta method and their relationship to state space models"
    (2016). About 0.1 s a series.

    Each series for itself. Raises MissingExtra without statsforecast.

    >>> model = AutoTheta()
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
        return self._models.AutoTheta(season_length=seasons[0] if seasons else 1)
