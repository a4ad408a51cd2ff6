import numpy as np
import pytest

from airis_mon.analyze.analysis import LAGS, analyze, warm
from airis_mon.analyze.base import METHODS, MOST
from airis_mon.analyze.statistics import _described
from airis_mon.errors import InputError, TooLarge
from airis_mon.forecast.seasons import autocorrelation


def test_everything_is_told_of_a_series_that_has_everything() -> None:
    t = np.arange(480)
    value = 100 + 10 * np.sin(t * 2 * np.pi / 24) + np.random.default_rng(1).standard_normal(480)
    value[300:] += 12
    value[77] += 60
    found = analyze(value)
    assert found.statistics.count == 480
    assert found.seasons is not None
    assert [s.period for s in found.seasons] == [24]
    assert found.changes is not None
    assert [c.index for c in found.changes] == [300]
    assert found.changes[0].after - found.changes[0].before == pytest.approx(12, abs=0.5)
    assert [p.index for p in found.anomaly.points] == [77]
    assert found.trend is not None
    assert found.trend.trend == "increasing"
    assert found.autocorrelation is not None
    assert found.autocorrelation == tuple(autocorrelation(value, LAGS))
    assert found.why == {}


def test_one_value_has_statistics_and_reasons() -> None:
    found = analyze(np.array([5.0]))
    assert found.statistics.mean == 5.0
    assert (found.trend, found.autocorrelation, found.seasons, found.changes) == (None, None, None, None)
    assert found.why == {
        "trend": "needs 2 values, has 1",
        "autocorrelation": "needs 2 values, has 1",
        "seasonality": "needs 8 values, has 1",
        "changePoints": "needs 10 values, has 1",
    }
    assert set(found.anomaly.why) == set(METHODS)


def test_two_values_have_a_slope_but_no_outlier() -> None:
    found = analyze(np.array([1.0, 3.0]))
    assert found.trend is not None
    assert (found.trend.slope, found.anomaly.score) == (2.0, None)
    assert found.autocorrelation == (-0.5,)


def test_equal_values_are_stable_without_seasons_or_changes() -> None:
    found = analyze(np.full(100, 0.1))
    assert found.trend is not None
    assert (found.trend.trend, found.seasons, found.changes) == ("stable", (), ())
    assert found.autocorrelation is None
    assert found.why == {"autocorrelation": "all values are equal"}


def test_a_random_walk_has_no_levels_and_says_why() -> None:
    found = analyze(np.random.default_rng(2).standard_normal(1_000).cumsum())
    assert found.changes is None
    assert "wandering" in found.why["changePoints"]


def test_the_same_values_give_the_same_answer() -> None:
    value = np.random.default_rng(3).standard_normal(1_200)
    assert analyze(value) == analyze(value.copy())


@pytest.mark.parametrize("scale", [1e-130, 1e-6, 1e6, 1e130])
def test_the_unit_changes_no_verdict(scale: float) -> None:
    value = np.random.default_rng(4).standard_normal(200)
    value[120:] += 6
    value[50] = 12
    plain, scaled = analyze(value), analyze(value * scale)
    assert [p.index for p in scaled.anomaly.points] == [p.index for p in plain.anomaly.points]
    assert [c.index for c in scaled.changes or ()] == [c.index for c in plain.changes or ()] == [120]
    assert scaled.statistics.std_dev == pytest.approx(scale * (plain.statistics.std_dev or 0))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([], "values holds no number; send 1 to 10,000"),
        ([[1.0, 2.0]], "values holds no number"),
        ([1.0, float("nan"), 2.0], r"values\[1\] is nan; it must be a finite number"),
        ([1.0, 2.0, float("-inf")], r"values\[2\] is -inf"),
        ([1.0, -1e300], r"values\[1\] is -1e\+300; it must lie within 1e\+140"),
        ([0.0, 1e-200], "values differ by 1e-200 only"),
    ],
)
def test_bad_values_are_refused_by_name_and_place(numbers: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        analyze(np.array(numbers))


def test_one_value_too_many_is_too_large() -> None:
    assert analyze(np.arange(float(MOST))).statistics.count == MOST
    with pytest.raises(TooLarge, match="10,001 numbers, the limit is 10,000"):
        analyze(np.arange(MOST + 1.0))


def test_values_that_cannot_be_written_compile_nothing_anew() -> None:
    warm()
    known = len(_described.signatures)
    value = np.frombuffer(np.arange(50.0).tobytes())
    assert not value.flags.writeable
    assert analyze(value).statistics.count == 50
    assert analyze(np.arange(100.0)[::2]).statistics.count == 50
    assert len(_described.signatures) == known


def test_warming_asks_for_nothing_and_changes_nothing() -> None:
    warm()
    value = np.array([45.0, 67, 89, 95, 156])
    assert analyze(value).anomaly.index == 4
