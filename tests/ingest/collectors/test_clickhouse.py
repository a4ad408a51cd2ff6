from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace as Made
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import ConfigError
from airis_mon.ingest.collectors.clickhouse import ClickHouse
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.labels import series_name

NOW = 1_700_000_000_000


class Table:
    """Answers the collector's one query from a list of rows (t ms, value, labels ...), as ClickHouse would."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.rows: list[tuple[Any, ...]] = []
        self.server_settings: dict[str, Any] = {}
        self.asked: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.error: Exception | None = None
        self.closed = 0

    def query(self, query: str, *, parameters: dict[str, Any], settings: dict[str, Any], column_oriented: bool) -> Made:
        self.asked.append((parameters, settings))
        if self.error:
            raise self.error
        rows = sorted((r for r in self.rows if parameters["since_ms"] < r[0] <= parameters["until_ms"]), key=at)
        n = parameters["limit_rows"]
        if len(rows) > n:
            rows = rows[:n] + [r for r in rows[n:] if r[0] == rows[n - 1][0]]
        return Made(column_names=("_t", "_v", *self.columns), result_columns=[list(c) for c in zip(*rows, strict=True)])

    def close(self) -> None:
        self.closed += 1


def at(row: tuple[Any, ...]) -> int:
    return int(row[0])


class Stepping:
    """A clock whose sleep returns at once and calls what the test wants to happen meanwhile."""

    def __init__(self, *meanwhile: Any) -> None:
        self.t = NOW
        self.meanwhile = list(meanwhile)

    def now(self) -> int:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.t += round(seconds * 1000)
        if not self.meanwhile:
            raise asyncio.CancelledError  # the test is over
        self.meanwhile.pop(0)()


def source(table: Table, clock: Stepping, catalogue: Catalogue | None = None, **more: Any) -> ClickHouse:
    more = {"query": "t", "metric": "m", "interval_s": 10, "lag_s": 0, "overlap_s": 30, "lookback_s": 3600} | more
    return ClickHouse(Catalogue() if catalogue is None else catalogue, connect=lambda: table, clock=clock, **more)


async def read(collector: ClickHouse) -> list[tuple[str, int, float]]:
    rows: list[tuple[str, int, float]] = []
    try:
        async for b in collector.batches():
            names = [series_name(collector.catalogue.labels(int(s))) for s in b.sid]
            rows += zip(names, b.t.tolist(), b.value.tolist(), strict=True)
    except asyncio.CancelledError:
        pass
    return rows


async def test_every_other_column_is_a_label_and_a_map_gives_one_per_entry():
    table = Table("host", "status-code", "tags", "gone")
    table.rows = [(NOW - 5, 1.5, "h1", 200, {"zone": "b", "az": "a"}, None)]
    assert await read(source(table, Stepping(), name="shop")) == [
        ('m{az="a",host="h1",job="shop",status_code="200",zone="b"}', NOW - 5, 1.5)
    ]


async def test_a_column_named_metric_names_the_series_and_the_type_is_told():
    table = Table("metric")
    table.rows = [(NOW - 2, 1.0, "cpu"), (NOW - 1, 2.0, "mem")]
    catalogue = Catalogue()
    rows = await read(source(table, Stepping(), catalogue, metric="", metric_type="gauge"))
    assert [name for name, _, _ in rows] == ['cpu{job="clickhouse"}', 'mem{job="clickhouse"}']
    assert catalogue.types == {"cpu": MetricType.GAUGE, "mem": MetricType.GAUGE}


async def test_rows_without_a_metric_are_refused_by_row_and_the_others_are_kept():
    table = Table("metric")
    table.rows = [(NOW - 2, 1.0, None), (NOW - 1, 2.0, "mem")]
    collector = source(table, Stepping(), metric="")
    stream = collector.batches()
    batch = await anext(stream)
    await stream.aclose()
    assert (len(batch), batch.refused, batch.refusals[0].path) == (1, 1, "row 0")


async def test_rows_that_come_late_are_found_and_nothing_is_handed_out_twice():
    table = Table()
    table.rows = [(NOW - 5_000, 1.0)]
    clock = Stepping(
        lambda: table.rows.append((NOW - 4_000, 2.0)),  # late: read at NOW already
        lambda: table.rows.append((NOW + 20_000, 3.0)),
        lambda: None,
    )
    assert [v for _, _, v in await read(source(table, clock))] == [1.0, 2.0, 3.0]


async def test_rows_newer_than_the_lag_wait():
    table = Table()
    table.rows = [(NOW - 5_000, 1.0), (NOW - 1_000, 2.0)]
    assert [v for _, _, v in await read(source(table, Stepping(), lag_s=3))] == [1.0]
    assert len(await read(source(table, Stepping(lambda: None), lag_s=3))) == 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 7))
def test_pages_of_any_size_hand_out_every_row_once(times: list[int], limit: int):
    table = Table("row")
    table.rows = [(NOW - 100 + t, float(i), f"r{i}") for i, t in enumerate(times)]
    rows = asyncio.run(read(source(table, Stepping(lambda: None), limit_rows=limit)))
    assert sorted(v for _, _, v in rows) == [float(i) for i in range(len(times))]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 90), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 8))
def test_a_reader_that_starts_again_from_its_cursor_misses_nothing(times: list[int], limit: int, taken: int):
    table = Table("row")
    table.rows = [(NOW - 100_000 + 1000 * t, float(i), f"r{i}") for i, t in enumerate(times)]

    async def interrupted() -> tuple[set[float], str]:
        collector, values = source(table, Stepping(), limit_rows=limit), set()
        stream = collector.batches()
        try:
            for _ in range(taken):
                values |= set((await anext(stream)).value.tolist())
        except asyncio.CancelledError:
            pass
        cursor = collector.cursor
        await stream.aclose()
        return values, cursor

    first, cursor = asyncio.run(interrupted())
    second = asyncio.run(read(source(table, Stepping(), limit_rows=limit, cursor=cursor, overlap_s=0)))
    assert first | {v for _, _, v in second} == {float(i) for i in range(len(times))}


async def test_the_cursor_covers_only_what_was_taken():
    table = Table()
    table.rows = [(NOW - 50, 1.0), (NOW - 40, 2.0)]
    collector = source(table, Stepping(), limit_rows=1)
    stream = collector.batches()
    await anext(stream)
    assert int(collector.cursor) < NOW - 50
    await anext(stream)
    assert int(collector.cursor) == NOW - 50
    await stream.aclose()


async def test_a_batch_that_was_not_taken_is_handed_out_again():
    table = Table()
    table.rows = [(NOW - 50, 1.0)]
    collector = source(table, Stepping())
    for _ in range(2):
        stream = collector.batches()
        assert (await anext(stream)).value.tolist() == [1.0]
        await stream.aclose()


async def test_every_query_is_read_only_and_bounded_in_time():
    table = Table()
    await read(source(table, Stepping(lambda: None), timeout_s=7))
    assert [s for _, s in table.asked] == [{"readonly": 2, "max_execution_time": 7}] * 2
    table.server_settings = {"readonly": Made(value="1")}
    await read(source(table, Stepping()))
    assert table.asked[-1][1] == {}


async def test_a_server_that_fails_is_told_and_asked_again_with_a_new_connection():
    table = Table()
    table.rows = [(NOW - 5, 1.0)]
    table.error = ConnectionError("refused")
    seen: list[dict[str, Any]] = []

    def mend() -> None:
        seen.append(collector.health())
        table.error = None

    collector = source(table, Stepping(mend))
    assert len(await read(collector)) == 1
    assert seen[0]["degraded"] == ["clickhouse"]
    assert collector.health()["error"] == ""
    assert table.closed == 2


async def test_bounds_are_given_to_the_query_as_seconds_with_milliseconds():
    table = Table()
    await read(source(table, Stepping(), overlap_s=0, lookback_s=1))
    parameters = table.asked[0][0]
    assert (parameters["since"], parameters["until"]) == ("1699999999.000", "1700000000.000")


@pytest.mark.parametrize("wrong", [{"overlap_s": -1}, {"overlap_s": 10**6}, {"metric_type": "guage"}, {"query": " ; "}])
def test_impossible_settings_are_refused_at_start(wrong: dict[str, Any]):
    with pytest.raises(ConfigError):
        source(Table(), Stepping(), **wrong)


SCRIPT = '''
import asyncio, datetime, sys
import clickhouse_connect
from airis_mon.ingest.collectors.clickhouse import ClickHouse
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

class Clock:
    def now(self): return 1_700_000_000_000
    async def sleep(self, seconds): raise asyncio.CancelledError

async def read(**more):
    fixed = dict(watermark="ts", value="v`x", limit_rows=150, clock=Clock(), connect=connect)
    source = ClickHouse(Catalogue(), **fixed, **more)
    rows = []
    try:
        async for b in source.batches():
            rows += zip((series_name(source.catalogue.labels(int(s))) for s in b.sid), b.t.tolist(), b.value.tolist())
    except asyncio.CancelledError:
        pass
    assert not source.health()["error"], source.health()
    return rows

table = asyncio.run(read(query="shop.m", metric="requests"))
assert sorted(v for _, _, v in table) == [float(i) for i in range(1000) if i != 7], len(table)
assert min(t for _, t, _ in table) == 1_699_999_000_000
assert {n for n, _, _ in table} == {f'requests{{a="b",host="h{i}",job="clickhouse"}}' for i in range(4)}
query = """SELECT ts, `v``x`, concat('of_', host) AS metric FROM shop.m
    WHERE ts > {since:DateTime64(3)} AND ts < {until:DateTime64(3)};"""
assert len(asyncio.run(read(query=query))) == 999
assert len(asyncio.run(read(query="shop.m", metric="m", labels=["host"]))) == 999

write = "INSERT INTO shop.m (host) VALUES ('x')"
late = ClickHouse(Catalogue(), query=write, metric="m", clock=Clock(), connect=connect)
try:
    asyncio.run(anext(late.batches()))
except asyncio.CancelledError:
    pass
assert late.health()["error"], "a write must fail"
assert client.query("SELECT count() FROM shop.m").result_rows == [(1000,)]
print("good")
'''


@pytest.mark.slow
def test_a_real_engine_answers_the_query_exactly(tmp_path: Path):
    pytest.importorskip("chdb")
    script = tmp_path / "read.py"  # a process of its own: chDB opens one folder per process
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("good")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a filled table behind a password."""
    pytest.importorskip("chdb")
    front = Path(__file__).parents[2] / "clickhouse_front.py"
    args = [sys.executable, str(front), str(tmp_path / "data"), "hidden"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = f"http://default:hidden@127.0.0.1:{int(process.stdout.readline())}/default"
            fill(url)
            yield url
        finally:
            process.kill()


@pytest.mark.live
@pytest.mark.slow
async def test_the_real_client_reads_the_same_over_http_and_resumes(server: str):
    settings = {"query": "m", "metric": "requests", "interval_s": 0.05, "lag_s": 0, "limit_rows": 70, "url": server}
    first, values = ClickHouse(Catalogue(), **settings), []
    async with asyncio.timeout(30):
        stream = first.batches()
        for _ in range(2):
            values += (await anext(stream)).value.tolist()
        await stream.aclose()
        second = ClickHouse(Catalogue(), cursor=first.cursor, **settings)
        stream = second.batches()
        while len(set(values)) < 300:
            values += (await anext(stream)).value.tolist()
        await stream.aclose()
    assert set(values) == {float(i) for i in range(300)}


@pytest.mark.live
@pytest.mark.slow
async def test_a_refused_password_is_told_and_not_repeated(server: str):
    url = server.replace("hidden", "guess-me")
    collector = ClickHouse(Catalogue(), query="m", metric="requests", interval_s=0.05, url=url)
    getting = asyncio.ensure_future(anext(collector.batches()))
    async with asyncio.timeout(30):
        while not collector.health()["error"]:
            await asyncio.wait({getting}, timeout=0.05)
    getting.cancel()
    await asyncio.gather(getting, return_exceptions=True)
    assert "guess-me" not in str(collector.health())


def fill(url: str) -> None:
    import clickhouse_connect

    client = clickhouse_connect.get_client(dsn=url)
    client.command(
        "CREATE TABLE m (timestamp DateTime64(3), value Float64, host String) ENGINE = MergeTree ORDER BY host"
    )
    client.command(
        "INSERT INTO m SELECT fromUnixTimestamp64Milli(toUnixTimestamp64Milli(now64(3)) - 2000 - number), number, "
        "concat('h', toString(number % 3)) FROM numbers(300)"
    )
    client.close()
