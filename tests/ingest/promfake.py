"""A Prometheus for tests: answers the query API from a dictionary, and can be made to fail in every way."""

from __future__ import annotations

import asyncio
import json
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from urllib.parse import parse_qs

import httpx2

from airis_mon.errors import InputError
from airis_mon.ingest.base import Slice
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC, Labels, canonical, series_name
from airis_mon.series.matchers import compile_matchers, parse_selector

NOW = 1_700_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
_RAW = re.compile(r"(\{.*\})\[(\d+)ms\]")
_COUNT = re.compile(r"count by \(__name__\) \((\{.*\})\)")
Row = tuple[str, int, float]


class Quick:
    """A clock whose sleepers wake at once, the time having passed."""

    def __init__(self, now: int = NOW) -> None:
        self.t = now

    def now(self) -> int:
        return self.t

    async def sleep(self, seconds: float) -> None:
        until = self.t + round(seconds * 1000)
        await asyncio.sleep(0)
        self.t = max(self.t, until)


@dataclass
class Ask:
    """A request as the fake understands it; times in ms."""

    path: str
    form: dict[str, str]
    request: httpx2.Request = field(repr=False)

    @property
    def is_raw(self) -> bool:
        return self.path == "query"

    @property
    def names(self) -> set[str]:
        """Metrics that a question is about, as far as it names them."""
        found = re.findall(r'__name__=~?"([^"]*)"', self.form.get("query", ""))
        return {n for pattern in found for n in pattern.split("|")}

    @property
    def start(self) -> int:
        raw = _RAW.fullmatch(self.form["query"])
        return self.end - int(raw[2]) if raw else ms(self.form["start"])

    @property
    def end(self) -> int:
        """Of a raw question: without it."""
        return ms(self.form["time"]) + 1 if self.is_raw else ms(self.form["end"])


Trouble = Callable[[Ask], httpx2.Response | Exception | None]


class FakePrometheus(httpx2.AsyncBaseTransport):
    """Holds series; `trouble` may answer first. A range has both its ends, as in Prometheus 2.

    Beyond `most_samples` of one answer it refuses with 422. asked: every request, in order.
    """

    def __init__(self, trouble: Trouble | None = None, most_samples: int = 10**9) -> None:
        self.series: dict[Labels, list[tuple[int, str]]] = {}
        self.trouble = trouble
        self.most_samples = most_samples
        self.asked: list[Ask] = []
        self.under_way = self.most_under_way = self.refused = 0
        self.types: dict[str, str] = {}

    def add(self, name: str, t: list[int], value: list[float] | None = None, **labels: str) -> None:
        texts = [str(float(v)) for v in (value or range(len(t)))]
        self.series[canonical({METRIC: name, **labels}.items())] = list(zip(t, texts, strict=True))

    def rows(self, start: int = 0, end: int = 10**15) -> list[Row]:
        """Everything that it holds of [start, end)."""
        every = [(series_name(s), t, float(v)) for s, rows in self.series.items() for t, v in rows if start <= t < end]
        return sorted(every)

    @property
    def raw(self) -> list[Ask]:
        return [a for a in self.asked if a.is_raw]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        query = request.url.query if request.method == "GET" else await request.aread()
        form = {k: v[0] for k, v in parse_qs(query.decode()).items()}
        ask = Ask(request.url.path.partition("/api/v1/")[2], form, request)
        self.asked.append(ask)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            answer = self.trouble(ask) if self.trouble else None
            if isinstance(answer, Exception):
                raise answer
            return answer or self.answer(ask)
        finally:
            self.under_way -= 1

    def answer(self, ask: Ask) -> httpx2.Response:
        try:
            if ask.path == "label/__name__/values":
                return good(self._names(ask.form))
            if ask.path == "metadata":
                return good({n: [{"type": t, "help": "", "unit": ""}] for n, t in self.types.items()})
            if ask.path == "query":
                return self._raw(ask)
            if ask.path == "query_range":
                return self._range(ask)
        except InputError as e:
            return bad(400, "bad_data", str(e))
        return sent(b"404 page not found", 404)

    def _names(self, form: dict[str, str]) -> list[str]:
        means = compile_matchers(parse_selector(form["match[]"])) if "match[]" in form else lambda labels: True
        start, end = ms(form["start"]), ms(form["end"])
        return sorted(
            {dict(s)[METRIC] for s, rows in self.series.items() if means(s) and any(start <= t <= end for t, _ in rows)}
        )

    def _raw(self, ask: Ask) -> httpx2.Response:
        raw = _RAW.fullmatch(ask.form["query"])
        assert raw, ask.form
        end = ms(ask.form["time"])
        return self._matrix(raw[1], lambda rows: [r for r in rows if end - int(raw[2]) <= r[0] <= end])

    def _range(self, ask: Ask) -> httpx2.Response:
        start, end, step = (ms(ask.form[k]) for k in ("start", "end", "step"))
        steps = range(start, end + 1, step)
        assert len(steps) <= 11_000
        if counted := _COUNT.fullmatch(ask.form["query"]):
            return self._counts(counted[1], steps)

        def sampled(rows: list[tuple[int, str]]) -> list[tuple[int, str]]:
            found = [(t, bisect_right(rows, t, key=itemgetter(0)) - 1) for t in steps]
            return [(t, rows[i][1]) for t, i in found if i >= 0 and rows[i][0] >= t - 300_000]

        return self._matrix(ask.form["query"], sampled)

    def _counts(self, selector: str, steps: range) -> httpx2.Response:
        means = compile_matchers(parse_selector(selector))
        found: dict[str, list[tuple[int, str]]] = {}
        for t in steps:
            alive = [
                dict(s)[METRIC]
                for s, rows in self.series.items()
                if means(s) and any(t - 300_000 <= r[0] <= t for r in rows)
            ]
            for name in set(alive):
                found.setdefault(name, []).append((t, str(alive.count(name))))
        return good(matrix([({METRIC: n}, rows) for n, rows in found.items()]))

    def _matrix(self, selector: str, cut: Callable[[list[tuple[int, str]]], list[tuple[int, str]]]) -> httpx2.Response:
        means = compile_matchers(parse_selector(selector))
        found = [(dict(s), cut(rows)) for s, rows in self.series.items() if means(s)]
        if sum(len(rows) for _, rows in found) > self.most_samples:
            self.refused += 1
            return bad(422, "execution", "query processing would load too many samples into memory in query execution")
        return good(matrix([(s, rows) for s, rows in found if rows]))


def matrix(series: list[tuple[dict[str, str], list[tuple[int, str]]]]) -> dict[str, object]:
    result = [{"metric": s, "values": [[t / 1000, v] for t, v in rows]} for s, rows in series]
    return {"resultType": "matrix", "result": result}


class Body(httpx2.AsyncByteStream):
    """A body in pieces, as it goes over the wire."""

    def __init__(self, body: bytes, piece: int = 65_536) -> None:
        self.body, self.piece = body, piece

    async def __aiter__(self):
        for at in range(0, len(self.body), self.piece):
            yield self.body[at : at + self.piece]


def sent(body: bytes, status: int = 200, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers={k.replace("_", "-"): v for k, v in headers.items()}, stream=Body(body))


def success(data: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": data, **more}).encode()


def good(data: object, **more: object) -> httpx2.Response:
    return sent(success(data, **more))


def bad(status: int, kind: str = "", error: str = "", **headers: str) -> httpx2.Response:
    return sent(json.dumps({"status": "error", "errorType": kind, "error": error}).encode(), status, **headers)


def ms(seconds: str) -> int:
    return round(float(seconds) * 1000)


def grid(start: int, end: int, step: int = 15_000) -> list[int]:
    return list(range(start, end, step))


def rows_of(slices: list[Slice], catalogue: Catalogue) -> list[Row]:
    """Every sample of some slices, after looking at what a slice promises."""
    rows: list[Row] = []
    at = slices[0].start
    for s in slices:
        assert s.start == at
        at = s.end
        assert (s.batch.t[1:] >= s.batch.t[:-1]).all()
        assert ((s.batch.t >= s.start) & (s.batch.t < s.end)).all()
        names = [series_name(catalogue.labels(i)) for i in s.batch.sid.tolist()]
        rows += zip(names, s.batch.t.tolist(), s.batch.value.tolist(), strict=True)
    assert len(rows) == len({r[:2] for r in rows})
    return sorted(rows)
