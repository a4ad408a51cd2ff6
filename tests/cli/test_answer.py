"""Answers of PromQL as a person reads them."""

import re
from zoneinfo import ZoneInfo

import pytest

from airis_mon.cli.answer import View, duration, moment, plot, read, table
from airis_mon.cli.ask import Span
from airis_mon.cli.plot import Pen
from airis_mon.errors import Permanent

SEOUL = ZoneInfo("Asia/Seoul")
T0 = 1_790_000_000
PIPE = View(SEOUL, Pen(False, True), None, 24)
NARROW = View(SEOUL, Pen(True, True), 60, 24)


def vector(*rows):
    return read({"resultType": "vector", "result": [{"metric": m, "value": [T0, v]} for m, v in rows]})


def matrix(*rows, step=15):
    values = [(m, [[T0 + i * step, v] for i, v in enumerate(vs) if v is not None]) for m, vs in rows]
    return read({"resultType": "matrix", "result": [{"metric": m, "values": v} for m, v in values]})


def span(points, step=15):
    return Span(T0 * 1000, (T0 + (points - 1) * step) * 1000, step * 1000)


def test_a_vector_keeps_the_order_and_the_digits_it_came_with():
    data = vector(({"__name__": "up", "job": "b"}, "0.30000000000000004"), ({"__name__": "up", "job": "a"}, "NaN"))
    assert list(table(data, None, PIPE)) == [
        "series                     value  time",
        'up{job="b"}  0.30000000000000004  2026-09-21T23:13:20+09:00',
        'up{job="a"}                  NaN  2026-09-21T23:13:20+09:00',
    ]


def test_a_sum_has_no_name():
    assert list(table(vector(({}, "3")), None, PIPE))[1].startswith("{}")


def test_a_native_histogram_is_told_by_its_count():
    data = {"resultType": "vector", "result": [{"metric": {}, "histogram": [T0, {"count": "5", "sum": "2.5"}]}]}
    assert "histogram of 5, sum 2.5" in list(table(read(data), None, PIPE))[1]


def test_scalars_and_strings_are_a_line():
    assert list(table(read({"resultType": "scalar", "result": [T0 + 0.25, "2"]}), None, PIPE)) == [
        "2  2026-09-21T23:13:20.250+09:00"
    ]
    assert list(table(read({"resultType": "string", "result": [T0, "a\x1bb"]}), None, PIPE)) == [r"a\x1bb"]


def test_nothing_is_no_table():
    assert list(table(vector(), None, PIPE)) == list(table(matrix(), span(2), PIPE)) == []


def test_a_range_is_told_by_its_ends_and_a_small_line():
    data = matrix(({"__name__": "m"}, ["1", "3", None, "2", "NaN"]), ({"__name__": "n"}, ["+Inf", "1", "1", "1", "5"]))
    assert list(table(data, span(5), PIPE)) == [
        "series  min  max  last  trend",
        "m         1    3   NaN  ▁█ ▅",
        "n         1  Inf     5   ▁▁▁█",
    ]


def test_samples_of_a_range_selector_need_no_step():
    data = matrix(({"__name__": "m"}, ["1", "2", "3"]))
    assert list(table(data, None, PIPE))[1] == "m         1    3     3  ▁▅█"


def test_labels_steer_no_terminal():
    evil = {"__name__": "m", "x\x1b": "a\x1b]0;owned\x07\u202e\n"}
    for lines in (table(vector((evil, "1\x1b")), None, NARROW), table(matrix((evil, ["1"])), span(1), NARROW)):
        assert all(line.isprintable() for line in lines)
    assert all("\x1b]" not in line for line in plot(matrix((evil, ["1", "2"])), span(2), NARROW))


def test_long_labels_are_folded_on_a_terminal_and_kept_whole_in_a_pipe():
    data = vector(({"__name__": "metric_of_some_length", "instance": "127.0.0.1:9100", "job": "node"}, "1"))
    assert max(map(len, table(data, None, NARROW))) <= 60
    assert len(list(table(data, None, PIPE))) == 2


def test_a_picture_names_what_it_shows_and_what_it_leaves_out():
    data = matrix(*(({"__name__": f"m{i}"}, [str(i), "NaN", str(i + 1)]) for i in range(32)))
    lines = list(plot(data, span(3), PIPE))
    assert "2026-09-21T23:13:20+09:00 to 2026-09-21T23:13:50+09:00, every 15s" in lines
    legend = [line.split() for line in lines if re.match("[^ ]  m", line)]
    assert [row[1:] for row in legend] == [[f"m{i}", str(i), str(i + 1), str(i + 1)] for i in range(8)]
    assert "not drawn: 8 values that are NaN or infinite" in lines
    assert lines[-1].startswith("left out, as 8 series fill a picture: m8, m9, ")
    assert lines[-1].endswith("m27 and 4 more")


def test_nothing_is_no_picture():
    assert list(plot(matrix(), span(3), PIPE)) == []


def test_histograms_have_no_curve():
    row = {"metric": {"__name__": "h"}, "histograms": [[T0, {"count": "1"}]]}
    data = read({"resultType": "matrix", "result": [row]})
    assert list(table(data, span(3), PIPE))[1].split() == ["h", "-", "-", "-"]
    assert list(plot(data, span(3), PIPE))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"resultType": "frame", "result": []},
        {"resultType": "vector", "result": {}},
        {"resultType": "vector", "result": [{"metric": {}}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": ["x", "1"]}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [1e300, "1"]}]},
        {"resultType": "vector", "result": [{"metric": [], "value": [1, "1"]}]},
        {"resultType": "scalar", "result": []},
    ],
)
def test_what_prometheus_would_not_write_asks_for_the_address(data):
    with pytest.raises(Permanent, match="is the address right"):
        read(data)


@pytest.mark.parametrize("values", [[[1e300, "1"]], [["x", "1"]], [[1, "many"]], [1], 5])
def test_strange_samples_ask_for_the_address(values):
    data = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
    with pytest.raises(Permanent, match="is the address right"):
        list(plot(read(data), span(3), PIPE))


def test_samples_outside_of_the_span_are_not_drawn_beside_it():
    data = matrix(({}, ["1", "2", "3", "4"]))
    early = Span(T0 * 1000 + 15_000, T0 * 1000 + 30_000, 15_000)
    assert list(table(data, early, PIPE))
    assert list(plot(data, early, PIPE))


@pytest.mark.parametrize(("ms", "text"), [(15_000, "15s"), (5_400_000, "1h30m"), (500, "500ms"), (0, "0s")])
def test_durations_are_written_as_promql_has_them(ms, text):
    assert duration(ms) == text


def test_a_moment_has_milliseconds_when_it_needs_them():
    assert moment(1_790_000_000_001, SEOUL) == "2026-09-21T23:13:20.001+09:00"
