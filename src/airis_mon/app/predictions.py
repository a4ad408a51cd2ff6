"""What will run out: limits watched on a schedule, warnings raised once, kept while they stand, ended with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from airis_mon.app.deadlinewatch import DeadlineWatch
from airis_mon.app.limitask import STEP_MS, Asker
from airis_mon.app.limits import KNOWN, Limit
from airis_mon.app.limitwatch import LimitWatch
from airis_mon.app.predictionbook import Book
from airis_mon.app.threads import whole
from airis_mon.errors import AirisError, NotFound, QueryCancelled
from airis_mon.events.prediction import Prediction
from airis_mon.explain.prediction import sentence
from airis_mon.forecast.exhaustion import Exhaustion
from airis_mon.query.engine import QueryEngine
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.matchers import Matcher, compile_matchers

log = structlog.get_logger()

EVENT = "failure_predicted"
FIRST_S = 10.0
"""After so long the first look is taken: the start itself comes before."""
MOST = 10_000
"""So many predictions are read from the store at once."""
DAY_MS = 86_400_000
Watch = LimitWatch | DeadlineWatch


class Store(Protocol):
    """What predictions need of a `SeriesStore`."""

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        """As `SeriesStore.write_predictions`."""

    def predictions(
        self,
        start: int,
        end: int,
        is_open: bool | None = None,
        limit: int = 1000,
        kinds: Collection[str] = (),
        matchers: Sequence[Matcher] = (),
    ) -> list[Prediction]:
        """As `SeriesStore.predictions`."""

    def prediction(self, ident: str) -> Prediction | None:
        """As `SeriesStore.prediction`."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One limit and what is watched of it.

    series: with a share of the limit at the latest step. left_out: beyond `predict.max_series`; unlimited: used without
    a limit. why: why nothing is watched, empty when something is.
    """

    limit: Limit
    series: int
    left_out: int
    unlimited: int
    why: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which predictions are wanted; start, end: ms, those that stood within; kinds: empty = all."""

    is_open: bool | None = True
    kinds: Collection[str] = frozenset()
    matchers: Sequence[Matcher] = ()
    start: int | None = None
    end: int | None = None
    limit: int = 100


class Predictions:
    """Watches limits, a `Part` of the engine.

    Every interval_s, s, each limit is asked for what came since the last look, at first for history_s of the past; a
    bank each turns the shares into warnings. tell(name, payload) hears of each warning once, after it was stored.
    horizon_s: how far ahead a limit is warned of, certificate_days: a deadline. max_series: of each limit. A limit is
    asked for once the catalogue or `computed` has metrics of it. is_past_whole: whether all of the past that is fetched
    from elsewhere has come; when it has, the banks learn anew. clock: now in ms; sleep waits so many seconds of it.
    """

    name = "predictions"

    def __init__(
        self,
        engine: QueryEngine,
        store: Store,
        catalogue: Catalogue,
        tell: Callable[[str, dict[str, Any]], object],
        clock: Callable[[], int],
        *,
        limits: Sequence[Limit] = KNOWN,
        interval_s: float = 300.0,
        horizon_s: float = 86_400.0,
        history_s: float = 7 * 86_400.0,
        certificate_days: float = 14.0,
        max_series: int = 10_000,
        timeout_s: float = 120.0,
        computed: Collection[str] = (),
        is_past_whole: Callable[[], bool] = lambda: True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store, self._catalogue, self._tell, self._clock = store, catalogue, tell, clock
        self._interval_s, self._sleep, self._limits = interval_s, sleep, tuple(limits)
        self._horizon_ms, self._max_series = round(horizon_s * 1000), max_series
        self._asker = Asker(engine, round(history_s * 1000), timeout_s)
        self._book = Book(round(certificate_days * DAY_MS), self._asker.past)
        self._watches: dict[Limit, Watch] = {}
        self._absent: dict[Limit, str] = {}  # the metrics that are missing
        self._failures: dict[Limit | None, str] = {}  # None: of the look as a whole
        self._known = set(computed)
        self._is_restored = False
        self._is_past_whole, self._was_whole = is_past_whole, True
        self._task: asyncio.Task[None] | None = None
        self.looked_ms: int | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to look."""
        self._asker.stopping.clear()
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Ends a look that is under way; warnings stay in the store for the next start."""
        self._asker.stopping.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def health(self) -> dict[str, Any]:
        """How many series are watched and how many warnings stand; `degraded` names what fails and what is left out."""
        watched = self.watched()
        out = [
            f"{w.left_out} of {w.limit.kind} are left out: predict.max_series = {self._max_series}"
            for w in watched
            if w.left_out
        ]
        return {
            "watched": sum(w.series for w in watched),
            "open": len(self._book.open),
            "looked_at": self.looked_ms,
            "degraded": [*self._failures.values(), *out],
        }

    # -- out ----------------------------------------------------------------------------------------------------

    def watched(self) -> list[Watched]:
        """Every limit of the settings and of the well-known exporters, watched or not."""
        return [self._watched(limit) for limit in self._limits]

    async def found(self, asked: Asked) -> tuple[list[Prediction], bool]:
        """(those that are wanted, the soonest first, whether there are more). Raises StoreBusy."""
        start, end = asked.start or 0, self._clock() if asked.end is None else asked.end
        if asked.is_open and self._is_restored:
            matches = compile_matchers(asked.matchers)
            of = [p for p in self._book.open.values() if p.started_ms <= end]
            found = [p for p in of if (not asked.kinds or p.kind in asked.kinds) and matches(p.labels)]
            is_cut = False
        else:
            which = asked.is_open, MOST + 1, asked.kinds, asked.matchers
            found = await asyncio.to_thread(self._store.predictions, start, end, *which)
            is_cut = len(found) > MOST
        found.sort(key=lambda p: (p.ended_ms is not None, p.eta_ms, p.id))
        return found[: asked.limit], is_cut or len(found) > asked.limit

    async def one(self, prediction_id: str) -> Prediction:
        """One that stands or stood. Raises NotFound, StoreBusy."""
        found = next((p for p in self._book.open.values() if p.id == prediction_id), None)
        if found is None:
            found = await asyncio.to_thread(self._store.prediction, prediction_id)
        if found is None:
            raise NotFound(
                f"there is no prediction {prediction_id}; GET /predictions?state=all lists those that are kept"
            )
        return found

    def _watched(self, limit: Limit) -> Watched:
        watch = self._watches.get(limit)
        why = f"no metric {missing}" if (missing := self._absent.get(limit)) else ""
        why = self._failures.get(limit, why) or ("not looked at yet" if watch is None else "")
        if watch is None or limit in self._absent:
            return Watched(limit, 0, 0, 0, why)
        return Watched(
            limit, watch.seen, watch.left_out, watch.unlimited, why or ("" if watch.seen else "no values now")
        )

    # -- looks --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._sleep(FIRST_S)
        while True:
            began = self._clock()
            await whole(self._supervised)
            await self._sleep(max(1.0, self._interval_s - (self._clock() - began) / 1000))

    def _supervised(self) -> None:
        try:
            self.look()
            self._failures.pop(None, None)
        except QueryCancelled:
            return
        except AirisError as error:
            self._failures[None] = f"the latest look failed: {error}"
            log.warning("predictions.delayed", error=str(error))
        except Exception as error:  # boundary: supervision; the next look tries again
            self._failures[None] = f"the latest look failed: {type(error).__name__}"
            log.exception("predictions.failed")

    def look(self) -> list[Prediction]:
        """One look, now; answers what it raised. Blocks. Raises StoreError when nothing can be stored.

        Limits that cannot be asked for are told by `health` and keep their warnings.
        """
        now, was_whole, self._was_whole = self._clock(), self._was_whole, self._is_past_whole()
        if self._was_whole and not was_whole:
            self._watches = {}
        if not self._is_restored:
            self._restore(now)
        self._known.update(self._catalogue.metrics)
        fed = [watch for limit in self._limits if (watch := self._fed(limit, now)) is not None]
        review = self._book.review(fed, now)
        if changed := self._book.changed(review):
            self._store.write_predictions(changed)
        self._book.accept(review)
        self.looked_ms = now
        for p in review.raised:
            self._tell(EVENT, payload_of(p))
            log.info("failure.predicted", prediction_id=p.id, kind=p.kind, name=p.name, eta_ms=p.eta_ms)
        return review.raised

    def _restore(self, now: int) -> None:
        stored = self._store.predictions(0, now, True, MOST)
        lately = self._store.predictions(now - DAY_MS, now, False, MOST)
        ended = self._book.restore([*stored, *lately], self._limits, now)
        if ended:
            self._store.write_predictions(ended)
        self._is_restored = True

    def _fed(self, limit: Limit, now: int) -> Watch | None:
        """The watch of a limit, brought up to now; None when it could not be."""
        if missing := limit.missing(self._known):
            self._absent[limit] = missing
            return self._watches.get(limit)
        self._absent.pop(limit, None)
        watch = self._watches.get(limit) or self._watches.setdefault(limit, self._new(limit))
        try:
            self._asker.feed(watch, now)
        except QueryCancelled:
            raise
        except AirisError as error:
            self._failures[limit] = f"{limit.kind} ({limit.used}): {error}"
            log.warning("predictions.limit.failed", kind=limit.kind, used=limit.used, error=str(error))
            return None
        self._failures.pop(limit, None)
        return watch

    def _new(self, limit: Limit) -> Watch:
        if limit.is_deadline:
            return DeadlineWatch(limit, self._max_series)
        bank = Exhaustion(step_ms=STEP_MS, horizon_ms=self._horizon_ms)
        return LimitWatch(limit, bank, self._max_series)


def payload_of(p: Prediction) -> dict[str, Any]:
    """A prediction as its event carries it: as GET /predictions shows it, with the sentence in both languages."""
    return {**p.payload, "sentence": sentence(p), "sentences": {"en": sentence(p, "en"), "ko": sentence(p, "ko")}}
