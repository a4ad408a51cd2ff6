"""Each baseline does what its source says, and looks at nothing that comes later."""

import numpy as np
import pytest

from airis_mon.yardstick.baselines import promql_band, static, zscore
from airis_mon.yardstick.baselines.base import Sums, held, window
from tests.yardstick.worldbuilder import Line, quiet, world

ALL = (static, zscore, promql_band)
AT = 2 * 1440 + 300
MINUTE = 60_000


def run(value, **more):
    return world([Line("cart", value, **more)])


def raised(value, at=AT, by=400.0, minutes=30):
    value = value.copy()
    value[at : at + minutes] += by
    return value


@pytest.mark.parametrize("baseline", ALL, ids=lambda b: b.NAME)
def test_a_planted_rise_is_alarmed_and_calm_before_it_is_not(baseline):
    found = baseline.alarms(run(raised(quiet())))
    assert found[AT : AT + 10].any()
    assert found[AT - 60 : AT].mean() < 0.1


@pytest.mark.parametrize("baseline", ALL, ids=lambda b: b.NAME)
def test_what_comes_later_changes_nothing_before(baseline):
    value = quiet()
    a, b = baseline.alarms(run(value)), baseline.alarms(run(raised(value)))
    assert (a[:AT] == b[:AT]).all()


@pytest.mark.parametrize("baseline", ALL, ids=lambda b: b.NAME)
def test_signals_don_t_know_each_other(baseline):
    rise, calm = raised(quiet()), quiet()
    both = world([Line("cart", calm), Line("cart", rise)])
    alone = baseline.alarms(run(rise))
    assert (baseline.alarms(both)[both.rows(1)] == alone).all()


def test_z_is_against_the_hundred_values_before():
    value = np.random.default_rng(3).normal(5, 2, 400)
    z = zscore.scores(value)
    before = value[250:350]
    assert z[350] == pytest.approx(abs(value[350] - before.mean()) / before.std())
    assert (z[:20] == 0).all()


def test_z_of_a_constant_is_silent_and_its_first_change_is_not():
    z = zscore.scores(np.append(np.full(50, 1e9), 2e9))
    assert (z[:50] == 0).all()
    assert z[50] > zscore.LINE


def test_static_lines_are_three_deviations_of_the_history_for_five_minutes():
    value = quiet()
    past = value[:1440].astype(np.float32).astype(float)
    edge = past.mean() + 3 * past.std()
    value[1440:] = past.mean()
    value[AT : AT + 7] = edge * 1.001
    value[AT + 20 : AT + 25] = edge * 1.001  # four minutes from first to last
    value[AT + 40 : AT + 60] = edge * 0.999
    found = np.flatnonzero(static.alarms(run(value)))
    assert found.tolist() == [AT + 5, AT + 6]


def test_a_pod_with_a_new_name_has_the_lines_of_its_service():
    def labels(pod):
        return (("__name__", "m"), ("pod", pod), ("service", "cart"))

    old, new = quiet()[:1440], raised(quiet())
    made = world([Line("cart", old, labels=labels("a")), Line("cart", new, labels=labels("b"))])
    assert static.alarms(made)[made.rows(1)][AT + 10]


def test_the_band_is_half_the_middle_where_nothing_varies():
    t = np.arange(3000, dtype=np.int64) * MINUTE
    lower, upper = promql_band.band(t, np.full(3000, 10.0))
    assert lower[-1] == pytest.approx(5.0)
    assert upper[-1] == pytest.approx(15.0)


def test_the_band_is_as_wide_as_yesterday_and_as_the_smoothed_deviation():
    t = np.arange(3000, dtype=np.int64) * MINUTE
    value = np.full(3000, 10.0)
    then = 2999 - (23 * 60 + 30)  # the hour that ends so long ago
    value[then - 29 : then + 1] = 30.0
    hour = value[then - 59 : then + 1]
    _, upper = promql_band.band(t, value)
    yesterday = hour.mean() + 2 * hour.std()
    counted = [h.std() for k in range(2999 - 26 * 60 + 1, 3000) if (h := value[k - 59 : k + 1]).std() > 0.5 * h.mean()]
    smoothed = 10 + 2 * np.mean(counted)
    assert upper[-1] == pytest.approx(max(yesterday, smoothed, 15.0))
    assert yesterday > 15


def test_the_band_never_goes_below_zero_and_zeros_are_not_judged():
    value = np.abs(np.random.default_rng(5).normal(0, 1, 3 * 1440))
    t = np.arange(len(value), dtype=np.int64) * MINUTE
    assert promql_band.band(t, value)[0].min() >= 0
    value[:] = 0
    assert not promql_band.alarms(run(value)).any()


def test_request_rates_below_five_a_minute_are_not_judged():
    labels = (("__name__", "http_requests_total"), ("service", "cart"))
    few = raised(np.full(3 * 1440, 0.01), by=0.05)
    assert not promql_band.alarms(run(few, labels=labels, kind="rate")).any()
    assert promql_band.alarms(run(few)).any()


def test_a_window_leaves_out_its_beginning_and_takes_its_end():
    t = np.arange(10, dtype=np.int64) * MINUTE
    begin, end = window(t, 3 * MINUTE)
    assert (begin[5], end[5]) == (3, 6)
    begin, end = window(t, 2 * MINUTE, MINUTE)
    assert (begin[5], end[5]) == (3, 5)


def test_sums_give_mean_and_deviation_of_any_stretch_of_large_numbers():
    value = 1e10 + np.random.default_rng(2).normal(0, 1e4, 500)
    begin, end = np.array([0, 100]), np.array([500, 160])
    sums = Sums(value)
    assert sums.mean(begin, end).tolist() == pytest.approx([value.mean(), value[100:160].mean()])
    assert sums.deviation(begin, end).tolist() == pytest.approx([value.std(), value[100:160].std()])
    assert np.isnan(sums.mean(np.array([3]), np.array([3]))).all()


def test_for_begins_anew_after_a_break_or_a_gap():
    t = np.array([0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16], np.int64) * MINUTE
    holds = np.ones(11, np.bool_)
    assert held(t, holds, 3 * MINUTE).tolist() == [False] * 3 + [True] + [False] * 3 + [True] * 4
    holds[9] = False
    assert held(t, holds, 3 * MINUTE).tolist() == [False] * 3 + [True] + [False] * 3 + [True] * 2 + [False] * 2
    assert not len(held(t[:0], holds[:0], 1))
