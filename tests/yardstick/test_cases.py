import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airis_mon.simulate.dirt import Block
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.truth import Verdict, verdicts
from airis_mon.simulate.world import World
from airis_mon.yardstick.cases import CLASS_OF, MINUTE, Case, world_cases

WORLD = Settings(
    topology="shop",
    days=0.5,
    faults_per_day=40,
    amplitude=4.0,
    histogram=False,
    kinds=("bad_deploy_errors", "network_delay", "host_failure", "traffic_surge"),
)
MOMENTS = ("onset", "impact", "detection")


@pytest.fixture(scope="module")
def world() -> World:
    return World(WORLD, 3)


@pytest.fixture(scope="module")
def found(world: World) -> list[Verdict]:
    begin = WORLD.start_ms
    return [v for v in verdicts(world, begin, WORLD.end_ms - 60 * MINUTE) if v.fault.onset_ms > begin + 90 * MINUTE]


@pytest.fixture(scope="module")
def cases(world: World, found: list[Verdict]) -> list[Case]:
    return list(world_cases(world, found, MOMENTS))


def test_each_fault_that_users_felt_and_that_is_somebodys_is_asked_for_at_every_moment(found, cases) -> None:
    felt = [v for v in found if v.is_valid and v.fault.entity != "load"]
    assert 0 < len(felt) < len(found)
    assert len(cases) == 3 * len(felt)
    for v in felt:
        of = [c for c in cases if c.id.endswith(f" {v.fault.id}")]
        assert {c.moment for c in of} == set(MOMENTS)
        assert {c.truth for c in of} == {v.fault.entity}


def last_seen(v: Verdict, moment: str) -> int:
    """Until when anything may be known, of faults that lead up to nothing."""
    return {
        "onset": v.fault.onset_ms + 4 * MINUTE - 1,
        "impact": v.impact_ms or 0,
        "detection": (v.impact_ms or 0) + MINUTE,
    }[moment]


def test_nothing_after_the_moment_is_shown(found, cases) -> None:
    by_id = {v.fault.id: v for v in found}
    for case in cases:
        v = by_id[case.id.split()[-1]]
        end = last_seen(v, case.moment)
        assert end - WORLD.step_ms < case.t[-1] <= end
        assert case.values.shape == (len(case.t), len(case.signals))


class Turned:
    """A world that is what it is up to a moment, and quite another one after it."""

    def __init__(self, world: World, blocks: list[Block], end: int) -> None:
        self._world, self._blocks, self._end = world, blocks, end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def blocks(self) -> Iterator[Block]:
        for block in self._blocks:
            later = (block.t > self._end)[:, None]
            yield replace(
                block, value=np.where(later, 1e6 - 3 * block.value, block.value), present=block.present | later
            )


@pytest.fixture(scope="module")
def blocks(world: World) -> list[Block]:
    return list(world.blocks())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_case_is_the_same_whatever_the_world_does_after_its_moment(world, blocks, found, moment) -> None:
    felt = [v for v in found if v.is_valid and v.fault.entity != "load"][:4]
    for v in felt:
        (case,) = world_cases(Turned(world, blocks, WORLD.end_ms), [v], (moment,))
        end = last_seen(v, moment)
        (same,) = world_cases(Turned(world, blocks, end), [v], (moment,))
        (other,) = world_cases(Turned(world, blocks, end - WORLD.step_ms), [v], (moment,))
        for name in Case.__slots__:
            np.testing.assert_equal(getattr(same, name), getattr(case, name), name)
        assert not np.array_equal(other.values, case.values, equal_nan=True)


def test_the_window_is_of_minutes_and_the_history_of_the_hour_before(cases) -> None:
    for case in cases:
        assert (np.diff(case.t) == WORLD.step_ms).all()
        assert case.split == 240
        assert len(case.window) == (16 if case.moment == "onset" else 21)


def test_hosts_are_candidates_only_where_a_host_is_to_blame(world, cases) -> None:
    assert {c.source for c in cases} == {"world", "world hosts"}
    for case in cases:
        assert (case.source == "world hosts") == (case.truth in world.topology.hosts)
        assert (case.source == "world hosts") == (CLASS_OF[case.kind] == "host")
        assert set(world.topology.names) <= set(case.candidates)
        assert case.truth in case.candidates
        assert case.edges == world.edges


def test_the_signal_that_alarmed_is_what_users_felt(found, cases) -> None:
    by_id = {v.fault.id: v for v in found}
    for case in cases:
        first = min(by_id[case.id.split()[-1]].indicators, key=lambda i: i.moved_ms)
        what, whose = first.name.split(" of ")
        alarmed = case.signals[case.target]
        assert whose in alarmed.name.split()
        assert alarmed.kind == {"latency": "latency", "errors": "errors", "age": "latency"}[what]


def test_counters_are_given_as_rates_and_sums_as_means(world, cases) -> None:
    case = next(c for c in cases if c.moment == "impact")
    requests = [i for i, s in enumerate(case.signals) if s.name.startswith("http_requests_total 200")]
    took = [i for i, s in enumerate(case.signals) if s.name.startswith("http_request_duration_seconds_sum")]
    assert np.nanmedian(case.values[:, requests]) < 1e5  # a counter would be far above
    assert (np.nanmin(case.values[:, requests], axis=0) >= 0).all()
    assert 1e-4 < np.nanmedian(case.values[:, took]) < 10
    assert all(case.signals[i].kind == "latency" for i in took)


def test_the_same_world_gives_the_same_cases_however_moments_are_asked(found, cases) -> None:
    alone = list(world_cases(World(WORLD, 3), found, ("impact",)))
    among = [c for c in cases if c.moment == "impact"]
    for a, b in itertools.zip_longest(alone, among):
        assert a.id == b.id
        np.testing.assert_array_equal(a.values, b.values)


def test_every_kind_of_fault_has_a_class() -> None:
    from airis_mon.simulate.kinds import KINDS

    assert set(CLASS_OF) == set(KINDS)
