"""Statistics of a stored signal's last minutes: one answer, or a stream of them while samples arrive."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.response import Stream
from msgspec import Meta

from airis_mon.analyze.rolling import Rolling
from airis_mon.analyze.statistics import statistics
from airis_mon.api.analysis_example import ANALYSIS
from airis_mon.api.analysis_out import Kept, StatisticsOut, Why, statistics_out
from airis_mon.api.asked import answered, refuse
from airis_mon.api.events import RETRY_MS
from airis_mon.api.given import Given, Req, TheGiven
from airis_mon.api.openapi import Doc
from airis_mon.api.params import END, Param, Query, query_of, read_id, whole
from airis_mon.api.schemas import Answer, Out, Timestamp, now_ms, stamp
from airis_mon.api.series import SIGNAL
from airis_mon.app.analytics import Analytics, Check, Points, Source
from airis_mon.errors import AirisError, InputError, StoreBusy
from airis_mon.events.event import Event

MOST_WINDOW_S = 86_400 * 31
MOST_STREAMS = 100
_NOW = "2026-03-01T12:00:00.000Z"


class WindowOut(Out):
    """A signal's samples of a window in figures."""

    metric: Annotated[str, Meta(examples=['cpu_usage{host="web-1"}'])]
    window_s: float
    start: Annotated[Timestamp | None, Meta(description="Time of the first sample in the window")]
    end: Annotated[Timestamp | None, Meta(description="Time of the last one")]
    statistics: Annotated[StatisticsOut | None, Meta(description="null without a sample")]
    why: Why


class WindowAnswer(Answer):
    """Statistics of one window."""

    result: WindowOut
    metadata: Kept


def _read_seconds(text: str) -> float:
    try:
        seconds = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= MOST_WINDOW_S:
        raise InputError(f"is no window; give 1 to {MOST_WINDOW_S} seconds")
    return seconds


SERIES: Param[int | None] = Param(
    "series",
    "The series' id, as /series lists it.",
    {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "9f86d081884c7d65",
    read_id,
    None,
    is_required=True,
)
WINDOW: Param[float | None] = Param(
    "windowS",
    "The window in seconds; without it that of the settings (analytics.window_s).",
    {"type": "number", "minimum": 1, "maximum": MOST_WINDOW_S},
    "300",
    _read_seconds,
    None,
)
INTERVAL = whole("intervalS", "How often it is looked for new samples, seconds.", 2, 3600, "ask once in a while")

_FIGURES = {
    "metric": 'cpu_usage{host="web-1"}',
    "windowS": 300.0,
    "start": "2026-03-01T11:55:15.000Z",
    "end": _NOW,
    "statistics": ANALYSIS["result"]["data"]["statistics"],
    "why": {},
}
_EXAMPLE = f"event: statistics\ndata: {msgspec.json.encode(_FIGURES).decode()}\n\n"


@get(
    "/analytics/statistics",
    opt={
        "doc": Doc(
            WindowAnswer,
            {"success": True, "result": _FIGURES, "metadata": {"cached": False}, "timestamp": _NOW},
            params=(SERIES, SIGNAL, WINDOW, END),
            errors=(404, 422, 499, 503),
        )
    },
)
async def window_statistics(request: Req, given: TheGiven) -> Response[bytes]:
    """Statistics of a stored signal's last minutes, or of the window that ends at `end`."""
    query = query_of(request)
    analytics = given.engine.analytics
    source, window_s = _source(query, analytics, now_ms() if query[END] is None else query[END])

    def work(points: Sequence[Points], check: Check) -> WindowOut:
        check()
        return _window(points[0], window_s)

    return await answered(request, given, "statistics", [source], {"windowS": window_s}, work)


@get(
    "/analytics/stream",
    media_type="text/event-stream",
    opt={
        "doc": Doc(
            None,
            _EXAMPLE,
            params=(SERIES, SIGNAL, WINDOW, INTERVAL),
            media="text/event-stream",
            errors=(404, 422, 503),
        )
    },
)
async def stream_statistics(request: Req, given: TheGiven) -> Stream:
    """Statistics of a stored signal's last minutes as samples arrive, as a stream (server-sent events).

    One event `statistics` at once, then one whenever there are new samples. Lines that begin with a colon keep the
    connection open.
    """
    query = query_of(request)
    analytics = given.engine.analytics
    source, window_s = _source(query, analytics, now_ms())
    first = await analytics.points(source)  # before the stream begins, so that what is wrong has a status
    if analytics.listeners >= MOST_STREAMS:
        raise StoreBusy(f"{MOST_STREAMS} statistics are streamed already; close one", 5.0)
    frames = told(given, source, first, window_s, query[INTERVAL])
    return Stream(frames, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


ROUTES = (window_statistics, stream_statistics)


def _source(query: Query, analytics: Analytics, end: int | None) -> tuple[Source, float]:
    fp = query[SERIES]
    if fp is None:
        refuse("series", "", "is missing; give the id of a series, as /series lists it")
    window_s = query[WINDOW] or analytics.window_s
    end = 0 if end is None else end
    return Source("", fp=fp, signal=query[SIGNAL], start=max(0, end - round(window_s * 1000)), end=end), window_s


def _window(of: Points, window_s: float) -> WindowOut:
    if not len(of.value):
        why = {"statistics": f"no sample within {window_s:g} s"}
        return WindowOut(of.name, window_s, None, None, None, why)
    found = statistics_out(statistics(of.value))
    why = {"stdDev": "needs 2 values, has 1"} if found.std_dev is None else {}
    if found.skew is None:
        why["skew"] = "all values are equal" if found.count > 1 else "needs 2 values, has 1"
    first, last = (stamp(int(of.t[i])) if of.t is not None else None for i in (0, -1))
    return WindowOut(of.name, window_s, first, last, found, why)


async def told(given: Given, source: Source, first: Points, window_s: float, interval_s: float) -> AsyncIterator[bytes]:
    """The frames of one stream, until the server stops; it ends with its listener."""
    live = Rolling(round(window_s * 1000))
    _add(live, first)
    with given.engine.analytics.listening():
        yield f"retry: {RETRY_MS}\n\n".encode() + _frame(_rolled(live, first.name, window_s))
        quiet_s = 0.0
        while await _tick(given, interval_s):
            quiet_s += interval_s
            if await _has_grown(given.engine.analytics, source, live):
                quiet_s = 0.0
                yield _frame(_rolled(live, first.name, window_s))
            elif quiet_s >= given.bounds.heartbeat_s:
                quiet_s = 0.0
                yield b": heartbeat\n\n"


async def _has_grown(analytics: Analytics, source: Source, live: Rolling) -> bool:
    """Adds what came since; the store may be away for a while, and what it lacks now comes later."""
    since = int(live.t[-1]) + 1 if len(live) else source.start
    last = analytics.last_t(source.fp or 0)
    if last is None or (since is not None and last < since):
        return False
    try:
        points = await analytics.points(replace(source, start=since, end=max(now_ms(), last)))
    except AirisError:
        return False
    _add(live, points)
    return len(points.value) > 0


def _add(live: Rolling, points: Points) -> None:
    if points.t is not None and len(points.t):
        live.add(points.t, points.value)


def _rolled(live: Rolling, name: str, window_s: float) -> WindowOut:
    found = _window(Points(name, live.t, live.value), window_s)
    if live.is_cut:
        found.why["window"] = f"only its newest {live.most:,} samples are held"
    return found


def _frame(of: WindowOut) -> bytes:
    return b"event: statistics\ndata: " + msgspec.json.encode(of) + b"\n\n"


class _Silence:
    """A listener that never hears anything: what waits for it waits for the time to pass, or for the end."""

    dropped = 0

    async def __anext__(self) -> Event:
        await asyncio.get_running_loop().create_future()
        raise StopAsyncIteration


async def _tick(given: Given, interval_s: float) -> bool:
    """Waits; False when the server is about to stop."""
    await given.streams.next(_Silence(), interval_s)
    return not given.streams.is_closing
