"""How much wider than backtests say the intervals of each signal must be, learned from what they really held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import structlog

from airis_mon.app.fleetscore import Key
from airis_mon.forecast.base import Forecast
from airis_mon.forecast.conformal import Online
from airis_mon.series.batch import Values

log = structlog.get_logger()


class Widths:
    """Factors of width by signal. path: the file in which they stay over a restart, None = in memory alone."""

    def __init__(self, level: float, path: Path | None = None) -> None:
        self._level, self._path = level, path
        self._width: dict[Key, float] = self._kept()

    def of(self, key: Key) -> float:
        """A signal's factor, 1 while nothing is known."""
        return self._width.get(key, 1.0)

    def learn(self, keys: Sequence[Key], covered: Values) -> None:
        """Takes in which share of what happened each signal's intervals held, NaN = nothing did."""
        if not np.isfinite(covered).any():
            return
        online = Online(self._level, np.array([self.of(key) for key in keys]))
        online.update(covered)
        self._width = dict(zip(keys, online.width.tolist(), strict=True))  # without those that are gone
        self._keep(keys)

    def widened(self, keys: Sequence[Key], found: Forecast) -> tuple[Values, Values]:
        """(lower, upper) of a forecast of these signals with what was learned; nothing below 0 that never was."""
        online = Online(found.level, np.array([self.of(key) for key in keys]))
        lower, upper = online.widened(found.lower, found.mean, found.upper, np.arange(len(keys)))
        floored = found.never_negative
        if len(floored):
            lower[floored] = np.maximum(lower[floored], 0.0)
        return lower, upper

    def _keep(self, keys: Sequence[Key]) -> None:
        if self._path is None:
            return
        part = self._path.with_suffix(".part")
        fp, kind = np.array([fp for fp, _ in keys], np.uint64), np.array([kind for _, kind in keys], np.str_)
        try:
            with part.open("wb") as file:
                np.savez(file, level=self._level, fp=fp, kind=kind, width=np.array([self._width[key] for key in keys]))
            part.replace(self._path)
        except OSError as error:  # learned again from later rounds
            log.warning("forecasts.widths_lost", error=str(error))

    def _kept(self) -> dict[Key, float]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                if float(kept["level"]) != self._level:  # so wide for another promise
                    return {}
                rows = zip(kept["fp"].tolist(), kept["kind"].tolist(), kept["width"].tolist(), strict=True)
                return {(fp, kind): width for fp, kind, width in rows}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            log.warning("forecasts.widths_lost", error=str(error))
            return {}
