from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from airis_mon.app import detection as detection_module
from airis_mon.app.detection import Detection
from airis_mon.app.history import SignalHistory
from airis_mon.errors import NotFound, StoreBusy
from airis_mon.series.batch import Batch, join

QUIET = [10 + float(np.sin(i / 3)) for i in range(240)]
STEP = 15_000
Run = Callable[[Detection], Detection]


def spikes(site: Any) -> list[float]:
    return [a.value for a in site.told if a.value > 50]


def settled(detection: Detection) -> None:
    assert detection.settle(300)  # the first one may compile


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


def _down(*_: object, **__: object) -> None:
    raise StoreBusy("the store is down")


def _broken(*_: object, **__: object) -> None:
    raise ValueError("nobody thought of this")


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def quick() -> Iterator[None]:
    before, detection_module.RESTART_S = detection_module.RESTART_S, 0.01
    yield
    detection_module.RESTART_S = before


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


def test_a_store_that_is_away_while_catching_up_is_waited_for(site: Any, running: Run, quick: None) -> None:
    first = running(site.detection())
    start = site.clock.now
    site.commit(first, "load", start, [*QUIET, 100.0])
    first.stop()
    scan, site.store.scan = site.store.scan, _down
    second = running(site.detection())
    site.commit(second, "load", start + 241 * STEP, QUIET[1:3])
    while not second.counts.failures:
        assert not second.settle(0.05)
    site.store.scan = scan
    settled(second)
    assert second.counts.failures >= 1
    assert second.is_alive
    assert spikes(site) == [100.0]


def test_what_cannot_be_judged_is_given_up_after_some_tries(site: Any, running: Run, quick: None) -> None:
    start = site.clock.now
    site.store.scan = _broken
    detection = running(site.detection())
    site.commit(detection, "load", start, [*QUIET, 100.0])
    settled(detection)
    assert detection.counts.failures == detection_module.GIVE_UP
    assert spikes(site) == [100.0]


def test_a_full_disk_stops_no_judging(site: Any, running: Run) -> None:
    site.snapshots.save = _full
    detection = running(site.detection())
    start = site.clock.now
    site.commit(detection, "load", start, QUIET)
    settled(detection)
    detection.snapshot()
    site.commit(detection, "load", start + 240 * STEP, [100.0])
    settled(detection)
    assert (spikes(site), detection.counts.snapshots) == ([100.0], 0)


@pytest.mark.parametrize("harm", ["manifest", "array", "layout", "shape"])
def test_a_snapshot_that_cannot_be_used_is_passed_over(site: Any, running: Run, harm: str) -> None:
    first = running(site.detection())
    start = site.clock.now
    site.commit(first, "load", start, QUIET)
    settled(first)
    first.stop()
    folder = site.folder / "snapshots"
    (manifest,) = folder.glob("*.json")
    if harm == "manifest":
        manifest.write_text("{broken")
    elif harm == "layout":
        manifest.write_text(manifest.read_text().replace('"layout": ""', '"layout": "older"'))
    elif harm == "array":
        next(folder.glob("bank.core.*.npy")).write_bytes(b"")
    else:
        np.save(next(folder.glob("bank.core.*.npy")), np.zeros((2, 1), np.float32))
    second = running(site.detection())
    site.commit(second, "load", start + 240 * STEP, [100.0])
    settled(second)
    second.snapshot()
    assert (spikes(site), second.counts.failures) == ([100.0], 0)  # learned anew from the store
    assert second.counts.snapshots >= 1


def test_a_late_backlog_that_found_no_room_is_judged_too(site: Any, running: Run) -> None:
    detection = running(site.detection(queue_rows=50))
    start = site.clock.now
    site.clock.now = start + 4 * 3_600_000  # four hours later: a sender repeats what it could not send
    settled(detection)
    site.commit(detection, "load", start, [*QUIET, 100.0])
    settled(detection)
    assert detection.counts.overflows
    assert spikes(site) == [100.0]


def test_an_untyped_series_may_rise_and_fall_within_one_batch(site: Any, running: Run) -> None:
    detection = running(site.detection())
    site.commit(detection, "guess", site.clock.now, [*map(float, range(100, 140)), 138.0, 137.0, 136.0])
    settled(detection)
    assert detection.counts.failures == 0
    assert detection.counts.samples >= 43


def test_samples_of_a_series_evicted_under_way_are_passed_over(site: Any, running: Run) -> None:
    detection = site.detection()
    site.commit(detection, "load", site.clock.now, QUIET)
    detection.evict(10**15)
    running(detection)
    settled(detection)
    assert detection.counts.failures == 0


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
    curve = SignalHistory(detection, site.store, site.snapshots).curve(fp, None, start + 240 * STEP, end)
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


def test_a_window_from_before_the_first_snapshot_joins_what_was_live_there(site: Any, running: Run) -> None:
    detection = running(site.detection())
    start = site.clock.now
    for i in range(3):
        site.commit(detection, "load", start + i * 240 * STEP, QUIET)
        settled(detection)
        detection.snapshot()
    fp, end = next(iter(site.store.known)), start + 720 * STEP
    history = SignalHistory(detection, site.store, site.snapshots)
    first, *_ = site.snapshots.times()
    whole, known = history.curve(fp, None, start, end), history.curve(fp, None, first + 1, end)
    np.testing.assert_array_equal(whole.t, start + np.arange(720) * STEP)
    joined = whole.t > first
    np.testing.assert_array_equal(whole.t[joined], known.t)
    np.testing.assert_array_equal(whole.score[joined], known.score)
    np.testing.assert_array_equal(whole.upper[joined], known.upper)


def test_history_of_an_unwatched_series_is_refused_in_words(site: Any, running: Run) -> None:
    detection = running(site.detection())
    site.commit(detection, "build_info", site.clock.now, [1.0, 1.0])
    settled(detection)
    with pytest.raises(NotFound, match="coverage"):
        SignalHistory(detection, site.store, site.snapshots).curve(next(iter(site.store.known)), None, 0, 10**13)


def together(site: Any, detection: Detection, t: int, values: list[float]) -> None:
    """Four metrics of one job, alike, in one batch: none of them is judged before the others are there."""
    batches: list[Batch] = []
    feed, detection.feed = detection.feed, batches.append  # type: ignore[method-assign]
    for metric in "abcd":
        site.commit(detection, metric, t, values)
    detection.feed = feed  # type: ignore[method-assign]
    feed(join(batches))


def outage(site: Any, running: Run) -> tuple[Detection, list[Any]]:
    """Four metrics of one job that break out together, and what was told of it a minute later."""
    heard: list[Any] = []
    detection = running(site.detection(entities=("job",), tell=heard.append))
    settled(detection)  # what it catches up on is the past
    together(site, detection, site.clock.now, [*QUIET, *[100.0] * 8])
    settled(detection)
    site.clock.now += 60_000
    site.commit(detection, "calm", site.clock.now, [1.0])  # the detector looks at the clock
    settled(detection)
    return detection, heard


def test_an_entity_out_of_line_is_told_when_its_samples_have_come(site: Any, running: Run) -> None:
    start = site.clock.now
    detection, heard = outage(site, running)
    (finding,) = heard
    assert (finding.entity, finding.start, finding.end) == ("test", start + 240 * STEP, None)
    assert {b.name for b in finding.blamed} == {f'{m}{{job="test"}}' for m in "abcd"}
    assert detection.counts.findings == 1


def calm(site: Any, detection: Detection) -> None:
    """The outage passes; what is over is told when the clock has gone on."""
    together(site, detection, site.clock.now, [10.0] * 400)
    settled(detection)
    for _ in range(2):
        site.clock.now += 60_000
        site.commit(detection, "calm", site.clock.now, [1.0])
        settled(detection)


def test_the_end_of_a_finding_is_told_once(site: Any, running: Run) -> None:
    detection, heard = outage(site, running)
    calm(site, detection)
    assert [f.end is None for f in heard] == [True, False]
    assert heard[1].start == heard[0].start < heard[1].end
    assert detection.counts.findings == 1


def test_findings_of_the_past_are_told_to_nobody(site: Any, running: Run) -> None:
    heard: list[Any] = []
    detection = site.detection(entities=("job",), tell=heard.append)
    detection.quiet_before = site.clock.now + 500 * STEP
    settled(running(detection))
    together(site, detection, site.clock.now, [*QUIET, *[100.0] * 8])
    settled(detection)
    site.clock.now += 60_000
    site.commit(detection, "calm", site.clock.now, [1.0])
    settled(detection)
    assert heard == []


def taken_over(site: Any, detection: Detection) -> None:
    """It goes on from a state that was learned elsewhere."""
    with detection.lock:
        state = detection.bank.state(), detection.watch.state()
    detection.adopt(state, site.clock.now).result(300)


def stumbled(site: Any, detection: Detection) -> None:
    """It begins again from its last snapshot."""
    detection.snapshot()
    before, site.snapshots.save = detection.counts.failures, _broken
    site.clock.now += 600_000
    site.commit(detection, "calm", site.clock.now, [1.0])
    while detection.counts.failures == before:
        assert not detection.settle(0.01)
    del site.snapshots.save
    settled(detection)


@pytest.mark.parametrize("meanwhile", [taken_over, stumbled])
def test_an_open_finding_keeps_its_identity_when_the_detector_goes_on_from_another_state(
    site: Any, running: Run, quick: None, meanwhile: Callable[[Any, Detection], None]
) -> None:
    detection, heard = outage(site, running)
    meanwhile(site, detection)
    site.clock.now += 60_000
    together(site, detection, site.clock.now, [100.0] * 8)
    settled(detection)
    calm(site, detection)
    assert [f.end is None for f in heard] == [True, False]
    assert heard[1].start == heard[0].start < heard[1].end
    assert detection.counts.findings == 1


def test_what_waits_to_be_judged_as_a_whole_is_judged_before_a_take_over(site: Any, running: Run) -> None:
    heard: list[Any] = []
    detection = running(site.detection(entities=("job",), tell=heard.append))
    settled(detection)
    start = site.clock.now
    together(site, detection, start, [*QUIET, *[100.0] * 2])
    settled(detection)
    assert heard == []  # its time has not come
    taken_over(site, detection)
    assert [(f.entity, f.start) for f in heard] == [("test", start + 240 * STEP)]


def test_of_series_known_before_another_source_came_what_happened_meanwhile_is_told(site: Any, running: Run) -> None:
    first = running(site.detection())
    start = site.clock.now
    site.commit(first, "load", start, QUIET)
    settled(first)
    first.stop()
    site.store.rows[next(iter(site.store.known)), start + 241 * STEP] = 500.0  # nothing ran then
    site.clock.now = start + 242 * STEP
    site.commit(first, "past", start, [*QUIET, 700.0])  # of the source that was added, fetched before a crash

    second = site.detection()
    second.quiet_before = site.clock.now
    settled(running(second))
    assert spikes(site) == [500.0]
    assert sorted(a.value for a in site.store.found.values() if a.value > 50) == [500.0, 700.0]


def test_findings_of_entities_known_before_another_source_came_are_told(site: Any, running: Run) -> None:
    first = running(site.detection())
    start = site.clock.now
    together(site, first, start, QUIET)
    settled(first)
    first.stop()
    heard: list[Any] = []
    second = site.detection(entities=("job",), tell=heard.append)
    second.quiet_before = start + 500 * STEP
    settled(running(second))
    together(site, second, start + 240 * STEP, [100.0] * 8)
    settled(second)
    calm(site, second)
    assert [f.end is None for f in heard] == [True, False]
