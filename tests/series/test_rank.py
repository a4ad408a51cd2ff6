"""Ranks of numbers against numpy."""

import numpy as np
import pytest

from airis_mon.series.rank import middle_of, nth

ORDERS = {
    "drawn": lambda rng, n: rng.normal(size=n),
    "ascending": lambda rng, n: np.arange(float(n)),
    "descending": lambda rng, n: -np.arange(float(n)),
    "equal": lambda rng, n: np.full(n, 7.0),
    "tied": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "organ pipe": lambda rng, n: np.minimum(np.arange(n), np.arange(n)[::-1]).astype(float),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n", [1, 2, 3, 10, 101])
def test_the_number_of_every_rank_is_that_of_the_sorted_numbers(order, n):
    numbers = ORDERS[order](np.random.default_rng(n), n)

    assert [nth(numbers.copy(), k) for k in range(n)] == np.sort(numbers).tolist()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n", [1, 2, 3, 10, 100, 1001])
def test_the_median_is_that_of_numpy(order, n):
    numbers = ORDERS[order](np.random.default_rng(n), n)

    assert middle_of(numbers.copy()) == np.median(numbers)


def test_the_numbers_stay_the_same_ones_with_none_greater_before_the_rank():
    numbers = np.random.default_rng(1).normal(size=100)
    left = numbers.copy()

    found = nth(left, 30)

    assert sorted(left) == sorted(numbers)
    assert left[:30].max() <= found <= left[31:].min()
