from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Grid
from airis_mon.store.slopes import SLOPES, slopes
from tests.store import windows
from tests.store.windows import Sample

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


def computed(function: str, runs: list[list[Sample]], steps: Steps, window: int) -> Grid:
    rows = [(fp, t, v) for fp, samples in enumerate(runs) for t, v in sorted(samples)]
    fp, t, value = zip(*rows, strict=True)
    columns = Columns(np.array(fp, np.uint64), np.array(t, np.int64), np.array(value, np.float64))
    return slopes(function, columns, steps, window, [60.5] if function == "predict_linear" else [])


@settings(max_examples=60, deadline=None)  # the first example compiles
@given(series, st.integers(-20, 120), st.integers(1, 40), st.integers(1, 12), st.integers(1, 150))
def test_slopes_are_prometheus_own_to_the_last_bit(
    places: list[list[Sample]], start: int, step: int, count: int, window: int
) -> None:
    runs = [[(T + at * 500, v) for at, v in samples] for samples in places]
    steps = Steps(T + start * 500, step * 250, count)
    for function in sorted(SLOPES):
        grid = computed(function, runs, steps, window * 250)
        for row, samples in enumerate(runs):
            want = [windows.compute(function, sorted(samples), t, window * 250, [60.5]) for t in steps.t.tolist()]
            assert grid.has[row].tolist() == [w is not None for w in want]
            np.testing.assert_array_equal(grid.value[row], [math.nan if w is None else w for w in want])


def test_a_counter_that_begins_anew_goes_on_from_nothing_and_leaves_no_trace_afterwards() -> None:
    jumps = [10.1, 0.3, 20.7, 0.2, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]
    grid = computed("increase", [[(T + i * 1000, v) for i, v in enumerate(jumps)]], Steps(T + 2_000, 1_000, 8), 3_001)
    assert (grid.value[0, 5:] == 0).all()
    grid = computed(
        "rate", [[(T, math.inf), (T + 1000, 1.0), (T + 2000, 2.0), (T + 3000, 3.0)]], Steps.at(T + 3000), 3_000
    )
    assert grid.value.tolist() == [[1.0]]


def test_a_constant_has_no_slope_at_all() -> None:
    samples = [(T + i * 15_000, 0.1) for i in range(20)]
    assert computed("deriv", [samples], Steps.at(T + 300_000), 300_000).value.tolist() == [[0.0]]
    assert computed("predict_linear", [samples], Steps.at(T + 300_000), 300_000).value.tolist() == [[0.1]]


def test_a_line_goes_on_as_it_went() -> None:
    samples = [(T + i * 1000, 5.0 + 2.0 * i) for i in range(10)]
    assert computed("predict_linear", [samples], Steps.at(T + 9_000), 60_000).value[0, 0] == pytest.approx(5 + 2 * 69.5)
