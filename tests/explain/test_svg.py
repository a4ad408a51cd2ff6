"""Marks, lines and axes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.explain.svg import PLACES, count_ticks, line, time_ticks

DAY = 86_400_000
T0 = 1_767_571_200_000  # 2026-01-05, a Monday


def points(markup):
    path = re.search(r' d="([^"]*)"', markup)[1]
    return [[tuple(map(float, p.split())) for p in part.split("L")] for part in path.split("M")[1:]]


def test_a_line_goes_from_its_lowest_to_its_highest_value():
    assert points(line([0, 50, 100], [1.0, 3.0, 2.0], (0, 100), 1, 3)) == [[(0, 100), (500, 0), (1000, 50)]]


def test_a_line_is_broken_where_values_are_missing_and_a_lone_value_is_a_dot():
    parts = points(line([0, 25, 50, 75, 100], [1.0, None, 2.0, float("nan"), 3.0], (0, 100), 1, 3))
    assert parts == [[(0, 100)] * 2, [(500, 50)] * 2, [(1000, 0)] * 2]


def test_values_far_apart_in_time_are_not_joined():
    t = [0, 10, 20, 30, 40, 900, 910, 1000]
    parts = points(line(t, [1.0] * 8, (0, 1000), 0, 1))
    assert [(part[0][0], part[-1][0]) for part in parts] == [(0, 40), (900, 910), (1000, 1000)]


def test_a_flat_line_lies_in_the_middle():
    assert points(line([0, 100], [7.0, 7.0], (0, 100), 7, 7)) == [[(0, 50), (1000, 50)]]


def test_a_long_line_is_thinned_and_keeps_its_spike():
    value = [0.0] * 100_000
    value[61_803] = 9.0
    (part,) = points(line(range(100_000), value, (0, 99_999), 0, 9))
    assert len(part) <= 2 * PLACES + 2
    assert [p for p in part if p[1] == 0] == [(618, 0)]


@given(st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=40))
def test_no_value_leaves_the_box(value):
    real = [x for x in value if x is not None and abs(x) < float("inf")]
    markup = line(range(len(value)), value, (0, 39), min(real, default=0), max(real, default=0))
    assert all(0 <= x <= 1000 and 0 <= y <= 100 for part in points(markup) for x, y in part)


@pytest.mark.parametrize(
    ("days", "labels"),
    [
        (14, ["01-05", "01-07", "01-09", "01-11", "01-13", "01-15", "01-17", "01-19"]),
        (0.5, ["01-05", *(f"{h:02}:00" for h in range(1, 13))]),
        (60, ["01-05", "01-12", "01-19", "01-26", "02-02", "02-09", "02-16", "02-23", "03-02"]),
        (365, [f"2026-{m:02}" for m in range(2, 13)] + ["2027-01"]),
    ],
)
def test_times_are_labelled_where_they_are_round(days, labels):
    assert [label for _, label in time_ticks((T0, T0 + round(days * DAY)), 12)] == labels


@given(st.integers(-(2**41), 2**42), st.integers(0, 2**41), st.integers(4, 14))
def test_ticks_rise_within_the_span_and_are_not_too_many(start, length, most):
    places = [place for place, _ in time_ticks((start, start + length), most)]
    assert places == sorted(places)
    assert all(0 <= p <= 1 for p in places)
    assert len(places) <= most + 1


@given(st.integers(0, 10**12))
def test_counts_begin_at_zero_and_reach_the_highest(most):
    ticks = count_ticks(most)
    assert ticks[0] == 0
    assert ticks[-1] >= max(most, 1)
    assert 2 <= len(ticks) <= 5
