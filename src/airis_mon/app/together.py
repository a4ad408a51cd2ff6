"""An entity as a whole: the signals of its series on one grid, judged together, and what is to be told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.analyze.together import LEAST_TRAINED, Method, Together, together
from airis_mon.app.analytics import HUGE, LARGEST, Check, Points
from airis_mon.errors import InputError
from airis_mon.events.anomaly import ALARM
from airis_mon.explain.speak import Lang
from airis_mon.explain.together import told_of
from airis_mon.series.batch import Times, Values
from airis_mon.series.zone import Zone

MOST_METRICS = 200
MOST_ROWS = 20_000
"""Times of the grid, training and judged ones: more make the step longer."""
LEAST_STEP_MS = 1_000
BLAMED = 5
GAP_ROWS = 3
"""Rows below the line that end an episode."""


_Samples = tuple[Times, Values]


@dataclass(frozen=True, slots=True)
class Ask:
    """How an entity is to be judged: within [start, end] ms, after learning from [learn_from, start)."""

    name: str
    method: Method
    learn_from: int
    start: int
    end: int
    step_ms: int | None
    language: Lang


@dataclass(frozen=True, slots=True)
class Blamed:
    """A metric and what part of a score it gave, 0..1."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Episode:
    """From when to when the score was at the line (ms), where it was highest, and which metrics gave it there."""

    start: int
    end: int
    peak: float
    peak_at: int
    p: float | None
    metrics: list[Blamed]


@dataclass(frozen=True, slots=True)
class Found:
    """The answer.

    trained, judged: rows of the grid; components: axes that PCA kept; p: of the highest score; raw_line: what the line
    of scores, `ALARM`, is in the method's own unit; t: ms; left_out: signals with which nothing can be computed, by
    reason.
    """

    entity: str
    method: Method
    metrics: list[str]
    step_s: float
    trained: int
    judged: int
    is_anomaly: bool
    score: float
    at: int
    p: float | None
    raw_line: float
    components: int | None
    blamed: list[Blamed]
    episodes: list[Episode]
    t: list[int]
    scores: list[float]
    left_out: dict[str, int]
    explanation: str


def judged(points: Sequence[Points], ask: Ask, zone: Zone | None, check: Check) -> Found:
    """Judges the entity whose signals these are.

    Raises InputError when there is no signal, or too little of them in the training or the judged time.
    """
    seen = {p.name: (p.t, p.value) for p in points if p.t is not None and len(p.t)}
    left_out = dict(Counter(p.why for p in points if p.why))
    if not seen:
        few = f", but for {left_out[HUGE]} with values beyond {LARGEST:g}" if HUGE in left_out else ""
        raise InputError(f"{ask.name}: no signal has a sample in that time{few}; take another time, or other series")
    samples = list(seen.values())
    step_ms = ask.step_ms or _step(samples, ask.end - ask.learn_from)
    t, value = _grid(samples, ask, step_ms)
    check()
    trained = int(np.searchsorted(t, ask.start, side="right"))  # a step that ends at the start lies before it
    _demand(value, trained, ask, step_ms)
    found = together(value, trained, ask.method, t=t, zone=zone)
    return _told(ask, list(seen), left_out, t[trained:], trained, step_ms, found)


def _step(points: Sequence[_Samples], span_ms: int) -> int:
    """The usual distance of the signals' samples, longer when the rows would be too many."""
    usual = [float(np.median(np.diff(t))) for t, _ in points if len(t) > 1]
    wished = float(np.median(usual)) if usual else float(span_ms)
    least = max(LEAST_STEP_MS, -(-span_ms // MOST_ROWS))
    return int(-(-max(wished, least) // LEAST_STEP_MS) * LEAST_STEP_MS)


def _grid(points: Sequence[_Samples], ask: Ask, step_ms: int) -> tuple[Times, Values]:
    """((rows,) ends of steps, (rows, metrics) means of the samples in them, NaN = none)."""
    rows = -(-(ask.end - ask.learn_from) // step_ms)
    if rows > MOST_ROWS:
        raise InputError(
            f"stepS {step_ms / 1000:g} makes {rows:,} rows, at most {MOST_ROWS:,}; take a longer step or a shorter time"
        )
    t = ask.learn_from + step_ms * np.arange(1, rows + 1, dtype=np.int64)
    value = np.full((rows, len(points)), np.nan)
    for metric, (times, values) in enumerate(points):
        row = np.minimum((times - ask.learn_from) // step_ms, rows - 1)
        count = np.bincount(row, minlength=rows)
        with np.errstate(invalid="ignore"):
            value[:, metric] = np.bincount(row, weights=values, minlength=rows) / count
    return t, value


def _demand(value: Values, trained: int, ask: Ask, step_ms: int) -> None:
    full = int((~np.isnan(value[:trained])).any(1).sum())
    if full < LEAST_TRAINED:
        raise InputError(
            f"{ask.name}: only {full} steps of {step_ms / 1000:g} s before start hold a sample, at least "
            f"{LEAST_TRAINED} are learned from; raise trainS, or take a shorter stepS"
        )
    if not (~np.isnan(value[trained:])).any():
        raise InputError(f"{ask.name}: no sample lies between start and end; take a later end")


def _told(
    ask: Ask, names: list[str], left_out: dict[str, int], t: Times, trained: int, step_ms: int, found: Together
) -> Found:
    peak = int(found.score.argmax())
    blamed = _blamed(found, peak, names)
    is_anomaly = bool(found.score[peak] >= ALARM)
    p = None if found.p is None else float(found.p[peak])
    return Found(
        entity=ask.name,
        method=ask.method,
        metrics=names,
        step_s=step_ms / 1000,
        trained=trained,
        judged=len(t),
        is_anomaly=is_anomaly,
        score=float(found.score[peak]),
        at=int(t[peak]),
        p=p,
        raw_line=found.line,
        components=found.components or None,
        blamed=blamed,
        episodes=_episodes(found, t, names),
        t=t.tolist(),
        scores=np.round(found.score, 6).tolist(),
        left_out=left_out,
        explanation=told_of(
            ask.name,
            ask.method,
            float(found.score[peak]),
            int(t[peak]),
            [(b.name, b.share) for b in blamed],
            trained,
            ask.language,
        ),
    )


def _blamed(found: Together, row: int, names: list[str]) -> list[Blamed]:
    order = np.argsort(-found.share[row], kind="stable")[:BLAMED]
    return [Blamed(names[m], round(float(found.share[row, m]), 6)) for m in order if found.share[row, m] > 0]


def _episodes(found: Together, t: Times, names: list[str]) -> list[Episode]:
    high = np.flatnonzero(found.score >= ALARM)
    if not len(high):
        return []
    cut = np.flatnonzero(np.diff(high) > GAP_ROWS) + 1
    episodes = []
    for rows in np.split(high, cut):
        peak = int(rows[found.score[rows].argmax()])
        p = None if found.p is None else float(found.p[peak])
        metrics = _blamed(found, peak, names)
        episodes.append(Episode(int(t[rows[0]]), int(t[rows[-1]]), float(found.score[peak]), int(t[peak]), p, metrics))
    return episodes
