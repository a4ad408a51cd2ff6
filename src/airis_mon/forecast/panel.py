"""What several forecasters need of a panel: where its series begin, gaps filled, logarithms and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Values

OFFSET = 0.1
"""Part of a series' median that is added before its logarithm where it touches 0: there log has no value."""

CARRIED = 1.5
"""So many times a season must fit into a history to be believed: two weeks of history, less a backtest, hold a week."""


def carried(seasons: tuple[int, ...], length: int) -> tuple[int, ...]:
    """The seasons that so many points hold often enough."""
    return tuple(season for season in seasons if CARRIED * season <= length)


def begins(value: Values) -> NDArray[np.int64]:
    """(series,) column of each first value; the length where there is none."""
    seen = np.isfinite(value)
    return (
        np.where(seen.any(axis=1), seen.argmax(axis=1), value.shape[1]) if value.shape[1] else np.zeros(len(value), int)
    )


def filled(value: Values, season: int) -> Values:
    """The values with every gap after a series' first value filled by what stood there a season earlier.

    Where nothing stood there either, the last value before the gap. Leading NaN stay.
    """
    whole = value.copy()
    for t in range(1, value.shape[1]):
        gap = np.isnan(whole[:, t])
        if gap.any():
            earlier = whole[gap, t - season] if t >= season else np.full(gap.sum(), np.nan)
            whole[gap, t] = np.where(np.isfinite(earlier), earlier, whole[gap, t - 1])
    return whole


@dataclass(frozen=True, slots=True, eq=False)
class Logs:
    """Logarithms of a panel's values. value: (series, time), all NaN where a series was ever below 0.

    offset: (series, 1) what was added before the logarithm.
    """

    value: Values
    offset: Values

    def back(self, mean: Values) -> Values:
        """(series, horizon) forecasts of the logarithms as values, kept from running away.

        No forecast leaves the range of the logarithms by more than its width: exp would make it huge.
        """
        low, high = span(self.value)
        room = np.maximum(high - low, 1e-9)
        bounded = np.clip(mean, (low - room)[:, None], (high + room)[:, None])
        return np.asarray(np.exp(bounded) - self.offset)


def logs(value: Values) -> Logs:
    """The logarithms; see `Logs`. A series that touches 0 is lifted by a part of its median first."""
    low, _ = span(value)
    positive = np.where(value > 0, value, np.nan)
    typical = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else 1.0 for row in positive])
    offset = np.where(low > 0, 0.0, OFFSET * typical)[:, None]
    usable = (low >= 0)[:, None] & np.isfinite(value)
    return Logs(np.where(usable, np.log(np.where(usable, value + offset, 1.0)), np.nan), offset)


def span(value: Values) -> tuple[Values, Values]:
    """(series,) least and greatest value, NaN of a series without any."""
    seen = np.isfinite(value)
    low = np.where(seen, value, np.inf).min(axis=1, initial=np.inf)
    high = np.where(seen, value, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(seen.any(axis=1), low, np.nan), np.where(seen.any(axis=1), high, np.nan)
