"""Where Prometheus 3 differs from 2: samples exactly on the edges of windows, and counters that begin within them.

Debian has no Prometheus 3 to ask. The expected values are worked out by hand from its documentation: a range and the
look-back of 5 minutes are open on the left and closed on the right; a counter is extrapolated by no more than half the
samples' mean distance where it begins within the window, and never below 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from airis_mon.query.engine import Deadline, QueryEngine
from airis_mon.query.values import Vector
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.series.steps import Steps
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.base import SeriesRow

pytestmark = [pytest.mark.live, pytest.mark.slow]
BEGIN = 1_700_000_100
"""s; a whole multiple of 5 minutes, so that steps of subqueries lie on samples."""
SAMPLES = {
    "ticks": [10.0 * k for k in range(11)],
    "begun": [6.0, 14.0, 22.0],
    "risen": [2.0, 10.0, 18.0],
    "ended": [1.0, 1.0, STALE],
}
"""One sample a minute, the first at BEGIN."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryEngine]:
    store = ClickHouse(url=str(tmp_path_factory.mktemp("edges")), retention_days=10_000)
    store.open()
    known, rows = Catalogue(), []
    for name, values in SAMPLES.items():
        sid = known.intern(canonical([("__name__", name)]))
        t = BEGIN * 1000 + np.arange(len(values), dtype=np.int64) * 60_000
        store.write(known, Batch(np.full(len(t), sid, np.int32), t, np.array(values)), name)
        rows.append(SeriesRow(int(known.fp[sid]), known.labels(sid), int(t[-1]), int(t[0])))
    store.write_series(rows)
    yield QueryEngine(store)
    store.close()


def value(engine: QueryEngine, expression: str, at: float) -> float | None:
    """What the expression is so many seconds after BEGIN; None where it is nothing."""
    found = engine.query(expression, Steps.at(round((BEGIN + at) * 1000)), Deadline.after(30)).value
    assert isinstance(found, Vector)
    there = found.value[found.has]
    assert len(there) <= 1
    return float(there[0]) if len(there) else None


@pytest.mark.parametrize(
    ("expression", "at", "expected"),
    [
        ("count_over_time(ticks[5m])", 600, 5),  # those at 360, 420, 480, 540, 600; not 300
        ("count_over_time(ticks[5m])", 599.999, 5),  # 300 .. 540
        ("count_over_time(ticks[5m])", 600.001, 5),
        ("count_over_time(ticks[1m])", 600, 1),
        ("count_over_time(ticks[60001ms])", 600, 2),
        ("sum_over_time(ticks[2m] offset 1m)", 600, 80 + 90),
        (f"sum_over_time(ticks[2m] @ {BEGIN + 300})", 600, 40 + 50),
        ("min_over_time(ticks[2m])", 600, 90),
        ("quantile_over_time(0, ticks[2m])", 600, 90),
        ("stddev_over_time(ticks[2m])", 600, 5),
        ("changes(ticks[2m])", 600, 1),
        ("last_over_time(ticks[5m])", 899.999, 100),
        ("last_over_time(ticks[5m])", 900, None),
        ("present_over_time(ticks[1m])", 659.999, 1),
        ("present_over_time(ticks[1m])", 660, None),
        ("absent_over_time(ticks[1m])", 660, 1),
    ],
)
def test_a_range_is_open_on_the_left(engine: QueryEngine, expression: str, at: float, expected: float | None) -> None:
    assert value(engine, expression, at) == expected


@pytest.mark.parametrize(
    ("expression", "at", "expected"),
    [
        ("ticks", 600, 100),
        ("ticks", 899.999, 100),
        ("ticks", 900, None),  # exactly 5 minutes old
        ("ticks offset 5m", 1199.999, 100),
        ("ticks offset 5m", 1200, None),
        (f"ticks @ {BEGIN + 900}", 0, None),
        ("timestamp(ticks) - 1700000100", 899, 600),
        ("absent(ticks)", 899, None),
        ("absent(ticks)", 900, 1),
        ("ticks", -0.001, None),
        ("ticks", 0, 0),
    ],
)
def test_the_look_back_is_open_on_the_left(
    engine: QueryEngine, expression: str, at: float, expected: float | None
) -> None:
    assert value(engine, expression, at) == expected


@pytest.mark.parametrize(
    ("expression", "at", "expected"),
    [
        ("count_over_time(ticks[5m:1m])", 600, 5),  # steps at 360 .. 600
        ("count_over_time(ticks[5m:1m])", 630, 5),
        ("sum_over_time(ticks[3m:1m])", 600, 80 + 90 + 100),
        ("count_over_time(vector(1)[1m:30s])", 600, 2),
        ("min_over_time(vector(time())[1m:30s]) - 1700000100", 600, 570),
        ("count_over_time(ticks[10m:5m])", 600, 2),
        ("count_over_time(ticks[10m:5m] offset 5m)", 600, 2),  # at 0 and 300; not at -300
    ],
)
def test_a_subquery_is_open_on_the_left(engine: QueryEngine, expression: str, at: float, expected: float) -> None:
    assert value(engine, expression, at) == expected


@pytest.mark.parametrize(
    ("expression", "at", "expected"),
    [
        # 40 within 240 s, and 60 s to the left edge, which is less than 1.1 of the distance between samples
        ("increase(ticks[5m])", 600, 40 * 300 / 240),
        ("rate(ticks[5m])", 600, 10 / 60),
        ("delta(ticks[5m])", 600, 50),
        ("increase(ticks[5m:1m])", 600, 50),
        ("deriv(ticks[2m])", 600, 10 / 60),
        ("predict_linear(ticks[2m], 60)", 600, 110),
        ("irate(ticks[60001ms])", 600, 10 / 60),
        ("increase(ticks[1m])", 600, None),  # one sample: 540 is on the edge
        ("delta(ticks[1m])", 600, None),
        ("irate(ticks[1m])", 600, None),
        ("deriv(ticks[1m])", 600, None),
    ],
)
def test_a_sample_on_the_left_edge_does_not_count(
    engine: QueryEngine, expression: str, at: float, expected: float | None
) -> None:
    assert value(engine, expression, at) == (expected if expected is None else pytest.approx(expected, rel=1e-12))


@pytest.mark.parametrize(
    ("expression", "at", "expected"),
    [
        # 6, 14, 22: 0 lies 45 s before the first sample, but half a distance is 30 s
        ("increase(begun[5m])", 120, 16 * (120 + 30) / 120),
        ("rate(begun[5m])", 120, 16 * (120 + 30) / 120 / 300),
        # 2, 10, 18: 0 lies 15 s before the first sample
        ("increase(risen[5m])", 120, 16 * (120 + 15) / 120),
        ("increase(risen[5m:1m])", 120, 16 * (120 + 15) / 120),
        # 20 s to the left edge are less than 1.1 of a distance; for `risen`, more than the 15 s to 0
        ("increase(begun[140s])", 120, 16 * (120 + 20) / 120),
        ("increase(risen[140s])", 120, 16 * (120 + 15) / 120),
        ("delta(risen[140s])", 120, 16 * (120 + 20) / 120),  # no counter: it may be negative
        # 70 s after the last sample are more than 1.1 of a distance
        ("increase(begun[5m])", 190, 16 * (120 + 30 + 30) / 120),
    ],
)
def test_a_counter_is_extrapolated_by_half_a_distance_and_not_below_0(
    engine: QueryEngine, expression: str, at: float, expected: float
) -> None:
    assert value(engine, expression, at) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("expression", "at", "expected"),
    [
        ("ended", 119.999, 1),
        ("ended", 120, None),
        ("ended", 121, None),
        ("last_over_time(ended[5m])", 121, 1),
        ("count_over_time(ended[5m])", 121, 2),
        ("count_over_time(ended[3m:1m])", 120, 2),
        ("timestamp(ended)", 120, None),
    ],
)
def test_a_series_ends_at_its_marker_which_no_range_contains(
    engine: QueryEngine, expression: str, at: float, expected: float | None
) -> None:
    assert value(engine, expression, at) == expected
