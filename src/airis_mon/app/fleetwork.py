"""What the process for heavy work does for forecasts: arrays in, arrays out. Imports nothing of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from airis_mon.errors import MissingExtra
from airis_mon.forecast.base import Forecast, Forecaster, Panel
from airis_mon.forecast.calendar import calendar
from airis_mon.forecast.calendar_effect import with_calendar
from airis_mon.forecast.fleet import forecast, own
from airis_mon.series.zone import zone as zone_of

Make = Callable[[str], Forecaster]


def foretell(
    panel: Panel, horizon: int, level: float, models: Sequence[str], holidays: Sequence[str] = (), zone: str = "UTC"
) -> Forecast:
    """The next `horizon` points of every series of a panel, by these kinds of models, () = the fast ones.

    holidays: countries whose holidays are known, at a place in this zone. Without the package that lists them they
    are left out, which the answer says.
    """
    make, left_out = _maker(panel, horizon, holidays, zone)
    with np.errstate(all="ignore"):  # of constant series and gaps; what could not be computed is NaN
        found = forecast(panel, horizon, level=level, models=tuple(models), make=make)
    return replace(found, left_out=(*left_out, *found.left_out))


def _maker(panel: Panel, horizon: int, holidays: Sequence[str], zone: str) -> tuple[Make, tuple[str, ...]]:
    if not holidays:
        return own, ()
    if panel.start_ms is None or panel.step_ms is None:
        return own, ("holidays: the values have no times",)
    place = zone_of(zone)
    try:  # asked once for all models, so that one that lacks the package can still forecast
        calendar(holidays, place, panel.start_ms, panel.start_ms + (panel.length + horizon) * panel.step_ms)
    except MissingExtra as missing:
        return own, (f"holidays: {missing}",)
    return with_calendar(own, holidays, place), ()
