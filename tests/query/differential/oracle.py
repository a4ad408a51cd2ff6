"""Asks a server of Prometheus' query API, and says how two answers differ."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

RELATIVE = 1e-9
"""So far apart two numbers may be, as a part of them."""
PATIENCE_S = 300
"""The first rate after a change of its kernel waits for the compiler."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class When:
    """The moments of a query, in s; without a step it is an instant query."""

    start: int
    end: int = 0
    step: int = 0

    @property
    def path(self) -> str:
        return "/api/v1/query_range" if self.step else "/api/v1/query"

    @property
    def params(self) -> dict[str, int]:
        return {"start": self.start, "end": self.end, "step": self.step} if self.step else {"time": self.start}

    def __str__(self) -> str:
        return f"[{self.start}..{self.end} by {self.step}]" if self.step else f"[{self.start}]"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. rows: (name of the series, its points) in the order given; error: "" or its type."""

    status: int
    error: str
    kind: str
    rows: list[tuple[str, list[Point]]]
    message: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.error and not self.rows


@dataclass(frozen=True, slots=True)
class Server:
    """One server; any number of threads may ask it."""

    url: str

    def write(self, body: bytes) -> None:
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        status, said = self._post("/api/v1/write", body, headers)
        assert status in {200, 204}, f"{status}: {said!r}"

    def ask(self, expression: str, when: When) -> Answer:
        form = urlencode({"query": expression, **when.params}).encode()
        status, said = self._post(when.path, form, {"Content-Type": "application/x-www-form-urlencoded"})
        return _read(status, json.loads(said))

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_S)) as connection:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()


@dataclass(frozen=True, slots=True)
class Pair:
    """Our server and Prometheus, asked the same."""

    ours: Server
    theirs: Server

    def write(self, body: bytes) -> None:
        self.ours.write(body)
        self.theirs.write(body)

    def ask(self, expression: str, when: When) -> tuple[Answer, Answer]:
        return self.ours.ask(expression, when), self.theirs.ask(expression, when)


def _read(status: int, said: dict[str, Any]) -> Answer:
    if said["status"] != "success":
        return Answer(status, said["errorType"], "", [], said["error"])
    kind, result = said["data"]["resultType"], said["data"]["result"]
    if kind in {"scalar", "string"}:
        return Answer(status, "", kind, [("" if kind == "scalar" else result[1], [_point(result, kind)])])
    return Answer(status, "", kind, [(_name(row["metric"]), _points(row)) for row in result])


def _point(pair: list[Any], kind: str = "") -> Point:
    return float(pair[0]), 0.0 if kind == "string" else float(pair[1])


def _points(row: dict[str, Any]) -> list[Point]:
    return [_point(p) for p in row.get("values", [row["value"]] if "value" in row else [])]


def _name(labels: dict[str, str]) -> str:
    return json.dumps(sorted(labels.items()), ensure_ascii=False)


def differences(ours: Answer, theirs: Answer, *, is_ordered: bool, absolute: float = 0.0) -> Iterator[str]:
    """Each way in which they differ, the weightiest first; numbers may be `absolute` apart or the part RELATIVE."""
    if (ours.status, ours.error) != (theirs.status, theirs.error):
        yield f"{_outcome(ours)}, Prometheus {_outcome(theirs)}"
        return
    if ours.kind != theirs.kind:
        yield f"a {ours.kind}, Prometheus a {theirs.kind}"
        return
    names, wanted = [n for n, _ in ours.rows], [n for n, _ in theirs.rows]
    if sorted(names) != sorted(wanted):
        more, less = sorted(set(names) - set(wanted)), sorted(set(wanted) - set(names))
        yield f"{len(names)} series, Prometheus {len(wanted)}; only here: {more[:3]}; only there: {less[:3]}"
        return
    if is_ordered and names != wanted:
        yield f"in another order: {names[:4]}, Prometheus {wanted[:4]}"
    ordered, expected = sorted(ours.rows, key=lambda row: row[0]), sorted(theirs.rows, key=lambda row: row[0])
    for (name, points), (_, others) in zip(ordered, expected, strict=True):
        yield from _points_differ(name, points, others, absolute)


def _outcome(answer: Answer) -> str:
    return f"{answer.status} {answer.error or answer.kind} {answer.message[:160]}".strip()


def _points_differ(name: str, ours: list[Point], theirs: list[Point], absolute: float) -> Iterator[str]:
    times, others = [t for t, _ in ours], [t for t, _ in theirs]
    if times != others:
        more, less = sorted(set(times) - set(others)), sorted(set(others) - set(times))
        yield f"{name}: {len(times)} points, Prometheus {len(others)}; only here: {more[:3]}; only there: {less[:3]}"
        return
    bad = [(t, a, b) for (t, a), (_, b) in zip(ours, theirs, strict=True) if not _equal(a, b, absolute)]
    if bad:
        yield f"{name}: {len(bad)} of {len(ours)} values, as at {bad[0][0]}: {bad[0][1]!r}, Prometheus {bad[0][2]!r}"


def _equal(a: float, b: float, absolute: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=RELATIVE, abs_tol=absolute)
