import numpy as np
import pytest
from scipy import stats

from airis_mon.analyze.trend import EXACT, PAIRS, kendall, trend
from airis_mon.series.batch import Values

RNG = np.random.default_rng(7)
WALK = RNG.standard_normal(300).cumsum()
TIED = np.round(RNG.standard_normal(200) + np.arange(200) / 60)
FAR = 1e9 + RNG.standard_normal(150) * 1e-3
EXAMPLES = [pytest.param(WALK, id="walk"), pytest.param(TIED, id="ties"), pytest.param(FAR, id="far")]


@pytest.mark.parametrize("value", EXAMPLES)
def test_least_squares_is_that_of_scipy(value: Values) -> None:
    found = trend(value)
    at = np.arange(len(value)) - (len(value) - 1) / 2
    line = stats.linregress(at, value - value[0])
    assert found.slope == pytest.approx(line.slope, rel=1e-9)
    assert found.intercept == pytest.approx(line.intercept + value[0] - line.slope * (len(value) - 1) / 2, rel=1e-12)
    assert found.r2 == pytest.approx(line.rvalue**2, rel=1e-6)


@pytest.mark.parametrize("value", EXAMPLES)
def test_theil_sen_is_that_of_scipy_to_a_thousand_values(value: Values) -> None:
    found = trend(value)
    assert found.theil_sen == pytest.approx(stats.theilslopes(value).slope, rel=1e-12)
    assert (found.pairs, found.is_sampled) == (len(value) * (len(value) - 1) // 2, False)


@pytest.mark.parametrize("value", EXAMPLES)
def test_mann_kendall_is_tau_of_scipy_and_the_formula_with_ties(value: Values) -> None:
    n = len(value)
    i, j = np.triu_indices(n, 1)
    s = int(np.sign(value[j] - value[i]).sum())
    _, ties = np.unique(value, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18
    found = kendall(value, np.sort(value))
    assert found[0] == s
    assert found[1] == pytest.approx(stats.kendalltau(np.arange(n), value).statistic, rel=1e-12)
    assert found[2] == pytest.approx(2 * stats.norm.sf((abs(s) - 1) / np.sqrt(variance)), rel=1e-9)


def test_a_sampled_slope_says_so_and_lies_close_to_the_true_one() -> None:
    n = EXACT + 1_000
    value = 0.01 * np.arange(n) + np.random.default_rng(1).standard_normal(n)
    found = trend(value)
    i, j = np.triu_indices(n, 1)
    exact = np.median((value[j] - value[i]) / (j - i))
    assert (found.pairs, found.is_sampled) == (PAIRS, True)
    assert found.theil_sen == pytest.approx(exact, abs=5e-5)
    assert found == trend(value)


def test_one_wild_value_bends_least_squares_but_not_the_median_slope() -> None:
    value = 2.0 * np.arange(50)
    value[49] = 1e6
    found = trend(value)
    assert found.theil_sen == pytest.approx(2.0, abs=0.1)
    assert found.slope > 1_000


@pytest.mark.parametrize(
    ("value", "expected"), [([1, 2, 3, 4, 5.0], "increasing"), ([5, 4, 3, 2, 1.0], "decreasing"), ([1, 2.0], "stable")]
)
def test_direction_needs_a_small_p(value: list[float], expected: str) -> None:
    found = trend(np.array(value))
    assert found.trend == expected
    assert found.confidence is not None
    assert (found.confidence > 0.95) == (expected != "stable")


def test_equal_values_have_no_r2_no_tau_and_no_p() -> None:
    found = trend(np.full(9, 0.1))
    assert (found.slope, found.theil_sen, found.intercept, found.trend) == (0.0, 0.0, 0.1, "stable")
    assert (found.r2, found.tau, found.p, found.confidence) == (None, None, None, None)


def test_clean_noise_trends_as_often_as_p_says() -> None:
    noise = np.random.default_rng(3).standard_normal((2_000, 50))
    share = np.mean([trend(x).trend != "stable" for x in noise])
    assert 0.035 < share < 0.065
