"""What explorations are asked with, and the stored series that a selector or an expression means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from airis_mon.api.asked import AskedSeries, Moment, moment_of, refuse, source_of
from airis_mon.api.given import TheGiven
from airis_mon.api.params import MOST_PATTERN
from airis_mon.api.schemas import now_ms
from airis_mon.app.analytics import Source
from airis_mon.app.explore import MOST_SEASONS, AskedSeasons
from airis_mon.errors import InputError, QueryError
from airis_mon.query.values import Vector
from airis_mon.series.labels import Labels, series_name
from airis_mon.series.matchers import parse_selector
from airis_mon.series.steps import Steps

MOST_SERIES = 1_000
MOST_LAG = 5_000
MOST_SHAPE = 20_000
MOST_LIMIT = 1_000
STEPS, COMPARED_STEPS = 720, 240
"""Of an expression over a time, and over each of two windows, unless a step is asked for."""
HOUR_MS = 3_600_000
YEAR_S = 366 * 86_400

Lang = Literal["en", "ko"]
Language = Annotated[Lang, Meta(description="Of the explanation; without it by Accept-Language, else en")] | UnsetType
SeasonPoints = (
    Annotated[
        list[Annotated[int, Meta(ge=2, le=1_000_000)]],
        Meta(
            description=f"Periods in points, at most {MOST_SEASONS}; [] = none; without both they are looked for",
            max_length=MOST_SEASONS,
        ),
    ]
    | UnsetType
)
SeasonSeconds = (
    Annotated[
        list[Annotated[float, Meta(gt=0, le=10 * YEAR_S)]],
        Meta(description="Periods in s instead of points, such as 86400 for a day", max_length=MOST_SEASONS),
    ]
    | UnsetType
)
Match = (
    Annotated[
        str,
        Meta(description=f"Stored series, by one PromQL selector: {MOST_SERIES:,} at most", max_length=10_000),
    ]
    | UnsetType
)
Query = (
    Annotated[
        str,
        Meta(
            description="Or the series that a PromQL expression gives over the time: by far the fastest way to many, "
            "and the way to rates of counters over windows of your choice",
            max_length=10_000,
        ),
    ]
    | UnsetType
)
Share = Annotated[float, Meta(gt=0, le=0.5, description="q up to which a series counts as found")]
Control = Annotated[
    Literal["bh", "by"],
    Meta(description="Over series: Benjamini-Hochberg, or -Yekutieli, which holds whatever they have in common"),
]
Limit = Annotated[int, Meta(ge=1, le=MOST_LIMIT, description="So many are given at most; all are counted")]


class Decompose(AskedSeries, forbid_unknown_fields=True, kw_only=True):
    """A series to be taken apart."""

    seasons: SeasonPoints = UNSET
    seasons_s: SeasonSeconds = UNSET
    robust: Annotated[bool, Meta(description="Outliers weigh little; seven times as slow")] = False
    language: Language = UNSET


class ChangePoints(AskedSeries, forbid_unknown_fields=True, kw_only=True):
    """A series whose changes of level are looked for."""

    seasons: SeasonPoints = UNSET
    seasons_s: SeasonSeconds = UNSET
    penalty: Annotated[
        float,
        Meta(ge=0.1, le=1000, description="Price of a change, times ln n, in squared noise; more = fewer changes"),
    ] = 3.0
    language: Language = UNSET


class Correlate(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A target, and what is held against it: `series`, `match` or `query`."""

    target: AskedSeries
    series: (
        Annotated[list[AskedSeries], Meta(description=f"At most {MOST_SERIES:,}", max_length=MOST_SERIES)] | UnsetType
    ) = UNSET
    match: Match = UNSET
    query: Query = UNSET
    step_s: (
        Annotated[float, Meta(ge=1, le=YEAR_S, description="Of `query`; without it the target's own, 720 at most")]
        | UnsetType
    ) = UNSET
    max_lag: Annotated[int, Meta(ge=0, le=MOST_LAG, description="In points, both ways")] = 60
    basis: Annotated[
        Literal["changes", "deseasoned", "values"],
        Meta(description="What is correlated: changes less the season, values less the season, or values"),
    ] = "changes"
    seasons: SeasonPoints = UNSET
    seasons_s: SeasonSeconds = UNSET
    control: Control = "bh"
    alpha: Share = 0.05
    limit: Limit = 20
    language: Language = UNSET


class FindSimilar(AskedSeries, forbid_unknown_fields=True, kw_only=True):
    """A series, and a shape in it, or one that is sent along."""

    points: (
        Annotated[int, Meta(ge=4, le=MOST_SHAPE, description="Of the shape; without `shape` it is needed")] | UnsetType
    ) = UNSET
    shape_index: (
        Annotated[int, Meta(ge=0, le=10_000_000, description="Where the shape begins; without it: the last points")]
        | UnsetType
    ) = UNSET
    shape_start: Annotated[Moment, Meta(description="Or the time at which it begins")] | UnsetType = UNSET
    shape: (
        Annotated[list[float], Meta(description="The shape itself", min_length=4, max_length=MOST_SHAPE)] | UnsetType
    ) = UNSET
    series: (
        Annotated[
            list[AskedSeries],
            Meta(description="Further series to look in, at most 100", max_length=100),
        ]
        | UnsetType
    ) = UNSET
    min_correlation: Annotated[float, Meta(ge=-1, le=1, description="Windows less alike are left out")] = 0.7
    profile: Annotated[bool, Meta(description="Also the matrix profile: shapes that come again, and discords")] = False
    limit: Limit = 10
    language: Language = UNSET


class Compare(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A window, another one, and the series: `series`, `match` or `query`."""

    series: (
        Annotated[list[AskedSeries], Meta(description=f"At most {MOST_SERIES:,}", max_length=MOST_SERIES)] | UnsetType
    ) = UNSET
    match: Match = UNSET
    query: Query = UNSET
    step_s: (
        Annotated[float, Meta(ge=1, le=YEAR_S, description="Of `query`; without it 240 steps over the window")]
        | UnsetType
    ) = UNSET
    at: (
        Annotated[Moment, Meta(description="A time such as a deploy: the window begins here, the other one ends here")]
        | UnsetType
    ) = UNSET
    split_at: (
        Annotated[int, Meta(ge=0, description="Of values without times: the first point of the window")] | UnsetType
    ) = UNSET
    start: Annotated[Moment, Meta(description="Of the window; without it an hour before `end`")] | UnsetType = UNSET
    end: Annotated[Moment, Meta(description="Of the window; without it now")] | UnsetType = UNSET
    window_s: (
        Annotated[float, Meta(gt=0, le=YEAR_S, description="Length of the window, instead of `start`")] | UnsetType
    ) = UNSET
    against: Annotated[
        Literal["before", "day", "week"],
        Meta(description="The other window: right before, a day or a week earlier; or give againstStart, againstEnd"),
    ] = "before"
    against_start: Moment | UnsetType = UNSET
    against_end: Moment | UnsetType = UNSET
    aggregate: Annotated[Literal["sum", "mean"], Meta(description="How series make the total")] = "sum"
    control: Control = "bh"
    alpha: Share = 0.05
    limit: Limit = 20
    language: Language = UNSET


@dataclass(frozen=True, slots=True)
class Window:
    """A time in ms."""

    start: int
    end: int


def seasons_of(points: list[int] | UnsetType, seconds: list[float] | UnsetType) -> AskedSeasons:
    """The seasons that were asked for. Raises InputError when they are given twice."""
    if points is not UNSET and seconds is not UNSET:
        refuse("$.seasonsS", str(seconds), "is given beside seasons; give one of them")
    return AskedSeasons(None if points is UNSET else tuple(points), None if seconds is UNSET else tuple(seconds))


def one_way(**ways: object) -> str:
    """Which one of several ways to name series was taken. Raises InputError for none and for two."""
    given = [name for name, value in ways.items() if value is not UNSET]
    if not given:
        refuse(f"$.{next(iter(ways))}", "", f"is missing; give {', '.join(ways)}: one of them")
    if len(given) > 1:
        refuse(f"$.{given[1]}", "", f"is given beside {given[0]}; give one of them")
    return given[0]


def sources_of(asked: Sequence[AskedSeries], path: str) -> list[Source]:
    """The series that are listed one by one."""
    if not asked:
        refuse(path, "[]", f"is empty; give 1 to {MOST_SERIES:,} series")
    return [source_of(one, f"{path}[{i}]") for i, one in enumerate(asked)]


async def matched(given: TheGiven, selector: str, windows: Sequence[Window]) -> tuple[list[Source], list[Labels]]:
    """The stored series of a selector, each once per window in turn, and their labels. Raises InputError."""
    try:
        matchers = parse_selector(selector)
    except InputError as error:
        refuse("$.match", selector, str(error))
    if any(len(m.value) > MOST_PATTERN for m in matchers if m.op in {"=~", "!~"}):
        refuse("$.match", selector[:80], f"has a pattern of more than {MOST_PATTERN:,} characters")
    start, end = min(w.start for w in windows), max(w.end for w in windows)
    found = await given.engine.series(matchers, start, end, MOST_SERIES + 1)
    _demand_some(len(found), "$.match", selector)
    sources = [Source("", fp=one.fp, start=w.start, end=w.end, is_optional=True) for one in found for w in windows]
    return sources, [one.labels for one in found]


async def queried(
    given: TheGiven, text: str, windows: Sequence[Window], step_ms: int
) -> tuple[list[Source], list[Labels]]:
    """The series that an expression gives at steps within windows, as `matched` has them.

    Raises InputError for a malformed expression, QueryError for one that gives no series.
    """
    found: dict[Labels, list[Source | None]] = {}
    for i, window in enumerate(windows):
        steps = Steps.between(window.start, window.end, step_ms)
        answer = await given.engine.queries.answer(text, steps, range_end=window.end)
        if not isinstance(answer.value, Vector):
            raise QueryError(f"$.query gives no series but a {type(answer.value).__name__.lower()}; ask for series")
        _demand_some(len(answer.value) or 1, "$.query", text)
        for row, labels in enumerate(answer.value.labels):
            known = answer.value.has[row] & np.isfinite(answer.value.value[row])
            own = found.setdefault(labels, [None] * len(windows))
            value = answer.value.value[row, known]
            own[i] = Source(_name(labels, text), value=value, t=steps.t[known], is_optional=True)
    _demand_some(len(found), "$.query", text)
    ordered = sorted(found)
    sources = [one or _empty(_name(labels, text)) for labels in ordered for one in found[labels]]
    return sources, ordered


def step_of(step_s: float | UnsetType, window: Window, steps: int) -> int:
    """The step of an expression in ms: as asked for, else so that a window has about so many."""
    if step_s is not UNSET:
        return round(step_s * 1000)
    return max(1000, math.ceil((window.end - window.start) / steps / 1000) * 1000)


def windows_of(asked: Compare) -> tuple[Window, Window]:
    """The window to be compared with, and the window. Raises InputError for times that contradict each other."""
    if asked.at is not UNSET:
        for name, given in (("start", asked.start), ("againstEnd", asked.against_end)):
            if given is not UNSET:
                refuse(f"$.{name}", str(given), "is given beside at; give one of them")
        if asked.end is not UNSET and asked.window_s is not UNSET:
            refuse("$.windowS", str(asked.window_s), "is given beside at and end; leave one of them out")
    length = HOUR_MS if asked.window_s is UNSET else round(asked.window_s * 1000)
    if asked.at is not UNSET:
        start = moment_of(asked.at, "$.at")
        end = min(start + length, now_ms()) if asked.end is UNSET else moment_of(asked.end, "$.end")
    else:
        end = now_ms() if asked.end is UNSET else moment_of(asked.end, "$.end")
        start = max(end - length, 0) if asked.start is UNSET else moment_of(asked.start, "$.start")
        if asked.start is not UNSET and asked.window_s is not UNSET:
            refuse("$.windowS", str(asked.window_s), "is given beside start; give one of them")
    if start >= end:
        name = "start" if asked.at is UNSET else "at"
        refuse(f"$.{name}", str(start), "is not before the end of the window; give an earlier one")
    return _against(asked, Window(start, end)), Window(start, end)


def _against(asked: Compare, window: Window) -> Window:
    length = window.end - window.start
    if asked.against_start is UNSET and asked.against_end is UNSET:
        earlier = {"before": length + 1, "day": 86_400_000, "week": 7 * 86_400_000}[asked.against]
        if window.start < earlier:
            refuse("$.against", asked.against, "lies before 1970")
        return Window(window.start - earlier, window.end - earlier)
    end = window.start - 1 if asked.against_end is UNSET else moment_of(asked.against_end, "$.againstEnd")
    start = max(end - length, 0) if asked.against_start is UNSET else moment_of(asked.against_start, "$.againstStart")
    if start >= end:
        refuse("$.againstStart", str(asked.against_start), "is not before againstEnd; exchange them")
    return Window(start, end)


def _demand_some(count: int, path: str, asked: str) -> None:
    if not count:
        refuse(path, asked[:200], "means no series of that time; GET /series lists what is known")
    if count > MOST_SERIES:
        refuse(path, asked[:200], f"means more than {MOST_SERIES:,} series; add label conditions to it")


def _name(labels: Labels, text: str) -> str:
    return series_name(labels) if labels else text


def _empty(name: str) -> Source:
    return Source(name, value=np.empty(0), t=np.empty(0, np.int64))
