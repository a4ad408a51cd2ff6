import math

import numpy as np
import pytest

from airis_mon.errors import QueryError
from airis_mon.query.values import Text, Vector, vector
from tests.query.vectors import aggregate, assert_seen, vec


def tallied(of: Vector, name: str = "v", *by: str, is_without: bool = False) -> Vector:
    return aggregate("count_values", of, Text(name), by, is_without=is_without)


def test_series_of_a_value_are_counted_step_by_step() -> None:
    vector = vec(('a{x="1"}', 1, 2, None), ('a{x="2"}', 1, 1, None), ('a{x="3"}', 5, 2, None))
    assert_seen(tallied(vector), {'{v="1"}': 2, '{v="5"}': 1}, {'{v="2"}': 2, '{v="1"}': 1}, {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (1 / 3, "0.3333333333333333"),
        (123456789.125, "123456789.125"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_values_are_written_without_exponent(value: float, text: str) -> None:
    assert_seen(tallied(vec(("a", value))), {f'{{v="{text}"}}': 1})


def test_every_number_reads_back_as_itself() -> None:
    values = np.random.default_rng(1).integers(0, 2**62, 300).view(np.float64)
    found = tallied(vec(*((f'a{{x="{i}"}}', float(v)) for i, v in enumerate(values))))
    assert {float(dict(labels)["v"]) for labels in found.labels} == set(values.tolist())


def test_every_nan_is_the_same_value() -> None:
    other = float(np.uint64(0x7FF8000000000123).view(np.float64))
    assert_seen(tallied(vec(('a{x="1"}', math.nan), ('a{x="2"}', other))), {'{v="NaN"}': 2})


def test_the_label_takes_the_place_of_one_of_its_name() -> None:
    vector = vec(('a{x="1"}', 7), ('a{x="2"}', 7))
    assert_seen(tallied(vector, "x", "x"), {'{x="7"}': 2})
    assert_seen(tallied(vector, "x", "y", is_without=True), {'{x="7"}': 2})


def test_without_may_name_the_label_and_so_drop_it() -> None:
    vector = vec(('a{x="1"}', 7), ('a{x="2"}', 8))
    assert_seen(tallied(vector, "x", "x", is_without=True), {"{}": 2})
    assert_seen(tallied(vector, "__name__", "x", is_without=True), {"{}": 2})


def test_a_label_needs_a_name() -> None:
    with pytest.raises(QueryError, match='invalid label name ""'):
        tallied(vec(("a", 1)), "")


def test_more_values_than_memory_holds_are_refused_before_they_are_counted() -> None:
    steps = 10_000
    many = vector([(("x", "1"),)], np.arange(float(steps))[np.newaxis], np.ones((1, steps), np.bool_))
    with pytest.raises(QueryError, match="100,000,000, at most 50,000,000"):
        tallied(many)
