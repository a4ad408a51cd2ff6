from __future__ import annotations

import numpy as np
import pytest

from airis_mon.analyze.motifs import discords, matrix_profile, motifs
from airis_mon.analyze.similar import Windows, exact, is_flat, matches, profile


def walk(n=1500, seed=0):
    return np.random.default_rng(seed).normal(size=n).cumsum()


@pytest.mark.parametrize("m", [4, 37, 200])
def test_distances_are_those_of_each_window(m):
    value = walk()
    query = value[700 : 700 + m]
    each = np.lib.stride_tricks.sliding_window_view(value, m)
    scaled = (each - each.mean(axis=1, keepdims=True)) / each.std(axis=1, keepdims=True)
    expected = np.linalg.norm(scaled - scaled[700], axis=1)
    assert profile(query, Windows.of(value, m)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow  # stumpy is imported and compiles for seconds
@pytest.mark.parametrize("m", [4, 37, 200])
def test_distances_are_those_of_stumpy(m):
    import stumpy

    value = walk()
    query = value[700 : 700 + m]
    assert profile(query, Windows.of(value, m)) == pytest.approx(stumpy.mass(query, value), abs=1e-5)


def test_a_level_far_from_zero_does_not_cost_digits():
    value = walk(400)
    far = value + 1e7
    at = profile(far[100:120], Windows.of(far, 20))
    assert at == pytest.approx(profile(value[100:120], Windows.of(value, 20)), abs=1e-4)


def test_rolling_moments_are_those_of_each_window():
    value = walk(300)
    value[50] = 1e6
    windows = Windows.of(value, 25)
    each = np.lib.stride_tricks.sliding_window_view(value, 25)
    assert windows.mean == pytest.approx(each.mean(axis=1))
    assert windows.deviation == pytest.approx(each.std(axis=1), rel=1e-6)


def test_windows_with_a_gap_have_no_distance_and_flat_ones_an_infinite_one():
    value = walk(300)
    value[100] = np.nan
    value[150:200] = 0.1 + 0.2
    found = profile(value[10:30], Windows.of(value, 20))
    assert np.flatnonzero(np.isnan(found)).tolist() == list(range(81, 101))
    assert np.flatnonzero(np.isinf(found)).tolist() == list(range(150, 181))


def test_a_flat_query_is_told():
    assert is_flat(np.full(10, 0.1))
    assert is_flat(np.full(10, 1e12) + np.spacing(1e12) * (np.arange(10) % 2))
    assert not is_flat(np.array([1.0, 1.0, 1.0, 1.1]))


def test_a_planted_shape_is_found_at_any_level_and_scale_nearest_first():
    value = np.random.default_rng(1).normal(size=2000)
    shape = 8 * np.sin(np.linspace(0, 9, 60)) ** 3
    value[300:360] = 1000 + 5 * shape
    value[1200:1260] += shape
    found = matches(shape, Windows.of(value, 60), 2)
    assert [m.index for m in found] == [300, 1200]
    assert found[0].distance == pytest.approx(0, abs=1e-6)
    assert found[0].correlation == pytest.approx(1)


def test_correlation_is_that_of_both_windows_and_follows_from_the_distance():
    value = walk(200)
    found = matches(value[:30], Windows.of(value, 30), 3, without=(0, 15))
    for match in found:
        assert match.correlation == pytest.approx(np.corrcoef(value[:30], value[match.index : match.index + 30])[0, 1])
        assert match.correlation == pytest.approx(1 - match.distance**2 / 60)
    assert exact(value[:30], value[:30], 0).distance == 0


def test_matches_keep_their_distance_from_each_other_and_from_what_is_left_out():
    value = walk(1000)
    places = [m.index for m in matches(value[900:950], Windows.of(value, 50), 20, without=(850, 1000))]
    assert max(places) < 850
    assert np.diff(sorted(places)).min() >= 25
    assert matches(value[900:950], Windows.of(value, 50), 5, without=(0, 1000)) == []


def nearest_of_all(value, m):
    """Distance and place of the nearest other window, all held against all."""
    each = np.lib.stride_tricks.sliding_window_view(value, m)
    z = (each - each.mean(axis=1, keepdims=True)) / each.std(axis=1, keepdims=True)
    distance = np.sqrt(np.clip(2 * m - 2 * z @ z.T, 0, None))
    at = np.arange(len(each))
    distance[np.abs(at[:, None] - at) <= -(-m // 4)] = np.inf
    return distance.min(axis=1), distance.argmin(axis=1)


@pytest.mark.parametrize("m", [8, 50])
def test_the_matrix_profile_holds_every_window_against_every_other_one(m):
    value = walk(800) + 1e5
    found = matrix_profile(Windows.of(value, m))
    distance, nearest = nearest_of_all(value, m)
    assert found.distance == pytest.approx(distance, abs=1e-4)
    assert (found.nearest == nearest).all()


@pytest.mark.slow  # stumpy compiles for 20 s
def test_the_matrix_profile_is_that_of_stumpy():
    import stumpy

    value = walk(800)
    expected = stumpy.stump(value, 50)
    found = matrix_profile(Windows.of(value, 50))
    assert found.distance == pytest.approx(expected[:, 0].astype(float), abs=1e-5)
    assert (found.nearest == expected[:, 1].astype(int)).all()


def test_the_matrix_profile_leaves_out_gaps_and_flat_parts():
    value = walk(400)
    value[100] = np.nan
    value[200:260] = 5.0
    found = matrix_profile(Windows.of(value, 20))
    assert np.isnan(found.distance[81:101]).all()
    assert np.isinf(found.distance[200:241]).all()
    usable = np.isfinite(found.distance)
    assert usable[:81].all()
    assert not np.isin(found.nearest[usable], [*range(81, 101), *range(200, 241)]).any()


def test_motifs_are_pairs_and_discords_stand_alone():
    t = np.arange(2000)
    value = np.sin(2 * np.pi * t / 100) + np.random.default_rng(2).normal(scale=0.1, size=2000)
    value[1010:1050] = value[1010:1050][::-1] * -1.5
    shape = np.random.default_rng(3).normal(size=100).cumsum()
    value[300:400], value[1600:1700] = shape, shape
    found = matrix_profile(Windows.of(value, 100))
    first, *_ = motifs(found, 100, 3)
    assert (first.index, first.nearest) == (300, 1600)
    assert first.correlation == pytest.approx(1)
    (worst,) = discords(found, 100, 1)
    assert 910 <= worst.index <= 1050
    places = [p.index for p in motifs(found, 100, 5)] + [p.nearest for p in motifs(found, 100, 5)]
    assert len({p // 50 for p in places}) >= 8


def test_a_series_with_no_room_for_two_windows_has_no_motifs():
    found = matrix_profile(Windows.of(walk(20), 18))
    assert np.isnan(found.distance).all()
    assert motifs(found, 18, 3) == discords(found, 18, 3) == []
