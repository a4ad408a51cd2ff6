"""The client for asyncio. It says what the other says, word for word, with `await`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Self

import httpx2
import msgspec

from airis_mon.client import calls
from airis_mon.client.calls import Call, Json, T, Time


class AsyncAIOpsClient:
    """Asks one AIRIS-MON server. Answers are the JSON of the API, without the envelope.

    url: a server (`http://127.0.0.1:8765`), or where the application is mounted (`https://shop.example/aiops`).
    Every method raises AuthError, InputError, NotFound or Conflict for what the server refuses, Transient (with
    `retry_after_s`) for what may work later, and Permanent for what will not.

        async with AsyncAIOpsClient() as client:
            await client.send_metric("cpu_usage", 95.5, {"host": "web-1"})
            async for event in client.events({"anomaly_detected"}):
                print(event["payload"])
    """

    def __init__(
        self,
        url: str = calls.DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._bases = calls.bases(url)
        self.url = self._bases.ours
        self._http = httpx2.AsyncClient(headers=headers, timeout=timeout_s, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def health(self) -> Json:
        """How the server is."""
        return await self._ask(calls.health())

    async def status(self) -> Json:
        """What runs, and the load of its host."""
        return await self._ask(calls.status())

    async def send_metric(
        self,
        name: str,
        value: float,
        labels: Mapping[str, str] | None = None,
        *,
        timestamp: Time = None,
        source: str = "api",
    ) -> Json:
        """Stores one sample; answers it as it was stored, after the commit."""
        return await self._ask(calls.send_one(calls.metric(name, value, labels, timestamp, source)))

    async def send_metrics(self, metrics: Iterable[Mapping[str, Any]]) -> int:
        """Stores metrics (`metricName`, `value`, `labels?`, `source?`, `timestamp?`); answers how many.

        Raises PartlyRefused when some were refused; the others are stored.
        """
        return await self._ask(calls.send_many(metrics))

    async def series(
        self, match: str | None = None, *, start: Time = None, end: Time = None, limit: int = 1000
    ) -> list[Json]:
        """Series that meet a PromQL selector."""
        return await self._ask(calls.series(match, start, end, limit))

    async def series_one(self, series_id: str) -> Json:
        """One series."""
        return await self._ask(calls.one_series(series_id))

    async def samples(self, series_id: str, *, start: Time = None, end: Time = None, max_points: int = 11_000) -> Json:
        """Raw samples in columns `t` (ms) and `value`; of the last hour by default."""
        return await self._ask(calls.samples(series_id, start, end, max_points))

    async def bands(self, series_id: str, signal: str | None = None, *, start: Time = None, end: Time = None) -> Json:
        """What was normal, in columns `t`, `value`, `expected`, `lower`, `upper`, `score`."""
        return await self._ask(calls.bands(series_id, signal, start, end))

    async def anomalies(
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
        return await self._ask(calls.anomalies(match, series, start, end, min_score, limit))

    async def coverage(
        self,
        match: str | None = None,
        *,
        reason: str | None = None,
        watched: bool | None = None,
        offset: int = 0,
        limit: int = 1000,
    ) -> Json:
        """What is watched, what was skipped, and why."""
        return await self._ask(calls.coverage(match, reason, watched=watched, offset=offset, limit=limit))

    async def start_replay(
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
        return await self._ask(calls.start_replay(source, match, **given, idempotencyKey=idempotency_key))

    async def replay(self, replay_id: str) -> Json:
        """One replay: `state`, `progress`, `note`, and its `result` once it is done."""
        return await self._ask(calls.replay(replay_id))

    async def replays(self, *, limit: int = 20) -> list[Json]:
        """Replays without their results, newest first."""
        return await self._ask(calls.replays(limit))

    async def cancel_replay(self, replay_id: str) -> Json:
        """Ends a replay that waits or runs. Raises Conflict when it has ended."""
        return await self._ask(calls.cancel_replay(replay_id))

    async def query(self, expr: str, *, time: Time = None, timeout_s: float | None = None) -> Json:
        """The value of a PromQL expression at one moment, by default now, as Prometheus' API has it.

        Answers `resultType` and `result`, and `warnings` and `infos` when there are any. timeout_s: how long the server
        may take. Raises also InputError for a malformed expression and QueryError for one that has no answer.
        """
        return await self._ask(calls.query(expr, time, timeout_s))

    async def query_range(
        self, expr: str, start: Time, end: Time, step: float | str, *, timeout_s: float | None = None
    ) -> Json:
        """The values of a PromQL expression from start to end, every step (seconds, or a duration such as "15s").

        Answers and raises as `query` does.
        """
        return await self._ask(calls.query_range(expr, start, end, step, timeout_s))

    async def events(self, names: Iterable[str] | None = None, *, last_seq: int | None = None) -> AsyncIterator[Json]:
        """Events as they happen, until the server ends the stream.

        Raises Transient when the connection breaks; call again with the `seq` of the last event to miss nothing.
        """
        call = calls.events(names, last_seq)
        url = self.url + call.path
        try:
            async with self._http.stream("GET", url, params=call.params, timeout=_UNBOUNDED) as response:
                if response.status_code != 200:
                    raise calls.refusal(
                        response.status_code, await response.aread(), response.headers.get("retry-after")
                    )
                async for message in httpx2.EventSource(response):
                    if message.data:
                        yield msgspec.json.decode(message.data)
        except httpx2.TransportError as error:
            raise calls.unreachable(error, url) from error

    async def _ask(self, call: Call[T]) -> T:
        request = call.request(self._bases)
        try:
            response = await self._http.request(**request)
        except httpx2.TransportError as error:
            raise calls.unreachable(error, request["url"]) from error
        return calls.understood(call, response)


# The server says at least every 15 seconds that it is there.
_UNBOUNDED = httpx2.Timeout(10.0, read=60.0)
