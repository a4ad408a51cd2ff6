from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest

from airis_mon.errors import ConfigError
from airis_mon.ingest.collectors.prometheus import Prometheus
from airis_mon.ingest.schedule import spread_ms
from airis_mon.series.batch import Batch, is_stale
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.labels import series_name


class Body(httpx2.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self):
        yield self.content


class Site(httpx2.AsyncBaseTransport):
    """Answers by host what the test put there; an exception is raised, nothing is a refused connection."""

    def __init__(self) -> None:
        self.pages: dict[str, str | Exception | int] = {}
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.host)
        page = self.pages.get(request.url.host, httpx2.ConnectError("refused"))
        if isinstance(page, Exception):
            raise page
        if isinstance(page, int):
            return httpx2.Response(page)
        headers = {"Content-Type": "text/plain; version=0.0.4"}
        return httpx2.Response(200, headers=headers, stream=Body(str(page).encode()))


class Seen:
    """The rows of every batch, by series, as (seconds since the start, value or 'stale')."""

    def __init__(self, collector: Prometheus, start: int) -> None:
        self.collector, self.start = collector, start
        self.batches: list[Batch] = []
        self.came = asyncio.Event()

    def rows(self) -> dict[str, list[tuple[float, float | str]]]:
        found: dict[str, list[tuple[float, float | str]]] = {}
        for b in self.batches:
            stale = is_stale(b.value)
            for i in range(len(b)):
                name = series_name(self.collector.catalogue.labels(int(b.sid[i])))
                value = "stale" if stale[i] else float(b.value[i])
                found.setdefault(name, []).append(((int(b.t[i]) - self.start) / 1000, value))
        return found

    def values(self, name: str) -> list[float | str]:
        return [v for _, v in self.rows().get(name, [])]


@asynccontextmanager
async def scraping(clock, site: Site, **settings):
    settings = {"job": "node", "targets": ["a"], "interval_s": 10, "clock": clock, "transport": site} | settings
    collector = Prometheus(Catalogue(), **settings)
    seen = Seen(collector, clock.t)

    async def drain() -> None:
        async for batch in collector.batches():
            seen.batches.append(batch)
            seen.came.set()

    task = asyncio.create_task(drain())
    await threads(clock)
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def threads(clock) -> None:
    """Lets the work in threads come back: looking for targets, reading long pages."""
    for _ in range(20):
        await asyncio.to_thread(lambda: None)
        await clock.settle()


async def advance(clock, seconds: float) -> None:
    await clock.advance(seconds)
    await threads(clock)


async def test_a_scrape_brings_the_page_and_how_it_went(clock):
    site = Site()
    site.pages["a"] = '# TYPE hits counter\nhits{path="/"} 3\nhits{path="/x"} 4\n'
    async with scraping(clock, site, labels={"env": "prod"}) as seen:
        await advance(clock, 10)
        rows = seen.rows()
        assert rows.keys() == {
            'hits{env="prod",instance="a",job="node",path="/"}',
            'hits{env="prod",instance="a",job="node",path="/x"}',
            'up{env="prod",instance="a",job="node"}',
            'scrape_duration_seconds{env="prod",instance="a",job="node"}',
            'scrape_samples_scraped{env="prod",instance="a",job="node"}',
        }
        assert seen.values('up{env="prod",instance="a",job="node"}') == [1.0]
        assert seen.values('scrape_samples_scraped{env="prod",instance="a",job="node"}') == [2.0]
        types = seen.collector.catalogue.types
        assert (types["hits"], types["up"]) == (MetricType.COUNTER, MetricType.GAUGE)
        (target,) = seen.collector.health()["targets"]
        assert (target["up"], target["samples"], target["url"]) == (True, 2, "http://a/metrics")


async def test_each_target_keeps_its_own_place_on_the_grid(clock):
    site = Site()
    hosts = [f"h{i}" for i in range(8)]
    site.pages = dict.fromkeys(hosts, "x 1\n")
    async with scraping(clock, site, targets=hosts) as seen:
        await advance(clock, 30)
        places = set()
        for host in hosts:
            times = [round(t * 1000) + seen.start for t, _ in seen.rows()[f'x{{instance="{host}",job="node"}}']]
            assert np.diff(times).tolist() == [10_000, 10_000]
            labels = (("instance", host), ("job", "node"))
            assert times[0] % 10_000 == spread_ms(f"http://{host}/metrics{labels}", 10_000)
            places.add(times[0] % 10_000)
        assert len(places) > 5


async def test_a_target_that_fails_is_down_and_its_series_end_once(clock):
    site = Site()
    site.pages = {"a": "x 1\n", "b": "x 2\n"}
    async with scraping(clock, site, targets=["a", "b"]) as seen:
        await advance(clock, 10)
        site.pages["a"] = 503
        await advance(clock, 20)
        site.pages["a"] = "x 5\n"
        await advance(clock, 10)
        assert seen.values('x{instance="a",job="node"}') == [1.0, "stale", 5.0]
        assert seen.values('up{instance="a",job="node"}') == [1.0, 0.0, 0.0, 1.0]
        assert seen.values('scrape_samples_scraped{instance="a",job="node"}') == [1.0, 0.0, 0.0, 1.0]
        assert seen.values('x{instance="b",job="node"}') == [2.0] * 4


async def test_a_series_that_is_gone_from_the_page_gets_a_staleness_marker(clock):
    site = Site()
    site.pages["a"] = 'x{k="1"} 1\nx{k="2"} 2\n'
    async with scraping(clock, site) as seen:
        await advance(clock, 10)
        site.pages["a"] = 'x{k="1"} 1\n'
        await advance(clock, 20)
        assert seen.values('x{instance="a",job="node",k="2"}') == [2.0, "stale"]
        assert seen.values('x{instance="a",job="node",k="1"}') == [1.0, 1.0, 1.0]


async def test_samples_with_their_own_time_keep_it_and_get_no_marker(clock):
    site = Site()
    site.pages["a"] = f"x 1 {clock.t - 5000}\ny 2\n"
    async with scraping(clock, site) as seen:
        await advance(clock, 10)
        site.pages["a"] = "y 2\n"
        await advance(clock, 10)
        assert seen.rows()['x{instance="a",job="node"}'] == [(-5.0, 1.0)]


async def test_times_of_the_page_can_be_ignored(clock):
    site = Site()
    site.pages["a"] = f"x 1 {clock.t - 5000}\n"
    async with scraping(clock, site, honor_timestamps=False) as seen:
        await advance(clock, 10)
        ((t, _),) = seen.rows()['x{instance="a",job="node"}']
        assert t > 0


@pytest.mark.parametrize(
    ("honor", "name"), [(False, 'x{exported_job="own",instance="a",job="node"}'), (True, 'x{instance="a",job="own"}')]
)
async def test_a_label_of_the_page_is_renamed_or_wins(clock, honor: bool, name: str):
    site = Site()
    site.pages["a"] = 'x{job="own"} 1\n'
    async with scraping(clock, site, honor_labels=honor) as seen:
        await advance(clock, 10)
        assert seen.values(name) == [1.0]


async def test_of_a_series_that_stands_twice_the_first_value_is_kept(clock):
    site = Site()
    site.pages["a"] = "x 1\ny 7\nx 2\n"
    async with scraping(clock, site) as seen:
        await advance(clock, 10)
        assert seen.values('x{instance="a",job="node"}') == [1.0]
        assert seen.batches[0].refused == 1


@pytest.mark.parametrize(
    ("page", "limits", "reason"),
    [
        ("<html>log in</html>\n", {}, "no sample"),
        ("x 1\n" * 4, {"max_samples": 3}, "max_samples"),
        ("x 1\n" * 4, {"max_bytes": 10}, "max_bytes"),
        (404, {}, "404"),
    ],
)
async def test_a_page_beyond_use_means_down_and_says_why(clock, page, limits, reason: str):
    site = Site()
    site.pages["a"] = page
    async with scraping(clock, site, **limits) as seen:
        await advance(clock, 10)
        assert seen.values('up{instance="a",job="node"}') == [0.0]
        health = seen.collector.health()
        assert reason in health["targets"][0]["error"]
        assert health["degraded"] == ["http://a/metrics"]


async def test_one_bad_line_is_refused_and_the_page_is_taken(clock):
    site = Site()
    site.pages["a"] = "x 1\ny one\n"
    async with scraping(clock, site) as seen:
        await advance(clock, 10)
        assert seen.values('up{instance="a",job="node"}') == [1.0]
        assert seen.batches[0].refusals[0].path == "line 2"


async def test_a_long_page_is_read_in_a_thread_with_the_same_result(clock):
    site = Site()
    site.pages["a"] = "".join(f'x{{k="{i}"}} {i}\n' for i in range(10_000))
    async with scraping(clock, site) as seen:
        await clock.advance(10)
        await asyncio.wait_for(seen.came.wait(), 20)
        assert seen.values('scrape_samples_scraped{instance="a",job="node"}') == [10_000.0]


async def test_a_bug_in_one_target_does_not_stop_the_others(clock):
    site = Site()
    site.pages = {"a": RuntimeError("a bug"), "b": "x 1\n"}
    async with scraping(clock, site, targets=["a", "b"]) as seen:
        await advance(clock, 20)
        assert seen.values('up{instance="a",job="node"}') == [0.0, 0.0]
        assert seen.values('x{instance="b",job="node"}') == [1.0, 1.0]


async def test_a_changed_file_starts_new_targets_and_ends_old_ones(clock, tmp_path: Path):
    file = tmp_path / "web.json"
    file.write_text(json.dumps([{"targets": ["a"], "labels": {"tier": "web"}}]))
    site = Site()
    site.pages = {"a": "x 1\n", "b": "x 2\n"}
    async with scraping(clock, site, targets=(), file_sd=[str(tmp_path / "*.json")], refresh_s=5) as seen:
        await advance(clock, 10)
        file.write_text(json.dumps([{"targets": ["b"]}]))
        os.utime(file, ns=(1, 1))
        await advance(clock, 6)
        await advance(clock, 10)
        rows = seen.rows()
        assert seen.values('x{instance="a",job="node",tier="web"}')[-1] == "stale"
        assert seen.values('up{instance="a",job="node",tier="web"}')[-1] == "stale"
        assert rows['x{instance="b",job="node"}']
        assert [t["url"] for t in seen.collector.health()["targets"]] == ["http://b/metrics"]
        file.write_text("[{")
        await advance(clock, 6)
        assert seen.collector.health()["degraded"] == [str(file)]


async def test_secrets_stand_neither_in_health_nor_in_the_log(clock, capsys):
    site = Site()
    secrets = {"bearer_token": "hidden1", "params": {"key": "hidden2"}}
    async with scraping(clock, site, **secrets) as seen:
        await advance(clock, 10)
        assert not any(s in str(seen.collector.health()) for s in ("hidden1", "hidden2"))
    out = capsys.readouterr()
    assert "scrape.failed" in out.out + out.err
    assert "hidden" not in out.out + out.err


async def test_a_catalogue_that_is_full_does_not_stop_the_scrapes(clock):
    site = Site()
    site.pages["a"] = "x 1\ny 2\n"
    collector = Prometheus(Catalogue(max_series=1), targets=["a"], interval_s=10, clock=clock, transport=site)
    stream = collector.batches()
    getting = asyncio.ensure_future(anext(stream))
    await threads(clock)
    await advance(clock, 10)
    batch = await getting
    await stream.aclose()
    assert (len(batch), batch.refused) == (1, 1)


def test_impossible_settings_are_refused_at_start():
    with pytest.raises(ConfigError):
        Prometheus(Catalogue(), targets=["http://me:secret@web/"])
    with pytest.raises(ConfigError):
        Prometheus(Catalogue(), ca_file="/nowhere/ca.pem")


@pytest.mark.live
@pytest.mark.slow
async def test_a_real_node_exporter_is_scraped_and_a_changed_file_is_followed(node_exporter, tmp_path: Path):
    address = node_exporter.url.removeprefix("http://")
    file = tmp_path / "hosts.yml"
    file.write_text("[]")
    collector = Prometheus(Catalogue(), job="node", file_sd=[str(file)], interval_s=0.3, timeout_s=5, refresh_s=0.1)
    stream = collector.batches()
    try:
        async with asyncio.timeout(20):
            getting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.2)
            assert not getting.done()
            file.write_text(f"- targets: ['{address}']\n  labels: {{rack: r1}}\n")
            first = await getting
            second = await anext(stream)
            file.write_text("# nobody\n[]\n")
            last = second
            while not is_stale(last.value).all():
                last = await anext(stream)
    finally:
        await stream.aclose()
    catalogue = collector.catalogue
    names = {series_name(catalogue.labels(int(s))) for s in first.sid}
    assert f'node_load1{{instance="{address}",job="node",rack="r1"}}' in names
    assert len(first) > 200
    assert first.refused == second.refused == 0
    assert catalogue.types["node_cpu_seconds_total"] is MetricType.COUNTER
    assert len(last) > 200
    assert collector.health()["targets"] == []
