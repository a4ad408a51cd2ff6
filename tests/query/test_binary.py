import math
import operator
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airis_mon.errors import QueryError
from airis_mon.query.binary import negate
from airis_mon.query.plan import Matching
from airis_mon.query.values import Scalar, Text, Vector
from airis_mon.series.labels import METRIC, Labels, series_name
from tests.query.vectors import assert_seen, at, binary, scalar, scalars, seen, vec, vectors

PLAIN = Matching()
Sample = tuple[Labels, float]
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
ARITHMETIC = ["+", "-", "*", "/", "%", "^", "atan2"]


class Refused(Exception):
    """The reference refuses a step."""


def calculated(op: str, lhs: float, rhs: float) -> float:
    try:
        match op:
            case "+":
                return lhs + rhs
            case "-":
                return lhs - rhs
            case "*":
                return lhs * rhs
            case "/":
                return lhs / rhs
            case "%":
                return math.fmod(lhs, rhs)
            case "^":
                return math.pow(lhs, rhs)
            case _:
                return math.atan2(lhs, rhs)
    except (ZeroDivisionError, ValueError, OverflowError):
        # Python raises where IEEE 754 has a value.
        with np.errstate(all="ignore"):
            return float({"/": np.divide, "%": np.fmod, "^": np.power}[op](np.float64(lhs), np.float64(rhs)))


def signature(labels: Labels, matching: Matching) -> Labels:
    if matching.is_on:
        return tuple(p for p in labels if p[0] in matching.labels)
    return tuple(p for p in labels if p[0] not in (*matching.labels, METRIC))


def named(op: str, many: Labels, one: Labels, matching: Matching, *, is_bool: bool) -> Labels:
    found = dict(many)
    if op in ARITHMETIC:
        found.pop(METRIC, None)
    if matching.card == "one-to-one":
        found = {n: v for n, v in found.items() if (n in matching.labels) == matching.is_on}
    for name in matching.include:
        found.pop(name, None)
        if name in dict(one):
            found[name] = dict(one)[name]
    if is_bool:
        found.pop(METRIC, None)
    return tuple(sorted(found.items()))


def matched_step(
    op: str, lhs: list[Sample], rhs: list[Sample], matching: Matching, *, is_bool: bool
) -> dict[Labels, float]:
    """What Prometheus' documentation says of one step."""
    is_swapped = matching.card == "one-to-many"
    many, one = (rhs, lhs) if is_swapped else (lhs, rhs)
    partners: dict[Labels, Sample] = {}
    for sample in one if many else []:
        key = signature(sample[0], matching)
        if key in partners:
            raise Refused("found duplicate series")
        partners[key] = sample
    met: set[tuple[Labels, Labels]] = set()
    found: dict[Labels, float] = {}
    for labels, value in many:
        key = signature(labels, matching)
        if key not in partners:
            continue
        other, other_value = partners[key]
        left, right = (other_value, value) if is_swapped else (value, other_value)
        name = named(op, labels, other, matching, is_bool=is_bool)
        answer = answered(op, left, right, left, is_bool=is_bool)
        if answer is None:  # what a comparison filters away makes nothing ambiguous
            continue
        mark = (key, () if matching.card == "one-to-one" else name)
        if mark in met:
            raise Refused("multiple matches for labels")
        met.add(mark)
        if name in found:
            raise Refused("same labelset")
        found[name] = answer
    return found


def answered(op: str, left: float, right: float, kept: float, *, is_bool: bool) -> float | None:
    if op in ARITHMETIC:
        return calculated(op, left, right)
    holds = COMPARE[op](left, right)
    if is_bool:
        return float(holds)
    return kept if holds else None


def set_step(op: str, lhs: list[Sample], rhs: list[Sample], matching: Matching) -> dict[Labels, float]:
    on_left = {signature(labels, matching) for labels, _ in lhs}
    on_right = {signature(labels, matching) for labels, _ in rhs}
    if op == "and":
        return {labels: v for labels, v in lhs if signature(labels, matching) in on_right}
    if op == "unless":
        return {labels: v for labels, v in lhs if signature(labels, matching) not in on_right}
    return {**{labels: v for labels, v in rhs if signature(labels, matching) not in on_left}, **dict(lhs)}


def agrees(compute: Callable[[], object], reference: Callable[[int], dict[Labels, float]], steps: int) -> None:
    """The same at every step, or refused for the reason of one of the steps that the reference refuses."""
    reasons, wanted = [], []
    for step in range(steps):
        try:
            wanted.append({series_name(labels): v for labels, v in reference(step).items()})
        except Refused as reason:
            reasons.append(str(reason))
    if not reasons:
        found = compute()
        assert isinstance(found, Vector)
        assert_seen(found, *wanted)
        return
    with pytest.raises(QueryError) as caught:
        compute()
    assert any(reason in str(caught.value) for reason in reasons)


matchings = st.builds(
    Matching,
    card=st.sampled_from(["one-to-one", "many-to-one", "one-to-many"]),
    is_on=st.booleans(),
    labels=st.sampled_from([(), ("x",), ("y",), ("x", "y"), (METRIC, "x")]),
    include=st.sampled_from([(), ("y",), ("y", METRIC)]),
).filter(lambda m: (m.card != "one-to-one" or not m.include) and not (m.is_on and set(m.labels) & set(m.include)))


@given(st.sampled_from([*ARITHMETIC, *COMPARE]), vectors(), vectors(), matchings, st.booleans())
def test_vectors_are_combined_as_documented(op: str, lhs: Vector, rhs: Vector, matching: Matching, flag: bool) -> None:
    is_bool = flag and op in COMPARE
    agrees(
        lambda: binary(op, lhs, rhs, matching, is_bool=is_bool),
        lambda step: matched_step(op, at(lhs, step), at(rhs, step), matching, is_bool=is_bool),
        lhs.has.shape[1],
    )


@given(st.sampled_from(["and", "or", "unless"]), vectors(), vectors(), matchings)
def test_sets_are_combined_as_documented(op: str, lhs: Vector, rhs: Vector, matching: Matching) -> None:
    agrees(
        lambda: binary(op, lhs, rhs, matching, is_bool=False),
        lambda step: set_step(op, at(lhs, step), at(rhs, step), matching),
        lhs.has.shape[1],
    )


def unnamed(samples: Sequence[tuple[Labels, float]]) -> dict[Labels, float]:
    found: dict[Labels, float] = {}
    for labels, value in samples:
        name = tuple(p for p in labels if p[0] != METRIC)
        if name in found:
            raise Refused("same labelset")
        found[name] = value
    return found


@given(st.sampled_from([*ARITHMETIC, *COMPARE]), vectors(), scalars, st.booleans(), st.booleans())
def test_a_vector_and_a_scalar_are_combined_as_documented(
    op: str, vector: Vector, number: Scalar, is_left: bool, flag: bool
) -> None:
    is_bool = flag and op in COMPARE

    def reference(step: int) -> dict[Labels, float]:
        found = []
        for labels, value in at(vector, step):
            left, right = (value, float(number.value[step])) if is_left else (float(number.value[step]), value)
            answer = answered(op, left, right, value, is_bool=is_bool)
            if answer is not None:
                found.append((labels, answer))
        return dict(found) if op in COMPARE and not is_bool else unnamed(found)

    sides = (vector, number) if is_left else (number, vector)
    agrees(
        lambda: binary(op, *sides, PLAIN, is_bool=is_bool),
        reference,
        vector.has.shape[1],
    )


@given(vectors())
def test_minus_is_minus_of_every_sample_without_its_name(vector: Vector) -> None:
    agrees(
        lambda: negate(vector),
        lambda step: unnamed([(labels, -value) for labels, value in at(vector, step)]),
        vector.has.shape[1],
    )


@given(vectors(), vectors())
def test_an_operation_changes_neither_of_its_sides(lhs: Vector, rhs: Vector) -> None:
    before = seen(lhs), seen(rhs)
    try:
        binary("+", lhs, rhs, Matching(is_on=True, labels=("x",)), is_bool=False)
    except QueryError:
        assume(False)
    assert repr((seen(lhs), seen(rhs))) == repr(before)


def numbers(found: object) -> list[float]:
    assert isinstance(found, Scalar)
    return found.value.tolist()


def test_two_scalars_give_a_scalar() -> None:
    assert numbers(binary("-", scalar(1, 5), scalar(3, 2), PLAIN, is_bool=False)) == [-2, 3]
    assert numbers(binary("<", scalar(1, 5), scalar(3, 2), PLAIN, is_bool=True)) == [1, 0]


def test_minus_of_a_scalar_is_a_scalar() -> None:
    assert numbers(negate(scalar(1, -2))) == [-1, 2]


def test_a_comparison_with_a_scalar_keeps_the_samples_value_on_either_side() -> None:
    vector = vec(("a", 1, 7))
    for found in (
        binary(">", vector, scalar(5, 5), PLAIN, is_bool=False),
        binary("<", scalar(5, 5), vector, PLAIN, is_bool=False),
    ):
        assert isinstance(found, Vector)
        assert_seen(found, {}, {"a": 7})


def test_series_that_differ_by_name_alone_contradict_each_other_only_at_the_same_step() -> None:
    found = binary("*", vec(("a", 1, None), ("b", None, 3)), scalar(2, 2), PLAIN, is_bool=False)
    assert isinstance(found, Vector)
    assert_seen(found, {"{}": 2}, {"{}": 6})
    with pytest.raises(QueryError, match="same labelset"):
        binary("*", vec(("a", 1, 2), ("b", None, 3)), scalar(2, 2), PLAIN, is_bool=False)


def test_the_order_of_the_left_side_is_kept() -> None:
    found = binary(
        "+", vec(('a{x="3"}', 1), ('a{x="1"}', 2)), vec(('b{x="1"}', 0), ('b{x="3"}', 0)), PLAIN, is_bool=False
    )
    assert isinstance(found, Vector)
    assert list(found.labels) == [(("x", "3"),), (("x", "1"),)]


def test_text_takes_no_operator() -> None:
    with pytest.raises(QueryError, match="binary expression must contain only scalar and instant vector types"):
        binary("+", Text("a"), scalar(1), PLAIN, is_bool=False)
    with pytest.raises(QueryError, match='got "string"'):
        negate(Text("a"))
