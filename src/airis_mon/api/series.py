"""Series: which there are, their samples, what was normal for them, and which are watched."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.params import FromPath

from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import Doc
from airis_mon.api.params import DAY_MS, END, MATCH, START, Param, choice, query_of, read_id, whole, window
from airis_mon.api.schemas import (
    Bands,
    BandsAnswer,
    Columns,
    CoverageAnswer,
    CoverageCounts,
    Page,
    SamplesAnswer,
    SeriesAnswer,
    SeriesList,
    coverage_out,
    now_ms,
    series_out,
    stamp,
)
from airis_mon.detect.coverage import REASONS
from airis_mon.errors import InputError, Refusal

MOST_SERIES = 10_000
MOST_POINTS = 50_000
SIGNALS = ("value", "rate", "mean", "p99")

LIMIT = whole("limit", "So many at most.", 1000, MOST_SERIES, "narrow `match`")
OFFSET = whole("offset", "Leaves out so many first.", 0, 10_000_000, "narrow `match`", least=0)
MAX_POINTS = whole("maxPoints", "So many points at most.", 11_000, MOST_POINTS, "narrow start and end")
SIGNAL = choice("signal", "Which watched signal of the series; without it the first one.", SIGNALS)
WATCHED = choice("watched", "Only series that are watched, or only the others.", ("true", "false"))
REASON = choice("reason", "Only series with this reason.", tuple(REASONS))
ID: Param[int] = Param(
    "series_id",
    "The series' id, as /series lists it.",
    {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "9f86d081884c7d65",
    read_id,
    0,
)

_NOW = "2026-03-01T12:00:00.000Z"
_T = 1_772_366_400_000
_ONE: dict[str, Any] = {
    "id": "9f86d081884c7d65",
    "name": 'cpu_usage{host="web-1"}',
    "metric": "cpu_usage",
    "labels": {"host": "web-1"},
    "lastTimestamp": _NOW,
    "lastValue": 95.5,
    "score": 0.91,
    "signals": ["value"],
}
_PAGE = {"count": 1, "limit": 1000, "truncated": False}
_POINTS = {"count": 2, "limit": 11_000, "truncated": False}
_BANDS = {
    "t": [_T - 15_000, _T],
    "value": [41.0, 95.5],
    "expected": [40.5, 40.6],
    "lower": [31.0, 31.1],
    "upper": [50.0, 50.1],
    "score": [0.1, 0.91],
}
_COVERAGE = {
    "total": 2,
    "watched": 1,
    "skipped": 1,
    "signals": 1,
    "skippedByReason": {"constant": 1},
    "series": [
        {
            "id": _ONE["id"],
            "name": _ONE["name"],
            "watched": True,
            "signals": ["value"],
            "reason": "value",
            "description": REASONS["value"],
        }
    ],
}


def _said(**payload: Any) -> dict[str, Any]:
    return {"success": True, **payload, "timestamp": _NOW}


@get(
    "/series",
    opt={"doc": Doc(SeriesList, _said(series=[_ONE], metadata=_PAGE), params=(MATCH, START, END, LIMIT))},
)
async def list_series(request: Req, given: TheGiven) -> SeriesList:
    """Series that match, ordered by id.

    `start` and `end` keep those that were seen between; without them all known series are listed.
    """
    query = query_of(request)
    limit = query[LIMIT]
    found = await given.engine.series(query[MATCH], query[START], query[END], limit + 1)
    page = Page(min(len(found), limit), limit, len(found) > limit)
    return SeriesList([series_out(s) for s in found[:limit]], page, timestamp=stamp(now_ms()))


@get("/series/{series_id:str}", opt={"doc": Doc(SeriesAnswer, _said(series=_ONE), path=(ID,), errors=(404,))})
async def get_series(request: Req, given: TheGiven, series_id: FromPath[str]) -> SeriesAnswer:
    """One series and where it stands now."""
    query_of(request)
    return SeriesAnswer(series_out(await given.engine.series_one(_fp(series_id))), timestamp=stamp(now_ms()))


@get(
    "/series/{series_id:str}/samples",
    opt={
        "doc": Doc(
            SamplesAnswer,
            _said(samples={"t": _BANDS["t"], "value": _BANDS["value"]}, metadata=_POINTS),
            params=(START, END, MAX_POINTS),
            path=(ID,),
            errors=(404,),
        )
    },
)
async def get_samples(request: Req, given: TheGiven, series_id: FromPath[str]) -> SamplesAnswer:
    """Raw samples of one series in columns; the last hour, unless `start` or `end` say otherwise.

    With more than `maxPoints` samples in the window the first ones are given and `truncated` is true: go on from
    the last time, or narrow the window.
    """
    query = query_of(request)
    start, end = window(query, DAY_MS // 24)
    most = query[MAX_POINTS]
    found = await given.engine.samples(_fp(series_id), start, end, most + 1)
    columns = Columns(found.t[:most].tolist(), found.value[:most].tolist())
    page = Page(len(columns.t), most, len(found.t) > most)
    return SamplesAnswer(columns, page, timestamp=stamp(now_ms()))


@get(
    "/series/{series_id:str}/bands",
    opt={
        "doc": Doc(
            BandsAnswer,
            _said(bands=_BANDS, metadata=_POINTS),
            params=(SIGNAL, START, END, MAX_POINTS),
            path=(ID,),
            errors=(404,),
        )
    },
)
async def get_bands(request: Req, given: TheGiven, series_id: FromPath[str]) -> BandsAnswer:
    """What was normal for one watched signal, in columns; the last hour, unless `start` or `end` say otherwise.

    Values within `lower`..`upper` score below the line of 0.8. Of more than `maxPoints` the first ones are given
    and `truncated` is true.
    """
    query = query_of(request)
    start, end = window(query, DAY_MS // 24)
    most = query[MAX_POINTS]
    found = await given.engine.bands(_fp(series_id), query[SIGNAL], start, end)
    columns = (found.t, found.value, found.expected, found.lower, found.upper, found.score)
    page = Page(min(len(found.t), most), most, len(found.t) > most)
    return BandsAnswer(Bands(*(c[:most].tolist() for c in columns)), page, timestamp=stamp(now_ms()))


@get(
    "/series/coverage",
    opt={
        "doc": Doc(
            CoverageAnswer,
            _said(coverage=_COVERAGE, metadata={**_PAGE, "offset": 0, "matched": 1}),
            params=(MATCH, REASON, WATCHED, OFFSET, LIMIT),
        )
    },
)
async def get_coverage(request: Req, given: TheGiven) -> CoverageAnswer:
    """What is watched, what was skipped, and why.

    The counts are of all series; `series` is one page of those that meet the filters.
    """
    query = query_of(request)
    watched, offset, limit = query[WATCHED], query[OFFSET], query[LIMIT]
    is_watched = None if watched is None else watched == "true"
    found = await given.engine.coverage(query[MATCH], query[REASON], is_watched, offset, limit)
    rows = [coverage_out(item) for item in found.items]
    skipped = sum(found.skipped.values())
    counts = CoverageCounts(found.watched + skipped, found.watched, skipped, found.signals, dict(found.skipped), rows)
    page = Page(len(rows), limit, offset + len(rows) < found.matched, offset, found.matched)
    return CoverageAnswer(counts, page, timestamp=stamp(now_ms()))


def _fp(series_id: str) -> int:
    try:
        return read_id(series_id)
    except InputError as error:
        raise InputError(str(error), (Refusal("series_id", series_id, str(error)),)) from None
