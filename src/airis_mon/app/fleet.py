"""Forecasts of watched signals on a schedule: made in a process of their own, stored, held against what then happened.

A round reads the past on a grid, scores what earlier rounds said of it, forecasts, and stores. Rounds are found again
in the store after a restart: none is made twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from airis_mon.app.detection import Detection
from airis_mon.app.fleetaccuracy import Accuracy, of_all
from airis_mon.app.fleetgrid import NotYet, Past, Watched, portions, watched
from airis_mon.app.fleetscore import Key, covered_share, joined, leads, outcome
from airis_mon.app.fleetwidths import Widths
from airis_mon.app.fleetwork import foretell
from airis_mon.app.threads import whole
from airis_mon.app.workers import Worker
from airis_mon.errors import AirisError
from airis_mon.forecast.base import Forecast, Panel
from airis_mon.forecast.seasons import usual_seasons
from airis_mon.series.batch import Values
from airis_mon.series.labels import Labels, hex_id, metric_of
from airis_mon.series.matchers import Matcher, compile_matchers, compile_selectors
from airis_mon.series.steps import Steps
from airis_mon.store.base import Foreseen, Outcomes, SeriesStore

log = structlog.get_logger()

FIRST_MS, AGAIN_MS = 60_000, 300_000
"""After the start and after a round that could not be made yet, twice as long each time up to the second."""
LEAST = 8
"""A signal with fewer points of the past is not forecast yet; of a past of n points at most n / 2 are forecast."""
ACCURACY_MS = 7 * 86_400_000
"""Accuracy is told of the rounds of so long."""
Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is forecast, and when; by the settings under `forecasts`. zone: of the place whose holidays are known."""

    interval_ms: int = 3_600_000
    step_ms: int = 900_000
    horizon_ms: int = 86_400_000
    history_ms: int = 15 * 86_400_000
    max_series: int = 2000
    level: float = 0.95
    match: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    holidays: tuple[str, ...] = ()
    zone: str = "UTC"

    @property
    def reach_ms(self) -> int:
        """No round looks further ahead; counted from the step in which it was made."""
        return self.horizon_ms + self.step_ms


@dataclass(frozen=True, slots=True)
class Standing:
    """A signal's forecast of the newest round. error, baseline_error: in the backtest, NaN when there was none."""

    fp: int
    kind: str
    labels: Labels
    model: str
    made_ms: int
    error: float = np.nan
    baseline_error: float = np.nan


@dataclass(frozen=True, slots=True)
class Round:
    """What a round was: how many signals it forecast and left out, how long it took, s."""

    made_ms: int
    signals: int
    points: int
    scored: int
    read_s: float
    forecast_s: float
    seconds: float
    left_out: tuple[str, ...] = ()


@dataclass(slots=True)
class Counts:
    """Since the start."""

    rounds: int = 0
    failures: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Said:
    """What health tells. why: what a round waits for."""

    left_out: int = 0
    why: str = "the first round is made a minute after the start"
    failed: str = ""
    standing: dict[Key, Standing] = field(default_factory=dict)
    last: Round | None = None
    accuracy: Accuracy | None = None


class Fleet:
    """Forecasts all watched signals again and again.

    worker: where the work is done; clock: now in ms; widths: file in which what was learned of the intervals' width
    stays, None = in memory; pause: sleeps, s.
    """

    name = "forecasts"

    def __init__(
        self,
        detection: Detection,
        store: SeriesStore,
        worker: Worker,
        plan: Plan,
        clock: Callable[[], int],
        *,
        widths: Path | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.plan = plan
        self.counts = Counts()
        self._detection, self._store, self._worker, self._clock, self._pause = detection, store, worker, clock, pause
        self._past = Past(store, lambda: detection.watch)
        self._matches = compile_selectors(plan.match) if plan.match else _any
        self._widths = Widths(plan.level, widths)
        self._said = _Said()
        self._again_ms = FIRST_MS
        self._task: asyncio.Task[None] | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to forecast."""
        self._task = asyncio.create_task(self._run(), name="forecasts")

    async def stop(self) -> None:
        """Ends the round under way, and its process; what it has asked of the store is over then."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._worker.close()

    def health(self) -> dict[str, Any]:
        """`degraded`: what is left out, and why the last round failed; `last`: the round made last."""
        said = self._said
        degraded = [f"the last round failed: {said.failed}"] if said.failed else []
        if said.left_out:
            most = f"forecasts.max_series = {self.plan.max_series}"
            degraded.append(f"{said.left_out} signals are not forecast, for there are more than {most}")
        return {"degraded": degraded, "waitsFor": said.why or None, "last": said.last}

    async def _run(self) -> None:
        due = await self._first()
        while True:
            await self._pause(max(0.0, (due - self._clock()) / 1000))
            due = self._clock() + await self._tried()

    async def _first(self) -> int:
        """When the first round after the start is due: an interval after the newest that is stored."""
        soon = self._clock() + FIRST_MS
        try:
            last = await whole(self._recall)
        except Exception as error:  # noqa: BLE001  boundary: supervision; the first round tells what is wrong
            log.warning("forecasts.unread", error=str(error))
            return soon
        return soon if last is None else max(soon, last + self.plan.interval_ms)

    async def _tried(self) -> int:
        """Makes a round; answers when the next one is due, in ms from now on."""
        began = self._clock()
        try:
            await self.round()
        except NotYet as reason:
            return self._waited(str(reason))
        except Exception as error:  # boundary: supervision; a failed round must not end all later ones
            self.counts.failures += 1
            self._said.failed = str(error) or type(error).__name__
            log.exception("forecasts.failed", error=self._said.failed, exc_info=not isinstance(error, AirisError))
            return min(AGAIN_MS, self.plan.interval_ms)
        self._again_ms = FIRST_MS
        return max(0, began + self.plan.interval_ms - self._clock())

    def _waited(self, why: str) -> int:
        if why != self._said.why:
            log.info("forecasts.waiting", why=why)
        self._said.why = why
        again, self._again_ms = self._again_ms, min(2 * self._again_ms, AGAIN_MS)
        return min(again, self.plan.interval_ms)

    # -- a round ------------------------------------------------------------------------------------------------

    async def round(self) -> Round:
        """Scores earlier rounds, forecasts, stores. Raises NotYet while there is too little to go by."""
        began, now = time.monotonic(), self._clock()
        signals, left_out = await whole(self._chosen)
        self._said.left_out = left_out
        if not signals:
            raise NotYet("no watched signal matches forecasts.match" if self.plan.match else "no signal is watched yet")
        steps = self._steps(now)
        actual = await self._read(signals, steps)
        read_s = time.monotonic() - began
        rows = {(s.fp, s.kind): i for i, s in enumerate(signals)}
        scored = await whole(self._score, actual, rows, steps, now)
        await whole(self._widths.learn, list(rows), covered_share(scored, rows, len(rows)))
        known = np.flatnonzero(np.isfinite(actual).sum(axis=1) >= LEAST)
        panel = _panel(actual[known], steps)
        horizon = min(self.plan.horizon_ms // self.plan.step_ms, panel.length // 2)
        if not len(known) or horizon < 1:
            minutes = LEAST * self.plan.step_ms / 60_000
            step = self.plan.step_ms // 1000
            raise NotYet(f"no signal has {LEAST} points of {step} s yet, which take {minutes:g} minutes")
        asked = time.monotonic()
        plan = self.plan
        found = await self._worker.run(foretell, panel, horizon, plan.level, plan.models, plan.holidays, plan.zone)
        forecast_s = time.monotonic() - asked
        chosen = [signals[i] for i in known.tolist()]
        points = self._points(found, chosen, now, steps.end)
        await whole(self._store.write_forecasts, points, self.plan.interval_ms)
        self._stand(found, chosen, now)
        self._said.accuracy = of_all(await self.outcomes())
        counted = int(scored.points.sum())
        took = time.monotonic() - began
        return self._made(Round(now, len(chosen), len(points.t), counted, read_s, forecast_s, took, found.left_out))

    def _chosen(self) -> tuple[list[Watched], int]:
        of = self._detection
        return watched(of.watch, of.catalogue, self._matches, self.plan.max_series)

    def _steps(self, now: int) -> Steps:
        step = self.plan.step_ms
        count = max(LEAST, self.plan.history_ms // step)
        return Steps(now // step * step - (count - 1) * step, step, count)

    async def _read(self, signals: Sequence[Watched], steps: Steps) -> Values:
        """(signals, steps), a portion at a time with as long a pause after it, so that ingest keeps the store's ear."""
        parts = [np.empty((0, steps.count))]
        for portion in portions(signals):
            began = time.monotonic()
            parts.append(await whole(self._past.read, portion, steps))
            await self._pause(time.monotonic() - began)
        actual = np.concatenate(parts)
        self._past.demand_rolled(actual, steps)
        return actual

    def _score(self, actual: Values, rows: dict[Key, int], steps: Steps, now: int) -> Outcomes:
        """What became of the rounds whose time has come; stored."""
        plan = self.plan
        since = now - plan.reach_ms - 2 * plan.interval_ms
        done, found = self._store.scored(since, now), []
        season = next(iter(usual_seasons(plan.step_ms, steps.count)), 0)
        for made in self._store.forecast_rounds(since, now):
            base = made // plan.step_ms * plan.step_ms  # its first point tells of the step after
            for after, until in leads(plan.horizon_ms, plan.step_ms):
                if base + until <= steps.end and (made, until) not in done:
                    points = self._store.forecast_points(made, made, base + after + 1, base + until)
                    if len(points.t):
                        found.append(outcome(points, actual, rows, steps, season, until))
        scored = joined(found)
        self._store.write_outcomes(scored)
        return scored

    def _points(self, found: Forecast, signals: Sequence[Watched], made: int, end: int) -> Foreseen:
        """The rows of a round; a point whose mean is unknown is none."""
        keys = [(s.fp, s.kind) for s in signals]
        lower, upper = self._widths.widened(keys, found)
        horizon = found.mean.shape[1]
        row, ahead = np.nonzero(np.isfinite(found.mean))
        kinds, models = tuple(sorted({s.kind for s in signals})), tuple(sorted(set(found.model)))
        kind = np.array([kinds.index(s.kind) for s in signals], np.int64)
        model = np.array([models.index(m) for m in found.model], np.int64)
        t = end + self.plan.step_ms * np.arange(1, horizon + 1, dtype=np.int64)
        return Foreseen(
            fp=np.array([s.fp for s in signals], np.uint64)[row],
            kind=kind[row],
            made=np.full(len(row), made, np.int64),
            t=t[ahead],
            mean=found.mean[row, ahead],
            lower=lower[row, ahead],
            upper=upper[row, ahead],
            level=np.full(len(row), found.level),
            model=model[row],
            kinds=kinds,
            models=models,
        )

    def _stand(self, found: Forecast, signals: Sequence[Watched], made: int) -> None:
        told = zip(signals, found.model, found.error.tolist(), found.baseline_error.tolist(), strict=True)
        self._said.standing = {
            (s.fp, s.kind): Standing(s.fp, s.kind, s.labels, model, made, error, baseline)
            for (s, model, error, baseline), mean in zip(told, found.mean, strict=True)
            if np.isfinite(mean).any()
        }

    def _made(self, made: Round) -> Round:
        self._said.last, self._said.why, self._said.failed = made, "", ""
        self.counts.rounds += 1
        self.counts.seconds += made.seconds
        log.info("forecasts.made", signals=made.signals, points=made.points, scored=made.scored, seconds=made.seconds)
        return made

    def _recall(self) -> int | None:
        """The newest stored round, which stands again; None when there is none within its horizon."""
        now = self._clock()
        rounds = self._store.forecast_rounds(now - self.plan.reach_ms, now)
        if not rounds:
            return None
        made, self._said.why = rounds[-1], ""
        points = self._store.forecast_points(made, made, made, made + self.plan.step_ms)
        labels = {row.fp: row.labels for row in self._store.series_by_fp(np.unique(points.fp).tolist())}
        self._said.standing = {
            (int(fp), points.kinds[kind]): Standing(
                int(fp), points.kinds[kind], labels[int(fp)], points.models[model], made
            )
            for fp, kind, model in zip(points.fp, points.kind.tolist(), points.model.tolist(), strict=True)
            if int(fp) in labels
        }
        return made

    # -- what stands --------------------------------------------------------------------------------------------

    @property
    def last(self) -> Round | None:
        """The round made last since the start."""
        return self._said.last

    @property
    def why(self) -> str | None:
        """Why no round was made since the start, or not the last one; None when it was."""
        return f"the last round failed: {self._said.failed}" if self._said.failed else self._said.why or None

    @property
    def left_out(self) -> int:
        """Signals beyond `max_series`."""
        return self._said.left_out

    @property
    def accuracy(self) -> Accuracy | None:
        """How good the forecasts of a week were, as of the last round."""
        return self._said.accuracy

    def standing(self, matchers: Sequence[Matcher] = ()) -> list[Standing]:
        """The signals of the newest round whose series match, by metric and id."""
        matches = compile_matchers(matchers)
        found = [s for s in self._said.standing.values() if matches(s.labels)]
        return sorted(found, key=lambda s: (metric_of(s.labels), hex_id(s.fp), s.kind))

    async def outcomes(self, fps: Sequence[int] | None = None, span_ms: int = ACCURACY_MS) -> Outcomes:
        """What became of the rounds of the last `span_ms`, by signal, model and lead."""
        now = self._clock()
        return await asyncio.to_thread(self._store.outcomes, now - span_ms, now, fps)

    async def points(self, fp: int, start: int, end: int) -> Foreseen:
        """What stood of a series within [start, end] ms, by kind and time; `SeriesStore.forecasts` says which."""
        end = min(end, self._clock() + self.plan.reach_ms)  # no store holds times of any year
        start = min(start, end)
        return await asyncio.to_thread(self._store.forecasts, [fp], start, end, self.plan.reach_ms)


def _panel(actual: Values, steps: Steps) -> Panel:
    """Without the columns before the first value of all."""
    has = np.isfinite(actual).any(axis=0)
    first = int(np.argmax(has)) if has.any() else steps.count
    length = steps.count - first
    seasons = usual_seasons(steps.step, length)
    return Panel(actual[:, first:], seasons, steps.step, steps.start + first * steps.step)


def _any(_: Labels) -> bool:
    return True
