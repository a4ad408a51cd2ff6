"""Against real servers: what was written comes back, bit for bit."""

from __future__ import annotations

import math
import os
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, aclosing
from typing import Any

import numpy as np
import pytest

from airis_mon.ingest.base import Slice
from airis_mon.ingest.collectors.prometheus_query import PrometheusQuery
from airis_mon.ingest.histories.prometheus import Prometheus
from airis_mon.series.batch import STALE, is_stale
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import Labels, canonical
from tests.ingest.promfake import HOUR, NOW, Quick
from tools import servers

pytestmark = pytest.mark.live

START = NOW - 6 * HOUR
STEP, COUNT = 15_000, 1440
SPECIAL = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 1e-7, 1e21, 0.1 + 0.2, 2.0**53 + 2]
Rows = dict[Labels, tuple[list[int], list[int]]]
"""By series: times in ms, and the bits of the values."""


def _bits(value: np.ndarray[Any, Any]) -> list[int]:
    """Every NaN as the same one: JSON knows only one."""
    return np.where(np.isnan(value), np.nan, value).view(np.int64).tolist()


def _made() -> list[tuple[Labels, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Forty series of every kind: counters, gauges of full precision, gaps, a late beginning, the strangest values."""
    chance = np.random.default_rng(7)
    made = []
    for i in range(40):
        t = START + np.arange(COUNT, dtype=np.int64) * STEP + int(chance.integers(0, STEP))
        kinds = [
            np.cumsum(chance.poisson(40, COUNT)).astype(float),
            chance.normal(0, 1, COUNT),
            np.round(chance.normal(20, 3, COUNT), 2),
            np.resize(SPECIAL, COUNT),
        ]
        keep = np.ones(COUNT, bool)
        if i % 5 == 0:
            keep[300:700] = False  # a gap
        if i % 7 == 0:
            keep[:900] = False  # begins later
        value = kinds[i % 4].copy()
        if i == 1:
            value[500] = STALE
        name = ("http_requests_total", "app_ratio", "node_cpu_seconds", "odd_values")[i % 4]
        labels = canonical({"__name__": name, "instance": f"h{i}", "path": 'C:\\"ü"'}.items())
        made.append((labels, t[keep], value[keep]))
    alert = canonical({"__name__": "ALERTS", "alertname": "Down", "alertstate": "firing"}.items())
    made.append((alert, START + np.arange(40, dtype=np.int64) * 60_000, np.ones(40)))
    return made


MADE = _made()


def stored(start: int = START, end: int = NOW) -> Rows:
    rows: Rows = {}
    for labels, t, value in MADE:
        keep = (t >= start) & (t < end) & ~is_stale(value)
        if keep.any():
            rows[labels] = (t[keep].tolist(), _bits(value[keep]))
    return rows


def _fill(url: str) -> None:
    blocks = [label_block(labels) for labels, _, _ in MADE]
    sid = np.repeat(np.arange(len(MADE), dtype=np.int32), [len(t) for _, t, _ in MADE])
    t, value = np.concatenate([t for _, t, _ in MADE]), np.concatenate([v for _, _, v in MADE])
    order = np.argsort(t, kind="stable")
    for at in range(0, len(t), 10_000):
        rows = order[at : at + 10_000]
        body = write_request(blocks, sid[rows], t[rows], value[rows])
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
        urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", body, headers)).close()


def _started(start: Callable[[], AbstractContextManager[servers.Server]]) -> Iterator[str]:
    try:
        with start() as server:
            _fill(server.url)
            yield server.url
    except servers.Missing as e:
        if os.environ.get("CI"):
            pytest.fail(str(e), pytrace=False)
        pytest.skip(str(e))


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    yield from _started(lambda: servers.prometheus(flags=["--storage.tsdb.retention.time=100y"]))


@pytest.fixture(scope="module")
def victoria() -> Iterator[str]:
    for url in _started(lambda: servers.victoria(flags=["-retentionPeriod=100y"])):
        urllib.request.urlopen(f"{url}/internal/force_flush").close()
        yield url


def history(url: str, catalogue: Catalogue, **more: Any) -> Prometheus:
    return Prometheus(catalogue, url=url, clock=None, requests_per_s=1000, **({"slice_samples": 9000} | more))


def by_series(slices: list[Slice], catalogue: Catalogue) -> Rows:
    sid = np.concatenate([s.batch.sid for s in slices])
    t, value = (np.concatenate([getattr(s.batch, c) for s in slices]) for c in ("t", "value"))
    return {catalogue.labels(int(s)): (t[sid == s].tolist(), _bits(value[sid == s])) for s in np.unique(sid)}


async def read(it: Prometheus, start: int | None, end: int | None) -> list[Slice]:
    return [s async for s in it.slices(start, end)]


async def test_every_sample_of_a_real_prometheus_comes_back_bit_for_bit(prometheus: str):
    catalogue = Catalogue()
    slices = await read(history(prometheus, catalogue), START, NOW)
    assert sum(len(s.batch) > 0 for s in slices) > 4
    assert [m for s in slices for m in s.missing] == []
    assert by_series(slices, catalogue) == stored()


async def test_every_sample_of_a_victoriametrics_comes_back_as_exactly_as_it_keeps_them(victoria: str):
    """It keeps decimals of about 15 digits, other infinities than it was given, and answers markers as NaN."""
    catalogue = Catalogue()
    found = by_series(await read(history(victoria, catalogue), START, NOW), catalogue)
    expected = {k: v for k, v in stored().items() if ("__name__", "odd_values") not in k}
    assert expected.keys() <= found.keys()
    for labels, (t, bits) in expected.items():
        times, value = np.array(found[labels][0]), _values(found[labels][1])
        assert times[~np.isnan(value)].tolist() == t
        np.testing.assert_allclose(value[~np.isnan(value)], _values(bits), rtol=1e-12)


def _values(bits: list[int]) -> np.ndarray[Any, Any]:
    return np.array(bits, np.int64).view(np.float64)


async def test_reading_on_from_the_middle_gives_the_same(prometheus: str):
    catalogue = Catalogue()
    first: list[Slice] = []
    async with aclosing(history(prometheus, catalogue).slices(START, NOW)) as slices:
        async for s in slices:
            first.append(s)
            if s.fraction > 0.4:
                break
    rest = await read(history(prometheus, catalogue), first[-1].end, NOW)
    assert by_series(first + rest, catalogue) == stored()


async def test_with_small_answers_and_any_grouping_the_same_comes_back(prometheus: str):
    catalogue = Catalogue()
    it = history(prometheus, catalogue, request_samples=700, max_bytes=30_000, compress=True, concurrency=4)
    assert by_series(await read(it, START, NOW), catalogue) == stored()


async def test_without_a_start_everything_comes(prometheus: str):
    catalogue = Catalogue()
    slices = await read(history(prometheus, catalogue, match=["app_ratio"]), None, NOW)
    expected = {k: v for k, v in stored().items() if ("__name__", "app_ratio") in k or ("__name__", "ALERTS") in k}
    assert by_series(slices, catalogue) == expected


async def test_a_limit_of_the_server_is_met_with_smaller_questions():
    start = lambda: servers.prometheus(  # noqa: E731 - one place
        flags=["--storage.tsdb.retention.time=100y", "--query.max-samples=2000"]
    )
    for url in _started(start):
        catalogue = Catalogue()
        slices = await read(it := history(url, catalogue), START, NOW)
        assert by_series(slices, catalogue) == stored()
        assert [m for s in slices for m in s.missing] == []
        assert it.health()["requests"] < 400


async def test_with_a_step_every_step_has_a_value_of_the_last_five_minutes(prometheus: str):
    catalogue = Catalogue()
    it = history(prometheus, catalogue, step_s=60, match=['http_requests_total{instance="h4"}'])
    slices = await read(it, START + HOUR, NOW)
    ((t, bits),) = [r for labels, r in by_series(slices, catalogue).items() if ("instance", "h4") in labels]
    assert t == list(range(-(-(START + HOUR) // 60_000) * 60_000, NOW, 60_000))
    times, values = stored()[next(labels for labels in stored() if ("instance", "h4") in labels)]
    assert bits == [values[np.searchsorted(times, x, side="right") - 1] for x in t]


async def test_a_follower_hands_out_what_a_real_server_got(prometheus: str):
    catalogue = Catalogue()
    cursor = str(NOW - 2 * HOUR)
    it = PrometheusQuery(
        catalogue, url=prometheus, cursor=cursor, clock=Quick(), slice_samples=4000, requests_per_s=1000
    )
    slices: list[Slice] = []
    async with aclosing(it.batches()) as batches:
        async for b in batches:
            slices.append(Slice(0, 0, b, 0.0))
            if b.t[-1] > NOW - STEP:
                break
    assert by_series(slices, catalogue) == stored(NOW - 2 * HOUR - 60_000, NOW + 1)
