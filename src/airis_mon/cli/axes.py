"""Round numbers and round times along the sides of a picture, and how they are written."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, tzinfo

import numpy as np

from airis_mon.series.batch import Values

SECOND_MS, DAY_MS = 1000, 86_400_000
STEPS_MS = (
    *(n * p for p in (1, 10, 100) for n in (1, 2, 5)),
    *(n * SECOND_MS for n in (1, 2, 5, 10, 15, 30)),
    *(n * 60 * SECOND_MS for n in (1, 2, 5, 10, 15, 30)),
    *(n * 3600 * SECOND_MS for n in (1, 2, 3, 6, 12)),
    *(n * DAY_MS for n in (1, 2, 7, 14, 30, 90, 365, 3650, 36_500, 365_000)),
)
"""Distances in time that people count in."""
FARTHEST = 1e300
"""Larger values are drawn here: their differences would be no numbers any more."""
_LEAST = 1e-300
_EPOCH = datetime(1970, 1, 1)  # the face of a clock, in whatever zone
_NOON = datetime(1970, 1, 1, 12)
_MS = timedelta(milliseconds=1)
_UNITS = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
"""From which value on, the size of the unit, its letter."""


def value_ticks(finite: Values, about: float) -> tuple[Values, float]:
    """(about so many round numbers, from below the lowest value to above the highest; their distance)."""
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    low, high = (min(max(float(v), -FARTHEST), FARTHEST) for v in (low, high))
    most = max(abs(low), abs(high))
    if high - low <= max(most * 1e-12, _LEAST):  # flat: there is no distance to divide
        pad = most / 10 if most > _LEAST else 1.0
        low, high = low - pad, high + pad
    step = _nice((high - low) / max(about, 1.0))
    return np.arange(math.floor(low / step), math.ceil(high / step) + 1, dtype=np.float64) * step + 0.0, step


def numbers(ticks: Values, step: float) -> list[str]:
    """The ticks with as many digits as tell them apart, large ones in thousands, millions ..."""
    most = float(np.abs(ticks).max())
    if most >= 1e16 or most < 1e-4:
        digits = max(0, math.floor(math.log10(most)) - math.floor(math.log10(step)))
        return [f"{tick:.{digits}e}" for tick in ticks]
    size, unit = next(((size, letter) for least, size, letter in _UNITS if most >= least), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / size) + 1e-9))
    return [f"{tick / size:.{decimals}f}{unit}" for tick in ticks]


def time_ticks(start: int, end: int, columns: int, zone: tzinfo) -> list[tuple[float, str]]:
    """(ms, its label) of round times on the clocks of a zone, as many as find room beside each other."""
    first, last = _face(start, zone), _face(end, zone)
    step = next(s for s in STEPS_MS if (last - first) / s * (len(_label(_NOON, s)) + 3) <= columns)
    faces = [_EPOCH + _MS * face for face in range(-(-first // step) * step, last + 1, step)]
    return [(face.replace(tzinfo=zone).timestamp() * 1000, _label(face, step)) for face in faces]


def _label(face: datetime, step: int) -> str:
    """A day where one begins, otherwise a time of the day."""
    if step >= 30 * DAY_MS:
        return f"{face:%Y-%m-%d}"
    clock = face.isoformat(timespec="milliseconds" if step < SECOND_MS else "seconds")[11:]
    if not clock.strip("0:."):
        return f"{face:%m-%d}"
    return clock if step < 60 * SECOND_MS else clock[:5]


def _face(t: int, zone: tzinfo) -> int:
    """What the clocks of a zone show, as ms since they showed 1970."""
    return (datetime.fromtimestamp(t / 1000, zone).replace(tzinfo=None) - _EPOCH) // _MS


def _nice(number: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(number))
    return next((n * power for n in (1, 2, 5) if n * power >= number * (1 - 1e-9)), 10 * power)
