"""Which stored or sent series move with one, and where a shape occurred before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from airis_mon.analyze.correlation import LEAST_PAIRS, Correlations, correlate
from airis_mon.analyze.motifs import MOST_POINTS as MOST_PROFILED
from airis_mon.analyze.motifs import Pair, discords, matrix_profile, motifs
from airis_mon.analyze.regular import Grid, usual_step
from airis_mon.analyze.similar import LEAST_WINDOW, Match, Windows, is_flat, matches
from airis_mon.app.analytics import Check, Points
from airis_mon.app.explore import (
    AskedSeasons,
    bounded,
    grid_of,
    grid_out,
    name_of,
    refuse,
    seasons_for,
    seconds,
    span,
    without_gaps,
)
from airis_mon.app.explored import Correlated, CorrelationOut, MatchOut, PairOut, ShapeOut, Similar, moment
from airis_mon.explain.explore import Place, Related, Seen, Teller
from airis_mon.explain.speak import Lang
from airis_mon.query.engine import LOOKBACK_MS
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import METRIC, Labels
from airis_mon.series.steps import Steps

MOST_POINTS = 100_000
"""Of the target on its grid."""
GAP_SHARE = 0.1
"""Of a shape: so long gaps are drawn through, windows with longer ones are left out."""


@dataclass(frozen=True, slots=True)
class Relation:
    """How series are held against the target. labels: of all series but the first, () where none are known."""

    seasons: AskedSeasons
    basis: Literal["changes", "deseasoned", "values"]
    control: Literal["bh", "by"]
    max_lag: int
    alpha: float
    limit: int
    labels: tuple[Labels, ...]
    lang: Lang


@dataclass(frozen=True, slots=True)
class Shape:
    """What is looked for: the last `points` of the first series, or those from the time `start` (ms) or `index` on.

    sent: the first series is the shape itself, sent along.
    """

    points: int
    start: int | None
    index: int | None
    is_sent: bool
    limit: int
    least: float
    has_profile: bool
    lang: Lang


def at_steps(points: Points, steps: Steps) -> tuple[Times, Values]:
    """(times, values) of a series as an expression sees it: at each step the latest sample, of 5 minutes at most.

    Held against series of an expression as it was sampled, a series would lag behind itself.
    """
    if points.t is None or not len(points.t):
        return np.empty(0, np.int64), np.empty(0)
    last = np.searchsorted(points.t, steps.t, side="right") - 1
    has = (last >= 0) & (steps.t - points.t[np.maximum(last, 0)] < LOOKBACK_MS)
    return steps.t[has], points.value[last[has]]


def correlated(points: Sequence[Points], ask: Relation, check: Check) -> Correlated:
    """The first series against all others. Raises InputError for series that cannot stand on one grid."""
    target, *others = points
    _demand_known(target)
    others, reasons = _without_rare(target, others)
    grid = bounded(grid_of([target, *others]), 0, MOST_POINTS, target.path)
    periods, _, why = seasons_for(grid.value[0], grid, ask.seasons)
    why |= _coarse(target, others, grid)
    usable = [p for p in periods if 1 < p <= grid.length // 2] if ask.basis != "values" else []
    found = correlate(
        grid.value[0],
        grid.value[1:],
        most_lag=ask.max_lag,
        basis=ask.basis,
        seasons=usable,
        control=ask.control,
        check=check,
    )
    order = _ranked(found)
    sure = [i for i in order if found.q[i] <= ask.alpha]
    told = [
        Related(name_of(others[i]), float(found.r[i]), int(found.lag[i]), span(grid, int(found.lag[i]))) for i in sure
    ]
    return Correlated(
        target=target.name,
        grid=grid_out(grid),
        basis=ask.basis,
        seasons=usable,
        max_lag=ask.max_lag,
        control=ask.control,
        alpha=ask.alpha,
        compared=len(others),
        tested=len(order),
        found=len(sure),
        correlations=[_related(i, others, found, ask, grid) for i in order[: ask.limit]],
        left_out=dict(Counter(ours or theirs for ours, theirs in zip(reasons, found.why, strict=True) if theirs)),
        why=why,
        explanation=Teller(ask.lang).correlations(name_of(target), told, len(order), ask.basis),
    )


def similar(points: Sequence[Points], ask: Shape, check: Check) -> Similar:
    """Where the shape occurred in all series (the first of which may be the shape). Raises InputError."""
    grids = [_one_grid(p, points[0], ask) for p in points[1:] if ask.is_sent] or [
        _one_grid(p, None, ask) for p in points
    ]
    searched = points[1:] if ask.is_sent else points
    query, at = (points[0].value, None) if ask.is_sent else _query(grids[0], ask)
    _demand_shape(query)
    found: list[tuple[Match, int]] = []
    windows = 0
    for i, grid in enumerate(grids):
        check()
        if grid.length < len(query):
            continue
        of = Windows.of(grid.value[0], len(query))
        windows += int(np.isfinite(of.deviation).sum())
        own = None if at is None or i else (at - len(query) + 1, at + len(query) - 1)
        found += [(match, i) for match in matches(query, of, ask.limit, without=own)]
    alike = sorted((m for m in found if m[0].correlation >= ask.least), key=lambda m: m[0].distance)[: ask.limit]
    profile = _profile(grids[0], len(query), ask, check)
    teller = Teller(ask.lang)
    seen = [Seen(name_of(searched[i]), Place(m.index, grids[i].time(m.index)), m.correlation) for m, i in alike]
    return Similar(
        shape=_shape(points[0], grids[0], len(query), at),
        grid=grid_out(grids[0]),
        searched=windows,
        matches=[_match(m, searched[i], grids[i], len(query)) for m, i in alike],
        motifs=profile.motifs,
        discords=profile.discords,
        why=profile.why,
        explanation=teller.similar(seen, ask.least) + profile.told,
    )


def _ranked(found: Correlations) -> list[int]:
    """The tested series, surest first; of equally sure ones the more alike."""
    tested = np.flatnonzero(np.isfinite(found.p))
    order = np.lexsort((-np.abs(found.r[tested]), found.p[tested]))
    return [int(i) for i in tested[order]]


def _related(i: int, others: Sequence[Points], found: Correlations, ask: Relation, grid: Grid) -> CorrelationOut:
    r, lag = float(found.r[i]), int(found.lag[i])
    zero = float(found.zero[i])
    return CorrelationOut(
        metric=others[i].name,
        labels=shown(ask.labels[i]) if ask.labels else {},
        r=r,
        sign=1 if r >= 0 else -1,
        lag=lag,
        lag_s=seconds(grid, lag),
        zero_lag=zero if zero == zero else None,
        pairs=int(found.pairs[i]),
        effective=float(found.effective[i]),
        p=float(found.p[i]),
        q=float(found.q[i]),
        found=bool(found.q[i] <= ask.alpha),
    )


def shown(labels: Labels) -> dict[str, str]:
    """Labels as they stand in answers, without the metric's name."""
    return {name: value for name, value in labels if name != METRIC}


def _demand_known(target: Points) -> None:
    known = target.value
    if len(known) < LEAST_PAIRS:
        said = f"the target has {len(known):,} values; this needs {LEAST_PAIRS}"
        refuse(target.path, f"{said}, so send more or ask for a longer time")
    if (known == known[0]).all():
        refuse(target.path, f"the target is {known[0]:g} all the time; nothing can move with it")


def _without_rare(target: Points, others: Sequence[Points]) -> tuple[list[Points], list[str]]:
    """The others, those without values that cannot be used, and why not: rare, huge; "" = nothing is known against it.

    The grid has the step of the series that is sampled most rarely; one whose step would leave too little of the target
    must not decide for all.
    """
    kept, reasons = [], []
    for one in others:
        is_rare = not one.why and _is_rare(target, one)
        reasons.append("rare" if is_rare else one.why)
        kept.append(replace(one, t=one.t[:0], value=one.value[:0]) if is_rare and one.t is not None else one)
    return kept, reasons


def _is_rare(target: Points, one: Points) -> bool:
    if target.t is None or one.t is None or (step := usual_step(one.t)) is None:
        return False
    return len(np.unique((target.t - target.t[0] + step // 2) // step)) < LEAST_PAIRS


def _coarse(target: Points, others: Sequence[Points], grid: Grid) -> dict[str, str]:
    """Who makes the steps of the grid, when it is not the target."""
    own = None if target.t is None else usual_step(target.t)
    if own is None or grid.step_ms is None or grid.step_ms < 2 * own:
        return {}
    rarest = max(others, key=lambda one: (one.t is not None and usual_step(one.t)) or 0)
    said = f"{grid.step_ms / 1000:g} s, the step of {rarest.name}, which is sampled most rarely"
    return {"grid": f"{said}; the target has a sample every {own / 1000:g} s"}


# -- shapes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Profile:
    motifs: list[PairOut] | None = None
    discords: list[PairOut] | None = None
    why: dict[str, str] = field(default_factory=dict)
    told: str = ""


def _one_grid(points: Points, shape: Points | None, ask: Shape) -> Grid:
    """A series on its own steps, or on those of the shape, which has the lengths that count."""
    step = None if shape is None else shape.step_ms
    return without_gaps(grid_of([points], step if points.t is not None else None), max(1, int(GAP_SHARE * ask.points)))


def _query(grid: Grid, ask: Shape) -> tuple[Values, int]:
    at = grid.length - ask.points
    if ask.index is not None:
        at = ask.index
    elif ask.start is not None:
        if grid.start_ms is None or grid.step_ms is None:
            refuse("$.shapeStart", "the values have no timestamps; give shapeIndex")
        at = round((ask.start - grid.start_ms) / grid.step_ms)
    if not 0 <= at <= grid.length - ask.points:
        refuse("$.points", f"a shape of {ask.points:,} points does not lie within the {grid.length:,} of the series")
    return grid.value[0, at : at + ask.points], at


def _demand_shape(query: Values) -> None:
    if len(query) < LEAST_WINDOW:
        refuse("$.points", f"the shape has {len(query)} points; give at least {LEAST_WINDOW}")
    if np.isnan(query).any():
        refuse("$.points", f"the shape has gaps ({int(np.isnan(query).sum())} of {len(query)} points); choose another")
    if is_flat(query):
        refuse("$.points", "the shape is flat: nothing varies in it, so everything flat is like it; choose another")


def _profile(grid: Grid, m: int, ask: Shape, check: Check) -> _Profile:
    if not ask.has_profile:
        return _Profile()
    if grid.length > MOST_PROFILED:
        said = f"takes at most {MOST_PROFILED:,} points, has {grid.length:,}; narrow the time"
        return _Profile(why={"motifs": said, "discords": said})
    if grid.length < 2 * m:
        said = f"needs two shapes of {m:,} points, has {grid.length:,}"
        return _Profile(why={"motifs": said, "discords": said})
    of = matrix_profile(Windows.of(grid.value[0], m), check=check)
    again, alone = motifs(of, m, ask.limit), discords(of, m, ask.limit)
    place = [(Place(p.index, grid.time(p.index)), Place(p.nearest, grid.time(p.nearest)), p.correlation) for p in again]
    single = [Place(p.index, grid.time(p.index)) for p in alone]
    told = Teller(ask.lang).profile(place[0] if place else None, single[0] if single else None)
    return _Profile([_pair(p, grid) for p in again], [_pair(p, grid) for p in alone], {}, told)


def _pair(pair: Pair, grid: Grid) -> PairOut:
    start, nearest = moment(grid.time(pair.index)), moment(grid.time(pair.nearest))
    return PairOut(pair.index, start, pair.nearest, nearest, pair.distance, pair.correlation)


def _match(match: Match, points: Points, grid: Grid, m: int) -> MatchOut:
    start, end = (moment(grid.time(i)) for i in (match.index, match.index + m - 1))
    return MatchOut(points.name, match.index, start, end, match.distance, match.correlation)


def _shape(points: Points, grid: Grid, m: int, at: int | None) -> ShapeOut:
    if at is None:
        return ShapeOut(points.name, m, None, None, None)
    return ShapeOut(points.name, m, at, moment(grid.time(at)), moment(grid.time(at + m - 1)))
