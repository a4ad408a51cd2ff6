"""The truth: what a fault did is the difference from the same world without it."""

import pytest

from airis_mon.simulate import truth
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.truth import verdicts
from airis_mon.simulate.world import World

DAYS = Settings(topology="shop", days=3, step_s=60, faults_per_day=8, history_days=1)


@pytest.fixture(scope="module")
def world():
    return World(DAYS, 5)


@pytest.fixture(scope="module")
def found(world):
    return list(verdicts(world, DAYS.start_ms, DAYS.end_ms))


def test_there_is_a_verdict_on_every_fault(world, found):
    faults = [f.id for c in world.plan.cases(DAYS.start_ms, DAYS.end_ms) for f in c.faults]
    assert [v.fault.id for v in found] == faults


def test_a_fault_is_valid_exactly_if_an_indicator_moved_between_the_twins(world, found):
    assert any(v.is_valid for v in found)
    assert not all(v.is_valid for v in found)
    for v in found:
        _, real, twin = truth._twins(world, v.fault)
        ratio = (real.user_latency / twin.user_latency).max()
        worse = (real.user_errors - twin.user_errors).max()
        older = (real.age - twin.age).max()
        if v.is_valid:
            assert ratio > 1.2 or worse > 0.005 or older > 60
        elif ratio < 1.2 and worse < 0.005 and older < 60:
            assert not v.indicators
        assert (v.impact_ms is not None) == v.is_valid


def test_nothing_moves_before_its_onset(found):
    for v in found:
        for moment in [i.moved_ms for i in v.indicators] + [r.onset_ms for r in v.path]:
            assert moment >= v.fault.onset_ms


def test_a_path_is_in_order_of_onset_and_ends_at_users_when_they_felt_it(found):
    for v in found:
        onsets = [r.onset_ms for r in v.path]
        assert onsets == sorted(onsets)
        if v.is_valid:
            assert v.path


def test_the_twins_are_the_same_where_the_fault_is_not(world, found):
    v = next(v for v in found if v.is_valid and v.fault.onset_ms > DAYS.start_ms + 10**7)
    t, real, twin = truth._twins(world, v.fault)
    before = t < v.fault.onset_ms
    assert before.any()
    assert (real.latency[before] == twin.latency[before]).all()


def test_faults_of_the_first_days_are_history(found):
    horizon = DAYS.start_ms + 86_400_000
    assert {v.is_history for v in found} == {True, False}
    assert all(v.is_history == (v.fault.full_ms < horizon) for v in found)


def test_an_edge_fault_names_its_edge_and_blames_the_callee():
    settings = Settings(topology="shop", days=2, step_s=60, faults_per_day=8, kinds=("network_delay",), amplitude=5)
    world = World(settings, 1)
    found = list(verdicts(world, settings.start_ms, settings.end_ms))
    assert all(v.edge in world.topology.edges and v.edge[1] == v.fault.entity for v in found)


def test_near_invisible_faults_are_not_valid():
    settings = Settings(
        topology="shop", days=2, step_s=60, faults_per_day=8, amplitude=0.01, kinds=("cpu_hog", "gc_thrash")
    )
    world = World(settings, 1)
    assert not any(v.is_valid for v in verdicts(world, settings.start_ms, settings.end_ms))
