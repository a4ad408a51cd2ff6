"""A world as a Prometheus would hold it, asked in PromQL."""

from __future__ import annotations

import numpy as np
import pytest

from airis_mon.errors import TooLarge
from airis_mon.query.values import Vector
from airis_mon.series.labels import canonical, metric_of, without
from airis_mon.series.matchers import parse_selector
from airis_mon.series.steps import Steps
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World
from airis_mon.yardstick.scraped import Held, Scraped, scraped

MIN = 60_000
SETTINGS = Settings(topology="random", services=8, days=0.5, step_s=60, faults_per_day=20, histogram=False)


@pytest.fixture(scope="module")
def world() -> World:
    return World(SETTINGS, 5)


@pytest.fixture(scope="module")
def source(world: World) -> Scraped:
    return scraped(world, {"http_requests_total", "container_memory_working_set_bytes"})


def a_series(name: str, *values: float, start: int = 0, **labels: str) -> Held:
    value = np.array(values, float)
    return Held(canonical([("__name__", name), *labels.items()]), start + np.arange(len(value)) * MIN, value)


def vector(source: Scraped, text: str, steps: Steps) -> Vector:
    found = source.ask(text, steps).value
    assert isinstance(found, Vector)
    return found


def test_expressions_are_answered_from_memory() -> None:
    source = Scraped([a_series("x_total", 0, 60, 120, 180, job="a"), a_series("y", 1, 2, 3, 4)])
    assert vector(source, "irate(x_total[2m1s])", Steps(2 * MIN, MIN, 2)).value.tolist() == [[1.0, 1.0]]
    assert vector(source, "sum(y) * 10", Steps(0, MIN, 4)).value.tolist() == [[10, 20, 30, 40]]


def test_series_ends_when_nobody_has_looked_back_far_enough() -> None:
    source = Scraped([a_series("y", 1, 2)])
    assert vector(source, "y", Steps(0, MIN, 8)).has.tolist() == [[True] * 6 + [False] * 2]


def test_samples_are_those_asked_for_and_no_more_than_allowed() -> None:
    source = Scraped([a_series("y", 1, 2, 3), a_series("z", 4, 5, 6)])
    fps = [row.fp for row in source.series(parse_selector('{__name__=~"y|z"}'))]
    found = source.samples(fps, MIN, 2 * MIN)
    assert sorted(found.value.tolist()) == [2, 3, 5, 6]
    assert found.fp.tolist() == sorted(found.fp.tolist())
    with pytest.raises(TooLarge, match="4 samples are more than 3"):
        source.samples(fps, MIN, 2 * MIN, limit=3)


def test_series_without_a_sample_in_the_span_is_not_named() -> None:
    source = Scraped([a_series("y", 1, 2, start=100 * MIN)])
    assert source.series(parse_selector("y"), end=99 * MIN) == []
    assert [row.first_seen for row in source.series(parse_selector("y"), start=101 * MIN)] == [100 * MIN]


def test_world_gives_every_sample_that_was_scraped(world: World, source: Scraped) -> None:
    expected = 0
    for block in world.blocks():
        columns = [i for i, x in enumerate(block.labels) if metric_of(x) == "http_requests_total"]
        expected += int(block.present[:, columns].sum())
    assert sum(len(one.t) for one in source.held.values() if metric_of(one.labels) == "http_requests_total") == expected


def test_only_the_metrics_asked_for_are_held(source: Scraped) -> None:
    names = {metric_of(one.labels) for one in source.held.values()}
    assert names == {"http_requests_total", "container_memory_working_set_bytes", "up"}


def test_times_of_a_series_rise_although_clocks_jump(source: Scraped) -> None:
    assert all((np.diff(one.t) > 0).all() for one in source.held.values())


def test_pod_with_a_new_name_is_another_series(world: World, source: Scraped) -> None:
    pods = {dict(one.labels)["pod"] for one in source.held.values() if "pod" in dict(one.labels)}
    assert len(pods) > sum(metric_of(x) == "container_memory_working_set_bytes" for x in world.labels)


def test_host_that_is_gone_is_not_up() -> None:
    settings = Settings(topology="random", services=8, days=0.5, step_s=60, faults_per_day=40, kinds=("host_failure",))
    world = World(settings, 3)
    source = scraped(world, ())
    faults = [f for case in world.plan.cases(settings.start_ms, settings.end_ms) for f in case.faults]
    assert faults
    for fault in faults:
        (one,) = [x for x in source.held.values() if ("host", fault.entity) in x.labels]
        during = one.value[(one.t >= fault.onset_ms) & (one.t < fault.end_ms)]
        assert len(during) and not during.any()
    assert np.mean([one.value.mean() for one in source.held.values()]) > 0.5
    assert all(
        dict(without(one.labels, "host", "zone")) == {"__name__": "up", "job": "node"} for one in source.held.values()
    )
