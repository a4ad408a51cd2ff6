"""Boosted trees over all series at once: what the place in the season and the last values say of a step ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import MissingExtra
from airis_mon.forecast.base import Panel, nothing
from airis_mon.forecast.panel import begins, carried, filled
from airis_mon.series.batch import Values

ROWS = 200_000
"""Steps ahead that are learned from, at most: a minute's work becomes seconds."""
WILD = 20.0
"""Differences so many scales wide are not learned from."""


class Lightgbm:
    """One model for every series and every step: the difference from the last season, in units of the series' spread.

    rounds: trees. threads: of LightGBM, which otherwise takes all cores. Deterministic. Without a season the last
    value takes its place. Raises MissingExtra without the package, or without the system's OpenMP library.
    Source: G. Ke et al., "LightGBM: a highly efficient gradient boosting decision tree" (2017).

    >>> model = Lightgbm()
    >>> model.fit(Panel(np.tile([10.0, 20.0, 30.0, 20.0], (1, 30)), seasons=(4,)))
    >>> model.predict(4).round()
    array([[10., 20., 30., 20.]])
    """

    def __init__(self, *, rounds: int = 200, threads: int = 1) -> None:
        self._library = _library()
        self._rounds = rounds
        self._threads = threads
        self._panel = Panel(np.empty((0, 0)))

    def fit(self, panel: Panel) -> None:
        """Keeps the panel: what is learned depends on how far ahead is asked for."""
        self._panel = panel

    def predict(self, horizon: int) -> Values:
        """(series, horizon); NaN where a series is shorter than what is looked back at."""
        panel = self._panel
        length = int(np.median(panel.length - begins(panel.value))) if panel.series else 0
        seasons = carried(panel.seasons, length - horizon) or (1,)
        whole = filled(panel.value, seasons[0])
        back = max(2 * seasons[0], seasons[-1], 24)
        origins = _origins(panel.length, back, horizon, panel.series)
        if not len(origins):
            return nothing(panel, horizon)
        x, y = _rows(whole, np.isfinite(panel.value), origins, back, horizon, seasons)
        if len(y) < 2 * horizon:
            return nothing(panel, horizon)
        model = self._library.train(self._settings(), self._library.Dataset(x, y), self._rounds)
        return self._say(model, whole, back, horizon, seasons)

    def _settings(self) -> dict[str, Any]:
        return {
            "objective": "regression_l1",
            "learning_rate": 0.05,
            "num_leaves": 63,
            "min_data_in_leaf": 50,
            "num_threads": self._threads,
            "deterministic": True,
            "force_row_wise": True,
            "seed": 1,
            "verbosity": -1,
        }

    def _say(self, model: Any, whole: Values, back: int, horizon: int, seasons: tuple[int, ...]) -> Values:
        end = np.array([whole.shape[1]])
        x, start, scale = _looked_back(whole, end, back, horizon, seasons)
        flat = x.reshape(-1, x.shape[-1])
        said = np.asarray(model.predict(flat, num_threads=self._threads)).reshape(start.shape)
        mean: Values = (start + said * scale[..., None])[:, 0]
        known = np.isfinite(flat).reshape(len(x), -1).all(axis=1, keepdims=True)
        return np.where(known, mean, np.nan)


def _library() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtra("lightgbm", "forecast") from error
    except OSError as error:
        raise _NoOpenMp(error) from error
    return lightgbm


class _NoOpenMp(MissingExtra):
    """The package is there, the system's library that it is linked to is not."""

    def __init__(self, error: OSError) -> None:
        super().__init__("lightgbm", "forecast")
        self.args = (f"lightgbm cannot be loaded: {error}; install OpenMP (Debian: libgomp1, macOS: libomp)",)


def _origins(length: int, back: int, horizon: int, series: int) -> NDArray[np.int64]:
    """Columns to forecast from, spread over the past so that not more than `ROWS` steps are learned from."""
    room = length - horizon - back
    if room < 0 or not series:
        return np.empty(0, np.int64)
    most = max(ROWS // (series * horizon), 1)
    return np.arange(length - horizon, back - 1, -max(room // most + 1, 1))


def _rows(
    whole: Values,
    seen: NDArray[np.bool_],
    origins: NDArray[np.int64],
    back: int,
    horizon: int,
    seasons: tuple[int, ...],
) -> tuple[Values, Values]:
    """Features and differences of every step of every series and origin where all is known."""
    x, start, scale = _looked_back(whole, origins, back, horizon, seasons)
    ahead = origins[:, None] + np.arange(horizon)
    y = (whole[:, ahead] - start) / scale[..., None]
    use = np.isfinite(x).all(axis=-1) & seen[:, ahead] & (np.abs(np.nan_to_num(y, nan=np.inf)) < WILD)
    return x[use], y[use]


def _looked_back(
    whole: Values, origins: NDArray[np.int64], back: int, horizon: int, seasons: tuple[int, ...]
) -> tuple[Values, Values, Values]:
    """Features (series, origins, horizon, features), start of each difference, and scale (series, origins).

    Features are centred on the last short season: the step; the places one and two short seasons and one long season
    earlier; last values; the means of the last quarter of a season, and of the season before and a long one ago.
    """
    short, long = seasons[0], seasons[-1]
    step = np.arange(horizon)
    window = whole[:, origins[:, None] + np.arange(-back, 0)]  # (series, origins, back)
    scale = np.maximum(window.std(axis=-1), 1e-3 * np.abs(window.mean(axis=-1)) + 1e-12)
    around = max(short, 4)
    centre = window[..., -around:].mean(axis=-1)
    start = window[..., back - short + step % short]
    steps = [
        start,
        window[..., back - 2 * short + step % short],
        window[..., back - long + step % long],
    ]
    still = [
        *(window[..., back - lag] for lag in (1, 2, 3)),
        window[..., -max(around // 4, 1) :].mean(axis=-1),
        window[..., back - around - short : back - short].mean(axis=-1),
        window[..., back - long : back - long + around].mean(axis=-1),
    ]
    shape = start.shape
    parts = [*steps, *(np.broadcast_to(part[..., None], shape) for part in still)]
    x = np.stack([(part - centre[..., None]) / scale[..., None] for part in parts], axis=-1)
    at = np.broadcast_to(step.astype(np.float64), shape)[..., None]
    return np.concatenate([at, x], axis=-1), start, scale
