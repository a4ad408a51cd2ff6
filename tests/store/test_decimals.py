from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.series.batch import STALE, Values
from airis_mon.store.decimals import BITS, to_decimals, to_values

ANY = st.one_of(
    st.floats(),
    st.integers(-(2**60), 2**60).map(float),
    st.builds(lambda m, e: m / 10**e, st.integers(-(10**12), 10**12), st.integers(0, 14)),
    st.sampled_from([0.0, -0.0, float(STALE), float("inf"), 2.0**53, 2.0**53 - 1, 0.1 + 0.2, 5e-324]),
)


def bits(value: Values) -> list[int]:
    return value.view(np.int64).tolist()


def encode(values: list[float], sids: list[int] | None = None) -> tuple[list[int], list[int]]:
    sid = np.array(sids or [0] * len(values), np.int32)
    mantissa, exponent = to_decimals(sid, np.array(values), np.zeros(8, np.int8))
    return mantissa.tolist(), exponent.tolist()


@given(st.lists(ANY, max_size=50))
def test_every_value_comes_back_bit_for_bit(values: list[float]) -> None:
    value = np.array(values, np.float64)
    sid = np.array([i % 8 for i in range(len(values))], np.int32)
    assert bits(to_values(*to_decimals(sid, value, np.zeros(8, np.int8)))) == bits(value)


def test_the_stale_marker_and_other_nans_keep_their_bits() -> None:
    values = np.array([STALE, np.nan, -np.nan])
    mantissa, exponent = to_decimals(np.zeros(3, np.int32), values, np.zeros(1, np.int8))
    assert mantissa.tolist() == bits(values)
    assert exponent.tolist() == [BITS] * 3


def test_short_decimals_become_integers() -> None:
    assert encode([12.0, 0.25, -3.5, 1e9]) == ([12, 25, -350, 100_000_000_000], [0, 2, 2, 2])


def test_a_series_keeps_the_exponent_that_fitted_last() -> None:
    mantissa, exponent = encode([1.25, 7.0, 7.0], [0, 0, 1])
    assert (mantissa, exponent) == ([125, 700, 7], [2, 2, 0])


def test_a_value_that_outgrows_its_exponent_gets_a_smaller_one() -> None:
    assert encode([0.25, 1e12]) == ([25, 10**12], [2, 0])


def test_full_precision_stays_bits() -> None:
    values = np.random.default_rng(1).normal(50, 5, 10_000)
    _, exponent = to_decimals(np.zeros(10_000, np.int32), values, np.zeros(1, np.int8))
    assert (exponent == BITS).mean() > 0.99
