"""Intervals hold what they promise, and say so when they cannot."""

from itertools import pairwise

import numpy as np
import pytest

from airis_mon.errors import InputError
from airis_mon.forecast.conformal import WIDEST, Online, bands

HORIZON = 24


def walks(rng, windows, series):
    return np.cumsum(rng.normal(size=(windows, series, HORIZON)), axis=2)


def white(rng, windows, series):
    return rng.normal(size=(windows, series, HORIZON))


def heavy(rng, windows, series):
    return rng.standard_t(3, size=(windows, series, HORIZON))


def skewed(rng, windows, series):
    return rng.exponential(size=(windows, series, HORIZON)) - 1


def slow(rng, windows, series):
    """Each window is off by one amount all through: what a wrong level looks like."""
    return white(rng, windows, series) * 0.3 + rng.normal(size=(windows, series, 1))


FAMILIES = [walks, white, heavy, skewed, slow]


def covered(actual, residual, level=0.95):
    """(series, horizon) whether an error lies within the bands of others."""
    lower, upper = bands(residual, np.zeros(actual.shape), level)
    return (lower <= actual) & (actual <= upper)


def next_and_past(family, seed, windows, series):
    """What comes, and the backtest before it, in sizes that differ between series."""
    rng = np.random.default_rng(seed)
    both = family(rng, windows + 1, series) * 10.0 ** rng.uniform(-3, 6, (1, series, 1))
    return both[0], both[1:]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("family", FAMILIES)
def test_three_windows_of_many_series_cover_what_was_promised(family, level):
    shares = [covered(*next_and_past(family, seed, 3, 150), level).mean() for seed in range(4)]
    assert level - 0.2 * (1 - level) - 0.003 < np.mean(shares) < level + 0.8 * (1 - level)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_covered_is_so_at_every_part_of_the_horizon(family):
    hit = np.array([covered(*next_and_past(family, seed, 3, 150)) for seed in range(4)])
    assert all(0.915 < part.mean() < 0.985 for part in np.split(hit, 4, axis=2))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_series_with_three_windows_is_given_more_room_not_less(family):
    hit = [covered(*next_and_past(family, seed, 3, 1)).mean() for seed in range(300)]
    assert 0.92 < np.mean(hit) <= 0.995


def test_pooling_repairs_what_quantiles_of_three_windows_miss():
    actual, residual = next_and_past(walks, 0, 3, 300)
    alone = np.quantile(np.abs(residual), 0.95, axis=0)
    assert (np.abs(actual) <= alone).mean() < 0.8
    assert covered(actual, residual).mean() > 0.93


def test_few_series_are_given_wider_intervals_than_many():
    _, residual = next_and_past(white, 0, 3, 200)
    widths = []
    for n in (1, 8, 200):
        lower, upper = bands(residual[:, :n], np.zeros((n, HORIZON)), 0.95)
        spread = np.sqrt((residual[:, :n] ** 2).mean(axis=(0, 2)))
        widths.append(((upper - lower) / spread[:, None]).mean())
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 1.2 * widths[2]


def test_errors_that_grow_give_intervals_that_open():
    _, residual = next_and_past(walks, 0, 3, 50)
    lower, upper = bands(residual, np.zeros((50, HORIZON)), 0.95)
    width = upper - lower
    assert (width[:, -1] > 2 * width[:, 0]).all()
    _, residual = next_and_past(white, 0, 3, 50)
    lower, upper = bands(residual, np.zeros((50, HORIZON)), 0.95)
    assert (np.median((upper - lower)[:, -1] / (upper - lower)[:, 0]) < 1.5).all()


@pytest.mark.parametrize("factor", [1e-200, 1e-9, 1e200])
def test_intervals_go_with_the_unit_and_stand_around_the_mean(factor):
    _, residual = next_and_past(heavy, 0, 3, 9)
    mean = np.random.default_rng(1).normal(size=(9, HORIZON))
    lower, upper = bands(residual, mean, 0.95)
    scaled = bands(residual * factor, mean * factor, 0.95)
    np.testing.assert_allclose(scaled[0] / factor, lower, rtol=1e-9)
    np.testing.assert_allclose(scaled[1] / factor, upper, rtol=1e-9)
    np.testing.assert_allclose(upper - mean, mean - lower, rtol=1e-9, atol=1e-12)


def test_order_of_series_does_not_matter():
    _, residual = next_and_past(heavy, 0, 3, 40)
    order = np.random.default_rng(0).permutation(40)
    mean = np.zeros((40, HORIZON))
    np.testing.assert_allclose(bands(residual, mean, 0.9)[1][order], bands(residual[:, order], mean, 0.9)[1])


def test_a_higher_level_is_never_narrower():
    _, residual = next_and_past(heavy, 0, 3, 40)
    mean = np.zeros((40, HORIZON))
    uppers = [bands(residual, mean, level)[1] for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    assert all((b >= a).all() for a, b in pairwise(uppers))


def test_a_series_without_residuals_has_no_interval_and_changes_no_other():
    _, residual = next_and_past(white, 0, 3, 30)
    residual[:, 4] = np.nan
    residual[:, 5, 1:] = np.nan
    residual[1:, 5] = np.nan  # a single one
    mean = np.zeros((30, HORIZON))
    lower, upper = bands(residual, mean, 0.95)
    assert np.isnan(lower[4:6]).all()
    assert np.isnan(upper[4:6]).all()
    others = np.r_[0:4, 6:30]
    assert np.isfinite(lower[others]).all()
    without = bands(residual[:, others], mean[others], 0.95)
    assert np.median(lower[others] / without[0]) == pytest.approx(1, abs=0.05)


def test_no_window_at_all_gives_no_interval():
    lower, upper = bands(np.empty((0, 3, HORIZON)), np.zeros((3, HORIZON)), 0.95)
    assert np.isnan([lower, upper]).all()


@pytest.mark.parametrize("seen", [1, 2])
def test_a_series_seen_in_fewer_windows_than_others_is_covered_too(seen):
    hits = []
    for seed in range(20):
        actual, residual = next_and_past(white, seed, 4, 40)
        residual[seen:, :20] = np.nan
        hits.append(covered(actual, residual)[:20].mean())
    assert 0.93 < np.mean(hits) < 0.99


def test_one_window_is_enough_for_a_wide_interval():
    hits = [covered(*next_and_past(walks, seed, 1, 1)).mean() for seed in range(300)]
    assert np.mean(hits) > 0.93


def test_gaps_in_a_backtest_change_little():
    actual, residual = next_and_past(white, 3, 3, 100)
    residual[np.random.default_rng(0).random(residual.shape) < 0.3] = np.nan
    assert covered(actual, residual).mean() == pytest.approx(0.95, abs=0.02)


def test_a_series_without_error_has_no_width_and_narrows_no_other():
    _, residual = next_and_past(white, 0, 3, 60)
    mean = np.zeros((60, HORIZON))
    alone = bands(residual[:, 30:], mean[30:], 0.95)[1]
    residual[:, :30] = 0.0
    lower, upper = bands(residual, mean, 0.95)
    assert (lower[:30] == 0).all()
    assert (upper[:30] == 0).all()
    np.testing.assert_allclose(upper[30:], alone)


def test_a_single_step_ahead_can_be_banded():
    rng = np.random.default_rng(0)
    residual = rng.normal(size=(6, 50, 1))
    lower, upper = bands(residual, np.zeros((50, 1)), 0.95)
    assert (upper > 0).all()
    assert (lower < 0).all()


@pytest.mark.parametrize("level", [0.0, 1.0, -0.2, 95, float("nan")])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(InputError, match=r"level .* is no share"):
        bands(np.zeros((1, 1, 2)), np.zeros((1, 2)), level)


def follow(errors, half, level=0.95, rate=0.1):
    """(steps, groups) whether each error lay within a widened interval of half width `half`."""
    online = Online.of(errors.shape[1], level, rate)
    hits = np.empty(errors.shape, bool)
    for k, error in enumerate(errors):
        hits[k] = np.abs(error) <= half * online.width
        online.update(hits[k].astype(float))
    return hits, online


def test_a_right_interval_stays_as_wide_as_it_is():
    errors = np.random.default_rng(0).normal(size=(4000, 20))
    hits, online = follow(errors, 1.96)
    assert hits.mean() == pytest.approx(0.95, abs=0.003)
    assert np.median(online.width) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("half", [0.2, 30.0])
def test_a_wrong_interval_comes_to_cover_what_it_promises(half):
    errors = np.random.default_rng(1).standard_t(3, size=(6000, 20))
    hits, _ = follow(errors, half)
    assert hits[3000:].mean() == pytest.approx(0.95, abs=0.004)


def test_coverage_returns_after_a_drift_while_a_fixed_interval_stays_wrong():
    rng = np.random.default_rng(2)
    errors = rng.normal(size=(4000, 20)) * np.linspace(1, 8, 4000)[:, None]
    hits, _ = follow(errors, 1.96)
    assert hits.mean() == pytest.approx(0.95, abs=0.01)
    assert hits[-500:].mean() == pytest.approx(0.95, abs=0.02)
    assert (np.abs(errors) <= 1.96).mean() < 0.6


def test_the_share_covered_is_off_by_no_more_than_the_width_has_moved():
    rng = np.random.default_rng(3)
    errors = np.cumsum(rng.normal(size=(500, 10)), axis=0)  # as unkind as can be
    hits, online = follow(errors, 5.0)
    bound = np.abs(np.log(online.width)) / (0.1 * 500)
    np.testing.assert_allclose(np.abs(hits.mean(axis=0) - 0.95), bound, atol=1e-9)


def test_a_group_in_which_nothing_happened_keeps_its_width():
    online = Online.of(2, 0.9)
    online.update(np.array([0.0, np.nan]))
    assert online.width[0] > 1
    assert online.width[1] == 1


def test_the_width_stays_bounded():
    online = Online.of(1, 0.95)
    for _ in range(200):
        online.update(np.zeros(1))
    assert online.width[0] == WIDEST


def test_a_saved_state_continues_the_same():
    errors = np.random.default_rng(4).normal(size=(100, 3))
    _, online = follow(errors, 1.0)
    again = Online.from_state(online.state(), 0.95)
    online.update(np.array([0.0, 1.0, 0.5]))
    assert not np.array_equal(online.width, again.width)  # the state is a copy
    again.update(np.array([0.0, 1.0, 0.5]))
    np.testing.assert_array_equal(online.width, again.width)


def test_intervals_are_widened_around_their_mean():
    online = Online(0.95, np.array([1.0, 2.0]))
    mean = np.array([[10.0], [20.0], [30.0]])
    lower, upper = online.widened(mean - 1, mean, mean + 3, np.array([0, 1, 1]))
    assert lower.ravel().tolist() == [9, 18, 28]
    assert upper.ravel().tolist() == [13, 26, 36]


@pytest.mark.parametrize(("level", "rate"), [(0.0, 0.1), (1.0, 0.1), (0.9, 0.0), (0.9, 2.0)])
def test_a_level_or_rate_that_means_nothing_is_refused(level, rate):
    with pytest.raises(InputError, match=r"such as"):
        Online.of(1, level, rate)
