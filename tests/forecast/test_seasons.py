import numpy as np
import pytest
from statsmodels.tsa.stattools import acf

from airis_mon.forecast.seasons import DAY_MS, autocorrelation, seasonal, seasons, usual_seasons
from airis_mon.series.batch import Values

T = np.arange(2_000)


def noise(n: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).standard_normal(n)


def periods(value: Values) -> tuple[int, ...]:
    return tuple(s.period for s in seasons(value))


def waves(n: int, *of: tuple[int, float]) -> Values:
    return sum((a * np.sin(T[:n] * 2 * np.pi / p) for p, a in of), np.zeros(n))


def office(n: int) -> Values:
    hour, day = T[:n] % 24, (T[:n] // 24) % 7
    return 10.0 * ((hour >= 9) & (hour < 18) & (day < 5))


@pytest.mark.parametrize("n", [5, 100, 399, 401, 1_500])
def test_autocorrelation_is_that_of_statsmodels(n: int) -> None:
    value = 1e6 + noise(n).cumsum()
    lags = min(n - 1, 40)
    np.testing.assert_allclose(autocorrelation(value, lags), acf(value, nlags=lags, fft=False)[1:], atol=1e-11)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(waves(100, (24, 3)), (24,), id="day of a hundred hours"),
        pytest.param(waves(100, (24, 3)) + 0.5 * T[:100], (24,), id="on a line"),
        pytest.param(waves(60, (7, 3)), (7,), id="week of days"),
        pytest.param(5.0 * (T[:300] % 24) / 24, (24,), id="sawtooth"),
        pytest.param(8.0 * (T[:400] % 24 == 3), (24,), id="nightly job"),
        pytest.param(2.0 * (-1.0) ** T[:100], (2,), id="every other"),
        pytest.param(waves(1_000, (24, 3), (168, 3)), (24, 168), id="day and week"),
        pytest.param(office(700), (24, 168), id="office hours"),
    ],
)
def test_a_season_is_found_under_noise(value: Values, expected: tuple[int, ...]) -> None:
    found = [periods(value + noise(len(value), seed)) for seed in range(10)]
    assert found.count(expected) >= 9


def test_a_wave_between_two_periods_is_told_by_its_double() -> None:
    value = 3 * np.sin(T[:1_000] * 2 * np.pi / 12.5)
    assert periods(value + noise(1_000)) == (25,)


def flights(kind: str, rng: np.random.Generator, n: int) -> Values:
    clean = rng.standard_normal(n)
    match kind:
        case "walk":
            return clean.cumsum()
        case "line":
            return clean + 0.1 * T[:n]
        case "step":
            return clean + 5 * (T[:n] > rng.integers(n))
        case "outliers":
            return clean + 20 * (rng.random(n) < 0.03)
    return clean


@pytest.mark.parametrize("kind", ["noise", "walk", "line", "step", "outliers"])
@pytest.mark.parametrize("n", [30, 100, 500])
def test_where_nothing_repeats_less_than_two_of_a_hundred_have_a_season(kind: str, n: int) -> None:
    rng = np.random.default_rng(n)
    found = [bool(seasons(flights(kind, rng, n))) for _ in range(300)]
    assert np.mean(found) < 0.02


def test_strength_tells_season_from_noise_and_outliers_do_not_spoil_it() -> None:
    weak = waves(480, (24, 1)) + noise(480)
    strong = waves(480, (24, 10)) + noise(480)
    assert 0.2 < seasons(weak)[0].strength < 0.5
    assert seasons(strong)[0].strength > 0.95
    strong[[7, 200, 333]] += 500
    assert periods(strong) == (24,)


def test_without_noise_a_season_is_the_whole_of_it() -> None:
    found = seasons(waves(96, (24, 1)))
    assert [s.period for s in found] == [24]
    assert found[0].strength > 0.95
    assert found[0].autocorrelation == pytest.approx(autocorrelation(waves(96, (24, 1)), 24)[23], abs=0.05)


@pytest.mark.parametrize("value", [np.full(50, 0.1), 0.3 * T[:50], np.arange(7.0), np.array([1.0])])
def test_equal_values_lines_and_too_few_have_none(value: Values) -> None:
    assert seasons(value) == ()


def test_what_repeats_can_be_taken_off() -> None:
    wave = waves(504, (24, 3), (168, 2))
    found = seasonal(wave + noise(504), (24, 168))
    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert np.abs(found - wave).std() < 0.6
    np.testing.assert_array_equal(seasonal(wave, ()), np.zeros(504))


@pytest.mark.parametrize(
    ("step_ms", "length", "expected"),
    [
        (3_600_000, 1_000, (24, 168)),
        (3_600_000, 335, (24,)),
        (3_600_000, 47, ()),
        (DAY_MS, 100, (7,)),
        (7 * DAY_MS, 100, ()),
        (11_000, 10**6, ()),
    ],
)
def test_usual_seasons_are_the_day_and_the_week_as_far_as_they_fit(
    step_ms: int, length: int, expected: tuple[int, ...]
) -> None:
    assert usual_seasons(step_ms, length) == expected
