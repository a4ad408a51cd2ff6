"""Metrics as JSON, the specification's own way in; and our own metrics as text for a scraper."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get, post

from airis_mon.api.body import decoded, read_body
from airis_mon.api.engine import Receipt
from airis_mon.api.errors import HttpError, PartlyRefused
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import JSON, Body, Doc
from airis_mon.api.params import MILLISECONDS_FROM
from airis_mon.api.schemas import MetricEcho, Stored, StoredMany, now_ms, stamp

_METRIC_SCHEMA = {
    "type": "object",
    "required": ["metricName", "value"],
    "properties": {
        "metricName": {"type": "string", "minLength": 1},
        "value": {"type": "number"},
        "labels": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
        "source": {"type": ["string", "null"], "default": "api"},
        "timestamp": {
            "description": "RFC 3339 with an offset, epoch seconds or milliseconds; now, when absent",
            "type": ["string", "number", "null"],
        },
    },
}
_ONE_OR_MANY = {"oneOf": [_METRIC_SCHEMA, {"type": "array", "items": _METRIC_SCHEMA}]}
_SENT = {"metricName": "cpu_usage", "value": 95.5, "labels": {"host": "web-1"}, "source": "api"}
_NOW = "2026-03-01T12:00:00.000Z"
_STORED = {
    "success": True,
    "message": "1 metric was stored",
    "metric": {"name": "cpu_usage", "value": 95.5, "labels": {"host": "web-1"}, "source": "api", "timestamp": _NOW},
    "timestamp": _NOW,
}
_TEXT = "text/plain; version=0.0.4"
INLINE_BYTES = 64 * 1024
"""The answer to a larger body is made in a thread: 10 MiB hold several hundred thousand metrics."""


class _Sent(msgspec.Struct, rename="camel"):
    """A metric as it was sent; the engine's decoder has judged it already."""

    metric_name: str
    value: float
    labels: dict[str, str] | None = None
    source: str | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | int | float | None = None


_ONE: msgspec.json.Decoder[_Sent] = msgspec.json.Decoder(_Sent)
_MANY: msgspec.json.Decoder[list[_Sent]] = msgspec.json.Decoder(list[_Sent])


@post(
    "/metrics",
    status_code=200,
    opt={"doc": Doc(Stored, _STORED, StoredMany, bodies=(Body(JSON, _ONE_OR_MANY, lambda _: _SENT),))},
)
async def add_metrics(request: Req, given: TheGiven) -> Response[bytes]:
    """Stores one metric, or an array of them.

    The answer comes after the commit. When some metrics of an array are refused, the others are stored all the
    same and the answer is 400 with `accepted`, `refused` and one entry of `details` for each refused one (the
    first 100). The body may be compressed with gzip, deflate or zstd.
    """
    kind = media_of(request)
    if kind not in {"", JSON}:
        raise HttpError(415, f"the body is {kind[:60]!r}; send JSON with the header `Content-Type: application/json`")
    body = await read_body(request, given.bounds.json_bytes, given.bounds.body_timeout_s)
    body = await decoded(body, request.headers.get("content-encoding", ""), given.bounds.json_bytes)
    receipt = await given.engine.ingest("json", body, JSON)
    refuse_partly(receipt)
    if len(body) <= INLINE_BYTES:
        return Response(_echo(body, receipt), media_type=JSON)
    return Response(await asyncio.to_thread(_echo, body, receipt), media_type=JSON)


@get("/metrics", media_type=_TEXT, opt={"doc": Doc(None, "airis_up 1\n", media="text/plain")})
async def exposition(given: TheGiven) -> Response[bytes]:
    """Our own metrics in the Prometheus text format, with `aiops_anomaly_score` of every watched series."""
    return Response(await given.engine.exposition(), media_type=_TEXT)


def media_of(request: Req) -> str:
    """The body's media type in lower case, without parameters; empty when none was given."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def refuse_partly(receipt: Receipt, headers: dict[str, str] | None = None) -> None:
    """Raises PartlyRefused when any item was refused."""
    if receipt.refused:
        raise PartlyRefused(receipt.accepted, receipt.refused, receipt.refusals, headers or {})


def _echo(body: bytes, receipt: Receipt) -> bytes:
    """The whole answer as JSON."""
    now = stamp(now_ms())
    if body.lstrip()[:1] != b"[":
        one = Stored("1 metric was stored", _metric(_ONE.decode(body), receipt.received_ms), timestamp=now)
        return msgspec.json.encode(one)
    metrics = [_metric(m, receipt.received_ms) for m in _MANY.decode(body)]
    message = "1 metric was stored" if len(metrics) == 1 else f"{len(metrics)} metrics were stored"
    return msgspec.json.encode(StoredMany(message, metrics, receipt.accepted, receipt.refused, timestamp=now))


def _metric(sent: _Sent, received_ms: int) -> MetricEcho:
    return MetricEcho(
        sent.metric_name, sent.value, sent.labels or {}, sent.source or "api", _stamp(sent.timestamp, received_ms)
    )


def _stamp(timestamp: datetime | float | None, received_ms: int) -> str:
    if timestamp is None:
        return stamp(received_ms)
    if isinstance(timestamp, datetime):
        return stamp(round(timestamp.timestamp() * 1000))
    return stamp(round(timestamp if abs(timestamp) >= MILLISECONDS_FROM else timestamp * 1000))
