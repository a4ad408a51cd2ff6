from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from record_reference import Reference

from airis_mon.detect.base import Scores
from airis_mon.detect.detectors.record import Record
from airis_mon.errors import ConfigError
from airis_mon.series.zone import zone

START = 1_699_833_600_000  # a Monday, 00:00 UTC
HOUR = 3_600_000
DAY = 24 * HOUR
LINE = 0.8


def feed(bank: Record, value: NDArray[np.float64], step_s: float = 300, start: int = START, slot: int = 0) -> Scores:
    t = start + (np.arange(len(value)) * step_s * 1000).astype(np.int64)
    return bank.update(np.full(len(value), slot, np.int32), t, value)


def fresh(slots: int = 1) -> Record:
    bank = Record()
    bank.reserve(slots)
    return bank


def noise(n: int, seed: int = 0, mean: float = 50, size: float = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(mean, size, n)


def daily(days: int, step_s: int = 300, seed: int = 0) -> NDArray[np.float64]:
    at = np.arange(days * 86_400 // step_s) * step_s / 86_400
    return 100 + 40 * np.sin(2 * np.pi * at) + noise(len(at), seed, 0)


@pytest.mark.parametrize("step_s", [15, 300, 3600])
@pytest.mark.parametrize(("offset", "size"), [(0.0, 1.0), (1e5, 100.0)])
def test_the_kernel_agrees_with_the_plain_reference(step_s: int, offset: float, size: float) -> None:
    n, rng = 2500, np.random.default_rng(5)
    t = START + np.cumsum(rng.integers(step_s * 900, step_s * 1100, n))
    t[n // 2 :] += 40 * HOUR
    value = 20 + 5 * np.sin(2 * np.pi * t / DAY) + rng.normal(size=n)
    for at in rng.integers(200, n, 6):
        value[at : at + 9] += rng.normal() * 20
    value = offset + size * value
    value[rng.random(n) < 0.01] = np.nan
    reference = Reference()
    wanted = np.array([reference.judge(int(a), float(x)) for a, x in zip(t, value, strict=True)])
    got = fresh().update(np.zeros(n, np.int32), t, value)
    assert np.abs(wanted[:, 0] - got.onset).max() < 0.03
    assert ((wanted[:, 0] >= 0.5) == (got.score >= LINE)).all()
    assert (got.score >= LINE).any()
    # Profiles of 16 bits move the level by no more than this.
    assert (np.abs(wanted[:, 1] - got.level) <= 0.05 * (1 + wanted[:, 1])).all()


@pytest.mark.parametrize("step_s", [5, 15])
def test_a_newcomers_spike_is_raised_within_minutes(step_s: int) -> None:
    quiet = np.abs(noise(24, mean=4))
    out = feed(fresh(), np.append(quiet, [92.0, 95.0, 97.0]), step_s)
    assert (out.score[:24] < LINE).all()
    assert (out.score[24:] >= LINE).any()


@pytest.mark.parametrize("step_s", [5, 15, 60, 300])
def test_quiet_noise_raises_next_to_nothing_in_the_first_hour(step_s: int) -> None:
    n = 3600 // step_s
    alarms = sum(int((feed(fresh(), noise(n, seed), step_s).score >= LINE).sum()) for seed in range(20))
    assert alarms <= 5


def test_quiet_series_raise_less_than_one_alarm_in_two_days() -> None:
    alarms = sum(int((feed(fresh(), daily(14, seed=s)).score[288 * 2 :] >= LINE).sum()) for s in range(10))
    assert alarms / (10 * 12) < 0.5


def test_a_constant_that_changes_is_raised() -> None:
    out = feed(fresh(), np.append(np.full(200, 5.0), 6.0))
    assert (out.score[:200] < LINE).all()
    assert out.score[200] >= LINE


@given(st.integers(2, 400), st.sampled_from([0.0, 3.0, -1e9]), st.sampled_from([15, 300]))
@settings(max_examples=20, deadline=None)
def test_a_seeded_constant_continues_as_one_that_was_seen(n: int, value: float, step_s: int) -> None:
    seen, seeded = fresh(), fresh()
    feed(seen, np.full(n, value), step_s)
    seeded.seed_constant(0, value, START, START + (n - 1) * step_s * 1000, n)
    rest = value + np.append(np.zeros(3), noise(20, mean=3))
    after = START + n * step_s * 1000
    a, b = feed(seen, rest, step_s, after), feed(seeded, rest, step_s, after)
    np.testing.assert_allclose(a.score, b.score, atol=2e-3)


def test_a_daily_series_that_comes_back_after_a_long_silence_is_calm() -> None:
    value = daily(12)
    for hours in (3, 9, 31):
        bank = fresh()
        feed(bank, value[: 288 * 10])
        back = START + 10 * DAY + hours * HOUR
        first = 288 * 10 + hours * 12
        assert (feed(bank, np.tile(value, 2)[first : first + 60], start=back).score < LINE).all()


def test_only_a_higher_peak_is_raised_before_the_slot_re_arms() -> None:
    bank = Record(stretch=1e9)  # what was seen once is within the band
    bank.reserve(1)
    feed(bank, noise(2000))
    after = START + 2000 * 300_000
    spikes = np.array([70.0, 50, 50, 50, 70, 50, 50, 50, 150])
    out = feed(bank, spikes, start=after)
    assert (out.score >= LINE).tolist() == [True, *[False] * 7, True]


def test_one_giant_does_not_blind_a_slot() -> None:
    bank = fresh()
    feed(bank, np.append(noise(2000), 1e9))
    after = START + 2001 * 300_000
    feed(bank, noise(300, 1), start=after)
    assert feed(bank, np.array([80.0]), start=after + 300 * 300_000).score[0] >= LINE


def test_bands_move_in_weeks_after_a_level_shift() -> None:
    bank = fresh()
    shifted = 200 + noise(288 * 60, 1, 0)
    feed(bank, np.append(noise(288 * 10), shifted))
    end = START + 70 * DAY
    _, bands = bank.update_with_bands(np.zeros(1, np.int32), np.array([end]), np.array([200.0]))
    assert bands.lower[0] > 180
    assert bands.upper[0] < 220


def test_what_is_usual_at_noon_is_unusual_at_night() -> None:
    day = np.repeat(np.where((np.arange(24) >= 8) & (np.arange(24) < 18), 100.0, 10.0), 12)
    value = np.tile(day, 20) + noise(288 * 20, mean=0)
    bank = fresh()
    feed(bank, value[: 288 * 19])
    night = value[288 * 19 : 288 * 19 + 40].copy()
    night[36:] = 100  # three in the morning
    out = feed(bank, night, start=START + 19 * DAY)
    assert (out.score[:36] < LINE).all()
    assert (out.score[36:] >= LINE).any()


def test_profiles_follow_the_clock_of_the_zone() -> None:
    bank = Record(zone=zone("Asia/Seoul"))
    bank.reserve(1)
    moment = bank.mark()
    feed(bank, np.zeros(26), start=START)  # 09:00 to 11:05 in Seoul; an hour is put away when it ends
    assert bank.touched(moment)["week"].tolist() == [9, 10]
    assert bank.touched(moment)["day"].tolist() == [9, 10]
    assert bank.touched(bank.mark())["week"].tolist() == []


def test_hours_that_were_not_touched_stay_as_they_were() -> None:
    bank = fresh(20)
    slot = np.tile(np.arange(20, dtype=np.int32), 300)
    t = START + np.repeat(np.arange(300) * 300_000, 20)
    bank.update(slot, t, noise(6000))
    before, moment = bank.state(), bank.mark()
    bank.update(slot[:600], t[:600] + DAY + 7 * HOUR, noise(600))
    after, hours = bank.state(), bank.touched(moment)
    for name, changed in hours.items():
        kept = np.setdiff1d(np.arange(len(after[name])), changed)
        assert (before[name][kept] == after[name][kept]).all()
        assert (before[name][changed] != after[name][changed]).any()


def test_history_from_a_snapshot_equals_what_was_live() -> None:
    bank = fresh(40)
    slot, rng = np.tile(np.arange(40, dtype=np.int32), 400), np.random.default_rng(0)
    t, value = START + np.repeat(np.arange(400) * 60_000, 40), rng.normal(50, 5, 16_000)
    bank.update(slot[:8000], t[:8000], value[:8000])
    kept = bank.take([7, 33])
    live, bands = bank.update_with_bands(slot[8000:], t[8000:], value[8000:])
    for place, number in enumerate((7, 33)):
        rows = np.flatnonzero(slot[8000:] == number)
        again = Record.from_state(kept)
        scores, redone = again.update_with_bands(
            np.full(len(rows), place, np.int32), t[8000:][rows], value[8000:][rows]
        )
        for name in ("expected", "lower", "upper"):
            np.testing.assert_array_equal(getattr(redone, name), getattr(bands, name)[rows])
        np.testing.assert_array_equal(scores.score, live.score[rows])


@given(st.integers(0, 2**32), st.sampled_from([0.0, 1e6, -1e12]), st.sampled_from([1e-3, 1.0, 1e5]))
@settings(max_examples=30, deadline=None)
def test_the_last_value_below_the_line_is_the_band(seed: int, mean: float, size: float) -> None:
    rng = np.random.default_rng(seed)
    value = mean + rng.standard_t(3, 150) * size
    bank = fresh()
    feed(bank, value, 60)
    at = np.array([START + 150 * 60_000])
    saved = bank.state()

    def score(x: float) -> float:
        return float(Record.from_state(saved).update(np.zeros(1, np.int32), at, np.array([x])).score[0])

    _, bands = Record.from_state(saved).update_with_bands(np.zeros(1, np.int32), at, np.array([np.median(value)]))
    for edge, away in ((bands.lower[0], -1), (bands.upper[0], 1)):
        if np.isfinite(edge):
            little = 3e-7 * (abs(edge) + abs(edge - mean)) + 1e-9
            assert score(edge) < LINE
            assert score(edge + away * little) >= LINE


def test_small_changes_on_large_numbers_are_seen() -> None:
    out = feed(fresh(), np.append(1e12 + noise(1000, mean=0, size=1e7), 1e12 + 1e10))
    assert out.score[-1] >= LINE
    assert (out.score[200:-1] >= LINE).sum() <= 2


def test_wild_order_of_slots_gives_the_scores_of_the_tidy_one() -> None:
    tidy, wild = fresh(2000), fresh(2000)
    order = np.random.default_rng(1).permutation(2000).astype(np.int32)
    for k in range(40):
        value = noise(2000, k)
        a = tidy.update(np.arange(2000, dtype=np.int32), np.full(2000, START + k * 60_000), value)
        b = wild.update(order, np.full(2000, START + k * 60_000), value[order])
        np.testing.assert_array_equal(a.score[order], b.score)


def test_threads_with_slots_of_their_own_do_not_disturb_each_other() -> None:
    alone, shared = fresh(8), fresh(8)
    series = [noise(2000, k) for k in range(8)]
    wanted = [feed(alone, value, slot=k).score for k, value in enumerate(series)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda k: feed(shared, series[k], slot=k).score, range(8)))
    np.testing.assert_array_equal(wanted, got)


def test_a_released_slot_is_fresh() -> None:
    bank = fresh(3)
    feed(bank, noise(500), slot=1)
    bank.release([1])
    np.testing.assert_array_equal(feed(bank, noise(500, 1), slot=1).score, feed(fresh(), noise(500, 1)).score)


class TestBorrowing:
    DAYS = 9

    def lent(self, factor: float = 1.0) -> Record:
        """Five donors of one kind, a borrower whose values are `factor` times as large, and 30 samples of its own."""
        bank = fresh(5)
        for k in range(5):
            feed(bank, daily(self.DAYS, seed=k), slot=k)
        assert bank.borrow(bank.reserve(1), np.arange(5)) is True
        return bank

    def own(self, factor: float = 1.0) -> NDArray[np.float64]:
        return factor * daily(self.DAYS + 2, seed=9)[288 * self.DAYS :]

    def test_a_borrower_finds_a_spike_at_once_and_is_calm_otherwise(self) -> None:
        bank, value = self.lent(), self.own()
        value[3] = 400
        out = feed(bank, value, start=START + self.DAYS * DAY, slot=5)
        assert out.score[3] >= LINE
        assert (np.delete(out.score, 3) >= LINE).sum() <= 1
        assert (feed(fresh(), value).score[:12] < LINE).all()

    @pytest.mark.parametrize("factor", [0.001, 0.1, 30, 1e6])
    def test_a_borrower_on_another_scale_does_not_flood(self, factor: float) -> None:
        out = feed(self.lent(), self.own(factor), start=START + self.DAYS * DAY, slot=5)
        assert (out.score >= LINE).sum() <= 4

    def test_what_was_borrowed_survives_a_restart_before_the_first_value(self) -> None:
        bank = self.lent()
        again = Record.from_state(bank.state())
        value = self.own(7)[:100]
        for one in (bank, again):
            one.last = feed(one, value, start=START + self.DAYS * DAY, slot=5).score  # type: ignore[attr-defined]
        np.testing.assert_array_equal(bank.last, again.last)  # type: ignore[attr-defined]

    def test_donors_that_know_little_lend_nothing(self) -> None:
        bank = fresh(3)
        feed(bank, noise(20), slot=0)
        assert bank.borrow(2, np.array([0, 1])) is False

    def test_a_quantity_of_no_donor_is_unknown_to_the_borrower_too(self) -> None:
        bank = fresh(2)
        feed(bank, noise(100), slot=0)  # eight hours of one day
        bank.borrow(1, [0])
        out = feed(bank, noise(30, 1), start=START + 12 * HOUR, slot=1)
        assert np.isfinite(out.level).all()
        assert (out.score < LINE).all()


def test_state_stays_within_twelve_hundred_bytes() -> None:
    bank = fresh(64)
    assert sum(a.nbytes for a in bank.state().values()) == 64 * bank.slot_bytes
    assert bank.slot_bytes <= 1200


def test_impossible_settings_are_refused() -> None:
    for wrong in ({"decay": 1.0}, {"line": 0.0}, {"warm": -1.0}):
        with pytest.raises(ConfigError, match="record"):
            Record(**wrong)


@pytest.mark.parametrize("step_s", [15, 60, 300])
def test_a_change_in_the_first_hours_moves_the_level_less_the_less_is_known(step_s: int) -> None:
    levels = []
    for n in (3, 12, 50, 400, 20_000):
        value = np.append(np.round(noise(n, mean=1, size=0.01), 4), np.full(3, 2.0))
        levels.append(float(feed(fresh(), value, step_s).level[-1]))
    assert levels[0] == 0
    assert levels[1] < levels[2] < levels[3] < levels[4]
    assert levels[1] < 1
    assert levels[4] > 30


def test_a_newcomer_that_borrowed_trusts_its_level_sooner() -> None:
    bank, alone = fresh(4), fresh()
    for i in range(3):
        feed(bank, noise(4000, i), slot=i)
    assert bank.borrow(3, [0, 1, 2])
    value, late = np.append(noise(30, 7), np.full(3, 90.0)), START + 4000 * 300_000
    assert feed(bank, value, start=late, slot=3).level[-1] > 2 * feed(alone, value, start=late).level[-1]
