"""Numbers and answers as Prometheus writes them; the expected texts are those of Prometheus 2.42."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.api.promjson import PIECE_BYTES, number, numbers, positional, scientific, seconds, written
from airis_mon.query.engine import Answer
from airis_mon.query.values import Runs, Scalar, Text, Vector, empty
from airis_mon.series.steps import Steps

A, B = (("__name__", "m"), ("job", "a")), (("__name__", "m"), ("job", "b"))


def vector(labels: list[Any], rows: list[list[float | None]]) -> Vector:
    has = np.array([[v is not None for v in row] for row in rows], np.bool_).reshape(len(labels), -1)
    value = np.array([[math.nan if v is None else v for v in row] for row in rows]).reshape(has.shape)
    return Vector(labels, value, has)


def said(value: Any, steps: Steps, limit: int = 0, *, is_range: bool = True) -> Any:
    return json.loads(b"".join(written(Answer(steps, value), limit, is_range=is_range)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (-0.0, "-0"),
        (0.0, "0"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (1.25e-6, "0.00000125"),
        (9.9e-7, "9.9e-07"),
        (5e-324, "5e-324"),
        (123456789.125, "123456789.125"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_a_value_is_written_as_prometheus_writes_it(value, text):
    assert number(value) == text.encode()
    assert numbers(np.array([1.5, value, 2.0])) == [b"1.5", text.encode(), b"2"]


@given(st.lists(st.floats()))
def test_numbers_read_back_are_the_same_numbers(values):
    texts = numbers(np.array(values, np.float64))
    np.testing.assert_array_equal(np.array([float(t) for t in texts]), np.array(values, np.float64))
    assert texts == [number(v) for v in values]


def test_a_scalar_has_no_exponent_however_long_it_gets():
    assert positional(1e-9) == b"0.000000001"
    assert positional(1e21) == b"1" + b"0" * 21
    assert positional(math.inf) == b"+Inf"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1e+00"), (0.0, "0e+00"), (-12.5, "-1.25e+01"), (2.5e-7, "2.5e-07"), (1e100, "1e+100"), (math.nan, "NaN")],
)
def test_the_value_of_an_alert_has_an_exponent(value, text):
    assert scientific(value) == text


@pytest.mark.parametrize(
    ("t", "text"),
    [(0, "0"), (1500, "1.500"), (1_435_781_451_010, "1435781451.010"), (-1, "-0.001"), (-61_000, "-61")],
)
def test_times_have_three_digits_after_the_point_or_none(t, text):
    assert seconds(t) == text.encode()


def test_the_matrix_of_a_range_query_is_sorted_and_leaves_out_what_is_absent():
    found = vector([B, A, (("z", "1"),)], [[None, 2.0, math.nan], [1.0, 1.5, 2.0], [None, None, None]])
    assert said(found, Steps(1000, 500, 3))["data"] == {
        "resultType": "matrix",
        "result": [
            {"metric": dict(A), "values": [[1, "1"], [1.5, "1.5"], [2, "2"]]},
            {"metric": dict(B), "values": [[1.5, "2"], [2, "NaN"]]},
        ],
    }


def test_a_scalar_over_a_range_is_a_series_without_labels():
    assert said(Scalar(np.array([5.0, 6.0])), Steps(0, 1000, 2))["data"] == {
        "resultType": "matrix",
        "result": [{"metric": {}, "values": [[0, "5"], [1, "6"]]}],
    }


def test_an_instant_vector_keeps_the_order_that_the_expression_gave():
    found = vector([B, (("z", "1"),), A], [[2.0], [None], [1.0]])
    assert said(found, Steps.at(1500), is_range=False)["data"] == {
        "resultType": "vector",
        "result": [{"metric": dict(B), "value": [1.5, "2"]}, {"metric": dict(A), "value": [1.5, "1"]}],
    }


def test_scalars_and_strings_of_an_instant_query_are_single_samples():
    scalar = Answer(Steps.at(1010), Scalar(np.array([1e-9])))
    assert b'"result":[1.01,"0.000000001"]}}' in b"".join(written(scalar, 0, is_range=False))
    text = said(Text('a"<\n'), Steps.at(10_000), is_range=False)
    assert text["data"] == {"resultType": "string", "result": [10, 'a"<\n']}


def test_the_samples_of_a_range_selector_are_a_matrix():
    runs = Runs([B, A, ()], np.array([0, 1, 3, 3]), np.array([5, 1000, 2000]), np.array([1.0, 2.0, 3.0]))
    assert said(runs, Steps.at(2000), is_range=False)["data"] == {
        "resultType": "matrix",
        "result": [
            {"metric": dict(A), "values": [[1, "2"], [2, "3"]]},
            {"metric": dict(B), "values": [[0.005, "1"]]},
        ],
    }


@pytest.mark.parametrize("is_range", [True, False])
def test_a_limit_cuts_series_and_says_so_only_when_there_were_more(is_range):
    found = vector([A, B], [[1.0], [2.0]])
    cut = said(found, Steps.at(0), 1, is_range=is_range)
    assert [s["metric"] for s in cut["data"]["result"]] == [dict(A)]
    assert cut["warnings"] == ["results truncated due to limit"]
    whole = said(found, Steps.at(0), 2, is_range=is_range)
    assert len(whole["data"]["result"]) == 2
    assert "warnings" not in whole


def test_nothing_found_is_an_empty_list():
    assert said(empty(1), Steps(0, 1, 1))["data"] == {"resultType": "matrix", "result": []}


def test_a_large_answer_comes_in_pieces():
    rows = 1000
    found = Vector([(("i", str(i)),) for i in range(rows)], np.random.default_rng(1).random((rows, 241)), None)
    found = Vector(found.labels, found.value, np.ones(found.value.shape, np.bool_))
    pieces = list(written(Answer(Steps(0, 15_000, 241), found), 0, is_range=True))
    assert len(pieces) > 10
    assert all(PIECE_BYTES / 2 < len(p) < PIECE_BYTES * 2 for p in pieces[:-1])
    result = json.loads(b"".join(pieces))["data"]["result"]
    assert len(result) == rows
    by_label = {int(s["metric"]["i"]): s["values"] for s in result}
    assert [float(v) for _, v in by_label[777]] == found.value[777].tolist()
