"""The frame around a model of the statsforecast package: one series at a time, gaps filled, failures as no forecast."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from airis_mon.errors import MissingExtra
from airis_mon.forecast.base import Panel, nothing
from airis_mon.forecast.panel import begins, carried, filled
from airis_mon.series.batch import Values

LEAST = 12
"""Points that a series needs."""
MOST = 1344
"""The newest points that are looked at: these models take 0.1 to 0.5 s a series, in proportion to its length."""


def models() -> Any:
    """The module of models. Raises MissingExtra without the package."""
    try:
        import statsforecast.models
    except ImportError as error:
        raise MissingExtra("statsforecast", "statsforecast") from error
    return statsforecast.models


def each(panel: Panel, horizon: int, model: Callable[[tuple[int, ...]], Any]) -> Values:
    """(series, horizon) means of a model made anew for every series, given the seasons that it carries."""
    mean = nothing(panel, horizon)
    first = begins(panel.value)
    whole = filled(panel.value, panel.seasons[0] if panel.seasons else 1)
    for s in range(panel.series):
        value = whole[s, max(first[s], panel.length - MOST) :]
        if len(value) >= LEAST:
            mean[s] = _one(value, horizon, model(carried(panel.seasons, len(value))))
    return mean


def _one(value: Values, horizon: int, model: Any) -> Values:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of seasons too short to be believed, overflow in a search: all answered
            return np.asarray(model.forecast(y=value, h=horizon)["mean"], np.float64)
    except Exception:  # noqa: BLE001  boundary: one call into a library that raises bare Exceptions; the baseline steps in
        return np.full(horizon, np.nan)
