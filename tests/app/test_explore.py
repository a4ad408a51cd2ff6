from __future__ import annotations

import numpy as np
import pytest

from airis_mon.app.analytics import Points
from airis_mon.app.explore import Apart, AskedSeasons, Levels, changed, decomposed, grid_of, name_of
from airis_mon.errors import InputError

MINUTE, HOUR = 60_000, 3_600_000
NOON = 1_772_366_400_000


def nobody_leaves():
    pass


def hours(count, missing=()):
    """Points every hour: a day of amplitude 10, noise, and no sample where `missing` says so."""
    at = np.setdiff1d(np.arange(count), missing)
    value = 50 + 10 * np.sin(2 * np.pi * at / 24) + np.random.default_rng(0).normal(size=len(at))
    return Points("load", NOON + at * HOUR, value)


def apart(points, seasons=None, **asked):
    options = {"is_robust": False, "lang": "en", **asked}
    return decomposed(points, Apart(seasons or AskedSeasons(), **options), nobody_leaves)


def test_a_stored_series_is_put_on_its_grid_and_its_gaps_are_drawn_through_and_told():
    found = apart(hours(24 * 7, missing=(30, 31, 32)))
    assert (found.grid.points, found.grid.step_s, found.grid.gaps) == (168, 3600, 3)
    assert found.grid.start == "2026-03-01T12:00:00.000Z"
    assert found.values[29:34].count(None) == found.residual.count(None) == 3
    assert None not in found.trend
    assert "3 gaps were drawn through" in found.explanation


def test_a_day_is_found_by_itself_and_its_parts_add_up():
    found = apart(hours(24 * 7))
    assert [(s.period, s.period_s) for s in found.seasons] == [(24, 86_400)]
    assert (found.method, found.seasonality) == ("stl", "detected")
    whole = np.array(found.trend) + found.seasons[0].values + np.array(found.residual)
    assert whole == pytest.approx(np.array(found.values))
    assert found.seasons[0].strength > 0.9
    assert "A season of 1 d accounts for 9" in found.explanation


def test_several_seasons_are_taken_in_points_or_in_seconds():
    by_points = apart(hours(24 * 15), AskedSeasons(points=(168, 24)))
    by_seconds = apart(hours(24 * 15), AskedSeasons(seconds=(86_400.0, 604_800.0)))
    assert by_points.seasons == by_seconds.seasons
    assert (by_points.method, by_points.seasonality) == ("mstl", "given")


def test_what_could_not_be_done_says_why():
    found = apart(hours(118), AskedSeasons(points=(168,)))
    assert found.why == {"season 168": "needs two seasons, has 0.7"}
    assert (found.method, found.seasons, found.seasonality) == ("loess", [], None)
    assert "No season was taken out" in found.explanation


def test_values_without_times_have_neither_times_nor_lengths():
    value = np.tile([1.0, 5.0, 9.0, 5.0], 6)
    found = apart(Points("m", None, value), AskedSeasons(points=(4,)))
    assert (found.grid.start, found.grid.step_s, found.seasons[0].period_s) == (None, None, None)
    assert "A season of 4 points" in found.explanation
    with pytest.raises(InputError, match="neither timestamps nor a step"):
        apart(Points("m", None, value), AskedSeasons(seconds=(60.0,)))


def test_a_constant_is_told_without_strengths():
    found = apart(Points("m", None, np.full(50, 0.1)), AskedSeasons(points=(5,)))
    assert found.trend_strength is None
    assert found.explanation == "m does not vary over its 50 points."


@pytest.mark.parametrize(("count", "said"), [(7, "there are 7 values; this needs 8"), (50_001, "at most 50,000")])
def test_too_few_and_too_many_points_are_refused(count, said):
    with pytest.raises(InputError, match=said) as refused:
        apart(Points("m", None, np.random.default_rng(0).normal(size=count)))
    assert refused.value.refusals[0].path == "$.values"


def level(points, seasons=None, penalty=3.0, lang="en"):
    return changed(points, Levels(seasons or AskedSeasons(points=()), penalty, lang), nobody_leaves)


def step(times=True, size=100, at=60, by=8.0):
    value = np.random.default_rng(1).normal(size=size)
    value[at:] += by
    return Points("latency", NOON + np.arange(size) * MINUTE if times else None, value)


def test_a_change_is_told_with_its_place_time_and_levels():
    found = level(step())
    (change,) = found.changes
    assert (change.index, change.timestamp) == (60, "2026-03-01T13:00:00.000Z")
    assert change.change == pytest.approx(8, abs=0.5)
    assert change.change == change.after - change.before
    assert found.explanation.startswith("The level of latency changed 1 time: at 2026-03-01 13:00 UTC from ")


def test_without_times_a_change_is_told_by_its_place():
    found = level(step(times=False))
    assert found.changes[0].timestamp is None
    assert "at point 60 from" in found.explanation


def test_what_varies_too_little_to_be_squared_is_refused_instead_of_called_constant():
    tiny = Points("m", None, 5e-324 * (np.arange(100.0) % 7))
    for ask in (lambda: level(tiny), lambda: decomposed(tiny, Apart(AskedSeasons(), False, "en"), nobody_leaves)):
        with pytest.raises(InputError, match=r"differ by 2\.96439e-323 at most, whose square is 0; scale them up"):
            ask()
    small = Points("m", None, 1e-149 * (np.arange(100.0) % 7))
    assert "A season of 7 points" in decomposed(small, Apart(AskedSeasons(), False, "en"), nobody_leaves).explanation


def test_a_larger_penalty_finds_fewer_changes():
    assert level(step(by=2.5), penalty=0.5).changes
    assert level(step(by=2.5), penalty=200.0).changes == []


def test_a_day_is_no_change_of_level():
    points = hours(24 * 7)
    points.value[100:] += 20
    found = level(points, AskedSeasons())
    assert found.seasons == [24]
    assert [c.index for c in found.changes] == [100]


def test_a_wave_cut_into_stairs_says_that_its_season_is_not_known():
    minute = np.arange(1440)
    wave = 100 + 20 * np.sin(2 * np.pi * minute / 1440) + np.random.default_rng(2).normal(scale=2, size=1440)
    wave[1380:] += 60
    found = level(Points("load", NOON + minute * MINUTE, wave), AskedSeasons())
    assert len(found.changes) > 5
    assert "the largest first: at 2026-03-02 11:00 UTC" in found.explanation
    assert "No season of it is known" in found.explanation
    assert "season" not in level(Points("load", NOON + minute * MINUTE, wave)).explanation


def test_series_without_names_are_told_by_their_places():
    assert name_of(Points("", None, np.ones(1))) == ""
    assert name_of(Points("", None, np.ones(1), path="$.series[3].values")) == "series[3]"
    assert name_of(Points("cpu", None, np.ones(1), path="$.target.values")) == "cpu"


def test_what_wanders_has_no_levels_and_says_so():
    walk = np.random.default_rng(3).normal(size=300).cumsum()
    found = level(Points("m", None, walk))
    assert found.changes is None
    assert "changes" in found.why
    assert "wanders" in found.explanation


def test_series_stand_on_one_grid_only_when_they_can():
    value = np.arange(5.0)
    t = np.arange(5) * MINUTE
    assert grid_of([Points("a", None, value), Points("b", None, value, 1000)]).step_ms == 1000
    with pytest.raises(InputError, match="only some of the series have times"):
        grid_of([Points("a", t, value), Points("b", None, value)])
    with pytest.raises(InputError, match="has 6 values, the first series 5"):
        grid_of([Points("a", None, value), Points("b", None, np.arange(6.0))])
    with pytest.raises(InputError, match="different steps"):
        grid_of([Points("a", None, value, 1000), Points("b", None, value, 2000)])
