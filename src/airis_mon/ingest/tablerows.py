"""Rows of a ClickHouse table or SELECT as samples: the query's parts, and labels -> series."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from airis_mon.errors import ConfigError, InputError, Refusal
from airis_mon.series.batch import MAX_REFUSALS, Ids
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import METRIC, canonical

_TABLE = re.compile(r"[\w`\"]+(?:\.[\w`\"]+)?")
_NOT_IN_A_LABEL = re.compile(r"[^a-zA-Z0-9_]")


class Client(Protocol):
    """What is used of a clickhouse-connect client."""

    @property
    def server_settings(self) -> Mapping[str, Any]:
        """The settings of the account."""

    def query(self, query: str, *, parameters: dict[str, Any], settings: dict[str, Any], column_oriented: bool) -> Any:
        """The answer, its columns as lists of Python's own values."""

    def close(self) -> None:
        """Ends the connection."""


class Labelling:
    """Which series a row belongs to: every column a label, a Map's entries one each, `job` unless a column says so.

    metric: the name of all series; without it a column named `metric` has it. metric_type: what the metrics are.
    """

    def __init__(self, catalogue: Catalogue, *, job: str, metric: str, metric_type: str) -> None:
        if metric_type.upper() not in MetricType.__members__:
            raise ConfigError(f"metric_type {metric_type!r} is none of {[m.name.lower() for m in MetricType]}")
        self._catalogue = catalogue
        self._job, self._metric, self._type = job, metric, MetricType[metric_type.upper()]
        self._sids: dict[tuple[Any, ...], int] = {}  # by a row's label values; -1 = refused
        self._refused: dict[tuple[Any, ...], str] = {}  # why
        self._epoch = catalogue.epoch

    def sids(self, names: list[str], columns: list[Any], n: int) -> tuple[Ids, list[Refusal], int]:
        """(n,) sids, -1 where a row's labels cannot be used; some of the reasons, and how many such rows there are."""
        if self._epoch != self._catalogue.epoch or len(self._sids) > 2 * self._catalogue.max_series:
            self._epoch = self._catalogue.epoch
            self._sids.clear()
            self._refused.clear()
        # Without Python's own loop for a row that is like another: a million rows of three labels took 9.7 s with one.
        keys = list(zip(*map(_hashable, columns), strict=True)) if columns else [()] * n
        for key in dict.fromkeys(keys):
            if key not in self._sids:
                self._sids[key] = self._sid(names, key)
        sids = np.fromiter(map(self._sids.__getitem__, keys), np.int32, n)
        bad = np.flatnonzero(sids < 0)
        told = [(i, keys[i]) for i in bad[:MAX_REFUSALS].tolist()]
        refusals = [
            Refusal(f"row {i}", str(dict(zip(names, key, strict=True)))[:200], self._refused[key]) for i, key in told
        ]
        return sids, refusals, len(bad)

    def _sid(self, names: list[str], key: tuple[Any, ...]) -> int:
        pairs: dict[str, str] = {"job": self._job}
        for name, value in zip(names, key, strict=True):
            entries = value if isinstance(value, tuple) else ((name, value),)
            pairs.update((_NOT_IN_A_LABEL.sub("_", n), _text(v)) for n, v in entries if v is not None)
        if self._metric:
            pairs[METRIC] = self._metric
        elif "metric" in pairs:
            pairs[METRIC] = pairs.pop("metric")
        try:
            sid = self._catalogue.intern(canonical(pairs.items()))
        except (InputError, ValueError) as e:
            self._refused[key] = str(e)
            return -1
        take_types(self._catalogue, [(pairs[METRIC], self._type)])
        return sid


def page_sql(query: str, watermark: str, value: str, labels: Sequence[str] | None) -> str:
    """The query of one page, in order of time: since_ms < time <= until_ms, `limit_rows` and all of the last's time.

    Columns: _t (ms), _v, then those of the labels, all others unless given. The bounds stand on the bare column, so
    that a table's index is used; whole milliseconds are read or left.
    """
    time, number = quoted(watermark), quoted(value)
    rest = [f"* EXCEPT ({time}, {number})"] if labels is None else [quoted(c) for c in labels]
    columns = [f"toUnixTimestamp64Milli(toDateTime64({time}, 3)) AS _t", f"toFloat64(assumeNotNull({number})) AS _v"]
    clauses = [
        f"SELECT {', '.join(columns + rest)}",
        f"FROM {_source(query)}",
        f"WHERE {time} >= fromUnixTimestamp64Milli({{since_ms:Int64}} + 1)",
        f"AND {time} < fromUnixTimestamp64Milli({{until_ms:Int64}} + 1) AND isNotNull({number})",
        "ORDER BY _t LIMIT {limit_rows:UInt64} WITH TIES",
    ]
    return " ".join(clauses)


def span_sql(query: str, watermark: str, value: str) -> str:
    """The earliest and the latest time (ms) and the number of rows with since_ms < time <= until_ms; one row."""
    time, number = quoted(watermark), quoted(value)
    ms = "toUnixTimestamp64Milli(toDateTime64({}({}), 3))"
    clauses = [
        f"SELECT {ms.format('min', time)}, {ms.format('max', time)}, count()",
        f"FROM {_source(query)}",
        f"WHERE {time} >= fromUnixTimestamp64Milli({{since_ms:Int64}} + 1)",
        f"AND {time} < fromUnixTimestamp64Milli({{until_ms:Int64}} + 1) AND isNotNull({number})",
    ]
    return " ".join(clauses)


def bounds(since: int, until: int) -> dict[str, Any]:
    """The parameters of since < time <= until (ms), also as a SELECT may use them."""
    return {
        "since": f"{since / 1000:.3f}",
        "until": f"{until / 1000:.3f}",
        "since_ms": since,
        "until_ms": until,
    }


def quoted(column: str) -> str:
    """A column's name as SQL takes it, whatever is in it."""
    return "`" + column.replace("\\", "\\\\").replace("`", "\\`") + "`"


def reading(client: Client, timeout_s: float) -> dict[str, Any]:
    """The settings of a query that may only read."""
    account = client.server_settings.get("readonly")
    if account is not None and str(account.value) == "1":
        return {}  # the server refuses every setting of such an account, and every write
    return {"readonly": 2, "max_execution_time": max(1, round(timeout_s))}


def connect(url: str, timeout_s: float) -> Client:
    """A client of the server at `url`; what goes wrong is clickhouse-connect's own error."""
    import clickhouse_connect

    client: Client = clickhouse_connect.get_client(
        dsn=url, autogenerate_session_id=False, connect_timeout=10, send_receive_timeout=round(timeout_s) + 5
    )
    return client


def _source(query: str) -> str:
    source = query.strip().rstrip(";").rstrip()
    if not source:
        raise ConfigError("query is empty; give a table or a SELECT")
    return source if _TABLE.fullmatch(source) else f"(\n{source}\n)"


def _hashable(column: Sequence[Any]) -> Sequence[Any]:
    """A column with each Map as sorted pairs, each array as text."""
    if not {dict, list, tuple} & set(map(type, column)):
        return column
    return [
        tuple(sorted(v.items())) if isinstance(v, dict) else str(v) if isinstance(v, list | tuple) else v
        for v in column
    ]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").rstrip("\0")
    return str(value)
