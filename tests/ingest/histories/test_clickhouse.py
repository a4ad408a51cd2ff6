"""A ClickHouse table's rows come in windows of its time column, in order of time."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace as Made
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import ConfigError, InputError, Transient
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.histories.clickhouse import ClickHouse
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.labels import series_name

T = 1_700_000_000_000


class Refused(Exception):
    """What clickhouse-connect raises: a text and the server's code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Code: {code}. no")
        self.code = code


class Table:
    """Answers the two queries from a list of rows (t ms, value, labels ...), as ClickHouse would."""

    def __init__(self, rows: list[tuple[Any, ...]], *columns: str) -> None:
        self.rows = sorted(rows, key=lambda r: int(r[0]))
        self.columns = columns
        self.server_settings: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        self.settings: list[dict[str, Any]] = []
        self.errors: list[Exception | None] = []
        self.most = 10**9  # rows looked at by one query
        self.closed = 0

    def query(self, query: str, *, parameters: dict[str, Any], settings: dict[str, Any], column_oriented: bool) -> Made:
        self.asked.append(parameters)
        self.settings.append(settings)
        if self.errors and (error := self.errors.pop(0)):
            raise error
        rows = [r for r in self.rows if parameters["since_ms"] < r[0] <= parameters["until_ms"]]
        if "count()" in query:
            t = [r[0] for r in rows]
            return Made(result_columns=[[min(t, default=0)], [max(t, default=0)], [len(t)]])
        if len(rows) > self.most:
            raise Refused(159)
        n = parameters["limit_rows"]
        if len(rows) > n:
            rows = rows[:n] + [r for r in rows[n:] if r[0] == rows[n - 1][0]]
        return Made(column_names=("_t", "_v", *self.columns), result_columns=[list(c) for c in zip(*rows, strict=True)])

    def close(self) -> None:
        self.closed += 1


class Instant:
    """A clock whose waits are over at once."""

    def now(self) -> int:
        return T

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def source(table: Table, **more: Any) -> ClickHouse:
    settings = {"query": "t", "metric": "m", "slice_rows": 5} | more
    return ClickHouse(Catalogue(), connect=lambda: table, clock=Instant(), **settings)


def read(history: ClickHouse, start: int | None = None, end: int | None = None):
    async def taken() -> list[Slice]:
        async with aclosing(history.slices(start, end)) as stream:
            return [s async for s in stream]

    slices = asyncio.run(taken())
    rows = [
        (series_name(history.catalogue.labels(s)), t, v)
        for one in slices
        for s, t, v in zip(one.batch.sid.tolist(), one.batch.t.tolist(), one.batch.value.tolist(), strict=True)
    ]
    return rows, slices


TIMES = st.lists(st.integers(0, 20) | st.integers(0, 10**7), max_size=60)


@given(TIMES, st.integers(1, 7), st.none() | st.integers(-9, 5000), st.none() | st.integers(5001, 2 * 10**7))
def test_slices_cover_every_row_once_in_order_of_time(times, slice_rows, start, end):
    table = Table([(T + t, float(i), f"r{i}") for i, t in enumerate(times)], "row")
    start, end = (None if x is None else T + x for x in (start, end))
    out, slices = read(source(table, slice_rows=slice_rows), start, end)
    low, high = T if start is None else start, T + 10**8 if end is None else end
    assert sorted(v for _, _, v in out) == sorted(v for t, v, _ in table.rows if low <= t < high)
    assert [t for _, t, _ in out] == sorted(t for _, t, _ in out)
    assert all(a.end == b.start for a, b in itertools.pairwise(slices))
    assert all(s.start <= t < s.end for s in slices for t in s.batch.t)
    assert slices or not out
    if start is not None and end is not None:
        assert (slices[0].start, slices[-1].end) == (start, end)
    fractions = [s.fraction for s in slices]
    assert fractions == sorted(fractions)
    assert fractions[-1:] in ([], [1.0])


def test_a_slice_holds_about_as_many_rows_as_asked_wherever_they_lie():
    dense = [(T + 10 * i, 1.0, f"r{i}") for i in range(20_000)]
    sparse = [(T + 10_000_000 + 60_000 * i, 1.0, f"s{i}") for i in range(2_000)]
    _, slices = read(source(Table(dense + sparse, "row"), slice_rows=1000))
    assert max(len(s.batch) for s in slices) <= 2000
    assert len(slices) < 80


def test_a_repeated_series_and_time_is_given_once():
    table = Table([(T, 1.0, "a"), (T, 2.0, "a"), (T, 3.0, "b"), (T + 1, 4.0, "a")], "host")
    rows, _ = read(source(table, name="shop"))
    assert rows == [
        ('m{host="a",job="shop"}', T, 1.0),
        ('m{host="b",job="shop"}', T, 3.0),
        ('m{host="a",job="shop"}', T + 1, 4.0),
    ]


def test_metrics_types_and_refused_rows_are_as_in_the_collector():
    table = Table([(T, 1.0, "cpu"), (T + 1, 2.0, None), (T + 2, 3.0, "cpu")], "metric")
    history = source(table, metric="", metric_type="gauge")
    rows, slices = read(history)
    assert rows == [('cpu{job="clickhouse"}', T, 1.0), ('cpu{job="clickhouse"}', T + 2, 3.0)]
    assert history.catalogue.types == {"cpu": MetricType.GAUGE}
    assert [r.path for s in slices for r in s.batch.refusals] == ["row 1"]
    assert sum(s.batch.refused for s in slices) == 1


def test_what_is_too_much_for_the_server_is_asked_for_in_shorter_windows():
    table = Table([(T + 1000 * i, float(i), f"r{i}") for i in range(200)], "row")
    table.most = 3
    rows, slices = read(source(table, slice_rows=100))
    assert [v for _, _, v in rows] == [float(i) for i in range(200)]
    assert not any(s.missing for s in slices)


def test_a_window_that_is_too_much_however_short_is_missing_and_the_rest_goes_on():
    table = Table([(T, 0.0, "first"), *[(T + 5000, 1.0, f"r{i}") for i in range(9)], (T + 9000, 2.0, "last")], "row")
    table.most = 5
    rows, slices = read(source(table, slice_rows=2))
    assert [v for _, _, v in rows] == [0.0, 2.0]
    (missing,) = [m for s in slices for m in s.missing]
    assert missing.start <= T + 5000 < missing.end
    assert missing.end - missing.start <= 1000
    assert missing.what == "all rows"
    assert "gave up" in missing.why


def test_a_server_that_fails_is_asked_again_over_a_new_connection():
    table = Table([(T + i, float(i), f"r{i}") for i in range(9)], "row")
    table.errors = [ConnectionError("reset"), None, Refused(202)]
    rows, slices = read(source(table))
    assert [v for _, _, v in rows] == [float(i) for i in range(9)]
    assert not any(s.missing for s in slices)
    assert table.closed == 3


def test_a_server_that_goes_away_leaves_the_rest_of_the_time_missing():
    table = Table([(T + 1000 * i, float(i), f"r{i}") for i in range(9)], "row")
    table.errors = [None, None, *[ConnectionError("gone")] * 99]
    rows, slices = read(source(table, slice_rows=3), T, T + 10_000)
    assert 0 < len(rows) < 9
    (missing,) = slices[-1].missing
    assert missing == Missing(slices[-2].end, T + 10_000, "all rows", "clickhouse does not answer: gone")
    assert slices[-1].start == slices[-1].end == slices[-2].end, "where to go on later"
    assert slices[-1].fraction < 1.0


def test_time_without_rows_at_either_end_costs_no_query_of_its_own():
    table = Table([(T, 1.0), (T + 1, 2.0)])
    rows, slices = read(source(table), T - 10**9, T + 10**9)
    assert len(rows) == 2
    assert len(table.asked) == 2
    assert [(s.start, s.end) for s in slices] == [(T - 10**9, T + 10**9)]


def test_a_server_that_never_answers_and_a_query_that_is_refused_are_told():
    table = Table([(T, 1.0)])
    table.errors = [ConnectionError("gone")] * 99
    with pytest.raises(Transient, match="does not answer: gone"):
        read(source(table))
    table.errors = [Refused(47)]
    with pytest.raises(InputError, match=r"refused: Code: 47.*correct the query"):
        read(source(table))


def test_every_query_is_read_only_and_bounded_in_time():
    table = Table([(T, 1.0)])
    read(source(table, timeout_s=7))
    assert table.settings == [{"readonly": 2, "max_execution_time": 7}] * 2


def test_the_name_holds_no_secret():
    assert ClickHouse(Catalogue(), url="https://me:secret@db:8443/x", query="t").name == "https://db:8443"


@pytest.mark.parametrize("wrong", [{"slice_rows": 0}, {"metric_type": "guage"}, {"query": " ; "}])
def test_impossible_settings_are_refused_at_start(wrong: dict[str, Any]):
    with pytest.raises(ConfigError):
        source(Table([]), **wrong)


async def test_closing_or_cancelling_at_any_time_leaves_no_task_and_no_connection():
    for taken_first in range(4):
        before = asyncio.all_tasks()
        table = Table([(T + 1000 * i, 1.0, f"r{i}") for i in range(50)], "row")
        async with aclosing(source(table).slices()) as stream:
            for _ in range(taken_first):
                await anext(stream)
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert not {t for t in asyncio.all_tasks() - before if not t.done()}
        assert table.closed == (1 if table.asked else 0)


SCRIPT = '''
import asyncio
import clickhouse_connect
from airis_mon.errors import InputError
from airis_mon.ingest.histories.clickhouse import ClickHouse
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import series_name

connect = lambda: clickhouse_connect.get_client(interface="chdb")
client = connect()
client.command("CREATE DATABASE shop")
client.command("""CREATE TABLE shop.m (
    ts DateTime64(6, 'Asia/Seoul'), host LowCardinality(String), `v``x` Nullable(Int32),
    tags Map(String, String)) ENGINE = MergeTree ORDER BY ts""")
client.command("""INSERT INTO shop.m SELECT toDateTime64(1699999000 + intDiv(number, 4) / 1000 + 0.0005, 6),
    concat('h', toString(number % 4)), if(number = 7, NULL, number), map('a', 'b') FROM numbers(1000)""")
client.command("CREATE TABLE shop.d (timestamp DateTime, value Float64) ENGINE = MergeTree ORDER BY timestamp")
client.command("INSERT INTO shop.d SELECT 1699999000 + number * 60, number FROM numbers(1000)")

def read(start=None, end=None, **more):
    async def go():
        rows = []
        stream = source.slices(start, end)
        async for s in stream:
            assert not s.missing, s.missing
            b = s.batch
            assert all(s.start <= t < s.end for t in b.t.tolist())
            rows += zip((series_name(source.catalogue.labels(int(x))) for x in b.sid), b.t.tolist(), b.value.tolist())
        return rows
    source = ClickHouse(Catalogue(), **{"slice_rows": 150, "metric": "requests", "connect": connect} | more)
    return asyncio.run(go())

m = {"watermark": "ts", "value": "v`x"}
rows = read(query="shop.m", **m)
assert sorted(v for _, _, v in rows) == [float(i) for i in range(1000) if i != 7], len(rows)
assert min(t for _, t, _ in rows) == 1_699_999_000_000
assert [t for _, t, _ in rows] == sorted(t for _, t, _ in rows)
assert {n for n, _, _ in rows} == {f'requests{{a="b",host="h{i}",job="clickhouse"}}' for i in range(4)}
rows = read(1_699_999_000_010, 1_699_999_000_020, query="shop.m", **m)
assert sorted(v for _, _, v in rows) == [float(i) for i in range(40, 80)], rows
query = """SELECT ts, `v``x` FROM shop.m
    WHERE ts > {since:DateTime64(3)} AND ts < addMilliseconds({until:DateTime64(3)}, 1);"""
rows = read(query=query, **m)
assert len({v for _, _, v in rows}) == len(rows) == 250, len(rows)  # one series: four rows of each time
assert [v for _, _, v in read(query="shop.d")] == [float(i) for i in range(1000)]
assert read(query="SELECT * FROM shop.d WHERE value < 0") == []
for wrong in ("shop.none", "INSERT INTO shop.d (value) VALUES (1)", "SELECT value FROM shop.d"):
    try:
        read(query=wrong)
        raise SystemExit(wrong)
    except InputError:
        pass
assert client.query("SELECT count() FROM shop.d").result_rows == [(1000,)]
print("good")
'''


@pytest.mark.slow
def test_a_real_engine_answers_the_queries_exactly(tmp_path: Path):
    pytest.importorskip("chdb")
    script = tmp_path / "read.py"  # a process of its own: chDB opens one folder per process
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("good")
