"""The ways in that other tools bring along: Prometheus remote write and OTLP over HTTP."""

from __future__ import annotations

from typing import Any

import cramjam
import msgspec
from litestar import Response, post

from airis_mon.api.body import decoded, read_body
from airis_mon.api.engine import Receipt
from airis_mon.api.errors import Fault, HttpError, fault
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.metrics import media_of, refuse_partly
from airis_mon.api.openapi import JSON, Body, Doc

PROTOBUF = "application/x-protobuf"
_BINARY: dict[str, Any] = {}
"""OpenAPI 3.1 describes binary bodies by their media type alone."""
_GRPC = {400: 3, 401: 16, 403: 7, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
"""gRPC's codes for our statuses, as OTLP's error message carries them; all others are 13, internal."""


def _remote_write_example(now: int) -> bytes:
    labels = [(b"__name__", b"cpu_usage"), (b"host", b"web-1")]
    series = b"".join(_field(1, _field(1, name) + _field(2, value)) for name, value in labels)
    sample = b"\x09\x00\x00\x00\x00\x00\xe0\x57\x40" + b"\x10" + _varint(now)  # 95.5
    return bytes(cramjam.snappy.compress_raw(_field(1, series + _field(2, sample))))


def _otlp_example(now: int) -> dict[str, Any]:
    attributes = [{"key": "host", "value": {"stringValue": "web-1"}}]
    point = {"timeUnixNano": str(now * 1_000_000), "asDouble": 95.5, "attributes": attributes}
    metric = {"name": "cpu_usage", "gauge": {"dataPoints": [point]}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


@post(
    "/api/v1/write",
    status_code=204,
    opt={"doc": Doc(None, status=204, bodies=(Body(PROTOBUF, _BINARY, _remote_write_example),))},
)
async def remote_write(request: Req, given: TheGiven) -> Response[None]:
    """Prometheus remote write, versions 1.0 and 2.0: protobuf, compressed with snappy.

    In prometheus.yml: `remote_write: [{url: "http://HOST:8765/api/v1/write"}]`. The answer comes after the
    commit. When some items are refused, the others are stored and the answer is 400 with `details`; native
    histograms alone are left out without an error. 429 and 503 carry Retry-After and mean "send it again".
    """
    if media_of(request) != PROTOBUF:
        raise HttpError(415, f"remote write is {PROTOBUF}; send that Content-Type")
    if (encoding := request.headers.get("content-encoding", "snappy").lower()) != "snappy":
        raise HttpError(415, f"remote write is compressed with snappy, not {encoding[:40]!r}")
    body = await read_body(request, given.bounds.bulk_bytes, given.bounds.body_timeout_s)
    receipt = await given.engine.ingest("remote_write", body, request.headers.get("content-type", ""))
    headers = _written(receipt)
    if receipt.refused > receipt.unsupported:
        refuse_partly(receipt, headers)
    return Response(None, status_code=204, headers=headers)


def _answer_otlp_error(request: Req, error: Exception) -> Response[bytes]:
    answer = fault(error)
    if media_of(request) == PROTOBUF:
        return Response(_rpc_status(answer), status_code=answer.status, headers=answer.headers, media_type=PROTOBUF)
    # Our envelope's `message` is what OTLP's JSON Status has under this name.
    return Response(answer.body(), status_code=answer.status, headers=answer.headers, media_type=JSON)


@post(
    "/v1/metrics",
    status_code=200,
    exception_handlers={Exception: _answer_otlp_error},
    opt={
        "doc": Doc(
            None,
            {},
            media=JSON,
            other_media=PROTOBUF,
            bodies=(Body(JSON, {"type": "object"}, _otlp_example), Body(PROTOBUF, _BINARY, lambda _: b"")),
        )
    },
)
async def otlp(request: Req, given: TheGiven) -> Response[bytes]:
    """OpenTelemetry metrics over HTTP, as protobuf or JSON.

    Answers in the form of the request. Refused data points are counted in `partialSuccess`, the others are
    stored. Errors of protobuf requests are a protobuf `google.rpc.Status`, as the protocol has it.
    """
    media = media_of(request)
    if media not in {JSON, PROTOBUF}:
        raise HttpError(415, f"OTLP is {PROTOBUF} or {JSON}; send one of these Content-Types")
    body = await read_body(request, given.bounds.bulk_bytes, given.bounds.body_timeout_s)
    body = await decoded(body, request.headers.get("content-encoding", ""), given.bounds.bulk_bytes)
    receipt = await given.engine.ingest("otlp", body, media)
    return Response(_otlp_answer(receipt, media), media_type=media)


def _written(receipt: Receipt) -> dict[str, str]:
    # Exemplars and native histograms are not stored; a 2.0 sender learns it here. Were they an error, a Prometheus that
    # has some would log one with every request.
    return {
        "X-Prometheus-Remote-Write-Samples-Written": str(receipt.samples),
        "X-Prometheus-Remote-Write-Histograms-Written": "0",
        "X-Prometheus-Remote-Write-Exemplars-Written": "0",
        "X-Airis-Histograms-Refused": str(receipt.unsupported),
    }


def _otlp_answer(receipt: Receipt, media: str) -> bytes:
    reason = "; ".join(f"{r.path}: {r.reason}" for r in receipt.refusals[:5])
    if media == JSON:
        partial = {"rejectedDataPoints": str(receipt.refused), "errorMessage": reason}  # proto JSON: int64 as text
        return msgspec.json.encode({"partialSuccess": partial} if receipt.refused else {})
    if not receipt.refused:
        return b""
    return _field(1, b"\x08" + _varint(receipt.refused) + _field(2, reason.encode()))


def _rpc_status(answer: Fault) -> bytes:
    return b"\x08" + _varint(_GRPC.get(answer.status, 13)) + _field(2, answer.message.encode())


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)
