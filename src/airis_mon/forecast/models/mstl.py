"""All seasons taken out by local regression, the rest smoothed exponentially, by statsforecast."""

from __future__ import annotations

from typing import Any

import numpy as np

from airis_mon.forecast.base import Panel
from airis_mon.forecast.classics import each, models
from airis_mon.series.batch import Values


class Mstl:
    """Multiple seasonal decomposition with an ETS model of what remains.

    Source: K. Bandara, R. J. Hyndman and C. Bergmeir, "MSTL: a seasonal-trend decomposition algorithm for time series
    with multiple seasonal patterns" (2021). About 0.4 s a series.

    Each series for itself. Raises MissingExtra without statsforecast.

    >>> model = Mstl()
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
        trend = self._models.AutoETS(model="ZZN")
        return self._models.MSTL(season_length=list(seasons), trend_forecaster=trend) if seasons else trend
