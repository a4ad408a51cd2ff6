from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.yardstick.ranks import DEPTH, Drawn, Outcome, hits, outcome
from tests.yardstick.incidents import incident

SCORES = st.lists(st.integers(0, 3), min_size=1, max_size=9)


def made(group: str, first: float, other: float = 0.0, world: str = "") -> Outcome:
    found = {"a": np.full(DEPTH, first), "b": np.full(DEPTH, other)}
    return Outcome("world", "test", group, "network", "impact", found, world)


def test_the_best_is_first_and_the_worst_is_not() -> None:
    score = np.array([3.0, 2.0, 1.0])
    assert hits(score, 0).tolist() == [1, 1, 1, 1, 1]
    assert hits(score, 2).tolist() == [0, 0, 1, 1, 1]


def test_who_knows_nothing_has_what_chance_has() -> None:
    np.testing.assert_allclose(hits(np.zeros(10), 7), np.arange(1, 6) / 10)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=4), st.data())
def test_ties_count_as_the_average_of_all_orders(score: list[int], data) -> None:
    truth = data.draw(st.integers(0, len(score) - 1))
    orders = [sorted(p, key=lambda i: -score[i]).index(truth) for p in permutations(range(len(score)))]
    wanted = [np.mean([at < k for at in orders]) for k in range(1, DEPTH + 1)]
    np.testing.assert_allclose(hits(np.array(score, float), truth), wanted)


@given(SCORES)
def test_over_all_candidates_as_many_are_first_as_there_are_places(score: list[int]) -> None:
    total = sum(hits(np.array(score, float), i) for i in range(len(score)))
    np.testing.assert_allclose(total, np.minimum(np.arange(1, DEPTH + 1), len(score)))


def test_every_group_counts_the_same_however_many_cases_it_has() -> None:
    found = [made("large", 1.0)] * 9 + [made("small", 0.0)]
    assert Drawn(found).estimates("a")["AC@1"].value == pytest.approx(0.5)
    assert Drawn(found).estimates("a")["AC@1"].n == 10


def test_an_interval_holds_the_figure_and_narrows_with_more_cases() -> None:
    few, many = ([made("x", k % 2) for k in range(n)] for n in (10, 200))
    wide, narrow = Drawn(few).estimates("a")["AC@1"], Drawn(many).estimates("a")["AC@1"]
    assert wide.low < 0.5 < wide.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_cases_of_one_world_are_no_independent_witnesses() -> None:
    alike = [made("x", float(w < 4), world=f"{w}") for w in range(8) for _ in range(25)]
    mixed = [made("x", k % 2, world=f"{w}") for w in range(8) for k in range(26)]
    wide, narrow = (Drawn(some).estimates("a")["AC@1"] for some in (alike, mixed))
    assert wide.value == narrow.value == pytest.approx(0.5)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    alone = [replace(o, world="") for o in alike]
    assert Drawn(alone).estimates("a")["AC@1"].high < wide.high - 0.1


def test_a_lead_that_hangs_on_the_world_is_none_and_worlds_of_different_groups_are_never_mixed() -> None:
    turned = [made("x", 0.6, 0.6 + 0.3 * (-1) ** w + 0.05, world=f"{w}") for w in range(4) for _ in range(50)]
    by_world, by_case = Drawn(turned).lead("a", "b"), Drawn([replace(o, world="") for o in turned]).lead("a", "b")
    assert by_world.low < 0 < by_world.high
    assert by_case.high < 0
    apart = [made(g, float(g == "x"), world="1") for g in "xy" for _ in range(5)]
    assert Drawn(apart).estimates("a")["AC@1"].low == Drawn(apart).estimates("a")["AC@1"].high == 0.5


def test_a_lead_is_told_from_the_same_cases_drawn() -> None:
    uneven = [made("x", k % 2, k % 2) for k in range(20)]
    assert Drawn(uneven).lead("a", "b").low == Drawn(uneven).lead("a", "b").high == 0
    better = [made("x", 0.1 + k % 2 / 2, k % 2 / 2) for k in range(20)]
    assert Drawn(better).lead("a", "b").low == pytest.approx(0.1)


def test_without_cases_there_is_no_figure() -> None:
    assert np.isnan(Drawn([]).estimates("a")["AC@3"].value)
    assert Drawn([]).estimates("a")["AC@3"].n == 0


def test_an_outcome_says_how_each_arm_did() -> None:
    case = incident("stock")
    told = outcome(
        case,
        "dev",
        {"right": lambda c: np.array([0, 0, 1.0, 0]), "wrong": lambda c: np.array([1.0, 1, 0, 1])},
        "shop 7",
    )
    assert (told.part, told.group, told.source, told.world) == ("dev", "shop", "world", "shop 7")
    assert told.hits["right"][0] == 1
    assert told.hits["wrong"].tolist() == [0, 0, 0, 1, 1]
