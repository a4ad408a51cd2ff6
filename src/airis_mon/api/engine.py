"""What the HTTP surface needs of the engine. The application offers it; tests give a small one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, TypeVar

from airis_mon.app.analytics import Analytics
from airis_mon.app.fleet import Fleet
from airis_mon.app.predictions import Predictions
from airis_mon.app.replays import Replay, Request
from airis_mon.detect.base import Floats
from airis_mon.detect.coverage import Coverage
from airis_mon.errors import Refusal
from airis_mon.events.anomaly import Anomaly
from airis_mon.events.event import Event
from airis_mon.query.engine import Answer
from airis_mon.series.batch import Times, Values
from airis_mon.series.catalogue import MetricType
from airis_mon.series.labels import Labels
from airis_mon.series.matchers import Matcher
from airis_mon.series.steps import Steps

T_co = TypeVar("T_co", covariant=True)


class Receipt(Protocol):
    """What became of one ingest request; it is given after the commit that holds its samples."""

    @property
    def accepted(self) -> int:
        """Items that were taken."""

    @property
    def refused(self) -> int:
        """Items that were not."""

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The first of the refused items."""

    @property
    def samples(self) -> int:
        """Samples that were stored."""

    @property
    def unsupported(self) -> int:
        """Of the refused items those of a kind that is never stored, such as native histograms."""

    @property
    def received_ms(self) -> int:
        """The time given to items that came without one."""


class SeriesInfo(Protocol):
    """A series and where it stands now."""

    @property
    def fp(self) -> int:
        """The fingerprint."""

    @property
    def labels(self) -> Labels:
        """Sorted labels with `__name__`."""

    @property
    def last_t(self) -> int | None:
        """Time of the latest sample, ms."""

    @property
    def last_value(self) -> float | None:
        """Value of the latest sample; NaN for a stale marker."""

    @property
    def score(self) -> float:
        """The highest score of the last minutes over its watched signals, 0..1; means nothing without signals."""

    @property
    def signals(self) -> Sequence[str]:
        """What of it is watched: value, rate, mean, p99; empty when nothing is."""


class SampleColumns(Protocol):
    """Samples of one series in columns, ordered by time."""

    @property
    def t(self) -> Times:
        """Milliseconds: (n,)."""

    @property
    def value(self) -> Values:
        """One per time: (n,)."""


class BandColumns(SampleColumns, Protocol):
    """What was normal for one watched signal, in columns; `value` is the signal's."""

    @property
    def expected(self) -> Values:
        """One per time: (n,)."""

    @property
    def lower(self) -> Values:
        """One per time: (n,)."""

    @property
    def upper(self) -> Values:
        """One per time: (n,)."""

    @property
    def score(self) -> Floats | Values:
        """One per time: (n,) 0..1."""


class Subscription(Protocol):
    """One listener's bounded queue."""

    async def __anext__(self) -> Event:
        """The next event; waiting for it may be cancelled."""

    @property
    def dropped(self) -> int:
        """Events this listener was too slow for, so far."""


class Events(Protocol):
    """Where events are heard."""

    def subscribe(
        self, names: set[str] | None = None, last_seq: int | None = None
    ) -> AbstractContextManager[Subscription]:
        """A subscription for the time of the block, beginning after `last_seq` as far as that is remembered."""


class Metadata(Protocol):
    """What is known of a metric."""

    @property
    def type(self) -> MetricType:
        """As its source says."""

    @property
    def help(self) -> str:
        """What it means, if that is known."""


class Listed(Protocol[T_co]):
    """What was found, sorted."""

    @property
    def items(self) -> Sequence[T_co]:
        """So many as were asked for."""

    @property
    def is_cut(self) -> bool:
        """Whether there are more."""


class Queries(Protocol):
    """PromQL, and what is known of series. limit: so many at most, 0 = all; None = an open end of time."""

    async def answer(
        self,
        text: str,
        steps: Steps,
        timeout_s: float | None = None,
        lookback_ms: int | None = None,
        *,
        range_end: int | None = None,
    ) -> Answer:
        """An expression's value at each step.

        range_end: until when a range was asked for, None = a single moment. Ends when the task that awaits it is
        cancelled. Raises InputError, QueryError and StoreBusy.
        """

    async def formatted(self, text: str) -> str:
        """The expression as a person would lay it out. Raises InputError."""

    async def series(
        self, selectors: Sequence[Sequence[Matcher]], start: int | None, end: int | None, limit: int
    ) -> Listed[Labels]:
        """The label sets that meet any of the selectors and were seen within [start, end]."""

    async def label_names(
        self, selectors: Sequence[Sequence[Matcher]], start: int | None, end: int | None, limit: int
    ) -> Listed[str]:
        """The names of labels of the series that meet any of the selectors, of all series without one."""

    async def label_values(
        self, name: str, selectors: Sequence[Sequence[Matcher]], start: int | None, end: int | None, limit: int
    ) -> Listed[str]:
        """The values of a label of the series that meet any of the selectors, of all series without one."""

    async def metadata(self, metric: str, limit: int) -> Mapping[str, Metadata]:
        """What is known of metrics: of one metric, or of `limit` at most; a negative limit = of all."""


class ActiveAlert(Protocol):
    """An alert of a rule that is pending or firing."""

    @property
    def labels(self) -> Labels:
        """Those of the series and of the rule, with `alertname`."""

    @property
    def annotations(self) -> Labels:
        """Expanded."""

    @property
    def state(self) -> Literal["pending", "firing"]:
        """Whether it has lasted long enough."""

    @property
    def active_at(self) -> int:
        """Since when its condition holds, ms."""

    @property
    def value(self) -> float:
        """The expression's value at the last evaluation."""


class Rule(Protocol):
    """A rule and how its last evaluation went; duration, keep_firing_for and annotations are those of alerting ones."""

    @property
    def type(self) -> Literal["alerting", "recording"]:
        """What it is."""

    @property
    def name(self) -> str:
        """The alert's name, or that of the recorded metric."""

    @property
    def query(self) -> str:
        """Its expression."""

    @property
    def duration_s(self) -> float:
        """For how long the condition must hold before the alert fires."""

    @property
    def keep_firing_for_s(self) -> float:
        """For how long the alert fires on after the condition has ended."""

    @property
    def labels(self) -> Labels:
        """Those that it adds, not expanded."""

    @property
    def annotations(self) -> Labels:
        """Not expanded."""

    @property
    def alerts(self) -> Sequence[ActiveAlert]:
        """Its alerts that are pending or firing."""

    @property
    def health(self) -> Literal["ok", "err", "unknown"]:
        """How its last evaluation went; unknown before the first one."""

    @property
    def last_error(self) -> str:
        """Why the last evaluation failed; empty when it did not."""

    @property
    def evaluation_s(self) -> float:
        """How long the last evaluation took."""

    @property
    def last_evaluation(self) -> int | None:
        """When that began, ms; None before the first one."""


class RuleGroup(Protocol):
    """Rules that are evaluated one after another, at the same moments."""

    @property
    def name(self) -> str:
        """Unique in its file."""

    @property
    def file(self) -> str:
        """The file that it stands in."""

    @property
    def interval_s(self) -> float:
        """Between two evaluations."""

    @property
    def limit(self) -> int:
        """So many series or alerts may one rule give; 0 = any number."""

    @property
    def rules(self) -> Sequence[Rule]:
        """In the order of the file."""

    @property
    def evaluation_s(self) -> float:
        """How long the last evaluation took."""

    @property
    def last_evaluation(self) -> int | None:
        """When that began, ms; None before the first one."""


class Replays(Protocol):
    """Replays of the past, done one after another in the background. All of it raises StoreBusy when that is away."""

    async def start(self, request: Request) -> Replay:
        """Enqueues one. Raises InputError, Conflict for another one's idempotency key, StoreBusy for too many."""

    async def one(self, replay_id: str) -> Replay:
        """One with its result. Raises NotFound."""

    async def latest(self, limit: int) -> Sequence[Replay]:
        """Newest first."""

    async def cancel(self, replay_id: str) -> Replay:
        """Ends one that waits or runs. Raises NotFound, or Conflict when it has ended."""


class Engine(Protocol):
    """The engine as the routes see it. All times are ms UTC."""

    @property
    def events(self) -> Events:
        """The event bus."""

    @property
    def is_live(self) -> bool:
        """False when only a restart would help."""

    @property
    def is_ready(self) -> bool:
        """Whether requests are served now."""

    @property
    def not_ready_reason(self) -> str:
        """Why not, in words; empty when ready."""

    def health(self) -> Mapping[str, Any]:
        """How the server is: the fields of `schemas.Health` by their names in JSON, `timestamp` in ms."""

    def status(self) -> Mapping[str, Any]:
        """What runs: the fields of `schemas.Status` by their names in JSON, both `timestamp` in ms."""

    async def exposition(self) -> bytes:
        """Our own metrics in the text format."""

    async def ingest(self, kind: str, body: bytes, content_type: str) -> Receipt:
        """Decodes, commits and answers; `kind` is remote_write, otlp or json.

        Raises InputError when nothing of the body can be read, TooLarge beyond a limit, StoreBusy for "later".
        """

    async def series(
        self, matchers: Sequence[Matcher], start: int | None, end: int | None, limit: int
    ) -> Sequence[SeriesInfo]:
        """Series that meet every matcher and were seen within [start, end], ordered by fingerprint."""

    async def series_one(self, fp: int) -> SeriesInfo:
        """One series. Raises NotFound."""

    async def samples(self, fp: int, start: int, end: int, limit: int) -> SampleColumns:
        """The first `limit` samples within [start, end]. Raises NotFound."""

    async def bands(self, fp: int, signal: str | None, start: int, end: int) -> BandColumns:
        """The bands of one signal (None: the only or first one). Raises NotFound when it is not watched."""

    async def anomalies(
        self, matchers: Sequence[Matcher], fp: int | None, start: int, end: int, min_score: float, limit: int
    ) -> Sequence[Anomaly]:
        """Anomalies within [start, end] whose series meets every matcher, newest first."""

    async def coverage(
        self, matchers: Sequence[Matcher], reason: str | None, is_watched: bool | None, offset: int, limit: int
    ) -> Coverage:
        """Counts over all series, and one page of those that meet the filters."""

    @property
    def queries(self) -> Queries:
        """PromQL. Raises StoreBusy while the engine is not ready."""

    def rules(self) -> Sequence[RuleGroup]:
        """The groups of rules that are evaluated, by file and name."""

    @property
    def replays(self) -> Replays:
        """Replays of the past."""

    @property
    def analytics(self) -> Analytics:
        """Questions about series."""

    @property
    def fleet(self) -> Fleet:
        """Forecasts of watched signals."""

    @property
    def predictions(self) -> Predictions:
        """Warnings of what runs out."""
