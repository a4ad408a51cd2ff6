"""The rules of the yardstick, evaluated by our engine on series that are known."""

from __future__ import annotations

import numpy as np
import pytest

from airis_mon.query.rules import AlertingRule
from airis_mon.series.labels import canonical, metric_of
from airis_mon.series.steps import Steps
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World
from airis_mon.yardstick.rulesarm import fired, metrics_read, rule_groups, rule_metrics
from airis_mon.yardstick.scraped import Held, Scraped

MIN = 60_000
HOUR = 60 * MIN
GIB = 2**30


def series(name: str, value: list[float], **labels: str) -> Held:
    return Held(canonical([("__name__", name), *labels.items()]), np.arange(len(value)) * MIN, np.array(value, float))


def source(name: str, value: list[float], **labels: str) -> Scraped:
    return Scraped([series(name, value, **labels)])


def names(alerts: Scraped, minutes: int) -> list[tuple[str, int, int | None]]:
    """(alert, minute at which it fired, minute at which it ended)."""
    found = fired(alerts, Steps(0, MIN, minutes))
    return [(dict(f.labels)["alertname"], f.start // MIN, f.end // MIN if f.end is not None else None) for f in found]


def test_every_metric_that_rules_read_is_exported_by_a_world() -> None:
    world = World(Settings(topology="shop", days=1, step_s=60, histogram=False), 1)
    assert rule_metrics() <= {metric_of(labels) for labels in world.labels}
    assert len(rule_metrics()) > 15


def test_up_is_made_and_not_scraped() -> None:
    assert metrics_read(['up{job="node"} == 0', "rate(a[5m]) / on (x) b"]) == {"a", "b"}


def test_all_rules_wait_before_they_fire() -> None:
    rules = [rule for group in rule_groups() for rule in group.rules]
    assert len(rules) == 20
    assert all(isinstance(rule, AlertingRule) and rule.for_ms > 0 for rule in rules)


def test_rule_fires_when_its_condition_has_held_for_long_and_ends_with_it() -> None:
    old = source("queue_oldest_age_seconds", [1] * 10 + [90] * 20 + [1] * 10, service="mail")
    assert names(old, 40) == [("QueueGrowsOld", 15, 30)]


def test_short_trouble_fires_nothing() -> None:
    assert names(source("queue_oldest_age_seconds", [1] * 10 + [90] * 5 + [1] * 10, service="mail"), 25) == []


def test_alert_that_still_fires_has_no_end() -> None:
    assert names(source("up", [0] * 20, job="node", host="h1"), 20) == [("HostDown", 5, None)]


@pytest.mark.parametrize(("per_hour", "expected"), [(2.5, ["VolumeFillsUp"]), (0.5, [])])
def test_volume_is_told_of_when_a_line_through_six_hours_reaches_its_end_within_a_day(
    per_hour: float, expected: list[str]
) -> None:
    filling = [(130 + 2 * per_hour * m / 60) * GIB for m in range(8 * 60)]
    size = [200.0 * GIB] * len(filling)
    volume = Scraped(
        [series("volume_used_bytes", filling, service="db"), series("volume_size_bytes", size, service="db")]
    )
    assert [name for name, _, _ in names(volume, len(filling))] == expected


@pytest.mark.parametrize(("limit", "expected"), [(0.5, ["PodMemoryNearLimit"]), (2.0, []), (0.0, [])])
def test_memory_is_held_against_the_limit_that_its_pod_tells_and_0_is_none(limit: float, expected: list[str]) -> None:
    used = series("container_memory_working_set_bytes", [0.46 * GIB] * 10, pod="cart-1")
    told = series("container_spec_memory_limit_bytes", [limit * GIB] * 10, pod="cart-1")
    assert [name for name, _, _ in names(Scraped([used, told]), 10)] == expected
