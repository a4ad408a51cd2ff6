"""The way of rules' results into a store in memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from airis_mon.app.rulerun import Made
from airis_mon.app.rulewriter import RuleWriter
from airis_mon.correlate.rules import Written
from airis_mon.errors import StoreBusy
from airis_mon.series.admit import Limits
from airis_mon.series.batch import STALE
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels
from airis_mon.store.commit import GroupCommit

A, B, C = ((("__name__", name),) for name in "abc")


def made(t: int, **values: float) -> Made:
    """One step: a value for each metric."""
    labels: list[Labels] = [(("__name__", name),) for name in values]
    value = np.array(list(values.values()), float).reshape(-1, 1)
    return Made(np.array([t]), Written(tuple(labels), value, np.ones(value.shape, np.bool_)), np.zeros(1, np.bool_))


class Desk:
    def __init__(self, site: Any, **limits: int) -> None:
        self.store, self.clock = site.store, site.clock
        self.catalogue = Catalogue(**limits)
        ticks = iter(range(10**9))
        self.commit = GroupCommit(
            self.store, self.catalogue, clock=lambda: float(next(ticks)), on_commit=self.catalogue.observe
        )
        self.writer = RuleWriter(self.catalogue, self.commit, Limits(), self.clock)

    @property
    def rows(self) -> dict[str, dict[int, str]]:
        found: dict[str, dict[int, str]] = {}
        for (fp, t), value in sorted(self.store.rows.items()):
            name = dict(self.store.known[fp].labels)["__name__"]
            found.setdefault(name, {})[t - self.clock.now] = f"{value:g}"
        return found


@pytest.fixture
def desk(site: Any) -> Iterator[Desk]:
    desk = Desk(site, max_series=2)
    yield desk
    desk.commit.close()


def test_what_several_rules_gave_is_stored_by_one_commit(desk: Desk) -> None:
    now = desk.clock.now
    block = Made(
        np.array([now - 2, now - 1]),
        Written((A,), np.array([[5.0, 6.0]]), np.array([[True, False]])),
        np.zeros(2, np.bool_),
    )
    taken = desk.writer.write([block, made(now, b=7)])
    assert [batch.refused for batch in taken] == [0, 0]
    assert desk.rows == {"a": {-2: "5"}, "b": {0: "7"}}
    assert desk.commit.commits == 1


def test_series_beyond_a_limit_are_refused_and_the_others_stored(desk: Desk) -> None:
    first, second = desk.writer.write([made(desk.clock.now, a=1, b=2, c=3), made(desk.clock.now, b=2)])
    assert (first.refused, second.refused) == (1, 0)
    assert first.refusals[0].path == "c"
    assert "the limit of 2 series is reached; raise limits.max_series" in first.refusals[0].reason
    assert desk.rows == {"a": {0: "1"}, "b": {0: "2"}}


def test_labels_beyond_a_limit_are_refused(site: Any) -> None:
    desk = Desk(site, max_labels=1)
    series = Written(((*A, ("x", "1")),), np.ones((1, 2)), np.ones((1, 2), np.bool_))
    (taken,) = desk.writer.write([Made(np.array([desk.clock.now - 1, desk.clock.now]), series, np.zeros(2, np.bool_))])
    assert (taken.refused, len(taken)) == (2, 0)
    assert taken.refusals[0].reason == "2 labels are more than limits.max_labels = 1"
    assert desk.commit.commits == 0


def test_a_second_value_of_a_moment_is_refused_but_no_marker_counts_beside_a_value(desk: Desk) -> None:
    now = desk.clock.now
    desk.writer.write([made(now, a=1)])
    desk.commit.close()  # what was committed is known now
    (marker,) = desk.writer.write([made(now, a=STALE)])
    assert (len(marker), marker.refused) == (0, 0)
    with pytest.raises(StoreBusy, match="closing"):
        desk.writer.write([made(now, a=2, b=1)])


def test_a_value_other_than_the_one_that_is_stored_is_refused(desk: Desk) -> None:
    now = desk.clock.now
    desk.catalogue.last_t[desk.catalogue.intern(A)] = now
    (taken,) = desk.writer.write([made(now, a=2)])
    assert taken.refused == 1
    assert "another value" in taken.refusals[0].reason


def test_a_store_that_is_down_takes_nothing(desk: Desk) -> None:
    desk.store.is_down = True
    with pytest.raises(StoreBusy, match="the store is down"):
        desk.writer.write([made(desk.clock.now, a=1)])


def test_nothing_to_store_needs_no_commit(desk: Desk) -> None:
    assert [len(batch) for batch in desk.writer.write([made(desk.clock.now)])] == [0]
    assert desk.commit.commits == 0


def test_a_commit_that_does_not_come_is_given_up(desk: Desk) -> None:
    class Never:
        def add(self, batch: Any) -> Future[None]:
            self.given = Future[None]()
            return self.given

    never = Never()
    writer = RuleWriter(desk.catalogue, never, Limits(), desk.clock, timeout_s=0)  # type: ignore[arg-type]
    with pytest.raises(StoreBusy, match="has not taken the results of rules within 0 s"):
        writer.write([made(desk.clock.now, a=1)])
    assert never.given.cancelled()
