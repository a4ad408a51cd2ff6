"""Groups of rules on series in memory, at moments that the test names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import structlog

from airis_mon.app.evaluate import meant, with_markers
from airis_mon.correlate.rules import Written
from airis_mon.errors import InputError, QueryCancelled, QueryError, QueryTimeout, Refusal, StoreBusy
from airis_mon.series.batch import STALE, empty_batch, is_stale
from airis_mon.series.steps import Steps
from tests.app.memory import STEP, T0, Room, group_of, seen

NONE = None


DOUBLE = """
- record: twice
  expr: 2 * a
  labels: {kind: made}
"""
HIGH = """
- alert: High
  expr: a > 10
  for: 30s
  annotations:
    summary: "{{ $labels.x }} at {{ $value }}"
"""


# --- recording -------------------------------------------------------------------------------------------------------


def test_a_recording_rule_stores_its_series_at_the_moment_of_evaluation() -> None:
    room = Room(DOUBLE)
    room.memory.put('a{x="1"}', 1)
    room.memory.put('a{x="2"}', 5)
    room.go(0)
    assert room.stored("twice") == {"kind=made,x=1": {0: 2}, "kind=made,x=2": {0: 10}}
    (run,) = room.run.rules
    assert (run.health, run.last_error, run.last_evaluation) == ("ok", "", T0)
    assert (room.run.evaluations, room.run.failures, room.run.last_evaluation) == (1, 0, T0)


def test_a_block_of_steps_is_asked_once_and_stored_once() -> None:
    room = Room(DOUBLE)
    room.memory.put("a", 1, 2, 3)
    room.go(0, 3)
    assert room.asked == [("2 * a", Steps(T0, STEP, 3))]
    assert room.stored("twice") == {"kind=made": {0: 2, 1: 4, 2: 6}}
    assert len(room.memory.writes) == 1
    assert room.run.evaluations == 3


def test_a_series_that_ends_is_marked_once() -> None:
    room = Room("""
- record: high
  expr: a > 2
""")
    room.memory.put('a{x="1"}', 3, 1, 1, 4)
    room.memory.put('a{x="2"}', 3, 3, 3, 3)
    for step in range(4):
        room.go(step)
    assert room.stored("high", x="1") == {"": {0: 3, 1: "end", 3: 4}}
    assert room.stored("high", x="2") == {"": {0: 3, 1: 3, 2: 3, 3: 3}}


def test_markers_stand_where_a_series_is_no_more_within_a_block_and_between_blocks() -> None:
    labels = tuple((("__name__", name),) for name in "abc")
    has = np.array([[True, False, True], [False, False, False], [True, True, False]])
    made, left = with_markers(Written(labels, np.ones((3, 3)), has), (labels[1], (("__name__", "gone"),)))
    assert made.labels == (*labels, (("__name__", "gone"),))
    assert is_stale(made.value.copy()).tolist() == [
        [False, True, False],
        [True, False, False],
        [False, False, True],
        [True, False, False],
    ]
    assert made.has.tolist() == [[True, True, True], [True, False, False], [True] * 3, [True, False, False]]
    assert left == (labels[0],)


def test_no_step_marks_nothing() -> None:
    nothing = Written((), np.empty((0, 0)), np.empty((0, 0), bool))
    assert with_markers(nothing, ((("__name__", "a"),),)) == (nothing, ((("__name__", "a"),),))


def test_an_offset_moves_what_is_asked_and_what_is_stored_but_not_since_when_alerts_are_active() -> None:
    room = Room(DOUBLE + HIGH, query_offset_ms=2 * STEP)
    room.memory.put("a", 11, 12, 13)
    room.go(2)
    assert {steps for _, steps in room.asked} == {Steps.at(T0)}
    assert room.stored("twice") == {"kind=made": {0: 22}}
    assert room.stored("ALERTS_FOR_STATE") == {"alertname=High": {0: (T0 + 2 * STEP) // 1000}}
    assert room.rule("High").alerts[0].active_at == T0 + 2 * STEP


def test_a_recording_rule_with_more_series_than_its_limit_fails_and_ends_nothing() -> None:
    room = Room(DOUBLE, limit=1)
    room.memory.put('a{x="1"}', 1, 1, NONE, NONE, start=T0)
    room.memory.put('a{x="2"}', NONE, 2)
    room.go(0)
    room.go(1)
    (run,) = room.run.rules
    assert (run.health, run.last_error) == ("err", "exceeded limit of 1 with 2 series")
    assert room.stored("twice") == {"kind=made,x=1": {0: 2}}
    assert (room.run.evaluations, room.run.failures) == (2, 1)


# --- order -----------------------------------------------------------------------------------------------------------


def test_a_rule_sees_what_those_before_it_gave_at_the_same_moment() -> None:
    room = Room("""
- record: level:one
  expr: a + 1
- record: level:other
  expr: a + 5
- record: level:two
  expr: level:one * 10
- alert: Two
  expr: level:two > 10
- alert: Meta
  expr: count(ALERTS{alertstate="firing",alertname="Two"}) > 0
""")
    room.memory.put("a", 1)
    room.go(0)
    assert room.stored("level:two") == {"": {0: 20}}
    assert [name for name, *_ in room.told] == ["Two", "Meta"]
    # Written together as long as nobody asks for it.
    assert [sorted({dict(labels)["__name__"] for labels in write}) for write in room.memory.writes] == [
        ["level:one", "level:other"],
        ["level:two"],
        ["ALERTS", "ALERTS_FOR_STATE"],
        ["ALERTS", "ALERTS_FOR_STATE"],
    ]


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("sum(rate(a:b[5m])) / c", {"a:b", "c"}),
        ('{job="x"}', {"a:b", "c", "ALERTS"}),
        ('d and {job="x"}', {"a:b", "c", "ALERTS"}),
        ('{__name__=~"a.*|ALERTS"}', {"a:b", "ALERTS"}),
        ('{__name__="c"} or {"a:b"}', {"a:b", "c"}),
        ('{__name__!="c",job="x"}', {"a:b", "ALERTS"}),
        ('label_replace(d, "x", "c", "ALERTS", "")', set()),
        ("quantile_over_time(scalar(c), d[1h:1m])", {"c"}),
        ("vector(1)", set()),
        ("limitk(2, c)", set()),
    ],
)
def test_the_metrics_that_an_expression_may_mean_are_known(expr: str, names: set[str]) -> None:
    assert meant(expr, {"a:b", "c", "ALERTS"}) == names


def test_a_template_that_asks_sees_what_the_rules_before_gave() -> None:
    room = Room("""
- record: made
  expr: a * 2
- alert: Ask
  expr: a > 0
  annotations:
    summary: "{{ with query \\"made\\" }}{{ . | first | value }}{{ end }}"
- alert: Label
  expr: a > 0
  labels:
    of: "{{ query \\"made\\" | first | value }}"
""")
    room.memory.put("a", 4)
    room.go(0)
    assert room.told == [("Ask", "firing", "8"), ("Label", "firing", "")]
    assert room.stored("ALERTS", alertname="Label") == {"alertstate=firing,of=8": {0: 1}}


@pytest.mark.parametrize(
    "rules",
    [
        "- {record: n, expr: n + 1 or vector(0)}",
        "- {record: late, expr: sum(early) or vector(0)}\n- {record: early, expr: a}",
        "- {alert: Meta, expr: 'count(ALERTS{alertname=\"A\"}) > 0'}\n- {alert: A, expr: a > 1}",
        "- {record: last, expr: a @ end()}",
        "- {record: last, expr: 'sum_over_time(a[30s] @ start())'}",
    ],
)
def test_a_block_goes_step_by_step_where_a_rule_needs_what_is_not_there_before(rules: str) -> None:
    block, steps = Room(rules), Room(rules)
    for room in (block, steps):
        room.memory.put("a", 1, 2, 3, 1, 2)
    block.go(0, 5)
    for step in range(5):
        steps.go(step)
    assert seen(block) == seen(steps)
    assert len(block.asked) == len(steps.asked)


# --- alerts ----------------------------------------------------------------------------------------------------------


def test_an_alert_is_pending_fires_and_is_resolved_and_whoever_listens_hears_of_the_last_two() -> None:
    room = Room(HIGH)
    room.memory.put('a{x="1"}', 11, 12, 13, 14, 9)
    room.memory.put('a{x="2"}', 11, 9, 9, 9, 9)
    shown = []
    for step in range(5):
        room.go(step)
        shown.append([(dict(a.labels)["x"], a.state, dict(a.annotations)["summary"]) for a in room.active("High")])
    assert shown == [
        [("1", "pending", "1 at 11"), ("2", "pending", "2 at 11")],
        [("1", "pending", "1 at 12")],
        [("1", "firing", "1 at 13")],
        [("1", "firing", "1 at 14")],
        [],
    ]
    assert room.told == [("High", "firing", "1 at 13"), ("High", "resolved", "1 at 14")]
    assert [(a.active_at - T0, a.fired_at - T0, a.value) for a in room.alerts] == [(0, 2 * STEP, 13), (0, 2 * STEP, 14)]
    assert room.stored("ALERTS", x="1") == {
        "alertname=High,alertstate=firing": {2: 1, 3: 1, 4: "end"},
        "alertname=High,alertstate=pending": {0: 1, 1: 1, 2: "end"},
    }
    assert room.stored("ALERTS_FOR_STATE", x="1") == {
        "alertname=High": dict.fromkeys(range(4), T0 // 1000) | {4: "end"}
    }


def test_a_block_tells_in_order_with_the_texts_of_each_moment() -> None:
    room = Room(HIGH)
    room.memory.put('a{x="1"}', 11, 12, 13, 9, 21, 22, 23, 24, 8, 8)
    room.go(0, 2)
    room.go(2, 8)
    assert room.told == [
        ("High", "firing", "1 at 13"),
        ("High", "resolved", "1 at 13"),
        ("High", "firing", "1 at 23"),
        ("High", "resolved", "1 at 24"),
    ]


def test_annotations_that_ask_do_so_when_the_condition_holds() -> None:
    room = Room("""
- alert: Asks
  expr: a > 10
  annotations: {summary: "{{ query \\"b\\" | first | value }}"}
""")
    room.memory.put("a", 11, 11, 9, 9)
    room.memory.put("b", 1, 2, 3, 4)
    for step in range(4):
        room.go(step)
        room.memory.put("b", 100, start=T0 + step * STEP)  # what comes late changes no text
    assert [dict(a.annotations) for a in room.rule("Asks").alerts] == []
    assert room.told == [("Asks", "firing", "1"), ("Asks", "resolved", "2")]
    assert [steps.start - T0 for text, steps in room.asked if text == "b"] == [0, STEP]


def test_an_alert_keeps_the_texts_of_when_its_condition_held_last() -> None:
    room = Room("""
- alert: Kept
  expr: a > 10
  keep_firing_for: 1m
  annotations: {summary: "{{ $value }}"}
""")
    room.memory.put("a", 11, 12, 9, 9)
    for step in range(4):
        room.go(step)
    (alert,) = room.rule("Kept").alerts
    assert (alert.state, alert.value, dict(alert.annotations)) == ("firing", 12, {"summary": "12"})


def test_a_scalar_raises_an_alert_without_labels() -> None:
    room = Room("- {alert: Now, expr: scalar(a), annotations: {summary: 'at {{ $value }}'}}")
    room.memory.put("a", 7)
    room.go(0)
    assert room.told == [("Now", "firing", "at 7")]


def test_alerts_beyond_the_limit_are_forgotten_and_the_rule_says_so() -> None:
    room = Room(HIGH, limit=1)
    room.memory.put('a{x="1"}', 11, 11, 11)
    room.memory.put('a{x="2"}', 9, 11, 9)
    room.go(0)
    room.go(1)
    assert (room.rule("High").health, room.rule("High").last_error) == ("err", "exceeded limit of 1 with 2 alerts")
    assert room.rule("High").alerts == []
    room.go(2)
    assert room.rule("High").health == "ok"
    assert room.rule("High").alerts[0].active_at == T0 + 2 * STEP


def test_equal_labels_of_two_alerts_fail_the_rule_and_change_nothing() -> None:
    room = Room("""
- alert: Same
  expr: a > 10
  labels: {x: ""}
""")
    room.memory.put('a{x="1"}', 11, 11, 11)
    room.memory.put('a{x="2"}', NONE, 11, 9)
    room.go(0)
    room.go(1)
    (run,) = room.run.rules
    assert run.last_error == "vector contains metrics with the same labelset after applying alert labels"
    assert [a.active_at for a in run.alerts] == [T0]
    room.go(2)
    assert (run.health, [a.active_at for a in run.alerts]) == ("ok", [T0])


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        QueryError("found duplicate series"),
        InputError("parse error: x"),
        QueryTimeout("query timed out in expression evaluation"),
        StoreBusy("the store is down"),
        ZeroDivisionError("a fault of ours"),
    ],
)
def test_a_rule_that_fails_keeps_what_it_knew_and_the_others_go_on(error: Exception) -> None:
    room = Room(HIGH + DOUBLE)
    room.memory.put("a", 11, 11, 11)
    room.go(0)
    room.fails["> 10"] = error
    room.go(1)
    high, double = room.run.rules
    assert (high.health, high.last_error, double.health) == ("err", str(error), "ok")
    assert [a.active_at for a in high.alerts] == [T0]
    assert room.stored("ALERTS") == {"alertname=High,alertstate=pending": {0: 1}}
    assert room.stored("twice") == {"kind=made": {0: 22, 1: 22}}
    assert (room.run.evaluations, room.run.failures) == (4, 1)
    room.fails.clear()
    room.go(2)
    assert (high.health, high.last_error) == ("ok", "")
    assert room.told[0][:2] == ("High", "firing")


def test_the_log_says_of_a_failure_what_kind_it_is_and_the_rule_alone_names_labels() -> None:
    room = Room(HIGH)
    room.fails["> 10"] = QueryError('found duplicate series for the match group {user="kim"}')
    with structlog.testing.capture_logs() as logs:
        room.go(0)
    assert [(log["event"], log["rule"], log["error"]) for log in logs] == [("rule.failed", "High", "QueryError")]
    assert "kim" in room.rule("High").last_error


def test_a_template_that_meets_a_busy_store_fails_its_rule() -> None:
    room = Room("- {alert: Ask, expr: a > 10, annotations: {summary: '{{ query \"b\" }}'}}")
    room.memory.put("a", 11)
    room.fails["b"] = StoreBusy("the store is down")
    room.go(0)
    assert (room.rule("Ask").last_error, room.told) == ("the store is down", [])
    room.fails.clear()
    room.go(0)
    assert room.told == [("Ask", "firing", "[]")]


def test_a_cancelled_query_ends_the_evaluation() -> None:
    room = Room(HIGH + DOUBLE)
    room.fails["> 10"] = QueryCancelled("the query was cancelled")
    with pytest.raises(QueryCancelled):
        room.go(0)
    assert len(room.asked) == 1


def test_what_could_not_be_stored_fails_its_rules_and_still_ends_later() -> None:
    room = Room("- {record: high, expr: a > 2}\n- {record: other, expr: b}")
    room.memory.put("a", 3, 1, 1)
    room.memory.put("b", 1, 1, 1)
    room.go(0)
    take, room.memory.write = room.memory.write, refuse  # type: ignore[method-assign]
    room.go(1)
    assert {run.last_error for run in room.run.rules} == {"the queue is full"}
    assert room.run.failures == 2
    room.memory.write = take  # type: ignore[method-assign]
    room.go(2)
    assert room.stored("high") == {"": {0: 3, 2: "end"}}
    assert room.stored("other") == {"": {0: 1, 2: 1}}
    assert {run.health for run in room.run.rules} == {"ok"}


def refuse(made: Any) -> Any:
    raise StoreBusy("the queue is full")


def test_samples_that_were_refused_are_counted_and_said() -> None:
    room = Room("- {record: high, expr: a > 2}\n- {record: other, expr: b}")
    room.memory.put("a", 3)
    room.memory.put("b", 1)
    room.memory.write = lambda made: [  # type: ignore[method-assign]
        empty_batch((Refusal("high", "", "the limit of 5 series is reached"),), 7),
        empty_batch(),
    ]
    room.go(0)
    high, other = room.run.rules
    assert (high.health, other.health) == ("err", "ok")
    assert high.last_error == "7 samples refused: the limit of 5 series is reached"
    assert (room.run.refused, room.run.failures) == (7, 1)


def test_of_a_block_that_fails_only_the_steps_fail_that_would_alone() -> None:
    room = Room("- {record: sum, expr: a + on() b}")
    room.memory.put("a", *range(10))
    room.memory.put('b{x="1"}', *[1] * 10)
    room.memory.put('b{x="2"}', *[NONE] * 4, 1, math.nan, step=STEP)
    room.memory.rows[(("__name__", "b"), ("x", "2"))][T0 + 6 * STEP] = STALE
    room.go(0, 10)
    assert set(room.stored("sum")[""]) == {0, 1, 2, 3, 6, 7, 8, 9}
    assert (room.run.evaluations, room.run.failures) == (10, 2)
    assert room.rule("sum").health == "ok"


def test_what_can_never_be_computed_is_asked_once_for_a_block() -> None:
    room = Room("- {record: never, expr: histogram_avg(a)}")
    room.memory.put("a", *range(10))
    room.go(0, 10)
    assert len(room.asked) == 1
    assert (room.run.evaluations, room.run.failures) == (10, 10)
    assert "native histograms are not stored" in room.rule("never").last_error


# --- from file to file, from process to process ----------------------------------------------------------------------


def test_a_changed_rule_of_the_same_name_and_labels_keeps_its_alerts() -> None:
    room = Room(HIGH + DOUBLE)
    room.memory.put("a", 11, 12, 13)
    room.go(0)
    room.go(1)
    changed = HIGH.replace("> 10", "> 11").replace("}} at", "}} is at") + DOUBLE.replace("made", "other")
    left, before = list(room.run.rules), room.run
    room.run = group_of(changed, room.ask, limit=5)
    room.run.continue_counting(before)
    room.run.follow(left)
    assert [run.name for run in left] == ["twice"]
    assert [dict(a.annotations)["summary"] for a in room.rule("High").alerts] == [" is at 12"]
    room.go(2)
    assert room.told == [("High", "firing", " is at 13")]
    assert room.run.evaluations == 6


def test_rules_of_the_same_name_are_followed_in_their_order() -> None:
    rules = "- {alert: A, expr: a > 1}\n- {alert: A, expr: b > 1}"
    room = Room(rules)
    room.memory.put("a", 5)
    room.memory.put("b", 6)
    room.go(0)
    left, after = list(room.run.rules), group_of(rules.replace("> 1", "> 2"), room.ask)
    after.follow(left)
    assert [[a.value for a in run.alerts] for run in after.rules] == [[5], [6]]
    assert left == []


def test_the_alerts_of_a_rule_that_is_no_more_are_resolved() -> None:
    room = Room(HIGH)
    room.memory.put('a{x="1"}', 11, 12, 13)
    room.memory.put('a{x="2"}', 9, 12, 13)
    room.go(0, 3)
    (alert,) = room.rule("High").ended(T0 + 9 * STEP)
    assert (alert.state, alert.resolved_at, dict(alert.labels)["x"]) == ("resolved", T0 + 9 * STEP, "1")
    assert dict(alert.annotations) == {"summary": "1 at 13"}


def test_alerts_are_stored_only_after_those_of_an_earlier_process_were_looked_for() -> None:
    room = Room(HIGH, is_saving=False)
    room.memory.put("a", 11, 11, 11, 11)
    room.go(0)
    room.go(1)
    assert (room.stored("ALERTS"), room.run.is_saving) == ({}, False)
    labels = (("alertname", "High"),)
    asked = []

    def saved(alert: str) -> Any:
        asked.append(alert)
        # Active for 16 s when it was seen last, 20 s before now: 14 s of its 30 s are left.
        return {labels: (T0 + STEP - 20_000, (T0 + STEP - 36_000) / 1000)}

    room.run.restore(T0 + STEP, saved)
    assert (asked, room.run.is_saving) == (["High"], True)
    assert room.rule("High").alerts[0].active_at == T0 + STEP - 16_000
    room.go(2)
    assert room.told == [("High", "firing", " at 11")]
    assert room.stored("ALERTS") == {"alertname=High,alertstate=firing": {2: 1}}
    room.run.restore(T0, saved)
    assert asked == ["High"]
