from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.query.sums import mean, total

numbers = st.floats(-1e30, 1e30, allow_nan=False)


@given(st.lists(numbers, min_size=1, max_size=40), st.floats(1, 1e20))
def test_sum_is_exact_although_large_terms_cancel(values: list[float], scale: float) -> None:
    cells = [*values, *(-value * scale for value in values), *(value * scale for value in values)]

    found = total(np.array(cells)[:, np.newaxis])[0]

    allowed = math.ulp(found) + sum(map(abs, cells)) * len(cells) ** 2 * 2.0**-104
    assert abs(Fraction(float(found)) - sum(map(Fraction, cells))) <= allowed


@given(st.lists(st.floats(-1.79e308, 1.79e308), min_size=1, max_size=9))
def test_mean_lies_between_the_extremes_whatever_their_size(values: list[float]) -> None:
    with np.errstate(all="ignore"):
        found = mean(np.array([*values, 0.0, 0.0])[:, np.newaxis], np.array([len(values)]))[0]

    expected = float(sum(map(Fraction, values)) / len(values))
    assert math.isclose(found, expected, rel_tol=1e-12, abs_tol=max(map(abs, values)) * 1e-15)


def test_columns_do_not_touch_each_other() -> None:
    cells = np.array([[1e308, 1.0, math.inf, math.nan], [1e308, 2.0, -math.inf, 0.0], [-1e308, 3.0, 0.0, 0.0]])
    with np.errstate(all="ignore"):
        found = total(cells)

    np.testing.assert_array_equal(found, [1e308, 6.0, math.nan, math.nan])
