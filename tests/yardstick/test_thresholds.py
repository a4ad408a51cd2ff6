"""Arms that draw lines, by example."""

from __future__ import annotations

import numpy as np

from airis_mon.correlate.group import Firing
from airis_mon.query.values import Vector
from airis_mon.series.labels import metric_of
from airis_mon.series.steps import Steps
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World
from airis_mon.yardstick.rulesarm import metrics_read
from airis_mon.yardstick.scraped import scraped
from airis_mon.yardstick.thresholds import SIGNALS, Level, Watched, above, far, lines_of, watched

MIN = 60_000
DB = (("service", "db"),)


def of(*value: float, name: str = "files") -> Watched:
    row = np.array([value], float)
    return Watched(np.arange(row.shape[1]) * MIN, {name: Vector([DB], row, ~np.isnan(row))})


def alert(start: int, end: int | None, name: str = "files") -> Firing:
    return Firing((("alertname", name), *DB), start * MIN, None if end is None else end * MIN)


def test_every_stretch_above_the_line_is_an_alert() -> None:
    assert above(of(0, 2, 2, 0, 2), {"files": 1}) == [alert(1, 3), alert(4, None)]


def test_value_at_the_line_is_not_above_it() -> None:
    assert above(of(1, 1, 1), {"files": 1}) == []


def test_gap_ends_an_alert() -> None:
    assert above(of(2, np.nan, 2, 0), {"files": 1}) == [alert(0, 1), alert(2, 3)]


def test_signal_without_a_line_is_silent() -> None:
    assert above(of(9, 9), {"memory": 1}) == []


def test_line_leaves_room_above_what_the_history_had() -> None:
    some = of(1, 2, 3, 4, 100)
    assert lines_of(some, 4 * MIN, Level(1.0, 1.5)) == {"files": 6}
    assert lines_of(some, 4 * MIN, Level(0.5)) == {"files": 2.5}


def test_signal_without_a_history_has_no_line() -> None:
    assert lines_of(of(np.nan, np.nan, 3), 2 * MIN, Level(1.0)) == {}


def test_jump_is_far_and_what_it_was_before_is_not() -> None:
    rng = np.random.default_rng(1)
    value = rng.uniform(0.9, 1.1, 60)
    value[50] = 5
    assert far(of(*value)) == [alert(50, 51)]


def test_gap_is_passed_over_by_the_z_score() -> None:
    value = np.random.default_rng(1).uniform(0.9, 1.1, 60)
    value[[30, 31, 50]] = np.nan, np.inf, 5
    assert far(of(*value)) == [alert(50, 51)]


def test_signals_of_a_world_are_all_there() -> None:
    settings = Settings(topology="shop", days=1 / 12, step_s=60, histogram=False)
    world = World(settings, 1)
    read = metrics_read(tuple(SIGNALS.values()))
    assert read <= {metric_of(labels) for labels in world.labels}
    found = watched(scraped(world, read), Steps(settings.start_ms, settings.step_ms, settings.steps))
    assert found.of.keys() == SIGNALS.keys()
    assert all(vector.has.any() for vector in found.of.values())
    assert not any("__name__" in dict(labels) for vector in found.of.values() for labels in vector.labels)
