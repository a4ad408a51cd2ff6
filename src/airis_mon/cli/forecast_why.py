"""What a forecast of a file could not state, and why, in a sentence."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from airis_mon.forecast.base import NOBODY, UNTESTED

if TYPE_CHECKING:
    from airis_mon.cli.forecast_grid import Gridded
    from airis_mon.forecast.base import Forecast

ENDED = "ended"
"""In place of a model: the series is over."""
FEW = 2
"""Models named where there is little room."""


def no_check(args: argparse.Namespace, grid: Gridded) -> str:
    """Why no forecast was held against the end of the file."""
    if args.no_check:
        return "not asked for (--no-check)"
    if grid.panel.length < 3 * args.horizon:
        return (
            f"it needs {3 * args.horizon:,} points, three times the horizon, and the file has {grid.panel.length:,}; "
            "take a shorter --horizon"
        )
    return "no series had both an interval and values at the end"


def why_of(made: Forecast, series: int, horizon: int) -> str | None:
    """What is missing from a series' forecast and why; None when nothing is."""
    model = made.model[series]
    if model == ENDED:
        return "ended more than a horizon before the file does, so it is not forecast"
    if model == NOBODY or not np.isfinite(made.mean[series]).any():
        return "has no values to forecast from"
    if model.endswith(UNTESTED):
        return f"no interval: a backtest needs {2 * horizon:,} points, twice the horizon"
    if not np.isfinite(made.lower[series]).all():
        return "no interval: fewer than two errors of the backtest are known"
    return None


def few(model: str) -> str:
    """The first `FEW` of the models that forecast a series together, and how many more."""
    kinds = model.split("+")
    return model if len(kinds) <= FEW + 1 else f"{'+'.join(kinds[:FEW])}+{len(kinds) - FEW} more"
