"""Samples in ClickHouse: embedded in this process (chDB) or a server, with one schema and one SQL."""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np

from airis_mon.errors import ConfigError, TooLarge
from airis_mon.events.anomaly import Anomaly
from airis_mon.events.prediction import Prediction
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC
from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Foreseen, Grid, Matcher, Outcomes, Rolled, SeriesRow
from airis_mon.store.connection import ClientPool, DirectoryLock, parse_address
from airis_mon.store.decimals import to_decimals
from airis_mon.store.foresight import Foresight
from airis_mon.store.grids import FUNCTIONS, Grids
from airis_mon.store.migrate import fill, migrate, templates
from airis_mon.store.native import block, fixed, low_cardinality, text, text_map
from airis_mon.store.order import SeriesOrder
from airis_mon.store.patience import ENDLESS, Patience
from airis_mon.store.pieces import blocks, collapse, cut
from airis_mon.store.rollups import Rollup, Rollups
from airis_mon.store.selectors import EARLIEST, LATEST, condition, one_of, span, within
from airis_mon.store.seriestable import COLUMNS, SeriesTable

MAX_DAYS = 10_000
"""The longest retention: ClickHouse computes a row's end of life in 32 bits of seconds, which end in 2106."""
QUERY_S = 60
"""No query takes longer."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SAMPLE = ("tenant", "metric", "fp", "ts", "mantissa", "exponent")
_FACT = ("value", "score", "onset", "level", "expected", "lower", "upper")
_ANOMALY = ("tenant", "fp", "signal", "ts", "labels", *_FACT, "feature")
_SELECT_SAMPLES = """SELECT fp, toUnixTimestamp64Milli(ts) AS t, value FROM samples
    WHERE {within} AND tenant = {{tenant:String}} AND ts BETWEEN
        fromUnixTimestamp64Milli({{start:Int64}}, 'UTC') AND fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
    ORDER BY {order} {tail}"""
# `s.`: without it the alias `t` or `value` would be taken for the column.
_SELECT_LAST = """SELECT fp, toUnixTimestamp64Milli(max(s.ts)) AS t, argMax(s.value, s.ts) AS value FROM samples AS s
    WHERE {within} AND tenant = {{tenant:String}} AND ts BETWEEN
        fromUnixTimestamp64Milli({{start:Int64}}, 'UTC') AND fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
    GROUP BY fp ORDER BY fp {tail}"""
_SELECT_ANOMALIES = """SELECT fp, labels, signal, toUnixTimestamp64Milli(ts), {columns}, feature FROM anomalies FINAL
    WHERE {within} AND tenant = {{tenant:String}} AND ts BETWEEN
        fromUnixTimestamp64Milli({{start:Int64}}, 'UTC') AND fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
    AND score >= {{min_score:Float64}} ORDER BY ts DESC, score DESC, fp, signal {tail}"""


class ClickHouse:
    """The `SeriesStore` on ClickHouse. Close it to let the directory go; never fork a process that has it open.

    url: a path or `chdb:///path` for the embedded engine, `http(s)://user:password@host:8123/database` for a server.
    database: another one than the URL's; without either it is `airis`.
    tenant: whose rows this store reads and writes; it leads every key. retention_days: how long samples stay;
    history_days: how long anomalies, hourly rollups, forecasts and warnings stay. memory_bytes: what the embedded
    engine may use; one query may use half of it. cluster: the server's cluster name, if tables are to be replicated
    and distributed. pool: queries that run at once. durability: "process" survives the end of the process, "fsync" of
    the machine.

    Equal (series, time) with different values: the greatest value is read, any number before NaN. Which one arrived
    first is not kept.
    """

    def __init__(
        self,
        *,
        url: str,
        database: str = "",
        tenant: str = "default",
        retention_days: int = 15,
        history_days: int = 400,
        memory_bytes: int = 1_000_000_000,
        cluster: str | None = None,
        pool: int = 4,
        durability: str = "process",
    ) -> None:
        self.address = parse_address(url)
        self.database = database or self.address.database or "airis"
        self.tenant = tenant
        for setting, name in (("database", self.database), ("cluster", cluster or "x")):
            if not _NAME.match(name):
                raise ConfigError(f"store.{setting} {name!r} must be letters, digits and underscores")
        for setting, days in (("retention_days", retention_days), ("history_days", history_days)):
            if not 1 <= days <= MAX_DAYS:
                raise ConfigError(f"store.{setting} = {days} must be between 1 and {MAX_DAYS}")
        if durability not in {"process", "fsync"}:
            raise ConfigError(f"store.durability {durability!r} must be 'process' or 'fsync'")
        if cluster and self.address.path:
            raise ConfigError("store.cluster needs a ClickHouse server: set store.url to http(s)://...")
        self._mine: dict[str, Any] = {"tenant": tenant}
        self._is_fsync = durability == "fsync"
        self._templates = templates(self.database, cluster, retention_days, history_days)
        self._is_cluster = cluster is not None
        self._clients = ClientPool(self.address, self.database, _limits(memory_bytes), memory_bytes, pool)
        self._lock = DirectoryLock(self.address.path) if self.address.path else None
        self._writing = threading.Lock()
        self._order = SeriesOrder()
        self._ordered: Catalogue | None = None
        self._rollups = Rollups(self._numbers, self._execute)
        self._series = SeriesTable(self._clients, tenant, lambda: self._ordered)
        self._grids = Grids(self._clients, tenant, lambda: self._ordered)
        self._foresight = Foresight(self._clients, tenant, self._insert)

    def open(self) -> None:
        """Connects, creates or migrates the schema. Raises StoreError in words a user can act on."""
        if self._lock:
            self._lock.acquire()
        try:
            with self._clients.translated():
                self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        first = self._clients.anchor()
        found = first.command("SELECT count() FROM system.databases WHERE name = {name:String}", self._named())
        if not int(str(found)):
            create = f"CREATE DATABASE IF NOT EXISTS {self.database} {{on_cluster}} ENGINE = Atomic"
            first.command(fill(create, self._templates))
        with self._clients.client(is_writer=True) as client:
            migrate(client, self._templates)
            self._adjust(client)

    def _named(self) -> dict[str, Any]:
        return {"name": self.database}

    def close(self) -> None:
        """Ends all connections; the embedded engine finishes its merges."""
        self._clients.close()
        if self._lock:
            self._lock.release()

    def drop(self) -> None:
        """Ends the database and everything in it."""
        with self._clients.translated():
            drop = f"DROP DATABASE IF EXISTS {self.database} {{on_cluster}} SYNC"
            self._clients.anchor().command(fill(drop, self._templates))

    def databases(self, prefix: str) -> list[str]:
        """The names of all databases of this engine that begin so."""
        sql = "SELECT name FROM system.databases WHERE startsWith(name, {prefix:String}) ORDER BY name"
        with self._clients.translated():
            return [str(row[0]) for row in self._clients.anchor().query(sql, {"prefix": prefix}).result_rows]

    def warm(self, catalogue: Catalogue, batch: Batch) -> None:
        """Compiles or loads the kernels of writing and reading, on a batch that is not kept."""
        with self._writing:
            order, self._order = self._order, SeriesOrder()
            self._encode(catalogue, batch)
            self._order = order
        collapse([catalogue.fp[batch.sid], batch.t, batch.value])

    def ping(self) -> None:
        """Raises StoreBusy when the engine does not answer."""
        with self._clients.client() as client:
            client.command("SELECT 1")

    def write(self, catalogue: Catalogue, batch: Batch, token: str) -> None:
        """Commits a batch whose sids are the catalogue's; the same token twice stores it once.

        Rows may be in any order. When it returns, the rows survive the end of this process.
        """
        if not len(batch):
            return
        with self._writing:
            if catalogue is not self._ordered:
                self._order, self._ordered = SeriesOrder(), catalogue
            body = self._encode(catalogue, batch)
            self._insert("samples", _SAMPLE, body, "Native", token)
        self._rollups.note(batch.t)

    def _encode(self, catalogue: Catalogue, batch: Batch) -> bytes:
        self._order.follow(catalogue)
        sid, fp, t, value = self._order.sort(batch)
        mantissa, exponent = to_decimals(sid, value, self._order.exponent)
        metric = self._order.metric[sid]
        starts = np.concatenate([[0], np.flatnonzero(metric[1:] != metric[:-1]) + 1])
        index = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(metric)))
        names = [self._order.metrics[m] for m in metric[starts]]
        columns = [
            low_cardinality("tenant", [self.tenant], np.zeros(len(sid), np.uint8)),
            low_cardinality("metric", names, index),
            fixed("fp", "UInt64", fp),
            fixed("ts", "DateTime64(3, 'UTC')", t),
            fixed("mantissa", "Int64", mantissa),
            fixed("exponent", "Int8", exponent),
        ]
        return block(len(sid), columns)

    def _insert(self, table: str, columns: Sequence[str], body: bytes, form: str, token: str | None = None) -> None:
        settings: dict[str, Any] = {"async_insert": 0}
        if token:
            settings["insert_deduplication_token"] = token
            settings["max_partitions_per_insert_block"] = 1000  # one per day of the samples' times
        if self._is_cluster:
            settings["distributed_foreground_insert"] = 1
        with self._clients.client(is_writer=True) as client:
            client.raw_insert(table, columns, body, settings, form)

    def write_series(self, rows: Sequence[SeriesRow]) -> None:
        """Adds or refreshes series; the earliest `first_seen` and the latest `last_seen` stay."""
        if rows:
            self._insert("series", COLUMNS, self._series.encoded(rows), "RowBinary")
            self._series.note(rows)

    def write_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        """Adds anomalies; one with a known id replaces itself."""
        if anomalies:
            self._insert("anomalies", _ANOMALY, b"".join(_anomaly_row(self.tenant, a) for a in anomalies), "RowBinary")

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> list[SeriesRow]:
        """Series that match every matcher and were seen within [start, end] (exact to the hour), ordered by fp.

        The list is shared: never change it. What others write to the store's server may be seen a minute later.
        Raises InputError for a regular expression that RE2 does not take.
        """
        return self._series.find(matchers, start, end, limit, Patience.of(timeout_s, check))

    def series_by_fp(self, fps: Sequence[int]) -> list[SeriesRow]:
        """The series of these fingerprints, whenever they were seen, ordered by fp; unknown ones are left out."""
        return self._series.by_fp(fps)

    def load_series(self, since: int | None = None) -> Iterator[SeriesRow]:
        """Every series seen since then, in no order, a page at a time: for the start of the engine."""
        return self._series.load(since)

    def label_names(
        self, matchers: Sequence[Matcher] = (), start: int | None = None, end: int | None = None
    ) -> list[str]:
        """The names of the labels of the series that `series` would give, sorted."""
        return self._series.label_names(matchers, start, end)

    def label_values(
        self,
        name: str,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
    ) -> list[str]:
        """The first `limit` values, sorted, that a label has in the series that `series` would give."""
        return self._series.label_values(name, matchers, start, end, limit)

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
        *,
        most: int = 11_000_000,
    ) -> Columns:
        """The first `limit` samples of some series within [start, end], one row per (fp, t).

        Without `limit` all of them: raises TooLarge when more than `most` rows are stored.
        """
        if not len(fps):
            return collapse([])
        patience = Patience.of(timeout_s, check)
        if limit is not None:
            return self._first_samples(fps, start, end, limit, patience)
        rows = self._select(_SELECT_SAMPLES, fps, start, end, tail=f"LIMIT {int(most) + 1}", patience=patience)
        if rows and len(rows[0]) > most:
            raise TooLarge(f"more than {most} samples are asked for; ask for fewer series or a shorter time")
        return collapse(rows)

    def _first_samples(self, fps: Sequence[int], start: int, end: int, limit: int, patience: Patience) -> Columns:
        rows = limit + 1  # of the last time that is read some rows may be missing, so it is never given
        while True:
            found = self._select(_SELECT_SAMPLES, fps, start, end, tail=f"LIMIT {int(rows)}", patience=patience)
            columns = collapse(found)
            if len(columns.t) > limit or not found or len(found[0]) < rows:
                return Columns(columns.fp[:limit], columns.t[:limit], columns.value[:limit])
            rows *= 2  # repeated rows took the place of others

    def scan(self, start: int, end: int, rows: int = 500_000) -> Iterator[Columns]:
        """All samples with start < t <= end, in pieces of about `rows` that follow each other in time."""
        for spans in blocks(self._numbers, max(start, EARLIEST) + 1, min(end, LATEST), rows):
            yield from cut(collapse(self._select(_SELECT_SAMPLES, None, spans[0][0], spans[-1][1])), spans)

    @property
    def grid_functions(self) -> frozenset[str]:
        """Functions that `grid` computes."""
        return FUNCTIONS

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Grid:
        """PromQL's function of the samples in (t - window, t] at each step t, as `SeriesStore.grid` says."""
        patience = Patience.of(QUERY_S if timeout_s is None else timeout_s, check)
        return self._grids.compute(fps, function, steps, window, args, patience)

    def last_samples(self, fps: Sequence[int] | None, before: int, window: int) -> Columns:
        """The latest sample of each series within (before - window, before]; `fps` None = of all series."""
        return collapse(self._select(_SELECT_LAST, fps, before - window + 1, before))

    def _select(
        self, sql: str, fps: Sequence[int] | None, start: int, end: int, tail: str = "", patience: Patience = ENDLESS
    ) -> list[Any]:
        rows = within(fps, self._ordered)
        asked = sql.format(within=rows.sql, order=rows.order, tail=tail)
        return self._numbers(asked, rows.parameters | span(start, end), patience)

    def _numbers(self, sql: str, parameters: dict[str, Any], patience: Patience = ENDLESS) -> list[Any]:
        return self._clients.columns(sql, parameters | self._mine, patience)

    def anomalies(
        self,
        fps: Sequence[int] | None,
        start: int,
        end: int,
        min_score: float = 0.0,
        limit: int = 1000,
        matchers: Sequence[Matcher] = (),
    ) -> list[Anomaly]:
        """Anomalies within [start, end] whose series meets every matcher, newest first; `fps` None = of all series.

        Raises InputError for a regular expression that RE2 does not take.
        """
        where, parameters = condition(matchers, metric=f"labels['{METRIC}']")
        within = f"{one_of(fps)} AND ({where})"
        sql = _SELECT_ANOMALIES.format(within=within, columns=", ".join(_FACT), tail=f"LIMIT {int(limit)}")
        parameters |= span(start, end) | self._mine | {"min_score": float(min_score)}
        with self._clients.client() as client:
            found = client.query(sql, parameters).result_rows
        return [Anomaly(fp, tuple(labels.items()), *rest) for fp, labels, *rest in found]

    def write_forecasts(self, points: Foreseen, interval_ms: int) -> None:
        """Adds the forecasts of a round, as `SeriesStore.write_forecasts` says."""
        self._foresight.write_forecasts(points, interval_ms)

    def forecasts(
        self,
        fps: Sequence[int] | None,
        start: int,
        end: int,
        reach_ms: int,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Foreseen:
        """What stood, as `SeriesStore.forecasts` says."""
        return self._foresight.stood(fps, start, end, reach_ms, Patience.of(timeout_s, check))

    def forecast_points(self, since: int, until: int, start: int, end: int) -> Foreseen:
        """Points with t within [start, end] of the rounds made within [since, until], by (made, fp, kind, t)."""
        return self._foresight.of_rounds(since, until, start, end)

    def forecast_rounds(self, since: int, until: int) -> list[int]:
        """When rounds were made within [since, until], ascending."""
        return self._foresight.made(since, until)

    def write_outcomes(self, outcomes: Outcomes) -> None:
        """Adds what became of a round's forecasts; one known by (made, fp, kind, lead) replaces itself."""
        self._foresight.write_outcomes(outcomes)

    def outcomes(self, since: int, until: int, fps: Sequence[int] | None = None) -> Outcomes:
        """Sums over the rounds made within [since, until], by (fp, kind, model, lead); `fps` None = of all series."""
        return self._foresight.outcomes(since, until, fps)

    def scored(self, since: int, until: int) -> set[tuple[int, int]]:
        """(made, lead) of the rounds within [since, until] whose outcome is there."""
        return self._foresight.scored(since, until)

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Adds warnings; one with a known id replaces itself, the one updated last stays."""
        self._foresight.write_predictions(predictions)

    def predictions(
        self,
        start: int,
        end: int,
        is_open: bool | None = None,
        limit: int = 1000,
        kinds: Collection[str] = (),
        matchers: Sequence[Matcher] = (),
    ) -> list[Prediction]:
        """Warnings that stood within [start, end], as `SeriesStore.predictions` says."""
        return self._foresight.predictions(start, end, is_open, limit, kinds, matchers)

    def prediction(self, ident: str) -> Prediction | None:
        """The warning with this id, None when there is none."""
        return self._foresight.prediction(ident)

    def maintain(self, now: int) -> None:
        """What is due from time to time: rollups of the windows that have closed by `now` (ms)."""
        self._rollups.maintain(now)

    def rebuild_rollups(self, start: int, end: int) -> None:
        """Builds the rollups of [start, end) from the samples again; they replace what was there."""
        self._rollups.rebuild(start, end)

    def rollups(self, fps: Sequence[int] | None, start: int, end: int, resolution_ms: int) -> Rollup:
        """Windows of five minutes, or of an hour from `resolution_ms` of an hour on, that begin within [start, end]."""
        return self._rollups.load(one_of(fps), span(start, end), resolution_ms)

    def rolled(self, fps: Sequence[int], steps: Steps) -> Rolled:
        """Mean and latest value in [t - step, t) at each step t, from rollups, as `SeriesStore.rolled` says."""
        rows = within(fps, self._ordered)
        return self._rollups.rolled(rows.sql, rows.parameters, steps)

    def size(self) -> tuple[int, int]:
        """(bytes on disk of all tables, stored samples, repeated ones included)."""
        disk, rows = self._numbers(
            """SELECT toUInt64(sum(bytes_on_disk)), toUInt64(sumIf(rows, table LIKE 'samples%'))
            FROM system.parts WHERE active AND database = {name:String}""",
            self._named(),
        )
        return int(disk[0]), int(rows[0])

    def _execute(self, sql: str, parameters: dict[str, Any]) -> None:
        with self._clients.client() as client:
            client.command(sql, parameters | self._mine)

    def _adjust(self, client: Any) -> None:
        """Brings tables of an earlier start to the settings of this one."""
        values, local = self._templates, self._templates["local"]
        fsync = f"fsync_after_insert = {int(self._is_fsync)}, fsync_part_directory = {int(self._is_fsync)}"
        for table, ttl in _lives(values).items():
            name = f"{self.database}.{table}{local} {values['on_cluster']}"
            made = str(client.command(f"SHOW CREATE TABLE {table}{local}"))
            if ttl not in made:
                client.command(f"ALTER TABLE {name} MODIFY {ttl}")
            if ("fsync_after_insert = 1" in made) != self._is_fsync:
                client.command(f"ALTER TABLE {name} MODIFY SETTING {fsync}")


def _limits(memory_bytes: int) -> dict[str, Any]:
    return {
        "async_insert": 0,
        "max_memory_usage": memory_bytes // 2,
        "max_bytes_before_external_group_by": memory_bytes // 4,
        "max_bytes_before_external_sort": memory_bytes // 4,
        "max_execution_time": QUERY_S,
        "max_query_size": 50_000_000,  # fingerprints of a wide query stand in its text
        "use_query_condition_cache": 0,
    }


def _anomaly_row(tenant: str, a: Anomaly) -> bytes:
    key = text(tenant) + struct.pack("<Q", a.fp) + text(a.signal) + struct.pack("<q", a.t) + text_map(a.labels)
    numbers = struct.pack("<7d", a.value, a.score, a.onset, a.level, a.expected, a.lower, a.upper)
    return key + numbers + text(a.feature)


def _lives(values: dict[str, str]) -> dict[str, str]:
    """How long rows stay, as the engine writes it, by table."""
    return {
        "samples": f"TTL toDateTime(ts) + toIntervalDay({values['retention_days']})",
        "anomalies": f"TTL toDateTime(ts) + toIntervalDay({values['history_days']})",
        "forecast": (
            f"TTL toDateTime(t) + toIntervalDay({values['history_days']}), "
            f"toDateTime(t) + toIntervalDay({values['spare_days']}) WHERE spare = 1"
        ),
        "outcome": f"TTL toDateTime(made) + toIntervalDay({values['history_days']})",
        "prediction": f"TTL toDateTime(updated) + toIntervalDay({values['history_days']})",
        "rollup_5m": f"TTL t + toIntervalDay({values['rollup_days']})",
        "rollup_1h": f"TTL t + toIntervalDay({values['history_days']})",
        "series": f"TTL toDateTime(last_seen) + toIntervalDay({values['retention_days']})",
    }
