from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from airis_mon.app.detection import Detection
from airis_mon.app.history import History
from airis_mon.errors import NotFound, StoreBusy
from airis_mon.series.batch import Batch

QUIET = [10 + float(np.sin(i / 3)) for i in range(240)]
STEP = 15_000
Run = Callable[[Detection], Detection]


def spikes(site: Any) -> list[float]:
    return [a.value for a in site.told if a.value > 50]


def settled(detection: Detection) -> None:
    assert detection.settle(60)


def test_a_planted_spike_is_raised_once_stored_and_told(site: Any, running: Run) -> None:
    detection = running(site.detection())
    start = site.clock.now
    site.commit(detection, "load", start, [*QUIET, 100.0, *QUIET[:20]])
    settled(detection)
    (anomaly,) = [a for a in site.told if a.value > 50]
    assert (anomaly.value, anomaly.signal, anomaly.t) == (100.0, "value", start + 240 * STEP)
    assert anomaly.lower <= anomaly.expected <= anomaly.upper < 100
    assert anomaly.feature
    assert [a.id for a in site.told] == list(site.store.found)


def test_after_a_crash_nothing_is_raised_twice_and_what_was_not_judged_is(site: Any, running: Run) -> None:
    first = running(site.detection())
    start = site.clock.now
    site.commit(first, "load", start, QUIET)
    settled(first)
    first.snapshot()
    site.commit(first, "load", start + 240 * STEP, [100.0])
    settled(first)  # it dies here: no stop, no second snapshot
    site.store.rows[next(iter(site.store.known)), start + 241 * STEP] = 500.0  # committed, never judged
    site.clock.now = start + 242 * STEP

    second = running(site.detection())
    settled(second)
    assert spikes(site) == [100.0, 500.0]


def test_state_continues_after_a_clean_stop(site: Any, running: Run) -> None:
    first = running(site.detection())
    start = site.clock.now
    site.commit(first, "load", start, QUIET)
    settled(first)
    first.stop()

    second = running(site.detection())
    settled(second)
    site.commit(second, "load", start + 240 * STEP, [100.0])
    settled(second)
    assert spikes(site) == [100.0]


def test_anomalies_wait_while_the_store_is_away(site: Any, running: Run) -> None:
    detection = running(site.detection())
    start = site.clock.now
    site.commit(detection, "load", start, QUIET)
    settled(detection)
    before = detection.counts.snapshots
    site.store.write_anomalies = _down  # committed just before the store went away
    site.commit(detection, "load", start + 240 * STEP, [100.0])
    assert not detection.settle(0.3)
    detection.snapshot()
    assert detection.counts.snapshots == before  # a snapshot would forget what is not stored
    assert spikes(site) == []
    del site.store.write_anomalies
    settled(detection)
    assert spikes(site) == [100.0]


def _down(anomalies: object) -> None:
    raise StoreBusy("the store is down")


def test_what_the_queue_cannot_hold_is_read_back_from_the_store(site: Any, running: Run) -> None:
    detection = site.detection(queue_rows=100)
    start = site.clock.now
    for i in range(0, 240, 60):
        site.commit(detection, "load", start + i * STEP, QUIET[i : i + 60])
    site.commit(detection, "load", start + 240 * STEP, [100.0])
    assert detection.counts.overflows
    running(detection)
    settled(detection)
    assert spikes(site) == [100.0]


@pytest.mark.parametrize("metric", ["load", "requests_total"])
def test_redrawn_history_equals_what_was_live(site: Any, running: Run, metric: str) -> None:
    detection = running(site.detection())
    start = site.clock.now
    values = np.cumsum([*QUIET, *QUIET]).tolist() if metric == "requests_total" else [*QUIET, *QUIET]
    site.commit(detection, metric, start, values[:240])
    settled(detection)
    detection.snapshot()
    with detection.lock:
        bank, watch = detection.make(detection.bank.state(), detection.watch.state())
    site.commit(detection, metric, start + 240 * STEP, values[240:])
    settled(detection)
    end = start + 480 * STEP

    fp = next(iter(site.store.known))
    curve = History(detection, site.store, site.snapshots).curve(fp, None, start + 240 * STEP, end)
    sid = detection.catalogue.find(fp)
    n = 240
    t = start + np.arange(240, 480, dtype=np.int64) * STEP
    signals = watch.route(Batch(np.full(n, sid, np.int32), t, np.array(values[240:])))
    scores, bands = bank.update_with_bands(signals.slot, signals.t, signals.value)
    np.testing.assert_array_equal(curve.t, signals.t)
    np.testing.assert_array_equal(curve.value, signals.value)
    np.testing.assert_array_equal(curve.score, scores.score)
    np.testing.assert_array_equal(curve.lower, bands.lower)
    np.testing.assert_array_equal(curve.upper, bands.upper)


def test_history_of_an_unwatched_series_is_refused_in_words(site: Any, running: Run) -> None:
    detection = running(site.detection())
    site.commit(detection, "build_info", site.clock.now, [1.0, 1.0])
    settled(detection)
    with pytest.raises(NotFound, match="coverage"):
        History(detection, site.store, site.snapshots).curve(next(iter(site.store.known)), None, 0, 10**13)
