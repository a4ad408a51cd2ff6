"""Seasons of a series: its autocorrelation, and the periods after which it repeats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airis_mon.series.batch import Values


@dataclass(frozen=True, slots=True)
class Season:
    """A period in points, its autocorrelation and its strength (1 - var(rest) / var(rest + season), 0..1)."""

    period: int
    autocorrelation: float
    strength: float


def autocorrelation(value: Values, lags: int) -> Values:
    """(lags,) at lags 1.., the biased estimate (divided by n at each lag)."""
    n = len(value)
    x = value - value.mean()
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(x, size)) ** 2
    found = np.fft.irfft(power, size)[: lags + 1]
    return np.asarray(found[1:] / found[0])


def usual_seasons(step_ms: int, length: int) -> tuple[int, ...]:
    """The day and the week in points of a grid, as far as they are whole numbers > 1 and twice in `length`."""
    spans = (86_400_000, 7 * 86_400_000)
    return tuple(s // step_ms for s in spans if s % step_ms == 0 and s > step_ms and 2 * s // step_ms <= length)
