from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.forecast.panel import begins, carried, filled, logs, span

NAN = np.nan


def test_a_gap_is_filled_by_the_season_before_or_else_by_the_last_value():
    value = np.array([[NAN, 1.0, 2.0, NAN, NAN, 5.0, NAN]])
    np.testing.assert_array_equal(filled(value, 3), [[NAN, 1, 2, 2, 1, 5, 2]])


def test_a_series_begins_at_its_first_value():
    assert begins(np.array([[NAN, 1, NAN], [NAN, NAN, NAN], [1, 2, 3]])).tolist() == [1, 3, 0]
    assert begins(np.empty((2, 0))).tolist() == [0, 0]


def test_a_season_is_carried_from_one_and_a_half_of_it():
    assert carried((24, 168), 251) == (24,)
    assert carried((24, 168), 252) == (24, 168)


def test_the_span_of_nothing_is_unknown():
    low, high = span(np.array([[NAN, NAN], [2.0, NAN]]))
    np.testing.assert_array_equal(low, [NAN, 2])
    np.testing.assert_array_equal(high, [NAN, 2])


@given(st.lists(st.floats(0, 1e9, allow_subnormal=False), min_size=2, max_size=20))
def test_logarithms_of_what_is_not_negative_come_back(values):
    value = np.array([values])
    log = logs(value)
    assert np.isfinite(log.value).all()
    np.testing.assert_allclose(log.back(log.value), value, rtol=1e-6, atol=1e-6 * max(values) + 1e-9)


def test_a_series_ever_below_0_has_no_logarithms():
    assert np.isnan(logs(np.array([[1.0, -1.0, 3.0]])).value).all()


@pytest.mark.parametrize("runaway", [1e3, -1e3])
def test_a_runaway_logarithm_stays_within_reach(runaway):
    log = logs(np.array([[1.0, 10.0, 100.0]]))
    assert 0.009 < log.back(np.array([[runaway]]))[0, 0] < 10_001
