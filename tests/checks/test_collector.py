from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace as Made
from typing import Any

import httpx2
import numpy as np
import pytest

from airis_mon import plugins
from airis_mon.checks.collector import Make, examine
from airis_mon.ingest.collectors.clickhouse import ClickHouse
from airis_mon.ingest.collectors.host import Host
from airis_mon.ingest.collectors.prometheus import Prometheus
from airis_mon.ingest.collectors.prometheus_query import PrometheusQuery
from airis_mon.ingest.collectors.world import World
from airis_mon.ingest.machine import Reading
from airis_mon.ingest.simulated import Scene
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from tests.ingest import promfake
from tests.ingest.promfake import HOUR, FakePrometheus, Quick, grid

NOW = 1_700_000_000_000


def host(catalogue: Catalogue, _: str) -> Host:
    return Host(catalogue, interval_s=0.01, readers={"x": lambda: iter([Reading("host_x", 1.0)])})


class Site(httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=Body())


class Body(httpx2.AsyncByteStream):
    async def __aiter__(self):
        yield b'x{k="1"} 1\nx{k="2"} 2\n'


def prometheus(catalogue: Catalogue, _: str) -> Prometheus:
    return Prometheus(catalogue, targets=["a", "b"], interval_s=0.02, refresh_s=0.01, transport=Site())


class Table:
    """Forty rows, one every 100 ms."""

    def __init__(self) -> None:
        self.server_settings: dict[str, Any] = {}

    def query(self, query: str, *, parameters: dict[str, Any], settings: dict[str, Any], column_oriented: bool) -> Made:
        every = [(NOW - 100 * i, float(i), f"h{i % 3}") for i in reversed(range(40))]
        rows = [r for r in every if parameters["since_ms"] < r[0] <= parameters["until_ms"]][: parameters["limit_rows"]]
        return Made(column_names=("_t", "_v", "host"), result_columns=[list(c) for c in zip(*rows, strict=True)])

    def close(self) -> None: ...


class Now:
    def now(self) -> int:
        return NOW

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


def clickhouse(catalogue: Catalogue, cursor: str) -> ClickHouse:
    return ClickHouse(
        catalogue, query="t", metric="m", limit_rows=7, lag_s=0, cursor=cursor, connect=Table, clock=Now()
    )


class Hurry:
    """Comes to the time that is waited for at once."""

    def __init__(self) -> None:
        self.t = NOW

    def now(self) -> int:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.t += round(seconds * 1000)
        await asyncio.sleep(0)


def world(catalogue: Catalogue, cursor: str) -> World:
    scene = Scene(seed=1, start_ms=NOW - 3_600_000, lively_ms=NOW, step_s=60.0, dirt=0.0)  # no NaN: rows are compared
    return World(catalogue, scene=scene, cursor=cursor, clock=Hurry())


def prometheus_query(catalogue: Catalogue, cursor: str) -> PrometheusQuery:
    fake = FakePrometheus()
    fake.add("up", grid(promfake.NOW - HOUR, promfake.NOW + HOUR, 5_000), job="a")
    settings = {"lookback_s": 60, "requests_per_s": 1000, "transport": fake, "clock": Quick()}
    return PrometheusQuery(catalogue, url="http://prom.test", cursor=cursor, **settings)  # type: ignore[arg-type]


MAKERS: dict[str, Make] = {
    "world": world,
    "host": host,
    "prometheus": prometheus,
    "prometheus_query": prometheus_query,
    "clickhouse": clickhouse,
}


@pytest.mark.parametrize("kind", plugins.kinds("ingest.collectors"))
async def test_every_collector_passes_the_examination(kind: str):
    await examine(MAKERS[kind], kind=kind)


class Faulty:
    """A collector with one fault, by name."""

    def __init__(self, catalogue: Catalogue, cursor: str, fault: str) -> None:
        self.kind = "faulty"
        self.cursor = cursor
        self.catalogue = catalogue
        self.fault = fault
        self.sid = -1
        self.tasks: list[asyncio.Task[None]] = []

    async def batches(self) -> AsyncIterator[Batch]:
        if self.fault == "leaks a task":
            self.tasks.append(asyncio.create_task(asyncio.sleep(3600)))
        start = int(self.cursor or NOW)
        skip = 3 if self.fault == "skips rows after a restart" and self.cursor else 0
        for k in range(skip, 100):
            if self.sid < 0 or self.fault != "keeps sids":
                self.sid = self.catalogue.intern(canonical([("__name__", "m")]))
            t = k if self.fault == "gives seconds" else start + k
            sid = np.array([self.sid], np.int64 if self.fault == "has wrong types" else np.int32)
            yield Batch(sid, np.array([t], np.int64), np.array([1.0]))
            self.cursor = str(start + k)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("has wrong types", "int64"),
        ("gives seconds", "no ms"),
        ("keeps sids", "evicted"),
        ("leaks a task", "outlive"),
        ("skips rows after a restart", "missing after a restart"),
    ],
)
async def test_the_examination_finds_a_faulty_collector(fault: str, said: str):
    made: list[Faulty] = []

    def make(catalogue: Catalogue, cursor: str) -> Faulty:
        made.append(Faulty(catalogue, cursor, fault))
        return made[-1]

    with pytest.raises(AssertionError, match=said):
        await examine(make, kind="faulty")
    for task in [t for f in made for t in f.tasks]:
        task.cancel()


async def test_the_examination_passes_a_sound_collector_and_names_a_wrong_kind():
    await examine(lambda catalogue, cursor: Faulty(catalogue, cursor, ""), kind="faulty")
    with pytest.raises(AssertionError, match="kind"):
        await examine(host, kind="hosts")
