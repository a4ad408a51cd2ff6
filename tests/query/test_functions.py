from __future__ import annotations

import calendar
import datetime as dt
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airis_mon.errors import QueryCancelled, QueryError
from airis_mon.query import functions
from airis_mon.query.labelling import LARGEST_PROGRAM, LONGEST_VALUE, MOST_TEXT, Spending
from airis_mon.query.values import Scalar, Text, Value, Vector
from airis_mon.series.labels import Labels
from airis_mon.series.steps import Steps

NAN, INF = math.nan, math.inf
AT = Steps.at(1_700_000_000_000)
X = (("__name__", "x"), ("job", "a"))


def test_unknown_function_is_refused_by_name() -> None:
    with pytest.raises(QueryError, match="unsupported function sparkle"):
        call("sparkle", [], AT)


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        ("abs", -1.5, 1.5),
        ("ceil", 1.2, 2.0),
        ("floor", -1.2, -2.0),
        ("exp", 1.0, math.e),
        ("exp", 1000.0, INF),
        ("ln", 0.0, -INF),
        ("ln", -1.0, NAN),
        ("log2", 8.0, 3.0),
        ("log10", 1000.0, 3.0),
        ("sqrt", -1.0, NAN),
        ("sgn", -0.1, -1.0),
        ("sgn", NAN, NAN),
        ("sin", math.pi / 2, 1.0),
        ("cos", math.pi, -1.0),
        ("tan", math.pi / 4, 1.0),
        ("asin", 1.0, math.pi / 2),
        ("acos", 2.0, NAN),
        ("atan", INF, math.pi / 2),
        ("sinh", 1.0, math.sinh(1)),
        ("cosh", 1.0, math.cosh(1)),
        ("tanh", 1.0, math.tanh(1)),
        ("asinh", 1.0, math.asinh(1)),
        ("acosh", 2.0, math.acosh(2)),
        ("atanh", 1.0, INF),
        ("deg", math.pi, 180.0),
        ("rad", 180.0, math.pi),
        ("round", 2.5, 3.0),
        ("round", -2.5, -2.0),
    ],
)
def test_mathematics_are_those_of_floats(function: str, value: float, expected: float) -> None:
    assert one(call(function, [vector_of({X: value})], AT)) == pytest.approx(expected, nan_ok=True)


def test_computed_value_loses_its_name_and_absence_stays() -> None:
    inner = Vector([X], np.array([[4.0, NAN]]), np.array([[True, False]]))

    found = as_vector(call("sqrt", [inner], Steps(0, 1, 2)))

    assert found.labels == [(("job", "a"),)]
    assert found.has.tolist() == [[True, False]]
    assert np.isnan(found.value[0, 1])


def test_two_series_that_differ_by_name_alone_cannot_both_be_computed() -> None:
    with pytest.raises(QueryError, match="vector cannot contain metrics with the same labelset"):
        call("abs", [vector_of({X: 1.0, (("__name__", "y"), ("job", "a")): 1.0})], AT)


def test_round_goes_to_multiples_and_its_size_may_change_by_step() -> None:
    inner = vector_of({X: 1.26}, steps=3)

    found = as_vector(call("round", [inner, scalar(0.1, 0.5, 0.0)], Steps(0, 1, 3)))

    np.testing.assert_allclose(found.value[0], [1.3, 1.5, NAN])


def test_clamp_keeps_values_within_limits() -> None:
    inner = vector_of({X: 5.0}, steps=3)
    steps = Steps(0, 1, 3)

    assert as_vector(call("clamp", [inner, scalar(0, 6, 0), scalar(4, 9, 9)], steps)).value.tolist() == [[4, 6, 5]]
    assert as_vector(call("clamp_min", [inner, scalar(0, 6, 5)], steps)).value.tolist() == [[5, 6, 5]]
    assert as_vector(call("clamp_max", [inner, scalar(0, 6, INF)], steps)).value.tolist() == [[0, 5, 5]]


def test_clamp_between_crossed_limits_is_empty_at_that_step() -> None:
    found = as_vector(call("clamp", [vector_of({X: 5.0}, steps=2), scalar(1, 0), scalar(0, 1)], Steps(0, 1, 2)))

    assert found.has.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("function", "value", "limit", "expected"),
    [
        ("clamp_min", NAN, 1.0, NAN),
        ("clamp_min", 1.0, NAN, NAN),
        ("clamp_min", INF, NAN, INF),
        ("clamp_max", -INF, NAN, -INF),
        ("clamp_max", NAN, -INF, -INF),
    ],
)
def test_clamp_meets_nan_as_go_does(function: str, value: float, limit: float, expected: float) -> None:
    assert one(call(function, [vector_of({X: value}), scalar(limit)], AT)) == pytest.approx(expected, nan_ok=True)


def test_time_is_that_of_each_step() -> None:
    steps = Steps(1_500, 15_000, 2)

    assert as_scalar(call("time", [], steps)) == [1.5, 16.5]
    assert as_vector(call("timestamp", [vector_of({X: 7.0}, steps=2)], steps)).value.tolist() == [[1.5, 16.5]]
    assert as_scalar(call("pi", [], steps)) == [math.pi, math.pi]


def test_scalar_is_the_only_element_or_nan() -> None:
    has = np.array([[True, True, False], [False, True, False]])
    inner = Vector([X, ()], np.where(has, [[1.0], [2.0]], NAN), has)

    found = call("scalar", [inner], Steps(0, 1, 3))

    np.testing.assert_array_equal(as_scalar(found), [1.0, NAN, NAN])
    np.testing.assert_array_equal(as_scalar(call("scalar", [vector_of({})], AT)), [NAN])


def test_vector_has_one_element_without_labels() -> None:
    found = as_vector(call("vector", [scalar(1.0, NAN)], Steps(0, 1, 2)))

    assert found.labels == [()]
    assert found.has.all()


def test_sorting_orders_one_moment_with_nan_last() -> None:
    rows = {labelled(i=i): value for i, value in zip("abcde", [2.0, NAN, -INF, INF, 1.0], strict=True)}

    assert order(call("sort", [vector_of(rows)], AT)) == "ceadb"
    assert order(call("sort_desc", [vector_of(rows)], AT)) == "daecb"


def test_sorting_leaves_a_range_of_steps_and_the_name_alone() -> None:
    inner = vector_of({X: 2.0, labelled(i="b"): 1.0}, steps=2)

    assert as_vector(call("sort", [inner], Steps(0, 1, 2))).labels == [X, labelled(i="b")]


def test_absent_elements_of_one_moment_come_last() -> None:
    inner = Vector([labelled(i="a"), labelled(i="b")], np.array([[NAN], [NAN]]), np.array([[False], [True]]))

    assert order(call("sort", [inner], AT)) == "ba"


# Dates.


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("minute", 20),
        ("hour", 4),
        ("day_of_week", 4),
        ("day_of_month", 29),
        ("day_of_year", 60),
        ("days_in_month", 29),
        ("month", 2),
        ("year", 2024),
    ],
)
def test_part_of_a_leap_day(part: str, expected: float) -> None:
    moment = dt.datetime(2024, 2, 29, 4, 20, 59, tzinfo=dt.UTC).timestamp()

    assert one(call(part, [vector_of({X: moment + 0.9})], AT)) == expected
    assert as_vector(call(part, [], Steps.at(int(moment * 1000)))).value.tolist() == [[expected]]


@given(st.integers(-62_135_596_800, 253_402_300_799))
@example(-1)
def test_parts_agree_with_the_calendar(second: int) -> None:
    at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=second)
    expected = {
        "minute": at.minute,
        "hour": at.hour,
        "day_of_week": at.isoweekday() % 7,
        "day_of_month": at.day,
        "day_of_year": at.timetuple().tm_yday,
        "days_in_month": calendar.monthrange(at.year, at.month)[1],
        "month": at.month,
        "year": at.year,
    }

    assert {part: one(call(part, [vector_of({X: float(second)})], AT)) for part in expected} == expected


def test_no_date_is_what_go_makes_of_it() -> None:
    for value in (NAN, INF, -INF, 1e300):
        inner = vector_of({X: value})
        parts = [one(call(part, [inner], AT)) for part in ("year", "month", "day_of_month", "hour", "minute")]
        assert parts == [292_277_026_596, 12, 4, 15, 30]


# Labels.


@pytest.mark.parametrize(
    ("replacement", "pattern", "expected"),
    [
        ("$1", "(.*)-(.*)", "web"),
        ("${2}0", "(.*)-(.*)", "70"),
        ("$20", "(.*)-(.*)", None),  # the group 20, which is empty: the label goes
        ("$host/$1", "(?P<host>.*)-.*", "web/web"),
        ("$$1", ".*", "$1"),
        ("$", ".*", "$"),
        ("${1", ".*", "${1"),
        ("$01x", "(.*)", None),
        ("a${nobody}b", ".*", "ab"),
        ("$1", "web-(8)?7", None),
        ("$1", "eb-7", "old"),  # anchored at both ends
        ("$1", "(web", "invalid"),
        ("$1", ".", "old"),
        ("a", "web.7|x", "a"),
        ("a", "x)|(.*", "a"),  # anchors are put around it, as in Prometheus
    ],
)
def test_label_replace(replacement: str, pattern: str, expected: str | None) -> None:
    inner = vector_of({labelled(src="web-7", dst="old"): 1.0})
    args: list[Value] = [inner, Text("dst"), Text(replacement), Text("src"), Text(pattern)]
    if expected == "invalid":
        with pytest.raises(QueryError, match=r"invalid regular expression in label_replace\(\): \(web"):
            call("label_replace", args, AT)
        return

    found = as_vector(call("label_replace", args, AT))

    assert dict(found.labels[0]) == {"__name__": "m", "src": "web-7"} | ({"dst": expected} if expected else {})


def test_label_replace_takes_an_absent_source_for_empty_and_dots_for_line_ends() -> None:
    inner = vector_of({labelled(a="1\n2"): 1.0})

    found = call("label_replace", [inner, Text("b"), Text("none"), Text("zz"), Text("")], AT)
    assert as_vector(found).labels == [labelled(a="1\n2", b="none")]
    found = call("label_replace", [inner, Text("b"), Text("$1"), Text("a"), Text("1(.)2")], AT)
    assert as_vector(found).labels == [labelled(a="1\n2", b="\n")]


def test_label_replace_may_change_the_name() -> None:
    found = call("label_replace", [vector_of({X: 1.0}), Text("__name__"), Text("y"), Text("job"), Text("a")], AT)

    assert as_vector(found).labels == [(("__name__", "y"), ("job", "a"))]


def test_label_functions_refuse_an_empty_name() -> None:
    inner = vector_of({})
    with pytest.raises(QueryError, match=r"invalid destination label name in label_replace\(\): $"):
        call("label_replace", [inner, Text(""), Text("a"), Text("b"), Text("c")], AT)
    with pytest.raises(QueryError, match=r"invalid destination label name in label_join\(\): $"):
        call("label_join", [inner, Text(""), Text("-"), Text("a")], AT)
    with pytest.raises(QueryError, match=r"invalid source label name in label_join\(\): $"):
        call("label_join", [inner, Text("d"), Text("-"), Text("a"), Text("")], AT)


def test_series_that_come_to_be_equal_are_refused_only_where_both_are() -> None:
    labels = [labelled(i="a"), labelled(i="b")]
    args: list[Value] = [Text("i"), Text("c"), Text("i"), Text(".*")]
    apart = Vector(labels, np.array([[1.0, NAN], [NAN, 2.0]]), np.eye(2, dtype=bool))

    assert as_vector(call("label_replace", [apart, *args], Steps(0, 1, 2))).value.tolist() == [[1.0, 2.0]]
    with pytest.raises(QueryError, match="vector cannot contain metrics with the same labelset"):
        call("label_replace", [vector_of(dict.fromkeys(labels, 1.0)), *args], AT)


def test_label_join_joins_absent_labels_as_empty_ones() -> None:
    inner = vector_of({labelled(a="1", b="2"): 1.0})

    found = call("label_join", [inner, Text("d"), Text("-"), Text("a"), Text("zz"), Text("b")], AT)
    assert as_vector(found).labels == [labelled(a="1", b="2", d="1--2")]
    found = call("label_join", [inner, Text("a"), Text("-"), Text("zz")], AT)
    assert as_vector(found).labels == [labelled(b="2")]
    found = call("label_join", [inner, Text("a"), Text("-")], AT)
    assert as_vector(found).labels == [labelled(b="2")]


def test_one_pattern_may_repeat_a_value_until_it_is_too_long() -> None:
    inner = vector_of({labelled(a="é" * 100): 1.0})

    def times(count: int) -> Value:
        return call("label_replace", [inner, Text("b"), Text("$1" * count), Text("a"), Text("(.*)")], AT)

    most = LONGEST_VALUE // 200
    assert as_vector(times(most)).labels == [labelled(a="é" * 100, b="é" * 100 * most)]
    with pytest.raises(
        QueryError, match=r"label_replace\(\) would make a label value of 65,600 bytes, at most 65,536; "
    ):
        times(most + 1)


def test_joining_a_label_with_itself_ends_at_the_longest_value() -> None:
    inner: Value = vector_of({labelled(a="x" * 100): 1.0})
    with pytest.raises(QueryError, match=r"label_join\(\) would make a label value of 102,400 bytes"):
        for _ in range(30):
            inner = call("label_join", [inner, Text("a"), Text(""), Text("a"), Text("a")], AT)
    with pytest.raises(QueryError, match=r"label_join\(\) would make a label value of 70,000 bytes"):
        call("label_join", [inner, Text("a"), Text("-" * 35_000), *[Text("none")] * 3], AT)


@pytest.mark.parametrize("function", ["label_replace", "label_join"])
def test_all_values_of_a_query_together_have_a_bound(function: str) -> None:
    inner = vector_of({labelled(a="x" * 60_000, i=str(i)): 1.0 for i in range(3)})
    args: dict[str, list[Value]] = {
        "label_replace": [Text("b"), Text("$1"), Text("a"), Text("(.*)")],
        "label_join": [Text("b"), Text(""), Text("a")],
    }
    spending = Spending(spent=MOST_TEXT - 130_000)
    if function == "label_replace":  # three equal values are one
        call(function, [inner, *args[function]], AT, spending)
        call(function, [inner, *args[function]], AT, spending)
    with pytest.raises(QueryError, match="the label functions of the query would make more than 67,108,864 bytes"):
        call(function, [inner, *args[function]], AT, spending)


@pytest.mark.parametrize("function", ["label_replace", "label_join"])
def test_label_functions_end_between_series_when_nobody_waits_any_more(function: str) -> None:
    inner = vector_of({labelled(i=str(i)): 1.0 for i in range(10)})
    args: dict[str, list[Value]] = {
        "label_replace": [Text("b"), Text("$1"), Text("i"), Text("(.*)")],
        "label_join": [Text("b"), Text("-"), Text("i")],
    }
    checks = []

    def check() -> None:
        checks.append(1)
        if len(checks) == 4:
            raise QueryCancelled("the query was cancelled")

    with pytest.raises(QueryCancelled):
        call(function, [inner, *args[function]], AT, Spending(check))


def test_a_pattern_that_could_hold_a_query_up_is_refused_and_a_thousand_names_are_not() -> None:
    inner = vector_of({labelled(a="name-999" + "x" * 40): 1.0})

    def replaced(pattern: str, of: Vector = inner) -> Vector:
        return as_vector(call("label_replace", [of, Text("b"), Text("found"), Text("a"), Text(pattern)], AT))

    names = "|".join(f"name-{i:03d}{'x' * 40}" for i in range(1000))
    assert dict(replaced(names).labels[0])["b"] == "found"
    with pytest.raises(QueryError, match=rf"compiles to 80,\d+ instructions, at most {LARGEST_PROGRAM:,}; repeat less"):
        replaced("(a?){50}" * 400)
    long = vector_of({labelled(a="a" * 50_000): 1.0})
    with pytest.raises(QueryError, match="instructions, too many for a value of 50,000 characters"):
        replaced("(a?){50}" * 100, long)


# Helpers.


def call(function: str, args: Sequence[Value], steps: Steps, spending: Spending | None = None) -> Value:
    return functions.call(function, args, steps, spending or Spending())


def labelled(**labels: str) -> Labels:
    return tuple(sorted({"__name__": "m", **labels}.items()))


def vector_of(rows: dict[Labels, float], steps: int = 1) -> Vector:
    value = np.repeat(np.array(list(rows.values())).reshape(-1, 1), steps, axis=1)
    return Vector(list(rows), value, np.ones(value.shape, np.bool_))


def scalar(*value: float) -> Scalar:
    return Scalar(np.array(value, np.float64))


def as_vector(value: Value) -> Vector:
    assert isinstance(value, Vector)
    return value


def as_scalar(value: Value) -> Sequence[float]:
    assert isinstance(value, Scalar)
    return list(value.value)


def one(value: Value) -> float:
    return float(as_vector(value).value[0, 0])


def order(value: Value) -> str:
    return "".join(dict(labels)["i"] for labels in as_vector(value).labels)
