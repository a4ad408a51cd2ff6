from airis_mon.query.plan import Matching
from airis_mon.query.setops import set_operation
from tests.query.vectors import assert_seen, vec

PLAIN = Matching("many-to-many")
ON_X = Matching("many-to-many", is_on=True, labels=("x",))


def test_and_keeps_samples_whose_signature_is_there_at_the_same_step() -> None:
    lhs = vec(('a{x="1"}', 1, 2, None), ('a{x="2"}', 3, 4, 5))
    rhs = vec(('b{x="1"}', 0, None, 0), ('b{x="3"}', 0, 0, 0))
    assert_seen(set_operation("and", lhs, rhs, PLAIN), {'a{x="1"}': 1}, {}, {})


def test_and_takes_a_nan_for_a_sample() -> None:
    lhs, rhs = vec(('a{x="1"}', float("nan"))), vec(('b{x="1"}', float("nan")))
    assert_seen(set_operation("and", lhs, rhs, PLAIN), {'a{x="1"}': float("nan")})


def test_unless_keeps_the_other_samples() -> None:
    lhs = vec(('a{x="1"}', 1, 2), ('a{x="2"}', 3, 4))
    assert_seen(
        set_operation("unless", lhs, vec(('b{x="1"}', 0, None)), PLAIN),
        {'a{x="2"}': 3},
        {'a{x="1"}': 2, 'a{x="2"}': 4},
    )


def test_or_adds_samples_whose_signature_is_not_there_at_the_same_step() -> None:
    lhs = vec(('a{x="1"}', 1, None))
    rhs = vec(('b{x="1"}', 8, 9), ('b{x="2"}', 6, 7))
    assert_seen(
        set_operation("or", lhs, rhs, PLAIN),
        {'a{x="1"}': 1, 'b{x="2"}': 6},
        {'b{x="1"}': 9, 'b{x="2"}': 7},
    )


def test_or_joins_series_of_equal_labels() -> None:
    found = set_operation("or", vec(('a{x="1"}', 1, None)), vec(('a{x="1"}', 8, 9)), PLAIN)
    assert len(found) == 1
    assert_seen(found, {'a{x="1"}': 1}, {'a{x="1"}': 9})


def test_on_compares_the_named_labels_only() -> None:
    lhs = vec(('a{x="1",y="1"}', 1), ('a{x="1",y="2"}', 2), ('a{x="2"}', 3))
    rhs = vec(('b{x="1",z="1"}', 0))
    assert_seen(set_operation("and", lhs, rhs, ON_X), {'a{x="1",y="1"}': 1, 'a{x="1",y="2"}': 2})
    assert_seen(set_operation("or", lhs, rhs, ON_X), {'a{x="1",y="1"}': 1, 'a{x="1",y="2"}': 2, 'a{x="2"}': 3})


def test_on_nothing_asks_whether_there_is_anything() -> None:
    nothing = Matching("many-to-many", is_on=True)
    lhs, rhs = vec(('a{x="1"}', 1, 2)), vec(("b", None, 0))
    assert_seen(set_operation("and", lhs, rhs, nothing), {}, {'a{x="1"}': 2})
    assert_seen(set_operation("unless", lhs, rhs, nothing), {'a{x="1"}': 1}, {})


def test_a_side_without_series_is_an_empty_one() -> None:
    lhs, none = vec(('a{x="1"}', 1)), vec(('a{x="1"}', 1)).rows(slice(0))
    assert_seen(set_operation("and", lhs, none, PLAIN), {})
    assert_seen(set_operation("or", none, lhs, PLAIN), {'a{x="1"}': 1})
    assert_seen(set_operation("unless", lhs, none, PLAIN), {'a{x="1"}': 1})
    assert_seen(set_operation("unless", none, lhs, PLAIN), {})
