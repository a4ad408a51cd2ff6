from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from airis_mon.analyze.compare import compare


def pairs(count, n=120, phi=0.0, seed=0):
    value = np.random.default_rng(seed).normal(size=(count, 2 * n + 100))
    for i in range(1, value.shape[1]):
        value[:, i] += phi * value[:, i - 1]
    return [(v[100 : 100 + n], v[100 + n :]) for v in value]


def test_independent_points_are_tested_as_scipy_does():
    before, after = pairs(1, seed=4)[0]
    after = after + 0.4
    (change,) = compare([(before, after)])
    reference = stats.mannwhitneyu(after, before)
    assert change.effect == pytest.approx(2 * reference.statistic / (120 * 120) - 1)
    yuen = stats.ttest_ind(before, after, equal_var=False, trim=0.2).pvalue
    assert 2 * yuen * 0.999 <= change.p < 4 * yuen  # what little they depend on each other only takes from it
    assert (change.before, change.median_after) == (before.mean(), np.median(after))


def test_series_that_did_not_change_are_not_found():
    changes = compare(pairs(500, phi=0.8))
    assert np.mean([c.p < 0.05 for c in changes]) < 0.12
    assert np.mean([c.q < 0.05 for c in changes]) < 0.01


def walk(apart, seed):
    value = np.random.default_rng(seed).normal(size=(500, 60 * (2 + apart))).cumsum(axis=1)
    return [(v[:60], v[-60:]) for v in value]


@pytest.mark.parametrize("apart", [0, 5])
def test_what_wanders_is_not_found_to_have_changed_however_far_the_windows_lie_apart(apart):
    changes = compare(walk(apart, seed=2), apart=float(apart))
    assert np.mean([c.p < 0.05 for c in changes]) < 0.08
    assert np.mean([c.q < 0.05 for c in changes]) < 0.03


def test_what_wanders_and_leaps_is_found():
    many = walk(0, seed=3)
    many[42][1][:] += 60
    assert [i for i, c in enumerate(compare(many)) if c.q < 0.01] == [42]


def test_one_that_moved_is_found_among_many_whatever_its_outliers():
    many = pairs(200, seed=1)
    many[42][1][:] += 1.5
    many[43][1][5] += 1e6
    changes = compare(many)
    assert [i for i, c in enumerate(changes) if c.q < 0.01] == [42]
    assert changes[42].effect > 0.6


def test_ties_and_constants_are_no_change():
    (same, other) = compare([(np.ones(20), np.ones(20)), (np.ones(20), np.full(20, 2.0))])
    assert (same.effect, same.p) == (0.0, 1.0)
    assert other.effect == 1.0
    assert other.p < 0.01


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ([], [], "empty"),
        ([np.nan], [1.0, 2.0], "appeared"),
        ([1.0, 2.0], [], "vanished"),
        ([1.0, 2.0, 3.0, 4.0], [1.0] * 10, "few"),
    ],
)
def test_what_cannot_be_tested_says_why_and_counts_for_nothing(before, after, why):
    tested = pairs(1)[0]
    (change, other) = compare([(np.array(before), np.array(after)), tested])
    assert change.why == why
    assert change.p is change.q is change.effect is None
    assert other.q == other.p


def test_nobody_waits_is_seen_between_series():
    class Gone(Exception):
        pass

    def check():
        raise Gone

    with pytest.raises(Gone):
        compare(pairs(2), check=check)
