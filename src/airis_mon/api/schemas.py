"""What stands in the answers, field by field. Names are camelCase outside, as the specification has them."""

from __future__ import annotations

import functools
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from airis_mon.api.engine import SeriesInfo
from airis_mon.detect.coverage import CoverageItem
from airis_mon.events.anomaly import Anomaly
from airis_mon.events.event import Event
from airis_mon.series.labels import METRIC, hex_id, metric_of, series_name

Timestamp = Annotated[str, Meta(description="RFC 3339, UTC", examples=["2026-03-01T12:00:00.000Z"])]
SeriesId = Annotated[
    str,
    Meta(
        description="Fingerprint of the series, 16 hex digits", pattern="^[0-9a-f]{16}$", examples=["9f86d081884c7d65"]
    ),
]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


def now_ms() -> int:
    """This moment."""
    return time.time_ns() // 1_000_000


@functools.lru_cache(4096)  # many samples of a body share a time
def stamp(t: int) -> str:
    """Milliseconds as RFC 3339 in UTC. Raises OverflowError beyond year 9999."""
    return datetime.fromtimestamp(t / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Out(Struct, rename="camel"):
    """Base of everything that is answered."""


class Detail(Out):
    """One faulty item."""

    path: Annotated[str, Meta(description="Where it stands: a JSON path, a parameter or a series")]
    value: Annotated[str, Meta(description="What was there, shortened")]
    reason: Annotated[str, Meta(description="Why it cannot be used, and what would help")]


class Error(Out):
    """Every error has this shape. `accepted` and `refused` stand only in answers to ingest requests."""

    error: Annotated[str, Meta(description="The kind of error in words", examples=["Validation Error"])]
    message: str
    details: list[Detail]
    timestamp: Timestamp
    accepted: Count | UnsetType = UNSET
    refused: Count | UnsetType = UNSET


class Services(Out):
    """Which parts work."""

    ollama: bool
    gemini: bool
    knowledge_collector: bool
    mlops: bool
    analytics: bool
    monitoring: bool


class Recovery(Out):
    """How errors are coped with."""

    circuit_breaker_state: Literal["closed", "open", "half-open"]
    error_count: Count
    unique_errors: Count
    fallback_cache_size: Count


class Lacking(Out):
    """A part of a source's past that could not be had."""

    start: Timestamp
    end: Timestamp
    what: str
    why: str


class PastSource(Out):
    """How far the past of one source is: what was fetched of it, and since when the detector knows it."""

    source: str
    start: Timestamp
    end: Timestamp
    fetched: Annotated[float, Meta(ge=0, le=1)]
    learned_from: Annotated[Timestamp | None, Meta(description="null while nothing is learned")]
    samples: Count
    refused: Count
    seconds: float
    missing: list[Lacking]
    fault: Annotated[str, Meta(description="Why it does not go on at present; empty when it does")]


class Backfilled(Out):
    """Learning from the past in the background."""

    stage: Literal["waiting", "fetching", "learning", "done"]
    learning: Annotated[float | None, Meta(description="How much of the learning is done, 0..1")]
    sources: list[PastSource]


class Health(Out):
    """How the server is."""

    status: Literal["healthy", "degraded", "unhealthy"]
    initialized: bool
    started: bool
    services: Services
    healthy_services: Count
    total_services: Count
    error_recovery_status: Recovery
    timestamp: Timestamp
    not_ready_reason: Annotated[str, Meta(description="Why no samples are taken in; empty when they are")] = ""
    not_built: Annotated[list[str], Meta(description="Services that this version does not have")] = []
    catching_up: Annotated[bool, Meta(description="Samples stored before the start are still being judged")] = False
    degraded: Annotated[
        list[str], Meta(description="Sources, `writeback`, `rules`, `jobs`, `backfill`: what fails at present")
    ] = []
    backfill: Annotated[Backfilled | None, Meta(description="null without a source that has a past")] = None
    demo: Annotated[bool, Meta(description="All that is watched is simulated")] = False


class SystemMetrics(Out):
    """Load of this host in per cent."""

    cpu: float
    memory: float
    disk: float
    network: float
    timestamp: Timestamp


class Status(Out):
    """What runs, and the load of the host."""

    initialized: bool
    started: bool
    services: Services
    system_metrics: SystemMetrics
    timestamp: Timestamp
    backfill: Annotated[Backfilled | None, Meta(description="null without a source that has a past")] = None
    demo: Annotated[bool, Meta(description="All that is watched is simulated")] = False


class Probe(Out):
    """Answer to an orchestrator."""

    status: Literal["ok"]


class Answer(Out, kw_only=True):
    """Base of the answers in the success envelope."""

    success: Literal[True] = True
    timestamp: Timestamp


class Page(Out):
    """How much of the whole is shown."""

    count: Count
    limit: Count
    truncated: bool
    offset: Count | UnsetType = UNSET
    matched: Count | UnsetType = UNSET


class MetricEcho(Out):
    """A metric as it was stored."""

    name: str
    value: float | None
    labels: dict[str, str]
    source: str
    timestamp: Timestamp


class Stored(Answer):
    """One metric was stored."""

    message: str
    metric: MetricEcho


class StoredMany(Answer):
    """All metrics were stored."""

    message: str
    metrics: list[MetricEcho]
    accepted: Count
    refused: Count


class SeriesOut(Out):
    """A series and where it stands now."""

    id: SeriesId
    name: Annotated[str, Meta(examples=['cpu_usage{host="web-1"}'])]
    metric: str
    labels: dict[str, str]
    last_timestamp: Timestamp | None
    last_value: float | None
    score: Annotated[Share | None, Meta(description="Highest of the last minutes; null when not watched")]
    signals: Annotated[list[str], Meta(description="What of it is watched: value, rate, mean, p99")]


class SeriesAnswer(Answer):
    """One series."""

    series: SeriesOut


class SeriesList(Answer):
    """Series that match."""

    series: list[SeriesOut]
    metadata: Page


class Columns(Out):
    """Samples in columns: `t` in milliseconds UTC; null in `value` is a gap."""

    t: list[int]
    value: list[float | None]


class SamplesAnswer(Answer):
    """Raw samples of one series."""

    samples: Columns
    metadata: Page


class Bands(Out):
    """What was normal, in columns: values within lower..upper score below the line. `t` in milliseconds UTC."""

    t: list[int]
    value: list[float | None]
    expected: list[float | None]
    lower: list[float | None]
    upper: list[float | None]
    score: list[float | None]


class BandsAnswer(Answer):
    """The bands of one watched signal."""

    bands: Bands
    metadata: Page


class CoverageOut(Out):
    """One series: watched or skipped, and why."""

    id: SeriesId
    name: str
    watched: bool
    signals: list[str]
    reason: str
    description: Annotated[str, Meta(description="The reason in words, with what would change it")]


class CoverageCounts(Out):
    """What is watched and what is not, over all series."""

    total: Count
    watched: Count
    skipped: Count
    signals: Count
    skipped_by_reason: Annotated[dict[str, Count], Meta(description="Skipped series by reason")]
    series: list[CoverageOut]


class CoverageAnswer(Answer):
    """Coverage and one page of series."""

    coverage: CoverageCounts
    metadata: Page


class AnomalyOut(Out):
    """One judgement that a sample is unusual."""

    id: str
    series: SeriesId
    name: Annotated[str, Meta(description="The watched signal", examples=["rate(http_requests_total)"])]
    metric: str
    labels: dict[str, str]
    signal: str
    timestamp: Timestamp
    value: float | None
    score: Annotated[Share, Meta(description="0.8 is the alarm line")]
    onset: float | None
    level: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    feature: Annotated[str, Meta(description="What fired")]


class AnomalyList(Answer):
    """Anomalies, newest first."""

    anomalies: list[AnomalyOut]
    metadata: Page


class EventOut(Out):
    """One event, the same over both kinds of socket."""

    name: str
    timestamp: Timestamp
    payload: dict[str, Any]
    seq: Annotated[
        int | UnsetType, Meta(description="Grows by one per event of a server process; messages of the stream lack it")
    ] = UNSET


def series_out(info: SeriesInfo) -> SeriesOut:
    """A series as it stands in answers."""
    labels = dict(info.labels)
    return SeriesOut(
        id=hex_id(info.fp),
        name=series_name(info.labels),
        metric=labels.pop(METRIC, ""),
        labels=labels,
        last_timestamp=None if info.last_t is None else stamp(info.last_t),
        last_value=info.last_value,
        score=info.score if info.signals else None,
        signals=list(info.signals),
    )


def coverage_out(item: CoverageItem) -> CoverageOut:
    """A row of the coverage as it stands in answers."""
    return CoverageOut(hex_id(item.fp), item.name, item.is_watched, list(item.signals), item.reason, item.words)


def anomaly_out(a: Anomaly) -> AnomalyOut:
    """An anomaly as it stands in answers."""
    return AnomalyOut(
        id=a.id,
        series=hex_id(a.fp),
        name=a.name,
        metric=metric_of(a.labels),
        labels={n: v for n, v in a.labels if n != METRIC},
        signal=a.signal,
        timestamp=stamp(a.t),
        value=a.value,
        score=a.score,
        onset=a.onset,
        level=a.level,
        expected=a.expected,
        lower=a.lower,
        upper=a.upper,
        feature=a.feature,
    )


def event_out(event: Event) -> EventOut:
    """An event as subscribers hear it."""
    return EventOut(event.name, stamp(event.t), event.payload, event.seq)
