from __future__ import annotations

import numpy as np
import pytest

from airis_mon.app.curves import Curves
from airis_mon.app.history import SignalHistory
from airis_mon.app.signals import StoredSignals
from airis_mon.errors import InputError, NotFound, QueryCancelled
from airis_mon.series.labels import canonical
from tests.app.conftest import T0, Site

STEP = 15_000
END = T0 + 400 * STEP


def nothing() -> None:
    pass


@pytest.fixture
def stored(site: Site, running):
    """A watched gauge, a watched counter and a constant."""
    detection = running(site.detection())
    rng = np.random.default_rng(0)
    site.commit(detection, "cpu_usage", T0, list(rng.normal(50, 5, 300)))
    site.commit(detection, "requests_total", T0, list(np.cumsum(rng.integers(1, 9, 300)).astype(float)))
    site.commit(detection, "build_info", T0, [1.0] * 300)
    assert detection.settle(120)
    history = SignalHistory(detection, site.store, site.snapshots)
    return detection, StoredSignals(site.store, Curves(history, site.clock), lambda: detection.watch)


def fp_of(detection, metric: str) -> int:
    sid = detection.catalogue.intern(canonical([("__name__", metric), ("job", "test")]))
    return int(detection.catalogue.fp[sid])


def test_a_watched_gauge_is_read_as_its_samples(stored, site):
    detection, signals = stored
    name, t, value = signals.load(fp_of(detection, "cpu_usage"), None, T0 + STEP, T0 + 9 * STEP, 100, nothing)
    assert name == 'cpu_usage{job="test"}'
    assert t.tolist() == [T0 + i * STEP for i in range(1, 10)]
    assert (
        value.tolist() == site.store.samples([fp_of(detection, "cpu_usage")], T0 + STEP, T0 + 9 * STEP).value.tolist()
    )


def test_a_counter_is_read_as_its_rate(stored):
    detection, signals = stored
    name, _, value = signals.load(fp_of(detection, "requests_total"), None, T0, END, 1000, nothing)
    assert name == 'rate(requests_total{job="test"})'
    assert value.min() >= 1 / 15
    assert value.max() <= 8 / 15 + 1e-9


def test_the_samples_of_a_counter_are_had_by_asking_for_its_value(stored):
    detection, signals = stored
    name, _, value = signals.load(fp_of(detection, "requests_total"), "value", T0, END, 1000, nothing)
    assert name == 'requests_total{job="test"}'
    assert (np.diff(value) > 0).all()


def test_what_is_not_watched_is_read_as_its_samples(stored):
    detection, signals = stored
    _, t, value = signals.load(fp_of(detection, "build_info"), None, T0, END, 1000, nothing)
    assert (len(t), set(value.tolist())) == (300, {1.0})


def test_gaps_are_left_out(stored, site):
    detection, signals = stored
    fp = fp_of(detection, "build_info")
    site.store.rows[(fp, T0 + STEP)] = float("nan")
    _, t, _ = signals.load(fp, "value", T0, T0 + 2 * STEP, 1000, nothing)
    assert t.tolist() == [T0, T0 + 2 * STEP]


def test_a_window_without_samples_is_empty(stored):
    detection, signals = stored
    _, t, value = signals.load(fp_of(detection, "cpu_usage"), None, 5, 6, 1000, nothing)
    assert (len(t), len(value)) == (0, 0)


@pytest.mark.parametrize("metric", ["cpu_usage", "build_info"])
def test_more_samples_than_may_be_read_are_refused_with_the_limit(stored, metric):
    detection, signals = stored
    with pytest.raises(InputError, match="more than 10 samples in this window; narrow start and end"):
        signals.load(fp_of(detection, metric), None, T0, END, 10, nothing)


def test_a_series_or_signal_that_is_not_there_is_told(stored):
    detection, signals = stored
    with pytest.raises(NotFound, match="no series 000000000000007b"):
        signals.load(123, None, T0, END, 10, nothing)
    with pytest.raises(NotFound, match="has no signal 'p99', but rate, value"):
        signals.load(fp_of(detection, "requests_total"), "p99", T0, END, 10, nothing)


def test_reading_ends_when_nobody_waits(stored):
    detection, signals = stored

    def gone() -> None:
        raise QueryCancelled("gone")

    with pytest.raises(QueryCancelled):
        signals.load(fp_of(detection, "cpu_usage"), None, T0, END, 10, gone)


def test_the_time_of_the_latest_sample_is_known(stored):
    detection, signals = stored
    assert signals.last_t(fp_of(detection, "cpu_usage")) == T0 + 299 * STEP
    assert signals.last_t(123) is None
