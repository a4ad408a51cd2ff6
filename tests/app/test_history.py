"""Many signals drawn at once, over a store in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from airis_mon.app import history as history_module
from airis_mon.app.detection import Detection
from airis_mon.app.history import Curve, SignalHistory
from airis_mon.errors import StoreError, TooLarge
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.labels import canonical
from airis_mon.store.base import SeriesRow

STEP = 15_000
Run = Callable[[Detection], Detection]
BUCKETS = ("0.1", "0.5", "1", "+Inf")


def series() -> list[dict[str, str]]:
    gauges = [{"__name__": "load", "instance": f"h{i}"} for i in range(5)]
    counters = [{"__name__": "hits_total", "instance": f"h{i}"} for i in range(3)]
    family = [{"__name__": "took_seconds_bucket", "le": le} for le in BUCKETS]
    return [*gauges, *counters, *family, {"__name__": "took_seconds_sum"}, {"__name__": "took_seconds_count"}]


def feed(site: Any, detection: Detection, first: int, count: int) -> None:
    """The steps from `first` on of every series, scrape by scrape."""
    catalogue, rng = detection.catalogue, np.random.default_rng(first)
    sids = [catalogue.intern(canonical(labels.items())) for labels in series()]
    index = first + np.arange(count)
    gauges = 10 + np.sin(index / 3)[:, None] + rng.normal(0, 0.1, (count, 5))
    counters = 5.0 * index[:, None] + np.arange(3)
    events = np.column_stack([3.0 * index, 5.0 * index, 6.0 * index, 7.0 * index, 2.5 * index, 7.0 * index])
    value = np.concatenate([gauges, counters, events + rng.integers(0, 2, (count, 1))], axis=1)
    t = np.repeat(site.clock.now + np.arange(1, count + 1) * STEP, len(sids))
    batch = Batch(np.tile(np.array(sids, np.int32), count), t, value.ravel())
    site.clock.now = int(t[-1])
    for sid in sids:
        fp = int(catalogue.fp[sid])
        site.store.known[fp] = SeriesRow(fp, catalogue.labels(sid), site.clock.now)
    site.store.write(catalogue, batch, "")
    catalogue.observe(batch)
    detection.feed(batch)
    assert detection.settle(180)  # a first run compiles kernels


@pytest.fixture
def lived(site: Any, running: Run) -> tuple[Detection, SignalHistory]:
    detection = running(site.detection())
    for i in range(3):
        feed(site, detection, 200 * i, 200)
        detection.snapshot()
    return detection, SignalHistory(detection, site.store, site.snapshots)


def signals(detection: Detection) -> list[tuple[int, str]]:
    watch = detection.watch
    return [(watch.signal(slot).fp, watch.signal(slot).kind) for slot in watch.slots.held().tolist()]


def same(a: Curve, b: Curve, *columns: str) -> None:
    for name in columns:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


ALL = ("t", "value", "expected", "lower", "upper", "score", "ended")


@pytest.mark.parametrize("start", [100, 450])
def test_many_curves_are_those_of_each_alone(site: Any, lived: tuple[Detection, SignalHistory], start: int) -> None:
    detection, history = lived
    asked = signals(detection)
    assert {kind for _, kind in asked} == {"value", "rate", "mean", "p99"}
    begin = site.clock.now - (600 - start) * STEP
    together = history.curves(asked, begin, site.clock.now)
    scores = history.curves(asked, begin, site.clock.now, has_bands=False)
    for (fp, kind), curve, score in zip(asked, together, scores, strict=True):
        alone = history.curve(fp, kind, begin, site.clock.now)
        same(curve, alone, *ALL)
        same(score, alone, "t", "value", "score")
        assert len(curve.t) >= 600 - start
        assert np.isnan(score.expected).all()


def test_a_signal_that_is_watched_no_longer_is_empty(site: Any, lived: tuple[Detection, SignalHistory]) -> None:
    detection, history = lived
    known = signals(detection)[0]
    curves = history.curves([(1, "value"), known, (known[0], "p99")], 0, site.clock.now)
    assert [len(c.t) > 0 for c in curves] == [False, True, False]
    assert history.curves([], 0, 1) == []


def test_portions_cover_all_and_hold_what_fits(
    site: Any, lived: tuple[Detection, SignalHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    detection, history = lived
    asked, now = signals(detection), site.clock.now
    assert list(history.portions(asked, now - 1000, now)) == [asked]
    monkeypatch.setattr(history_module, "ROWS_AT_ONCE", 300)
    portions = list(history.portions(asked, now - 1000, now))
    assert [s for portion in portions for s in portion] == asked
    assert len(portions) > 3
    assert list(history.portions([], 0, now)) == []


def test_a_broken_snapshot_is_passed_over_and_looked_at_once(site: Any, lived: tuple[Detection, SignalHistory]) -> None:
    detection, _ = lived
    *_, last = site.snapshots.times()
    loads: list[int] = []
    load = site.snapshots.load

    def broken(t: int) -> Any:
        loads.append(t)
        if t == last:
            raise StoreError("a file is missing")
        return load(t)

    site.snapshots.load = broken
    history = SignalHistory(detection, site.store, site.snapshots)
    curves = history.curves(signals(detection), last, site.clock.now)
    assert all(len(c.t) for c in curves)
    assert loads == [last, site.snapshots.times()[-2]]


def test_signals_that_need_too_much_together_are_drawn_apart(site: Any, lived: tuple[Detection, SignalHistory]) -> None:
    detection, history = lived
    asked, now = signals(detection), site.clock.now
    whole = history.curves(asked, now - 50 * STEP, now)
    read = site.store.samples

    def little(fps: Any, *rest: Any) -> Any:
        if len(fps) > 6:
            raise TooLarge("more than 10 samples are asked for")
        return read(fps, *rest)

    site.store.samples = little
    for a, b in zip(whole, history.curves(asked, now - 50 * STEP, now), strict=True):
        same(a, b, *ALL)
    site.store.samples = lambda *_: little([0] * 7)
    with pytest.raises(TooLarge):
        history.curves(asked, now - 50 * STEP, now)


def bear(site: Any, detection: Detection) -> int:
    """Lets a series appear; its fingerprint."""
    labels = canonical([("__name__", "late"), ("instance", "h0")])
    sid = detection.catalogue.intern(labels)
    t = site.clock.now + np.arange(1, 61) * STEP
    batch = Batch(np.full(60, sid, np.int32), t, np.sin(np.arange(60.0)))
    fp = int(detection.catalogue.fp[sid])
    site.clock.now = int(t[-1])
    site.store.known[fp] = SeriesRow(fp, labels, site.clock.now)
    site.store.write(detection.catalogue, batch, "")
    detection.feed(batch)
    assert detection.settle(180)
    return fp


def test_where_a_signal_was_born_is_found_in_few_looks(site: Any, lived: tuple[Detection, SignalHistory]) -> None:
    detection, _ = lived
    begun, fp = site.clock.now, 0
    for i in range(40):
        fp = bear(site, detection) if i == 23 else fp
        site.clock.now += 1000
        detection.snapshot()
    looked: list[int] = []
    load = site.snapshots.load
    site.snapshots.load = lambda t: (looked.append(t), load(t))[1]
    curve = SignalHistory(detection, site.store, site.snapshots).curve(fp, None, begun, site.clock.now)
    assert len(looked) <= 8
    assert len(curve.t) == 60


def test_a_curve_says_when_its_series_ended(site: Any, lived: tuple[Detection, SignalHistory]) -> None:
    detection, history = lived
    (fp, kind), *_ = signals(detection)
    now = site.clock.now
    site.store.rows[fp, now + STEP] = float(STALE)
    curve = history.curve(fp, kind, now - 10 * STEP, now + 2 * STEP)
    assert (curve.t[-1], curve.ended.tolist()) == (now, [now + STEP])
    assert history.curve(fp, kind, now - 10 * STEP, now).ended.tolist() == []
