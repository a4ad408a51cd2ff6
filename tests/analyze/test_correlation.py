from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.tsa.stattools import acf

from airis_mon.analyze.correlation import adjusted, autocorrelations, correlate, ranked, unseasoned

N, DAY = 600, 96


def rng(seed=0):
    return np.random.default_rng(seed)


def walks(count, seed=0):
    return rng(seed).normal(size=(count, N)).cumsum(axis=1)


def autoregressive(count, seed=0, phi=0.9):
    noise = rng(seed).normal(size=(count, N))
    for i in range(1, N):
        noise[:, i] += phi * noise[:, i - 1]
    return noise


def days(count, seed=0):
    dice = rng(seed)
    phase, size = dice.uniform(0, 0.5, (count, 1)), dice.uniform(2, 10, (count, 1))
    return size * np.sin(2 * np.pi * np.arange(N) / DAY + phase) + dice.normal(size=(count, N))


UNRELATED = {"random walks": walks, "autoregressive": autoregressive, "daily sines": days}


@pytest.mark.parametrize("basis", ["changes", "deseasoned"])
@pytest.mark.parametrize("kind", UNRELATED)
def test_of_a_thousand_series_that_have_nothing_to_do_with_it_less_than_one_in_twenty_is_found(kind, basis):
    value = UNRELATED[kind](1001, seed=1)
    found = correlate(value[0], value[1:], most_lag=20, basis=basis, seasons=(DAY,))
    if basis == "changes" or kind != "random walks":  # what wanders is not at rest without its season
        assert np.mean(found.p < 0.05) < 0.08  # before the correction: as many as chance has, or fewer
        assert np.isfinite(found.p).all()
    assert np.mean(found.q < 0.05) < 0.05


def test_days_alone_make_everything_seem_to_move_together():
    value = days(101)
    assert np.mean(correlate(value[0], value[1:], basis="values").q < 0.05) > 0.9


@pytest.mark.parametrize("kind", UNRELATED)
def test_series_that_follow_or_lead_are_found_among_many_at_their_lag_and_sign(kind):
    value = UNRELATED[kind](203, seed=2)
    target, others = value[0, 20:-20], value[1:, 20:-20].copy()
    dice = rng(3)
    spread = np.std(np.diff(value[0]))
    others[7] = 3 * value[0, 25:-15] + dice.normal(scale=spread, size=N - 40)  # five points earlier
    others[8] = -value[0, 8:-32] + dice.normal(scale=spread / 3, size=N - 40)  # twelve points later
    found = correlate(target, others, most_lag=20, seasons=(DAY,))
    assert set(np.flatnonzero(found.q < 0.01)) == {7, 8}
    assert found.lag[[7, 8]].tolist() == [5, -12]
    assert found.r[7] > 0.5 > 0 > -0.5 > found.r[8]
    assert set(np.argsort(found.p)[:2]) == {7, 8}


def test_without_lags_and_memory_it_is_spearmans():
    value = rng().normal(size=(6, 300))
    value[3] += value[0]
    found = correlate(value[0], value[1:], basis="values")
    for i in range(5):
        r, p = stats.spearmanr(value[0], value[i + 1])
        assert found.r[i] == pytest.approx(r, abs=1e-12)
        assert found.p[i] == pytest.approx(p, rel=0.5, abs=1e-12)
    assert found.zero == pytest.approx(found.r)


def test_gaps_are_left_out_pair_by_pair():
    value = rng().normal(size=(2, 300))
    value[1] += value[0]
    value[0, 30:60] = np.nan
    value[1, 50:90] = np.nan
    found = correlate(value[0], value[1:], basis="values")
    both = ~np.isnan(value).any(axis=0)
    assert found.pairs[0] == both.sum()
    assert found.r[0] == pytest.approx(stats.spearmanr(*value[:, both])[0], abs=0.02)  # ranks are over the whole


def test_points_that_follow_each_other_count_as_fewer():
    value = autoregressive(2, seed=5, phi=0.95)
    found = correlate(value[0], value[1:], basis="values")
    mine = [acf(ranked(v), nlags=N // 5, fft=True)[1:] for v in value]
    lags = np.arange(1, N // 5 + 1)
    expected = N / max(1 + 2 * np.sum((1 - lags / N) * mine[0] * mine[1]), 1)
    assert found.effective[0] == pytest.approx(expected, rel=1e-6)
    assert found.effective[0] < N / 3


def test_autocorrelations_are_those_of_statsmodels():
    value = autoregressive(3)
    centred = value - value.mean(axis=1, keepdims=True)
    found = autocorrelations(centred, 40)
    assert found == pytest.approx(np.array([acf(v, nlags=40)[1:] for v in value]), abs=1e-10)


@pytest.mark.parametrize(("control", "method"), [("bh", "fdr_bh"), ("by", "fdr_by")])
def test_q_values_are_those_of_statsmodels_and_leave_out_what_was_not_tested(control, method):
    p = rng().uniform(size=50) ** 3
    assert adjusted(p, control) == pytest.approx(multipletests(p, method=method)[1])
    with_gap = np.insert(p, 10, np.nan)
    assert np.isnan(adjusted(with_gap, control)[10])
    assert np.delete(adjusted(with_gap, control), 10) == pytest.approx(adjusted(p, control))
    assert np.isnan(adjusted(np.array([np.nan]))).all()


def test_ranks_are_those_of_scipy_and_a_gap_has_none():
    value = rng().integers(0, 5, 40).astype(float)
    assert ranked(value).tolist() == stats.rankdata(value).tolist()
    assert np.isnan(ranked(np.array([1.0, np.nan]))).tolist() == [False, True]


def test_taking_out_a_season_leaves_what_is_no_season_and_keeps_gaps():
    value = days(1) * 0 + np.tile(np.arange(DAY, dtype=float), 7)[:N]
    value[0, 100] += 50
    value[0, 200] = np.nan
    left = unseasoned(value, DAY)
    assert left[0, 100] == 50
    assert np.isnan(left[0, 200])
    assert np.nansum(np.abs(left)) == 50
    assert unseasoned(value[:, : 2 * DAY - 1], DAY) is not None
    assert np.array_equal(unseasoned(value[:, :150], DAY), value[:, :150], equal_nan=True)


@pytest.mark.parametrize(("other", "why"), [(np.full(N, 3.0), "constant"), (np.full(N, np.nan), "few")])
def test_what_cannot_be_correlated_says_why_and_is_not_counted(other, why):
    value = walks(2)
    alone = correlate(value[0], value[1:], most_lag=3)
    found = correlate(value[0], np.vstack([other, value[1]]), most_lag=3)
    assert found.why == (why, "")
    assert np.isnan([found.r[0], found.p[0], found.q[0]]).all()
    assert found.q[1] == alone.q[0]


def test_blocks_do_not_change_what_is_found():
    value = walks(150)
    whole = correlate(value[0], value[1:], most_lag=5)
    alone = correlate(value[0], value[100:101], most_lag=5)
    assert whole.r[99] == pytest.approx(alone.r[0], abs=1e-12)


def test_no_others_are_no_correlations():
    assert len(correlate(walks(1)[0], np.empty((0, N))).r) == 0
