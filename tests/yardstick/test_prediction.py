"""What counts as a warning in time, as one too late, and as one of nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from airis_mon.errors import AirisError
from airis_mon.forecast.exhaustion import Outlook
from airis_mon.series.labels import metric_of
from airis_mon.simulate.faults import Fault
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World
from airis_mon.yardstick import prediction
from airis_mon.yardstick.prediction import (
    KINDS,
    LINEAR,
    MIXIN,
    OURS,
    RESOURCES,
    STATIC,
    WRITTEN_FOR,
    Gauge,
    check_version,
    chosen_share,
    filled,
    foreseen,
    held,
    judged,
    on_patterns,
    warnings,
)
from airis_mon.yardstick.rulesarm import metrics_read
from airis_mon.yardstick.warned import (
    STEP_MS,
    Case,
    Judged,
    Limit,
    Told,
    Watch,
    false_rate,
    figures,
    judge,
    recall,
    skill,
    stretches,
)
from airis_mon.yardstick.worlds import Spec

HOUR = 3_600_000
STEPS = 300
T = np.arange(STEPS, dtype=np.int64) * STEP_MS
END = STEPS * STEP_MS
HAS = np.ones((1, STEPS), np.bool_)


def gauge(used: np.ndarray, ahead: np.ndarray | None = None) -> Gauge:
    used = used.reshape(-1, STEPS)
    owners = tuple(f"pod-{i}" for i in range(len(used)))
    return Gauge(RESOURCES[0], owners, T, used, used if ahead is None else ahead, np.isfinite(used))


def leak(onset: int, full: int) -> Limit:
    return Limit("memory_leak", onset, full, full + HOUR)


def on(start: int, end: int) -> np.ndarray:
    """Warnings within [start, end) ms."""
    return ((start <= T) & (end > T)).reshape(1, -1)


def only(warns: np.ndarray, fault: Limit | None = None, begin: int = 0) -> Judged:
    return judge("memory_leak", Told(T, warns), HAS, [(fault, [0])] if fault else [], begin, END)


def test_lead_is_from_the_start_of_the_warning_to_the_limit() -> None:
    found = only(on(12 * HOUR, END), leak(10 * HOUR, 15 * HOUR))
    assert found.cases == (Case("memory_leak", 3 * HOUR),)


def test_warning_that_was_interrupted_counts_from_where_it_was_taken_up() -> None:
    found = only(on(11 * HOUR, 13 * HOUR) | on(14 * HOUR, END), leak(10 * HOUR, 15 * HOUR))
    assert found.cases[0].lead_ms == HOUR


def test_warning_that_is_over_when_the_limit_is_hit_was_none() -> None:
    assert math.isnan(only(on(11 * HOUR, 14 * HOUR), leak(10 * HOUR, 15 * HOUR)).cases[0].lead_ms)


def test_warning_that_begins_with_the_trouble_is_too_late() -> None:
    assert math.isnan(only(on(15 * HOUR, END), leak(10 * HOUR, 15 * HOUR)).cases[0].lead_ms)


def test_earliest_of_several_series_of_one_fault_counts() -> None:
    warns = np.concatenate([on(14 * HOUR, END), on(12 * HOUR, END), on(0, 0)])
    struck = [(leak(10 * HOUR, 15 * HOUR), [0, 1, 2])]
    found = judge("memory_leak", Told(T, warns), HAS.repeat(3, axis=0), struck, 0, END)
    assert [case.lead_ms for case in found.cases] == [3 * HOUR]


def test_warning_of_a_series_that_does_not_leak_is_false() -> None:
    found = only(on(5 * HOUR, 6 * HOUR) | on(8 * HOUR, 9 * HOUR))
    assert [w.false for w in found.watches] == [2]


def test_warning_while_it_leaks_is_not_false_though_it_may_be_late() -> None:
    assert only(on(15 * HOUR, 17 * HOUR), leak(10 * HOUR, 15 * HOUR)).watches[0].false == 0


def test_limit_beyond_the_end_is_not_judged_but_its_warning_is_not_false() -> None:
    found = only(on(20 * HOUR, END), leak(15 * HOUR, END + HOUR))
    assert (found.cases, found.watches[0].false) == ((), 0)


def test_history_is_not_judged() -> None:
    found = only(on(2 * HOUR, 3 * HOUR), leak(4 * HOUR, 6 * HOUR), begin=8 * HOUR)
    assert found == Judged((), (Watch("memory_leak", 0, 0.0, (END - 8 * HOUR) / 86_400_000),))


def test_who_always_warns_predicts_nothing_and_is_false_all_the_time() -> None:
    always, line = np.ones((2, STEPS), np.bool_), np.concatenate([on(12 * HOUR, 16 * HOUR), on(0, 0)])
    struck = [(leak(10 * HOUR, 15 * HOUR), [0])]
    both = HAS.repeat(2, axis=0)
    lost, won = ([judge("memory_leak", Told(T, warns), both, struck, 2 * HOUR, END)] for warns in (always, line))
    assert (recall(lost), recall(won)) == (0, 1)
    assert [w.false for w in lost[0].watches] == [1, 1]
    assert [w.false_hours for w in lost[0].watches] == pytest.approx([17 - 2 / 12, 23], abs=1e-9)
    assert (false_rate(won), figures(won)["falseHoursPerSeriesMonth"].value) == (0, 0)
    assert chosen_share({0.0: lost, 0.8: won}) == 0.8


def test_warning_from_before_the_judged_days_is_false_while_it_stands() -> None:
    (watch,) = only(on(5 * HOUR, 9 * HOUR), begin=8 * HOUR).watches
    assert (watch.false, watch.false_hours) == (1, 1.0)


def test_warning_from_before_the_onset_is_no_news_of_the_leak_and_a_false_one() -> None:
    found = only(on(9 * HOUR, END), leak(10 * HOUR, END - HOUR))
    assert math.isnan(found.cases[0].lead_ms)
    assert (found.watches[0].false, found.watches[0].false_hours) == (1, 1.0)


def test_short_break_does_not_make_news_of_a_warning_from_before_the_onset() -> None:
    warns = on(9 * HOUR, 12 * HOUR) | on(12 * HOUR + 30 * 60_000, END)
    assert math.isnan(only(warns, leak(10 * HOUR, 15 * HOUR)).cases[0].lead_ms)


@pytest.mark.parametrize(("hours", "false"), [(6, 0), (7, 1)])
def test_warning_may_linger_after_a_leak_but_not_stay(hours: int, false: int) -> None:
    found = only(on(12 * HOUR, (16 + hours) * HOUR), leak(10 * HOUR, 15 * HOUR))
    assert found.watches[0].false == false
    assert found.cases[0].lead_ms == 3 * HOUR


def test_only_time_with_samples_is_watched() -> None:
    has = (np.arange(STEPS) < 100)[None]
    (watch,) = judge("memory_leak", Told(T, on(0, 0)), has, [], 0, END).watches
    assert watch.days == pytest.approx(100 * STEP_MS / 86_400_000)


def test_stretches_are_joined_over_half_an_hour() -> None:
    row = np.zeros(40, np.bool_)
    row[[3, 4, 11, 19, 20]] = True
    assert stretches(row) == [(3, 11), (19, 20)]
    assert stretches(np.zeros(5, np.bool_)) == []


def test_condition_counts_once_it_has_held() -> None:
    row = np.array([[1, 1, 1, 0, 1, 1, 1, 1]], np.bool_)
    assert held(row, 2).astype(int).tolist() == [[0, 0, 1, 0, 0, 0, 1, 1]]
    assert held(row, 0).tolist() == row.tolist()


def test_mixin_warns_of_a_line_only_where_much_is_used() -> None:
    used = np.concatenate([np.full(STEPS, 0.5), np.full(STEPS, 0.7)])
    arms = warnings(gauge(used, np.full((2, STEPS), 1.1)), {STATIC: 0.85})
    assert arms[LINEAR][:, -1].tolist() == [True, True]
    assert arms[MIXIN][:, -1].tolist() == [False, True]
    assert not arms[STATIC].any()
    assert arms[LINEAR].argmax(axis=1).tolist() == [HOUR // STEP_MS] * 2


def test_gap_ends_a_warning() -> None:
    used = np.full(STEPS, 0.9)
    used[100] = np.nan
    (warns,) = warnings(gauge(used), {STATIC: 0.85})[STATIC]
    assert not warns[100]
    assert warns[99]
    assert warns[102]


def test_limits_are_those_that_the_world_exports() -> None:
    world = World(Settings(topology="shop", days=1, step_s=60, histogram=False), 1)
    read = metrics_read([r.used for r in RESOURCES])
    assert read <= {metric_of(labels) for labels in world.labels}
    assert read >= {
        "container_spec_memory_limit_bytes", "process_max_fds", "volume_size_bytes", "node_filesystem_size_bytes"
    }  # fmt: skip


def test_leak_fills_its_pods_whatever_deploys_have_named_them() -> None:
    pods = ("cart-4", "cart-1f0a9-4", "cart-5", "cart-1f0a9-14", "mail-4x-6")
    fault = Fault("f", "memory_leak", "cart", 0, "zone", (4, 6), HOUR, 2 * HOUR, 5 * HOUR, 1.0)
    one = Gauge(RESOURCES[0], pods, T, np.zeros((5, STEPS)), np.zeros((5, STEPS)), np.ones((5, STEPS), np.bool_))
    assert filled(one, [fault]) == [(Limit("memory_leak", HOUR, 3 * HOUR, 5 * HOUR), [0, 1, 4])]


def test_another_version_of_the_world_is_refused() -> None:
    check_version()
    with pytest.raises(AirisError, match=f"written for version {WRITTEN_FOR} of the world, this is 99"):
        check_version("99")


def test_rates_are_of_cases_and_of_series_months() -> None:
    some = (Case("x", HOUR), Case("x", HOUR / 4), Case("x", np.nan)), (Case("x", HOUR / 2),)
    assert recall([Judged(cases) for cases in some]) == 0.5
    assert false_rate([Judged((), (Watch("x", 1, 2.0, 30.44), Watch("x", 0, 0.0, 30.44)))]) == 0.5
    assert math.isnan(recall([Judged()]))


def test_share_with_the_best_recall_is_chosen_among_the_silent_ones() -> None:
    def at(leads: float, hours: float) -> list[Judged]:
        return [Judged((Case("x", leads), Case("x", HOUR)), (Watch("x", 9, hours, 30.44),))]

    assert chosen_share({0.6: at(HOUR, 5), 0.8: at(HOUR, 0), 0.9: at(np.nan, 0)}) == 0.8
    assert chosen_share({0.6: at(HOUR, 5), 0.8: at(HOUR, 2)}) == 0.8


def outlook(earliest: float, latest: float) -> Outlook:
    """The same interval at every step, from there on."""
    shape = (1, STEPS)
    flags, some = np.zeros(shape, np.bool_), [np.full(shape, x) for x in (earliest, earliest, latest, 0.1)]
    return Outlook(flags, *some[:4], np.zeros(shape, np.int8), flags)


@pytest.mark.parametrize(("latest", "is_within"), [(2.5 * HOUR, False), (3 * HOUR, True), (np.inf, True)])
def test_interval_is_that_of_the_moment_at_which_the_warning_began(latest: float, is_within: bool) -> None:
    stated = Told(T, on(12 * HOUR, END), outlook(2 * HOUR, latest))
    found = judge("memory_leak", stated, HAS, [(leak(10 * HOUR, 15 * HOUR), [0])], 0, END)
    assert found.cases == (Case("memory_leak", 3 * HOUR, is_within),)
    assert figures([found])["intervalCoverage"].value == float(is_within)


def test_coverage_is_of_those_who_state_intervals_and_of_warnings_in_time() -> None:
    assert "intervalCoverage" not in figures([Judged((Case("x", HOUR),))])
    cases = Case("x", HOUR, True), Case("x", HOUR, False), Case("x", HOUR / 4, False), Case("x", np.nan)
    assert figures([Judged(cases)])["intervalCoverage"].value == 0.5


def test_skill_is_told_of_the_same_limits_and_series() -> None:
    ours = Judged((Case("x", HOUR), Case("x", HOUR)), (Watch("x", 1, 1.0, 9.0), Watch("x", 0, 0.0, 9.0)))
    theirs = Judged((Case("x", HOUR), Case("x", np.nan)), (Watch("x", 3, 1.0, 9.0), Watch("x", 1, 0.0, 9.0)))
    found = skill([ours], [theirs])
    assert (found["recallLessTheirs"].value, found["falseForOneOfTheirs"].value) == (0.5, 0.25)


def test_ours_sees_the_same_series_as_the_others_and_nothing_ahead() -> None:
    used = 0.4 + 0.6 * np.clip((T / HOUR - 4) / 12, 0, 1)
    late = np.where(np.arange(STEPS) < 150, used, 0.1)
    whole, cut = foreseen(gauge(used)), foreseen(gauge(late))
    assert whole.warns[0, 16 * 12 - 6]
    np.testing.assert_array_equal(whole.eta_ms[0, :150], cut.eta_ms[0, :150])


@pytest.mark.slow
def test_arms_see_the_limits_of_a_world_coming() -> None:
    spec = Spec("dev", "shop", 7, days=3.0, history_days=1.0, faults_per_day=8)
    found = judged([spec], {STATIC: prediction.SHARE})
    leads = [case.lead_ms for some in found.values() for one in some for case in one.cases]
    assert {case.kind for case in found[STATIC][0].cases} <= set(KINDS)
    assert len(found[STATIC][0].cases) > 3
    assert all(recall(some) > 0.5 for some in found.values())
    assert np.nanmax(leads) <= 20 * HOUR


@pytest.mark.slow
def test_line_through_hours_warns_of_many_patterns_that_are_no_leaks() -> None:
    found = on_patterns((1,), {STATIC: prediction.SHARE})
    assert all(recall(some) > 0.9 for some in found.values())
    assert false_rate(found[LINEAR]) > false_rate(found[MIXIN]) > false_rate(found[STATIC]) > false_rate(found[OURS])
