"""Series to be forecast and what a forecaster offers; `models/` holds one file per kind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Values

BASELINE = "seasonal_naive"
"""The forecaster that every other one must beat on a series to be taken for it, and that stands in for all."""
UNTESTED = " (untested)"
"""Follows the baseline's name where a series is too short to hold any forecaster against its own past."""
NOBODY = "nobody"
"""Forecasts a series without a single value."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Series on one regular grid that end together.

    value: (series, time) float64, NaN = a gap or not begun yet. seasons: points of each season, ascending, such as
    (24, 168) for hours; empty = none. step_ms, start_ms: of the grid, and the time of its first column; None when the
    values have no times: then nothing knows hours or holidays.
    """

    value: Values
    seasons: tuple[int, ...] = ()
    step_ms: int | None = None
    start_ms: int | None = None

    @property
    def series(self) -> int:
        """How many."""
        return int(self.value.shape[0])

    @property
    def length(self) -> int:
        """Points of the grid."""
        return int(self.value.shape[1])

    def until(self, length: int) -> Panel:
        """The first `length` columns: what was known then."""
        return replace(self, value=self.value[:, :length])


class Forecaster(Protocol):
    """One way to forecast. Its constructor's keyword arguments are its settings; the class is named after its kind.

    Deterministic: the same panel gives the same forecast. It never looks at a clock and keeps nothing on disk.
    """

    def fit(self, panel: Panel) -> None:
        """Learns from all series of the panel; a later call forgets the earlier one."""

    def predict(self, horizon: int) -> Values:
        """(series, horizon) float64 means of the points after the panel's end.

        A row it cannot forecast (too short, all gaps) is NaN: the baseline stands in.
        """


class Remembering:
    """A forecaster whose work is done by `predict`, which knows the horizon: `fit` keeps the panel."""

    def __init__(self) -> None:
        self._panel = Panel(np.empty((0, 0)))

    def fit(self, panel: Panel) -> None:
        """Keeps the panel."""
        self._panel = panel


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What is expected of every series of a panel. mean, lower, upper: (series, horizon).

    lower and upper are NaN where no interval can be stated, NaN in mean where there is nothing to go by. model: who
    forecast each series: a kind, several joined by "+" in the order of their weight, the baseline with `UNTESTED`
    behind it where a series is too short for a backtest, `NOBODY` where it has no value at all. error, baseline_error:
    (series,) mean absolute error of the chosen one and of the baseline in the backtest, NaN where none could be made.
    level: of the intervals, such as 0.95. windows: of the backtest. left_out: models that could not be used, each
    with the reason. never_negative: (series,) whose history never was below 0, so that neither mean nor interval goes
    there; empty when nobody looked.
    """

    mean: Values
    lower: Values
    upper: Values
    model: tuple[str, ...]
    error: Values
    baseline_error: Values
    level: float
    windows: int
    left_out: tuple[str, ...] = ()
    never_negative: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))


def nothing(panel: Panel, horizon: int) -> Values:
    """(series, horizon) of NaN."""
    return np.full((panel.series, horizon), np.nan)
