"""Every error in one shape: what was raised -> status, headers, envelope. Nothing internal is told to a client."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import Scope, Send

from airis_mon.api.promschemas import ErrorType, PromError
from airis_mon.api.schemas import Detail, Error, now_ms, stamp
from airis_mon.errors import (
    AirisError,
    AuthError,
    Conflict,
    InputError,
    NotFound,
    QueryCancelled,
    QueryError,
    QueryTimeout,
    Refusal,
    StoreBusy,
    TooLarge,
    Transient,
)

log = structlog.get_logger()

KINDS = {
    400: "Validation Error",
    401: "Authentication Error",
    403: "Authorization Error",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Query",
    429: "Rate Limit Exceeded",
    499: "Client Closed Request",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
"""The words for a status; the contract fixes seven of them."""
ERROR_TYPES: dict[int, ErrorType] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    422: "execution",
    429: "unavailable",
    499: "canceled",
    500: "internal",
    503: "unavailable",
}
"""Prometheus' words for a status, and ours for the two that it has none for; every other one is bad_data."""
_PROMETHEUS = re.compile(
    r"(?:/prom)?/api/v1/(?:query|query_range|query_exemplars|format_query|labels|series|metadata|rules|alerts"
    r"|(?:label|status)/.*)\Z",
    re.DOTALL,
)
VALUE_CHARACTERS = 200
"""So much of a faulty value is shown."""


class HttpError(AirisError):
    """An error of the protocol itself, with the status and headers it is answered with."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


class PartlyRefused(InputError):
    """Some items of an ingest request were refused; the `accepted` others are stored."""

    def __init__(self, accepted: int, refused: int, refusals: tuple[Refusal, ...], headers: dict[str, str]) -> None:
        shown = f", the first {len(refusals)} are described" if refused > len(refusals) else ""
        super().__init__(
            f"{refused} of {accepted + refused} items were refused{shown}; the others are stored", refusals
        )
        self.accepted = accepted
        self.refused = refused
        self.headers = headers


@dataclass(slots=True)
class Fault:
    """An error as it will be answered."""

    status: int
    message: str
    details: list[Detail] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    accepted: int | msgspec.UnsetType = msgspec.UNSET
    refused: int | msgspec.UnsetType = msgspec.UNSET
    error_type: ErrorType | None = None

    def body(self, path: str = "") -> bytes:
        """The error envelope as JSON: ours, or Prometheus' own on the paths of its query API."""
        if is_prometheus(path):
            error_type = self.error_type or ERROR_TYPES.get(self.status, "bad_data")
            return msgspec.json.encode(PromError(error_type=error_type, error=self.message))
        kind = KINDS.get(self.status) or KINDS[400 if self.status < 500 else 500]
        envelope = Error(kind, self.message, self.details, stamp(now_ms()), self.accepted, self.refused)
        return msgspec.json.encode(envelope)


def is_prometheus(path: str) -> bool:
    """Whether a path, relative to the mount, is one of Prometheus' query API."""
    return _PROMETHEUS.match(path) is not None


def short(value: object) -> str:
    """A value as it is shown in an error: text, at most `VALUE_CHARACTERS` long."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}... ({len(text)} characters)"


def close_reason(text: str) -> str:
    """A message as a socket's close frame can carry it: at most 123 bytes (RFC 6455, 5.5)."""
    return text.encode()[:123].decode(errors="ignore")


def retry_after(seconds: float | None) -> dict[str, str]:
    """The header that tells a sender when to come back, in whole seconds."""
    return {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}


def fault(error: Exception) -> Fault:
    """What a client is told of an error; one that nobody foresaw is logged here under a reference."""
    if isinstance(error, PartlyRefused):
        return Fault(400, str(error), _details(error.refusals), error.headers, error.accepted, error.refused)
    if isinstance(error, InputError):
        return Fault(413 if isinstance(error, TooLarge) else 400, str(error), _details(error.refusals))
    if isinstance(error, HttpError):
        return Fault(error.status, str(error), headers=error.headers)
    if isinstance(error, AuthError):
        return _unauthorized(error)
    if isinstance(error, QueryError):
        return _unanswered(error)
    if isinstance(error, NotFound | Conflict):
        return Fault(404 if isinstance(error, NotFound) else 409, str(error))
    if isinstance(error, StoreBusy | Transient):
        return Fault(503, str(error), headers=retry_after(error.retry_after_s))
    if isinstance(error, HTTPException) and error.status_code < 500:
        return _of_the_framework(error)
    return _unforeseen(error)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The application's handler of every exception."""
    answer = fault(error)
    if answer.status == 404 and isinstance(error, HTTPException):
        answer.message = f"there is nothing at {short(request.scope['path'])}; openapi.json lists every path"
    body = answer.body(request.scope["path"])
    return Response(body, status_code=answer.status, headers=answer.headers, media_type="application/json")


async def send_fault(answer: Fault, scope: Scope, send: Send) -> None:
    """Answers from outside the application, where middleware refuses. A socket is closed before it is accepted."""
    if scope["type"] == ScopeType.WEBSOCKET:
        await send({"type": "websocket.close", "code": 1008, "reason": close_reason(answer.message)})
        return
    body = answer.body(scope["path"])
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _details(refusals: tuple[Refusal, ...]) -> list[Detail]:
    return [Detail(r.path, short(r.value), r.reason) for r in refusals]


def _unauthorized(error: AuthError) -> Fault:
    if error.forbidden:
        return Fault(403, str(error))
    return Fault(401, str(error), headers={"WWW-Authenticate": "Bearer"})


def _unanswered(error: QueryError) -> Fault:
    if isinstance(error, QueryTimeout):
        return Fault(503, str(error), error_type="timeout")
    return Fault(499 if isinstance(error, QueryCancelled) else 422, str(error))


def _of_the_framework(error: HTTPException) -> Fault:
    headers = dict(error.headers or {})
    if "allow" in headers:
        headers["allow"] = ", ".join(m for m in headers["allow"].split(", ") if m.isupper())
        return Fault(405, f"this path takes {headers['allow']}", headers=headers)
    return Fault(error.status_code, error.detail, headers=headers)


def _unforeseen(error: Exception) -> Fault:
    reference = secrets.token_hex(4)
    log.error("request.failed", reference=reference, exc_info=error)
    return Fault(500, f"the request failed inside; the server's log tells more under the reference {reference}")
