"""Forecasts held against what happened, on numbers that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from airis_mon.app.fleetaccuracy import by_lead, by_model, by_signal, of_all
from airis_mon.app.fleetscore import covered_share, joined, leads, outcome
from airis_mon.series.steps import Steps
from airis_mon.store.base import Foreseen, Outcomes

STEP, HOUR, DAY = 900_000, 3_600_000, 86_400_000
T = 1_800_000_000_000 // DAY * DAY
NAN = np.nan
A, B = 2**64 - 1, 7
ROWS = {(A, "value"): 0, (B, "rate"): 1}


def points(
    made: int, fp: int, kind: str, mean: list[float], half: float = 1.0, model: str = "ridge", start: int | None = None
) -> Foreseen:
    """A round's points of one signal, from the step after `made` on, with intervals of `half` on both sides."""
    n = len(mean)
    first = (made // STEP + 1) * STEP if start is None else start
    value = np.array(mean, np.float64)
    return Foreseen(
        fp=np.full(n, fp, np.uint64),
        kind=np.zeros(n, np.int64),
        made=np.full(n, made, np.int64),
        t=first + STEP * np.arange(n, dtype=np.int64),
        mean=value,
        lower=value - half,
        upper=value + half,
        level=np.full(n, 0.9),
        model=np.zeros(n, np.int64),
        kinds=(kind,),
        models=(model,),
    )


def test_a_day_is_scored_after_an_hour_six_hours_and_at_its_end_a_short_one_as_far_as_it_goes() -> None:
    assert leads(DAY, STEP) == [(0, HOUR), (HOUR, 6 * HOUR), (6 * HOUR, DAY)]
    assert leads(4 * STEP, STEP) == [(0, STEP), (STEP, 4 * STEP)]
    assert leads(STEP, STEP) == [(0, STEP)]


def test_errors_of_forecast_and_of_the_last_season_are_summed_over_the_same_points() -> None:
    steps = Steps(T, STEP, 8)
    actual = np.array([[10.0, 20, 10, 20, 12, 23, NAN, 25], [1.0] * 8])
    made = T + 3 * STEP + 60_000  # the fourth value was known
    found = outcome(points(made, A, "value", [11.5, 21, 11, 21]), actual, ROWS, steps, 2, HOUR)
    assert found.fp.tolist() == [A]
    assert found.points.tolist() == [3]  # one is a gap
    assert found.error.tolist() == [0.5 + 2 + 4]
    assert found.naive.tolist() == [2 + 3 + 5]  # 10, 20, (10,) 20: the last season before the round, again and again
    assert (found.banded.tolist(), found.covered.tolist()) == ([3], [1])
    assert (found.made.tolist(), found.lead.tolist(), found.level.tolist()) == ([made], [HOUR], [0.9])


def test_without_a_season_or_before_its_first_value_the_latest_value_is_the_baseline() -> None:
    steps = Steps(T, STEP, 6)
    made = T + 2 * STEP
    actual = np.array([[NAN, 5, NAN, 7, 8, 9.0], [1.0] * 6])
    of = points(made, A, "value", [7, 8, 9.0])
    assert outcome(of, actual, ROWS, steps, 0, HOUR).naive.tolist() == [2 + 3 + 4]
    # two back lies 5 for the first point, the gap at the round for the second, 5 again for the third
    assert outcome(of, actual, ROWS, steps, 2, HOUR).naive.tolist() == [2 + 3 + 4]
    never = np.array([[NAN, NAN, NAN, 7, 8, 9.0], [1.0] * 6])
    assert len(outcome(of, never, ROWS, steps, 0, HOUR).fp) == 0  # nothing to compare with


def test_points_of_other_signals_grids_and_times_are_left_out() -> None:
    steps, actual = Steps(T, STEP, 6), np.ones((2, 6))
    made = T + 2 * STEP
    for other in (
        points(made, 1, "value", [1.0]),
        points(made, A, "rate", [1.0]),
        points(made, A, "value", [1.0], start=T + 3 * STEP + 1),
        points(made, A, "value", [1.0], start=T + 6 * STEP),
        points(T - 1, A, "value", [1.0]),
        Foreseen.empty(),
    ):
        assert len(outcome(other, actual, ROWS, steps, 0, HOUR).fp) == 0


def test_a_point_without_an_interval_counts_for_the_error_alone() -> None:
    steps, actual = Steps(T, STEP, 6), np.ones((2, 6))
    found = outcome(points(T + 2 * STEP, B, "rate", [1, 1.5], half=NAN), actual, ROWS, steps, 0, HOUR)
    assert (found.points.tolist(), found.banded.tolist(), found.covered.tolist()) == ([2], [0], [0])
    assert np.isnan(covered_share(found, ROWS, 2)).all()


def whole() -> Outcomes:
    steps = Steps(T, STEP, 8)
    actual = np.array([[10.0, 20, 10, 20, 12, 23, 14, 25], [1.0] * 4 + [2.0] * 4])
    made = T + 3 * STEP
    return joined(
        [
            outcome(points(made, A, "value", [12.5, 23.5], model="ridge"), actual, ROWS, steps, 2, 2 * STEP),
            outcome(points(made, B, "rate", [1, 1.0], half=2, model="ets"), actual, ROWS, steps, 0, 2 * STEP),
            outcome(points(made, A, "value", [10, 20.0], start=made + 3 * STEP), actual, ROWS, steps, 2, 4 * STEP),
        ]
    )


def test_outcomes_join_under_common_words() -> None:
    found = whole()
    assert found.kinds == ("rate", "value")
    assert [found.kinds[k] for k in found.kind] == ["value", "rate", "value"]
    assert [found.models[m] for m in found.model] == ["ridge", "ets", "ridge"]
    assert len(joined([]).fp) == 0


def test_the_share_covered_is_told_by_signal() -> None:
    np.testing.assert_array_equal(covered_share(whole(), ROWS, 2), [2 / 4, 1.0])
    assert np.isnan(covered_share(whole(), {}, 2)).all()


def test_accuracy_is_summed_by_signal_model_and_lead() -> None:
    found = whole()
    one = by_signal(found)
    assert set(one) == {(A, "value"), (B, "rate")}
    assert one[A, "value"].error == pytest.approx((0.5 + 0.5 + 4 + 5) / 4)
    assert one[A, "value"].naive == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert one[A, "value"].scaled == pytest.approx(10 / 14)
    assert one[A, "value"].coverage == 0.5
    assert one[B, "rate"].scaled == 1.0
    every = of_all(found)
    assert (every.signals, every.points, every.level) == (2, 6, 0.9)
    assert every.scaled == pytest.approx((10 / 14 + 1) / 2)  # the median of two
    assert every.better == 0.5
    assert every.coverage == pytest.approx(4 / 6)
    assert {m: a.points for m, a in by_model(found).items()} == {"ridge": 4, "ets": 2}
    assert {lead: a.points for lead, a in by_lead(found).items()} == {2 * STEP: 4, 4 * STEP: 2}


def test_of_nothing_nothing_is_told() -> None:
    nothing = of_all(Outcomes.empty())
    assert (nothing.points, nothing.error, nothing.scaled, nothing.coverage, nothing.level) == (
        0,
        None,
        None,
        None,
        None,
    )
