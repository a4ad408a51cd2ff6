from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.api import promform as ask
from airis_mon.api.promform import Form, label_name, read_bound, read_duration_ms, read_time, selectors
from airis_mon.errors import InputError
from airis_mon.series.matchers import Matcher


@pytest.mark.parametrize(
    ("text", "t"),
    [
        ("0", 0),
        ("1435781451.781", 1_435_781_451_781),
        ("1.0006", 1001),
        ("-1.5", -1500),
        ("1e3", 1_000_000),
        (".5", 500),
        ("5.", 5000),
        ("2026-03-01T12:00:00Z", 1_772_366_400_000),
        ("2026-03-01T12:00:00.123999999Z", 1_772_366_400_123),
        ("2026-03-01T21:00:00+09:00", 1_772_366_400_000),
        ("1969-12-31T23:59:59.5Z", -500),
    ],
)
def test_times_are_seconds_or_rfc_3339_to_the_millisecond(text, t):
    assert read_time(text) == t
    assert read_bound(text) == t


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "NaN",
        "Inf",
        "1_000",
        "0x10",
        "1e400",
        "٣",
        "2026-03-01",
        "2026-03-01T12:00:00",
        "2026-13-01T12:00:00Z",
        "2026-03-01 12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-03-01T12:00:00+99:00",
    ],
)
def test_what_is_no_time_is_refused_in_prometheus_words(text):
    with pytest.raises(InputError, match=r'^cannot parse ".*" to a valid timestamp$'):
        read_time(text)


@pytest.mark.parametrize("text", ["1e18", "-1e12", "9999-01-01T00:00:00Z"])
def test_a_moment_outside_the_years_of_the_store_is_refused_and_as_a_bound_it_is_open(text):
    with pytest.raises(InputError, match="outside the years 1900 to 2299"):
        read_time(text)
    assert read_bound(text) is None


@pytest.mark.parametrize("text", ask.ENDLESS)
def test_prometheus_own_earliest_and_latest_moments_are_open_bounds(text):
    assert read_bound(text) is None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("15", 15_000),
        ("0.29", 290),
        ("1.1", 1100),
        ("0.0019", 1),
        ("-1.5", -1500),
        ("0", 0),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1y2w3d4h5m6s7ms", 31_536_000_000 + 2 * 604_800_000 + 3 * 86_400_000 + 14_706_007),
    ],
)
def test_durations_are_seconds_or_prometheus_own(text, ms):
    assert read_duration_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "abc", "-5m", "1m1h", "5 m", "1.5h", "NaN", "inf", "9" * 5000 + "y", "300y", "1e30", "m"],
)
def test_what_is_no_duration_is_refused_in_prometheus_words(text):
    with pytest.raises(InputError, match=r'^cannot parse ".*" to a valid duration'):
        read_duration_ms(text)


def test_of_a_repeated_parameter_the_first_counts_and_unknown_ones_mean_nothing():
    form = Form([("limit", "3"), ("limit", "x"), ("stats", "all")])
    assert form[ask.LIMIT] == 3
    assert form[ask.TIME] is None
    assert Form([("time", ""), ("time", "5")])[ask.TIME] is None


@pytest.mark.parametrize(
    ("param", "text", "message"),
    [
        (
            ask.TIME,
            "abc",
            'invalid parameter "time": invalid time value for \'time\': cannot parse "abc" to a valid ti',
        ),
        (ask.START, "", 'invalid parameter "start": cannot parse "" to a valid timestamp'),
        (ask.SINCE, "x", 'invalid parameter "start": invalid time value for \'start\': cannot parse "x" to a valid'),
        (ask.STEP, "", 'invalid parameter "step": cannot parse "" to a valid duration'),
        (
            ask.STEP,
            "0",
            'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try',
        ),
        (ask.STEP, "0.0001", 'invalid parameter "step": zero or negative query resolution'),
        (ask.TIMEOUT, "soon", 'invalid parameter "timeout": cannot parse "soon" to a valid duration'),
        (ask.LIMIT, "-1", 'invalid parameter "limit": limit must be non-negative'),
        (ask.LIMIT, "many", 'invalid parameter "limit": cannot parse "many" to a number'),
        (ask.COUNT, "x", 'invalid parameter "limit": limit must be a number'),
        (ask.TYPE, "x", 'invalid parameter "type": not supported value "x"'),
        (ask.WITHOUT_ALERTS, "x", 'invalid parameter "exclude_alerts": "x" is neither true nor false'),
    ],
)
def test_an_error_names_the_parameter_in_prometheus_words(param, text, message):
    with pytest.raises(InputError) as caught:
        Form([(param.name, text)])[param]
    assert str(caught.value).startswith(message)


def test_selectors_are_read_once_each():
    form = Form([("match[]", "up"), ("match[]", '{job=~"a|b"}'), ("match[]", "up")])
    assert selectors(form) == [(Matcher("__name__", "=", "up"),), (Matcher("job", "=~", "a|b"),)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("up{", "expected a label name"),
        ("", "names no series"),
        ('{job=~".*"}', r"match\[\] must contain at least one non-empty matcher"),
        ('{job=""}', r"match\[\] must contain at least one non-empty matcher"),
        ('{a=~"("}', "refused by RE2"),
    ],
)
def test_a_selector_that_means_nothing_or_everything_is_refused(text, message):
    with pytest.raises(InputError, match=rf'^invalid parameter "match\[\]": .*{message}'):
        selectors(Form([("match[]", text)]))


def test_so_many_selectors_and_no_more_are_read():
    with pytest.raises(InputError, match="101 selectors"):
        selectors(Form([("match[]", f"m{i}") for i in range(101)]))


@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        ("job", "job"),
        ("U__a_2e_b", "a.b"),
        ("U__a__b", "a_b"),
        ("U___1f600_", "😀"),
        ("U__a_b", "U__a_b"),
        ("U___d800_", "U___d800_"),
        ("U__", ""),
        ("U___ffffff_", "U___ffffff_"),
    ],
)
def test_escaped_names_of_labels_are_read_and_broken_escapes_left_alone(escaped, name):
    assert label_name(escaped) == name


@given(st.text(), st.sampled_from([read_time, read_bound, read_duration_ms, label_name]))
def test_any_text_is_read_or_refused_and_nothing_else(text, read):
    try:
        read(text)
    except InputError as error:
        assert str(error)
