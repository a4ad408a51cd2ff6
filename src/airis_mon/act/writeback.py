"""Scores back into the monitoring system they came from, by remote write 1.0: its dashboards and rules see them.

1.0 because every receiver knows it: Prometheus 2.42 answers 204 to a 2.0 message and stores nothing.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import httpx2
import numpy as np
import structlog

from airis_mon.errors import Permanent, Transient, UpstreamError
from airis_mon.resilience.retry import Backoff, retried, retry_after
from airis_mon.series.batch import Ids, Times, Values, is_stale
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import METRIC, canonical, metric_of

log = structlog.get_logger()

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "airis-mon",
}
BACKOFF = Backoff(first_s=0.5, longest_s=30.0, attempts=1_000_000)
"""Only `give_up_s` ends the trying: what waits is bounded, and a receiver may be away for minutes."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What waits to be sent: samples of one metric of ours, about the series `sid`, or about one signal of each."""

    metric: str
    sid: Ids
    t: Times
    value: Values
    signal: str = ""

    def __len__(self) -> int:
        return len(self.sid)


class RemoteWriter:
    """Sends samples about known series to `url`, every `interval_s`, at most `batch_samples` a request.

    A sample keeps the labels of the series it is about; that series' name becomes the label `for`, `signal` is added
    if it is about one signal of it, and `labels` are. At most `queue_samples` wait; beyond that the oldest are
    dropped. 429, 5xx and network failures are tried again, after what Retry-After says if it says so, for at most
    `give_up_s`; other refusals are dropped. Everything dropped is counted by reason in `dropped`. `offer` never waits
    and may be called from any thread.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        url: str,
        interval_s: float = 15.0,
        labels: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        bearer_token: str = "",
        username: str = "",
        password: str = "",
        ca_file: str = "",
        timeout_s: float = 30.0,
        give_up_s: float = 300.0,
        queue_samples: int = 1_000_000,
        batch_samples: int = 5_000,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.catalogue = catalogue
        self.sent = 0
        self.dropped = {"queue_full": 0, "refused": 0, "gave_up": 0, "series_gone": 0}
        self.last_error = ""
        self._url = httpx2.URL(url)
        self._interval_s, self._give_up_s = interval_s, give_up_s
        self._queue_samples, self._batch_samples = queue_samples, batch_samples
        self._labels = dict(labels or {})
        auth = {"Authorization": f"Bearer {bearer_token}"} if bearer_token else {}
        self._make_client: Callable[[], httpx2.AsyncClient] = lambda: httpx2.AsyncClient(
            headers={**HEADERS, **auth, **(headers or {})},
            auth=httpx2.BasicAuth(username, password) if username else None,
            timeout=timeout_s,
            verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
            trust_env=False,
            transport=transport,
        )
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._lock = threading.Lock()
        self._queue: deque[Rows] = deque()
        self._waiting = 0
        self._blocks: dict[tuple[str, str], list[bytes]] = {}  # by (metric, signal) and sid
        self._epoch = catalogue.epoch
        self._client: httpx2.AsyncClient | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to send what is offered."""
        self._task = asyncio.create_task(self._run(), name="writeback")

    async def stop(self, drain_s: float = 5.0) -> None:
        """Sends what still waits, for at most `drain_s`, and ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            async with asyncio.timeout(drain_s):
                await self.flush()
        except TimeoutError:
            log.warning("writeback.unsent", samples=self._waiting)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def offer(self, metric: str, sid: Ids, t: Times, value: Values, signal: str = "") -> None:
        """Queues samples of our series `metric` about the series `sid`; NaN that is no staleness marker is left out."""
        keep = ~np.isnan(value) | is_stale(value)
        rows = Rows(metric, sid[keep], t[keep], value[keep], signal)
        with self._lock:
            for start in range(0, len(rows), self._batch_samples):
                piece = slice(start, start + self._batch_samples)
                self._queue.append(Rows(metric, rows.sid[piece], rows.t[piece], rows.value[piece], signal))
            self._waiting += len(rows)
            while self._waiting > self._queue_samples:
                oldest = len(self._queue.popleft())
                self._waiting -= oldest
                self.dropped["queue_full"] += oldest

    async def flush(self) -> None:
        """Sends all that waits now, request by request in the order of arrival: receivers want rising timestamps."""
        while (rows := self._take()) is not None:
            try:
                body, n = await asyncio.to_thread(self._encode, rows)
                if n:
                    await self._deliver(body, n)
            except asyncio.CancelledError:
                with self._lock:
                    self._queue.appendleft(rows)
                    self._waiting += len(rows)
                raise
            self.dropped["series_gone"] += len(rows) - n

    def health(self) -> dict[str, Any]:
        """Where samples go, how many went and how many were dropped for which reason."""
        return {
            "url": str(self._url.copy_with(userinfo=b"", query=None)),
            "sent": self.sent,
            "waiting": self._waiting,
            "dropped": dict(self.dropped),
            "last_error": self.last_error,
            "degraded": ["writeback"] if self.last_error else [],
        }

    async def _run(self) -> None:
        while True:
            await self._sleep(self._interval_s)
            try:
                await self.flush()
            except Exception:  # boundary: supervision; a failed round must not end all later ones
                log.exception("writeback.failed")

    def _take(self) -> Rows | None:
        """Consecutive queued rows of one metric and signal, up to a request's size."""
        with self._lock:
            taken: list[Rows] = []
            size = 0
            while self._queue and (
                not taken
                or (_about(self._queue[0]) == _about(taken[0]) and size + len(self._queue[0]) <= self._batch_samples)
            ):
                taken.append(self._queue.popleft())
                size += len(taken[-1])
            self._waiting -= size
        if not taken:
            return None
        sid, t, value = (np.concatenate([getattr(r, c) for r in taken]) for c in ("sid", "t", "value"))
        return Rows(taken[0].metric, sid, t, value, taken[0].signal)

    def _encode(self, rows: Rows) -> tuple[bytes, int]:
        """A request and its number of samples; series that were evicted since are left out."""
        if self._epoch != self.catalogue.epoch:
            self._epoch = self.catalogue.epoch
            self._blocks.clear()
        blocks = self._blocks.setdefault(_about(rows), [])
        blocks += [b""] * (int(rows.sid.max(initial=-1)) + 1 - len(blocks))
        for sid in np.unique(rows.sid).tolist():
            if not blocks[sid] and self.catalogue.has(sid):
                blocks[sid] = self._block(rows, sid)
        alive = np.fromiter((bool(blocks[s]) for s in rows.sid.tolist()), np.bool_, len(rows))
        n = int(alive.sum())
        return write_request(blocks, rows.sid[alive], rows.t[alive], rows.value[alive]), n

    def _block(self, rows: Rows, sid: int) -> bytes:
        labels = self.catalogue.labels(sid)
        ours = {METRIC: rows.metric, "for": metric_of(labels)} | ({"signal": rows.signal} if rows.signal else {})
        return label_block(canonical({**dict(labels), **self._labels, **ours}.items()))

    async def _deliver(self, body: bytes, n: int) -> None:
        """One request, until it is taken, refused or given up."""
        try:
            await retried(
                lambda: self._post(body),
                deadline_s=self._give_up_s,
                clock=self._clock,
                backoff=BACKOFF,
                sleep=self._sleep,
                chance=self._jitter,
                note=self._delayed,
            )
        except Permanent as e:
            self._failed("refused", n, e)
        except Transient as e:
            self._failed("gave_up", n, e)
        else:
            self.sent += n
            self.last_error = ""

    def _delayed(self, error: Transient, _failure: int, wait_s: float) -> None:
        if not self.last_error:
            log.warning("writeback.delayed", error=str(error), retry_s=round(wait_s, 1))
        self.last_error = str(error)

    def _failed(self, reason: str, n: int, error: UpstreamError) -> None:
        self.dropped[reason] += n
        self.last_error = str(error)
        log.warning("writeback.dropped", reason=reason, samples=n)

    async def _post(self, body: bytes) -> None:
        """Raises Transient or Permanent, whose message says what the receiver answered."""
        if self._client is None:
            self._client = self._make_client()
        try:
            answer = await self._client.post(self._url, content=body)
        except httpx2.TransportError as e:
            raise Transient(f"{self._url.host} cannot be reached: {type(e).__name__} {e}") from e
        if answer.is_success:
            return
        said = f"{self._url.host} answered {answer.status_code} to remote write: {answer.text[:200].strip()}"
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS or answer.is_server_error:
            raise Transient(said, retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC)))
        raise Permanent(said)


def _about(rows: Rows) -> tuple[str, str]:
    return rows.metric, rows.signal
