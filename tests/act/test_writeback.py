from __future__ import annotations

import asyncio
import time

import cramjam
import httpx2
import numpy as np
import pytest

from airis_mon.act.writeback import RemoteWriter
from airis_mon.ingest.decoders.remote_write import RemoteWrite
from airis_mon.series.batch import STALE, is_stale
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical, series_name

URL = "http://receiver.test/api/v1/write"


class Receiver(httpx2.AsyncBaseTransport):
    """Answers what the test lists, then 204; decodes what it takes with our own decoder."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.catalogue = Catalogue()
        self.rows: list[tuple[str, int, float]] = []
        self.sizes: list[int] = []
        self.took = asyncio.Event()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else httpx2.Response(204)
        if isinstance(answer, Exception):
            raise answer
        if answer.is_success:
            batch = RemoteWrite(self.catalogue).decode(body)
            self.sizes.append(len(batch))
            names = [series_name(self.catalogue.labels(int(s))) for s in batch.sid]
            self.rows += zip(names, batch.t.tolist(), batch.value.tolist(), strict=True)
            self.took.set()
        return answer


class Sleeps:
    """A sleep that only notes how long it would have been."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.now = 0.0

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def catalogue_of(*names: str) -> Catalogue:
    catalogue = Catalogue()
    for i, name in enumerate(names):
        catalogue.intern(canonical([("__name__", name), ("host", f"h{i}")]))
    return catalogue


def offer(writer: RemoteWriter, *values: float, t: int = 1000, metric: str = "aiops_anomaly_score") -> None:
    n = len(values)
    writer.offer(metric, np.arange(n, dtype=np.int32), np.full(n, t, np.int64), np.array(values))


def writer(receiver: Receiver, catalogue: Catalogue, **settings) -> RemoteWriter:
    settings = {"url": URL, "sleep": Sleeps(), "jitter": lambda: 1.0, "transport": receiver} | settings
    sleep = settings["sleep"]
    return RemoteWriter(catalogue, clock=lambda: getattr(sleep, "now", 0.0), **settings)


async def test_a_score_keeps_the_labels_of_its_series_and_names_it():
    receiver = Receiver()
    w = writer(receiver, catalogue_of("cpu", "mem"), labels={"model": "bank"})
    offer(w, 0.25, 0.5)
    await w.flush()
    await w.stop()
    assert receiver.rows == [
        ('aiops_anomaly_score{for="cpu",host="h0",model="bank"}', 1000, 0.25),
        ('aiops_anomaly_score{for="mem",host="h1",model="bank"}', 1000, 0.5),
    ]
    headers = receiver.requests[0].headers
    assert headers["Content-Encoding"] == "snappy"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    assert w.health()["sent"] == 2


async def test_unknown_values_are_left_out_and_staleness_markers_are_sent():
    receiver = Receiver()
    w = writer(receiver, catalogue_of("a", "b", "c"))
    offer(w, float("nan"), float(STALE), 1.0)
    await w.stop()
    assert is_stale(np.array([v for _, _, v in receiver.rows])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"bearer_token": "hidden"}, "Bearer hidden"),
        ({"username": "me", "password": "hidden"}, "Basic bWU6aGlkZGVu"),
        ({"url": "http://me:hidden@receiver.test/w?key=hidden"}, "Basic bWU6aGlkZGVu"),
    ],
)
async def test_secrets_travel_in_the_header_and_never_in_health(settings: dict[str, str], header: str):
    receiver = Receiver()
    w = writer(receiver, catalogue_of("a"), **settings)
    offer(w, 1.0)
    await w.stop()
    assert receiver.requests[0].headers["Authorization"] == header
    assert "hidden" not in str(w.health())


async def test_one_metric_is_packed_into_full_requests_in_the_order_of_arrival():
    receiver = Receiver()
    w = writer(receiver, catalogue_of("a", "b"), batch_samples=4)
    for t in range(5):
        offer(w, 1.0, 2.0, t=t)
    offer(w, 3.0, t=9, metric="airis_expected")
    await w.stop()
    assert receiver.sizes == [4, 4, 2, 1]
    assert [t for name, t, _ in receiver.rows if 'for="a"' in name] == [0, 1, 2, 3, 4, 9]


async def test_a_full_queue_drops_the_oldest_and_counts_them():
    receiver = Receiver()
    w = writer(receiver, catalogue_of("a", "b"), queue_samples=4)
    for t in range(4):
        offer(w, 1.0, 2.0, t=t)
    assert w.dropped["queue_full"] == 4
    await w.stop()
    assert {t for _, t, _ in receiver.rows} == {2, 3}


async def test_a_busy_receiver_is_asked_again_when_it_says_so():
    receiver = Receiver(httpx2.Response(429, headers={"Retry-After": "7"}), httpx2.ConnectError("down"))
    sleeps = Sleeps()
    w = writer(receiver, catalogue_of("a"), sleep=sleeps)
    offer(w, 1.0)
    await w.flush()
    await w.stop()
    assert len(receiver.rows) == 1
    assert sleeps.asked[0] >= 7
    assert sleeps.asked[1] == 1.0
    assert w.health()["degraded"] == []


async def test_pauses_double_and_stay_under_their_limit():
    receiver = Receiver(*[httpx2.Response(503)] * 9)
    sleeps = Sleeps()
    w = writer(receiver, catalogue_of("a"), sleep=sleeps)
    offer(w, 1.0)
    await w.flush()
    await w.stop()
    assert sleeps.asked == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def test_a_receiver_that_stays_away_is_given_up_in_time():
    receiver = Receiver(*[httpx2.Response(500)] * 50)
    sleeps = Sleeps()
    w = writer(receiver, catalogue_of("a"), sleep=sleeps, give_up_s=10)
    offer(w, 1.0)
    await w.flush()
    await w.stop()
    assert sum(sleeps.asked) <= 10
    assert w.dropped["gave_up"] == 1
    assert w.health()["degraded"] == ["writeback"]


async def test_a_pause_longer_than_the_limit_is_not_waited_for():
    receiver = Receiver(httpx2.Response(503, headers={"Retry-After": "9999"}))
    sleeps = Sleeps()
    w = writer(receiver, catalogue_of("a"), sleep=sleeps)
    offer(w, 1.0)
    await w.flush()
    await w.stop()
    assert sleeps.asked == []
    assert w.dropped["gave_up"] == 1


@pytest.mark.parametrize("status", [301, 400, 401, 404])
async def test_a_refusal_is_dropped_counted_and_explained(status: int):
    receiver = Receiver(httpx2.Response(status, text="no receiver here"))
    w = writer(receiver, catalogue_of("a"))
    offer(w, 1.0)
    offer(w, 2.0, metric="airis_expected")
    await w.flush()
    await w.stop()
    assert w.dropped["refused"] == 1
    assert [v for _, _, v in receiver.rows] == [2.0]


async def test_a_score_of_one_signal_is_a_series_of_its_own():
    receiver = Receiver()
    w = writer(receiver, catalogue_of("a"))
    for signal in ("mean", "p99"):
        w.offer("aiops_anomaly_score", np.zeros(1, np.int32), np.full(1, 1000), np.ones(1), signal)
    await w.stop()
    assert [name for name, _, _ in receiver.rows] == [
        f'aiops_anomaly_score{{for="a",host="h0",signal="{signal}"}}' for signal in ("mean", "p99")
    ]


async def test_series_that_were_evicted_since_are_left_out():
    receiver, catalogue = Receiver(), catalogue_of("a", "b")
    w = writer(receiver, catalogue)
    offer(w, 1.0, 2.0)
    catalogue.heard[:2] = [5, 50]
    catalogue.evict(idle_since=10)
    await w.stop()
    assert [name for name, _, _ in receiver.rows] == ['aiops_anomaly_score{for="b",host="h1"}']
    assert w.dropped["series_gone"] == 1


async def test_it_sends_by_itself_once_per_interval_and_drains_at_the_end():
    receiver, sleeps = Receiver(), Sleeps()
    w = writer(receiver, catalogue_of("a"), interval_s=3, sleep=sleeps)
    offer(w, 1.0)
    w.start()
    await receiver.took.wait()
    offer(w, 2.0, t=2000)
    await w.stop()
    assert sleeps.asked[0] == 3
    assert [v for _, _, v in receiver.rows] == [1.0, 2.0]


async def test_stopping_does_not_wait_for_a_receiver_that_is_away():
    receiver = Receiver(*[httpx2.ConnectError("down")] * 1000)
    w = writer(receiver, catalogue_of("a"), sleep=asyncio.sleep, interval_s=0)
    offer(w, 1.0)
    w.start()
    await asyncio.sleep(0)
    await w.stop(drain_s=0.01)
    assert w.health()["waiting"] == 1


def test_requests_are_snappy_of_the_size_that_was_offered():
    w = writer(Receiver(), catalogue_of("a", "b"))
    offer(w, 1.0, 2.0)
    rows = w._take()
    assert rows is not None
    body, n = w._encode(rows)
    assert n == 2
    assert len(bytes(cramjam.snappy.decompress_raw(body))) > 100


@pytest.mark.live
@pytest.mark.slow
async def test_prometheus_takes_what_is_written_and_answers_it(prometheus_server):
    catalogue = catalogue_of("node_load1", "node_load5")
    w = RemoteWriter(catalogue, url=f"{prometheus_server.url}/api/v1/write", labels={"model": "bank"})
    now = time.time_ns() // 1_000_000
    for k in range(4):
        offer(w, 0.1 * k, 0.9, t=now - 15_000 * (3 - k))
    await w.stop()
    assert (w.health()["sent"], w.health()["last_error"]) == (8, "")
    async with httpx2.AsyncClient(base_url=prometheus_server.url) as client:
        params = {"query": 'aiops_anomaly_score{for="node_load5"}[5m]'}
        answer = (await client.get("/api/v1/query", params=params)).json()
    (series,) = answer["data"]["result"]
    assert series["metric"] == {
        "__name__": "aiops_anomaly_score",
        "for": "node_load5",
        "host": "h1",
        "model": "bank",
    }
    assert [float(v) for _, v in series["values"]] == [0.9] * 4
