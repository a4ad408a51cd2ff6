"""CSV and Parquet files become batches in file order."""

import gzip
import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import InputError
from airis_mon.ingest.files import FileReader
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import series_name

NOON = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1000)


def read(path, **settings):
    catalogue = Catalogue()
    reader = FileReader(path, catalogue, **settings)
    batches = list(reader)
    rows = [
        (int(t), series_name(catalogue.labels(s)), float(v))
        for b in batches
        for s, t, v in zip(b.sid, b.t, b.value, strict=True)
    ]
    return rows, sum(b.refused for b in batches), [r for b in batches for r in b.refusals]


@pytest.fixture
def csv(tmp_path):
    def write(text, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_long_file_gives_metric_labels_and_order(csv):
    path = csv(
        "timestamp,metric,host,value\n"
        "2026-01-31T12:00:00Z,cpu,b,2\n"
        "2026-01-31T12:00:00Z,cpu,a,1.5\n"
        "2026-01-31T11:59:00Z,load,,3\n"
    )
    assert read(path)[0] == [
        (NOON, 'cpu{host="b"}', 2.0),
        (NOON, 'cpu{host="a"}', 1.5),
        (NOON - 60_000, "load", 3.0),
    ]


def test_a_file_without_metric_names_its_series_value(csv):
    assert read(csv("timestamp,value\n2026-01-31T12:00:00Z,2\n"))[0] == [(NOON, "value", 2.0)]


def test_a_wide_file_gives_a_sample_per_metric_in_order_of_columns(csv):
    path = csv("timestamp,host,cpu,mem\n1769860800,a,1,2\n1769860800,b,3,\n")
    rows, _, _ = read(path, wide=True)
    assert [r[:2] for r in rows] == [
        (NOON, 'cpu{host="a"}'),
        (NOON, 'mem{host="a"}'),
        (NOON, 'cpu{host="b"}'),
        (NOON, 'mem{host="b"}'),
    ]
    assert [r[2] for r in rows][:3] == [1.0, 2.0, 3.0]
    assert math.isnan(rows[3][2])


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00z",
        "2026-01-31 12:00:00",
        "2026-01-31T12:00:00.000",
        "2026-01-31T21:00:00+09:00",
        "2026-01-31T12:00:00.000999999Z",
        "1769860800",
        "1769860800000",
        "1769860800.0",
        " 1769860800 ",
    ],
)
def test_a_time_may_be_rfc_3339_or_integer_seconds_or_milliseconds(csv, written):
    assert read(csv(f"timestamp,value\n{written},1\n"))[0] == [(NOON, "value", 1.0)]


def test_different_ways_of_writing_time_may_stand_in_one_file(csv):
    path = csv("timestamp,value\n2026-01-31T12:00:00Z,1\n2026-01-31 12:00:00,1\n1769860800,1\n")
    assert [t for t, _, _ in read(path)[0]] == [NOON] * 3


@pytest.mark.parametrize(
    "column",
    [
        pa.array([datetime(2026, 1, 31, 12)], pa.timestamp("s")),
        pa.array([datetime(2026, 1, 31, 12)], pa.timestamp("ns")),
        pa.array([datetime(2026, 1, 31, 12, tzinfo=UTC)], pa.timestamp("us", "Asia/Seoul")),
        pa.array([1769860800], pa.int32()),
        pa.array([1769860800000], pa.uint64()),
        pa.array([1769860800.0004]),
        pa.array(["2026-01-31T12:00:00Z"]),
    ],
)
def test_parquet_times_of_any_type_are_utc(tmp_path, column):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"timestamp": column, "value": [1]}), path)
    assert read(path)[0] == [(NOON, "value", 1.0)]


def test_parquet_columns_of_any_type_are_labels_or_metrics(tmp_path):
    path = tmp_path / "data"  # told by its first bytes
    table = pa.table(
        {
            "timestamp": [1, 2],
            "host": pa.array(["a", "b"]).dictionary_encode(),
            "zone": pa.array(["x", None], pa.large_string()),
            "up": [True, False],
            "size": pa.array([None, 7], pa.int64()),
        }
    )
    pq.write_table(table, path)
    rows, _, _ = read(path, wide=True)
    assert [n for _, n, _ in rows] == [
        'up{host="a",zone="x"}',
        'size{host="a",zone="x"}',
        'up{host="b"}',
        'size{host="b"}',
    ]
    assert [rows[0][2], rows[2][2], rows[3][2]] == [1.0, 0.0, 7.0]
    assert math.isnan(rows[1][2])


def test_numbers_are_labels_in_a_long_file(tmp_path):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"timestamp": [1], "value": [2], "shard": [3]}), path)
    assert read(path)[0] == [(1000, 'value{shard="3"}', 2.0)]


def test_a_compressed_csv_is_read(tmp_path):
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(b"timestamp,value\n5,1\n"))
    assert read(path)[0] == [(5000, "value", 1.0)]


def test_quoted_cells_may_hold_commas_and_lines_and_a_byte_order_mark_is_no_name(csv):
    path = csv(b'\xef\xbb\xbf"timestamp",value,"host, name"\n5,1,"a,\nb"\n')
    assert read(path)[0] == [(5000, 'value{host, name="a,\\nb"}', 1.0)]


def test_an_empty_value_is_a_gap_and_keeps_its_row(csv):
    rows, refused, _ = read(csv("timestamp,value\n1,\n2,NaN\n3,n/a\n4, 4 \n"))
    assert [math.isnan(v) for _, _, v in rows] == [True, True, True, False]
    assert refused == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,5,a\n2,x,b\n", ["data row 2", "'value'", "'x'", "no number"]),
        ("1,5,a\nyesterday,1,b\n", ["data row 2", "'timestamp'", "'yesterday'", "RFC 3339"]),
        ("1,5,a\n,1,b\n", ["data row 2", "'timestamp'"]),
        ("1,5,a\n2,1\n", ["data row 2", "2 cells where the header has 3"]),
        ("1,5,a\n1769860800000000,1,b\n", ["data row 2", "'1769860800000000'", "seconds or milliseconds"]),
        ("1,1_0,a\n", ["data row 1", "'1_0'"]),
    ],
)
def test_a_bad_row_is_an_error_that_names_file_row_column_and_remedy(csv, text, words):
    path = csv("timestamp,value,host\n" + text)
    with pytest.raises(InputError) as error:
        read(path)
    for word in [str(path), "--skip-bad", *words]:
        assert word in str(error.value)


def test_bad_rows_can_be_left_out_and_are_counted_with_their_place(csv):
    path = csv("timestamp,value\n1,1\n2\n3,x\n4,4\nnow,5\n6,6\n7,7,7\n")
    rows, refused, refusals = read(path, skip_bad=True)
    assert [t for t, _, _ in rows] == [1000, 4000, 6000]
    assert refused == 4
    assert {r.path for r in refusals} == {"row 2", "row 3, column value", "row 5, column timestamp", "row 7"}


def test_a_bad_cell_takes_its_wide_row_with_it(csv):
    path = csv("timestamp,a,b\n1,1,1\n2,x,2\n3,3,3\n")
    rows, refused, _ = read(path, wide=True, skip_bad=True)
    assert [(t, n) for t, n, _ in rows] == [(1000, "a"), (1000, "b"), (3000, "a"), (3000, "b")]
    assert refused == 1


def test_an_empty_metric_is_a_bad_row(csv):
    with pytest.raises(InputError, match="data row 1, column 'metric'"):
        read(csv("timestamp,metric,value\n1,,5\n"))


@pytest.mark.parametrize(
    ("text", "wide", "words"),
    [
        ("", False, "neither CSV with a header nor Parquet"),
        ("time,value\n1,2\n", False, "no column 'timestamp'"),
        ("timestamp,cpu\n1,2\n", False, "--wide"),
        ("timestamp,cpu,cpu\n1,2,3\n", True, "stands twice"),
        ("timestamp,host\n1,a\n", True, "holds numbers"),
        (",timestamp,value\n0,1,2\n", False, "column 1 has no name"),
        ("timestamp,__name__,value\n1,cpu,2\n", False, "name it 'metric'"),
    ],
)
def test_a_file_that_cannot_be_meant_says_why(csv, text, wide, words):
    with pytest.raises(InputError, match=words):
        read(csv(text), wide=wide)


SUFFIXES = {"gz": "gzip", "bz2": "bz2", "zst": "zstd", "lz4": "lz4"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize("piece_bytes", [5_000, 4 << 20])
def test_a_damaged_or_falsely_named_compressed_file_is_told_by_name(tmp_path, suffix, is_cut, piece_bytes):
    path = tmp_path / f"data.csv.{suffix}"
    text = b"timestamp,value\n" + b"".join(b"%d,%d\n" % (i, i * 7919 % 1000) for i in range(20_000))
    with pa.CompressedOutputStream(str(path), SUFFIXES[suffix]) as out:
        out.write(text)
    whole = path.read_bytes()
    assert len(read(path)[0]) == 20_000
    path.write_bytes(whole[: len(whole) * 2 // 3] if is_cut else text)
    with pytest.raises(InputError, match=rf"data\.csv\.{suffix}: cannot be read"):
        read(path, piece_bytes=piece_bytes)


def test_a_damaged_parquet_file_is_told_by_name(tmp_path):
    path = tmp_path / "data.parquet"
    value = np.random.default_rng(0).normal(size=20_000)
    pq.write_table(pa.table({"timestamp": range(20_000), "value": value}), path, compression="snappy")
    whole = path.read_bytes()
    path.write_bytes(whole[:5000] + b"\xff" * 2000 + whole[7000:])
    with pytest.raises(InputError, match=r"data\.parquet: cannot be read"):
        read(path)


LIMITED = [
    ({"max_label_bytes": 60}, "1,5,a\n2,5," + "x" * 80 + "\n3,5,b\n", "limits.max_label_bytes = 60", [1, 3]),
    ({"max_labels": 1}, "1,5,\n2,5,a\n3,5,\n", "limits.max_labels = 1", [1, 3]),
    ({"max_series": 2}, "1,5,a\n2,5,b\n3,5,c\n4,5,a\n5,5,c\n", "limit of 2 series", [1, 2, 4]),
]


@pytest.mark.parametrize(("limits", "text", "said", "kept"), LIMITED)
def test_labels_beyond_a_limit_name_their_row_and_can_be_skipped(csv, limits, text, said, kept):
    path = csv("timestamp,value,host\n" + text)
    with pytest.raises(InputError, match=rf"data row {3 if 'max_series' in limits else 2}: .*{said}.*--skip-bad"):
        list(FileReader(path, Catalogue(**limits)))
    (batch,) = FileReader(path, Catalogue(**limits), skip_bad=True)
    assert (batch.t // 1000).tolist() == kept
    assert batch.refused == len(text.splitlines()) - len(kept) == len(batch.refusals)
    assert said in batch.refusals[0].reason


def test_only_the_series_that_are_meant_are_taken_and_known(csv):
    catalogue = Catalogue()
    path = csv("timestamp,host,cpu,mem\n1,a,1,2\n2,b,3,4\n3,a,5,x\n")
    reader = FileReader(
        path,
        catalogue,
        wide=True,
        skip_bad=True,
        is_meant=lambda s: dict(s)["__name__"] == "mem" and ("host", "a") in s,
    )
    (batch,) = reader
    assert [(series_name(catalogue.labels(s)), v) for s, v in zip(batch.sid, batch.value, strict=True)] == [
        ('mem{host="a"}', 2.0)
    ]
    assert (len(catalogue), batch.refused) == (1, 1)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "none.csv")


def test_a_header_alone_is_an_empty_file(csv):
    assert read(csv("timestamp,value\n"))[0] == []


def test_a_long_file_comes_in_pieces_and_says_how_far_it_is(csv):
    lines = [f"{i},{i % 7},host-{i % 5}" for i in range(4_000)]
    reader = FileReader(csv("timestamp,value,host\n" + "\n".join(lines)), Catalogue(), piece_bytes=10_000)
    lengths, fractions = zip(*[(len(b), reader.fraction) for b in reader], strict=True)
    assert sum(lengths) == 4_000
    assert len(lengths) > 1
    assert list(fractions) == sorted(fractions)
    assert fractions[-1] == 1.0


def test_rows_are_numbered_through_all_pieces(csv):
    lines = [f"{i},{i}" for i in range(6_000)]
    lines[10] = "x"
    lines[5_000] = "5000,bad"
    path = csv("timestamp,value\n" + "\n".join(lines))
    _, refused, refusals = read(path, skip_bad=True, piece_bytes=10_000)
    assert (refused, [r.path for r in refusals]) == (2, ["row 11", "row 5001, column value"])


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(-10_000, 10**10),
            st.floats(allow_nan=False, allow_infinity=False),
            st.sampled_from(["a", "b,c", 'd"e', "é"]),
        ),
        min_size=1,
    )
)
def test_csv_and_parquet_say_the_same(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("files")
    table = pa.table(
        {
            "timestamp": [t for t, _, _ in rows],
            "value": [v for _, v, _ in rows],
            "host": [h for _, _, h in rows],
        }
    )
    pq.write_table(table, folder / "a.parquet")
    pa.csv.write_csv(table, folder / "a.csv")
    assert read(folder / "a.csv")[0] == read(folder / "a.parquet")[0]
    np.testing.assert_array_equal([v for _, _, v in read(folder / "a.csv")[0]], [v for _, v, _ in rows])
