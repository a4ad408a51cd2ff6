"""Intervals cover what they say, and groups are drawn as groups."""

import numpy as np
import pytest

from airis_mon.yardstick.base import resampled


def share(sums):
    return sums[..., 0] / sums[..., 1]


def pairs(values):
    return np.column_stack([values, np.ones(len(values))])


def test_the_figure_is_of_all_items_and_lies_in_its_interval():
    rng = np.random.default_rng(1)
    groups = [pairs(rng.random(30) < 0.3) for _ in range(6)]
    found = resampled(groups).estimate(share)
    assert found.value == pytest.approx(np.concatenate(groups)[:, 0].mean())
    assert found.low < found.value < found.high
    assert found.n == 180


def test_the_same_seed_gives_the_same_interval():
    groups = [pairs(np.arange(10) % 2), pairs(np.arange(7) % 3 == 0)]
    assert resampled(groups).estimate(share) == resampled(groups).estimate(share)
    assert resampled(groups).estimate(share) != resampled(groups, seed=1).estimate(share)


def test_items_of_one_group_are_no_independent_witnesses():
    alike = [pairs(np.full(50, k % 2)) for k in range(8)]
    mixed = [pairs(np.arange(50) % 2) for _ in range(8)]
    wide, narrow = (resampled(groups).estimate(share) for groups in (alike, mixed))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(4), 0
    for seed in range(60):
        groups = [pairs(rng.normal(rng.normal(5, 0.5), 2, 15)) for _ in range(12)]
        found = resampled(groups, rounds=100, seed=seed).estimate(share)
        hits += found.low <= 5 <= found.high
    assert 48 <= hits <= 60


def test_of_one_group_the_interval_of_a_mean_is_that_of_its_standard_error():
    value = np.random.default_rng(9).normal(3, 1, 200)
    one = resampled([pairs(value)], rounds=2000).estimate(share)
    far = 1.96 * value.std() / np.sqrt(200)
    assert (one.low, one.high) == pytest.approx((value.mean() - far, value.mean() + far), abs=0.02)


def test_without_items_nothing_is_known_and_an_undefined_figure_stays_so():
    nothing = resampled([]).estimate(lambda s: s[..., 0])
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    assert nothing.n == 0
    with np.errstate(invalid="ignore"):
        undefined = resampled([np.zeros((5, 2))]).estimate(share)
    assert np.isnan([undefined.value, undefined.low, undefined.high]).all()
