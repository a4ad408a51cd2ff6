"""What a store of samples offers; `backends/` holds one file per engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from airis_mon.events.anomaly import Anomaly
from airis_mon.events.prediction import Prediction
from airis_mon.series.batch import Batch, Times, Values
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels
from airis_mon.series.matchers import Matcher
from airis_mon.series.steps import Steps

__all__ = ["Columns", "Fingerprints", "Foreseen", "Grid", "Matcher", "Outcomes", "Rolled", "SeriesRow", "SeriesStore"]

Fingerprints = NDArray[np.uint64]
Indexes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A stored series: `last_seen` and `first_seen` in ms; without `first_seen` it is the time of `last_seen`."""

    fp: int
    labels: Labels
    last_seen: int
    first_seen: int | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Stored samples in columns, ordered by (fp, t), one row per (fp, t)."""

    fp: Fingerprints
    t: Times
    value: Values


@dataclass(frozen=True, slots=True)
class Grid:
    """A function of each series' window at each step.

    fp: (s,) ascending; value: (s, steps), NaN where there is none; has: (s, steps), False where there is none.
    """

    fp: Fingerprints
    value: Values
    has: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Rolled:
    """Rollups of series on steps. fp: (s,) ascending; mean, last: (s, steps), NaN where no finite sample was."""

    fp: Fingerprints
    mean: Values
    last: Values


@dataclass(frozen=True, slots=True, eq=False)
class Foreseen:
    """Points of forecasts in columns, (n,) each; times in ms, values in the signal's unit.

    made: when, the same for all points of a round. t: the end of the step that a point tells of. lower and upper are
    NaN where no interval could be stated; level: the share of what happens that they are to hold. kind and model are
    places in `kinds` (of signals: value, rate, mean, p99) and `models`.
    """

    fp: Fingerprints
    kind: Indexes
    made: Times
    t: Times
    mean: Values
    lower: Values
    upper: Values
    level: Values
    model: Indexes
    kinds: tuple[str, ...]
    models: tuple[str, ...]

    @classmethod
    def empty(cls) -> Foreseen:
        """No points."""
        none, times = np.empty(0), np.empty(0, np.int64)
        return cls(np.empty(0, np.uint64), times, times, times, none, none, none, none, times, (), ())


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What became of forecasts, in columns, (n,) each: sums over the points of one signal, model and lead.

    lead: ms; the points are those between the next shorter lead and this one. error and naive: sums of absolute errors,
    of the forecast and of seasonal naive, over the same points. banded: points that had an interval, covered: those
    it held; level: the share it was to hold. runs: rounds in the sums, the latest of them `made`.
    """

    fp: Fingerprints
    kind: Indexes
    made: Times
    lead: Times
    model: Indexes
    points: Indexes
    error: Values
    naive: Values
    banded: Indexes
    covered: Indexes
    level: Values
    kinds: tuple[str, ...]
    models: tuple[str, ...]
    runs: Indexes

    @classmethod
    def empty(cls) -> Outcomes:
        """Nothing was scored."""
        none, whole = np.empty(0), np.empty(0, np.int64)
        return cls(
            np.empty(0, np.uint64), whole, whole, whole, whole, whole, none, none, whole, whole, none, (), (), whole
        )


class SeriesStore(Protocol):
    """Samples, the labels of their series, what was found in them and foreseen of them. All times are ms UTC.

    Methods block and are called from worker threads; any number of threads may call at once. Every method raises
    StoreBusy when the engine cannot be reached and StoreError when it refuses.
    """

    def open(self) -> None:
        """Connects, creates or migrates the schema. Raises StoreError in words a user can act on."""

    def close(self) -> None:
        """Ends all connections."""

    def warm(self, catalogue: Catalogue, batch: Batch) -> None:
        """Makes the first write and query as fast as later ones, on a batch that is not kept."""

    def ping(self) -> None:
        """Raises StoreBusy when the engine does not answer."""

    def write(self, catalogue: Catalogue, batch: Batch, token: str) -> None:
        """Commits a batch whose sids are the catalogue's; the same token twice stores it once."""

    def write_series(self, rows: Sequence[SeriesRow]) -> None:
        """Adds or refreshes series."""

    def write_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        """Adds anomalies; one with a known id replaces itself."""

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> list[SeriesRow]:
        """Series that match every matcher and were seen within [start, end], ordered by fp.

        Times count by the hour. The list may be shared: never change it. Raises InputError for a regular expression
        that RE2 does not take; timeout_s and check are those of `samples`.
        """

    def label_names(
        self, matchers: Sequence[Matcher] = (), start: int | None = None, end: int | None = None
    ) -> list[str]:
        """The names of the labels of the series that `series` would give, `__name__` among them, sorted."""

    def label_values(
        self,
        name: str,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
    ) -> list[str]:
        """The first `limit` values, sorted, that a label has in the series that `series` would give."""

    def series_by_fp(self, fps: Sequence[int]) -> list[SeriesRow]:
        """The series of these fingerprints, whenever they were seen, ordered by fp; unknown ones are left out."""

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Columns:
        """The first `limit` samples of some series within [start, end]; without it all, or TooLarge is raised.

        `check` is called before each question to the engine and raises when nobody waits for the answer any more.
        With a timeout_s, s, raises QueryTimeout, and QueryError when it needs more memory than a query may take;
        without one both are StoreBusy.
        """

    @property
    def grid_functions(self) -> frozenset[str]:
        """Functions that `grid` computes."""

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Grid:
        """PromQL's function of the samples in (t - window, t] at each step t; series without any value are left out.

        function: the name of a range function that needs no more than constants (`args`), or "last" (the latest
        sample's value) or "timestamp" (its time in s) as an instant selector has them: nothing after a staleness
        marker. Range functions see no such markers. Of several samples at one time the greatest counts, any number
        before NaN. `check` is called before each part of the work and raises when nobody waits for it any more.
        Raises QueryTimeout, and QueryError when it needs more memory than a query may take.
        """

    def rolled(self, fps: Sequence[int], steps: Steps) -> Rolled:
        """Mean and latest value in [t - step, t) at each step t, from rollups of five minutes.

        The step and its moments must be multiples of five minutes. Fifty times cheaper than `grid` for days of
        samples; what came in the last seven minutes is not in it. A series without any is left out.
        """

    def last_samples(self, fps: Sequence[int] | None, before: int, window: int) -> Columns:
        """The latest sample of each series within (before - window, before]; `fps` None = of all series."""

    def scan(self, start: int, end: int, rows: int = 500_000) -> Iterator[Columns]:
        """All samples with start < t <= end, in pieces of about `rows` that follow each other in time."""

    def anomalies(
        self,
        fps: Sequence[int] | None,
        start: int,
        end: int,
        min_score: float = 0.0,
        limit: int = 1000,
        matchers: Sequence[Matcher] = (),
    ) -> list[Anomaly]:
        """Anomalies within [start, end] whose series meets every matcher, newest first; `fps` None = of all series."""

    def write_forecasts(self, points: Foreseen, interval_ms: int) -> None:
        """Adds the forecasts of a round; `interval_ms` until the next one.

        Points further ahead than two intervals are kept for a fifth of the samples' time: by then later rounds have
        told of that time too, and those further ahead have been held against what happened.
        """

    def forecasts(
        self,
        fps: Sequence[int] | None,
        start: int,
        end: int,
        reach_ms: int,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Foreseen:
        """What stood: for each time t within [start, end] the newest point made at or before t, by (fp, kind, t).

        reach_ms: so far ahead did any round look. `fps` None = of all series. Raises TooLarge for too many points;
        timeout_s and check are those of `samples`.
        """

    def forecast_points(self, since: int, until: int, start: int, end: int) -> Foreseen:
        """Points with t within [start, end] of the rounds made within [since, until], by (made, fp, kind, t).

        Raises TooLarge for too many points.
        """

    def forecast_rounds(self, since: int, until: int) -> list[int]:
        """When rounds were made within [since, until], ascending."""

    def write_outcomes(self, outcomes: Outcomes) -> None:
        """Adds what became of a round's forecasts; one known by (made, fp, kind, lead) replaces itself."""

    def outcomes(self, since: int, until: int, fps: Sequence[int] | None = None) -> Outcomes:
        """Sums over the rounds made within [since, until], by (fp, kind, model, lead); `fps` None = of all series."""

    def scored(self, since: int, until: int) -> set[tuple[int, int]]:
        """(made, lead) of the rounds within [since, until] whose outcome is there."""

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Adds warnings; one with a known id replaces itself, the one updated last stays."""

    def predictions(
        self,
        start: int,
        end: int,
        is_open: bool | None = None,
        limit: int = 1000,
        kinds: Collection[str] = (),
        matchers: Sequence[Matcher] = (),
    ) -> list[Prediction]:
        """Warnings that stood at some time within [start, end], the newest first; is_open: only such, None = all.

        kinds: only these, () = all; matchers: of their labels.
        """

    def prediction(self, ident: str) -> Prediction | None:
        """The warning with this id, whenever it stood; None when there is none."""

    def load_series(self, since: int | None = None) -> Iterator[SeriesRow]:
        """Every series seen since then, as fast as they can be read: for the start."""

    def maintain(self, now: int) -> None:
        """Work of the background, once a minute: rollups of closed windows. A call that is late catches up."""

    def size(self) -> tuple[int, int]:
        """(bytes on disk, stored samples)."""
