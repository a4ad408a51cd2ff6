"""Anomalies that were found."""

from __future__ import annotations

from litestar import get

from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import Doc
from airis_mon.api.params import DAY_MS, END, MATCH, MIN_SCORE, SERIES, START, query_of, whole, window
from airis_mon.api.schemas import AnomalyList, Page, anomaly_out, now_ms, stamp

LIMIT = whole("limit", "So many at most.", 100, 10_000, "narrow start and end, or raise minScore")

_NOW = "2026-03-01T12:00:00.000Z"
_EXAMPLE = {
    "success": True,
    "anomalies": [
        {
            "id": "9f86d081884c7d65-value-1772366400000",
            "series": "9f86d081884c7d65",
            "name": 'cpu_usage{host="web-1"}',
            "metric": "cpu_usage",
            "labels": {"host": "web-1"},
            "signal": "value",
            "timestamp": _NOW,
            "value": 95.5,
            "score": 0.91,
            "onset": 6.2,
            "level": 1.4,
            "expected": 40.6,
            "lower": 31.1,
            "upper": 50.1,
            "feature": "jump",
        }
    ],
    "metadata": {"count": 1, "limit": 100, "truncated": False},
    "timestamp": _NOW,
}


@get("/anomalies", opt={"doc": Doc(AnomalyList, _EXAMPLE, params=(MATCH, SERIES, START, END, MIN_SCORE, LIMIT))})
async def list_anomalies(request: Req, given: TheGiven) -> AnomalyList:
    """Anomalies, newest first; of the last 24 hours, unless `start` or `end` say otherwise."""
    query = query_of(request)
    start, end = window(query, DAY_MS)
    limit = query[LIMIT]
    found = await given.engine.anomalies(query[MATCH], query[SERIES], start, end, query[MIN_SCORE], limit + 1)
    page = Page(min(len(found), limit), limit, len(found) > limit)
    return AnomalyList([anomaly_out(a) for a in found[:limit]], page, timestamp=stamp(now_ms()))
