import itertools

import numpy as np
import pytest
import ruptures

from airis_mon.analyze.changes import LEAST, changes, levels
from airis_mon.errors import InputError
from airis_mon.series.batch import Values


def stepped(seed: int, n: int, at: int, by: float) -> Values:
    value = np.random.default_rng(seed).standard_normal(n)
    value[at:] += by
    return value


def price_of(value: Values, starts: list[int], penalty: float) -> float:
    parts = [value[a:b] for a, b in itertools.pairwise([0, *starts, len(value)])]
    return sum(float(((p - p.mean()) ** 2).sum()) for p in parts) + penalty * len(starts)


@pytest.mark.parametrize("seed", range(12))
def test_without_a_bound_the_cut_is_that_of_pelt(seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = rng.standard_normal(60)
    for _ in range(seed % 4):
        value[int(rng.integers(60)) :] += rng.normal() * 4
    value = np.round(value) if seed % 3 == 0 else value
    penalty = float(rng.uniform(2, 20))
    cost, starts = levels(value, 1.0, penalty, np.inf)
    peer = ruptures.Pelt(model="l2", min_size=1, jump=1).fit(value).predict(pen=penalty)[:-1]
    assert cost == pytest.approx(price_of(value, starts.tolist(), penalty), abs=1e-6)
    assert cost == pytest.approx(price_of(value, peer, penalty), abs=1e-6)


def test_a_step_is_found_where_it_is_and_told_in_units_of_the_noise() -> None:
    value = 50 + 2 * stepped(1, 200, 120, 5.0)
    found = changes(value)
    assert found is not None
    assert [c.index for c in found] == [120]
    assert found[0].before == pytest.approx(value[:120].mean())
    assert found[0].after == pytest.approx(value[120:].mean())
    assert found[0].shift == pytest.approx(5.0, abs=0.8)


def test_a_step_without_noise_is_exact() -> None:
    found = changes(np.repeat([1e9, 1e9 + 1, 1e9], 20))
    assert found is not None
    assert [(c.index, c.before, c.after) for c in found] == [(20, 1e9, 1e9 + 1), (40, 1e9 + 1, 1e9)]


def test_a_few_outliers_are_no_level_but_four_are() -> None:
    value = np.random.default_rng(2).standard_normal(200)
    value[50:52] += 40
    assert changes(value) == ()
    value[100:106] += 40
    found = changes(value)
    assert found is not None
    assert [c.index for c in found] == [100, 106]


def test_clean_noise_has_changes_in_less_than_two_of_a_hundred_windows() -> None:
    rng = np.random.default_rng(3)
    for n in (20, 100, 500):
        assert np.mean([bool(changes(rng.standard_normal(n))) for _ in range(400)]) < 0.02


def test_a_line_is_not_cut_into_stairs() -> None:
    rng = np.random.default_rng(4)
    assert [changes(0.5 * np.arange(100) + rng.standard_normal(100)) for _ in range(50)] == [()] * 50


def test_a_step_on_a_line_is_told_without_the_line() -> None:
    found = changes(0.5 * np.arange(200) + stepped(5, 200, 120, 12.0))
    assert found is not None
    assert [c.index for c in found] == [120]
    assert found[0].after - found[0].before == pytest.approx(12.0, abs=0.5)


def test_a_random_walk_is_no_flight_of_stairs() -> None:
    rng = np.random.default_rng(6)
    found = [changes(rng.standard_normal(1_000).cumsum()) for _ in range(100)]
    assert sum(f is None for f in found) > 80
    assert sum(bool(f) for f in found) < 20


def test_a_season_given_is_taken_off_first() -> None:
    season = 10 * np.sin(np.arange(240) * 2 * np.pi / 24)
    found = changes(season + stepped(7, 240, 100, 5.0), season=season)
    assert found is not None
    assert [c.index for c in found] == [100]


def test_equal_values_never_change() -> None:
    assert levels(np.full(50, 0.3), 1.0, 2.0)[0] == 0
    assert changes(np.full(50, 0.3)) == ()


def test_too_few_values_are_refused_with_the_number() -> None:
    with pytest.raises(InputError, match=f"needs {LEAST} values, has 9"):
        changes(np.arange(9.0))
