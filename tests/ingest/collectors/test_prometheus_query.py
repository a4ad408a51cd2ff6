from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2

from airis_mon.ingest.collectors.prometheus_query import PrometheusQuery
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import series_name
from tests.ingest.promfake import DAY, HOUR, MINUTE, NOW, Ask, FakePrometheus, Quick, Row, bad, grid


class Stepping(Quick):
    """Between two readings the test does something; when it has nothing left to do, it is over."""

    def __init__(self, *meanwhile: Callable[[], Any]) -> None:
        super().__init__()
        self.meanwhile = list(meanwhile)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if seconds < 5:  # the pace of requests
            return
        if not self.meanwhile:
            raise asyncio.CancelledError
        self.meanwhile.pop(0)()


def nothing() -> None:
    pass


def source(fake: FakePrometheus, clock: Quick, catalogue: Catalogue | None = None, **more: Any) -> PrometheusQuery:
    more = {"interval_s": 15, "requests_per_s": 1000, "lookback_s": 300} | more
    catalogue = Catalogue() if catalogue is None else catalogue
    return PrometheusQuery(catalogue, url="http://prom.test", transport=fake, clock=clock, **more)


async def read(collector: PrometheusQuery) -> list[Row]:
    """Everything until the test is over, in the order of arrival."""
    rows: list[Row] = []
    with suppress(asyncio.CancelledError):
        async for b in collector.batches():
            assert (b.t[1:] >= b.t[:-1]).all()
            names = [series_name(collector.catalogue.labels(s)) for s in b.sid.tolist()]
            rows += zip(names, b.t.tolist(), b.value.tolist(), strict=True)
    return rows


def two(**more: Any) -> FakePrometheus:
    fake = FakePrometheus(**more)
    fake.add("up", grid(NOW - HOUR, NOW + HOUR, 15_000), job="a")
    fake.add("cpu_seconds_total", grid(NOW - HOUR + 7, NOW + HOUR, 15_000), job="a")
    return fake


async def test_what_is_new_is_read_at_every_interval_and_each_sample_once():
    fake, clock = two(), Stepping(nothing, nothing, nothing)
    rows = await read(it := source(fake, clock))
    assert sorted(rows) == fake.rows(NOW - 360_000, NOW + 45_001)
    assert it.cursor == str(NOW + 45_000)
    assert it.health()["samples"] == len(rows)
    assert it.health()["degraded"] == []


async def test_samples_that_come_late_are_found():
    fake = two()
    late = ("late", NOW + 1_000, 5.0)
    clock = Stepping(nothing, lambda: fake.add("late", [late[1]], [5.0]), nothing)
    collector = source(fake, clock, refresh_s=10)
    rows = await read(collector)
    assert late in rows
    assert len(rows) == len(set(rows))


async def test_a_metric_that_appears_is_followed_from_the_next_look_on():
    fake = two()
    clock = Stepping(nothing, lambda: fake.add("new", grid(clock.t, NOW + HOUR)), *[nothing] * 6)
    rows = await read(source(fake, clock, refresh_s=30))
    assert [r for r in rows if r[0] == "new"]


async def test_a_server_that_is_away_loses_nothing_and_health_says_so():
    fake = two()
    told: list[Any] = []

    def away() -> None:
        fake.trouble = lambda ask: httpx2.ConnectError("refused")

    def back() -> None:
        told.append(it.health())
        fake.trouble = None

    # While the server is away the waits of retries count as sleeps of this clock, too.
    clock = Stepping(nothing, away, *[nothing] * 12, back, *[nothing] * 4)
    rows = sorted(await read(it := source(fake, clock)))
    assert rows == fake.rows(NOW - 360_000, max(t for _, t, _ in rows) + 1)
    assert int(it.cursor) > NOW + 60_000
    assert "cannot be reached" in told[0]["error"]
    assert told[0]["degraded"] == ["http://prom.test/"]
    assert it.health()["degraded"] == []


async def test_a_wrong_password_is_told_and_tried_again_later():
    fake = two(trouble=lambda ask: bad(401))
    rows = await read(it := source(fake, Stepping(nothing, lambda: setattr(fake, "trouble", None), nothing)))
    assert rows
    assert it.health()["error"] == ""
    assert len([a for a in fake.asked if a.path.startswith("label")]) == 3


async def test_what_was_missed_while_we_were_away_is_read_in_several_batches():
    fake = two()
    fake.add("up", grid(NOW - DAY, NOW, 15_000), job="b")
    collector = source(fake, Stepping(), cursor=str(NOW - 20 * HOUR), slice_samples=1000)
    sizes: list[int] = []
    with suppress(asyncio.CancelledError):
        async for b in collector.batches():
            sizes += [len(b)]
    assert sum(sizes) == len(fake.rows(NOW - 20 * HOUR - MINUTE, NOW + 1))
    assert len(sizes) > 3
    assert max(sizes) < 3000


async def test_what_cannot_be_had_is_left_out_and_told():
    def trouble(ask: Ask) -> httpx2.Response | None:
        return bad(422, "execution", "corrupt") if ask.is_raw and "up" in ask.names else None

    fake = two(trouble=trouble)
    rows = await read(it := source(fake, Stepping(nothing, nothing)))
    assert {r[0] for r in rows} == {'cpu_seconds_total{job="a"}'}
    assert "up" in it.health()["missing"][0]
    assert it.health()["degraded"]


async def test_a_metric_that_is_refused_now_and_then_does_not_make_the_server_away():
    """Its refusal is the last answer of one reading and the first of the next, a while later."""

    def trouble(ask: Ask) -> httpx2.Response | None:
        return bad(422, "execution", "corrupt") if ask.is_raw and "zzz" in ask.names else None

    fake = FakePrometheus(trouble)
    fake.add("up", grid(NOW - HOUR, NOW + HOUR, 15_000))
    fake.add("zzz", grid(NOW - HOUR, NOW + HOUR, 15_000))
    fake.add("ALERTS", grid(NOW - HOUR, NOW + HOUR, 15_000))  # so that they are asked for after the metrics
    errors: list[str] = []

    def later() -> None:
        errors.append(collector.health()["error"])
        clock.t += 60_000  # whoever takes the batches is slow

    clock = Stepping(*[later] * 5)
    collector = source(fake, clock, timeout_s=20, refresh_s=10_000)
    rows = await read(collector)
    assert errors == [""] * 5
    assert sorted(rows) == [r for r in fake.rows(NOW - 360_000, int(collector.cursor) + 1) if r[0] != "zzz"]


async def test_a_metric_that_was_given_up_is_asked_for_again_at_the_next_look():
    fake = two(trouble=lambda ask: bad(422, "execution", "x") if ask.is_raw and "up" in ask.names else None)
    given_up: list[Any] = []

    def mended() -> None:
        given_up.extend(it.health()["metrics_given_up"])
        fake.trouble = None

    clock = Stepping(*[nothing] * 4, mended, *[nothing] * 4)
    rows = await read(it := source(fake, clock, refresh_s=100))
    assert given_up == ["up"]
    assert max(t for name, t, _ in rows if "up{" in name) > NOW + 100_000


async def test_labels_are_added():
    rows = await read(source(two(), Stepping(), labels={"cluster": "c1"}))
    assert {r[0] for r in rows} == {'up{cluster="c1",job="a"}', 'cpu_seconds_total{cluster="c1",job="a"}'}
