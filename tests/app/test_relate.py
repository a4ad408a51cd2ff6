from __future__ import annotations

import numpy as np
import pytest

from airis_mon.app.analytics import Points
from airis_mon.app.explore import AskedSeasons
from airis_mon.app.relate import Relation, Shape, correlated, similar
from airis_mon.errors import InputError
from airis_mon.series.labels import canonical

NOON, STEP = 1_772_366_400_000, 60_000


def nobody_leaves():
    pass


def relation(**asked):
    options = {
        "seasons": AskedSeasons(points=()),
        "basis": "changes",
        "control": "bh",
        "max_lag": 10,
        "alpha": 0.05,
        "limit": 20,
        "labels": (),
        "lang": "en",
        **asked,
    }
    return Relation(**options)


def fleet(count=20, n=400):
    """A target that follows series 3 five minutes later, and series that have nothing to do with it."""
    value = np.random.default_rng(0).normal(size=(count, n)).cumsum(axis=1)
    target = np.roll(value[3], 5) + np.random.default_rng(1).normal(scale=0.3, size=n)
    t = NOON + np.arange(n) * STEP
    return [Points("target", t, target), *(Points(f"s{i}", t, v) for i, v in enumerate(value))]


def test_the_series_that_moves_first_is_ranked_first_with_its_lag():
    labels = tuple(canonical({"__name__": "m", "i": str(i)}.items()) for i in range(20))
    found = correlated(fleet(), relation(labels=labels), nobody_leaves)
    assert (found.compared, found.tested, found.found) == (20, 20, 1)
    first = found.correlations[0]
    assert (first.metric, first.labels, first.lag, first.lag_s, first.sign) == ("s3", {"i": "3"}, 5, 300.0, 1)
    assert first.found
    assert first.q < 0.001
    assert found.explanation.startswith("1 of 20 series moves with target: s3 (correlation 0.")
    assert "5 min earlier" in found.explanation


def test_all_are_counted_and_no_more_than_the_limit_are_given():
    found = correlated(fleet(), relation(limit=2), nobody_leaves)
    assert len(found.correlations) == 2
    assert found.tested == 20


def test_series_off_each_other_s_times_meet_on_one_grid():
    points = fleet()
    shifted = [points[0], *(Points(p.name, p.t + 7_000, p.value) for p in points[1:])]
    found = correlated(shifted, relation(), nobody_leaves)
    assert (found.correlations[0].metric, found.correlations[0].lag) == ("s3", 5)


def test_what_could_not_be_tested_is_counted_by_its_reason():
    points = fleet()
    points = [*points[:3], Points("flat", points[0].t, np.ones(400)), Points("none", np.empty(0, int), np.empty(0))]
    found = correlated(points, relation(), nobody_leaves)
    assert found.left_out == {"constant": 1, "few": 1}
    assert (found.compared, found.tested) == (4, 2)


def test_a_series_sampled_too_rarely_does_not_set_the_grid_for_all():
    points = fleet()
    rare = Points("rare", NOON + np.arange(8) * 3_000_000, np.arange(8.0))
    found = correlated([*points, rare], relation(), nobody_leaves)
    assert (found.correlations[0].metric, found.correlations[0].lag, found.grid.step_s) == ("s3", 5, 60.0)
    assert (found.compared, found.left_out, found.why.get("grid")) == (21, {"rare": 1}, None)


def test_the_series_whose_steps_all_take_is_named():
    points = fleet()
    slow = Points("slow", points[0].t[::4], np.arange(100.0) ** 2)
    found = correlated([*points, slow], relation(), nobody_leaves)
    said = "240 s, the step of slow, which is sampled most rarely; the target has a sample every 60 s"
    assert (found.grid.step_s, found.why["grid"]) == (240.0, said)


def test_a_series_left_out_before_is_counted_by_that_reason():
    points = fleet(5)
    huge = Points("huge", np.empty(0, np.int64), np.empty(0), why="huge")
    assert correlated([*points, huge], relation(), nobody_leaves).left_out == {"huge": 1}


def test_nothing_found_is_said_in_words():
    points = [p for p in fleet() if p.name != "s3"]
    found = correlated(points, relation(), nobody_leaves)
    assert found.found == 0
    assert found.explanation.startswith("None of 19 series moves with target by more than chance.")
    assert "a common trend or day counts for nothing" in found.explanation


@pytest.mark.parametrize(("value", "said"), [(np.ones(50), "is 1 all the time"), (np.arange(5.0), "has 5 values")])
def test_a_target_that_nothing_can_move_with_is_refused(value, said):
    t = NOON + np.arange(len(value)) * STEP
    with pytest.raises(InputError, match=said):
        correlated([Points("m", t, value), Points("o", t, value)], relation(), nobody_leaves)


def shape(points=40, **asked):
    options = {
        "start": None,
        "index": None,
        "is_sent": False,
        "limit": 3,
        "least": 0.7,
        "has_profile": False,
        "lang": "en",
        **asked,
    }
    return Shape(points=points, **options)


def bumps(n=1000, at=(200, 600, 960)):
    value = np.random.default_rng(0).normal(scale=0.2, size=n)
    bump = 5 * np.sin(np.linspace(0, np.pi, 40)) ** 2 * np.linspace(0, 1, 40)
    for i, place in enumerate(at):
        value[place : place + 40] += (i + 1) * bump
    return Points("requests", NOON + np.arange(n) * STEP, value)


def test_the_last_points_are_looked_for_in_the_past():
    found = similar([bumps()], shape(), nobody_leaves)
    assert (found.shape.index, found.shape.start) == (960, "2026-03-02T04:00:00.000Z")
    assert {m.index for m in found.matches} == {200, 600}
    best = found.matches[0]
    assert (best.start, best.end) == ("2026-03-01T22:00:00.000Z", "2026-03-01T22:39:00.000Z")
    assert best.correlation == pytest.approx(1 - best.distance**2 / 80)
    assert found.explanation.startswith("The shape is found again, most alike at 2026-03-01 22:00 UTC in requests")


@pytest.mark.parametrize("asked", [{"index": 200}, {"start": NOON + 200 * STEP}])
def test_a_shape_within_the_series_is_named_by_its_place_or_time(asked):
    found = similar([bumps()], shape(**asked), nobody_leaves)
    assert found.shape.index == 200
    assert {m.index for m in found.matches} == {600, 960}


def test_a_shape_sent_along_is_looked_for_in_all_series():
    one = bumps()
    sent = Points("", None, one.value[600:640])
    found = similar([sent, one, Points("other", None, one.value[500:800])], shape(is_sent=True), nobody_leaves)
    assert found.shape.index is None
    assert {(m.metric, m.index) for m in found.matches[:2]} == {("requests", 600), ("other", 100)}
    assert found.matches[0].distance == pytest.approx(0, abs=1e-6)


def test_what_is_less_alike_is_left_out_and_said_so():
    found = similar([bumps(at=(960,))], shape(least=0.95), nobody_leaves)
    assert found.matches == []
    assert found.explanation == "The shape is not found again: no other window correlates with it by 0.95 or more."


def test_the_profile_tells_what_comes_again_and_what_stands_alone():
    found = similar([bumps(at=(200, 600))], shape(has_profile=True, limit=2), nobody_leaves)
    assert abs(found.motifs[0].nearest - found.motifs[0].index - 400) <= 1
    assert len(found.discords) == 2
    assert "comes again most exactly begins at" in found.explanation


def test_a_profile_of_too_many_points_says_so_instead():
    value = np.random.default_rng(0).normal(size=20_001)
    found = similar([Points("m", None, value)], shape(has_profile=True), nobody_leaves)
    assert found.motifs is None
    assert found.why["motifs"] == "takes at most 20,000 points, has 20,001; narrow the time"


def test_short_gaps_are_drawn_through_and_long_ones_left_out():
    whole = bumps()
    keep = np.setdiff1d(np.arange(1000), [*range(210, 212), *range(610, 630)])
    found = similar([Points("m", whole.t[keep], whole.value[keep])], shape(), nobody_leaves)
    assert found.grid.points == 1000
    assert 200 in {m.index for m in found.matches}
    assert not {m.index for m in found.matches} & set(range(571, 630))


@pytest.mark.parametrize(
    ("points", "asked", "said"),
    [
        (Points("m", None, np.ones(100)), {}, "the shape is flat"),
        (Points("m", None, np.arange(30.0)), {}, "does not lie within the 30"),
        (bumps(), {"index": 990}, "does not lie within the 1,000"),
        (Points("m", None, np.arange(100.0)), {"start": NOON}, "no timestamps"),
    ],
)
def test_a_shape_that_is_none_is_refused(points, asked, said):
    with pytest.raises(InputError, match=said):
        similar([points], shape(**asked), nobody_leaves)
