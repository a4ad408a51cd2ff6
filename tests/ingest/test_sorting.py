"""Samples in any order come out in order of time, once each, in bounded memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import TooLarge
from airis_mon.ingest.sorting import Sorter
from airis_mon.series.batch import Batch

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(-50, 50)), max_size=60)


def batch(rows, first=0):
    sid, t = [s for s, _ in rows], [t for _, t in rows]
    return Batch(np.array(sid, np.int32), np.array(t, np.int64), np.arange(first, first + len(rows), dtype=np.float64))


def given_back(rows, *, run_rows, window, piece=7):
    with Sorter(run_rows=run_rows) as sorter:
        for at in range(0, len(rows), piece):
            sorter.add(batch(rows[at : at + piece], at))
        return list(sorter.windows(window))


@given(ROWS, st.integers(1, 30), st.integers(1, 20))
def test_windows_hold_the_first_row_of_each_series_and_time_in_order_of_time(rows, run_rows, window):
    windows = given_back(rows, run_rows=run_rows, window=window)
    out = [r for w in windows for r in zip(w.batch.sid.tolist(), w.batch.t.tolist(), w.batch.value, strict=True)]
    firsts = {}
    for i, row in enumerate(rows):
        firsts.setdefault(row, float(i))
    assert sorted(out) == sorted((s, t, v) for (s, t), v in firsts.items())
    assert [t for _, t, _ in out] == sorted(t for _, t, _ in out)
    assert [(t, v) for _, t, v in out] == sorted((t, v) for _, t, v in out), "rows of one time keep their order"
    assert sum(w.rows for w in windows) == len(rows)


@given(ROWS.filter(bool), st.integers(1, 30), st.integers(1, 20))
def test_windows_follow_each_other_and_are_about_as_long_as_asked(rows, run_rows, window):
    windows = given_back(rows, run_rows=run_rows, window=window)
    assert windows[0].start == min(t for _, t in rows)
    assert windows[-1].end == max(t for _, t in rows) + 1
    assert [w.start for w in windows[1:]] == [w.end for w in windows[:-1]]
    for w in windows:
        assert all(w.start <= t < w.end for t in w.batch.t)
        before_last_time = sum(w.start <= t < max(w.batch.t, default=0) for _, t in rows)
        assert before_last_time < window
    assert all(w.rows >= window for w in windows[:-1])


@given(st.randoms(use_true_random=False), ROWS, st.integers(1, 30), st.integers(1, 20))
def test_the_order_of_the_rows_changes_no_window(random, rows, run_rows, window):
    rows = sorted(set(rows))
    shuffled = random.sample(rows, len(rows))

    def told(rows):
        return [
            (w.start, w.end, sorted(zip(w.batch.t.tolist(), w.batch.sid.tolist(), strict=True)))
            for w in given_back(rows, run_rows=run_rows, window=window)
        ]

    assert told(rows) == told(shuffled)


def test_files_lie_in_the_folder_meanwhile_and_are_gone_afterwards(tmp_path: Path):
    with Sorter(run_rows=3, folder=tmp_path) as sorter:
        sorter.add(batch([(0, t) for t in range(3)]))
        assert not list(tmp_path.iterdir()), "one run needs no files"
        sorter.add(batch([(0, t) for t in range(3, 8)]))
        assert len(list(tmp_path.iterdir())) == 1
        next(sorter.windows(1))
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_no_files(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), Sorter(run_rows=1, folder=tmp_path) as sorter:
        sorter.add(batch([(0, 1), (0, 2)]))
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_nothing_is_named_with_the_remedy(tmp_path: Path):
    told = pytest.raises(TooLarge, match=r"nowhere takes no more .*set TMPDIR")
    with told, Sorter(run_rows=1, folder=tmp_path / "nowhere") as sorter:
        sorter.add(batch([(0, 1), (0, 2)]))


def test_memory_is_bounded_by_a_run_and_a_window_whatever_is_sorted(tmp_path: Path):
    run, window, piece = 20_000, 10_000, 5_000
    rng = np.random.default_rng(1)

    def peak(pieces: int) -> int:
        tracemalloc.start()
        with Sorter(run_rows=run, folder=tmp_path) as sorter:
            for _ in range(pieces):
                sid = rng.integers(0, 1000, piece).astype(np.int32)
                sorter.add(Batch(sid, rng.integers(0, 10**9, piece), np.zeros(piece)))
            seen = sum(len(w.batch) for w in sorter.windows(window))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seen > 0.99 * pieces * piece
        return most

    peak(8)
    assert peak(320) < 1.3 * peak(20)
    assert peak(320) < 20 * (3 * run + 6 * window)
