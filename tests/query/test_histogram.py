from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import QueryCancelled, QueryError
from airis_mon.query.histogram import histogram_quantile
from airis_mon.query.values import Vector
from airis_mon.series.labels import Labels

NAN, INF = math.nan, math.inf
LATENCIES = {"0.1": 10.0, "0.5": 30.0, "1": 40.0, "+Inf": 40.0}


@pytest.mark.parametrize(
    ("phi", "expected"),
    [
        (0.5, 0.1 + 0.4 * (20 - 10) / 20),  # the 20th of 40 lies halfway from the 10th to the 30th
        (0.125, 0.05),  # the lowest bucket begins at 0
        (1.0, 1.0),
        (0.0, 0.0),
        (-0.1, -INF),
        (1.1, INF),
        (NAN, NAN),
    ],
)
def test_quantile_lies_in_proportion_within_its_bucket(phi: float, expected: float) -> None:
    assert quantile(phi, LATENCIES) == pytest.approx(expected, nan_ok=True)


def test_quantile_in_the_highest_bucket_is_its_lower_bound() -> None:
    assert quantile(0.9, {"1": 5.0, "2": 6.0, "+Inf": 10.0}) == 2.0


def test_lowest_bucket_that_is_not_positive_gives_its_bound() -> None:
    assert quantile(0.1, {"-2": 5.0, "1": 6.0, "+Inf": 10.0}) == -2.0
    assert quantile(0.1, {"0": 5.0, "+Inf": 10.0}) == 0.0


@pytest.mark.parametrize(
    "buckets",
    [
        {"1": 5.0, "2": 6.0},  # nothing says how many there are
        {"+Inf": 5.0},
        {"1": 0.0, "+Inf": 0.0},
        {"1": 0.0, "inf": 0.0, "nonsense": 7.0},
    ],
)
def test_too_little_is_no_quantile(buckets: dict[str, float]) -> None:
    assert math.isnan(quantile(0.5, buckets))


def test_quantile_out_of_range_needs_no_complete_histogram() -> None:
    assert quantile(2.0, {"1": 5.0}) == INF


def test_empty_first_bucket_has_no_quantile_0() -> None:
    assert math.isnan(quantile(0.0, {"1": 0.0, "2": 5.0, "+Inf": 5.0}))


@pytest.mark.parametrize("le", ["", "1_0", " 1", "0x", "nan", "1e999", "\u0661"])
def test_series_without_a_bound_is_left_out(le: str) -> None:
    assert quantile(0.5, {**LATENCIES, le: 1e9}) == quantile(0.5, LATENCIES)
    assert len(ask([0.5], {bucket(le): [1.0]})) == 0


def test_bounds_that_are_equal_numbers_are_one_bucket() -> None:
    assert quantile(0.5, {"1": 2.0, "1.0": 3.0, "2e0": 10.0, "+Inf": 10.0}) == 1.0


def test_counts_that_fall_are_lifted_to_the_one_before() -> None:
    assert quantile(0.5, {"1": 10.0, "2": 8.0, "4": 20.0, "+Inf": 20.0}) == 1.0
    assert quantile(0.75, {"1": 10.0, "2": 8.0, "4": 20.0, "+Inf": 20.0}) == 3.0


def test_differences_of_rounding_are_none() -> None:
    a_little_more = 10 * (1 + 1e-13)

    assert quantile(1.0, {"1": 10.0, "2": a_little_more, "+Inf": a_little_more}) == 1.0
    assert quantile(1.0, {"1": 10.0, "2": 10 * (1 + 1e-11), "+Inf": 10 * (1 + 1e-11)}) == 2.0


def test_histograms_are_told_apart_by_their_other_labels() -> None:
    found = ask([0.5], {bucket(le, job=job): [n * 2.0] for job in "ab" for le, n in LATENCIES.items()})

    assert found.labels == [(("job", "a"),), (("job", "b"),)]
    assert found.value.tolist() == [[pytest.approx(0.3)]] * 2


def test_histograms_that_differ_by_name_alone_are_refused() -> None:
    with pytest.raises(QueryError, match="vector cannot contain metrics with the same labelset"):
        ask([0.5], {bucket("+Inf"): [1.0], bucket("+Inf", __name__="other"): [1.0]})


def test_a_histogram_of_very_many_buckets_ends_between_them_when_nobody_waits_any_more() -> None:
    def check() -> None:
        raise QueryCancelled("the query was cancelled")

    rows = [bucket(str(bound)) for bound in range(10)]
    with pytest.raises(QueryCancelled):
        histogram_quantile(np.array([0.5]), Vector(rows, np.ones((10, 1)), np.ones((10, 1), np.bool_)), check)


def test_bucket_that_comes_later_counts_only_from_then_on() -> None:
    rows = {bucket("1"): [5.0, 5.0, NAN], bucket("2"): [NAN, 10.0, NAN], bucket("+Inf"): [10.0, 10.0, NAN]}

    found = ask([0.5, 0.75, 0.5], rows)

    assert found.value[0, :2].tolist() == [1.0, 1.5]
    assert found.has.tolist() == [[True, True, False]]


@given(
    counts=st.lists(st.none() | st.integers(0, 20).map(float), min_size=7, max_size=7),
    phi=st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.99, 1.0, -1.0, 2.0, NAN]),
    order=st.permutations(range(7)),
)
def test_quantile_agrees_with_its_definition(counts: list[float | None], phi: float, order: Sequence[int]) -> None:
    bounds = ["-1", "0", "0.5", "1", "2.5", "100", "+Inf"]
    present = [(float(le), n) for le, n in zip(bounds, counts, strict=True) if n is not None]

    found = ask([phi], {bucket(bounds[i]): [NAN if (n := counts[i]) is None else n] for i in order})

    assert found.has.tolist() == [[bool(present)]]
    if present:
        assert found.value[0, 0] == pytest.approx(defined(phi, present), nan_ok=True)


def defined(phi: float, buckets: list[tuple[float, float]]) -> float:
    if math.isnan(phi):
        return NAN
    if not 0 <= phi <= 1:
        return math.copysign(INF, phi)
    bounds = [bound for bound, _ in buckets]
    counts = list(itertools.accumulate((n for _, n in buckets), max))
    if bounds[-1] != INF or len(bounds) < 2 or counts[-1] == 0:
        return NAN
    rank = phi * counts[-1]
    i = next(i for i, n in enumerate(counts) if n >= rank)
    if i == len(bounds) - 1:
        return bounds[-2]
    if i == 0 and bounds[0] <= 0:
        return bounds[0]
    low, under = (bounds[i - 1], counts[i - 1]) if i else (0.0, 0.0)
    if counts[i] == under:
        return NAN
    return low + (bounds[i] - low) * (rank - under) / (counts[i] - under)


# Helpers.


def bucket(le: str, **labels: str) -> Labels:
    return tuple(sorted({"__name__": "h_bucket", "le": le, **labels}.items()))


def ask(phi: Sequence[float], rows: Mapping[Labels, Sequence[float]]) -> Vector:
    value = np.array(list(rows.values()))
    with np.errstate(all="ignore"):
        return histogram_quantile(np.array(phi), Vector(list(rows), value, ~np.isnan(value)), lambda: None)


def quantile(phi: float, buckets: Mapping[str, float]) -> float:
    return float(ask([phi], {bucket(le): [n] for le, n in buckets.items()}).value[0, 0])
