from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import QueryCancelled, QueryError
from airis_mon.query import windows
from airis_mon.query.ranges import over
from airis_mon.query.values import Runs, Scalar, Vector
from tests.series import windows as reference
from tests.series.windows import Sample

MINUTE = 60_000


def test_window_is_open_on_the_left_and_closed_on_the_right() -> None:
    samples = [(0, 1.0), (15_000, 2.0), (60_000, 4.0)]

    assert value_at("sum_over_time", samples, 60_000) == 6.0
    assert value_at("sum_over_time", samples, 59_999) == 3.0


def test_window_without_samples_has_no_value() -> None:
    found = ask("sum_over_time", [[(0, 1.0)], []], ends=[59_999, 60_000])

    assert found.has.tolist() == [[True, False], [False, False]]
    assert np.isnan(found.value[~found.has]).all()


def test_no_series_give_no_series() -> None:
    assert len(ask("rate", [], ends=[0, 1])) == 0


def test_labels_are_kept_as_they_are() -> None:
    assert ask("rate", [[(0, 1.0)]], ends=[0]).labels == [(("__name__", "m"), ("i", "0"))]


def test_unknown_function_is_refused_by_name() -> None:
    with pytest.raises(QueryError, match="unsupported function mad_over_time"):
        ask("mad_over_time", [], ends=[0])


def test_query_that_is_cancelled_ends_between_pieces() -> None:
    calls = iter([None, None])

    def check() -> None:
        if next(calls, "over") == "over":
            raise QueryCancelled("the query was cancelled")

    with pytest.raises(QueryCancelled):
        ask("sum_over_time", [[(0, 1.0)]] * windows.CELLS, ends=[0, 1, 2], check=check)


def test_samples_that_cover_the_window_are_extrapolated_to_both_its_ends() -> None:
    # 15 s apart from 5 s to 50 s: 3 a step over 45 s; 5 s and 10 s to the edges are less than 1.1 intervals.
    samples = [(5_000, 100.0), (20_000, 103.0), (35_000, 106.0), (50_000, 109.0)]

    assert value_at("increase", samples, 60_000) == pytest.approx(9 * 60 / 45)
    assert value_at("rate", samples, 60_000) == pytest.approx(9 / 45)
    assert value_at("delta", samples, 60_000) == pytest.approx(9 * 60 / 45)


def test_series_that_begins_in_the_window_is_extrapolated_by_half_an_interval() -> None:
    samples = [(31_000, 100.0), (41_000, 110.0), (51_000, 120.0)]

    assert value_at("delta", samples, 60_000) == pytest.approx(20 * (20 + 5 + 9) / 20)


def test_gap_of_exactly_the_threshold_counts_as_far_away() -> None:
    samples = [(11_000, 100.0), (21_000, 110.0), (31_000, 120.0), (41_000, 130.0), (51_000, 140.0)]

    assert value_at("delta", samples, 60_000) == pytest.approx(40 * (40 + 5 + 9) / 40)


def test_counter_is_not_extrapolated_below_zero() -> None:
    samples = [(10_000, 2.0), (20_000, 12.0), (30_000, 22.0), (40_000, 32.0), (50_000, 42.0)]

    # It was 0 two seconds before its first sample.
    assert value_at("increase", samples, 60_000) == pytest.approx(40 * (40 + 2 + 10) / 40)
    assert value_at("delta", samples, 60_000) == pytest.approx(40 * (40 + 10 + 10) / 40)


def test_zero_point_never_reaches_farther_than_half_an_interval_into_a_gap() -> None:
    # Prometheus 3: 8 s to the zero point, but the series is taken to begin 5 s before its first sample.
    samples = [(50_000, 8.0), (60_000, 18.0), (70_000, 28.0), (80_000, 38.0), (90_000, 48.0), (100_000, 58.0)]

    assert value_at("rate", samples, 100_000, window=100_000) == pytest.approx(0.55)


def test_counter_reset_is_a_restart_from_zero() -> None:
    samples = [(0, 50.0), (15_000, 60.0), (30_000, 5.0), (45_000, 15.0), (60_000, 20.0)]

    # 60 -> 5 adds 5; the first sample is left out by the window.
    assert value_at("increase", samples, 60_000) == pytest.approx((5 + 10 + 5) * 60 / 45)
    assert value_at("resets", samples, 60_000) == 1


def test_reset_between_two_series_is_none() -> None:
    found = ask("resets", [[(0, 9.0), (1, 10.0)], [(0, 1.0), (1, 2.0)]], ends=[1])

    assert found.value.tolist() == [[0.0], [0.0]]


def test_growth_needs_two_samples() -> None:
    for function in ("rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear"):
        assert value_at(function, [(0, 1.0)], 0, param=1.0) is None


def test_irate_looks_at_the_last_two_samples() -> None:
    samples = [(0, 1000.0), (30_000, 4.0), (45_000, 10.0)]

    assert value_at("irate", samples, 50_000) == pytest.approx(6 / 15)
    assert value_at("idelta", samples, 50_000) == 6.0
    assert value_at("irate", samples[:2], 50_000) == pytest.approx(4 / 30)
    assert value_at("idelta", samples[:2], 50_000) == -996.0


def test_line_through_a_constant_is_flat_to_the_last_digit() -> None:
    samples = [(i * 15_000, 0.1) for i in range(5)]

    assert value_at("deriv", samples, 60_000) == 0.0
    assert value_at("predict_linear", samples, 60_000, param=3600.0) == 0.1


def test_line_through_infinity_is_none() -> None:
    assert math.isnan(value_at("deriv", [(0, math.inf), (1, math.inf)], 1) or 0.0)
    assert math.isnan(value_at("predict_linear", [(0, math.inf), (1, math.inf)], 1, param=0.0) or 0.0)


def test_prediction_starts_at_the_moment_of_evaluation_not_at_the_windows_end() -> None:
    line = [(i * 15_000, 2.0 * i * 15) for i in range(5)]
    runs = runs_of([line])
    ends, t = np.array([60_000]), np.array([90_000])

    found = over("predict_linear", runs, ends, MINUTE, [Scalar(np.array([10.0]))], t, lambda: None)

    assert found.value[0, 0] == pytest.approx(2.0 * (90 + 10))


def test_each_step_has_its_own_parameter() -> None:
    found = ask("quantile_over_time", [[(0, 1.0), (1, 2.0), (2, 4.0)]], ends=[2, 2, 2, 2], param=[0.0, 0.75, 1.1, -1.0])

    assert found.value.tolist() == [[1.0, 3.0, math.inf, -math.inf]]


def test_quantile_takes_nan_for_the_least_value() -> None:
    samples = [(0, math.nan), (1, 5.0), (2, 3.0)]

    assert math.isnan(value_at("quantile_over_time", samples, 2, param=0.0) or 0.0)
    assert value_at("quantile_over_time", samples, 2, param=0.5) == 3.0
    assert math.isnan(value_at("quantile_over_time", samples, 2, param=math.nan) or 0.0)


def test_extremes_pass_over_nan_unless_there_is_nothing_else() -> None:
    assert value_at("max_over_time", [(0, math.nan), (1, -5.0)], 1) == -5.0
    assert value_at("min_over_time", [(0, 7.0), (1, math.nan)], 1) == 7.0
    assert math.isnan(value_at("min_over_time", [(0, math.nan)], 1) or 0.0)


def test_nan_after_nan_is_no_change() -> None:
    values = [math.nan, math.nan, 1.0, 1.0, math.nan, 2.0]

    assert value_at("changes", list(enumerate(values)), 5) == 3


def test_sum_keeps_what_large_terms_would_swallow() -> None:
    values = [1e100, 1.0, 1e-3, -1e100]

    assert value_at("sum_over_time", list(enumerate(values)), 5) == 1.001
    assert value_at("avg_over_time", list(enumerate(values)), 5) == pytest.approx(1.001 / 4)


def test_mean_of_the_largest_numbers_is_among_them() -> None:
    values = [1.5e308, 1.7e308, 1.6e308]

    assert value_at("avg_over_time", list(enumerate(values)), 5) == pytest.approx(1.6e308)
    assert value_at("sum_over_time", list(enumerate(values)), 5) == math.inf


def test_infinite_samples_add_up_as_ieee_says() -> None:
    assert value_at("sum_over_time", [(0, math.inf), (1, 1.0)], 1) == math.inf
    assert math.isnan(value_at("avg_over_time", [(0, math.inf), (1, -math.inf)], 1) or 0.0)


def test_deviation_of_a_constant_is_nothing_at_all() -> None:
    assert value_at("stddev_over_time", [(i, 1.5990505637277868) for i in range(7)], 6) == 0.0


def test_deviation_does_not_suffer_from_the_distance_to_zero() -> None:
    values = [1e9 + x for x in (0.0, 1.0, 2.0, 3.0)]

    assert value_at("stdvar_over_time", list(enumerate(values)), 3) == pytest.approx(1.25, rel=1e-12)


def test_ends_may_stand_still() -> None:
    found = ask("count_over_time", [[(0, 1.0), (1, 2.0)]], ends=[1, 1, 1])

    assert found.value.tolist() == [[2.0, 2.0, 2.0]]


def test_windows_of_very_different_length_lie_in_different_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "CELLS", 8)
    many = [[(i, float(i)) for i in range(n)] for n in (1, 40, 3, 0, 17)]

    found = ask("sum_over_time", many, ends=[0, 16, 50])

    assert found.value[found.has].tolist() == [0, 0, 0, 0, 136, 780, 0, 3, 3, 0, 136, 136]


FUNCTIONS = (
    *("rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear", "changes", "resets"),
    *("min_over_time", "max_over_time", "avg_over_time", "sum_over_time", "count_over_time", "present_over_time"),
    *("first_over_time", "last_over_time", "quantile_over_time", "stddev_over_time", "stdvar_over_time"),
)

# Multiples of 1/4 keep the references' plain sums exact; the strange values are rarer than the others.
numbers = st.integers(-40, 40).map(lambda n: n / 4)
odd_numbers = st.sampled_from([math.nan, math.inf, -math.inf])
counters = st.lists(st.integers(0, 9).map(float), max_size=15)
gauges = st.lists(numbers | numbers | numbers | odd_numbers, max_size=15)


@st.composite
def series(draw: st.DrawFn) -> list[Sample]:
    values = draw(counters | gauges)
    gaps = draw(st.lists(st.sampled_from([1000, 7001, 15_000, 40_000]), min_size=len(values), max_size=len(values)))
    return list(zip(np.cumsum([draw(st.integers(-5000, 5000)), *gaps])[1:].tolist(), values, strict=True))


@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=60, deadline=None)
@given(
    many=st.lists(series(), min_size=1, max_size=4),
    start=st.integers(-10_000, 100_000),
    step=st.sampled_from([0, 1000, 15_000, 61_000]),
    window=st.sampled_from([1000, 30_000, 200_000]),
    moved=st.sampled_from([0, 0, 15_000]),
    param=st.lists(st.sampled_from([0.0, 0.3, 0.5, 1.0, -0.1, 1.1, math.nan]), min_size=5, max_size=5),
    cells=st.sampled_from([1, 10, windows.CELLS]),
)
def test_every_function_agrees_with_its_definition(
    function: str,
    many: list[list[Sample]],
    start: int,
    step: int,
    window: int,
    moved: int,
    param: list[float],
    cells: int,
) -> None:
    ends = [start + i * step for i in range(5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "CELLS", cells)
        found = ask(function, many, ends=ends, window=window, param=param, moved=moved)

    for row, samples in enumerate(many):
        for i, end in enumerate(ends):
            expected = reference.compute(function, samples, end, window, [param[i]], end + moved)
            assert found.has[row, i] == (expected is not None)
            if expected is not None:
                assert found.value[row, i] == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


# Helpers.


def runs_of(many: Sequence[Sequence[Sample]]) -> Runs:
    samples = [sample for samples in many for sample in samples]
    return Runs(
        [(("__name__", "m"), ("i", str(i))) for i in range(len(many))],
        np.cumsum([0, *map(len, many)]),
        np.array([t for t, _ in samples], np.int64),
        np.array([value for _, value in samples], np.float64),
    )


def ask(
    function: str,
    many: Sequence[Sequence[Sample]],
    ends: Sequence[int],
    *,
    window: int = MINUTE,
    param: Sequence[float] | None = None,
    moved: int = 0,
    check: Callable[[], None] = lambda: None,
) -> Vector:
    at = np.array(ends, np.int64)
    args = [] if param is None else [Scalar(np.array(param, np.float64))]
    return over(function, runs_of(many), at, window, args, at + moved, check)


def value_at(
    function: str, samples: Sequence[Sample], end: int, *, window: int = MINUTE, param: float | None = None
) -> float | None:
    found = ask(function, [samples], [end], window=window, param=None if param is None else [param])
    return float(found.value[0, 0]) if found.has[0, 0] else None
