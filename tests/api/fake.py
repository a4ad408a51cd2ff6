"""A small engine for the HTTP surface: it remembers what it was given and answers fixed series."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import msgspec
import numpy as np

from airis_mon.api.params import LATEST_MS, read_time
from airis_mon.app.analytics import Analytics
from airis_mon.app.bus import EventBus
from airis_mon.app.queries import Allowance, Queries
from airis_mon.app.replays import LEAST_DAYS, MOST_DAYS, Replay, Request
from airis_mon.detect.coverage import REASONS, Coverage, CoverageItem
from airis_mon.errors import Conflict, InputError, NotFound, Refusal
from airis_mon.events.anomaly import Anomaly
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.labels import Labels, canonical, fingerprint, series_name
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.series.steps import Steps
from airis_mon.store import base
from airis_mon.store.records import JobState
from tests.api.foretelling import FakeFleet, foreteller
from tests.api.predicting import FakePredictions

T = 1_772_366_400_000
LABELS = canonical({"__name__": "cpu_usage", "host": "web-1"}.items())
FP = 0x9F86D081884C7D65
CONSTANT = canonical({"__name__": "build_info", "version": "1"}.items())
BASE = "http://localhost"
V1 = "/api/v1/aiops"


@dataclass
class Receipt:
    accepted: int
    refused: int = 0
    refusals: tuple[Refusal, ...] = ()
    samples: int = 0
    received_ms: int = T
    unsupported: int = 0


@dataclass
class Info:
    fp: int
    labels: Labels
    last_t: int | None = T
    last_value: float | None = 95.5
    score: float = 0.91
    signals: Sequence[str] = ("value",)


@dataclass
class Columns:
    t: Any
    value: Any
    expected: Any = None
    lower: Any = None
    upper: Any = None
    score: Any = None


SERVICES = {
    "ollama": False,
    "gemini": False,
    "knowledgeCollector": False,
    "mlops": False,
    "analytics": True,
    "monitoring": True,
}
ANOMALY = Anomaly(FP, LABELS, "value", T, 95.5, 0.91, 6.2, 1.4, 40.6, 31.1, float("inf"), "jump")


def samples_of(count: int = 61, step: int = 15_000) -> list[tuple[int, float]]:
    return [(T - i * step, 95.5 - i) for i in range(count)]


@dataclass
class MemorySource:
    """A source of a few series; a query waits while `held` is not set and then asks whether it is still wanted."""

    known: dict[Labels, list[tuple[int, float]]] = field(
        default_factory=lambda: {LABELS: samples_of(), CONSTANT: [(T, 1.0)]}
    )
    held: threading.Event | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    fails_with: Exception | None = None

    @property
    def grid_functions(self) -> frozenset[str]:
        return frozenset({"last"})

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> list[base.SeriesRow]:
        self._wait()
        meets = compile_matchers(matchers)
        rows = [
            base.SeriesRow(fingerprint(labels), labels, max(t for t, _ in samples), min(t for t, _ in samples))
            for labels, samples in self.known.items()
            if meets(labels)
        ]
        seen = [r for r in rows if (start is None or r.last_seen >= start) and (end is None or r.first_seen <= end)]
        return sorted(seen, key=lambda row: row.fp)[:limit]

    def label_names(self, matchers: Sequence[Matcher], start: int | None, end: int | None) -> list[str]:
        return sorted({name for row in self.series(matchers, start, end) for name, _ in row.labels})

    def label_values(
        self, name: str, matchers: Sequence[Matcher], start: int | None, end: int | None, limit: int
    ) -> list[str]:
        found = {value for row in self.series(matchers, start, end) for given, value in row.labels if given == name}
        return sorted(found)[:limit]

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> base.Grid:
        by_fp = {fingerprint(labels): samples for labels, samples in self.known.items()}
        value = np.full((len(fps), steps.count), np.nan)
        has = np.zeros(value.shape, np.bool_)
        for row, fp in enumerate(sorted(fps)):
            for t, sample in sorted(by_fp[fp]):
                within = (steps.t - window < t) & (t <= steps.t)
                value[row, within], has[row, within] = sample, True
        return base.Grid(np.array(sorted(fps), np.uint64), value, has)

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> base.Columns:
        found = [
            (fingerprint(labels), t, value)
            for labels, samples in self.known.items()
            for t, value in samples
            if fingerprint(labels) in fps and start <= t <= end
        ]
        columns = list(zip(*sorted(found), strict=True)) or [(), (), ()]
        return base.Columns(
            np.array(columns[0], np.uint64), np.array(columns[1], np.int64), np.array(columns[2], np.float64)
        )

    def _wait(self) -> None:
        self.asked.set()
        if self.fails_with:
            raise self.fails_with
        if self.held:
            assert self.held.wait(10)


def queries_of(source: MemorySource, **allowed: Any) -> Queries:
    catalogue = Catalogue()
    catalogue.types |= {"cpu_usage": MetricType.GAUGE, "sizes": MetricType.GAUGE_HISTOGRAM}
    return Queries(source, catalogue, Allowance(**allowed))


REPLAY_ID = "0b5c3b7d1f4e4a5d9c2a6e8f7d3b1a90"
STARTED, ENDED = "2026-03-01T11:00:00.000Z", "2026-03-01T12:00:00.000Z"
RESULT: dict[str, Any] = {
    "source": "store",
    "isSimulated": False,
    "start": STARTED,
    "end": ENDED,
    "days": 0.042,
    "series": 1,
    "signals": 1,
    "samples": 240,
    "seconds": 0.1,
    "samplesPerSecond": 2400,
    "missing": [],
    "raw": {
        "from": None,
        "why": "no rule files given and the source holds no ALERTS",
        "alerts": 0,
        "notifications": 0,
        "grouping": {"by": ["alertname"], "waitSeconds": 30, "intervalSeconds": 300, "repeatSeconds": 14400},
        "faults": [],
    },
    "ours": {"anomalies": 1, "findings": 1, "incidents": None, "notBuilt": ["incidents", "causes"]},
    "perDay": [{"day": "2026-03-01", "alerts": 0, "notifications": 0, "anomalies": 1, "findings": 1}],
    "perService": [{"service": "cart", "alerts": 0, "anomalies": 1, "findings": 1}],
    "findings": [
        {
            "id": 0,
            "entity": "cart<script>alert(1)</script><style>*{color:red}</style>",
            "start": STARTED,
            "end": None,
            "peak": 0.93,
            "peakAt": ENDED,
            "metrics": [{"name": "cpu_usage", "share": 1.0}],
            "alerts": [],
        }
    ],
    "alerts": [],
    "charts": [],
}
ASKED = {"source": "store", "name": "", "start": T - 3_600_000, "end": T, "match": ["up"], "rules": "server"}
REPLAY = Replay(REPLAY_ID, JobState.DONE, 1.0, "", ASKED, T, None, T + 61_200, None, RESULT)


@dataclass
class FakeReplays:
    """One replay, done unless said otherwise."""

    note: Callable[..., None]
    replay: Replay = REPLAY

    async def start(self, request: Request) -> Replay:
        self.note("start_replay", request)
        if request.days is not None and not LEAST_DAYS <= request.days <= MOST_DAYS:
            raise InputError(f"days {request.days:g} is not within {LEAST_DAYS:g} and {MOST_DAYS}")
        if "" in request.match:
            raise InputError("match: a selector is empty")
        return replace(REPLAY, state=JobState.QUEUED, progress=0.0, ended_ms=None, result=None)

    async def one(self, replay_id: str) -> Replay:
        self.note("replay", replay_id)
        if replay_id != REPLAY_ID:
            raise NotFound(f"there is no replay {replay_id!r}")
        return self.replay

    async def latest(self, limit: int) -> Sequence[Replay]:
        self.note("replays", limit)
        return [self.replay] * min(limit, 2)

    async def cancel(self, replay_id: str) -> Replay:
        self.note("cancel_replay", replay_id)
        return replace(await self.one(replay_id), state=JobState.CANCELLED)


@dataclass
class FakeStored:
    """One stored series, for questions: from `n` samples before T on one every 15 s, in waves of an hour."""

    n: int = 960
    note: Callable[..., None] = lambda *call: None

    def load_many(self, wanted: Any, most: int, check: Any) -> list[Any]:
        return [self.load(w.fp, w.signal, w.start, w.end, most, check) for w in wanted]

    def load(
        self, fp: int, signal: str | None, start: int, end: int, most: int, check: Callable[[], None]
    ) -> tuple[str, Any, Any]:
        self.note("load", fp, signal, start, end, most)
        check()
        if fp != FP:
            raise NotFound(f"there is no series {fp:016x}")
        if signal not in {None, "value"}:
            raise NotFound(f"series {fp:016x} has no signal {signal!r}, but value")
        first = max(T - (self.n - 1) * 15_000, -(-start // 15_000) * 15_000)
        t = np.arange(first, end + 1, 15_000)
        value = 40 + 10 * np.sin(t / 3_600_000 * 2 * np.pi) + np.sin(t / 7_000)
        return series_name(LABELS), t, value

    def last_t(self, fp: int) -> int | None:
        return T if fp == FP else None


@dataclass
class FakeEngine:
    is_live: bool = True
    is_ready: bool = True
    not_ready_reason: str = ""
    fails_with: Exception | None = None
    refuses: tuple[Refusal, ...] = ()
    unsupported: int = 0
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    source: MemorySource = field(default_factory=MemorySource)
    allowed: dict[str, Any] = field(default_factory=dict)
    groups: Sequence[Any] = ()
    asked: dict[str, Any] = field(default_factory=dict)
    fleet_of: Any = field(default_factory=lambda: FakeFleet(FP, LABELS, T))
    predictions_of: Any = field(default_factory=FakePredictions)
    events: EventBus = field(default_factory=lambda: EventBus(lambda: T))

    def health(self) -> Mapping[str, Any]:
        return {
            "status": "healthy",
            "initialized": True,
            "started": True,
            "services": SERVICES,
            "healthyServices": 2,
            "totalServices": 6,
            "errorRecoveryStatus": {
                "circuitBreakerState": "closed",
                "errorCount": 0,
                "uniqueErrors": 0,
                "fallbackCacheSize": 0,
            },
            "timestamp": T,
        }

    def status(self) -> Mapping[str, Any]:
        load = {"cpu": 12.5, "memory": 43.1, "disk": 61.0, "network": 0.4, "timestamp": T}
        return {"initialized": True, "started": True, "services": SERVICES, "systemMetrics": load, "timestamp": T}

    async def exposition(self) -> bytes:
        return b"# TYPE airis_up gauge\nairis_up 1\n"

    async def ingest(self, kind: str, body: bytes, content_type: str) -> Receipt:
        self._note("ingest", kind, body, content_type)
        count = len(read_json(body)) if kind == "json" else 1
        if (kind, content_type) == ("otlp", "application/json") and not body.startswith(b"{"):
            raise InputError("the body is no export request")
        refused = len(self.refuses) + self.unsupported
        return Receipt(count - refused, refused, self.refuses, count - refused, unsupported=self.unsupported)

    async def series(
        self, matchers: Sequence[Matcher], start: int | None, end: int | None, limit: int
    ) -> Sequence[Info]:
        self._note("series", matchers, start, end, limit)
        known = [Info(FP, LABELS), Info(fingerprint(CONSTANT), CONSTANT, None, None, 0.0, ())]
        meets = compile_matchers(matchers)
        return [s for s in known if meets(s.labels)][:limit]

    async def series_one(self, fp: int) -> Info:
        self._note("series_one", fp)
        if fp != FP:
            raise NotFound(f"there is no series {fp:016x}")
        return Info(FP, LABELS)

    async def samples(self, fp: int, start: int, end: int, limit: int) -> Columns:
        self._note("samples", fp, start, end, limit)
        await self.series_one(fp)
        return Columns(np.array([T, T + 1000, T + 2000])[:limit], np.array([1.0, np.nan, 3.0])[:limit])

    async def bands(self, fp: int, signal: str | None, start: int, end: int) -> Columns:
        self._note("bands", fp, signal, start, end)
        await self.series_one(fp)
        one = np.array([1.0, 2.0])
        return Columns(np.array([T, T + 1000]), one, one, one - 1, one + np.inf, one.astype(np.float32) / 4)

    async def anomalies(
        self, matchers: Sequence[Matcher], fp: int | None, start: int, end: int, min_score: float, limit: int
    ) -> Sequence[Anomaly]:
        self._note("anomalies", matchers, fp, start, end, min_score, limit)
        return [ANOMALY] * min(limit, 2)

    async def coverage(
        self, matchers: Sequence[Matcher], reason: str | None, is_watched: bool | None, offset: int, limit: int
    ) -> Coverage:
        self._note("coverage", matchers, reason, is_watched, offset, limit)
        items = [
            CoverageItem(series_name(LABELS), FP, True, ("value",), "value", REASONS["value"]),
            CoverageItem("build_info", fingerprint(CONSTANT), False, (), "constant", REASONS["constant"]),
        ]
        found = [i for i in items if is_watched in {None, i.is_watched} and reason in {None, i.reason}]
        return Coverage(1, {"constant": 1}, 1, len(found), tuple(found[offset : offset + limit]))

    @functools.cached_property
    def queries(self) -> Queries:
        return queries_of(self.source, **self.allowed)

    def rules(self) -> Sequence[Any]:
        return self.groups

    @functools.cached_property
    def analytics(self) -> Analytics:
        return Analytics(FakeStored(note=self._note), lambda: T, **{"foreteller": foreteller(), **self.asked})

    @property
    def fleet(self) -> Any:
        if self.fleet_of is None:
            raise Conflict("this engine makes no forecasts: forecasts.enabled is false")
        return self.fleet_of

    @property
    def predictions(self) -> Any:
        if self.predictions_of is None:
            raise Conflict("this engine watches no limits: predict.enabled is false")
        return self.predictions_of

    @functools.cached_property
    def replays(self) -> FakeReplays:
        return FakeReplays(self._note)

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.fails_with:
            raise self.fails_with


class _Metric(msgspec.Struct):
    metricName: str  # noqa: N815 - the contract's name
    value: float
    labels: dict[str, str] | None = None
    source: str | None = None
    timestamp: str | int | float | None = None


def read_json(body: bytes) -> list[_Metric]:
    """Judges a JSON body as a decoder would, far more simply."""
    try:
        metrics = msgspec.json.decode(body, type=list[_Metric] if body.lstrip()[:1] == b"[" else _Metric)
    except msgspec.DecodeError as error:
        raise InputError("the body is no metric", (Refusal("$", repr(body[:50]), str(error)),)) from None
    metrics = metrics if isinstance(metrics, list) else [metrics]
    for metric in metrics:
        if metric.timestamp is not None:
            read_time(str(metric.timestamp))
        if isinstance(metric.timestamp, int | float) and not 0 <= metric.timestamp <= LATEST_MS:
            raise InputError("the timestamp is beyond any time")
    return metrics


def client_of(app: Any, base: str = BASE) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app, raise_app_exceptions=False), base_url=base)
