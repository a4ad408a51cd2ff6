import math

import pytest

from airis_mon.errors import QueryError
from airis_mon.query.values import Vector, empty
from tests.query.vectors import aggregate, assert_seen, scalar, vec

NAN, INF = math.nan, math.inf
FIVE = vec(('a{x="1"}', 3), ('a{x="2"}', NAN), ('a{x="3"}', 9), ('a{x="4"}', None), ('a{x="5"}', -INF))


def ranked(op: str, vector: Vector, *param: float) -> Vector:
    return aggregate(op, vector, scalar(*param), (), is_without=False)


def test_topk_falls_and_bottomk_rises_with_nan_last() -> None:
    assert [labels[1][1] for labels in ranked("topk", FIVE, 9).labels] == ["3", "1", "5", "2"]
    assert [labels[1][1] for labels in ranked("bottomk", FIVE, 9).labels] == ["5", "1", "3", "2"]


def test_ties_stay_in_their_order() -> None:
    vector = vec(*((f'a{{x="{i}"}}', 1) for i in range(40)))
    assert [labels[1][1] for labels in ranked("topk", vector, 3).labels] == ["0", "1", "2"]
    assert [labels[1][1] for labels in ranked("bottomk", vector, 3).labels] == ["0", "1", "2"]


def test_series_keep_their_labels_and_stay_where_they_rank() -> None:
    vector = vec(('a{x="1"}', 1, 5), ('a{x="2"}', 2, 4), ('a{x="3"}', 0, 0))
    assert_seen(ranked("topk", vector, 1, 1), {'a{x="2"}': 2}, {'a{x="1"}': 5})


def test_k_may_differ_from_step_to_step_and_loses_its_fraction() -> None:
    vector = vec(('a{x="1"}', 1, 1, 1), ('a{x="2"}', 2, 2, 2))
    assert_seen(ranked("topk", vector, 0.9, 1.9, 2), {}, {'a{x="2"}': 2}, {'a{x="1"}': 1, 'a{x="2"}': 2})


def test_no_k_reaches_one_is_nothing_even_when_it_is_far_below() -> None:
    assert_seen(ranked("topk", FIVE, -1e300), {})


@pytest.mark.parametrize(
    ("k", "message"),
    [
        ((1, NAN), "Parameter value is NaN"),
        ((1, INF), "Scalar value +Inf overflows int64"),
        ((1, 1e19), "Scalar value 10000000000000000000 overflows int64"),
        ((1, 1e300), "Scalar value 1e+300 overflows int64"),
        ((1, -INF), "Scalar value -Inf underflows int64"),
    ],
)
def test_a_k_that_is_no_integer_of_64_bits_is_refused(k: tuple[float, float], message: str) -> None:
    with pytest.raises(QueryError) as caught:
        ranked("topk", empty(2), *k)
    assert str(caught.value) == message


def test_a_quantile_lies_between_two_samples_in_proportion() -> None:
    vector = vec(*((f'a{{x="{i}"}}', v) for i, v in enumerate((40, 10, 30, 20))))
    assert_seen(ranked("quantile", vector, 0.5), {"{}": 25})
    assert_seen(ranked("quantile", vector, 0.9), {"{}": 37})


def test_the_quantile_of_an_infinite_sample_is_nan_as_the_formula_has_it() -> None:
    assert_seen(ranked("quantile", vec(("a", INF)), 0.5), {"{}": NAN})


def test_many_groups_are_ranked_each_for_itself() -> None:
    vector = vec(*((f'a{{x="{i % 11_000}",y="{i}"}}', i) for i in range(22_000)))
    found = aggregate("topk", vector, scalar(1), ("x",), is_without=False)
    assert found.value[:, 0].tolist() == list(range(11_000, 22_000))
