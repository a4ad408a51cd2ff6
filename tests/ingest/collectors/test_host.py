from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np

from airis_mon.ingest.collectors.host import Host
from airis_mon.ingest.machine import Reading
from airis_mon.series.batch import is_stale
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.labels import series_name


class Source:
    """Answers its list of readings, or raises."""

    def __init__(self, *readings: Reading, error: Exception | None = None) -> None:
        self.readings = list(readings)
        self.error = error
        self.calls = 0

    def __call__(self) -> Iterator[Reading]:
        self.calls += 1
        if self.error:
            raise self.error
        return iter(self.readings)


def rows(host: Host, t: int) -> dict[str, float]:
    batch = host.read(t)
    assert (batch.t == t).all()
    return {series_name(host.catalogue.labels(int(s))): v for s, v in zip(batch.sid, batch.value, strict=True)}


def test_series_carry_job_instance_and_the_labels_of_the_settings():
    source = Source(Reading("host_x", 1.0, (("device", "a"),)))
    host = Host(Catalogue(), instance="web-1", labels={"site": "seoul"}, readers={"x": source})
    assert rows(host, 5) == {'host_x{device="a",instance="web-1",job="host",site="seoul"}': 1.0}


def test_totals_are_counters_and_everything_else_is_a_gauge():
    host = Host(Catalogue(), readers={"x": Source(Reading("host_a_total", 1.0), Reading("host_b", 1.0))})
    host.read(1)
    assert host.catalogue.types == {"host_a_total": MetricType.COUNTER, "host_b": MetricType.GAUGE}


def test_a_source_that_the_platform_lacks_is_named_and_the_others_go_on():
    broken = Source(error=AttributeError("no such function"))
    host = Host(Catalogue(), instance="m", readers={"x": broken, "y": Source(Reading("host_y", 2.0))})
    assert rows(host, 1) == {'host_y{instance="m",job="host"}': 2.0}
    assert host.health()["missing"] == {"x": "AttributeError: no such function"}
    broken.error = None
    host.read(2)
    assert host.health()["missing"] == {}


def test_a_series_that_ends_gets_one_staleness_marker():
    disk = Source(Reading("host_d", 1.0, (("device", "a"),)), Reading("host_d", 2.0, (("device", "b"),)))
    host = Host(Catalogue(), instance="m", readers={"disk": disk})
    host.read(1)
    disk.readings.pop()
    second = host.read(2)
    assert is_stale(second.value).tolist() == [False, True]
    assert len(host.read(3)) == 1


def test_processes_are_walked_less_often_than_the_rest_is_read():
    walk, rest = Source(Reading("host_p", 1.0)), Source(Reading("host_r", 1.0))
    host = Host(Catalogue(), interval_s=5, process_interval_s=15, readers={"processes": walk, "rest": rest})
    for t in range(7):
        host.read(t)
    assert (walk.calls, rest.calls) == (3, 7)


def test_a_full_catalogue_refuses_series_by_name_and_keeps_the_rest():
    host = Host(Catalogue(max_series=1), readers={"x": Source(Reading("host_a", 1.0), Reading("host_b", 2.0))})
    batch = host.read(1)
    assert (len(batch), batch.refused) == (1, 1)
    assert batch.refusals[0].path.startswith("host_b")


async def test_batches_come_at_once_and_then_on_the_grid(clock):
    host = Host(Catalogue(), interval_s=5, readers={"x": Source(Reading("host_x", 1.0))}, clock=clock)
    start, stream = clock.t, host.batches()
    first = await anext(stream)
    following = asyncio.ensure_future(anext(stream))
    await clock.advance(5)
    second = await following
    await stream.aclose()
    assert [int(b.t[0]) - start for b in (first, second)] == [0, 5000]


def test_this_host_is_read_within_bounds():
    host = Host(Catalogue(), top=3)
    host.read(1)
    batch = host.read(2)
    names = {host.catalogue.metrics[m] for m in host.catalogue.metric[batch.sid]}
    assert {"host_memory_used_ratio", "host_load1", "host_filesystem_used_ratio"} <= names
    assert np.isfinite(batch.value).all()
    assert len(batch) < 500
    assert host.health()["series"] >= len(batch)
