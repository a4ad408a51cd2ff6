import numpy as np
import pytest

from airis_mon.errors import QueryError
from airis_mon.query.plan import Matching
from airis_mon.query.values import Vector, vector
from tests.query.vectors import Step, assert_seen, matched, vec

PLAIN = Matching()
ON_X = Matching(is_on=True, labels=("x",))
LEFT = Matching("many-to-one", is_on=True, labels=("x",))
RIGHT = Matching("one-to-many", is_on=True, labels=("x",))
MANY = vec(('a{x="1",y="1"}', 1, 2), ('a{x="1",y="2"}', 3, None))
ONE = vec(('b{x="1"}', 10, 2))


def result(op: str, lhs: Vector, rhs: Vector, matching: Matching, *steps: Step, is_bool: bool = False) -> None:
    assert_seen(matched(op, lhs, rhs, matching, is_bool=is_bool), *steps)


def refused(lhs: Vector, rhs: Vector, matching: Matching, op: str = "+") -> str:
    with pytest.raises(QueryError) as caught:
        matched(op, lhs, rhs, matching, is_bool=False)
    return str(caught.value)


def test_series_find_each_other_by_all_labels_but_the_name() -> None:
    lhs = vec(('a{x="1"}', 1, None, 3), ('a{x="2"}', 5, 5, 5))
    result("+", lhs, vec(('b{x="1"}', 10, 20, 30)), PLAIN, {'{x="1"}': 11}, {}, {'{x="1"}': 33})


def test_ignored_labels_are_not_in_the_result() -> None:
    ignoring = Matching(labels=("y",))
    result("-", vec(('a{x="1",y="1"}', 5)), vec(('b{x="1",y="2"}', 3)), ignoring, {'{x="1"}': 2})


def test_labels_that_on_names_are_all_of_the_result() -> None:
    result("*", vec(('a{x="1",y="1"}', 5)), vec(('b{x="1",z="2"}', 3)), ON_X, {'{x="1"}': 15})


def test_a_filter_keeps_the_left_value_and_its_name() -> None:
    lhs, rhs = vec(('a{x="1"}', 1, 7)), vec(('b{x="1"}', 5, 5))
    result(">", lhs, rhs, PLAIN, {}, {'a{x="1"}': 7})
    result(">", lhs, rhs, ON_X, {}, {'{x="1"}': 7})
    result(">", lhs, rhs, Matching(labels=("y",)), {}, {'a{x="1"}': 7})


def test_bool_answers_for_every_pair_and_drops_the_name() -> None:
    result(">", vec(('a{x="1"}', 1, 7)), vec(('b{x="1"}', 5, 5)), PLAIN, {'{x="1"}': 0}, {'{x="1"}': 1}, is_bool=True)


def test_the_many_side_keeps_its_labels() -> None:
    result("/", MANY, ONE, LEFT, {'{x="1",y="1"}': 0.1, '{x="1",y="2"}': 0.3}, {'{x="1",y="1"}': 1})
    result("/", ONE, MANY, RIGHT, {'{x="1",y="1"}': 10, '{x="1",y="2"}': 10 / 3}, {'{x="1",y="1"}': 1})


def test_a_filter_with_many_on_the_right_gives_the_left_value_under_the_right_name() -> None:
    result(">", ONE, MANY, RIGHT, {'a{x="1",y="1"}': 10, 'a{x="1",y="2"}': 10}, {})


def test_included_labels_come_from_the_one_side_and_go_with_it() -> None:
    including = Matching("many-to-one", is_on=True, labels=("x",), include=("v", "y"))
    result("*", vec(('a{x="1",y="1"}', 2)), vec(('b{v="3",x="1"}', 10)), including, {'{v="3",x="1"}': 20})


def test_an_included_name_survives_arithmetic_but_not_bool() -> None:
    including = Matching("many-to-one", is_on=True, labels=("x",), include=("__name__",))
    result("*", vec(('a{x="1"}', 2)), vec(('b{x="1"}', 10)), including, {'b{x="1"}': 20})
    result(">", vec(('a{x="1"}', 20)), vec(('b{x="1"}', 10)), including, {'b{x="1"}': 20})
    result(">", vec(('a{x="1"}', 2)), vec(('b{x="1"}', 10)), including, {'{x="1"}': 0}, is_bool=True)


def test_two_series_of_one_signature_on_the_one_side_are_refused() -> None:
    lhs, rhs = vec(('a{x="1"}', 1)), vec(('b{x="1",y="1"}', 1), ('b{x="1",y="2"}', 2))
    several = (
        'found duplicate series for the match group {x="1"} on the right hand-side of the operation: '
        '[{__name__="b", x="1", y="2"}, {__name__="b", x="1", y="1"}]'
        ";many-to-many matching not allowed: matching labels must be unique on one side"
    )
    assert refused(lhs, rhs, ON_X) == several
    assert refused(rhs, lhs, RIGHT) == several.replace("the right hand", "the left hand")


def test_duplicates_on_the_one_side_are_refused_even_where_nothing_matches_them() -> None:
    rhs = vec(('b{x="1",y="1"}', 1), ('b{x="1",y="2"}', 2))
    assert "found duplicate series" in refused(vec(('a{x="9"}', 1)), rhs, LEFT)


def test_duplicates_at_steps_without_any_sample_on_the_other_side_are_harmless() -> None:
    rhs = vec(('b{x="1",y="1"}', 1, 5), ('b{x="1",y="2"}', 2, None))
    result("+", vec(('a{x="1"}', None, 1)), rhs, ON_X, {}, {'{x="1"}': 6})


def test_two_series_of_one_signature_on_the_left_need_a_group_modifier() -> None:
    message = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
    assert refused(MANY, ONE, ON_X) == message


def test_what_a_comparison_filters_away_makes_no_match_ambiguous() -> None:
    result(">", MANY, vec(('b{x="1"}', 2, 2)), ON_X, {'{x="1"}': 3}, {})
    assert "must be explicit" in refused(MANY, vec(('b{x="1"}', 0, 0)), ON_X, op=">")


def test_results_of_one_group_must_have_different_labels() -> None:
    overwritten = Matching("many-to-one", is_on=True, labels=("x",), include=("y",))
    message = "multiple matches for labels: grouping labels must ensure unique matches"
    assert refused(MANY, ONE, overwritten) == message


def test_results_of_different_groups_must_have_different_labels_too() -> None:
    by_name = Matching(is_on=True, labels=("__name__", "x"))
    two = vec(('a{x="1"}', 1), ('b{x="1"}', 2))
    assert refused(two, two, by_name) == "vector cannot contain metrics with the same labelset"


def test_series_of_one_signature_may_take_turns_on_the_one_side() -> None:
    rhs = vec(('b{v="1",x="1"}', 10, None, 30), ('b{v="2",x="1"}', None, 20, None))
    result("+", vec(('a{x="1"}', 1, 2, 3)), rhs, ON_X, {'{x="1"}': 11}, {'{x="1"}': 22}, {'{x="1"}': 33})
    including = Matching("many-to-one", is_on=True, labels=("x",), include=("v",))
    result(
        "+",
        vec(('a{x="1"}', 1, 2, 3)),
        rhs,
        including,
        {'{v="1",x="1"}': 11},
        {'{v="2",x="1"}': 22},
        {'{v="1",x="1"}': 33},
    )


def test_series_of_one_signature_may_take_turns_on_the_left() -> None:
    lhs = vec(('a{x="1",y="1"}', 1, None), ('a{x="1",y="2"}', None, 2))
    found = matched("+", lhs, vec(('b{x="1"}', 10, 20)), ON_X, is_bool=False)
    assert len(found) == 1
    assert_seen(found, {'{x="1"}': 11}, {'{x="1"}': 22})


def test_a_side_without_series_gives_nothing() -> None:
    result("+", MANY, ONE.rows(slice(0)), PLAIN, {}, {})
    result("+", ONE.rows(slice(0)), MANY, RIGHT, {}, {})


def test_more_results_than_memory_holds_are_refused_before_they_are_made() -> None:
    steps = 1_001
    lhs = vector([(("x", str(i)),) for i in range(50)], np.ones((50, steps)), np.ones((50, steps), np.bool_))
    rhs = vector([(("v", str(i)),) for i in range(steps)], np.ones((steps, steps)), np.eye(steps, dtype=np.bool_))
    including = Matching("many-to-one", is_on=True, include=("v",))
    with pytest.raises(QueryError, match="50,100,050, at most 50,000,000"):
        matched("+", lhs, rhs, including, is_bool=False)


def test_labels_stand_in_messages_as_go_quotes_them() -> None:
    odd = ("x", '\x01\x7f\n"é')
    twice = [(odd, ("y", "1")), (odd, ("y", "2"))]
    said = refused(
        vec(("a", 1)).rows([0]), vector(twice, np.ones((2, 1)), np.ones((2, 1), np.bool_)), Matching(is_on=True)
    )
    assert r'{x="\x01\x7f\n\"é", y="2"}' in said
