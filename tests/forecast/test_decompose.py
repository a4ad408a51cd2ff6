from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.seasonal import MSTL, STL

from airis_mon.forecast.decompose import decompose, lacking, strength

HOURS = np.arange(24 * 7 * 5, dtype=float)


def day(amplitude=10.0):
    return amplitude * np.sin(2 * np.pi * HOURS / 24)


def week(amplitude=5.0):
    return amplitude * np.sign(np.sin(2 * np.pi * HOURS / 168))


def noise(scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(scale=scale, size=len(HOURS))


def test_parts_add_up_to_the_series():
    value = day() + week() + 0.05 * HOURS + noise()
    parts = decompose(value, (168, 24))
    assert [s.period for s in parts.seasons] == [24, 168]
    assert np.allclose(parts.trend + sum(s.value for s in parts.seasons) + parts.residual, value)


def test_what_was_put_together_is_found_again():
    parts = decompose(day() + week() + 0.05 * HOURS + noise(0.5), (24, 168))
    assert np.corrcoef(parts.seasons[0].value, day())[0, 1] > 0.99
    assert np.corrcoef(parts.seasons[1].value, week())[0, 1] > 0.97
    assert np.polyfit(HOURS, parts.trend, 1)[0] == pytest.approx(0.05, abs=0.003)
    assert parts.trend_strength > 0.9
    assert all(s.strength > 0.95 for s in parts.seasons)


@pytest.mark.parametrize("is_robust", [False, True])
def test_one_season_is_what_stl_makes_of_it_but_for_its_jumps(is_robust):
    value = day() + 0.05 * HOURS + noise()
    parts = decompose(value, (24,), is_robust=is_robust)
    whole = STL(value, 24, seasonal=11, robust=is_robust).fit()
    assert np.abs(parts.trend - whole.trend).max() < 0.1
    assert np.abs(parts.seasons[0].value - whole.seasonal).max() < 0.2


def test_two_seasons_are_what_mstl_makes_of_them_but_for_its_jumps():
    value = day() + week() + 0.05 * HOURS + noise()
    parts = decompose(value, (24, 168))
    whole = MSTL(value, periods=(24, 168)).fit()
    for i, season in enumerate(parts.seasons):
        assert np.std(season.value - whole.seasonal[:, i]) < 0.1
    assert np.std(parts.trend - whole.trend) < 0.1


def test_an_outlier_stays_in_the_residual_of_a_robust_fit():
    value = day() + noise(0.1)
    value[300] += 100
    plain, robust = (decompose(value, (24,), is_robust=r) for r in (False, True))
    assert robust.residual[300] == pytest.approx(100, abs=2)
    assert np.abs(robust.seasons[0].value - day()).max() < 1 < np.abs(plain.seasons[0].value - day()).max()


def test_gaps_are_drawn_through_counted_and_left_out_of_the_residual():
    value = day() + noise(0.1)
    value[100:104] = np.nan
    parts = decompose(value, (24,))
    assert parts.gaps == 4
    assert np.flatnonzero(np.isnan(parts.residual)).tolist() == [100, 101, 102, 103]
    assert not np.isnan(parts.trend).any()
    assert not np.isnan(parts.seasons[0].value).any()


def test_a_season_that_is_not_held_twice_is_left_out_and_said_so():
    parts = decompose((day() + noise())[:118], (24, 168))
    assert [s.period for s in parts.seasons] == [24]
    assert parts.why == {"season 168": "needs two seasons, has 0.7"}
    assert lacking(24, 48) is None
    assert lacking(24, 47) == "needs two seasons, has 2.0"
    assert lacking(1, 100) == "a season has at least 2 points, not 1"


def test_without_a_season_there_are_a_trend_and_a_residual():
    parts = decompose(0.1 * HOURS + noise(0.5), ())
    assert parts.seasons == ()
    assert np.polyfit(HOURS, parts.trend, 1)[0] == pytest.approx(0.1, abs=0.005)
    assert parts.trend_strength > 0.95


@pytest.mark.parametrize("periods", [(), (24,)])
def test_where_nothing_varies_no_part_has_a_strength(periods):
    parts = decompose(np.full(100, 7.3), periods)
    assert parts.trend_strength is None
    assert all(s.strength is None for s in parts.seasons)
    assert np.allclose(parts.trend, 7.3)


def test_strength_is_zero_for_what_only_adds_noise():
    noisy = noise()
    assert strength(-noisy * 0.5, noisy, 5.0) == 0.0
    assert strength(day(), noise(1e-9), 10.0) == pytest.approx(1.0)


def test_it_ends_between_fits_when_nobody_waits():
    class Gone(Exception):
        pass

    def check():
        raise Gone

    with pytest.raises(Gone):
        decompose(day(), (24,), check=check)
