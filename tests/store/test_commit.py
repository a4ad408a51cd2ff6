"""Group commit with a store that is held, broken and released by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from airis_mon.errors import StoreBusy, StoreError
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import REST_MS, Catalogue
from airis_mon.series.labels import canonical
from airis_mon.store.base import SeriesRow
from airis_mon.store.commit import GroupCommit

HOUR = 3_600_000
WAIT_S = 10


class FakeStore:
    """Notes every write; `gate` holds them back, `failures` are raised in turn."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.failures: list[Exception] = []
        self.calls: list[tuple[str, int]] = []
        self.tokens: list[str] = []
        self.rows: list[SeriesRow] = []

    def write_series(self, rows: Sequence[SeriesRow]) -> None:
        self.calls.append(("series", len(rows)))
        self._fail()
        self.rows += rows

    def write(self, catalogue: Catalogue, batch: Batch, token: str) -> None:
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        self.calls.append(("samples", len(batch)))
        self.tokens.append(token)
        self._fail()

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


class Setting:
    def __init__(self, series: int = 3) -> None:
        self.store, self.catalogue = FakeStore(), Catalogue()
        for i in range(series):
            self.catalogue.intern(canonical([("__name__", "up"), ("host", f"h{i}")]))
        self.now = 0.0
        self.committed: list[Batch] = []

    def open(self, on_commit: Callable[[Batch], None] | None = None, **settings: float) -> GroupCommit:
        told = self.committed.append if on_commit is None else on_commit
        return GroupCommit(self.store, self.catalogue, clock=lambda: self.now, on_commit=told, **settings)  # type: ignore[arg-type]


def batch(n: int = 1, sid: int = 0, t: int = HOUR) -> Batch:
    return Batch(np.full(n, sid, np.int32), np.arange(t, t + n, dtype=np.int64), np.zeros(n))


def samples(setting: Setting) -> list[int]:
    return [n for kind, n in setting.store.calls if kind == "samples"]


def test_a_batch_is_committed_at_once_when_nothing_was_committed_lately() -> None:
    setting = Setting()
    commit = setting.open(interval_s=1000)
    commit.add(batch(5)).result(WAIT_S)
    commit.close()
    assert samples(setting) == [5]
    assert (commit.commits, commit.committed_rows, commit.failures) == (1, 5, 0)


def test_what_arrives_during_a_commit_and_in_the_interval_becomes_one_commit() -> None:
    setting = Setting()
    commit = setting.open(interval_s=1000)
    setting.store.gate.clear()
    first = commit.add(batch(5))
    assert setting.store.entered.wait(WAIT_S)
    rest = [commit.add(batch(2)) for _ in range(10)]
    setting.store.gate.set()
    first.result(WAIT_S)
    assert not any(f.done() for f in rest)
    commit.close()
    assert [f.result(0) for f in rest] == [None] * 10
    assert samples(setting) == [5, 20]


def test_enough_rows_end_the_gathering_before_its_time() -> None:
    setting = Setting()
    commit = setting.open(interval_s=1000, rows=10)
    commit.add(batch(1)).result(WAIT_S)
    waiting = commit.add(batch(6))
    assert not waiting.done()
    commit.add(batch(4)).result(WAIT_S)
    waiting.result(WAIT_S)
    assert samples(setting) == [1, 10]
    commit.close()


def test_the_listener_hears_each_commit_in_order_with_all_its_rows() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    for i in range(5):
        commit.add(batch(i + 1)).result(WAIT_S)
    commit.close()
    assert [len(b) for b in setting.committed] == [1, 2, 3, 4, 5]


def test_a_listener_that_fails_stops_nothing() -> None:
    setting = Setting()

    def fail(batch: Batch) -> None:
        raise RuntimeError("the detector has a bug")

    commit = setting.open(fail, interval_s=0)
    commit.add(batch()).result(WAIT_S)
    commit.add(batch()).result(WAIT_S)
    assert commit.is_alive
    commit.close()
    assert commit.commits == 2


def test_a_failed_commit_is_retried_once_with_the_same_token() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    commit.add(batch()).result(WAIT_S)
    setting.store.failures = [StoreBusy("down")]
    commit.add(batch()).result(WAIT_S)
    commit.close()
    first, second, third = setting.store.tokens
    assert first != second == third
    assert (commit.retries, commit.failures) == (1, 0)


def test_when_the_retry_fails_too_every_request_fails_and_the_next_one_is_taken() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    commit.add(batch()).result(WAIT_S)
    setting.store.gate.clear()
    setting.store.entered.clear()
    setting.store.failures = [StoreBusy("down"), StoreBusy("still down", 7.0)]
    lost = commit.add(batch())
    assert setting.store.entered.wait(WAIT_S)
    setting.store.gate.set()
    with pytest.raises(StoreBusy) as caught:
        lost.result(WAIT_S)
    assert caught.value.retry_after_s == 7.0
    assert not commit.is_failing
    commit.add(batch()).result(WAIT_S)
    commit.close()
    assert len(setting.committed) == 2
    assert (commit.commits, commit.failures) == (2, 1)


def test_two_failures_in_a_row_are_told_and_a_success_ends_them() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    setting.store.failures = [StoreError("no")] * 4
    for _ in range(2):
        with pytest.raises(StoreError):
            commit.add(batch()).result(WAIT_S)
    assert commit.is_failing
    commit.add(batch()).result(WAIT_S)
    assert not commit.is_failing
    commit.close()


def test_an_unforeseen_error_fails_the_requests_and_not_the_writer() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    setting.store.failures = [ZeroDivisionError()]
    with pytest.raises(StoreError, match="ZeroDivisionError"):
        commit.add(batch()).result(WAIT_S)
    commit.add(batch()).result(WAIT_S)
    commit.close()


@pytest.mark.parametrize("bound", [{"queue_rows": 10}, {"queue_bytes": 200}])
def test_a_full_queue_refuses_until_it_is_committed(bound: dict[str, float]) -> None:
    setting = Setting()
    commit = setting.open(interval_s=0, **bound)
    setting.store.gate.clear()
    commit.add(batch())
    assert setting.store.entered.wait(WAIT_S)
    commit.add(batch(10))
    with pytest.raises(StoreBusy, match="wait for the store") as caught:
        commit.add(batch(1))
    assert caught.value.retry_after_s >= 1
    setting.store.gate.set()
    commit.close()
    assert samples(setting) == [1, 10]


def test_one_batch_larger_than_the_queue_is_taken() -> None:
    setting = Setting()
    commit = setting.open(queue_rows=10)
    commit.add(batch(100)).result(WAIT_S)
    commit.close()


def test_closing_refuses_what_comes_after_it() -> None:
    setting = Setting()
    commit = setting.open()
    commit.close()
    assert not commit.is_alive
    with pytest.raises(StoreBusy, match="closing"):
        commit.add(batch())


def test_a_request_that_was_given_up_is_not_committed() -> None:
    setting = Setting()
    commit = setting.open(interval_s=1000)
    commit.add(batch(1)).result(WAIT_S)
    given_up, kept = commit.add(batch(5)), commit.add(batch(7))
    assert given_up.cancel()
    commit.close()
    assert kept.result(0) is None
    assert samples(setting) == [1, 7]


def test_a_series_is_written_before_its_first_sample_and_then_once_an_hour() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    for minutes in (0, 1, 59, 60, 61):
        commit.add(batch(t=HOUR + minutes * 60_000)).result(WAIT_S)
    commit.close()
    series, s = ("series", 1), ("samples", 1)
    assert setting.store.calls == [series, s, s, s, series, s, s]
    assert [(r.first_seen, r.last_seen) for r in setting.store.rows] == [(HOUR, HOUR), (HOUR, 2 * HOUR)]


def test_samples_before_the_first_hour_extend_the_series_backwards() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    commit.add(batch(t=9 * HOUR)).result(WAIT_S)
    commit.add(batch(t=2 * HOUR)).result(WAIT_S)
    commit.add(batch(t=5 * HOUR)).result(WAIT_S)
    commit.close()
    assert [(r.first_seen, r.last_seen) for r in setting.store.rows] == [(9 * HOUR, 9 * HOUR), (2 * HOUR, 9 * HOUR)]


def test_a_series_that_could_not_be_written_is_written_with_the_next_commit() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    setting.store.failures = [StoreBusy("down")] * 2
    with pytest.raises(StoreBusy):
        commit.add(batch()).result(WAIT_S)
    assert setting.store.rows == []
    commit.add(batch()).result(WAIT_S)
    commit.close()
    assert [r.fp for r in setting.store.rows] == [int(setting.catalogue.fp[0])]


def test_series_remembered_from_the_store_are_not_written_again() -> None:
    setting = Setting()
    commit = setting.open(interval_s=0)
    commit.remember([SeriesRow(int(setting.catalogue.fp[0]), setting.catalogue.labels(0), HOUR), SeriesRow(1, (), 0)])
    commit.add(batch(sid=0)).result(WAIT_S)
    commit.add(batch(sid=1)).result(WAIT_S)
    commit.close()
    assert [r.fp for r in setting.store.rows] == [int(setting.catalogue.fp[1])]


def test_a_sid_that_was_given_to_another_series_is_written_again() -> None:
    setting = Setting(series=1)
    commit = setting.open(interval_s=0)
    commit.add(batch()).result(WAIT_S)
    setting.catalogue.observe(batch())
    assert list(setting.catalogue.evict(HOUR + 1)) == [0]
    for later in (1, REST_MS):
        setting.catalogue.evict(HOUR + 1 + later)
    labels = canonical([("__name__", "down")])
    assert setting.catalogue.intern(labels) == 0
    commit.add(batch()).result(WAIT_S)
    commit.close()
    assert [r.labels for r in setting.store.rows][1:] == [labels]
