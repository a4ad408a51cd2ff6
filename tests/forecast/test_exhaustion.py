"""What runs out is seen coming; what rises and falls again, levels off or jumps is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from airis_mon.errors import InputError
from airis_mon.forecast._exhaustion import LEAST_BINS, _slope
from airis_mon.forecast.exhaustion import BASES, Exhaustion, Outlook

HOUR, STEP = 3_600_000, 300_000
T0 = 1_767_600_000_000
Float = np.ndarray


def hours(n: float, step: int = STEP) -> Float:
    return np.arange(round(n * HOUR / step)) * step / HOUR


def looked(share: Float, step: int = STEP, horizon: int = 24 * HOUR) -> Outlook:
    """The outlook of one series or several."""
    share = np.atleast_2d(share)
    watch = Exhaustion(step_ms=step, horizon_ms=horizon)
    watch.reserve(len(share))
    return watch.update(T0 + np.arange(share.shape[1]) * step, share)


def noise(n: int, sd: float = 0.002) -> Float:
    return np.random.default_rng(1).normal(0, sd, n)


def leak(lasts: float, onset: float = 6, base: float = 0.4, power: float = 1, step: int = STEP) -> Float:
    """Flat, then up to the limit within so many hours, and there it stays for an hour."""
    h = hours(onset + lasts + 1, step)
    used = base + (1 - base) * np.clip((h - onset) / lasts, 0, 1) ** power
    return used + noise(len(h)) * (used < 1)


@pytest.mark.parametrize(("lasts", "power"), [(2, 1), (6, 1), (20, 1), (72, 1), (6, 2.5), (20, 2.5), (72, 2.5)])
def test_leak_is_warned_of_half_an_hour_ahead_and_until_the_limit_is_hit(lasts: float, power: float) -> None:
    found, full = looked(leak(lasts, power=power)), round((6 + lasts) * 12)
    began = int(found.warns[0].argmax())
    assert 6 * 12 < began <= full - 6
    assert found.warns[0, began:full].all()


@pytest.mark.parametrize("step", [60_000, 600_000, 1_800_000, HOUR])
def test_it_does_not_hang_on_the_step(step: int) -> None:
    found = looked(leak(20, step=step), step)
    began, full = int(found.warns[0].argmax()), 26 * HOUR // step
    assert 6 * HOUR // step < began <= full - HOUR // step
    assert found.warns[0, began:full].all()


def test_time_that_is_left_is_right_and_within_the_interval() -> None:
    found, at = looked(leak(20)), 18 * 12
    left = 8 * HOUR
    assert found.eta_ms[0, at] == pytest.approx(left, rel=0.06)
    assert found.earliest_ms[0, at] < left < found.latest_ms[0, at]
    assert found.rate[0, at] == pytest.approx(0.6 / 20, rel=0.06)
    assert BASES[found.basis[0, at]] == "six_hours"


def test_growth_over_days_is_measured_over_days() -> None:
    found = looked(leak(96, base=0.1))
    assert BASES[found.basis[0, 60 * 12]] == "day"


def test_growth_that_speeds_up_is_expected_sooner_than_a_line_has_it() -> None:
    used, at = leak(24, power=2.5), 26 * 12
    found = looked(used)
    line = (1 - used[at]) / found.rate[0, at] * HOUR
    assert found.earliest_ms[0, at] < 4 * HOUR < found.latest_ms[0, at]
    assert found.eta_ms[0, at] < line


@pytest.mark.parametrize("top", [0.7, 0.9, 0.96])
@pytest.mark.parametrize("constant", [1, 4, 10])
def test_cache_that_fills_up_and_levels_off_is_no_leak(top: float, constant: float) -> None:
    h = hours(120)
    used = 0.1 + (top - 0.1) * (1 - np.exp(-np.maximum(h - 6, 0) / constant))
    assert not looked(used + noise(len(h))).warns.any()


@pytest.mark.parametrize("middle", [0.4, 0.6])
def test_day_and_night_are_no_leak(middle: float) -> None:
    h = hours(7 * 24)
    assert not looked(middle + 0.3 * np.sin(2 * np.pi * h / 24) + noise(len(h))).warns.any()


def test_jump_to_another_level_is_no_growth() -> None:
    h = hours(48)
    used = 0.3 + 0.55 * (h > 20) - 0.3 * (h > 30) + 0.4 * (h > 40)
    assert not looked(used + noise(len(h))).warns.any()


def test_open_files_that_flap_are_no_leak() -> None:
    used = np.clip(0.5 + np.random.default_rng(2).normal(0, 0.25, 7 * 288), 0, 1)
    assert not looked(used).warns.any()


def test_leak_after_a_jump_counts_from_the_jump() -> None:
    h = hours(40)
    used = np.minimum(0.2 + 0.4 * (h > 20) + 0.4 * np.clip((h - 20) / 10, 0, 1), 1)
    found = looked(used + noise(len(h)) * (used < 1))
    began = int(found.warns[0].argmax())
    assert 21 * 12 <= began <= 30 * 12 - 6
    assert found.earliest_ms[0, began] < 30 * HOUR - began * STEP < found.latest_ms[0, began]


def sawtooth(period: float, high: float, days: float = 6) -> Float:
    h = hours(24 * days)
    return 0.2 + (high - 0.2) * (h / period % 1)


@pytest.mark.parametrize("period", [4, 12, 30])
def test_logs_that_were_rotated_once_are_not_warned_of_again(period: float) -> None:
    found = looked(sawtooth(period, 0.93) + noise(6 * 288))
    assert not found.warns[0, round(period * 12) + 3 :].any()


def test_rise_that_fell_by_itself_twice_is_told_as_recurring() -> None:
    found = looked(sawtooth(12, 0.93) + noise(6 * 288))
    at = slice(36 * 12 - 6, 36 * 12)
    assert found.is_recurring[0, at].all()
    assert not found.is_recurring[0, : 24 * 12].any()
    assert np.isfinite(found.eta_ms[0, at]).all()


def test_rise_above_all_earlier_ones_is_news() -> None:
    used = np.append(sawtooth(12, 0.7, days=3), leak(12, onset=0, base=0.2))
    found, full = looked(used + noise(len(used), 0.001)), 84 * 12
    began = int(found.warns[0].argmax())
    assert 72 * 12 < began <= full - 6
    assert found.warns[0, began:full].all()


def test_leak_that_hit_its_limit_is_no_habit() -> None:
    once = leak(10, onset=2)
    used = np.tile(once, 3)
    found = looked(used)
    for k in range(3):
        assert found.warns[0, k * len(once) + 11 * 12]


def test_leak_on_top_of_a_heap_that_is_collected_is_seen() -> None:
    h = hours(26)
    climb = np.clip((h - 6) / 12, 0, 1)
    used = 0.4 + 0.1 * (h / 2.5 % 1)
    used = used + (1 - used) * climb
    found = looked(used + noise(len(h), 0.003) * (climb < 1))
    assert found.warns[0, 18 * 12 - 6 : 18 * 12].all()


def test_warning_ends_when_it_is_cleared() -> None:
    used = leak(10)[: 15 * 12]
    used = np.append(used, np.full(36, 0.4))
    found = looked(used)
    assert found.warns[0, 15 * 12 - 1]
    assert not found.warns[0, 15 * 12 + 3 :].any()


def test_warning_ends_when_growth_ends() -> None:
    used = leak(10)[: 15 * 12]
    found = looked(np.append(used, np.full(60, used[-1])))
    assert not found.warns[0, 15 * 12 + 48 :].any()


def test_limit_beyond_the_horizon_is_not_warned_of() -> None:
    used = leak(40)[: 40 * 12]  # six hours are left
    assert not looked(used, horizon=3 * HOUR).warns.any()
    assert looked(used).warns[0, -1]


def test_warning_stands_through_a_short_gap_and_not_through_a_long_one() -> None:
    used = leak(20)
    used[22 * 12 : 22 * 12 + 11] = np.nan
    used[24 * 12 : 25 * 12 + 6] = np.nan
    found = looked(used)
    assert found.warns[0, 22 * 12 - 1 : 24 * 12].all()
    assert not found.warns[0, 25 * 12 + 1]
    assert np.isnan(found.eta_ms[0, 22 * 12])


def test_values_that_are_no_numbers_are_gaps() -> None:
    gap, odd = leak(20), leak(20)
    gap[100:105], odd[100:105] = np.nan, np.inf
    np.testing.assert_array_equal(looked(gap).eta_ms, looked(odd).eta_ms)


def test_blocks_of_any_size_give_the_same() -> None:
    share = np.stack([leak(20), leak(18, onset=8), sawtooth(6, 0.95, 2)[: len(leak(20))]])
    share[0, 40:55] = np.nan
    whole, watch = looked(share), Exhaustion()
    watch.reserve(3)
    t = T0 + np.arange(share.shape[1]) * STEP
    cuts = [0, 1, 2, 30, 47, 200, share.shape[1]]
    parts = [watch.update(t[a:b], share[:, a:b]) for a, b in itertools.pairwise(cuts)]
    for name in Outlook.__slots__:
        joined = np.concatenate([getattr(part, name) for part in parts], axis=1)
        np.testing.assert_array_equal(joined, getattr(whole, name), err_msg=name)


def test_what_comes_later_changes_nothing() -> None:
    used = leak(20)
    later = np.append(used[:250], np.zeros(len(used) - 250))
    for name in Outlook.__slots__:
        np.testing.assert_array_equal(getattr(looked(used), name)[:, :250], getattr(looked(later), name)[:, :250])


def test_series_do_not_know_each_other() -> None:
    both = looked(np.stack([leak(20), leak(18, onset=8)]))
    np.testing.assert_array_equal(both.eta_ms[1:], looked(leak(18, onset=8)).eta_ms)


def test_forgotten_row_starts_anew_and_the_others_go_on() -> None:
    used = np.stack([leak(20)] * 2)
    watch, t = Exhaustion(), T0 + np.arange(used.shape[1]) * STEP
    watch.reserve(2)
    watch.update(t[:260], used[:, :260])
    watch.forget(np.array([0]))
    found = watch.update(t[260:], used[:, 260:])
    np.testing.assert_array_equal(found.warns[1:], looked(used[1]).warns[:, 260:])
    fresh = Exhaustion()
    fresh.reserve(1)
    np.testing.assert_array_equal(found.warns[:1], fresh.update(t[260:], used[:1, 260:]).warns)
    assert found.warns[1, 0]
    assert not found.warns[0, :12].any()


def test_series_that_come_later_leave_the_others_as_they_are() -> None:
    used, watch = leak(20), Exhaustion()
    t = T0 + np.arange(len(used)) * STEP
    watch.reserve(1)
    watch.update(t[:200], used[None, :200])
    watch.reserve(50)
    assert watch.size == 50
    found = watch.update(t[200:], np.tile(used[200:], (50, 1)))
    np.testing.assert_array_equal(found.eta_ms[0], looked(used).eta_ms[0, 200:])
    assert np.isnan(found.eta_ms[1, 0])


def test_slope_of_pairs_is_that_of_a_line_and_bears_a_quarter_of_outliers() -> None:
    ring, out = (0.01 * np.arange(72)).astype(np.float32), np.empty(168)
    rate, error = _slope(ring, 71, 72, 1 / 12, out)
    assert (rate, error) == (pytest.approx(0.12, rel=1e-5), pytest.approx(0, abs=1e-5))
    ring[::9] = 5
    assert _slope(ring, 71, 72, 1 / 12, out)[0] == pytest.approx(0.12, rel=1e-4)
    ring[:40] = np.nan
    assert np.isnan(_slope(ring, 71, 72, 1 / 12, out)[0])
    assert LEAST_BINS == 6


def test_error_of_a_slope_is_that_of_many_noisy_lines() -> None:
    rng, out = np.random.default_rng(3), np.empty(168)
    made = [_slope(rng.normal(0, 1, 72).astype(np.float32), 71, 72, 1.0, out) for _ in range(400)]
    rates, errors = np.array(made).T
    assert 1 < np.median(errors) / rates.std() < 2  # neighbours are taken as one: errors are stated too large


@pytest.mark.parametrize("step", [0, -5, 2 * HOUR])
def test_step_that_cannot_be_is_refused(step: int) -> None:
    with pytest.raises(InputError, match="step_ms must be within"):
        Exhaustion(step_ms=step)


def test_horizon_below_an_hour_is_refused() -> None:
    with pytest.raises(InputError, match="horizon_ms must be 3,600,000"):
        Exhaustion(horizon_ms=HOUR - 1)


def test_times_that_do_not_rise_and_series_that_were_not_reserved_are_refused() -> None:
    watch = Exhaustion()
    watch.reserve(1)
    watch.update(np.array([T0, T0 + STEP]), np.zeros((1, 2)))
    with pytest.raises(InputError, match="t must rise"):
        watch.update(np.array([T0 + STEP]), np.zeros((1, 1)))
    with pytest.raises(InputError, match=r"share must be \(1, 1\)"):
        watch.update(np.array([T0 + 2 * STEP]), np.zeros((2, 1)))
