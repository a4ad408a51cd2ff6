import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import QueryError
from airis_mon.query.values import Scalar, Text, Vector, empty
from airis_mon.series.labels import METRIC, Labels, series_name
from tests.query.vectors import aggregate, assert_seen, at, scalar, vec, vectors

NAN, INF = math.nan, math.inf
GROUPINGS = st.tuples(st.sampled_from([(), ("x",), ("y",), ("x", "y"), (METRIC, "y")]), st.booleans())


def group_of(labels: Labels, names: tuple[str, ...], *, is_without: bool) -> Labels:
    if is_without:
        return tuple(p for p in labels if p[0] not in (*names, METRIC))
    return tuple(p for p in labels if p[0] in names)


def groups_at(vector: Vector, step: int, names: tuple[str, ...], *, is_without: bool) -> dict[Labels, list[float]]:
    found: dict[Labels, list[float]] = {}
    for labels, value in at(vector, step):
        found.setdefault(group_of(labels, names, is_without=is_without), []).append(value)
    return found


def total(values: list[float]) -> float:
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def variance(values: list[float]) -> float:
    return statistics.pvariance(values) if all(map(math.isfinite, values)) else NAN


def real(values: list[float]) -> list[float]:
    return [v for v in values if not math.isnan(v)] or [NAN]


REFERENCE: dict[str, Callable[[list[float]], float]] = {
    "sum": total,
    "avg": lambda values: total(values) / len(values),
    "min": lambda values: min(real(values)),
    "max": lambda values: max(real(values)),
    "count": len,
    "group": lambda _: 1,
    "stdvar": variance,
    "stddev": lambda values: math.sqrt(variance(values)),
}


def quantile(phi: float, values: list[float]) -> float:
    if math.isnan(phi):
        return NAN
    if not 0 <= phi <= 1:
        return math.copysign(INF, phi)
    ranked = sorted(values, key=lambda v: -INF if math.isnan(v) else v)
    ranked.sort(key=lambda v: not math.isnan(v))
    rank = phi * (len(values) - 1)
    lower = math.floor(rank)
    upper = min(len(values) - 1, lower + 1)
    return ranked[lower] * (1 - (rank - lower)) + ranked[upper] * (rank - lower)


def first_k(op: str, k: float, samples: list[tuple[Labels, float]]) -> list[tuple[Labels, float]]:
    sign = -1 if op == "topk" else 1
    return sorted(samples, key=lambda s: (math.isnan(s[1]), 0 if math.isnan(s[1]) else sign * s[1]))[: max(int(k), 0)]


def named(groups: dict[Labels, float]) -> dict[str, float]:
    return {series_name(labels): value for labels, value in groups.items()}


@given(st.sampled_from(list(REFERENCE)), vectors(), GROUPINGS)
def test_groups_are_reduced_as_documented(op: str, vector: Vector, grouping: tuple[tuple[str, ...], bool]) -> None:
    names, is_without = grouping
    found = aggregate(op, vector, None, names, is_without=is_without)
    wanted = [groups_at(vector, step, names, is_without=is_without) for step in range(vector.has.shape[1])]
    assert_seen(found, *(named({key: REFERENCE[op](values) for key, values in step.items()}) for step in wanted))


@given(vectors(), GROUPINGS, st.lists(st.sampled_from([0, 0.3, 0.5, 0.99, 1, -1, 2, NAN, INF]), min_size=3, max_size=3))
def test_quantiles_are_as_documented(vector: Vector, grouping: tuple[tuple[str, ...], bool], phi: list[float]) -> None:
    names, is_without = grouping
    found = aggregate("quantile", vector, scalar(*phi), names, is_without=is_without)
    wanted = [groups_at(vector, step, names, is_without=is_without) for step in range(3)]
    assert_seen(
        found,
        *(named({k: quantile(phi[i], values) for k, values in step.items()}) for i, step in enumerate(wanted)),
    )


@given(
    st.sampled_from(["topk", "bottomk"]),
    vectors(),
    GROUPINGS,
    st.lists(st.sampled_from([-1.0, 0.9, 1.0, 2.7, 1e6]), min_size=3, max_size=3),
)
def test_the_first_k_of_each_group_are_as_documented(
    op: str, vector: Vector, grouping: tuple[tuple[str, ...], bool], k: list[float]
) -> None:
    names, is_without = grouping
    wanted = []
    for step in range(3):
        groups: dict[Labels, list[tuple[Labels, float]]] = {}
        for sample in at(vector, step):
            groups.setdefault(group_of(sample[0], names, is_without=is_without), []).append(sample)
        wanted.append(named(dict(s for samples in groups.values() for s in first_k(op, k[step], samples))))
    assert_seen(aggregate(op, vector, scalar(*k), names, is_without=is_without), *wanted)


@given(st.sampled_from(["topk", "bottomk"]), vectors(), GROUPINGS, st.sampled_from([1.0, 2.0, 9.0]))
def test_a_single_step_has_the_first_k_in_their_order(
    op: str, vector: Vector, grouping: tuple[tuple[str, ...], bool], k: float
) -> None:
    names, is_without = grouping
    one = Vector(vector.labels, vector.value[:, :1], vector.has[:, :1])
    groups: dict[Labels, list[tuple[Labels, float]]] = {}
    for sample in at(one, 0):
        groups.setdefault(group_of(sample[0], names, is_without=is_without), []).append(sample)
    found = aggregate(op, one, scalar(k), names, is_without=is_without)
    wanted = [labels for samples in groups.values() for labels, _ in first_k(op, k, samples)]
    assert list(found.labels) == wanted


def text(value: float) -> str:
    if not math.isfinite(value):
        return {INF: "+Inf", -INF: "-Inf"}.get(value, "NaN")
    return f"{value:.1f}".removesuffix(".0")


@given(vectors(), GROUPINGS, st.sampled_from(["v", "x", METRIC]))
def test_values_are_counted_as_documented(vector: Vector, grouping: tuple[tuple[str, ...], bool], label: str) -> None:
    names, is_without = grouping
    wanted = []
    for step in range(3):
        counts: dict[Labels, float] = {}
        for labels, value in at(vector, step):
            given_label = tuple(sorted({**dict(labels), label: text(value)}.items()))
            names_too = names if is_without else (*names, label)
            key = group_of(given_label, names_too, is_without=is_without)
            counts[key] = counts.get(key, 0) + 1
        wanted.append(named(counts))
    assert_seen(aggregate("count_values", vector, Text(label), names, is_without=is_without), *wanted)


@given(vectors(), st.permutations(range(6)))
def test_the_order_of_the_series_does_not_matter(vector: Vector, order: list[int]) -> None:
    other = vector.rows(np.array([i for i in order if i < len(vector)], np.intp))
    for op in ("max", "count", "sum"):
        one = aggregate(op, vector, None, ("x",), is_without=False)
        two = aggregate(op, other, None, ("x",), is_without=False)
        assert_seen(one, *(dict(step) for step in _steps(two)))


def _steps(vector: Vector) -> list[dict[str, float]]:
    return [named(dict(at(vector, step))) for step in range(vector.has.shape[1])]


def test_without_drops_the_name_and_by_may_keep_it() -> None:
    vector = vec(('a{x="1",y="1"}', 1), ('b{x="1",y="2"}', 2), ('b{x="2",y="2"}', 4))
    assert_seen(aggregate("sum", vector, None, ("y",), is_without=True), {'{x="1"}': 3, '{x="2"}': 4})
    assert_seen(aggregate("sum", vector, None, ("__name__",), is_without=False), {"a": 1, "b": 6})


def test_a_label_that_a_series_lacks_is_empty() -> None:
    vector = vec(('a{x="1"}', 1), ("a", 2), ("b", 4))
    assert_seen(aggregate("sum", vector, None, ("x",), is_without=False), {'{x="1"}': 1, "{}": 6})


def test_a_group_is_there_at_the_steps_of_its_series_only() -> None:
    vector = vec(('a{x="1"}', 1, None, None), ('a{x="2"}', None, 2, None))
    assert_seen(aggregate("count", vector, None, ("x",), is_without=False), {'{x="1"}': 1}, {'{x="2"}': 1}, {})


def test_equal_values_deviate_by_nothing() -> None:
    vector = vec(*((f'a{{x="{i}"}}', 0.1) for i in range(7)))
    assert aggregate("stddev", vector, None, (), is_without=False).value.tolist() == [[0]]


def test_small_deviations_of_large_values_are_seen() -> None:
    vector = vec(*((f'a{{x="{i}"}}', 1e9 + i / 1024) for i in range(4)))
    assert_seen(aggregate("stdvar", vector, None, (), is_without=False), {"{}": 1.25 / 1024**2})


def test_nothing_aggregates_to_nothing() -> None:
    for op, param in (("sum", None), ("stddev", None), ("topk", scalar(1)), ("quantile", scalar(0.5)),
                      ("count_values", Text("v"))):  # fmt: skip
        found = aggregate(op, empty(1), param, (), is_without=False)
        assert len(found) == 0
        assert found.has.shape == (0, 1)


@pytest.mark.parametrize(
    ("op", "param"), [("topk", Text("a")), ("quantile", None), ("count_values", Scalar(np.ones(1)))]
)
def test_a_parameter_of_the_wrong_type_is_refused(op: str, param: Text | Scalar | None) -> None:
    with pytest.raises(QueryError, match="in aggregation parameter"):
        aggregate(op, vec(("a", 1)), param, (), is_without=False)
