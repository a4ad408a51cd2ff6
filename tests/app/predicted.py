"""What predictions are tested on: a world in memory whose clock is turned by hand, and a store of predictions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from airis_mon.app.limits import Limit
from airis_mon.app.predictions import Predictions
from airis_mon.errors import StoreBusy
from airis_mon.events.prediction import Prediction
from airis_mon.series.labels import METRIC
from airis_mon.series.matchers import Matcher, compile_matchers
from tests.app.memory import T0, Memory, labels_of

STEP_MS = 300_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DISK = Limit("disk", "disk_used_bytes", "disk_size_bytes > 0", "bytes")
CERTIFICATE = Limit("certificate", "cert_not_after", unit="seconds", is_deadline=True)


class Kept:
    """Predictions by id, as a store keeps them."""

    def __init__(self) -> None:
        self.rows: dict[str, Prediction] = {}
        self.writes = 0
        self.is_down = False

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        if self.is_down:
            raise StoreBusy("the store is down")
        self.writes += 1
        self.rows |= {p.id: p for p in predictions}

    def predictions(
        self,
        start: int,
        end: int,
        is_open: bool | None = None,
        limit: int = 1000,
        kinds: Collection[str] = (),
        matchers: Sequence[Matcher] = (),
    ) -> list[Prediction]:
        matches = compile_matchers(matchers)
        stood = [
            p
            for p in self.rows.values()
            if p.started_ms <= end and (p.ended_ms is None or p.ended_ms >= start)
            if is_open is None or is_open == (p.ended_ms is None)
            if (not kinds or p.kind in kinds) and matches(p.labels)
        ]
        return sorted(stood, key=lambda p: -p.started_ms)[:limit]

    def prediction(self, ident: str) -> Prediction | None:
        return self.rows.get(ident)


class Names:
    """The part of a catalogue that predictions read: the metrics of a memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    @property
    def metrics(self) -> list[str]:
        return [dict(labels)[METRIC] for labels in self._memory.rows]


class World:
    """A memory, a clock, a store, and predictions over them; told: the payloads of events."""

    def __init__(self, *limits: Limit, **settings: Any) -> None:
        self.memory, self.kept = Memory(), Kept()
        self.now = T0
        self.told: list[dict[str, Any]] = []
        self.limits, self.settings = limits or (DISK, CERTIFICATE), settings
        self.predictions = self.restarted()

    def restarted(self) -> Predictions:
        """Another process over the same memory and store."""
        self.predictions = Predictions(
            self.memory.engine,
            self.kept,
            Names(self.memory),  # type: ignore[arg-type]
            lambda name, payload: self.told.append({"event": name, **payload}),
            lambda: self.now,
            limits=self.limits,
            **self.settings,
        )
        return self.predictions

    def fill(self, series: str, used: Callable[[float], float | None], hours: float, of: float = 100.0) -> None:
        """A disk from now on: used(hours since then) at every step; labels as in `{host="a"}`."""
        steps = [i * STEP_MS for i in range(int(hours * HOUR_MS / STEP_MS))]
        values = [used(t / HOUR_MS) for t in steps]
        self.memory.put(f"disk_used_bytes{series}", *values, start=self.now, step=STEP_MS)
        self.memory.put(f"disk_size_bytes{series}", *[of for _ in steps], start=self.now, step=STEP_MS)

    def run(self, hours: float, every: float = 1 / 12) -> list[Prediction]:
        """Looks again and again for so many hours; answers what was raised."""
        raised: list[Prediction] = []
        for _ in range(round(hours / every)):
            self.now += round(every * HOUR_MS)
            raised += self.predictions.look()
        return raised

    @property
    def open(self) -> list[Prediction]:
        """As the store has them."""
        return [p for p in self.kept.rows.values() if p.ended_ms is None]

    @property
    def ended(self) -> list[Prediction]:
        return [p for p in self.kept.rows.values() if p.ended_ms is not None]


__all__ = ["CERTIFICATE", "DAY_MS", "DISK", "HOUR_MS", "STEP_MS", "T0", "Kept", "World", "labels_of"]
