"""When 70 % more is prevented, when it is not, and when nobody can say."""

from __future__ import annotations

import math

import pytest

from airis_mon.yardstick.base import Claim
from airis_mon.yardstick.prevention import (
    BOUND,
    MISSED,
    MOST_MISSED,
    UNSEEN,
    WARNED,
    claim,
    compared,
    false_per_host_week,
)
from airis_mon.yardstick.warned import Case, Judged, Watch

HOUR = 3_600_000
WEEK = 7.0


def world(found: int, of: int, false: int = 0, hosts: int = 4, weeks: float = 1.0) -> Judged:
    """So many of the first limits warned of an hour ahead; all false warnings of one pod."""
    cases = tuple(Case("x", HOUR if i < found else math.nan) for i in range(of))
    watches = (Watch("memory_leak", false, 0.0, weeks * WEEK),) + (Watch("", 0, 0.0, weeks * WEEK),) * hosts
    return Judged(cases, watches)


def held(ours: Judged, theirs: Judged, *, quick: bool = False) -> Claim:
    return claim("them", "test", [ours], [theirs], quick=quick)


def test_nearly_twice_as_many_hold() -> None:
    said = held(world(190, 200), world(90, 200))
    assert (said.verdict, said.bound) == ("HOLDS", BOUND)
    assert said.estimate is not None
    assert said.estimate.value == pytest.approx(190 / 90)


def test_a_baseline_that_warns_of_nearly_all_leaves_only_what_it_misses() -> None:
    said = held(world(188, 200), world(188, 200))
    assert (said.verdict, said.bound) == ("FAILS", MOST_MISSED)
    assert said.estimate is not None
    assert said.estimate.value == 1
    assert "it warns of 0.94, so that 70% fewer missed ones are wanted, ours of 0.94" in said.why


def test_few_missed_where_many_were_hold() -> None:
    assert held(world(195, 200), world(150, 200)).verdict == "HOLDS"
    assert held(world(183, 200), world(150, 200)).verdict == "INCONCLUSIVE"


def test_half_an_hour_is_the_least_that_counts() -> None:
    late = Judged(tuple(Case("x", HOUR / 2 - 1) for _ in range(50)) + tuple(Case("x", HOUR / 2) for _ in range(50)))
    assert compared([late], [world(100, 100)])[WARNED].value == 0.5


def test_nothing_missed_may_be_chance_where_few_could_be() -> None:
    few, many = (compared([world(200, 200)], [world(200 - n, 200)])[MISSED] for n in (6, 20))
    assert (few.value, few.high) == (0, UNSEEN / 6)
    assert (many.value, many.high) == (0, UNSEEN / 20)
    assert held(world(200, 200), world(194, 200)).verdict == "INCONCLUSIVE"
    assert held(world(200, 200), world(180, 200)).verdict == "HOLDS"


@pytest.mark.parametrize("missed", [0, 1, 2])
def test_of_a_baseline_that_misses_next_to_nothing_nobody_can_say(missed: int) -> None:
    said = held(world(200, 200), world(200 - missed, 200))
    assert said.verdict == "INCONCLUSIVE"
    assert "too few limits, or missed ones" in said.why


def test_without_limits_there_is_no_figure() -> None:
    said = held(world(0, 0), world(0, 0))
    assert said.verdict == "INCONCLUSIVE"
    assert said.estimate is not None
    assert math.isnan(said.estimate.value)


def test_a_quick_look_proves_nothing_but_shows_its_figure() -> None:
    said = held(world(190, 200), world(90, 200), quick=True)
    assert said.verdict == "INCONCLUSIVE"
    assert said.why.startswith("quick")
    assert said.estimate is not None
    assert said.estimate.value > 2


def test_false_warnings_are_told_per_host_of_the_world() -> None:
    assert false_per_host_week([world(0, 0, false=8, hosts=4, weeks=2)]).value == 1
    pattern = Judged((), (Watch("pattern", 3, 0.0, WEEK), Watch("pattern", 0, 0.0, 2 * WEEK)))
    assert false_per_host_week([pattern]).value == 1


def test_who_warns_falsely_too_often_prevents_nothing() -> None:
    assert held(world(190, 200, false=100), world(90, 200)).verdict != "HOLDS"
    always = Judged(world(190, 200).cases, (Watch("", 3, 0.0, WEEK),) * 4)
    assert held(always, world(90, 200)).verdict == "FAILS"


def test_a_baseline_that_warns_falsely_too_often_is_not_held_against_ours() -> None:
    said = held(world(190, 200), world(190, 200, false=100))
    assert said.verdict == "INCONCLUSIVE"
    assert "falsely 25 times a host-week" in said.why
