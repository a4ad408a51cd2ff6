"""Decompositions and changes of one series, and what all explorations share: their grid and their seasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

import numpy as np

from airis_mon.analyze import changes as levels
from airis_mon.analyze.base import ChangePoint
from airis_mon.analyze.regular import Grid, drawn_through, gridded
from airis_mon.app.analytics import Check, Points
from airis_mon.app.explored import Changed, ChangeOut, Decomposed, GridOut, SeasonOut, moment
from airis_mon.errors import InputError, Refusal, TooLarge
from airis_mon.explain.explore import Place, Teller
from airis_mon.explain.speak import Lang
from airis_mon.forecast.decompose import LEAST_POINTS, Decomposition, decompose, lacking
from airis_mon.forecast.seasons import DAY_MS, LEAST, seasonal, seasons
from airis_mon.series.batch import Values

MOST_POINTS = 50_000
"""Of a grid that is taken apart or searched for changes: .8 s with two seasons, 6 s when robust."""
MOST_SEASONS = 4
SMALLEST = 1e-150
"""Values that differ by less have no squares: they would be told as if they did not vary."""
DIGITS = 10
"""Significant digits of a column: what lies beyond is rounding of the fit."""


Origin = Literal["given", "detected"]


@dataclass(frozen=True, slots=True)
class AskedSeasons:
    """Periods as they were asked for, in points or in s; None = they are looked for, () = there are none."""

    points: tuple[int, ...] | None = None
    seconds: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Apart:
    """How a series is taken apart."""

    seasons: AskedSeasons
    is_robust: bool
    lang: Lang


@dataclass(frozen=True, slots=True)
class Levels:
    """How changes of level are looked for."""

    seasons: AskedSeasons
    penalty: float
    lang: Lang


def decomposed(points: Points, ask: Apart, check: Check) -> Decomposed:
    """A series taken apart. Raises InputError for too few or too many points, MissingExtra without statsmodels."""
    grid = bounded(grid_of([points]), LEAST_POINTS, MOST_POINTS, points.path)
    _demand_spread(points)
    value = grid.value[0]
    periods, origin, why = seasons_for(value, grid, ask.seasons)
    parts = decompose(value, periods, is_robust=ask.is_robust, check=check)
    told = [(s.period, span(grid, s.period), s.strength) for s in parts.seasons]
    return Decomposed(
        metric=points.name,
        grid=grid_out(grid),
        method="loess" if not parts.seasons else "stl" if len(parts.seasons) == 1 else "mstl",
        robust=ask.is_robust,
        values=column(value, value),
        trend=_numbers(parts.trend, value),
        trend_strength=parts.trend_strength,
        seasons=_seasons(parts, grid, value),
        seasonality=origin if parts.seasons else None,
        residual=column(parts.residual, value),
        why={**why, **parts.why},
        explanation=Teller(ask.lang).apart(name_of(points), grid.length, parts.trend_strength, told, parts.gaps),
    )


def changed(points: Points, ask: Levels, check: Check) -> Changed:
    """Where the level of a series changed, what is usual at each place of its seasons left out."""
    grid = bounded(grid_of([points]), levels.LEAST, MOST_POINTS, points.path)
    _demand_spread(points)
    gaps = int(np.isnan(grid.value).sum())
    value = drawn_through(grid.value[0])
    periods, origin, why = seasons_for(value, grid, ask.seasons)
    usable = sorted(p for p in periods if not lacking(p, len(value)))
    why |= {f"season {p}": said for p in periods if (said := lacking(p, len(value)))}
    check()
    part = seasonal(value, tuple(usable)) if usable else None
    found = levels.changes(value, season=part, penalty=ask.penalty)
    if found is None:
        why["changes"] = levels.WANDERS
    places = [(Place(c.index, grid.time(c.index)), c.before, c.after) for c in found or ()]
    return Changed(
        metric=points.name,
        grid=grid_out(grid, gaps),
        penalty=ask.penalty,
        seasons=usable,
        changes=None if found is None else [_change(c, grid) for c in found],
        why=why,
        explanation=Teller(ask.lang).changes(
            name_of(points), places, wanders=found is None, has_season=bool(usable) or origin == "given"
        ),
    )


def grid_of(points: Sequence[Points], step_ms: int | None = None) -> Grid:
    """Series on one grid, point by point where none has times. Raises InputError when only some have them."""
    first = points[0]
    if all(p.t is not None for p in points):
        try:
            return gridded([(p.t, p.value) for p in points if p.t is not None], step_ms)
        except TooLarge as error:
            refuse(first.path, str(error))
    for one in points[1:]:
        parent = one.path.rpartition(".")[0]
        if (one.t is None) != (first.t is None):
            refuse(f"{parent}.timestamps", "only some of the series have times; give them for all, or for none")
        if len(one.value) != len(first.value):
            said = f"has {len(one.value):,} values, the first series {len(first.value):,}"
            refuse(one.path, f"{said}; without timestamps all need as many")
        if one.step_ms is not None and one.step_ms != next(p.step_ms for p in points if p.step_ms is not None):
            refuse(f"{parent}.stepS", "the series have different steps; give timestamps, or one step for all")
    step_ms = next((p.step_ms for p in points if p.step_ms is not None), None)
    return Grid(np.array([p.value for p in points]), None, step_ms)


def bounded(grid: Grid, least: int, most: int, path: str) -> Grid:
    """The grid itself. path: of its values. Raises InputError when it has too few values or too many points."""
    known = int((~np.isnan(grid.value)).sum(axis=1).min(initial=grid.length))
    if known < least:
        refuse(path, f"there are {known:,} values; this needs {least:,}, so send more or ask for a longer time")
    if grid.length > most:
        refuse(path, f"there are {grid.length:,} points on the grid; at most {most:,} are taken, so narrow it")
    return grid


def _demand_spread(points: Points) -> None:
    spread = float(np.ptp(points.value))
    if 0 < spread < SMALLEST:
        refuse(points.path, f"differ by {spread:g} at most, whose square is 0; scale them up")


def seasons_for(value: Values, grid: Grid, asked: AskedSeasons) -> tuple[list[int], Origin, dict[str, str]]:
    """Periods in points, ascending, whether they were "given" or "detected", and why not."""
    if asked.points is not None:
        return sorted(set(asked.points)), "given", {}
    if asked.seconds is not None:
        if grid.step_ms is None:
            refuse("$.seasonsS", "the values have neither timestamps nor a step; give stepS, or seasons in points")
        step = grid.step_ms
        return sorted({round(s * 1000 / step) for s in asked.seconds}), "given", {}
    found, why = _looked_for(drawn_through(value), grid)
    return found, "detected", {"seasonality": why} if why else {}


def _looked_for(value: Values, grid: Grid) -> tuple[list[int], str]:
    """The seasons that stand out of a series, and why there are none."""
    if len(value) < LEAST:
        return [], f"needs {LEAST} values, has {len(value)}"
    if found := seasons(value, MOST_SEASONS):
        return [s.period for s in found], ""
    days = 0.0 if grid.step_ms is None else grid.step_ms * grid.length / DAY_MS
    if 0 < days < 2:
        return [], f"none stands out; a day needs two seasons, has {days:.1f}"
    return [], "none stands out"


def span(grid: Grid, points: int) -> int | None:
    """So many points in ms; None when a point has no length."""
    return None if grid.step_ms is None else points * grid.step_ms


def seconds(grid: Grid, points: int) -> float | None:
    """So many points in s; None when a point has no length."""
    return None if grid.step_ms is None else points * grid.step_ms / 1000


def grid_out(grid: Grid, gaps: int | None = None) -> GridOut:
    """The grid as it stands in answers; gaps: None = those of its first series."""
    missing = int(np.isnan(grid.value[:1]).sum()) if gaps is None else gaps
    return GridOut(moment(grid.start_ms), seconds(grid, 1), grid.length, missing)


def column(value: Values, of: Values) -> list[float | None]:
    """A part of a series as it stands in answers, NaN as null, with the digits that the series carries."""
    return [None if x != x else x for x in _numbers(value, of)]


def name_of(points: Points) -> str:
    """What a series is called in sentences: one without a name by its place among others; alone it has none."""
    return points.name or points.path.rpartition(".")[0].removeprefix("$").removeprefix(".")


def without_gaps(grid: Grid, longest: int) -> Grid:
    """The grid with gaps of at most so many points drawn through."""
    return replace(grid, value=np.array([drawn_through(row, longest) for row in grid.value]).reshape(grid.value.shape))


def _numbers(value: Values, of: Values) -> list[float]:
    """Rounded to what a series carries of its largest value; adding 0 makes -0 a 0."""
    size = float(np.nanmax(np.abs(of), initial=0.0))
    decimals = DIGITS - (int(np.floor(np.log10(size))) if 0 < size < np.inf else 0)
    rounded: list[float] = (np.round(value, min(max(decimals, -300), 300)) + 0.0).tolist()
    return rounded


def _change(change: ChangePoint, grid: Grid) -> ChangeOut:
    before, after = change.before, change.after
    return ChangeOut(change.index, moment(grid.time(change.index)), before, after, after - before, change.shift)


def _seasons(parts: Decomposition, grid: Grid, of: Values) -> list[SeasonOut]:
    return [SeasonOut(s.period, seconds(grid, s.period), s.strength, _numbers(s.value, of)) for s in parts.seasons]


def refuse(path: str, reason: str) -> NoReturn:
    """Raises the InputError of a field."""
    raise InputError(f"{path}: {reason}", (Refusal(path, "", reason),))
