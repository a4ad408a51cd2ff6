"""What each forecaster would have said at the end of the series' own past, held against what then happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.forecast.base import Forecaster, Panel
from airis_mon.series.batch import Values


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """Rolling origins, the oldest window first.

    actual: (windows, series, horizon), NaN = not seen. mean: (models, windows, series, horizon), the baseline first;
    where another model says nothing the baseline stands in, where the baseline says nothing nobody else is heard: so
    all are held against the same points.
    """

    models: tuple[str, ...]
    actual: Values
    mean: Values

    @property
    def windows(self) -> int:
        """How many; 0 when the panel is too short."""
        return int(self.actual.shape[0])

    def error(self, mean: Values) -> Values:
        """(..., series) mean absolute error of (..., windows, series, horizon) over all that was seen, NaN = none."""
        return mean_error(np.abs(mean - self.actual), (-3, -1))


def origins(length: int, horizon: int, windows: int, seasons: tuple[int, ...] = ()) -> list[int]:
    """Lengths of what was known at each origin, ascending: windows side by side, the last one ends with the panel.

    Of three windows or more the oldest lies one longest season back when the others do not reach so far: with a day
    ahead, windows from Wednesday to Friday know nothing of a Saturday. On a simulated shop cut at a Saturday's end
    intervals of 95 % held .77 without that and .995 with it, elsewhere the same to .01.
    A window counts when at least a horizon, and two points, of past lie before it.
    """
    apart = [k * horizon for k in range(windows, 0, -1)]
    if windows > 2 and seasons and seasons[-1] > apart[0]:
        apart[0] = seasons[-1]
    return [at for back in apart if (at := length - back) >= max(horizon, 2)]


def backtest(
    panel: Panel, horizon: int, models: Sequence[tuple[str, Forecaster]], windows: int, step: Callable[[str], None]
) -> Backtest:
    """Fits every model, the baseline first, anew at every origin; `step` hears each model's name after it."""
    cuts = origins(panel.length, horizon, windows, panel.seasons)
    actual = np.array([panel.value[:, at : at + horizon] for at in cuts]).reshape(len(cuts), panel.series, horizon)
    mean = np.full((len(models), *actual.shape), np.nan)
    for w, at in enumerate(cuts):
        known = panel.until(at)
        for m, (kind, model) in enumerate(models):
            mean[m, w] = say(model, known, horizon)
            mean[m, w] = stand_in(mean[m, w], mean[0, w])
            step(kind)
    return Backtest(tuple(kind for kind, _ in models), actual, mean)


def say(model: Forecaster, panel: Panel, horizon: int) -> Values:
    """(series, horizon) of a model fitted on the panel; a row that is not finite all through is NaN."""
    model.fit(panel)
    mean = model.predict(horizon)
    return np.where(np.isfinite(mean).all(axis=1, keepdims=True), mean, np.nan)


def stand_in(mean: Values, baseline: Values) -> Values:
    """The mean, the baseline where it is NaN, and NaN where the baseline is."""
    return np.where(np.isfinite(mean) & np.isfinite(baseline), mean, baseline)


def mean_error(error: Values, axis: tuple[int, ...]) -> Values:
    """Mean over the axes of what is finite; NaN where nothing is."""
    seen: NDArray[np.bool_] = np.isfinite(error)
    count = seen.sum(axis=axis)
    total = np.where(seen, error, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
