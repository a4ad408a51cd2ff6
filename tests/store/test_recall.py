from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from airis_mon.errors import InputError, QueryCancelled, QueryTimeout, StoreBusy
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.store.base import SeriesRow
from airis_mon.store.patience import Patience
from airis_mon.store.recall import KEEP_S, NEWS, ROWS, Recall

HOUR = 3_600_000
A = (Matcher("__name__", "=", "a"),)
ALWAYS = 10**18


def row(fp: int, last: int = 10, first: int | None = None, name: str = "a") -> SeriesRow:
    """Seen in these hours."""
    labels = canonical([("__name__", name), ("i", str(fp))])
    return SeriesRow(fp, labels, last * HOUR, (last if first is None else first) * HOUR)


@dataclass
class Table:
    """The store's table; `asked` are the times of `since` of each question."""

    rows: dict[int, SeriesRow] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    now: float = 0.0

    def read(self, matchers: Sequence[Matcher], since: int, limit: int, patience: Patience) -> list[SeriesRow]:
        self.asked.append(since)
        matches = compile_matchers(matchers)
        found = [r for _, r in sorted(self.rows.items()) if matches(r.labels) and r.last_seen >= since]
        return found[:limit]

    def put(self, *rows: SeriesRow) -> None:
        self.rows.update({r.fp: r for r in rows})

    def recall(self) -> Recall:
        return Recall(self.read, lambda: self.now)


def fps(found: list[SeriesRow] | None) -> list[int]:
    assert found is not None
    return [r.fp for r in found]


def test_the_same_selector_is_read_once_and_its_list_is_shared():
    table = Table()
    table.put(row(1), row(2), row(3, name="b"))
    recall = table.recall()
    first = recall.find(A, 0, ALWAYS, 10)
    assert fps(first) == [1, 2]
    assert recall.find(A, 5 * HOUR, ALWAYS, 10) is first
    assert fps(recall.find(A, 0, ALWAYS, 1)) == [1]
    assert fps(recall.find((Matcher("__name__", "=", "b"),), 0, ALWAYS, 10)) == [3]
    assert len(table.asked) == 2


def test_rows_are_filtered_by_the_hours_they_were_seen_in():
    table = Table()
    table.put(row(1, last=10, first=5), row(2, last=20, first=15))
    recall = table.recall()
    for since, end, want in ((0, 30, [1, 2]), (11, 30, [2]), (0, 14, [1]), (11, 14, []), (10, 15, [1, 2])):
        assert fps(recall.find(A, since * HOUR, end * HOUR, 10)) == want
    assert len(table.asked) == 1


def test_a_time_before_what_was_read_is_read_anew():
    table = Table()
    table.put(row(1, last=10), row(2, last=20))
    recall = table.recall()
    assert fps(recall.find(A, 15 * HOUR, ALWAYS, 10)) == [2]
    assert fps(recall.find(A, 5 * HOUR, ALWAYS, 10)) == [1, 2]
    assert fps(recall.find(A, 15 * HOUR, ALWAYS, 10)) == [2]
    assert table.asked == [15 * HOUR, 5 * HOUR]


def test_a_new_series_is_found_at_once_and_only_selectors_that_mean_it_are_read_anew():
    table = Table()
    table.put(row(1), row(5, name="b"))
    recall = table.recall()
    recall.find(A, 0, ALWAYS, 10)
    new = row(4)
    table.put(new)
    recall.note([new, row(6, name="b")])
    assert fps(recall.find(A, 0, ALWAYS, 10)) == [1, 4]
    recall.note([row(7, name="b")])
    recall.find(A, 0, ALWAYS, 10)
    assert len(table.asked) == 2


def test_a_series_seen_again_lives_longer_without_reading_and_the_list_given_before_stays_as_it_was():
    table = Table()
    table.put(row(1, last=10), row(2, last=10))
    recall = table.recall()
    before = recall.find(A, 0, ALWAYS, 10)
    recall.note([row(2, last=12), SeriesRow(1, row(1).labels, 9 * HOUR + 5)])
    after = recall.find(A, 12 * HOUR, ALWAYS, 10)
    assert after == [row(2, last=12, first=10)]
    assert fps(recall.find(A, 0, 9 * HOUR, 10)) == [1]
    assert before == [row(1), row(2)]
    assert len(table.asked) == 1


def test_what_is_written_while_the_store_is_read_is_not_missed():
    table = Table()
    recall = table.recall()
    read = table.read

    def slow(matchers: Sequence[Matcher], since: int, limit: int, patience: Patience) -> list[SeriesRow]:
        found = read(matchers, since, limit, patience)
        if len(table.asked) == 1:
            table.put(row(1))
            recall.note([row(1)])
        return found

    recall = Recall(slow, lambda: 0.0)
    assert fps(recall.find(A, 0, ALWAYS, 10)) == []
    assert fps(recall.find(A, 0, ALWAYS, 10)) == [1]


def test_an_answer_is_used_for_a_minute():
    table = Table()
    recall = table.recall()
    for now, asked in ((0.0, 1), (KEEP_S - 0.1, 1), (KEEP_S, 2), (KEEP_S + 1, 2)):
        table.now = now
        recall.find(A, 0, ALWAYS, 10)
        assert len(table.asked) == asked


def test_too_many_rows_are_not_kept_and_asked_for_once_a_minute_only():
    table = Table()
    table.put(*[row(fp) for fp in range(ROWS // 2 + 2)])
    recall = table.recall()
    assert recall.find(A, 0, ALWAYS, 10) is None
    assert recall.find(A, 0, ALWAYS, 10) is None
    assert len(table.asked) == 1


def test_all_selectors_together_hold_no_more_rows_than_agreed_and_the_oldest_goes_first():
    table = Table()
    for name in "abc":
        table.put(*[row(ord(name) * ROWS + i, name=name) for i in range(ROWS * 2 // 5)])
    recall = table.recall()
    for name in "abacba":
        recall.find([Matcher("__name__", "=", name)], 0, ALWAYS, 10)
    assert len(table.asked) == 5  # c took the place of b, b that of a, and a that of c


def test_news_of_a_selector_that_nobody_asks_for_are_dropped_with_it():
    table = Table()
    recall = table.recall()
    recall.find(A, 0, ALWAYS, 10)
    for _ in range(3):
        recall.note([row(fp, name="b") for fp in range(NEWS // 2)])
    assert not recall._selectors
    recall.find(A, 0, ALWAYS, 10)
    assert len(table.asked) == 2


def test_a_failed_reading_is_tried_again_and_a_bad_pattern_refused():
    table = Table()

    def broken(*_: object) -> list[SeriesRow]:
        table.asked.append(0)
        if len(table.asked) < 3:
            raise StoreBusy("down")
        return []

    recall = Recall(broken)
    for _ in range(2):
        with pytest.raises(StoreBusy):
            recall.find(A, 0, ALWAYS, 10)
    assert recall.find(A, 0, ALWAYS, 10) == []
    with pytest.raises(InputError, match="RE2"):
        recall.find([Matcher("x", "=~", "(")], 0, ALWAYS, 10)


def test_threads_that_ask_the_same_at_once_wait_for_one_answer():
    table, ready = Table(), threading.Barrier(4)
    table.put(row(1))
    recall = table.recall()

    def ask(_: int) -> list[SeriesRow] | None:
        ready.wait()
        return recall.find(A, 0, ALWAYS, 10)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(ask, range(4)))
    assert found == [[row(1)]] * 4
    assert len(table.asked) == 1


def test_those_who_wait_for_a_reading_that_fails_read_themselves():
    table, reading, waiting = Table(), threading.Event(), threading.Event()
    table.put(row(1))

    def failing_once(matchers: Sequence[Matcher], since: int, limit: int, patience: Patience) -> list[SeriesRow]:
        found = table.read(matchers, since, limit, patience)
        if len(table.asked) == 1:
            reading.set()
            assert waiting.wait(10)
            raise StoreBusy("down")
        return found

    recall = Recall(failing_once)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(recall.find, A, 0, ALWAYS, 10)
        assert reading.wait(10)
        second = threads.submit(recall.find, A, 0, ALWAYS, 10, Patience.of(None, waiting.set))
        assert second.result(10) == [row(1)]
    with pytest.raises(StoreBusy):
        first.result()


def test_waiting_for_another_s_reading_ends_with_one_s_own_patience():
    reading, done = threading.Event(), threading.Event()

    def held(*_: object) -> list[SeriesRow]:
        reading.set()
        assert done.wait(10)
        return []

    def gone() -> None:
        raise QueryCancelled("the query was cancelled")

    recall = Recall(held)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(recall.find, A, 0, ALWAYS, 10)
        assert reading.wait(10)
        with pytest.raises(QueryTimeout):
            recall.find(A, 0, ALWAYS, 10, Patience.of(0.001, lambda: None))
        with pytest.raises(QueryCancelled):
            recall.find(A, 0, ALWAYS, 10, Patience.of(None, gone))
        done.set()
        assert first.result(10) == []
