"""What every SeriesStore promises of forecasts, outcomes and warnings, embedded and over HTTP with the real client."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airis_mon.errors import TooLarge
from airis_mon.events.prediction import Prediction
from airis_mon.store.base import Foreseen, Matcher, Outcomes
from tests.store.conftest import Open

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.parametrize("open_store", ["embedded", "http"], indirect=True),
]
T = 1_760_000_400_000  # a whole hour
HOUR, STEP = 3_600_000, 900_000
DAY = 24 * HOUR
A, B = 2**64 - 1, 5
NASTY = "'; DROP TABLE prediction; -- \\ \" \n \t \0 {tenant:String} %s é 한국 \\' /* ` $$"
WARNING = Prediction(
    id="disk-1",
    kind="disk",
    name=NASTY,
    labels=(("__name__", "used"), ("mount", NASTY)),
    started_ms=T,
    updated_ms=T,
    ended_ms=None,
    used=0.1 + 0.2,
    limit=1e12,
    eta_ms=T + HOUR,
    earliest_ms=None,
    latest_ms=T + DAY,
    rate_per_h=1.5,
    basis="day",
    is_recurring=False,
    used_query="node_used",
    limit_query="1",
    unit="bytes",
    why_ended="fell",
    falls=3,
    every_ms=DAY,
)


def run(made: int, of: dict[tuple[int, str], float], points: int = 4, model: str = "theta") -> Foreseen:
    """A round: of each signal (fp, kind) so many points of one mean, from the step after `made` on."""
    first = (made // STEP + 1) * STEP
    kinds = tuple(sorted({kind for _, kind in of}))
    n = len(of) * points
    mean = np.repeat(list(of.values()), points).astype(np.float64)
    return Foreseen(
        fp=np.repeat(np.array([fp for fp, _ in of], np.uint64), points),
        kind=np.repeat(np.array([kinds.index(kind) for _, kind in of]), points),
        made=np.full(n, made, np.int64),
        t=np.tile(first + STEP * np.arange(points), len(of)),
        mean=mean,
        lower=mean - 1,
        upper=np.full(n, np.nan),
        level=np.full(n, 0.9),
        model=np.zeros(n, np.int64),
        kinds=kinds,
        models=(model,),
    )


def outcome(made: int, lead: int, fp: int, model: str, **numbers: float) -> Outcomes:
    one: dict[str, Any] = {"points": 4, "error": 1.0, "naive": 2.0, "banded": 4, "covered": 3, "level": 0.95} | numbers
    return Outcomes(
        fp=np.array([fp], np.uint64),
        kind=np.zeros(1, np.int64),
        made=np.array([made]),
        lead=np.array([lead]),
        model=np.zeros(1, np.int64),
        **{name: np.array([value]) for name, value in one.items()},
        kinds=("value",),
        models=(model,),
        runs=np.ones(1, np.int64),
    )


def rows(points: Foreseen) -> list[tuple[int, str, int, float, str]]:
    """(fp, signal, steps after T, mean, model)."""
    return [
        (int(fp), points.kinds[kind], int(t - T) // STEP, float(mean), points.models[model])
        for fp, kind, t, mean, model in zip(points.fp, points.kind, points.t, points.mean, points.model, strict=True)
    ]


def test_of_two_rounds_the_newest_made_by_then_stands_and_the_future_is_the_last_ones(open_store: Open) -> None:
    store = open_store()
    store.write_forecasts(run(T, {(A, "value"): 1.0}), HOUR)
    store.write_forecasts(run(T + 2 * STEP, {(A, "value"): 2.0}, model="ets"), HOUR)
    stood = store.forecasts([A], T, T + 100 * STEP, DAY)
    assert rows(stood) == [
        (A, "value", 1, 1.0, "theta"),
        (A, "value", 2, 1.0, "theta"),
        *((A, "value", step, 2.0, "ets") for step in (3, 4, 5, 6)),
    ]
    assert stood.lower[0] == 0.0
    assert np.isnan(stood.upper).all()
    assert (stood.level == 0.9).all()
    assert rows(store.forecasts([A], T + 3 * STEP, T + 3 * STEP, DAY)) == [(A, "value", 3, 2.0, "ets")]
    assert rows(store.forecasts([A], T + 5 * STEP, T + 9 * STEP, 2 * STEP)) == []  # a round so far back is not asked


def test_signals_of_a_series_and_series_stay_apart_and_a_round_written_twice_is_one(open_store: Open) -> None:
    store = open_store()
    of = {(A, "value"): 1.0, (A, "rate"): 2.0, (B, "value"): 3.0}
    store.write_forecasts(run(T, of, points=1), HOUR)
    store.write_forecasts(run(T, of, points=1), HOUR)
    store.write_forecasts(Foreseen.empty(), HOUR)
    want = [(B, "value", 1, 3.0, "theta"), (A, "rate", 1, 2.0, "theta"), (A, "value", 1, 1.0, "theta")]
    assert rows(store.forecasts(None, T, T + DAY, DAY)) == want
    assert rows(store.forecasts([A], T, T + DAY, DAY)) == want[1:]
    assert rows(store.forecasts([1], T, T + DAY, DAY)) == rows(store.forecasts([], T, T + DAY, DAY)) == []
    assert rows(store.forecast_points(T, T, T, T + DAY)) == want


def test_points_of_chosen_rounds_come_round_by_round(open_store: Open) -> None:
    store = open_store()
    for n in range(3):
        store.write_forecasts(run(T + n * STEP, {(A, "value"): float(n)}), HOUR)
    assert store.forecast_rounds(T, T + DAY) == [T, T + STEP, T + 2 * STEP]
    assert store.forecast_rounds(T + 1, T + STEP) == [T + STEP]
    assert store.forecast_rounds(0, 1) == []
    found = store.forecast_points(T, T + STEP, T + 3 * STEP, T + 4 * STEP)
    assert [(int(at - T) // STEP, row[2], row[3]) for at, row in zip(found.made, rows(found), strict=True)] == [
        (0, 3, 0.0),
        (0, 4, 0.0),
        (1, 3, 1.0),
        (1, 4, 1.0),
    ]


def test_too_many_points_are_refused(open_store: Open) -> None:
    store = open_store()
    store.write_forecasts(run(T, {(A, "value"): 0.0}, points=1001), 400 * DAY)
    store._foresight.rows = 1000
    assert len(store.forecasts(None, T, T + 1000 * STEP, DAY * 400).t) == 1000
    with pytest.raises(TooLarge, match="more than 1,000 points"):
        store.forecasts(None, T, T + 1001 * STEP, DAY * 400)


def test_what_later_rounds_tell_again_ends_soon_the_rest_with_history(open_store: Open) -> None:
    store = open_store(retention_days=15, history_days=400)
    old = (store_now() - 5 * DAY) // STEP * STEP
    store.write_forecasts(run(old, {(A, "value"): 1.0}, points=12), HOUR)
    store._execute("OPTIMIZE TABLE forecast FINAL", {})
    kept = store.forecasts([A], old, old + DAY, DAY)
    assert ((kept.t - old) // STEP).tolist() == list(range(1, 9))  # two intervals of an hour
    store.write_forecasts(run(old - 500 * DAY, {(A, "value"): 1.0}), HOUR)
    store._execute("OPTIMIZE TABLE forecast FINAL", {})
    assert store.forecast_rounds(0, old) == [old]


def store_now() -> int:
    """The engine judges by its own clock what is too old."""
    return int(time.time() * 1000)


def test_outcomes_are_summed_by_signal_model_and_lead_and_a_round_scored_again_counts_once(open_store: Open) -> None:
    store = open_store()
    store.write_outcomes(outcome(T, HOUR, A, "theta", error=9.0))
    store.write_outcomes(outcome(T, HOUR, A, "theta"))
    store.write_outcomes(outcome(T + HOUR, HOUR, A, "theta", error=2.5))
    store.write_outcomes(outcome(T + HOUR, DAY, A, "theta"))
    store.write_outcomes(outcome(T + 2 * HOUR, HOUR, A, "ets", points=0, error=0.0, naive=np.nan))
    store.write_outcomes(outcome(T, HOUR, B, "theta"))
    store.write_outcomes(Outcomes.empty())
    found = store.outcomes(T, T + DAY)
    told = [
        (int(found.fp[i]), found.models[found.model[i]], int(found.lead[i] // HOUR), int(found.runs[i]))
        for i in range(len(found.fp))
    ]
    assert told == [(B, "theta", 1, 1), (A, "ets", 1, 1), (A, "theta", 1, 2), (A, "theta", 24, 1)]
    assert found.error.tolist() == [1.0, 0.0, 3.5, 1.0]
    assert np.isnan(found.naive[1])
    assert found.points.tolist() == [4, 0, 8, 4]
    assert (found.banded[2], found.covered[2]) == (8, 6)
    assert found.made[2] == T + HOUR
    assert store.scored(T, T + HOUR) == {(T, HOUR), (T + HOUR, HOUR), (T + HOUR, DAY)}
    assert len(store.outcomes(T, T + DAY, [B]).fp) == 1
    assert len(store.outcomes(0, 1).fp) == 0
    assert store.scored(0, 1) == set()


def test_a_warning_replaces_itself_and_comes_back_whole(open_store: Open) -> None:
    store = open_store()
    store.write_predictions([])
    later = replace(WARNING, updated_ms=T + HOUR, used=float("1e300"), is_recurring=True, earliest_ms=T + 1)
    store.write_predictions([WARNING])
    assert store.predictions(T, T) == [WARNING]
    store.write_predictions([later])
    assert store.predictions(T, T + DAY) == [later]
    store.write_predictions([replace(WARNING, updated_ms=T + 1)])  # came late: the one updated last stays
    assert store.predictions(T, T + DAY) == [later]


def test_warnings_are_found_by_the_time_they_stood(open_store: Open) -> None:
    store = open_store()
    ended = replace(WARNING, id="b", started_ms=T - DAY, ended_ms=T - HOUR)
    store.write_predictions([WARNING, ended, replace(WARNING, id="c", started_ms=T + HOUR)])

    def found(start: int, end: int, is_open: bool | None = None, limit: int = 10) -> list[str]:
        return [p.id for p in store.predictions(start, end, is_open, limit)]

    assert found(T - DAY, T + DAY) == ["c", "disk-1", "b"]
    assert found(T - DAY, T) == ["disk-1", "b"]
    assert found(T - HOUR, T - 1) == ["b"]
    assert found(T, T) == ["disk-1"]
    assert found(T - DAY, T + DAY, True) == ["c", "disk-1"]
    assert found(T - DAY, T + DAY, False) == ["b"]
    assert found(T - DAY, T + DAY, None, 1) == ["c"]


def test_warnings_are_found_by_kind_labels_and_id_however_many_newer_ones_there_are(open_store: Open) -> None:
    store = open_store()
    of_db = replace(WARNING, id="old", kind="memory", labels=(("host", "db-1"), ("n", NASTY)), started_ms=T - DAY)
    many = [replace(WARNING, id=f"d{i}", started_ms=T + i, labels=(("host", f"web-{i}"),)) for i in range(5)]
    store.write_predictions([of_db, *many])

    def found(kinds: set[str], *matchers: Matcher) -> list[str]:
        return [p.id for p in store.predictions(0, T + DAY, None, 2, kinds, matchers)]

    assert found(set()) == ["d4", "d3"]
    assert found({"memory", "'"}) == ["old"]
    assert found({"disk"}, Matcher("host", "=~", "web-[01]")) == ["d1", "d0"]
    assert found(set(), Matcher("n", "=", NASTY)) == ["old"]
    assert found(set(), Matcher("host", "!~", "web-.*")) == ["old"]
    assert found({"memory"}, Matcher("host", "=", "web-1")) == []
    assert store.prediction("old") == of_db
    assert store.prediction("olD") is store.prediction("' OR 1") is None
    assert open_store(tenant="b").prediction("old") is None


def test_tenants_do_not_see_each_other(open_store: Open) -> None:
    ours, theirs = open_store(), open_store(tenant="b")
    ours.write_forecasts(run(T, {(A, "value"): 1.0}), HOUR)
    ours.write_outcomes(outcome(T, HOUR, A, "theta"))
    ours.write_predictions([WARNING])
    assert theirs.forecast_rounds(0, T + DAY) == []
    assert len(theirs.forecasts(None, T, T + DAY, DAY).t) == len(theirs.outcomes(T, T + DAY).fp) == 0
    assert theirs.scored(T, T) == set()
    assert theirs.predictions(T, T) == []


@pytest.mark.parametrize("end", [10_413_791_999_999, 253_402_300_799_000, 2**62])
def test_times_beyond_those_of_the_store_mean_all_that_there_is(open_store: Open, end: int) -> None:
    store = open_store()
    store.write_forecasts(run(T, {(A, "value"): 1.0}), HOUR)
    store.write_outcomes(outcome(T, HOUR, A, "theta"))
    store.write_predictions([WARNING, replace(WARNING, id="b", started_ms=T - DAY, ended_ms=T - HOUR)])
    for start in (-(2**62), 0):
        assert len(store.forecasts([A], start, end, DAY).t) == 4
        assert len(store.forecast_points(start, end, start, end).t) == 4
        assert store.forecast_rounds(start, end) == [T]
        assert len(store.outcomes(start, end).fp) == 1
        assert store.scored(start, end) == {(T, HOUR)}
        assert len(store.predictions(start, end)) == 2
