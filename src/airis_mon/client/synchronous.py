"""The client for ordinary code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import httpx2
import msgspec

from airis_mon.client import calls, questions
from airis_mon.client.calls import Call, Json, T, Time


class AIOpsClient:
    """Asks one AIRIS-MON server. Answers are the JSON of the API, without the envelope.

    url: a server (`http://127.0.0.1:8765`), or where the application is mounted (`https://shop.example/aiops`).
    Every method raises AuthError, InputError, NotFound or Conflict for what the server refuses, Transient (with
    `retry_after_s`) for what may work later, and Permanent for what will not.

        with AIOpsClient() as client:
            client.send_metric("cpu_usage", 95.5, {"host": "web-1"})
            for anomaly in client.anomalies(min_score=0.9):
                print(anomaly["name"], anomaly["score"])
    """

    def __init__(
        self,
        url: str = calls.DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._bases = calls.bases(url)
        self.url = self._bases.ours
        self._http = httpx2.Client(headers=headers, timeout=timeout_s, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def health(self) -> Json:
        """How the server is."""
        return self._ask(calls.health())

    def status(self) -> Json:
        """What runs, and the load of its host."""
        return self._ask(calls.status())

    def send_metric(
        self,
        name: str,
        value: float,
        labels: Mapping[str, str] | None = None,
        *,
        timestamp: Time = None,
        source: str = "api",
    ) -> Json:
        """Stores one sample; answers it as it was stored, after the commit."""
        return self._ask(calls.send_one(calls.metric(name, value, labels, timestamp, source)))

    def send_metrics(self, metrics: Iterable[Mapping[str, Any]]) -> int:
        """Stores metrics (`metricName`, `value`, `labels?`, `source?`, `timestamp?`); answers how many.

        Raises PartlyRefused when some were refused; the others are stored.
        """
        return self._ask(calls.send_many(metrics))

    def series(
        self, match: str | None = None, *, start: Time = None, end: Time = None, limit: int = 1000
    ) -> list[Json]:
        """Series that meet a PromQL selector."""
        return self._ask(calls.series(match, start, end, limit))

    def series_one(self, series_id: str) -> Json:
        """One series."""
        return self._ask(calls.one_series(series_id))

    def samples(self, series_id: str, *, start: Time = None, end: Time = None, max_points: int = 11_000) -> Json:
        """Raw samples in columns `t` (ms) and `value`; of the last hour by default."""
        return self._ask(calls.samples(series_id, start, end, max_points))

    def bands(self, series_id: str, signal: str | None = None, *, start: Time = None, end: Time = None) -> Json:
        """What was normal, in columns `t`, `value`, `expected`, `lower`, `upper`, `score`."""
        return self._ask(calls.bands(series_id, signal, start, end))

    def anomalies(
        self,
        match: str | None = None,
        *,
        series: str | None = None,
        start: Time = None,
        end: Time = None,
        min_score: float | None = None,
        limit: int = 100,
    ) -> list[Json]:
        """Anomalies, newest first; of the last 24 hours by default."""
        return self._ask(calls.anomalies(match, series, start, end, min_score, limit))

    def coverage(
        self,
        match: str | None = None,
        *,
        reason: str | None = None,
        watched: bool | None = None,
        offset: int = 0,
        limit: int = 1000,
    ) -> Json:
        """What is watched, what was skipped, and why."""
        return self._ask(calls.coverage(match, reason, watched=watched, offset=offset, limit=limit))

    def start_replay(
        self,
        source: str = "store",
        *,
        name: str | None = None,
        days: float | None = None,
        start: Time = None,
        end: Time = None,
        match: str | Iterable[str] = (),
        rules: str | None = None,
        rules_text: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Asks for a replay: what would have been raised over `days` before `end` (by default 14, and now).

        source: store, prometheus or clickhouse; name: which of the configured ones. match: selectors of series. rules:
        whose notifications are compared with, "server" (its rule files, the default) or "none"; or `rules_text`, the
        text of a rule file. Sent again with the same idempotency key it means the same replay.

        Answers it as it waits; see `replay(id)` for how far it is. Raises Transient also when too many wait.
        """
        given = {"name": name, "days": days, "start": start, "end": end, "rules": rules, "rulesText": rules_text}
        return self._ask(calls.start_replay(source, match, **given, idempotencyKey=idempotency_key))

    def replay(self, replay_id: str) -> Json:
        """One replay: `state`, `progress`, `note`, and its `result` once it is done."""
        return self._ask(calls.replay(replay_id))

    def replays(self, *, limit: int = 20) -> list[Json]:
        """Replays without their results, newest first."""
        return self._ask(calls.replays(limit))

    def cancel_replay(self, replay_id: str) -> Json:
        """Ends a replay that waits or runs. Raises Conflict when it has ended."""
        return self._ask(calls.cancel_replay(replay_id))

    def analyze(self, metric_name: str | None = None, values: Iterable[float] | None = None, **given: Any) -> Json:
        """Statistics, outliers, trend, seasons and changes of values, or of a stored series (`series_id`).

        given: further fields of the question in snake_case: `timestamps`, `step_s`; `series_id`, `signal`, `start`,
        `end`, `window_s`; `threshold`, `methods`, `language`. Each of these questions raises InputError with
        `refusals` naming the field, and Transient when the answer took too long or too many wait.
        """
        return self._ask(questions.analyze(metric_name, values, given))

    def analyze_many(self, series: Iterable[Mapping[str, Any]], **given: Any) -> list[Json]:
        """As `analyze`, of up to 100 series: each a mapping of `metric_name` and `values`, or `series_id`."""
        return self._ask(questions.analyze_many(series, given))

    def statistics(
        self, series_id: str, signal: str | None = None, *, window_s: float | None = None, end: Time = None
    ) -> Json:
        """Statistics of a stored signal's last `window_s` seconds until `end`."""
        return self._ask(questions.statistics(series_id, signal, window_s, end))

    def decompose(self, values: Iterable[float] | None = None, **given: Any) -> Json:
        """Trend, seasons and the rest; given: `seasons` (points), or `seasons_s`, `series_id` and so on."""
        return self._ask(questions.of_values("decompose", values, given))

    def change_points(self, values: Iterable[float] | None = None, **given: Any) -> Json:
        """Where the level changed; given: `penalty`, `seasons`, `series_id` and so on."""
        return self._ask(questions.of_values("changepoints", values, given))

    def correlations(self, target: Mapping[str, Any], **given: Any) -> Json:
        """What moves with a series, ranked; given: `series`, `match` or `query`, and `max_lag`, `basis`, `step_s`."""
        return self._ask(questions.ask("correlations", {"target": target, **given}))

    def similar(self, values: Iterable[float] | None = None, **given: Any) -> Json:
        """Where a shape occurred before; given: `shape`, or `shape_index` and `points`, `series_id` and so on."""
        return self._ask(questions.of_values("similar", values, given))

    def compare(self, **given: Any) -> Json:
        """Which series and label values make one window differ from another one.

        given: `series`, `match` or `query`; `start` and `end`, or `at`; `against` ("before", "day", "week").
        """
        return self._ask(questions.ask("compare", given))

    def entities(self, match: str, **given: Any) -> Json:
        """Several metrics of one entity judged together; given: `method`, `start`, `end`, `train_s`, `step_s`."""
        return self._ask(questions.ask("entities", {"match": match, **given}))

    def forecast(self, values: Iterable[float] | None = None, *, horizon: int, **given: Any) -> Json:
        """The next `horizon` points with an interval; given: `level`, `seasons`, `models`, `series_id` and so on."""
        return self._ask(questions.of_values("forecast", values, {"horizon": horizon, **given}))

    def forecasts(self, match: str | None = None, *, limit: int = 100, offset: int = 0) -> list[Json]:
        """Signals that are forecast on schedule, and how good their forecasts were."""
        return self._ask(questions.forecasts(match, limit, offset))

    def forecast_of(
        self,
        series_id: str,
        signal: str | None = None,
        *,
        start: Time = None,
        end: Time = None,
        language: str | None = None,
    ) -> Json:
        """The scheduled forecast of one signal: `forecast`, `points`, `accuracy`, `explanation`."""
        return self._ask(questions.forecast_of(series_id, signal, start, end, language))

    def forecast_accuracy(self) -> Json:
        """How good scheduled forecasts were, beside repeating the last season."""
        return self._ask(questions.forecast_accuracy())

    def predictions(
        self,
        *,
        state: str | None = None,
        kind: str | Iterable[str] | None = None,
        match: str | None = None,
        start: Time = None,
        end: Time = None,
        language: str | None = None,
        limit: int = 100,
    ) -> list[Json]:
        """What will run out, the soonest first; state: open (the default), ended or all."""
        given = {"start": start, "end": end, "lang": language, "limit": limit}
        return self._ask(questions.predictions(state, kind, match, given))

    def prediction(self, prediction_id: str, *, language: str | None = None) -> Json:
        """One prediction."""
        return self._ask(questions.prediction(prediction_id, language))

    def query(self, expr: str, *, time: Time = None, timeout_s: float | None = None) -> Json:
        """The value of a PromQL expression at one moment, by default now, as Prometheus' API has it.

        Answers `resultType` and `result`, and `warnings` and `infos` when there are any. timeout_s: how long the server
        may take. Raises also InputError for a malformed expression and QueryError for one that has no answer.
        """
        return self._ask(calls.query(expr, time, timeout_s))

    def query_range(
        self, expr: str, start: Time, end: Time, step: float | str, *, timeout_s: float | None = None
    ) -> Json:
        """The values of a PromQL expression from start to end, every step (seconds, or a duration such as "15s").

        Answers and raises as `query` does.
        """
        return self._ask(calls.query_range(expr, start, end, step, timeout_s))

    def events(self, names: Iterable[str] | None = None, *, last_seq: int | None = None) -> Iterator[Json]:
        """Events as they happen, until the server ends the stream.

        Raises Transient when the connection breaks; call again with the `seq` of the last event to miss nothing.
        """
        call = calls.events(names, last_seq)
        url = self.url + call.path
        try:
            with self._http.stream("GET", url, params=call.params, timeout=_UNBOUNDED) as response:
                if response.status_code != 200:
                    raise calls.refusal(response.status_code, response.read(), response.headers.get("retry-after"))
                for message in httpx2.EventSource(response):
                    if message.data:
                        yield msgspec.json.decode(message.data)
        except httpx2.TransportError as error:
            raise calls.unreachable(error, url) from error

    def _ask(self, call: Call[T]) -> T:
        request = call.request(self._bases)
        try:
            response = self._http.request(**request)
        except httpx2.TransportError as error:
            raise calls.unreachable(error, request["url"]) from error
        return calls.understood(call, response)


# The server says at least every 15 seconds that it is there.
_UNBOUNDED = httpx2.Timeout(10.0, read=60.0)
