"""What PromQL is asked of: the store's series, and those of watched signals that are computed or foreseen.

Score, expected value and band of every watched signal, and the signal itself: nothing of them is stored, the live
detector redraws them (`app/history.py`) for the window that is asked about. Forecasts are read as they were stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TypeVar

import numpy as np

from airis_mon.app.curves import Check, Curves
from airis_mon.app.exposition import score_labels
from airis_mon.app.history import Curve, SignalHistory
from airis_mon.app.peaks import MINUTE_MS, MINUTES
from airis_mon.app.reporter import SCORE
from airis_mon.detect.watch import Watch
from airis_mon.errors import QueryError, TooLarge
from airis_mon.query.plan import Leaf, Select
from airis_mon.query.ranges import over
from airis_mon.query.values import Flags, Runs, Scalar, Vector, empty, vector
from airis_mon.series.batch import Times, Values
from airis_mon.series.catalogue import NEVER
from airis_mon.series.labels import METRIC, Labels, fingerprint
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Grid, SeriesRow, SeriesStore

Moment = TypeVar("Moment", int, Times)

ACTUAL, EXPECTED = "airis_actual", "airis_expected"
LOWER, UPPER = "airis_expected_lower", "airis_expected_upper"
BANDS = {EXPECTED, LOWER, UPPER}
FORECAST, FORECAST_LOWER, FORECAST_UPPER = "airis_forecast", "airis_forecast_lower", "airis_forecast_upper"
FORESEEN = {FORECAST: "mean", FORECAST_LOWER: "lower", FORECAST_UPPER: "upper"}
"""Metric -> the column of forecasts."""
COMPUTED = {
    SCORE: "Highest score of the last ten minutes, 0..1; 0.8 is the alarm line.",
    ACTUAL: "A watched signal itself: the value, or the rate, mean or p99 derived from it.",
    EXPECTED: "What was expected of a watched signal, in its unit.",
    LOWER: "The lowest value of a watched signal that would score below the alarm line.",
    UPPER: "The highest value of a watched signal that would score below the alarm line.",
    FORECAST: "What was last forecast, by then, of a watched signal: the mean of the step that ends there.",
    FORECAST_LOWER: "The lower end of the interval of airis_forecast.",
    FORECAST_UPPER: "The upper end of the interval of airis_forecast.",
}
"""Metric -> its help; all are gauges."""

MOST_SCORES, MOST_BANDS = 2_000, 200
"""An hour at 15 s of so many signals takes half a second to draw."""
MOST_POINTS = 20_000_000
"""So many samples of curves does one selector with a range hold."""
LIVE_MS = 15_000
"""A score asked for at a moment that lies no further back is the one that GET /metrics shows."""


@dataclass(frozen=True, slots=True)
class Foresight:
    """How forecasts lie in the store: a point each `step_ms`; no round looks further ahead than `reach_ms`."""

    step_ms: int = 900_000
    reach_ms: int = 86_400_000 + 900_000


@dataclass(frozen=True, slots=True)
class _Signal:
    """A watched signal that a selector means, with the labels of the computed series."""

    slot: int
    sid: int
    fp: int
    kind: str
    labels: Labels


class Insight:
    """The store as a source of queries, with what the detector knows of its series.

    A selector that names one of `COMPUTED` by equality is answered from the detector alone; every other one, a pattern
    on the name too, means stored series. clock: now in ms. most_scores, most_bands: so many signals are drawn for one
    selector. foresight: how forecasts lie in the store.
    """

    def __init__(
        self,
        history: SignalHistory,
        store: SeriesStore,
        clock: Callable[[], int],
        *,
        most_scores: int = MOST_SCORES,
        most_bands: int = MOST_BANDS,
        foresight: Foresight | None = None,
    ) -> None:
        self.most_scores = most_scores
        self.most_bands = most_bands
        self.foresight = foresight or Foresight()
        self._history = history
        self._store = store
        self._clock = clock
        self.curves = Curves(history, clock)

    @property
    def grid_functions(self) -> frozenset[str]:
        """Functions that `grid` computes."""
        return self._store.grid_functions

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Check = lambda: None,
    ) -> list[SeriesRow]:
        """As `SeriesStore.series`; of computed ones those whose signal has had a sample since `start`."""
        if (name := _named(matchers)) is None:
            return self._store.series(matchers, start, end, limit, timeout_s, check)
        return list(islice(self._rows(name, matchers, start, end), limit))

    def label_names(
        self, matchers: Sequence[Matcher] = (), start: int | None = None, end: int | None = None
    ) -> list[str]:
        """As `SeriesStore.label_names`."""
        if (name := _named(matchers)) is None:
            return self._store.label_names(matchers, start, end)
        return sorted({label for row in self._rows(name, matchers, start, end) for label, _ in row.labels})

    def label_values(
        self,
        name: str,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
    ) -> list[str]:
        """As `SeriesStore.label_values`; without a condition the computed metrics are among the names."""
        if (metric := _named(matchers)) is not None:
            found = {
                value
                for row in self._rows(metric, matchers, start, end)
                for label, value in row.labels
                if label == name
            }
            return sorted(found)[:limit]
        stored = self._store.label_values(name, matchers, start, end, limit)
        return sorted({*stored, *COMPUTED})[:limit] if name == METRIC and not matchers else stored

    def _rows(self, name: str, matchers: Sequence[Matcher], start: int | None, end: int | None) -> Iterator[SeriesRow]:
        signals = self._signals(name, matchers)
        if name in FORESEEN:
            yield from self._forecast_rows(signals, start, end)
            return
        last_t = self._history.detection.catalogue.last_t
        for signal in signals:
            seen = int(last_t[signal.sid])
            if start is None or seen >= start:
                yield SeriesRow(fingerprint(signal.labels), signal.labels, seen)

    def _forecast_rows(self, signals: Sequence[_Signal], start: int | None, end: int | None) -> Iterator[SeriesRow]:
        """Those that had a forecast in the last step of the window."""
        until = self._clock() if end is None else end
        first = until - self.foresight.step_ms + 1
        for signal, (t, _) in zip(signals, self._foreseen(FORECAST, signals, first, until), strict=True):
            if len(t) and (start is None or t[-1] >= start):
                yield SeriesRow(fingerprint(signal.labels), signal.labels, int(t[-1]))

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Check = lambda: None,
    ) -> Grid:
        """As `SeriesStore.grid`, of stored series."""
        return self._store.grid(fps, function, steps, window, args, timeout_s, check)

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Check = lambda: None,
    ) -> Columns:
        """As `SeriesStore.samples`, of stored series."""
        return self._store.samples(fps, start, end, limit, timeout_s, check)

    def computed(self, leaf: Leaf, check: Check) -> Vector | Runs | None:
        """What a leaf means that names a computed metric, None for every other one.

        A value or band at a moment is that of the latest sample, as an instant selector has it; a score the highest of
        the last ten minutes. Range functions see one at each sample of the signal. Raises QueryError for more
        signals than are drawn at once.
        """
        if (name := _named(leaf.matchers)) is None:
            return None
        signals = self._signals(name, leaf.matchers)
        if not isinstance(leaf, Select):
            return self._runs(name, signals, leaf, check)
        if not signals:
            return empty(leaf.steps.count)
        if leaf.function in {"last", "timestamp"}:
            return self._instant(name, signals, leaf, check).present()
        args = [Scalar(np.full(leaf.steps.count, number)) for number in leaf.args]
        runs, t = self._runs(name, signals, leaf, check), leaf.steps.t
        return over(leaf.function, runs, t, leaf.window, args, t, check).present()

    # -- which signals ------------------------------------------------------------------------------------------

    def _signals(self, name: str, matchers: Sequence[Matcher]) -> list[_Signal]:
        if not _matches(matchers, METRIC, name):
            return []
        watch, catalogue = self._history.detection.watch, self._history.detection.catalogue
        others = [m for m in matchers if m.name != METRIC]
        matches = compile_matchers(others)
        found = []
        for slot in self._slots(watch, others):
            try:
                signal = watch.signal(slot)
                labels = labels_of(name, catalogue.labels(signal.sid), signal.kind)
            except KeyError:  # given up at this moment
                continue
            if not others or matches(labels):
                found.append(_Signal(slot, signal.sid, signal.fp, signal.kind, labels))
        return found

    def _slots(self, watch: Watch, matchers: Sequence[Matcher]) -> list[int]:
        """The slots that may be meant; `for` is the metric, by which series are found without a look at each."""
        catalogue = self._history.detection.catalogue
        if not any(m.name == "for" for m in matchers):
            return [int(slot) for slot in watch.slots.held()]
        metrics = [i for i, metric in enumerate(catalogue.metrics) if _matches(matchers, "for", metric)]
        sids = np.flatnonzero(np.isin(catalogue.metric[: catalogue.size], metrics)).tolist()
        return sorted({slot for sid in sids for slot in watch.slots_of(int(catalogue.fp[sid]))})

    # -- what they were -----------------------------------------------------------------------------------------

    def _instant(self, name: str, signals: Sequence[_Signal], leaf: Select, check: Check) -> Vector:
        if name == SCORE and leaf.function == "last" and self._is_now(leaf.steps):
            return self._live(signals, leaf.steps.start)
        if name in FORESEEN:
            return self._forecast(name, signals, leaf, check)
        ends = leaf.steps.t
        start = since(leaf.steps.start) if name == SCORE else leaf.steps.start - leaf.window + 1
        value = np.full((len(signals), len(ends)), np.nan)
        has = np.zeros(value.shape, np.bool_)
        for i, curve in enumerate(self._drawn(name, signals, start, leaf.steps.end, check)):
            if name == SCORE:
                value[i], has[i], at = peaks(curve.t, curve.score, ends)
            else:
                value[i], has[i], at = latest(curve.t, _column(curve, name), curve.ended, ends, leaf.window)
            if leaf.function == "timestamp":
                value[i] = at / 1000
        return vector([s.labels for s in signals], value, has)

    def _runs(self, name: str, signals: Sequence[_Signal], leaf: Leaf, check: Check) -> Runs:
        start, end = leaf.steps.start - leaf.window + 1, leaf.steps.end
        begin = since(start) if name == SCORE else start
        times, values = [np.empty(0, np.int64)], [np.empty(0)]
        held = 0
        for t, value in self._samples(name, signals, begin, end, check):
            shown = (t >= start) & ~np.isnan(value)
            times.append(t[shown])
            values.append(value[shown])
            if (held := held + len(times[-1])) > MOST_POINTS:
                raise QueryError(
                    "query processing would load too many samples into memory in query execution: more than "
                    f"{MOST_POINTS:,} of {name}; ask for fewer series or a shorter time"
                )
        bounds = np.cumsum([len(t) for t in times])
        return Runs([s.labels for s in signals], bounds, np.concatenate(times), np.concatenate(values))

    def _samples(
        self, name: str, signals: Sequence[_Signal], start: int, end: int, check: Check
    ) -> Iterator[tuple[Times, Values]]:
        if name in FORESEEN:
            yield from self._foreseen(name, signals, start, end, check)
            return
        for curve in self._drawn(name, signals, start, end, check):
            yield curve.t, peaks(curve.t, curve.score, curve.t)[0] if name == SCORE else _column(curve, name)

    def _forecast(self, name: str, signals: Sequence[_Signal], leaf: Select, check: Check) -> Vector:
        """Each step has the point of the forecast's step that it lies in, or none."""
        ends, step = leaf.steps.t, self.foresight.step_ms
        value = np.full((len(signals), len(ends)), np.nan)
        has = np.zeros(value.shape, np.bool_)
        never = np.empty(0, np.int64)
        found = self._foreseen(name, signals, leaf.steps.start - step + 1, leaf.steps.end, check)
        for i, (t, points) in enumerate(found):
            value[i], has[i], at = latest(t, points, never, ends, step)
            if leaf.function == "timestamp":
                value[i] = at / 1000
        return vector([s.labels for s in signals], value, has)

    def _foreseen(
        self, name: str, signals: Sequence[_Signal], start: int, end: int, check: Check = lambda: None
    ) -> list[tuple[Times, Values]]:
        """(t, value) of the forecasts of each signal that stood within [start, end]."""
        fps = sorted({s.fp for s in signals})
        check()
        try:
            found = self._store.forecasts(fps, start, end, self.foresight.reach_ms, check=check)
        except TooLarge as error:
            raise QueryError(f"query processing would load too many samples into memory: {error}") from None
        value = getattr(found, FORESEEN[name])
        change = np.flatnonzero((found.fp[1:] != found.fp[:-1]) | (found.kind[1:] != found.kind[:-1])) + 1
        bounds = [0, *change.tolist(), len(found.fp)] if len(found.fp) else []
        runs = {(int(found.fp[a]), found.kinds[found.kind[a]]): (found.t[a:b], value[a:b]) for a, b in pairwise(bounds)}
        none = np.empty(0, np.int64), np.empty(0)
        return [runs.get((s.fp, s.kind), none) for s in signals]

    def _drawn(self, name: str, signals: Sequence[_Signal], start: int, end: int, check: Check) -> Iterator[Curve]:
        has_bands = name in BANDS
        most = self.most_bands if has_bands else self.most_scores
        if len(signals) > most:
            raise QueryError(
                f"{name} of {len(signals):,} signals is asked for, which would have to be redrawn, at most {most:,} at "
                f'once; name the metric, as in {name}{{for="...", instance="..."}}'
            )
        try:
            yield from self.curves.of([(s.fp, s.kind) for s in signals], start, end, check, has_bands=has_bands)
        except TooLarge as error:
            raise QueryError(f"query processing would load too many samples into memory: {error}") from None

    # -- now ----------------------------------------------------------------------------------------------------

    def _is_now(self, steps: Steps) -> bool:
        """Whether the present is asked for, which the peaks in memory answer as GET /metrics does."""
        return steps.count == 1 and steps.start >= self._clock() - LIVE_MS

    def _live(self, signals: Sequence[_Signal], t: int) -> Vector:
        detection, slots = self._history.detection, np.array([s.slot for s in signals])
        with detection.lock:
            value = detection.peaks.highest(t, int(slots.max()) + 1)[slots].astype(np.float64)
        last_t = detection.catalogue.last_t[[s.sid for s in signals]]
        has = (last_t >= since(t)) | (value > 0)
        return vector([s.labels for s in signals], value[:, None], has[:, None])


def labels_of(name: str, labels: Labels, kind: str) -> Labels:
    """The labels of a computed series: those of the signal's score in GET /metrics."""
    return tuple(sorted(((METRIC, name), *score_labels(labels, kind))))


def since(t: Moment) -> Moment:
    """From when on scores count at `t`, ms: from the minute of the clock ten minutes before, as `Peaks` keeps them."""
    return (t // MINUTE_MS - MINUTES) * MINUTE_MS


def peaks(t: Times, score: Values, ends: Times) -> tuple[Values, Flags, Times]:
    """(highest score since `since(end)`, whether there is one, the time of the latest) at each end: (steps,) each.

    t: (n,) ms, ascending; score: (n,).
    """
    first = np.searchsorted(t, since(ends))
    last = np.searchsorted(t, ends, side="right")
    has = last > first
    padded = np.append(score, 0.0)  # a window may end after the last sample
    highest = np.maximum.reduceat(padded, np.column_stack([first, last]).ravel())[::2]
    return np.where(has, highest, np.nan), has, np.append(t, 0)[last - 1]


def latest(t: Times, value: Values, ended: Times, ends: Times, window: int) -> tuple[Values, Flags, Times]:
    """(latest value in (end - window, end], whether there is one, its time) at each end: (steps,) each.

    t: (n,) ms, ascending; value: (n,), NaN = none; ended: (m,) ms, after which nothing is until the next sample.
    """
    known = ~np.isnan(value)
    t, value = np.append(t[known], NEVER), np.append(value[known], np.nan)
    row = np.searchsorted(t[:-1], ends, side="right") - 1  # -1 = the one appended
    stop = np.append(ended, NEVER)[np.searchsorted(ended, ends, side="right") - 1]
    has = (t[row] > ends - window) & (t[row] > stop)
    return np.where(has, value[row], np.nan), has, t[row]


def _column(curve: Curve, name: str) -> Values:
    return {ACTUAL: curve.value, EXPECTED: curve.expected, LOWER: curve.lower, UPPER: curve.upper}[name]


def _matches(matchers: Sequence[Matcher], label: str, value: str) -> bool:
    """Whether a label's value meets every condition on it."""
    return compile_matchers([m for m in matchers if m.name == label])(((label, value),))


def _named(matchers: Sequence[Matcher]) -> str | None:
    """The computed metric that a selector names."""
    return next((m.value for m in matchers if m.name == METRIC and m.op == "=" and m.value in COMPUTED), None)
