from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import InputError, QueryError
from airis_mon.query.parse import parse
from airis_mon.query.plan import (
    Absent,
    Aggregate,
    Binary,
    Call,
    Held,
    Matching,
    Negate,
    Node,
    Number,
    Over,
    Planner,
    Samples,
    Select,
    String,
    Subquery,
    leaves,
)
from airis_mon.series.matchers import Matcher
from airis_mon.series.steps import Steps

MINUTE = 60_000
LOOKBACK, INTERVAL = 5 * MINUTE, MINUTE
STEPS = Steps(1_000_000_000, 15_000, 5)
END = 1_000_070_000  # beyond the last step
X = (Matcher("__name__", "=", "x"),)
PUSHED = frozenset({"rate", "max_over_time", "predict_linear", "present_over_time"})


def planned(text: str, steps: Steps = STEPS) -> Node:
    return Planner(steps, END, LOOKBACK, INTERVAL, PUSHED).plan(parse(text))


def last(steps: Steps = STEPS) -> Select:
    return Select(X, "last", steps, LOOKBACK)


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        planned(text)
    return str(caught.value)


def subquery(text: str, steps: Steps = STEPS) -> Subquery:
    node = planned(text, steps)
    assert isinstance(node, Subquery)
    return node


def test_a_selector_is_the_latest_sample_within_the_look_back() -> None:
    assert planned("x") == last()
    assert planned('{__name__="x"}') == last()


def test_matchers_keep_their_operators() -> None:
    node = planned('x{a="1",b!="2",c=~"3|4",d!~"5"}')
    assert isinstance(node, Select)
    assert list(map(str, node.matchers)) == ['__name__="x"', 'a="1"', 'b!="2"', 'c=~"3|4"', 'd!~"5"']


def test_an_offset_moves_the_moments_back_and_a_negative_one_forth() -> None:
    assert planned("x offset 5m") == last(STEPS.moved(-5 * MINUTE))
    assert planned("x offset -1m30s") == last(STEPS.moved(90_000))
    assert planned("rate(x[2m] offset 1m)") == Select(X, "rate", STEPS.moved(-MINUTE), 2 * MINUTE)
    assert planned("x offset -0.0009") == last()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7", 7_000),
        ("1.0005", 1_001),
        ("0", 0),
        ("-5", -5_000),
        ("-1.25", -1_250),
        ("1_000", 1_000_000),
        ("+0x10", 16_000),
        ("5e11", 5 * 10**14),
        ("-5e11", -5 * 10**14),
        ("-0.001", -1),
        ("-0", 0),
        ("start()", STEPS.start),
        ("end()", END),
    ],
)
def test_at_holds_one_moment_for_all_steps(text: str, moment: int) -> None:
    assert planned(f"x @ {text}") == Held(last(Steps.at(moment)), Steps.at(moment))
    assert planned(f"rate(x[1m] @ {text})") == Held(Select(X, "rate", Steps.at(moment), MINUTE), Steps.at(moment))
    inner = subquery(f"x[1m:1m] @ {text}")
    assert (inner.at, inner.inner_steps.start) == (Steps.at(moment), moment // MINUTE * MINUTE)


def test_an_offset_counts_from_where_at_points() -> None:
    moment = Steps.at(STEPS.start - MINUTE)
    assert planned("x @ start() offset 1m") == planned("x offset 1m @ start()") == Held(last(moment), moment)


def test_start_and_end_inside_a_subquery_are_those_of_the_whole_query() -> None:
    assert subquery("(x @ start())[5m:1m]").inner == Held(last(Steps.at(STEPS.start)), Steps.at(STEPS.start))
    assert subquery("(x @ end())[5m:1m]").inner == Held(last(Steps.at(END)), Steps.at(END))


@pytest.mark.parametrize(
    "seconds", ["10000000000000000000.000000", "-10000000000000000000.000000", "600000000000.000000"]
)
def test_a_time_that_does_not_fit_is_refused_as_prometheus_does(seconds: str) -> None:
    assert refused(f"x @ {seconds}") == f"parse error: timestamp out of bounds for @ modifier: {seconds}"
    assert refused("x @ 1e400") == "parse error: timestamp out of bounds for @ modifier: inf"


@pytest.mark.parametrize("duration", ["293y", "3000000y", "1e13", "1e14", "1e300", "292y300d", "9223372036855ms"])
@pytest.mark.parametrize("text", ["x offset {}", "x offset -{}", "rate(x[{}])", "x[{}:1m]", "x[1m:{}]"])
def test_durations_beyond_292_years_are_refused_as_prometheus_does(text: str, duration: str) -> None:
    assert "duration" in refused(text.format(duration)).lower()


def test_the_longest_duration_is_taken() -> None:
    assert planned("x offset 9223372036854ms") == last(STEPS.moved(-9_223_372_036_854))


@given(
    start=st.integers(-(10**13), 10**13),
    every=st.integers(1, 10**7),
    count=st.integers(1, 50),
    window=st.integers(1, 10**8),
    step=st.integers(1, 10**8),
)
def test_steps_of_a_subquery_are_the_multiples_of_its_step_in_windows_open_on_the_left(
    start: int, every: int, count: int, window: int, step: int
) -> None:
    steps = Steps(start, every, count)
    inner = subquery(f"x[{window}ms:{step}ms]", steps)
    first, end = inner.inner_steps.start, inner.inner_steps.end
    assert first % inner.inner_steps.step == 0
    assert first - step <= start - window < first
    assert inner.inner_steps.count == 1 or end <= steps.end < end + step
    assert inner.inner == last(inner.inner_steps)


@pytest.mark.parametrize("step", ["", "0.0001"])
def test_a_subquery_without_a_step_takes_the_default_one(step: str) -> None:
    assert subquery(f"x[5m:{step}]").inner_steps.step == INTERVAL


def test_a_subquery_in_a_subquery_covers_the_windows_of_all_its_steps() -> None:
    outer = subquery("max_over_time(x[2m:1m])[10m:5m]", Steps.at(1_000_000_000))
    assert outer.inner_steps == Steps(999_600_000, 5 * MINUTE, 2)
    assert isinstance(outer.inner, Over)
    assert isinstance(outer.inner.source, Subquery)
    assert outer.inner.source.inner_steps == Steps(999_540_000, MINUTE, 7)


def test_range_functions_are_pushed_down_when_the_store_has_them() -> None:
    assert planned("rate(x[2m])") == Select(X, "rate", STEPS, 2 * MINUTE)
    assert planned("changes(x[2m])") == Over("changes", Samples(X, STEPS, 2 * MINUTE), STEPS, ())


def test_an_argument_that_is_no_constant_keeps_a_function_here() -> None:
    samples = Samples(X, STEPS, MINUTE)
    assert planned("predict_linear(x[1m], 60)") == Select(X, "predict_linear", STEPS, MINUTE, (60.0,))
    assert planned("predict_linear(x[1m], time())") == Over("predict_linear", samples, STEPS, (Call("time", ()),))
    assert isinstance(planned("predict_linear(x[1m], NaN)"), Over)


def test_a_prediction_starts_at_the_moment_of_evaluation_whatever_the_offset() -> None:
    moved = STEPS.moved(-10 * MINUTE)
    assert planned("predict_linear(x[1m] offset 10m, 60)") == Select(X, "predict_linear", moved, MINUTE, (660.0,))
    back = planned("predict_linear(x[1m] offset -10m, 60)")
    assert isinstance(back, Select)
    assert back.args == (-540.0,)


def test_a_prediction_of_a_held_window_differs_from_step_to_step() -> None:
    at = Steps.at(7_000)
    assert planned("predict_linear(x[1m] @ 7, 60)") == Over("predict_linear", Samples(X, at, MINUTE), at, (Number(60),))


def test_functions_of_subqueries_are_computed_here() -> None:
    node = planned("rate(x[2m:30s])")
    assert isinstance(node, Over)
    assert (node.function, node.source) == ("rate", subquery("x[2m:30s]"))
    held = planned("rate(x[2m:30s] @ 7)")
    assert isinstance(held, Held)
    assert held.steps == Steps.at(7_000)


def test_the_timestamp_of_a_selector_is_its_sample_s() -> None:
    assert planned("timestamp((x))") == Select(X, "timestamp", STEPS, LOOKBACK)
    assert planned("timestamp(-x)") == Call("timestamp", (Negate(last()),))


@pytest.mark.parametrize(
    ("selector", "labels"),
    [
        ('x{a="1",b="2"}', (("a", "1"), ("b", "2"))),
        ('x{a="1",b!="2",c=~"3"}', (("a", "1"),)),
        ('x{a="1",a="2"}', ()),
        ('x{a="1",a!="2"}', ()),
        ('x{a=""}', ()),
        ('(x{a="1"})', (("a", "1"),)),
        ('sum(x{a="1"})', ()),
    ],
)
def test_absent_carries_what_equality_matchers_imply(selector: str, labels: tuple[tuple[str, str], ...]) -> None:
    node = planned(f"absent({selector})")
    assert isinstance(node, Absent)
    assert node.labels == labels


def test_absent_over_time_asks_what_is_present() -> None:
    matchers = (*X, Matcher("a", "=", "1"))
    present = Select(matchers, "present_over_time", STEPS, MINUTE)
    assert planned('absent_over_time(x{a="1"}[1m])') == Absent(present, (("a", "1"),))
    node = planned('absent_over_time(x{a="1"}[5m:1m])')
    assert isinstance(node, Absent)
    assert node.labels == ()


def test_operators_and_aggregations_keep_their_modifiers() -> None:
    grouped = Matching("many-to-one", is_on=True, labels=("a",), include=("b",))
    ignoring = Matching("many-to-many", labels=("a",))
    assert planned("x + on (a) group_left (b) x") == Binary("+", last(), last(), grouped, is_bool=False)
    assert planned("x and ignoring (a) x") == Binary("and", last(), last(), ignoring, is_bool=False)
    assert planned("x > bool 1") == Binary(">", last(), Number(1), Matching(), is_bool=True)
    assert planned("topk by (a) (3, x)") == Aggregate("topk", last(), Number(3), ("a",), False)
    assert planned('count_values without (a) ("v", x)') == Aggregate("count_values", last(), String("v"), ("a",), True)


def test_leaves_are_all_that_must_be_fetched() -> None:
    text = "topk(scalar(a), b) + -c * (d @ 7) > abs(absent(e)) and changes(f[1m]) + max_over_time(g[5m:1m])"
    names = [leaf.matchers[0].value for leaf in leaves(planned(text))]
    assert sorted(names) == list("abcdefg")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mad_over_time(x[5m])", "mad_over_time"),
        ('sort_by_label(x, "a")', "sort_by_label"),
        ("info(x)", "info"),
        ("limitk(3, x)", "limitk"),
        ("limit_ratio(0.5, x)", "limit_ratio"),
        ("double_exponential_smoothing(x[5m], 0.5, 0.5)", "double_exponential_smoothing"),
    ],
)
def test_experimental_functions_are_refused_by_name(text: str, name: str) -> None:
    assert refused(text).startswith("parse error: ")
    assert f'"{name}" is experimental in Prometheus' in refused(text)


@pytest.mark.parametrize("name", ["histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev"])
def test_functions_of_native_histograms_are_refused_by_name(name: str) -> None:
    with pytest.raises(QueryError, match=f"unsupported function {name}: native histograms are not stored"):
        planned(f"{name}(x)")


def test_matchers_joined_by_or_are_refused() -> None:
    assert '"or" between matchers is not PromQL' in refused('x{a="1" or b="2"}')


def test_a_range_or_step_of_nothing_is_refused() -> None:
    for text in ("x[0]", "x[0:1m]", "x[1m:0]"):
        assert refused(text) == "parse error: duration must be greater than 0"
    assert planned("x offset 0") == last()
