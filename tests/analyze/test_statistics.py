import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from airis_mon.analyze.statistics import PERCENTILES, extent, median, statistics
from airis_mon.series.batch import Values

RNG = np.random.default_rng(11)
EXAMPLES = {
    "five": np.array([45.0, 67.0, 89.0, 95.0, 156.0]),
    "even": np.array([45.0, 67.0, 89.0, 95.0, 12.0, 78.0, 156.0, 34.0]),
    "skewed": RNG.lognormal(0, 1, 501),
    "ties": np.round(RNG.standard_normal(1_000)),
    "two": np.array([3.0, -1.5]),
}
FINITE = st.floats(-1e9, 1e9, allow_subnormal=False)


@pytest.mark.parametrize("value", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_every_figure_is_that_of_numpy_and_scipy(value: Values) -> None:
    found = statistics(value)
    assert (found.count, found.min, found.max) == (len(value), value.min(), value.max())
    assert found.mean == pytest.approx(value.mean(), rel=1e-14)
    assert found.std_dev == pytest.approx(value.std(ddof=1), rel=1e-13)
    assert found.skew == pytest.approx(stats.skew(value), rel=1e-11, abs=1e-14)
    assert found.median == np.median(value)
    assert found.mad == pytest.approx(stats.median_abs_deviation(value), rel=1e-14)
    assert [found.percentiles[str(p)] for p in PERCENTILES] == np.percentile(value, PERCENTILES).tolist()
    assert (found.q1, found.q3) == (found.percentiles["25"], found.percentiles["75"])


def test_noise_on_a_great_level_keeps_its_digits() -> None:
    noise = np.round(RNG.standard_normal(999) * 1024) / 1024  # exact beside 1e9, so that only the sums can err
    found, expected = statistics(1e9 + noise), statistics(noise)
    assert found.std_dev == pytest.approx(expected.std_dev, rel=1e-12)
    assert found.skew == pytest.approx(expected.skew, rel=1e-9)
    assert found.mean - 1e9 == pytest.approx(expected.mean, abs=1.2e-7)  # half a step of doubles there


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-400, 2.0**400, 2.0**1000])
def test_the_unit_of_the_values_loses_no_digit(unit: float) -> None:
    value = RNG.standard_normal(50)
    plain, scaled = statistics(value), statistics(value * unit)
    assert scaled.std_dev == (plain.std_dev or 0) * unit
    assert (scaled.mean, scaled.skew) == (plain.mean * unit, plain.skew)


def test_one_value_has_no_spread_to_speak_of() -> None:
    found = statistics(np.array([5.0]))
    assert (found.count, found.mean, found.median, found.mad) == (1, 5.0, 5.0, 0.0)
    assert (found.std_dev, found.skew) == (None, None)
    assert set(found.percentiles.values()) == {5.0}


def test_equal_values_are_their_own_mean_without_rounding() -> None:
    found = statistics(np.full(7, 0.1))
    assert (found.mean, found.std_dev, found.skew, found.mad) == (0.1, 0.0, None, 0.0)


@given(st.lists(FINITE, min_size=1, max_size=80))
def test_order_figures_are_those_of_numpy_for_any_values(numbers: list[float]) -> None:
    value = np.array(numbers)
    found = statistics(value)
    assert found.median == np.median(value)
    assert found.mad == np.median(np.abs(value - np.median(value)))
    assert list(found.percentiles.values()) == np.percentile(value, PERCENTILES).tolist()


@given(st.lists(FINITE, min_size=1, max_size=60))
def test_the_unsorted_median_is_that_of_numpy(numbers: list[float]) -> None:
    assert median(np.array(numbers)) == np.median(numbers)


@pytest.mark.parametrize("value", [[3.0], [3.0, 1.0, 2.0], [-np.inf, 1.0, np.inf], [0.0, -0.0]])
def test_the_extent_is_from_the_least_to_the_greatest(value):
    assert extent(np.array(value)) == (min(value), max(value))


@pytest.mark.parametrize("value", [[np.nan], [np.nan, 1.0], [1.0, np.nan, 2.0], [1.0, np.nan], [np.inf, np.nan]])
def test_the_extent_is_unknown_where_a_value_is_no_number(value):
    assert np.isnan(extent(np.array(value))).all()
