from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import QueryCancelled
from airis_mon.series.batch import Values
from airis_mon.series.slopes import SLOPES, Spans, slopes
from tests.series.windows import Sample, compute

T = 1_760_000_400_000
values = st.one_of(
    st.integers(-3, 30).map(float),
    st.floats(0, 1e9),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e15, 0.1]),
)
series = st.lists(
    st.lists(st.tuples(st.integers(0, 100), values), min_size=1, max_size=30, unique_by=lambda s: s[0]),
    min_size=1,
    max_size=4,
)


def spans_of(runs: Sequence[Sequence[Sample]], ends: Sequence[int], window: int) -> Spans:
    samples = [sample for run in runs for sample in sorted(run)]
    t, value = np.array([t for t, _ in samples], np.int64), np.array([v for _, v in samples], np.float64)
    return Spans.over(t, value, np.cumsum([0, *map(len, runs)]), np.array(ends, np.int64), window)


def computed(
    function: str,
    runs: Sequence[Sequence[Sample]],
    ends: Sequence[int],
    window: int,
    moments: Sequence[int] | None = None,
    ahead: Sequence[float] | None = None,
) -> Values:
    moments = ends if moments is None else moments
    ahead = [60.5] * len(ends) if ahead is None else ahead
    spans = spans_of(runs, ends, window)
    return slopes(function, spans, np.array(moments, np.int64), np.array(ahead, np.float64), lambda: None)


@settings(max_examples=60, deadline=None)  # the first example compiles
@given(
    series,
    st.integers(-20, 120),
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(-50, 50), st.sampled_from([60.5, -3.25, 0.0, math.nan])), min_size=1, max_size=12),
    st.integers(1, 150),
)
def test_slopes_are_prometheus_own_to_the_last_bit(
    places: list[list[Sample]], start: int, step: int, aims: list[tuple[int, float]], window: int
) -> None:
    runs = [[(T + at * 500, v) for at, v in samples] for samples in places]
    ends = [T + start * 500 + i * step * 250 for i in range(len(aims))]
    moments, ahead = [end + by * 250 for end, (by, _) in zip(ends, aims, strict=True)], [s for _, s in aims]
    for function in sorted(SLOPES):
        found = computed(function, runs, ends, window * 250, moments, ahead)
        for row, samples in enumerate(runs):
            for i, got in enumerate(found[row].tolist()):
                want = compute(function, sorted(samples), ends[i], window * 250, [ahead[i]], moments[i])
                np.testing.assert_array_equal(got, math.nan if want is None else want)


def test_many_samples_are_walked_some_series_at_a_time() -> None:
    rng = np.random.default_rng(3)
    runs = [[(T + i * 1000, float(v)) for i, v in enumerate(rng.integers(0, 99, n))] for n in (20, 0, 7, 30, 1, 25)]
    spans = spans_of(runs, range(T, T + 30_000, 2_000), 9_000)
    ahead = np.full(len(spans.ends), 60.5)
    for function in SLOPES:
        whole = slopes(function, spans, spans.ends, ahead, lambda: None)
        for at_once in (1, 100, 150):
            np.testing.assert_array_equal(slopes(function, spans, spans.ends, ahead, lambda: None, at_once), whole)


def test_a_walk_ends_when_nobody_waits_any_more() -> None:
    spans = spans_of([[(T, 1.0), (T + 1, 2.0)]], [T + 1], 10)

    def check() -> None:
        raise QueryCancelled("the query was cancelled")

    for function in SLOPES:
        with pytest.raises(QueryCancelled):
            slopes(function, spans, spans.ends, np.zeros(1), check)


def test_a_counter_that_begins_anew_goes_on_from_nothing_and_leaves_no_trace_afterwards() -> None:
    jumps = [10.1, 0.3, 20.7, 0.2, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]
    found = computed(
        "increase", [[(T + i * 1000, v) for i, v in enumerate(jumps)]], range(T + 2_000, T + 10_000, 1_000), 3_001
    )
    assert (found[0, 5:] == 0).all()
    found = computed("rate", [[(T, math.inf), (T + 1000, 1.0), (T + 2000, 2.0), (T + 3000, 3.0)]], [T + 3000], 3_000)
    assert found.tolist() == [[1.0]]


def test_a_constant_has_no_slope_at_all() -> None:
    samples = [(T + i * 15_000, 0.1) for i in range(20)]
    assert computed("deriv", [samples], [T + 300_000], 300_000).tolist() == [[0.0]]
    assert computed("predict_linear", [samples], [T + 300_000], 300_000).tolist() == [[0.1]]


def test_a_line_goes_on_as_it_went() -> None:
    samples = [(T + i * 1000, 5.0 + 2.0 * i) for i in range(10)]
    assert computed("predict_linear", [samples], [T + 9_000], 60_000)[0, 0] == pytest.approx(5 + 2 * 69.5)
