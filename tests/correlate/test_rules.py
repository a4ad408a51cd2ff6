"""Alerts over steps, beside the state machine of Prometheus written out step by step."""

import json
import math
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.correlate.rules import NO_ALERTS, STATES, Alerts, advance, due, restored, sent, written
from airis_mon.correlate.spells import NEVER
from tools.servers import program

MINUTE = 60_000


def name(key):
    return (("alertname", "A"), ("i", str(key)))


def block_of(alerts, t, rows, for_ms=0, keep_ms=0, limit=0):
    """rows: label -> values over the steps, None = the condition does not hold."""
    value = np.array([[math.nan if v is None else v for v in row] for row in rows.values()], float)
    has = np.array([[v is not None for v in row] for row in rows.values()], bool)
    shape = (len(rows), len(t))
    labels = [name(key) for key in rows]
    return advance(
        alerts, np.array(t, np.int64), labels, value.reshape(shape), has.reshape(shape), for_ms, keep_ms, limit
    )


def run(rows, step_ms=MINUTE, for_ms=0, keep_ms=0, alerts=NO_ALERTS, start=1, limit=0):
    """rows: label -> text, one character a step, `.` = the condition does not hold, else a digit, the value."""
    steps = len(next(iter(rows.values())))
    t = [(start + i) * step_ms for i in range(steps)]
    given_rows = {key: [None if c == "." else float(c) for c in row] for key, row in rows.items()}
    return block_of(alerts, t, given_rows, for_ms, keep_ms, limit)


def states(block, key="a"):
    return "".join(".pf"[s] for s in block.state[block.labels.index(name(key))])


def changes(block):
    return [
        (int(s), dict(block.labels[r])["i"], STATES[int(state)])
        for s, r, state in zip(block.happened.step, block.happened.row, block.happened.state, strict=True)
    ]


def test_without_for_an_alert_fires_at_once_and_is_never_pending():
    block = run({"a": "..11.1"})
    assert states(block) == "..ff.f"
    assert changes(block) == [(2, "a", "firing"), (4, "a", "resolved"), (5, "a", "firing")]


def test_an_alert_is_pending_until_its_condition_held_for_long_enough():
    block = run({"a": "111111"}, for_ms=3 * MINUTE)
    assert states(block) == "pppfff"
    assert changes(block) == [(0, "a", "pending"), (3, "a", "firing")]
    fired = block.alert(1)
    assert (fired.state, fired.active_at, fired.fired_at, fired.resolved_at) == ("firing", MINUTE, 4 * MINUTE, None)


def test_a_pending_alert_whose_condition_ends_lapses_and_begins_anew():
    block = run({"a": "11.111"}, for_ms=2 * MINUTE)
    assert states(block) == "pp.ppf"
    assert changes(block) == [(0, "a", "pending"), (2, "a", "inactive"), (3, "a", "pending"), (5, "a", "firing")]


def test_a_firing_alert_keeps_firing_over_short_gaps():
    block = run({"a": "11..1...1"}, keep_ms=3 * MINUTE)
    assert states(block) == "fffffffff"
    block = run({"a": "11....1"}, keep_ms=3 * MINUTE)
    assert states(block) == "fffff.f"
    assert changes(block) == [(0, "a", "firing"), (5, "a", "resolved"), (6, "a", "firing")]
    assert block.alert(1).value == 1.0


def test_a_pending_alert_does_not_bridge_gaps():
    block = run({"a": "1.11.1"}, for_ms=MINUTE, keep_ms=5 * MINUTE)
    assert states(block) == "p.pfff"


def test_a_resolved_alert_carries_its_last_value_and_stays_for_a_quarter_of_an_hour():
    block = run({"a": "57" + "." * 16})
    resolved = block.alert(1)
    assert (resolved.state, resolved.value, resolved.active_at, resolved.resolved_at) == (
        "resolved",
        7.0,
        MINUTE,
        3 * MINUTE,
    )
    assert len(block.alerts) == 1
    assert len(run({"a": "."}, alerts=block.alerts, start=19).alerts) == 0


def test_the_state_goes_on_from_block_to_block():
    first = run({"a": "11"}, for_ms=3 * MINUTE)
    assert [a.state for a in map(first.alerts.alert, range(len(first.alerts)))] == ["pending"]
    second = run({"a": "11."}, for_ms=3 * MINUTE, alerts=first.alerts, start=3)
    assert states(second) == "pf."
    assert changes(second) == [(1, "a", "firing"), (2, "a", "resolved")]


def test_an_alert_with_other_labels_is_another_alert():
    block = run({"a": "11..", "b": "..11"}, for_ms=MINUTE)
    assert (states(block, "a"), states(block, "b")) == ("pf..", "..pf")
    assert changes(block)[2:4] == [(2, "a", "resolved"), (2, "b", "pending")]


def test_a_gap_in_time_counts_by_the_clock_not_by_steps():
    block = block_of(NO_ALERTS, [0, MINUTE, 60 * MINUTE], {"a": [1, 1, 1]}, for_ms=30 * MINUTE)
    assert states(block) == "ppf"


def test_a_nan_that_is_there_is_a_condition_that_holds():
    block = block_of(NO_ALERTS, [0, MINUTE], {"a": [math.nan, None]})
    assert math.isnan(block.alert(0).value)
    assert states(block) == "f."


def test_with_more_alerts_than_the_limit_all_are_forgotten():
    block = run({"a": "1111.1", "b": "..1..1"}, for_ms=2 * MINUTE, limit=1)
    assert block.failed.tolist() == [False, False, True, False, False, True]
    assert block.why == "exceeded limit of 1 with 2 alerts"
    assert (states(block, "a"), states(block, "b")) == ("pp.p..", "......")
    assert len(block.alerts) == 0


def test_alerts_that_keep_firing_count_for_the_limit():
    block = run({"a": "1...", "b": ".1.1"}, keep_ms=5 * MINUTE, limit=1)
    assert block.failed.tolist() == [False, True, False, False]
    assert (states(block, "a"), states(block, "b")) == ("f...", "...f")


def test_a_limit_does_not_change_what_stays_below_it():
    rng = np.random.default_rng(3)
    has = rng.random((5, 700)) < 0.7
    t, labels, value = np.arange(700) * MINUTE, [name(i) for i in range(5)], rng.random((5, 700))
    free, limited = (advance(NO_ALERTS, t, labels, value, has, 2 * MINUTE, 3 * MINUTE, limit) for limit in (0, 5))
    assert same(free, limited)
    assert changes(free) == changes(limited)


def test_with_a_limit_too_it_is_known_when_a_condition_held_last_however_long_ago():
    block = run({"a": "1" * 10 + "." * 600}, keep_ms=500 * MINUTE, limit=5)
    assert changes(block)[-1] == (510, "a", "resolved")
    assert block.happened.seen.tolist() == [0, 9]


def test_no_steps_and_no_series_change_nothing():
    before = run({"a": "1"}, for_ms=MINUTE).alerts
    for rows in ({}, {"b": []}):
        after = block_of(before, [], rows, limit=1).alerts
        assert [after.alert(i) for i in range(len(after))] == [before.alert(0)]
    assert len(block_of(NO_ALERTS, [MINUTE], {}).alerts) == 0


def test_series_of_alerts_are_written_as_prometheus_writes_them():
    block = run({"a": ".111"}, for_ms=MINUTE, step_ms=15_500, start=100)
    series = {
        tuple(v for n, v in labels if n in {"__name__", "alertstate"}): value.tolist()
        for labels, value in zip(written(block).labels, written(block).value, strict=True)
    }
    nan = math.nan
    since = 101 * 15_500 // 1000
    assert repr(series) == repr(
        {("ALERTS", "pending"): [nan, 1.0, 1.0, 1.0], ("ALERTS_FOR_STATE",): [nan, since, since, since]}
    ).replace(str(since), f"{since}.0")
    assert written(block).labels[0] == (
        ("__name__", "ALERTS"),
        ("alertname", "A"),
        ("alertstate", "pending"),
        ("i", "a"),
    )
    fired = written(run({"a": "1"}))
    assert [dict(labels).get("alertstate") for labels in fired.labels] == ["firing", None]
    assert written(run({"a": "."})).value.shape == (0, 1)


def test_somebody_is_told_when_an_alert_fires_again_after_a_while_and_when_it_is_resolved():
    pending = run({"a": "1"}, for_ms=MINUTE).alerts
    assert due(pending, MINUTE).tolist() == [False]
    firing = run({"a": "1"}, for_ms=MINUTE, alerts=pending, start=2).alerts
    assert due(firing, 2 * MINUTE).tolist() == [True]
    told = sent(firing, due(firing, 2 * MINUTE), 2 * MINUTE)
    assert due(told, 3 * MINUTE).tolist() == [False]
    assert due(told, 3 * MINUTE + 1).tolist() == [True]
    resolved = run({"a": "."}, alerts=told, start=3).alerts
    assert due(resolved, 3 * MINUTE).tolist() == [True]
    told = sent(resolved, due(resolved, 3 * MINUTE), 3 * MINUTE)
    assert due(told, 3 * MINUTE).tolist() == [False]
    again = run({"a": "1"}, alerts=told, start=4).alerts
    assert due(again, 4 * MINUTE).tolist() == [True]


HOUR = 60 * MINUTE


@pytest.mark.parametrize(
    ("saved", "active_at"),
    [
        ((20 * HOUR, 18 * HOUR / 1000), 18 * HOUR),  # it had fired: it fires at once
        ((20 * HOUR, (20 * HOUR - 55 * MINUTE) / 1000), 21 * HOUR + 10 * MINUTE - HOUR),  # 5 min left: 10 min of grace
        ((20 * HOUR, (20 * HOUR - 20 * MINUTE) / 1000), 21 * HOUR - 20 * MINUTE),  # 40 min left: they stay left
        ((20 * HOUR, math.nan), 21 * HOUR),  # it was not active
    ],
)
def test_after_a_restart_an_alert_waits_for_what_was_left_but_at_least_for_the_grace_period(saved, active_at):
    alerts = block_of(NO_ALERTS, [21 * HOUR], {"a": [1], "b": [1]}, for_ms=HOUR).alerts
    after = restored(alerts, {name("a"): saved}, now=21 * HOUR, for_ms=HOUR)
    assert [after.alert(i).active_at for i in range(2)] == [active_at, 21 * HOUR]


def test_a_rule_with_a_short_for_starts_anew_after_a_restart():
    alerts = block_of(NO_ALERTS, [21 * HOUR], {"a": [1]}, for_ms=5 * MINUTE).alerts
    assert restored(alerts, {name("a"): (20 * HOUR, 19 * HOUR / 1000)}, 21 * HOUR, 5 * MINUTE) is alerts


# The state machine, alert by alert and step by step


@dataclass
class Machine:
    """What Prometheus keeps of one alert."""

    state: str
    active_at: int
    value: float
    fired_at: int | None = None
    resolved_at: int | None = None
    keep_since: int | None = None


class Prometheus:
    """One alerting rule, as rules/alerting.go evaluates it."""

    def __init__(self, for_ms, keep_ms):
        self.for_ms, self.keep_ms, self.active = for_ms, keep_ms, {}

    def evaluate(self, t, values):
        for key, value in values.items():
            known = self.active.get(key)
            if known and known.state != "inactive":
                known.value = value
            else:
                self.active[key] = Machine("pending", t, value)
        seen = {}
        for key, a in list(self.active.items()):
            if self.is_seen(t, key, a, values):
                if a.state == "pending" and t - a.active_at >= self.for_ms:
                    a.state, a.fired_at = "firing", t
                seen[key] = (a.state, a.active_at)
        return seen

    def is_seen(self, t, key, a, values):
        if key in values:
            a.keep_since = None
            return True
        keeps = False
        if a.state == "firing" and self.keep_ms:
            a.keep_since = t if a.keep_since is None else a.keep_since
            keeps = t - a.keep_since < self.keep_ms
        if a.state == "pending" or (a.resolved_at is not None and t - a.resolved_at > 15 * MINUTE):
            del self.active[key]
        if a.state != "inactive" and not keeps:
            a.state, a.resolved_at = "inactive", t
        return keeps


def same(a, b):
    if not np.array_equal(a.state, b.state) or not np.array_equal(a.active_at[a.state > 0], b.active_at[b.state > 0]):
        return False
    return known(a.alerts) == known(b.alerts)


def known(alerts: Alerts):
    c = alerts.carried
    columns = (c.state, c.active_at, c.fired_at, c.resolved_at, c.keep_since, c.sent_at, c.seen_at, c.value)
    rows = zip(alerts.labels, *(column.tolist() for column in columns), strict=True)
    return {labels: (*rest[:-1], repr(rest[-1])) for labels, *rest in rows}


ROWS = st.integers(1, 3)
SPAN = st.sampled_from([0, 1, MINUTE, 2 * MINUTE, 3 * MINUTE, 20 * MINUTE])


@st.composite
def histories(draw):
    steps = draw(st.integers(1, 16))
    gaps = draw(
        st.lists(st.sampled_from([1, MINUTE, MINUTE, MINUTE, 2 * MINUTE, 16 * MINUTE]), min_size=steps, max_size=steps)
    )
    rows = draw(ROWS)
    has = draw(st.lists(st.lists(st.booleans(), min_size=steps, max_size=steps), min_size=rows, max_size=rows))
    return np.cumsum(gaps), np.array(has, bool), draw(SPAN), draw(SPAN), draw(st.integers(0, steps))


@settings(max_examples=50, deadline=None)
@given(histories())
def test_a_block_says_what_prometheus_says_step_by_step(history):
    t, has, for_ms, keep_ms, _ = history
    value = np.arange(has.size, dtype=float).reshape(has.shape)
    block = advance(NO_ALERTS, t, [name(i) for i in range(len(has))], value, has, for_ms, keep_ms)
    machine = Prometheus(for_ms, keep_ms)
    for step, at in enumerate(t.tolist()):
        seen = machine.evaluate(at, {i: value[i, step] for i in range(len(has)) if has[i, step]})
        ours = {
            i: (STATES[int(block.state[i, step])], int(block.active_at[i, step]))
            for i in range(len(has))
            if block.state[i, step]
        }
        assert ours == seen
    left = {name(i): (a.active_at, a.fired_at, a.resolved_at, a.value) for i, a in machine.active.items()}
    ours = [block.alerts.alert(i) for i in range(len(block.alerts))]
    assert {a.labels: (a.active_at, a.fired_at, a.resolved_at, a.value) for a in ours} == left


@settings(max_examples=50, deadline=None)
@given(histories())
def test_a_block_equals_its_parts_and_its_steps_one_by_one(history):
    t, has, for_ms, keep_ms, cut = history
    labels = [name(i) for i in range(len(has))]
    value = np.arange(has.size, dtype=float).reshape(has.shape)
    whole = advance(NO_ALERTS, t, labels, value, has, for_ms, keep_ms)

    def parts(*ends):
        alerts, states, events, begin = NO_ALERTS, [], [], 0
        for end in ends:
            part = advance(alerts, t[begin:end], labels, value[:, begin:end], has[:, begin:end], for_ms, keep_ms)
            rows = [part.labels.index(label) for label in labels]
            states.append(part.state[rows])
            events += [(s + begin, i, what) for s, i, what in changes(part)]
            alerts, begin = part.alerts, end
        return np.concatenate(states, axis=1), events, known(alerts)

    for ends in ((cut, len(t)), range(1, len(t) + 1)):
        state, events, alerts = parts(*ends)
        assert np.array_equal(state, whole.state)
        assert sorted(events) == sorted(changes(whole))
        assert alerts == known(whole.alerts)


def test_times_that_never_came_survive_arithmetic():
    assert NEVER + 10 * HOUR < 0
    assert NO_ALERTS.carried.rows(np.array([], np.intp)).state.shape == (0,)


# Held to Prometheus itself


def with_promtool(folder, has, wait, keep):
    """(step, series, alert, state or value) of `ALERTS` and `ALERTS_FOR_STATE`, as promtool evaluates a rule."""
    rule = {"alert": "A", "expr": "m > 0", "for": f"{wait}m", "keep_firing_for": f"{keep}m"}
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    asked = [(step, expr) for step in range(has.shape[1]) for expr in ("ALERTS", "ALERTS_FOR_STATE")]
    wrong = [{"labels": "none", "value": -1}]  # makes promtool print what it has
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f'm{{i="{i}"}}', "values": " ".join(map(str, r))} for i, r in enumerate(has.tolist())
        ],
        "promql_expr_test": [{"expr": e, "eval_time": f"{s}m", "exp_samples": wrong} for s, e in asked],
    }
    text = json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]})
    (folder / "test.yml").write_text(text)
    promtool = Path(program("prometheus")).with_name("promtool")
    run = subprocess.run(
        [promtool, "test", "rules", folder / "test.yml"], check=False, capture_output=True, text=True, timeout=60
    )
    found = re.findall(
        r'expr: "(ALERTS\w*)", time: (?:(\d+)m)?(?:0s)?,.*?got:(.*?)\n', run.stdout + run.stderr, re.DOTALL
    )
    form = re.compile(r'\{[^}]*?(?:alertstate="(\w+)", )?i="(\d+)"\} ([0-9.E+]+)')
    assert len(found) == len(asked)
    return {
        (int(minute or 0), series, int(i), state or float(value))
        for series, minute, got in found
        for state, i, value in form.findall(got)
    }


@pytest.mark.live
@pytest.mark.parametrize(("wait", "keep"), [(0, 0), (2, 0), (0, 3), (2, 3)])
def test_prometheus_itself_writes_the_same_series_of_alerts(tmp_path, wait, keep):
    has = (np.random.default_rng(wait + 5 * keep).random((3, 40)) < [[0.5], [0.8], [0.3]]).astype(int)
    labels = [name(i) for i in range(3)]
    block = advance(NO_ALERTS, np.arange(40) * MINUTE, labels, has * 1.0, has > 0, wait * MINUTE, keep * MINUTE)
    ours = set()
    for labels, value, here in zip(*(getattr(written(block), n) for n in ("labels", "value", "has")), strict=True):
        of = dict(labels)
        for step in np.flatnonzero(here).tolist():
            ours.add((step, of["__name__"], int(of["i"]), of.get("alertstate") or float(value[step])))
    assert ours == with_promtool(tmp_path, has, wait, keep)
