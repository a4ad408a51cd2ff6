"""What both clients share: each question as a value, and what an answer means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from airis_mon.errors import AuthError, Conflict, InputError, NotFound, Permanent, Refusal, TooLarge, Transient

BASE = "/api/v1/aiops"
DEFAULT_URL = "http://127.0.0.1:8765"
Json = dict[str, Any]
Time = str | int | float | datetime | None
"""RFC 3339, epoch seconds or milliseconds, or a datetime (naive means UTC)."""


T = TypeVar("T")


class PartlyRefused(InputError):
    """Some metrics were refused (`refusals`); the `accepted` others are stored."""

    def __init__(self, message: str, refusals: tuple[Refusal, ...], accepted: int, refused: int) -> None:
        super().__init__(message, refusals)
        self.accepted = accepted
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One question; T is what answers it: the part of the answer named by `key`, "" for the whole."""

    path: str
    key: str = ""
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the request."""
        return {} if self.content is None else {"Content-Type": "application/json"}


def base_url(url: str) -> str:
    """The address of the API: a server's own, or with a path that of a mounted application."""
    parts = httpx2.URL(url)
    return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}{BASE}"


def health() -> Call[Json]:
    """How the server is."""
    return Call("/health")


def status() -> Call[Json]:
    """What runs."""
    return Call("/status")


def metric(name: str, value: float, labels: Mapping[str, str] | None, timestamp: Time, source: str) -> Json:
    """A metric as it is sent."""
    sent: Json = {"metricName": name, "value": _written(value), "labels": dict(labels or {}), "source": source}
    return sent if timestamp is None else {**sent, "timestamp": _written(timestamp)}


def send_one(sent: Json) -> Call[Json]:
    """Stores one metric."""
    return Call("/metrics", "metric", "POST", content=msgspec.json.encode(sent))


def send_many(sent: Iterable[Mapping[str, Any]]) -> Call[int]:
    """Stores an array of metrics."""
    return Call("/metrics", "accepted", "POST", content=msgspec.json.encode([_dated(m) for m in sent]))


def series(match: str | None, start: Time, end: Time, limit: int) -> Call[list[Json]]:
    """Series that match."""
    return Call("/series", "series", params=_given(match=match, start=start, end=end, limit=limit))


def one_series(series_id: str) -> Call[Json]:
    """One series."""
    return Call(_path(series_id), "series")


def samples(series_id: str, start: Time, end: Time, max_points: int) -> Call[Json]:
    """Raw samples."""
    return Call(f"{_path(series_id)}/samples", "samples", params=_given(start=start, end=end, maxPoints=max_points))


def bands(series_id: str, signal: str | None, start: Time, end: Time) -> Call[Json]:
    """What was normal."""
    return Call(f"{_path(series_id)}/bands", "bands", params=_given(signal=signal, start=start, end=end))


def anomalies(
    match: str | None, series_id: str | None, start: Time, end: Time, min_score: float | None, limit: int
) -> Call[list[Json]]:
    """Anomalies."""
    params = _given(match=match, series=series_id, start=start, end=end, minScore=min_score, limit=limit)
    return Call("/anomalies", "anomalies", params=params)


def coverage(match: str | None, reason: str | None, *, watched: bool | None, offset: int, limit: int) -> Call[Json]:
    """What is watched."""
    shown = None if watched is None else str(watched).lower()
    params = _given(match=match, reason=reason, watched=shown, offset=offset, limit=limit)
    return Call("/series/coverage", "coverage", params=params)


def events(names: Iterable[str] | None, last_seq: int | None) -> Call[None]:
    """The stream of events."""
    return Call("/events", params=_given(names=",".join(names) if names else None, lastSeq=last_seq))


def understood(call: Call[T], response: httpx2.Response) -> T:
    """The part of an answer that was asked for. Raises what the status means, see `refusal`."""
    if response.status_code >= 400:
        raise refusal(response.status_code, response.content, response.headers.get("retry-after"))
    try:
        answer = msgspec.json.decode(response.content)
        part: T = answer[call.key] if call.key else answer
    except (msgspec.DecodeError, KeyError, TypeError):
        raise Permanent(f"{response.url} did not answer as AIRIS-MON does; is the address right?") from None
    return part


def refusal(status: int, content: bytes, retry_after: str | None) -> Exception:
    """The error that a status and an error envelope mean."""
    said = _envelope(content)
    message = str(said.get("message") or f"the server answered {status}")
    refusals = tuple(Refusal(d["path"], d["value"], d["reason"]) for d in said.get("details") or ())
    if "accepted" in said:
        return PartlyRefused(message, refusals, said["accepted"], said["refused"])
    if status in {401, 403}:
        return AuthError(message, forbidden=status == 403)
    if status in {404, 409}:
        return NotFound(message) if status == 404 else Conflict(message)
    if status in {408, 429, 502, 503, 504}:
        return Transient(message, _seconds(retry_after))
    if status >= 500:
        return Permanent(message)
    return TooLarge(message, refusals) if status == 413 else InputError(message, refusals)


def unreachable(error: httpx2.TransportError, url: str) -> Transient:
    """What a failed connection means."""
    return Transient(f"{url} cannot be reached: {error or type(error).__name__}")


def _path(series_id: str) -> str:
    return f"/series/{quote(series_id, safe='')}"


def _envelope(content: bytes) -> Json:
    try:
        said = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


def _given(**params: Any) -> dict[str, str]:
    return {name: str(_written(value)) for name, value in params.items() if value is not None}


def _dated(sent: Mapping[str, Any]) -> Json:
    return {name: _written(value) for name, value in sent.items()}


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{value} cannot be written in JSON; leave the sample out")
    return value
