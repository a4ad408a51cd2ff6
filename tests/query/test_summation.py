import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.query.grouping import Groups
from airis_mon.query.summation import sums


def summed(*values: float, over: float = 1.0) -> float:
    return float(sums(Groups.of([0] * len(values)), np.array(values, float)[:, np.newaxis], over)[0, 0])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=700), st.integers(0, 2**32 - 1))
def test_sums_are_exact_however_series_are_grouped(keys: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(len(keys), 2)) * 10.0 ** rng.integers(-9, 9, size=(len(keys), 2))
    groups = Groups.of(keys)
    wanted = [[math.fsum(rows[groups.index == g, step]) for step in (0, 1)] for g in range(len(groups))]
    assert sums(groups, rows) == pytest.approx(np.array(wanted), rel=1e-13, abs=1e-300)


def test_what_large_values_hide_comes_back_when_they_cancel() -> None:
    assert summed(1, 1e100, 1, -1e100) == 2
    values = [1e16, *[0.1] * 300, -1e16, *[0.1] * 300]
    assert summed(*values) == pytest.approx(60, rel=1e-12)


def test_infinity_and_nan_are_summed_as_numbers() -> None:
    assert summed(1, math.inf, 2) == math.inf
    assert summed(1, -math.inf) == -math.inf
    assert math.isnan(summed(math.inf, -math.inf))
    assert math.isnan(summed(1, math.nan))


def test_a_sum_may_pass_the_largest_number_on_its_way() -> None:
    assert summed(1.5e308, 1.5e308, -1.5e308, -1.5e308) == 0
    assert summed(1.5e308, 1.5e308, -1.5e308) == 1.5e308
    assert summed(1.5e308, 1.5e308) == math.inf
    assert summed(-1.5e308, -1.5e308) == -math.inf


def test_a_mean_of_the_largest_numbers_is_finite() -> None:
    assert summed(*[1.5e308] * 50, over=50.0) == pytest.approx(1.5e308)
    assert summed(-1.7e308, -1.6e308, over=2.0) == pytest.approx(-1.65e308)


def test_an_overflow_leaves_the_other_groups_and_steps_alone() -> None:
    rows = np.array([[1e308, 1.0], [1e308, 2.0], [5e-324, 3.0]])
    found = sums(Groups.of([0, 0, 1]), rows, np.array([[2.0, 2.0], [1.0, 1.0]]))
    assert found.tolist() == [[1e308, 1.5], [5e-324, 3.0]]
