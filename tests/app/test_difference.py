from __future__ import annotations

import numpy as np
import pytest

from airis_mon.app.analytics import Points
from airis_mon.app.difference import Difference, Span, compared
from airis_mon.series.labels import canonical, series_name

NOON, HOUR = 1_772_366_400_000, 3_600_000


def nobody_leaves():
    pass


def difference(labels=(), **asked):
    options = {
        "before": Span(NOON - 2 * HOUR, NOON - HOUR),
        "after": Span(NOON - HOUR, NOON),
        "aggregate": "sum",
        "control": "bh",
        "alpha": 0.05,
        "limit": 20,
        "lang": "en",
        **asked,
    }
    return Difference(labels=tuple(labels), **options)


def pods(rise=None, count=4, n=100):
    """Labels, and points before and after; `rise`: pod -> by how much it rose."""
    dice = np.random.default_rng(0)
    labels, points = [], []
    for i in range(count):
        one = canonical({"__name__": "cpu", "pod": f"cart-{i}", "zone": "ab"[i % 2]}.items())
        labels.append(one)
        points += [
            Points(series_name(one), None, 10 + by + dice.normal(scale=0.5, size=n))
            for by in (0, (rise or {}).get(i, 0))
        ]
    return labels, points


def test_the_pod_that_the_rise_comes_from_is_named_with_its_share():
    labels, points = pods({3: 16.8})
    found = compared(points, difference(labels), nobody_leaves)
    assert found.total.ratio == pytest.approx(0.42, abs=0.01)
    assert found.labels[0].labels == ["pod"]
    assert found.labels[0].explaining == ["cart-3"]
    share = f"{found.labels[0].explains * 100:.0f} %"
    assert found.explanation.startswith("The sum over 4 series rose by 42 %, from 40")
    assert f"{share} of the change comes from pod=cart-3." in found.explanation
    assert "1 of 4 series changed by more than chance." in found.explanation


def test_series_are_ranked_by_how_sure_their_change_is():
    labels, points = pods({1: 5.0})
    found = compared(points, difference(labels, limit=2), nobody_leaves)
    first = found.changes[0]
    assert (first.labels["pod"], first.found, found.found, len(found.changes)) == ("cart-1", True, 1, 2)
    assert first.effect == pytest.approx(1.0)
    assert first.change == pytest.approx(5, abs=0.3)
    assert first.ratio == pytest.approx(first.change / first.before)


def test_the_mean_of_all_is_a_total_too():
    labels, points = pods({0: 4.0})
    found = compared(points, difference(labels, aggregate="mean"), nobody_leaves)
    assert found.total.before == pytest.approx(10, abs=0.2)
    assert found.labels[0].parts[0].change == pytest.approx(1.0, abs=0.1)


def test_a_change_that_all_share_is_blamed_on_nobody():
    labels, points = pods(dict.fromkeys(range(4), 5.0))
    found = compared(points, difference(labels), nobody_leaves)
    assert found.labels[0].explaining == []
    assert "No single label explains it" in found.explanation


def test_one_series_is_told_by_itself():
    _, points = pods({0: 5.0}, count=1)
    found = compared(points, difference(), nobody_leaves)
    assert found.explanation.startswith('cpu{pod="cart-0",zone="a"} went from 1')
    assert "This is more than chance (effect 1.00, q " in found.explanation
    assert found.labels is None
    assert found.why["labels"] == "known of a match or a query alone"


def test_a_series_that_appeared_says_so_and_counts_from_nothing():
    labels, points = pods()
    points[0] = Points(points[0].name, None, np.empty(0))
    found = compared(points, difference(labels), nobody_leaves)
    missing = next(c for c in found.changes if c.labels["pod"] == "cart-0")
    assert (missing.why, missing.before, missing.p) == ("appeared", None, None)
    assert found.labels[0].explaining == ["cart-0"]
    assert found.tested == 3


@pytest.mark.parametrize("window", [0, 1])
def test_a_series_left_out_of_one_window_has_neither_appeared_nor_vanished(window):
    labels, points = pods()
    points[window] = Points(points[window].name, None, np.empty(0), why="huge")
    found = compared(points, difference(labels), nobody_leaves)
    last = found.changes[-1]
    assert (last.why, last.before, last.after, found.tested) == ("huge", None, None, 3)
    assert found.why["huge"] == "1 of 4 have values beyond 1e+100 and are left out"
    assert found.total.before == pytest.approx(30, abs=0.5)


def test_a_mean_is_over_those_that_both_windows_have_and_says_how_many_came_or_went():
    labels, points = pods(dict.fromkeys(range(4), 5.0))
    points[0] = Points(points[0].name, None, np.empty(0))
    found = compared(points, difference(labels, aggregate="mean"), nobody_leaves)
    assert all(blamed.explaining == [] for blamed in found.labels)
    assert found.why["total"] == "over 3 series; 1 that appeared or vanished do not count in a mean"
    assert found.explanation.startswith("The mean over 3 series ")
    alone = compared(points[:2], difference(labels[:1], aggregate="mean"), nobody_leaves)
    assert alone.total is None
    assert alone.why["total"].startswith("no series has a value in both windows; 1 that appeared")
    assert "nothing to compare" not in alone.explanation


def test_empty_windows_say_so():
    labels, points = pods()
    found = compared([Points(p.name, None, np.empty(0)) for p in points], difference(labels), nobody_leaves)
    assert found.total is None
    assert found.why["total"] == "no series has a value in these windows"
    assert found.why["series"] == "4 of 4 have no value in either window"
    assert found.explanation == "There is nothing to compare: no series has a value in these windows."


def test_windows_are_told_with_their_times():
    found = compared(pods()[1], difference(), nobody_leaves)
    assert (found.before.start, found.after.end) == ("2026-03-01T10:00:00.000Z", "2026-03-01T12:00:00.000Z")
