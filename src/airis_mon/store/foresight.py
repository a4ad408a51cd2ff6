"""What was foreseen and what became of it: forecasts, their outcomes, warnings; in ClickHouse, of one tenant."""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import TooLarge
from airis_mon.events.prediction import Prediction
from airis_mon.series.batch import Times
from airis_mon.series.labels import METRIC
from airis_mon.store.base import Foreseen, Matcher, Outcomes
from airis_mon.store.connection import ClientPool
from airis_mon.store.native import block, fixed, low_cardinality, text, text_map
from airis_mon.store.patience import ENDLESS, Patience
from airis_mon.store.selectors import EARLIEST, LATEST, condition, one_of, span

ROWS = 1_000_000
"""So many points of forecasts one question gives at most."""
# Never ten columns: such a block begins with the byte of a newline, which is lost over HTTP.
FORECAST = ("tenant", "made", "fp", "signal", "t", "mean", "lower", "upper", "level", "model", "spare")
_BAND = ("mean", "lower", "upper", "level")
OUTCOME = ("tenant", "made", "fp", "signal", "lead", "model", "points", "error", "naive", "banded", "covered", "level")
PREDICTION = ("tenant", "id", "updated", "started", "ended", "kind", "name", "labels", "facts")
_NUMBERS = ("used", "limit", "eta_ms", "earliest_ms", "latest_ms", "rate_per_h")
_FACTS = (
    *_NUMBERS, "basis", "is_recurring", "used_query", "limit_query", "unit", "why_ended", "falls", "every_ms",
)  # fmt: skip

_PARTS = {
    "round": """tenant = {tenant:String} AND made BETWEEN
    fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND fromUnixTimestamp64Milli({until:Int64}, 'UTC')""",
    "times": """t BETWEEN
    fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND fromUnixTimestamp64Milli({end:Int64}, 'UTC')""",
    "kind": "indexOf({kinds:Array(String)}, signal) AS kind",
    "model": "indexOf({models:Array(String)}, model)",
    "ms": "toUnixTimestamp64Milli",
}
_WORDS = "SELECT groupUniqArray(signal), groupUniqArray(model) FROM {table} WHERE {round} AND {within}"
# `f.`: without it an alias would be taken for the column.
_STOOD = """SELECT fp, {kind}, {ms}(max(f.made)) AS at, {ms}(f.t) AS time, argMax(f.mean, f.made),
    argMax(f.lower, f.made), argMax(f.upper, f.made), argMax(f.level, f.made), argMax({model}, f.made)
    FROM forecast AS f
    WHERE {round} AND {times} AND made <= t AND {within}
    GROUP BY fp, kind, f.t ORDER BY fp, kind, time LIMIT {limit}"""
_POINTS = """SELECT fp, {kind}, {ms}(f.made) AS at, {ms}(f.t) AS time, mean, lower, upper, level, {model}
    FROM forecast AS f WHERE {round} AND {times} AND {within} ORDER BY f.made, fp, kind, time
    LIMIT 1 BY f.made, fp, kind, time LIMIT {limit}"""
_ROUNDS = "SELECT DISTINCT {ms}(made) AS at FROM forecast WHERE {round} ORDER BY at"
_SCORED = "SELECT DISTINCT {ms}(made) AS at, lead FROM outcome WHERE {round} ORDER BY at, lead"
_OUTCOMES = """SELECT fp, {kind}, {model} AS by, lead, {ms}(max(o.made)), toUInt64(count()),
    toUInt64(sum(o.points)), sum(o.error), sum(o.naive), toUInt64(sum(o.banded)),
    toUInt64(sum(o.covered)), argMax(o.level, o.made)
    FROM outcome AS o FINAL WHERE {round} AND {within} GROUP BY fp, kind, by, lead ORDER BY fp, kind, by, lead"""
_PREDICTIONS = """SELECT id, kind, name, labels, {ms}(started), {ms}(updated),
    if(isNull(ended), NULL, {ms}(assumeNotNull(ended))), facts FROM prediction FINAL
    WHERE tenant = {{tenant:String}} AND {which} ORDER BY started DESC, id LIMIT {limit}"""
_STOOD_WITHIN = """started <= fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND (isNull(ended) OR ended >= fromUnixTimestamp64Milli({start:Int64}, 'UTC'))"""
_WHICH = {None: "1", True: "isNull(ended)", False: "isNotNull(ended)"}
_KINDS = "kind IN {kinds:Array(String)}"
_ID = "id = {id:String}"


class Insert(Protocol):
    """Commits a body of rows into a table."""

    def __call__(self, table: str, columns: Sequence[str], body: bytes, form: str) -> None:
        """columns: their names, in the order of `body`; form: its format."""


class Foresight:
    """Writes and reads the three tables; methods are those of `SeriesStore`. rows: so many points one answer has."""

    def __init__(self, clients: ClientPool, tenant: str, insert: Insert, rows: int = ROWS) -> None:
        self.rows = rows
        self._clients, self._tenant, self._insert = clients, tenant, insert

    # -- forecasts ----------------------------------------------------------------------------------------------

    def write_forecasts(self, points: Foreseen, interval_ms: int) -> None:
        """As `SeriesStore.write_forecasts`."""
        n = len(points.fp)
        if not n:
            return
        columns = [
            self._tenants(n),
            _time("made", points.made),
            fixed("fp", "UInt64", points.fp.astype("<u8", copy=False)),
            low_cardinality("signal", points.kinds, points.kind),
            _time("t", points.t),
            *(fixed(name, "Float64", getattr(points, name).astype("<f8")) for name in _BAND),
            low_cardinality("model", points.models, points.model),
            fixed("spare", "UInt8", (points.t - points.made > 2 * interval_ms).astype("<u1")),
        ]
        self._insert("forecast", FORECAST, block(n, columns), "Native")

    def stood(self, fps: Sequence[int] | None, start: int, end: int, reach_ms: int, patience: Patience) -> Foreseen:
        """As `SeriesStore.forecasts`."""
        return self._points(_STOOD, fps, span(start, end), _made(start - reach_ms, end), patience)

    def of_rounds(self, since: int, until: int, start: int, end: int) -> Foreseen:
        """As `SeriesStore.forecast_points`."""
        return self._points(_POINTS, None, span(start, end), _made(since, until), ENDLESS)

    def made(self, since: int, until: int) -> list[int]:
        """As `SeriesStore.forecast_rounds`."""
        found = self._numbers(_sql(_ROUNDS), _made(since, until), ENDLESS)
        return [int(at) for at in found[0]] if found else []

    def _points(
        self, sql: str, fps: Sequence[int] | None, times: dict[str, int], made: dict[str, int], patience: Patience
    ) -> Foreseen:
        kinds, models = self._words("forecast", fps, made, patience)
        asked = _sql(sql, within=one_of(fps), limit=str(self.rows + 1))
        columns = self._numbers(asked, {**times, **made, "kinds": kinds, "models": models}, patience)
        if not columns or not len(columns[0]):
            return Foreseen.empty()
        if len(columns[0]) > self.rows:
            raise TooLarge(f"more than {self.rows:,} points of forecasts are asked for; ask for fewer or less time")
        fp, kind, made_at, t, mean, lower, upper, level, model = columns
        return Foreseen(
            fp, _index(kind), made_at, t, mean, lower, upper, level, _index(model), tuple(kinds), tuple(models)
        )

    # -- outcomes -----------------------------------------------------------------------------------------------

    def write_outcomes(self, outcomes: Outcomes) -> None:
        """As `SeriesStore.write_outcomes`."""
        n = len(outcomes.fp)
        if not n:
            return
        columns = [
            self._tenants(n),
            _time("made", outcomes.made),
            fixed("fp", "UInt64", outcomes.fp.astype("<u8", copy=False)),
            low_cardinality("signal", outcomes.kinds, outcomes.kind),
            fixed("lead", "Int64", outcomes.lead.astype("<i8", copy=False)),
            low_cardinality("model", outcomes.models, outcomes.model),
            fixed("points", "UInt64", outcomes.points.astype("<u8")),
            *(fixed(name, "Float64", getattr(outcomes, name).astype("<f8")) for name in ("error", "naive")),
            fixed("banded", "UInt64", outcomes.banded.astype("<u8")),
            fixed("covered", "UInt64", outcomes.covered.astype("<u8")),
            fixed("level", "Float64", outcomes.level.astype("<f8")),
        ]
        self._insert("outcome", OUTCOME, block(n, columns), "Native")

    def outcomes(self, since: int, until: int, fps: Sequence[int] | None) -> Outcomes:
        """As `SeriesStore.outcomes`."""
        made = _made(since, until)
        kinds, models = self._words("outcome", fps, made, ENDLESS)
        asked = _sql(_OUTCOMES, within=one_of(fps))
        columns = self._numbers(asked, {**made, "kinds": kinds, "models": models}, ENDLESS)
        if not columns or not len(columns[0]):
            return Outcomes.empty()
        fp, kind, model, lead, made_at, runs, points, error, naive, banded, covered, level = columns
        return Outcomes(
            fp, _index(kind), made_at, lead, _index(model), points.astype(np.int64), error, naive,
            banded.astype(np.int64), covered.astype(np.int64), level, tuple(kinds), tuple(models),
            runs.astype(np.int64),
        )  # fmt: skip

    def scored(self, since: int, until: int) -> set[tuple[int, int]]:
        """As `SeriesStore.scored`."""
        found = self._numbers(_sql(_SCORED), _made(since, until), ENDLESS)
        return {(int(made), int(lead)) for made, lead in zip(*found, strict=True)} if found else set()

    # -- predictions --------------------------------------------------------------------------------------------

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        """As `SeriesStore.write_predictions`."""
        if predictions:
            body = b"".join([_prediction_row(self._tenant, p) for p in predictions])
            self._insert("prediction", PREDICTION, body, "RowBinary")

    def predictions(
        self,
        start: int,
        end: int,
        is_open: bool | None,
        limit: int,
        kinds: Collection[str] = (),
        matchers: Sequence[Matcher] = (),
    ) -> list[Prediction]:
        """As `SeriesStore.predictions`."""
        of_labels, parameters = condition(matchers, f"labels['{METRIC}']")
        which = [_STOOD_WITHIN, _WHICH[is_open], of_labels]
        if kinds:
            which.append(_KINDS)
            parameters["kinds"] = sorted(kinds)
        return self._warnings(" AND ".join(which), span(start, end) | parameters, limit)

    def prediction(self, ident: str) -> Prediction | None:
        """As `SeriesStore.prediction`."""
        return next(iter(self._warnings(_ID, {"id": ident}, 1)), None)

    def _warnings(self, which: str, parameters: dict[str, Any], limit: int) -> list[Prediction]:
        sql = _sql(_PREDICTIONS, which=which, limit=str(int(limit)))
        with self._clients.client() as client:
            found = client.query(sql, parameters | {"tenant": self._tenant}).result_rows
        return [_prediction(*row) for row in found]

    # -- what both need -----------------------------------------------------------------------------------------

    def _words(
        self, table: str, fps: Sequence[int] | None, made: dict[str, int], patience: Patience
    ) -> tuple[list[str], list[str]]:
        """The signals and models that occur: an answer in columns of numbers names them by their place."""
        sql = _sql(_WORDS, table=table, within=one_of(fps))
        line = self._clients.ask(sql, {**made, "tenant": self._tenant}, "JSONCompactEachRow", patience)
        kinds, models = msgspec.json.decode(line, type=tuple[list[str], list[str]])
        return sorted(kinds), sorted(models)

    def _numbers(self, sql: str, parameters: dict[str, Any], patience: Patience) -> list[NDArray[Any]]:
        return self._clients.columns(sql, parameters | {"tenant": self._tenant}, patience)

    def _tenants(self, rows: int) -> bytes:
        return low_cardinality("tenant", [self._tenant], np.zeros(rows, np.uint8))


def _sql(template: str, **fields: str) -> str:
    return template.format(**_PARTS, **fields)


def _made(since: int, until: int) -> dict[str, int]:
    low, high = (min(max(int(t), EARLIEST), LATEST) for t in (since, until))
    return {"since": low, "until": high}


def _time(name: str, t: Times) -> bytes:
    return fixed(name, "DateTime64(3, 'UTC')", t.astype("<i8", copy=False))


def _index(found: NDArray[Any]) -> NDArray[np.int64]:
    """ClickHouse counts from 1."""
    return found.astype(np.int64) - 1


def _prediction_row(tenant: str, p: Prediction) -> bytes:
    ended = b"\x01" if p.ended_ms is None else b"\x00" + struct.pack("<q", p.ended_ms)
    times = struct.pack("<qq", p.updated_ms, p.started_ms) + ended
    facts = msgspec.json.encode({name: getattr(p, name) for name in _FACTS}).decode()
    return text(tenant) + text(p.id) + times + text(p.kind) + text(p.name) + text_map(p.labels) + text(facts)


def _prediction(
    ident: str, kind: str, name: str, labels: dict[str, str], started: int, updated: int, ended: int | None, facts: str
) -> Prediction:
    return Prediction(
        id=ident,
        kind=kind,
        name=name,
        labels=tuple(labels.items()),
        started_ms=started,
        updated_ms=updated,
        ended_ms=ended,
        **msgspec.json.decode(facts),
    )
