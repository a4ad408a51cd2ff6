"""A file's samples come in order of time, whatever the order of its rows."""

import asyncio
import math
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import InputError
from airis_mon.ingest.base import Slice
from airis_mon.ingest.histories.file import File
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import series_name

NAMES = ["a", "b", "c"]


def written(folder: Path, rows, name="m.parquet") -> Path:
    """A long file of rows (host, second, value)."""
    path = folder / name
    host, t, value = [NAMES[h] for h, _, _ in rows], [t for _, t, _ in rows], [v for _, _, v in rows]
    columns = {
        "timestamp": pa.array(t, pa.int64()),
        "metric": pa.array(["m"] * len(rows)),
        "host": pa.array(host, pa.string()),
        "value": pa.array(value, pa.float64()),
    }
    pq.write_table(pa.table(columns), path)
    return path


async def taken(history: File, start: int | None = None, end: int | None = None) -> list[Slice]:
    async with aclosing(history.slices(start, end)) as stream:
        return [s async for s in stream]


def samples(history: File, slices: list[Slice]):
    return [
        (series_name(history.catalogue.labels(s)), t, v)
        for one in slices
        for s, t, v in zip(one.batch.sid.tolist(), one.batch.t.tolist(), one.batch.value.tolist(), strict=True)
    ]


def read(path: Path, start=None, end=None, **settings):
    history = File(Catalogue(), path=path, **settings)
    slices = asyncio.run(taken(history, start, end))
    return samples(history, slices), [s for s in slices if s.end > s.start], slices


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), max_size=50, unique=True),
    st.randoms(use_true_random=False),
    st.integers(1, 20),
    st.integers(1, 9),
)
def test_any_shuffling_of_the_rows_gives_the_same_slices(tmp_path_factory, rows, random, run_rows, slice_rows):
    folder = tmp_path_factory.mktemp("shuffled")
    rows = [(h, t, float(i)) for i, (h, t) in enumerate(rows)]

    def told(rows):
        path = written(folder, rows)
        history = File(Catalogue(), path=path, run_rows=run_rows, slice_rows=slice_rows, folder=folder)
        slices = asyncio.run(taken(history))
        return [(s.start, s.end, sorted(samples(history, [s]))) for s in slices if s.end > s.start]

    first = told(rows)
    assert told(random.sample(rows, len(rows))) == first
    out = [row for _, _, found in first for row in found]
    assert sorted(out) == sorted((f'm{{host="{NAMES[h]}"}}', t * 1000, v) for h, t, v in rows)
    assert all(start <= t < end for start, end, found in first for _, t, _ in found)
    assert [end for _, end, _ in first[:-1]] == [start for start, _, _ in first[1:]]
    assert list(folder.iterdir()) == [folder / "m.parquet"]


def test_series_after_series_is_put_in_order_of_time(tmp_path: Path):
    path = written(tmp_path, [(h, t, h + t / 10) for h in range(3) for t in range(1, 5)])
    rows, _, _ = read(path, run_rows=5, slice_rows=4, folder=tmp_path)
    assert [t for _, t, _ in rows] == sorted([1000, 2000, 3000, 4000] * 3)


def test_a_repeated_series_and_time_keeps_its_first_row(tmp_path: Path):
    path = written(tmp_path, [(0, 5, 1.0), (0, 4, 9.0), (1, 5, 3.0), (0, 5, 2.0), (0, 4, 8.0)])
    for run_rows in (1, 2, 100):
        rows, _, _ = read(path, run_rows=run_rows, slice_rows=2, folder=tmp_path)
        assert sorted(rows) == [('m{host="a"}', 4000, 9.0), ('m{host="a"}', 5000, 1.0), ('m{host="b"}', 5000, 3.0)]


def test_the_same_file_gives_the_same_slices(tmp_path: Path):
    rng = np.random.default_rng(3)
    path = written(tmp_path, [(int(rng.integers(3)), int(rng.integers(500)), float(i)) for i in range(900)])
    once, twice = (read(path, run_rows=100, slice_rows=64, folder=tmp_path)[2] for _ in range(2))
    for a, b in zip(once, twice, strict=True):
        assert (a.start, a.end, a.fraction) == (b.start, b.end, b.fraction)
        for name in ("sid", "t", "value"):
            assert getattr(a.batch, name).tobytes() == getattr(b.batch, name).tobytes()


def test_only_what_lies_between_start_and_end_is_given_and_all_of_that_time_is_covered(tmp_path: Path):
    path = written(tmp_path, [(0, t, float(t)) for t in range(10)])
    rows, slices, _ = read(path, 2000, 7000, slice_rows=2)
    assert [v for _, _, v in rows] == [2, 3, 4, 5, 6]
    assert (slices[0].start, slices[-1].end) == (2000, 7000)
    rows, slices, _ = read(path, 4500, 60_000)
    assert ([v for _, _, v in rows], slices[0].start, slices[-1].end) == ([5, 6, 7, 8, 9], 4500, 60_000)
    rows, slices, _ = read(path, 50_000, 60_000)
    assert (rows, [(s.start, s.end) for s in slices]) == ([], [(50_000, 60_000)])


def test_progress_is_told_while_reading_and_ends_at_one(tmp_path: Path):
    path = written(tmp_path, [(0, t, 1.0) for t in range(1000)])
    _, full, slices = read(path, slice_rows=100)
    assert slices[0].start == slices[0].end
    assert not len(slices[0].batch)
    fractions = [s.fraction for s in slices]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[1] < fractions[-1] == 1.0
    assert len(full) == 10


def test_an_empty_file_has_no_past(tmp_path: Path):
    rows, slices, _ = read(written(tmp_path, []))
    assert (rows, slices) == ([], [])


def test_wide_files_gaps_and_compressed_text_are_read_too(tmp_path: Path):
    path = tmp_path / "wide.csv"
    path.write_text("timestamp,host,cpu,mem\n2,a,1,\n1,a,3,4\n")
    rows, _, _ = read(path, wide=True)
    assert [(n, t) for n, t, _ in rows] == [
        ('cpu{host="a"}', 1000),
        ('mem{host="a"}', 1000),
        ('cpu{host="a"}', 2000),
        ('mem{host="a"}', 2000),
    ]
    assert [v for _, _, v in rows][:3] == [3.0, 4.0, 1.0]
    assert math.isnan(rows[3][2])


def test_only_series_that_a_selector_means_are_given(tmp_path: Path):
    path = written(tmp_path, [(h, t, float(h)) for h in range(3) for t in range(4)])
    rows, _, _ = read(path, match=['m{host="a"}', '{host=~"c|d"}'])
    assert sorted(rows) == [(f'm{{host="{h}"}}', t * 1000, v) for h, v in (("a", 0.0), ("c", 2.0)) for t in range(4)]
    rows, _, told = read(path, match=["nothing"])
    assert (rows, len(told)) == ([], 1)
    with pytest.raises(InputError, match="selector"):
        File(Catalogue(), path=path, match=["{"])


def test_a_bad_row_is_named_and_nothing_is_left_behind(tmp_path: Path):
    path = tmp_path / "bad.csv"
    path.write_text("timestamp,value\n1,1\n2,x\n")
    with pytest.raises(InputError, match=r"data row 2, column 'value': 'x' is no number"):
        read(path, folder=tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_bad_rows_that_are_skipped_are_counted_and_described(tmp_path: Path):
    path = tmp_path / "bad.csv"
    path.write_text("timestamp,value\n1,1\n2,x\nnever,3\n4,4\n5\n")
    history = File(Catalogue(), path=path, skip_bad=True)
    slices = asyncio.run(taken(history))
    assert [v for _, _, v in samples(history, slices)] == [1.0, 4.0]
    assert history.refused == 3 == sum(s.batch.refused for s in slices)
    assert {r.value for s in slices for r in s.batch.refusals} >= {"x", "never"}


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "nothing.csv")


def test_the_name_tells_no_folder(tmp_path: Path):
    assert File(Catalogue(), path=tmp_path / "m.csv").name == "m.csv"


async def test_closing_or_cancelling_at_any_time_leaves_no_files(tmp_path: Path):
    path = written(tmp_path, [(t % 3, 3000 - t, 1.0) for t in range(3000)])
    for taken_first in range(4):
        history = File(Catalogue(), path=path, run_rows=500, slice_rows=500, folder=tmp_path)
        async with aclosing(history.slices()) as stream:
            for _ in range(taken_first):
                await anext(stream)
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert list(tmp_path.iterdir()) == [path]  # noqa: ASYNC240  nothing else runs meanwhile
