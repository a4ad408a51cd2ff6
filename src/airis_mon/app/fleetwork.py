"""What the process for heavy work does for forecasts: arrays in, arrays out. Imports nothing of the engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airis_mon.forecast.base import Forecast, Panel
from airis_mon.forecast.fleet import forecast


def foretell(panel: Panel, horizon: int, level: float, models: Sequence[str]) -> Forecast:
    """The next `horizon` points of every series of a panel, by these kinds of models, () = the fast ones."""
    with np.errstate(all="ignore"):  # of constant series and gaps; what could not be computed is NaN
        return forecast(panel, horizon, level=level, models=tuple(models))
