from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given

from airis_mon.errors import QueryError
from airis_mon.query.values import Scalar, Vector, empty, grouped, merged, nameless, relabelled, vector
from airis_mon.series.labels import METRIC, without
from tests.query.vectors import assert_seen, labels_of, seen, vec, vectors


def names(of: Vector) -> list[str]:
    return [",".join(f"{n}={v}" for n, v in labels) for labels in of.labels]


def test_a_vector_is_nan_where_nothing_is() -> None:
    found = vector([()], np.array([[1.0, 2.0]]), np.array([[True, False]]))
    assert seen(found) == [{"{}": 1.0}, {}]
    assert np.isnan(found.value[0, 1])


def test_present_leaves_out_series_that_have_nothing_at_any_step() -> None:
    assert names(vec(("a", None, None), ("b", None, 1.0), ("c", 2.0, 3.0)).present()) == ["__name__=b", "__name__=c"]
    assert len(empty(3).present()) == 0
    assert empty(3).present().has.shape == (0, 3)


def test_rows_come_in_the_order_given() -> None:
    of = vec(("a", 1.0), ("b", 2.0), ("c", 3.0))
    assert of.rows(np.array([2, 0], np.intp)).value.ravel().tolist() == [3.0, 1.0]
    assert names(of.rows(np.array([False, True, True]))) == ["__name__=b", "__name__=c"]


@pytest.mark.parametrize(
    ("series", "left"),
    [
        (("m",), [""]),
        (('m{x="1"}', 'm{x="2"}'), ["x=1", "x=2"]),
        (('m{X="1"}', 'm{X="2"}'), ["X=1", "X=2"]),
        (('m{X="1"}', 'm{x="1"}'), ["X=1", "x=1"]),
        (('m{x="1"}', 'n{x="2"}'), ["x=1", "x=2"]),
        (('m{x="1"}', '{x="2"}', "{}"), ["x=1", "x=2", ""]),
        (('{x="1"}', "{}"), ["x=1", ""]),
        ((), []),
    ],
)
def test_the_name_is_dropped_wherever_it_stands_among_the_labels(series: tuple[str, ...], left: list[str]) -> None:
    of = Vector([labels_of(name) for name in series], np.ones((len(series), 1)), np.ones((len(series), 1), np.bool_))
    assert names(nameless(of)) == left


@given(vectors())
def test_dropping_the_name_is_relabelling(of: Vector) -> None:
    try:
        wanted = relabelled(of, lambda labels: without(labels, METRIC))
    except QueryError as error:
        with pytest.raises(QueryError, match=re.escape(str(error))):
            nameless(of)
        return
    found = nameless(of)
    assert found.labels == wanted.labels
    np.testing.assert_array_equal(found.value, wanted.value)
    np.testing.assert_array_equal(found.has, wanted.has)


def test_series_that_take_turns_become_one() -> None:
    found = nameless(vec(('a{x="1"}', 1.0, None, 3.0), ('b{x="1"}', None, 2.0, None), ('b{x="2"}', 5.0, None, None)))
    assert_seen(found, {'{x="1"}': 1.0, '{x="2"}': 5.0}, {'{x="1"}': 2.0}, {'{x="1"}': 3.0})


def test_series_that_meet_under_equal_labels_are_refused() -> None:
    with pytest.raises(QueryError, match=r"^vector cannot contain metrics with the same labelset$"):
        nameless(vec(("a", 1.0, None), ("b", 2.0, 3.0)))


def test_merging_keeps_a_nan_that_is_there() -> None:
    found = merged(Vector([(), ()], np.array([[np.nan, 1.0], [2.0, 5.0]]), np.array([[True, False], [False, True]])))
    assert found.has.all()
    np.testing.assert_array_equal(found.value, [[np.nan, 5.0]])


def test_groups_come_by_first_appearance() -> None:
    a, b = labels_of("a"), labels_of("b")
    index, groups = grouped([b, a, b])
    assert index.tolist() == [0, 1, 0]
    assert groups == [b, a]


def test_a_scalar_as_a_vector_is_one_series_without_labels_at_every_step() -> None:
    assert seen(Scalar(np.array([1.0, 2.0])).as_vector()) == [{"{}": 1.0}, {"{}": 2.0}]
