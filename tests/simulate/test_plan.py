"""The plan: how much of what, and that no question changes it."""

from collections import Counter
from itertools import pairwise

import pytest

from airis_mon.simulate.kinds import KINDS, LONGEST_LEAD_MS
from airis_mon.simulate.plan import CASES, SECOND_ODDS
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World

MONTHS = Settings(topology="shop", days=90, step_s=60)


@pytest.fixture(scope="module")
def plan():
    return World(MONTHS, 1).plan


@pytest.fixture(scope="module")
def cases(plan):
    return plan.cases(MONTHS.start_ms, MONTHS.end_ms)


def struck(fault):
    return fault.full_ms if KINDS[fault.kind].lead_h[1] else fault.onset_ms


def test_at_least_three_in_ten_cases_are_no_op_controls(cases):
    assert sum(not c.faults for c in cases) / len(cases) >= 0.3


def test_about_one_in_ten_faulty_cases_has_a_second_fault_elsewhere_within_five_minutes(cases):
    faulty = [c for c in cases if c.faults]
    double = [c for c in faulty if len(c.faults) == 2]
    assert len(double) / len(faulty) == pytest.approx(SECOND_ODDS, abs=0.05)
    for a, b in (c.faults for c in double):
        assert a.entity != b.entity
        assert 0 <= struck(b) - struck(a) <= 300_000


def test_faults_come_as_often_as_asked(plan, cases):
    faults = [f for c in cases for f in c.faults]
    assert len(faults) / MONTHS.days == pytest.approx(MONTHS.faults_per_day, rel=0.1)


def test_every_kind_comes_up_and_amplitudes_have_a_wide_spread(cases):
    faults = [f for c in cases for f in c.faults]
    assert set(Counter(f.kind for f in faults)) == set(KINDS)
    amplitudes = sorted(f.amplitude for f in faults)
    assert amplitudes[len(faults) // 10] < amplitudes[-len(faults) // 10] / 5


def test_scopes_are_whole_services_single_replicas_and_zones(cases):
    assert set(Counter(f.scope for c in cases for f in c.faults)) == {"all", "replica", "zone"}


def test_ten_changes_are_innocent_for_each_guilty_one(plan, cases):
    length = CASES * plan.slot_ms
    cycles = (MONTHS.end_ms - MONTHS.start_ms) // length
    end = MONTHS.start_ms + cycles * length
    guilty = sum(f.change_ms is not None for c in plan.cases(MONTHS.start_ms, end) for f in c.faults)
    changes = plan.changes(MONTHS.start_ms, end)
    assert guilty
    assert (len(changes) - guilty) / guilty == pytest.approx(10, rel=0.05)


def test_a_guilty_change_comes_shortly_before_its_fault_and_is_on_its_entity(plan, cases):
    changes = {(c.t, c.entity, c.kind) for c in plan.changes(MONTHS.start_ms - 10**7, MONTHS.end_ms)}
    for f in (f for c in cases for f in c.faults if f.change_ms is not None):
        assert 0 < f.onset_ms - f.change_ms < 30 * 60_000
        assert (f.change_ms, f.entity, KINDS[f.kind].change) in changes


def test_faults_of_one_case_end_before_the_next_case_strikes(cases):
    for case, following in pairwise(cases):
        assert all(f.end_ms < following.at_ms for f in case.faults)


def test_what_leads_up_to_a_limit_hits_it_in_its_case(cases):
    for case in cases:
        for f in (f for f in case.faults if KINDS[f.kind].lead_h[1]):
            assert case.start_ms < f.full_ms < case.end_ms
            assert f.full_ms - f.onset_ms <= LONGEST_LEAD_MS


def test_any_stretch_of_the_plan_can_be_asked_for_first():
    day = MONTHS.start_ms + 30 * 86_400_000
    whole, part = World(MONTHS, 9).plan, World(MONTHS, 9).plan
    whole.cases(MONTHS.start_ms, MONTHS.end_ms)
    assert part.cases(day, day + 86_400_000) == whole.cases(day, day + 86_400_000)
    assert part.changes(day, day + 86_400_000) == whole.changes(day, day + 86_400_000)
    assert part.faults(day, day + 3_600_000) == whole.faults(day, day + 3_600_000)


def test_a_world_without_faults_still_has_changes_and_maintenance():
    settings = Settings(topology="shop", days=14, step_s=60, faults_per_day=0)
    world = World(settings, 1)
    assert all(not c.faults for c in world.plan.cases(settings.start_ms, settings.end_ms))
    assert world.changes(settings.start_ms, settings.end_ms)
    assert world.plan.maintenance(settings.start_ms, settings.end_ms)


def test_the_autoscaler_tells_of_what_it_does():
    settings = Settings(topology="shop", days=7, step_s=60)
    kinds = {c.kind for seed in range(3) for c in World(settings, seed).changes(settings.start_ms, settings.end_ms)}
    assert kinds == {"deploy", "config", "flag", "scale"}
