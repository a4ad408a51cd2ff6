"""Values as somebody sends them -> a panel that can be forecast, and how far ahead that can go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from airis_mon.errors import InputError, Refusal
from airis_mon.forecast.base import Panel
from airis_mon.forecast.seasons import seasons, usual_seasons
from airis_mon.series.batch import Times, Values

LEAST = 4
"""Values that a forecast needs."""
MOST_POINTS = 20_000
"""Points of a grid that one forecast is made of."""
MOST_HORIZON = 1_000
LATEST_MS = 253_402_300_799_999
"""The end of the year 9999, the last that people can write."""
_STEPS_S = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400)
_POINTS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A forecast that is asked for. t: (n,) ms or None; step_ms: wanted, None = as the values lie."""

    value: Values
    t: Times | None
    step_ms: int | None
    horizon: int
    seasons: tuple[int, ...] | None


def panel_of(asked: Asked) -> Panel:
    """One series on a regular grid: as sent, or the mean of each step. Raises InputError with the limit exceeded."""
    value, start, step = _on_grid(asked)
    known = int(np.isfinite(value).sum())
    if known < LEAST:
        _refuse("$.values", known, f"has {known} values on a grid of {_said(step)}; a forecast needs {LEAST}")
    most = min(MOST_HORIZON, len(value) // 2)
    if asked.horizon > most:
        limit = f"half of the {len(value):,} points there are" if most < MOST_HORIZON else "the most of one forecast"
        _refuse("$.horizon", asked.horizon, f"is more than {most:,}, {limit}; lower it")
    if start is not None and start + (step or 0) * (len(value) + asked.horizon) > LATEST_MS:
        _refuse("$.horizon", asked.horizon, f"steps of {_said(step)} reach beyond the year 9999; lower it")
    return Panel(value[None], _seasons(asked, value, step), step, start)


def _on_grid(asked: Asked) -> tuple[Values, int | None, int | None]:
    if asked.t is None:
        return asked.value, None, asked.step_ms
    if not len(asked.t):
        _refuse("$.start", 0, "to end hold no sample; widen the window")
    step = asked.step_ms or _usual_step(asked.t)
    column = np.asarray(-(-asked.t // step))  # a step ends at its time
    count = int(column[-1] - column[0]) + 1
    if count > MOST_POINTS and asked.step_ms is None:
        reason = f"make {count:,} points of {_said(step)}; at most {MOST_POINTS:,}: leave out those far from the others"
        _refuse("$.timestamps", len(asked.t), reason)
    if count > MOST_POINTS:
        _refuse("$.stepS", step / 1000, f"makes {count:,} points of the values; at most {MOST_POINTS:,}: enlarge it")
    place = column - column[0]
    total, number = np.bincount(place, asked.value, count), np.bincount(place, minlength=count)
    value = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return value, int(column[0]) * step, step


def _usual_step(t: Times) -> int:
    """The usual distance of the values, or what makes about two thousand points of many."""
    if len(t) < 2:
        return 1000
    usual = max(1, int(np.median(np.diff(t))))
    span = int(t[-1] - t[0])
    if span // usual <= _POINTS:
        return usual
    return next((s * 1000 for s in _STEPS_S if s * 1000 >= usual and span // (s * 1000) <= _POINTS), 86_400_000)


def _seasons(asked: Asked, value: Values, step: int | None) -> tuple[int, ...]:
    if asked.seasons is not None:
        for i, season in enumerate(asked.seasons):
            if not 2 <= season <= len(value) // 2:
                reason = f"is no season of {len(value):,} points; give 2 to {len(value) // 2}, each twice in them"
                _refuse(f"$.seasons[{i}]", season, reason)
        return tuple(sorted(set(asked.seasons)))
    if step is not None and (usual := usual_seasons(step, len(value))):
        return usual
    return tuple(s.period for s in seasons(_filled(value))) if len(value) >= 8 and np.ptp(_filled(value)) > 0 else ()


def _filled(value: Values) -> Values:
    known = np.flatnonzero(np.isfinite(value))
    return np.interp(np.arange(len(value)), known, value[known])


def _said(step: int | None) -> str:
    return "one point each" if step is None else f"{step / 1000:g} s"


def _refuse(path: str, value: float, reason: str) -> NoReturn:
    raise InputError(f"{path}: {reason}", (Refusal(path, f"{value:g}", reason),))
