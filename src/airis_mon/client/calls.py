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

from airis_mon.errors import (
    AirisError,
    AuthError,
    Conflict,
    InputError,
    NotFound,
    Permanent,
    QueryCancelled,
    QueryError,
    QueryTimeout,
    Refusal,
    TooLarge,
    Transient,
)

BASE = "/api/v1/aiops"
BESIDE = "/prom"
"""Under a mount the ecosystem's paths lie here; a server of our own has them at its root."""
DEFAULT_URL = "http://127.0.0.1:8765"
Json = dict[str, Any]
Time = str | int | float | datetime | None
"""RFC 3339, epoch seconds or milliseconds, or a datetime (naive means UTC)."""
MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds, as for the API."""
OUR_SLACK_S = 5.0
"""So much longer than the server may take, its answer is waited for."""

_PROMETHEUS: dict[str, type[AirisError]] = {
    "bad_data": InputError,
    "execution": QueryError,
    "timeout": QueryTimeout,
    "canceled": QueryCancelled,
    "not_found": NotFound,
}
"""What the `errorType` of Prometheus' API means; of any other the status decides."""

T = TypeVar("T")


class PartlyRefused(InputError):
    """Some metrics were refused (`refusals`); the `accepted` others are stored."""

    def __init__(self, message: str, refusals: tuple[Refusal, ...], accepted: int, refused: int) -> None:
        super().__init__(message, refusals)
        self.accepted = accepted
        self.refused = refused


class Unreachable(Transient):
    """No connection could be made: nothing listens there, or the name is not known."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One question; T is what answers it: the part of the answer named by `key`, "" for the whole.

    The path is one of ours, or one of Prometheus' (`is_prometheus`). timeout_s: how long the server may take, when
    it was told so.
    """

    path: str
    key: str = ""
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    form: Mapping[str, str] | None = None
    is_prometheus: bool = False
    timeout_s: float | None = None

    def request(self, bases: Bases) -> dict[str, Any]:
        """What `request` of an httpx2 client takes."""
        given: dict[str, Any] = {
            "method": self.method,
            "url": (bases.prometheus if self.is_prometheus else bases.ours) + self.path,
            "params": self.params,
        }
        if self.content is not None:
            given |= {"content": self.content, "headers": {"Content-Type": "application/json"}}
        if self.form is not None:
            given["data"] = self.form
        if self.timeout_s is not None:
            given["timeout"] = httpx2.Timeout(self.timeout_s + OUR_SLACK_S, connect=OUR_SLACK_S)
        return given


@dataclass(frozen=True, slots=True)
class Bases:
    """Where our API and Prometheus' begin."""

    ours: str
    prometheus: str


def bases(url: str) -> Bases:
    """The addresses of a server's APIs; with a path it is where an application is mounted."""
    bare = url.rstrip("/")
    is_mount = bool(httpx2.URL(url).path.strip("/"))
    return Bases(bare, bare + BESIDE) if is_mount else Bases(bare + BASE, bare)


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


def start_replay(source: str, match: Iterable[str], **given: Any) -> Call[Json]:
    """Enqueues a replay; what is None is left to the server."""
    sent: Json = {"source": source, "match": [match] if isinstance(match, str) else list(match)}
    sent |= {name: _written(value) for name, value in given.items() if value is not None}
    return Call("/replays", "replay", "POST", content=msgspec.json.encode(sent))


def replay(replay_id: str) -> Call[Json]:
    """One replay."""
    return Call(f"/replays/{quote(replay_id, safe='')}", "replay")


def replays(limit: int) -> Call[list[Json]]:
    """The latest replays."""
    return Call("/replays", "replays", params=_given(limit=limit))


def cancel_replay(replay_id: str) -> Call[Json]:
    """Ends a replay."""
    return Call(f"/replays/{quote(replay_id, safe='')}", "replay", "DELETE")


def events(names: Iterable[str] | None, last_seq: int | None) -> Call[None]:
    """The stream of events."""
    return Call("/events", params=_given(names=",".join(names) if names else None, lastSeq=last_seq))


def query(expr: str, time: Time, timeout_s: float | None) -> Call[Json]:
    """An expression's value at one moment."""
    return _prometheus("/api/v1/query", timeout_s, query=expr, time=_seconds_of(time))


def query_range(expr: str, start: Time, end: Time, step: float | str, timeout_s: float | None) -> Call[Json]:
    """An expression's values at the steps of a range."""
    times = {"start": _seconds_of(start), "end": _seconds_of(end), "step": step}
    return _prometheus("/api/v1/query_range", timeout_s, query=expr, **times)


def _prometheus(path: str, timeout_s: float | None, **given: Any) -> Call[Json]:
    """A question to Prometheus' API; as a form, because an expression may be longer than an address."""
    form = _given(**given, timeout=None if timeout_s is None else f"{timeout_s:g}")
    return Call(path, "data", "POST", form=form, is_prometheus=True, timeout_s=timeout_s)


def understood(call: Call[T], response: httpx2.Response) -> T:
    """The part of an answer that was asked for. Raises what the status means, see `refusal`."""
    if response.status_code >= 400:
        raise refusal(response.status_code, response.content, response.headers.get("retry-after"))
    try:
        answer = msgspec.json.decode(response.content)
        part: T = _part(call, answer)
    except (msgspec.DecodeError, KeyError, TypeError):
        raise Permanent(f"{response.url} did not answer as AIRIS-MON does; is the address right?") from None
    return part


def refusal(status: int, content: bytes, retry_after: str | None) -> Exception:
    """The error that a status and an error envelope mean."""
    said = _envelope(content)
    message = str(said.get("message") or said.get("error") or f"the server answered {status}")
    if known := _PROMETHEUS.get(str(said.get("errorType"))):
        return known(message)
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
    if isinstance(error, httpx2.ReadTimeout):
        return Transient(f"{url} did not answer in time")
    kind = Unreachable if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout) else Transient
    return kind(f"{url} cannot be reached: {error or type(error).__name__}")


def _part(call: Call[Any], answer: Json) -> Any:
    if call.is_prometheus:  # it says beside its data what is doubtful about it
        return answer[call.key] | {name: answer[name] for name in ("warnings", "infos") if answer.get(name)}
    return answer[call.key] if call.key else answer


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


def _seconds_of(time: Time) -> Any:
    """Milliseconds as the seconds that Prometheus' API takes."""
    return time / 1000 if isinstance(time, int | float) and abs(time) >= MILLISECONDS_FROM else time


def _dated(sent: Mapping[str, Any]) -> Json:
    return {name: _written(value) for name, value in sent.items()}


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{value} cannot be written in JSON; leave the sample out")
    return value
