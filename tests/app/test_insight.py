"""Scores, expected values and bands as PromQL sees them, over a store in memory and the real detector."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.app.detection import Detection
from airis_mon.app.engine import Engine
from airis_mon.app.exposition import score_labels
from airis_mon.app.ground import now_ms
from airis_mon.app.history import Curve, SignalHistory
from airis_mon.app.insight import COMPUTED, Insight, labels_of, latest, peaks
from airis_mon.app.wiring import engine_of
from airis_mon.config.settings import load
from airis_mon.errors import QueryCancelled, QueryError, QueryTimeout, TooLarge
from airis_mon.query.engine import Deadline, QueryEngine
from airis_mon.query.values import Vector
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import parse_selector
from airis_mon.series.steps import Steps
from airis_mon.store.base import SeriesRow

STEP = 15_000
MINUTE = 60_000
QUIET = [10 + float(np.sin(i / 3)) for i in range(240)]
Run = Callable[[Detection], Detection]


class Place:
    """A site with a process on it, and PromQL over both."""

    def __init__(self, site: Any, detection: Detection, **limits: int) -> None:
        self.site, self.detection = site, detection
        self.history = SignalHistory(detection, site.store, site.snapshots)
        self.insight = Insight(self.history, site.store, site.clock, **limits)
        self.engine = QueryEngine(self.insight)

    def send(self, labels: dict[str, str], t: int, values: Sequence[float]) -> int:
        """Commits a run of samples; the fingerprint of its series."""
        catalogue, store = self.detection.catalogue, self.site.store
        sid = catalogue.intern(canonical(labels.items()))
        fp = int(catalogue.fp[sid])
        batch = Batch(np.full(len(values), sid, np.int32), t + np.arange(len(values)) * STEP, np.array(values, float))
        store.known[fp] = SeriesRow(fp, catalogue.labels(sid), int(batch.t[-1]))
        store.write(catalogue, batch, "")
        catalogue.observe(batch)
        self.site.clock.now = max(self.site.clock.now, int(batch.t[-1]))
        self.detection.feed(batch)
        assert self.detection.settle(180)  # a first run compiles kernels
        return fp

    def known(self, *series: dict[str, str]) -> int:
        """An hour of each series and a snapshot: from here on, what is redrawn is what was live. When the next is."""
        start = self.site.clock.now
        for labels in series:
            self.send(labels, start, QUIET)
        self.detection.snapshot()
        return start + len(QUIET) * STEP

    def ask(self, text: str, steps: Steps) -> Vector:
        answer = self.engine.query(text, steps, Deadline.after(60)).value
        assert isinstance(answer, Vector)
        return answer

    def curve(self, fp: int, start: int, end: int) -> Curve:
        return self.history.curve(fp, None, start, end)


@pytest.fixture
def place(site: Any, running: Run) -> Place:
    return Place(site, running(site.detection()))


LOAD = {"__name__": "load", "instance": "a", "job": "node"}


def test_bands_are_those_of_the_curve_and_of_the_anomaly(place: Place) -> None:
    start = place.known(LOAD)
    fp = place.send(LOAD, start, [*QUIET[:80], 100.0, *QUIET[:20]])
    (anomaly,) = [a for a in place.site.told if a.value > 50]
    steps = Steps(start, STEP, 101)
    curve = place.curve(fp, start, steps.end)
    for name, drawn, said in (
        ("airis_actual", curve.value, anomaly.value),
        ("airis_expected", curve.expected, anomaly.expected),
        ("airis_expected_lower", curve.lower, anomaly.lower),
        ("airis_expected_upper", curve.upper, anomaly.upper),
    ):
        found = place.ask(name, steps)
        (labels,) = found.labels
        own = {"for": "load", "signal": "value", "instance": "a", "job": "node"}
        assert dict(labels) == {"__name__": name, **own}
        np.testing.assert_array_equal(found.value[0], drawn)
        assert found.value[0][80] == said


def test_a_score_is_the_highest_of_the_ten_minutes_before_each_step(place: Place) -> None:
    start = place.known(LOAD)
    fp = place.send(LOAD, start, [*QUIET[:80], 100.0, *QUIET[:120]])
    (anomaly,) = [a for a in place.site.told if a.value > 50]
    steps = Steps(start + 11 * MINUTE, 7_000, 300)
    curve = place.curve(fp, start, steps.end)
    found = place.ask('aiops_anomaly_score{for="load"}', steps)
    for step, value in zip(steps.t.tolist(), found.value[0].tolist(), strict=True):
        recent = (curve.t >= (step // MINUTE - 10) * MINUTE) & (curve.t <= step)
        assert value == curve.score[recent].max()
    assert found.value.max() == anomaly.score
    above = steps.t[(found.value[0] >= 0.8)]
    assert above.min() <= anomaly.t + 7_000
    assert 10 * MINUTE - 7_000 <= above.max() - anomaly.t <= 11 * MINUTE


def test_an_alert_of_five_minutes_fires_on_one_sample(place: Place) -> None:
    start = place.site.clock.now
    place.send(LOAD, start, [*QUIET, 100.0, *QUIET[:60]])
    found = place.ask("min_over_time((aiops_anomaly_score > bool 0.8)[5m:15s])", Steps(start + 200 * STEP, STEP, 100))
    assert found.value.max() == 1


def test_a_band_lasts_for_the_look_back_and_ends_with_its_series(place: Place) -> None:
    start = place.site.clock.now
    place.send(LOAD, start, QUIET)
    last = start + 239 * STEP
    found = place.ask("airis_expected", Steps(last, 1000, 310))
    assert found.has[0].tolist() == [i < 300 for i in range(310)]
    assert len(set(found.value[0][:300].tolist())) == 1
    seen = place.ask("timestamp(airis_expected)", Steps.at(last + MINUTE))
    assert seen.value[0, 0] == last / 1000
    place.send(LOAD, last + STEP, [float(STALE)])
    found = place.ask("airis_expected", Steps(last, 1000, 310))
    assert found.has[0].tolist() == [i < 15 for i in range(310)]
    assert place.ask("aiops_anomaly_score", Steps(last + 2 * STEP, 1, 2)).has.all()  # what it was is still so


def test_range_functions_see_a_sample_of_each_of_the_signal(place: Place) -> None:
    start = place.site.clock.now
    fp = place.send(LOAD, start, [*QUIET, 100.0, *QUIET[:20]])
    end = start + 260 * STEP
    curve = place.curve(fp, end - 20 * MINUTE + 1, end)
    at = Steps.at(end)
    expected = curve.expected
    assert place.ask("max_over_time(airis_expected[20m])", at).value[0, 0] == expected.max()
    assert place.ask("count_over_time(airis_expected[20m])", at).value[0, 0] == len(expected) == 80
    assert place.ask("avg_over_time(airis_expected[20m])", at).value[0, 0] == pytest.approx(expected.mean())
    assert place.ask("quantile_over_time(0.5, airis_expected[20m])", at).value[0, 0] == np.median(expected)
    assert place.ask("max_over_time(aiops_anomaly_score[20m])", at).value[0, 0] == curve.score.max()
    raw = place.engine.query("airis_expected[20m]", at, Deadline.after(60)).value
    np.testing.assert_array_equal(raw.t, curve.t)
    np.testing.assert_array_equal(raw.value, expected)


def test_a_line_beside_its_band_is_one_expression(place: Place) -> None:
    start = place.site.clock.now
    place.send(LOAD, start, [*QUIET, 100.0])
    over = "max without (signal, for) (aiops_anomaly_score) > 0.8"
    (labels,) = place.ask(over, Steps(start + 240 * STEP, 1, 2)).labels
    assert dict(labels) == {"instance": "a", "job": "node"}


SERIES = (
    {"__name__": "load", "instance": "a"},
    {"__name__": "load", "instance": "b"},
    {"__name__": "heat", "instance": "a", "for": "x", "signal": "y"},
    {"__name__": "wet", "instance": "a", "for": "x", "exported_for": "z"},
    {"__name__": "hits_total", "instance": "a"},
)


MEANT = {
    "airis_expected": 5,
    'airis_expected{for="load"}': 2,
    'airis_expected{for="load", instance="a"}': 1,
    'airis_expected{for=~"lo.*|heat"}': 3,
    'airis_expected{for!="load"}': 3,
    'airis_expected{for=~"lo.*", for!~".*x"}': 2,
    'airis_expected{signal="rate"}': 1,
    'airis_expected{signal!="rate"}': 4,
    'airis_expected{exported_for="x", exported_signal="y"}': 1,
    'airis_expected{exported_exported_for="x", exported_for="z"}': 1,
    'airis_expected{exported_for=""}': 3,
    'airis_expected{for=""}': 0,
    '{__name__="airis_expected", instance="b"}': 1,
    '{__name__="airis_expected", __name__!="airis_expected"}': 0,
    '{__name__=~"airis_expected"}': 0,
}


def test_matchers_mean_the_labels_that_are_seen(place: Place) -> None:
    start = place.site.clock.now
    for labels in SERIES:
        rises = np.cumsum(QUIET) if labels["__name__"] == "hits_total" else np.array(QUIET)
        place.send(labels, start, rises.tolist())
    end = start + 239 * STEP
    found = {selector: place.ask(selector, Steps.at(end)).labels for selector in MEANT}
    assert {selector: len(labels) for selector, labels in found.items()} == MEANT
    for selector, labels in found.items():
        rows = place.insight.series(parse_selector(selector), start, end)
        assert (MEANT[selector] == 0) or {r.labels for r in rows} == set(labels)
    everything = parse_selector("airis_expected")
    assert {r.last_seen for r in place.insight.series(everything)} == {end}
    assert len(place.insight.series(everything, limit=3)) == 3
    assert place.insight.series(everything, end + 1, end + 2) == []


def test_names_and_values_of_labels_are_listed(place: Place) -> None:
    start = place.site.clock.now
    for labels in SERIES:
        place.send(labels, start, QUIET)
    insight, end = place.insight, start + 239 * STEP
    scores = parse_selector('aiops_anomaly_score{for=~"load|wet"}')
    assert insight.label_values("for", scores, start, end) == ["load", "wet"]
    assert insight.label_values("instance", scores, start, end, limit=1) == ["a"]
    assert insight.label_values("for", scores, end + 1, end + 2) == []
    assert insight.label_names(parse_selector('airis_expected{for="load"}')) == [
        "__name__",
        "for",
        "instance",
        "signal",
    ]
    stored = {"heat", "hits_total", "load", "wet"}
    assert set(insight.label_values("__name__")) == stored | set(COMPUTED)
    assert set(insight.label_values("__name__", parse_selector('{instance="a"}'))) == stored
    assert insight.label_values("instance") == ["a", "b"]
    assert insight.label_names() == ["__name__", "exported_for", "for", "instance", "signal"]


def test_own_labels_of_our_names_keep_their_values(place: Place) -> None:
    labels = labels_of("airis_expected", canonical(SERIES[3].items()), "value")
    assert dict(labels) == {
        "__name__": "airis_expected",
        "for": "wet",
        "signal": "value",
        "instance": "a",
        "exported_for": "z",
        "exported_exported_for": "x",
    }
    assert set(labels) >= set(score_labels(canonical(SERIES[3].items()), "value"))


def test_stored_scores_are_reached_by_a_pattern_only(place: Place) -> None:
    start = place.site.clock.now
    place.send({"__name__": "aiops_anomaly_score", "for": "load", "job": "other"}, start, [0.5] * 3)
    place.send(LOAD, start, QUIET)
    at = Steps(start + 239 * STEP, 1, 2)
    assert [dict(labels)["job"] for labels in place.ask("aiops_anomaly_score", at).labels] == ["node"]
    stored = place.engine.query('{__name__=~"aiops_anomaly_score"}[2h]', Steps.at(at.end), Deadline.after(9)).value
    assert [dict(labels)["job"] for labels in stored.labels] == ["other"]


def test_too_many_signals_are_refused_with_the_remedy(site: Any, running: Run) -> None:
    place = Place(site, running(site.detection()), most_scores=1, most_bands=1)
    start = site.clock.now
    for instance in "abc":
        place.send(LOAD | {"instance": instance}, start, QUIET)
    steps = Steps(start, STEP, 200)
    with pytest.raises(QueryError, match=r'airis_expected of 3 signals .* at most 1 at once; name .*\{for="\.\.\."'):
        place.ask("airis_expected", steps)
    with pytest.raises(QueryError, match="at most 1 at once"):
        place.ask("sum(aiops_anomaly_score)", steps)
    assert len(place.ask('airis_expected{instance="a"}', steps)) == 1
    assert len(place.ask("aiops_anomaly_score", Steps.at(site.clock.now))) == 3  # the present needs no drawing


def test_the_present_is_what_the_curve_says_and_draws_nothing(place: Place) -> None:
    heights = {"a": 100.0, "b": 10.5, "c": 11.8}
    start = place.known(*(LOAD | {"instance": i} for i in heights))
    for instance, height in heights.items():
        place.send(LOAD | {"instance": instance}, start, [height, *QUIET[:10]])
    now = place.site.clock.now
    live = place.ask("aiops_anomaly_score", Steps.at(now))
    assert place.insight.curves.drawn == 0
    drawn = place.ask("aiops_anomaly_score", Steps(now - STEP, STEP, 2))
    assert place.insight.curves.drawn == 3
    assert live.labels == drawn.labels
    np.testing.assert_array_equal(live.value[:, 0], drawn.value[:, 1])
    assert live.value.max() >= 0.8
    place.site.clock.now = later = now + 12 * MINUTE
    assert not len(place.ask("aiops_anomaly_score", Steps.at(later)).present())


def test_after_a_restart_nothing_above_the_line_is_forgotten(site: Any, running: Run) -> None:
    first = Place(site, running(site.detection()))
    start = first.known(LOAD, LOAD | {"instance": "b"})
    first.send(LOAD, start, [100.0, *QUIET[:10]])
    first.send(LOAD | {"instance": "b"}, start, QUIET[:11])
    steps = Steps(start, STEP, 11)
    scores, bands = (first.ask(name, steps) for name in ("aiops_anomaly_score", "airis_expected_upper"))
    first.detection.stop()

    again = running(site.detection())
    assert again.settle(180)
    second = Place(site, again)
    for name, before in (("aiops_anomaly_score", scores), ("airis_expected_upper", bands)):
        after = second.ask(name, steps)
        assert after.labels == before.labels
        np.testing.assert_array_equal(after.value, before.value)
    now = second.ask("aiops_anomaly_score", Steps.at(steps.end))
    assert now.value[:, 0].max() == scores.value[:, -1].max() > 0.8
    assert now.value[:, 0].min() < 0.8
    shown = again.peaks.highest(site.clock.now, again.bank.size)  # what GET /metrics shows
    assert shown.max() == now.value[:, 0].max()


def test_a_query_that_is_cancelled_draws_no_more(place: Place) -> None:
    place.send(LOAD, place.site.clock.now, QUIET)
    deadline = Deadline.after(60)
    leaf_checks = 0

    def check() -> None:
        nonlocal leaf_checks
        leaf_checks += 1
        deadline.cancelled.set()
        deadline.check()

    with pytest.raises(QueryCancelled):
        list(place.insight.curves.of([(1, "value")], 0, 1, check, has_bands=True))
    assert (leaf_checks, place.insight.curves.drawn) == (1, 0)


@pytest.mark.parametrize("call", ["series", "grid", "samples"])
@pytest.mark.parametrize("ends", [QueryCancelled, QueryTimeout])
def test_the_store_hears_of_the_end_of_a_query(
    place: Place, call: str, ends: type[Exception], monkeypatch: Any
) -> None:
    fp = place.send(LOAD, place.site.clock.now, QUIET)
    whole = getattr(place.site.store, call)

    def asked(*args: Any) -> Any:
        *given, timeout_s, check = args
        assert timeout_s == 2.5
        check()
        return whole(*given)

    def check() -> None:
        raise ends("over")

    monkeypatch.setattr(place.site.store, call, asked)
    now = place.site.clock.now
    given: dict[str, tuple[Any, ...]] = {
        "series": ((), None, None, 10),
        "grid": ([fp], "last", Steps.at(now), MINUTE, ()),
        "samples": ([fp], now - MINUTE, now, None),
    }
    assert getattr(place.insight, call)(*given[call], 2.5, lambda: None)
    with pytest.raises(ends):
        getattr(place.insight, call)(*given[call], 2.5, check)


def test_what_cannot_be_held_is_refused(place: Place) -> None:
    start = place.known(LOAD)

    def refuse(*_: Any) -> Any:
        raise TooLarge("more than 11000000 samples are asked for; ask for fewer series or a shorter time")

    place.site.store.samples = refuse
    with pytest.raises(QueryError, match=r"too many samples into memory: more than .* shorter time"):
        place.ask("airis_expected", Steps(start - MINUTE, STEP, 3))


def test_lines_of_one_panel_are_drawn_once(place: Place) -> None:
    start = place.site.clock.now
    place.send(LOAD, start, QUIET)
    steps = Steps(start, STEP, 240)
    for name in ("airis_expected", "airis_expected_lower", "airis_expected_upper"):
        place.ask(name, steps)
    assert place.insight.curves.drawn == 1


# --- the whole engine -------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def whole(folder: Path, clock: Callable[[], int]) -> AsyncIterator[tuple[Engine, QueryEngine]]:
    """An engine on its own store, started, at a time of its own; and PromQL over it."""
    engine = engine_of(load(Path(os.devnull), {}, {"data_dir": str(folder)}).settings, collect=False)
    engine.parts.clock = engine.parts.detection._now = clock
    await engine.start()
    try:
        yield engine, QueryEngine(Insight(engine.parts.history, engine.parts.store, clock))
    finally:
        await engine.stop()


async def pushed(engine: Engine, clock: Any, values: Sequence[float]) -> None:
    """Sends a run of samples that ends now, and waits until they are judged."""
    items = []
    for value in values:
        clock.now += STEP
        labels = {"instance": "a"}
        items.append({"metricName": "load", "value": value, "labels": labels, "timestamp": clock.now})
    before = engine.parts.detection.counts.samples
    receipt = await engine.ingest("json", json.dumps(items).encode(), "application/json")
    assert receipt.samples == len(values)
    async with asyncio.timeout(180):  # a first run compiles kernels
        while engine.parts.detection.counts.samples < before + len(values):  # noqa: ASYNC110  a thread judges
            await asyncio.sleep(0.01)
    assert await asyncio.to_thread(engine.parts.detection.settle, 180)


@pytest.mark.slow
async def test_promql_says_what_bands_and_anomalies_say_also_after_a_restart(tmp_path: Path, site: Any) -> None:
    clock = site.clock
    clock.now = now_ms() // MINUTE * MINUTE - 3 * 60 * MINUTE
    names = ("airis_actual", "airis_expected", "airis_expected_lower", "airis_expected_upper", "aiops_anomaly_score")
    async with whole(tmp_path, clock) as (engine, promql):
        await pushed(engine, clock, QUIET)
        await asyncio.to_thread(engine.parts.detection.snapshot)
        start = clock.now + STEP
        await pushed(engine, clock, [*QUIET[:80], 100.0, *QUIET[:40]])
        steps = Steps(start, STEP, 121)
        (anomaly,) = [a for a in await engine.anomalies((), None, start, clock.now) if a.value == 100]
        bands = await engine.bands(anomaly.fp, None, start, clock.now)
        before = {n: promql.query(f'{n}{{for="load"}}', steps, Deadline.after(60)).value for n in names}
        actual, expected, lower, upper, score = (v.value[0] for v in before.values() if isinstance(v, Vector))
        np.testing.assert_array_equal(bands.t, steps.t)
        np.testing.assert_array_equal(actual, bands.value)
        for ours, theirs in ((expected, bands.expected), (lower, bands.lower), (upper, bands.upper)):
            np.testing.assert_array_equal(ours, theirs)
        assert (expected[80], lower[80], upper[80]) == (anomaly.expected, anomaly.lower, anomaly.upper)
        assert score.max() == bands.score.max() == anomaly.score
        np.testing.assert_array_equal(np.flatnonzero(score >= 0.8), np.arange(80, 121))
        over = promql.query("max_over_time(aiops_anomaly_score[1h])", Steps.at(clock.now), Deadline.after(60)).value
        assert isinstance(over, Vector)
        assert over.value[0, 0] == anomaly.score
    async with whole(tmp_path, clock) as (engine, promql):
        async with asyncio.timeout(180):
            while not len(engine.parts.detection.watch.slots.held()):  # noqa: ASYNC110  restored by a thread
                await asyncio.sleep(0.01)
        for name, was in before.items():
            now = promql.query(f'{name}{{for="load"}}', steps, Deadline.after(60)).value
            assert isinstance(now, Vector)
            assert isinstance(was, Vector)
            assert now.labels == was.labels
            np.testing.assert_array_equal(now.value, was.value)


# --- arithmetic -------------------------------------------------------------------------------------------------------

TIMES = st.lists(st.integers(0, 40 * MINUTE), max_size=30, unique=True).map(sorted)
ENDS = st.lists(st.integers(-MINUTE, 60 * MINUTE), min_size=1, max_size=20).map(sorted)


@given(TIMES, ENDS, st.randoms(use_true_random=False))
def test_peaks_are_those_of_each_window(times: list[int], ends: list[int], random: Any) -> None:
    score = [random.random() for _ in times]
    value, has, at = peaks(np.array(times, np.int64), np.array(score), np.array(ends, np.int64))
    for i, end in enumerate(ends):
        inside = [(t, s) for t, s in zip(times, score, strict=True) if (end // MINUTE - 10) * MINUTE <= t <= end]
        assert has[i] == bool(inside)
        if inside:
            assert (value[i], at[i]) == (max(s for _, s in inside), inside[-1][0])
        else:
            assert np.isnan(value[i])


@given(TIMES, TIMES, ENDS, st.integers(1, 10 * MINUTE))
def test_the_latest_is_that_of_an_instant_selector(
    times: list[int], ended: list[int], ends: list[int], window: int
) -> None:
    value = [float("nan") if t % 5 == 0 else float(t) for t in times]
    found = latest(
        *(np.array(c, d) for c, d in ((times, np.int64), (value, float), (ended, np.int64))), np.array(ends), window
    )
    for i, end in enumerate(ends):
        known = [t for t in times if t <= end and t % 5]
        stops = [t for t in ended if t <= end]
        is_there = bool(known) and known[-1] > end - window and (not stops or stops[-1] < known[-1])
        assert found[1][i] == is_there
        if is_there:
            assert (found[0][i], found[2][i]) == (known[-1], known[-1])
