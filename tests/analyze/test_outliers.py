import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.analyze.base import METHODS
from airis_mon.analyze.outliers import SHORT, verdict
from airis_mon.analyze.outliers import left_out as kernel
from airis_mon.errors import InputError
from airis_mon.series.batch import Values

DOCUMENTED = [
    # The first one's values were not handed down, its figures were: mean 63.46, sd 46.30, slope 4.64.
    pytest.param([45.2, 67.8, 23.1, 89.5, 12.4, 156.7, 34.7, 78.3], 5, 3.66, id="example"),
    pytest.param([45, 67, 89, 95, 156], 4, 3.60, id="scenario"),
    pytest.param([45, 67, 89, 95, 12, 78, 156, 34], 6, 3.13, id="workflow"),
]


def left_out(value: Values) -> list[float]:
    others = [np.delete(value, i) for i in range(len(value))]
    return [(x - o.mean()) / o.std(ddof=1) for x, o in zip(value, others, strict=True)]


@pytest.mark.parametrize(("numbers", "index", "score"), DOCUMENTED)
def test_the_documented_samples_report_their_spike_and_nothing_else(
    numbers: list[float], index: int, score: float
) -> None:
    found = verdict(np.array(numbers, float))
    assert (found.is_anomaly, found.vote, found.index, found.threshold) == (True, "short", index, 2.5)
    assert [(p.index, p.value) for p in found.points] == [(index, numbers[index])]
    assert found.score == pytest.approx(score, abs=0.005)
    assert "zscore" in found.points[0].methods


@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=40))
def test_z_is_that_against_the_others(numbers: list[int]) -> None:
    value = np.array(numbers, float)
    found = verdict(value, threshold=1e-9, methods=["zscore"])
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.nan_to_num(left_out(value), nan=0.0, posinf=np.inf, neginf=-np.inf)
    if found.why:
        assert len(set(numbers)) == 1
    else:
        assert found.score == pytest.approx(np.abs(expected).max(), rel=1e-9)
        for point in found.points:
            assert point.score == pytest.approx(expected[point.index], rel=1e-9)


def test_one_huge_value_does_not_hide_the_spread_of_the_others() -> None:
    value = np.array([1.0, 1.001, 0.999, 1.0005, 1e12])
    assert verdict(value).score == pytest.approx(left_out(value)[4], rel=1e-9)


def test_beside_equal_ones_z_is_infinite_and_has_its_sign() -> None:
    found = verdict(np.array([2.0, 2.0, 2.0, -1.0]))
    assert (found.score, found.points[0].score, found.points[0].index) == (np.inf, -np.inf, 3)
    assert found.why == {"iqr": "the middle half of the values is equal"} or "iqr" not in found.why


def test_every_judge_tells_its_own_score() -> None:
    value = np.append(np.random.default_rng(1).standard_normal(99), 9.0)
    point = verdict(value).points[-1]
    q1, q3 = np.percentile(value, [25, 75])
    deviation = np.median(np.abs(value - np.median(value)))
    assert point.methods == METHODS
    assert point.scores["zscore"] == pytest.approx(left_out(value)[99])
    assert point.scores["iqr"] == pytest.approx((9.0 - q3) / (q3 - q1))
    assert point.scores["mad"] == pytest.approx(0.6745 * (9.0 - np.median(value)) / deviation)
    assert 0.8 < point.scores["isolation_forest"] < 1


def test_where_half_the_values_are_equal_the_mean_distance_stands_in_for_the_mad() -> None:
    value = np.array([0.0] * 30 + [1.0] * 3 + [50.0])
    found = verdict(value)
    assert found.why == {"iqr": "the middle half of the values is equal"}
    assert [p.index for p in found.points] == [33]
    assert found.points[0].scores["mad"] == pytest.approx(50 / (1.253314 * np.abs(value).mean()))


def test_from_twelve_values_on_most_judges_must_agree() -> None:
    value = np.array([4.0, 5.0, 6.0, 5.0, 4.0, 6.0, 5.0, 4.5, 5.5, 5.2, 4.8, 7.4])
    alone = verdict(value[1:])
    assert (alone.vote, [p.value for p in alone.points]) == ("short", [7.4])
    assert len(value) == SHORT
    together = verdict(value)
    assert (together.vote, together.score is not None and together.score > 2.5) == ("majority", True)
    assert not together.is_anomaly


def test_peaks_of_a_season_are_no_outliers() -> None:
    rng = np.random.default_rng(2)
    for n in (50, 100, 1_000):
        wave = 10 * np.sin(np.arange(n) * 2 * np.pi / 25)
        assert not any(verdict(wave + rng.standard_normal(n)).is_anomaly for _ in range(50))


def test_the_vote_flags_far_fewer_clean_windows_than_z_alone_and_misses_no_spike() -> None:
    rng = np.random.default_rng(3)
    clean = rng.standard_normal((300, 100))
    both = [(verdict(x), verdict(x, methods=["zscore"])) for x in clean]
    assert np.mean([v.is_anomaly for v, _ in both]) < 0.25
    assert np.mean([z.is_anomaly for _, z in both]) > 0.75
    clean[:, 40] = 6.0
    assert all(40 in [p.index for p in verdict(x).points] for x in clean)


def test_the_methods_named_decide_alone() -> None:
    value = np.append(np.random.default_rng(4).standard_normal(40), 3.2)
    found = verdict(value, methods=["zscore"])
    assert (found.vote, found.points[0].methods, set(found.thresholds)) == ("majority", ("zscore",), {"zscore"})
    assert verdict(np.array([45, 67, 89, 95, 156.0]), methods=["iqr"]).points[0].value == 156


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ([5.0], {"zscore": "needs 3 values, has 1", "iqr": "needs 4 values, has 1"}),
        ([1.0, 2.0], {"mad": "needs 3 values, has 2", "isolation_forest": "needs 3 values, has 2"}),
        ([3.0] * 9, {"zscore": "all values are equal", "isolation_forest": "all values are equal"}),
    ],
)
def test_who_cannot_judge_says_why(numbers: list[float], why: dict[str, str]) -> None:
    found = verdict(np.array(numbers))
    assert (found.is_anomaly, found.score, found.index, found.points) == (False, None, None, ())
    assert set(found.why) == set(METHODS)
    assert why.items() <= found.why.items()


def test_what_cannot_be_asked_is_refused() -> None:
    value = np.arange(5.0)
    with pytest.raises(InputError, match="'grubbs' is unknown; choose of zscore"):
        verdict(value, methods=["grubbs"])
    with pytest.raises(InputError, match="methods is empty"):
        verdict(value, methods=[])
    with pytest.raises(InputError, match="threshold nan must be > 0"):
        verdict(value, threshold=float("nan"))


@pytest.mark.parametrize("level", [0.0, 1e9, 1.8e12])
def test_scores_keep_their_digits_beside_a_great_level(level):
    rng = np.random.default_rng(3)
    value = level + 1e-3 * np.round(rng.normal(size=12) * 1000)
    exact = [Fraction(x) for x in value.tolist()]
    wanted = []
    for i, x in enumerate(exact):
        others = exact[:i] + exact[i + 1 :]
        mean = sum(others) / len(others)
        spread = sum((y - mean) ** 2 for y in others) / (len(others) - 1)
        wanted.append(float(x - mean) / math.sqrt(float(spread)))
    found = np.empty(len(value))
    kernel(value, found)
    assert found == pytest.approx(wanted, rel=1e-9)
