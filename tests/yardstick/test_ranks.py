from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.yardstick.ranks import DEPTH, Outcome, estimates, hits, lead, outcome
from tests.yardstick.incidents import incident

SCORES = st.lists(st.integers(0, 3), min_size=1, max_size=9)


def made(group: str, first: float, other: float = 0.0) -> Outcome:
    return Outcome(
        "world", "test", group, "network", "impact", {"a": np.full(DEPTH, first), "b": np.full(DEPTH, other)}
    )


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
    assert estimates(found, "a")["AC@1"].value == pytest.approx(0.5)
    assert estimates(found, "a")["AC@1"].n == 10


def test_an_interval_holds_the_figure_and_narrows_with_more_cases() -> None:
    few, many = ([made("x", k % 2) for k in range(n)] for n in (10, 200))
    wide, narrow = estimates(few, "a")["AC@1"], estimates(many, "a")["AC@1"]
    assert wide.low < 0.5 < wide.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_a_lead_is_told_from_the_same_cases_drawn() -> None:
    uneven = [made("x", k % 2, k % 2) for k in range(20)]
    assert lead(uneven, "a", "b").low == lead(uneven, "a", "b").high == 0
    better = [made("x", 0.1 + k % 2 / 2, k % 2 / 2) for k in range(20)]
    assert lead(better, "a", "b").low == pytest.approx(0.1)


def test_without_cases_there_is_no_figure() -> None:
    assert np.isnan(estimates([], "a")["AC@3"].value)
    assert estimates([], "a")["AC@3"].n == 0


def test_an_outcome_says_how_each_arm_did() -> None:
    case = incident("stock")
    told = outcome(
        case, "dev", {"right": lambda c: np.array([0, 0, 1.0, 0]), "wrong": lambda c: np.array([1.0, 1, 0, 1])}
    )
    assert (told.part, told.group, told.source) == ("dev", "shop", "world")
    assert told.hits["right"][0] == 1
    assert told.hits["wrong"].tolist() == [0, 0, 0, 1, 1]
