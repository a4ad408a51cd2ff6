"""Graphs: layered, connected, shared stores, replicas apart, and a published one that is partly wrong."""

import numpy as np
import pytest

from airis_mon.simulate.classics import CLASSICS
from airis_mon.simulate.dice import Dice
from airis_mon.simulate.topology import ZONES, build, published

GRAPHS = [*((kind, 20) for kind in CLASSICS), ("random", 8), ("random", 40), ("random", 200)]


@pytest.fixture(params=GRAPHS, ids=lambda g: f"{g[0]}-{g[1]}")
def graph(request):
    return build(*request.param, Dice(6))


def test_callers_stand_before_callees_and_users_reach_every_service(graph):
    assert (graph.caller < graph.callee).all()
    assert graph.roles[0] == "entry"
    assert (graph.visits.max(axis=0) > 0).all()


def test_a_random_graph_has_as_many_services_as_asked():
    assert [len(build("random", n, Dice(1)).names) for n in (8, 9, 33, 200)] == [8, 9, 33, 200]


def test_there_are_stores_caches_queues_and_somebody_elses_services(graph):
    assert {"entry", "app", "db", "cache", "queue", "external"} == set(graph.roles)
    assert graph.is_async.any()
    assert {graph.roles[i] for i in graph.caller[graph.is_async]} == {"queue"}
    assert (graph.cache_of >= 0).any()


def test_services_have_two_to_four_replicas_on_different_hosts(graph):
    counts = np.bincount(graph.service)
    assert counts.min() >= 2
    assert counts.max() <= 4
    for i in range(len(graph.names)):
        hosts = graph.host[graph.replicas(i)]
        assert len(set(hosts.tolist())) == len(hosts)
    assert set(graph.zone.tolist()) == set(range(ZONES))


def test_fan_out_of_large_graphs_has_a_heavy_tail():
    out = np.bincount(build("random", 200, Dice(2)).caller)
    assert out.max() > 5 * np.median(out[out > 0])


def test_the_published_graph_lacks_a_share_of_the_edges_and_has_as_many_that_are_none(graph):
    true, told = set(graph.edges), set(published(graph, 0.2, Dice(6)))
    missing = round(0.2 * len(true))
    assert len(true - told) == missing
    assert abs(len(told) - len(true)) <= missing
    assert set(published(graph, 0, Dice(6))) == true
