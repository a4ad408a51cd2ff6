from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from airis_mon.app.exposition import score_labels
from airis_mon.app.reporter import SCORE, Reporter
from airis_mon.series.batch import Ids, Times, Values

Rows = list[tuple[str, int, float]]


class Writer:
    """Notes what it is offered."""

    def __init__(self) -> None:
        self.rows: Rows = []

    def offer(self, metric: str, sid: Ids, t: Times, value: Values, signal: str = "") -> None:
        assert metric == SCORE
        assert len(t) == len(sid)
        self.rows += [(signal, s, v) for s, v in zip(sid.tolist(), np.round(value, 3).tolist(), strict=True)]

    def taken(self) -> Rows:
        rows, self.rows = self.rows, []
        return rows


@pytest.fixture
def watched(site: Any) -> Any:
    """A detection of two series, each with one signal."""
    detection = site.detection()
    for metric in ("load", "heat"):
        site.commit(detection, metric, site.clock.now, [1.0, 2.0] * 20)
        detection.watch.route(detection._queue[-1])
    return detection


def score(detection: Any, slot: int, value: float, now: int) -> None:
    detection.peaks.forget(np.array([slot], np.int32))
    detection.peaks.add(np.array([slot], np.int32), np.array([now]), np.array([value], np.float32), now)


def reporter(detection: Any, now: Callable[[], int]) -> tuple[Reporter, Writer]:
    writer = Writer()
    return Reporter(detection, writer, now), writer  # type: ignore[arg-type]


def test_a_signal_that_fell_below_the_line_is_told_once_more_with_its_real_score(site: Any, watched: Any) -> None:
    reports, writer = reporter(watched, site.clock)
    score(watched, 0, 0.9, site.clock.now)
    reports.report()
    assert writer.taken() == [("value", 0, 0.9)]
    score(watched, 0, 0.3, site.clock.now)
    reports.report()
    assert writer.taken() == [("value", 0, 0.3)]
    assert reports.report() == 0
    assert writer.taken() == []


def test_quiet_signals_are_not_written(site: Any, watched: Any) -> None:
    reports, writer = reporter(watched, site.clock)
    score(watched, 1, 0.49, site.clock.now)
    assert reports.report() == 0
    assert writer.taken() == []


def test_a_series_that_was_evicted_is_told_no_more(site: Any, watched: Any) -> None:
    reports, writer = reporter(watched, site.clock)
    score(watched, 0, 0.9, site.clock.now)
    reports.report()
    writer.taken()
    watched.evict(10**15)
    assert reports.report() == 0


def test_a_score_says_of_which_signal_it_is_as_the_own_page_does(site: Any, watched: Any) -> None:
    reports, writer = reporter(watched, site.clock)
    score(watched, 1, 0.7, site.clock.now)
    reports.report()
    ((signal, sid, _),) = writer.taken()
    assert ("signal", signal) in score_labels(watched.catalogue.labels(sid), signal)
