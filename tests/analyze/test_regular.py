from __future__ import annotations

import numpy as np
import pytest

from airis_mon.analyze.regular import drawn_through, gridded, usual_step
from airis_mon.errors import TooLarge


def times(*t):
    return np.array(t, np.int64)


def test_samples_off_their_times_stand_on_the_grid_and_missing_ones_are_gaps():
    grid = gridded([(times(1000, 2010, 2990, 5000), np.array([1.0, 2.0, 3.0, 5.0]))])
    assert grid.step_ms == 1000
    assert grid.value.tolist()[0][:3] == [1.0, 2.0, 3.0]
    assert np.isnan(grid.value[0, 3])
    assert grid.value[0, 4] == 5.0
    assert [grid.time(0), grid.time(4)] == [1000, 5000]


def test_the_rarest_series_gives_the_step_and_others_count_by_their_mean():
    often = (times(*range(0, 6000, 500)), np.arange(12.0))
    rare = (times(0, 2000, 4000), np.array([1.0, 2.0, 3.0]))
    grid = gridded([often, rare])
    assert grid.step_ms == 2000
    assert grid.value[1, :3].tolist() == [1.0, 2.0, 3.0]
    assert grid.value[0].tolist() == [0.5, 3.5, 7.5, 10.5]


def test_a_grid_begins_with_the_first_sample_of_all():
    grid = gridded([(times(5000, 6000), np.ones(2)), (times(1000, 2000), np.ones(2))])
    assert np.isnan(grid.value[0, :4]).all()
    assert grid.time(0) == 1000


def test_a_series_without_samples_is_all_gaps():
    grid = gridded([(times(0, 1000), np.ones(2)), (times(), np.empty(0))])
    assert np.isnan(grid.value[1]).all()
    assert gridded([(times(), np.empty(0))]).length == 0


def test_a_step_far_too_small_for_the_time_is_refused():
    with pytest.raises(TooLarge, match="ask for a shorter time"):
        gridded([(times(0, 1, 2, 3, 10**12), np.ones(5))], 1)


def test_the_usual_step_leaves_out_gaps_and_jitter_and_needs_two_samples():
    assert usual_step(times(0, 15_040, 29_980, 45_010, 90_000)) == 15_000
    assert usual_step(times(5)) is None


def test_short_gaps_are_drawn_through_and_long_ones_stay():
    value = np.array([np.nan, 1, np.nan, 3, np.nan, np.nan, np.nan, 7, np.nan])
    assert drawn_through(value).tolist() == [1, 1, 2, 3, 4, 5, 6, 7, 7]
    kept = drawn_through(value, 2)
    assert np.flatnonzero(np.isnan(kept)).tolist() == [4, 5, 6]
    assert np.isnan(drawn_through(np.full(3, np.nan))).all()
