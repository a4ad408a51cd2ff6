"""The past of signals on a grid: rollups for the old, samples for the new; and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from airis_mon.app.fleetgrid import AT_ONCE, NotYet, Past, Watched, portions, watched
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.watch import Watch
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import compile_selectors
from airis_mon.series.steps import Steps
from airis_mon.store.base import Grid, Rolled

MINUTE, STEP = 60_000, 900_000
T = 1_800_000_000_000 // STEP * STEP


@dataclass
class Store:
    """Samples (fp, t, value): what is rolled up ends `lag` ms before the last of them."""

    rows: list[tuple[int, int, float]]
    lag: int = 0
    asked: list[str] = field(default_factory=list)

    def rolled(self, fps: Sequence[int], steps: Steps) -> Rolled:
        self.asked.append(f"rolled {steps.count}")
        built = max(t for _, t, _ in self.rows) - self.lag
        at = [(fp, (t - steps.start) // steps.step + 1, t, v) for fp, t, v in self.rows if t < built]
        return Rolled(*self._on(fps, steps, at))

    def grid(self, fps: Sequence[int], function: str, steps: Steps, window: int) -> Grid:
        self.asked.append(f"{function} {steps.count}")
        assert window == steps.step
        fp, mean, last = self._on(fps, steps, [(f, -((steps.start - t) // steps.step), t, v) for f, t, v in self.rows])
        value = mean if function == "avg_over_time" else last
        return Grid(fp, value, np.isfinite(value))

    def _on(self, fps: Sequence[int], steps: Steps, at: list[tuple[int, int, int, float]]) -> Any:
        fp = np.array(sorted({f for f, column, _, _ in at if f in set(fps) and 0 <= column < steps.count}), np.uint64)
        mean, last = np.full((2, len(fp), steps.count), np.nan)
        for i, one in enumerate(fp.tolist()):
            for column in range(steps.count):
                here = [(t, v) for f, c, t, v in at if (f, c) == (one, column)]
                if here:
                    mean[i, column], last[i, column] = np.mean([v for _, v in here]), max(here)[1]
        return fp, mean, last


@pytest.fixture
def seen() -> tuple[Catalogue, Watch]:
    """A gauge and a counter under watch, and a series that is constant."""
    catalogue = Catalogue()
    watch = Watch(catalogue, Record())
    for name in ("load", "requests_total"):
        catalogue.intern(canonical([("__name__", name), ("host", "a")]))
    rng = np.random.default_rng(1)
    for i in range(8):
        value = np.array([rng.normal(), 100.0 * i])
        watch.route(Batch(np.array([0, 1], np.int32), np.full(2, T - 8 * MINUTE + i * MINUTE), value))
    return catalogue, watch


def signals(seen: tuple[Catalogue, Watch]) -> list[Watched]:
    catalogue, watch = seen
    return sorted(watched(watch, catalogue, lambda _: True, 10)[0], key=lambda s: s.kind, reverse=True)


def samples(fps: Sequence[int], steps: Steps) -> list[tuple[int, int, float]]:
    """A sample a minute in the steps: the gauge is its step's number, the counter grows by 6 a minute."""
    t = np.arange(steps.start - steps.step + MINUTE // 2, steps.end, MINUTE)
    gauge = [(fps[0], int(x), float((x - steps.start) // steps.step + 1)) for x in t]
    return gauge + [(fps[1], int(x), 6.0 * (x - T) / MINUTE) for x in t]


def test_a_gauge_is_the_mean_of_its_step_and_a_counter_the_rate_of_it(seen: tuple[Catalogue, Watch]) -> None:
    catalogue, watch = seen
    found = signals(seen)
    assert [(s.kind, dict(s.labels)["__name__"]) for s in found] == [("value", "load"), ("rate", "requests_total")]
    steps = Steps(T, STEP, 10)
    store = Store(samples([int(catalogue.fp[0]), int(catalogue.fp[1])], steps))
    value = Past(store, lambda: watch).read(found, steps)  # type: ignore[arg-type]
    np.testing.assert_allclose(value[0], np.arange(10))
    np.testing.assert_allclose(value[1, 1:], 0.1)
    assert np.isnan(value[1, 0])  # a rate begins with the second value
    assert store.asked == ["rolled 8", "avg_over_time 2", "rolled 8", "last_over_time 2"]


def test_a_step_that_rollups_do_not_fit_is_read_from_samples(seen: tuple[Catalogue, Watch]) -> None:
    catalogue, watch = seen
    steps = Steps(T, 4 * MINUTE, 10)
    store = Store(samples([int(catalogue.fp[0]), int(catalogue.fp[1])], steps))
    value = Past(store, lambda: watch).read(signals(seen)[:1], steps)  # type: ignore[arg-type]
    np.testing.assert_allclose(value[0], np.arange(10))
    assert store.asked == ["avg_over_time 10"]


def test_rollups_that_lag_behind_are_waited_for_but_a_past_that_has_just_begun_is_not(
    seen: tuple[Catalogue, Watch],
) -> None:
    catalogue, watch = seen
    steps = Steps(T, STEP, 10)
    rows = samples([int(catalogue.fp[0]), int(catalogue.fp[1])], steps)
    for store, lags in ((Store(rows), False), (Store(rows, lag=5 * STEP), True), (Store(rows[-20:]), False)):
        past = Past(store, lambda: watch)  # type: ignore[arg-type]
        value = past.read(signals(seen), steps)
        if not lags:
            past.demand_rolled(value, steps)
            continue
        with pytest.raises(NotYet, match="still being rolled up"):
            past.demand_rolled(value, steps)


def test_no_more_signals_than_allowed_are_taken_and_the_rest_is_counted(seen: tuple[Catalogue, Watch]) -> None:
    catalogue, watch = seen
    found, left_out = watched(watch, catalogue, lambda _: True, 1)
    assert (len(found), left_out) == (1, 1)
    found, left_out = watched(watch, catalogue, compile_selectors(['{__name__=~"requests.*"}']), 1)
    assert ([s.kind for s in found], left_out) == (["rate"], 0)


def test_portions_hold_all_signals_once_and_few_series_each() -> None:
    many = [Watched(i, "value", (), i, tuple(range(i % 40 + 1))) for i in range(200)]
    cut = list(portions(many))
    assert [s for part in cut for s in part] == many
    assert all(sum(len(s.inputs) for s in part) <= AT_ONCE for part in cut)
    wide = Watched(1, "p99", (), 1, tuple(range(AT_ONCE + 1)))
    assert [len(part) for part in portions([many[0], wide, many[1]])] == [1, 1, 1]
    assert list(portions([])) == []
