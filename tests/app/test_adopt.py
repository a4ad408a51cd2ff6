"""The live detector goes on from what was learned of the past elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from airis_mon.app.detection import Detection
from airis_mon.app.learner import Learner
from airis_mon.detect.unite import Pair
from airis_mon.errors import StoreError
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue

STEP = 15_000
DAY = 5760
LIMIT_S = 300
"""The first to judge may have to compile."""
Run = Callable[[Detection], Detection]


def wave(first: int, n: int) -> list[float]:
    return [10 + float(np.sin(i / 3)) for i in range(first, first + n)]


def settled(detection: Detection) -> None:
    assert detection.settle(LIMIT_S)


def learner(site: Any, detection: Detection, **given: Any) -> Learner:
    def fresh() -> Any:
        other = site.detection()
        return other.catalogue, other.make

    return Learner(
        site.store, fresh, lambda: detection.catalogue.types, site.clock, given.get("is_busy", lambda: False)
    )


def past(site: Any, detection: Detection, metric: str, first: int, values: list[float]) -> None:
    """Stores samples without telling the live detector."""
    feed, detection.feed = detection.feed, lambda _: None  # type: ignore[method-assign]
    now = site.clock.now
    site.commit(detection, metric, first, values)
    site.clock.now = now
    detection.feed = feed  # type: ignore[method-assign]


def spikes(site: Any) -> list[float]:
    return [a.value for a in site.told if a.value > 50]


def test_what_was_learned_of_the_past_judges_from_now_on(site: Any, running: Run) -> None:
    detection = running(site.detection())
    settled(detection)
    now = site.clock.now
    past(site, detection, "load", now - DAY * STEP, wave(0, DAY))
    site.commit(detection, "load", now, [10.0, 100.0])  # too new to be judged
    settled(detection)
    assert spikes(site) == []
    learned = learner(site, detection).learn(now - DAY * STEP, now, is_saving=False)
    detection.adopt(learned.state, learned.until).result(LIMIT_S)
    site.commit(detection, "load", now + 2 * STEP, wave(2, 600))
    site.commit(detection, "load", now + 602 * STEP, [400.0])
    settled(detection)
    assert spikes(site) == [400.0]


def test_what_came_while_it_was_learned_is_judged_then_and_told_once(site: Any, running: Run) -> None:
    detection = running(site.detection())
    settled(detection)
    now = site.clock.now
    past(site, detection, "load", now - DAY * STEP, wave(0, DAY))
    learned = learner(site, detection).learn(now - DAY * STEP, now, is_saving=False)
    site.commit(detection, "load", now, [10.0, 100.0])
    settled(detection)
    assert spikes(site) == []  # in warm-up
    detection.adopt(learned.state, learned.until).result(LIMIT_S)
    assert spikes(site) == [100.0]
    detection.adopt(learned.state, learned.until).result(LIMIT_S)
    assert spikes(site) == [100.0]
    assert [a.value for a in site.store.found.values() if a.value > 50] == [100.0]


def test_what_was_unusual_while_it_was_learned_is_told_though_live_knew_too_little(site: Any, running: Run) -> None:
    detection = running(site.detection())
    settled(detection)
    now = site.clock.now
    past(site, detection, "load", now - DAY * STEP, [*wave(0, DAY - 100), 70.0, *wave(DAY - 99, 99)])
    site.commit(detection, "load", now, [10.0, 100.0])
    settled(detection)
    assert spikes(site) == []
    learned = learner(site, detection).learn(now - DAY * STEP, now, is_saving=False)
    assert learned.anomalies > len(learned.news)
    detection.adopt(learned.state, learned.until, learned.news).result(LIMIT_S)
    detection.adopt(learned.state, learned.until, learned.news).result(LIMIT_S)
    assert spikes(site) == [100.0]


def test_what_only_live_knows_stays_known(site: Any, running: Run) -> None:
    detection = running(site.detection())
    settled(detection)
    now = site.clock.now
    past(site, detection, "load", now - 240 * STEP, wave(0, 240))
    site.commit(detection, "other", now, wave(0, 400))
    settled(detection)
    learned = learner(site, detection).learn(now - 240 * STEP, now, is_saving=False)
    site.store.rows = {key: v for key, v in site.store.rows.items() if key[1] > now + 390 * STEP}  # kept no longer
    again = learner(site, detection).learn(now - 240 * STEP, now, is_saving=False)
    assert again.samples < learned.samples
    detection.adopt(again.state, again.until).result(LIMIT_S)
    site.commit(detection, "other", now + 400 * STEP, [100.0])
    settled(detection)
    assert spikes(site) == [100.0]


def test_what_was_taken_over_outlives_a_crash(site: Any, running: Run) -> None:
    first = running(site.detection())
    settled(first)
    now = site.clock.now
    past(site, first, "load", now - DAY * STEP, wave(0, DAY))
    learned = learner(site, first).learn(now - DAY * STEP, now, is_saving=False)
    first.adopt(learned.state, learned.until).result(LIMIT_S)  # it dies here

    second = running(site.detection())
    site.commit(second, "load", now, [10.0, 100.0])
    settled(second)
    assert spikes(site) == [100.0]


def test_series_that_were_evicted_meanwhile_do_not_come_back(site: Any, running: Run) -> None:
    detection = site.detection()
    now = site.clock.now
    past(site, detection, "gone", now - 240 * STEP, wave(0, 240))
    learned = learner(site, detection).learn(now - 240 * STEP, now, is_saving=False)
    detection.evict(10**15)
    running(detection)
    detection.adopt(learned.state, learned.until).result(LIMIT_S)
    assert detection.watch.in_use == 0


def test_a_state_that_cannot_be_used_is_refused_and_live_goes_on(site: Any, running: Run) -> None:
    detection = running(site.detection())
    settled(detection)
    now = site.clock.now
    site.commit(detection, "load", now, wave(0, 240))
    settled(detection)
    broken: Pair = ({}, {})
    with pytest.raises(StoreError, match="cannot be used"):
        detection.adopt(broken, now).result(LIMIT_S)
    site.commit(detection, "load", now + 240 * STEP, [100.0])
    settled(detection)
    assert (spikes(site), detection.counts.failures) == ([100.0], 0)


def test_the_learned_state_is_that_of_judging_in_order(site: Any) -> None:
    detection = site.detection()
    now = site.clock.now
    for metric in ("load", "requests_total"):
        values = [*wave(0, 1900), 100.0, *wave(1901, 99)]
        values = values if metric == "load" else np.cumsum(values).tolist()
        past(site, detection, metric, now - 2000 * STEP, values)
    scan = site.store.scan

    def in_pieces(start: int, end: int, rows: int = 0) -> Any:
        for low in range(start, end, 500 * STEP):
            yield from scan(low, min(low + 500 * STEP, end))

    site.store.scan = in_pieces
    learned = learner(site, detection).learn(now - 2000 * STEP, now, is_saving=True)
    assert learned.samples >= 4000

    catalogue = Catalogue()
    bank, watch = _detector(site, catalogue)
    rows = sorted(site.store.rows.items(), key=lambda row: row[0][1])
    sid = [catalogue.intern(site.store.known[fp].labels) for (fp, _), _ in rows]
    t, value = [t for (_, t), _ in rows], [v for _, v in rows]
    _judge(catalogue, bank, watch, Batch(np.array(sid, np.int32), np.array(t, np.int64), np.array(value)))
    for name, column in bank.state().items():
        np.testing.assert_array_equal(learned.state[0][name], column)
    for name, column in watch.state().items():
        np.testing.assert_array_equal(learned.state[1][name], column)
    assert learned.anomalies == len(site.store.found) >= 2


def _detector(site: Any, catalogue: Catalogue) -> Any:
    from airis_mon.detect.detectors.record import Record
    from airis_mon.detect.watch import Watch

    bank = Record()
    return bank, Watch(catalogue, bank)


def _judge(catalogue: Catalogue, bank: Any, watch: Any, batch: Batch) -> None:
    from airis_mon.app.judge import judge

    judge(batch, catalogue, bank, watch)


def test_live_samples_that_wait_go_first(site: Any) -> None:
    detection = site.detection()
    past(site, detection, "load", site.clock.now - 240 * STEP, wave(0, 240))
    asked = []

    def is_busy() -> bool:
        asked.append(1)
        return len(asked) < 3

    learner(site, detection, is_busy=is_busy).learn(site.clock.now - 240 * STEP, site.clock.now, is_saving=False)
    assert len(asked) >= 3
