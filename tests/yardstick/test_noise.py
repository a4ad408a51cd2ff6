"""What counts as found, missed, told and told in vain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from airis_mon.correlate.group import Firing, Grouping
from airis_mon.simulate.faults import Fault
from airis_mon.simulate.truth import Indicator, Reached, Verdict
from airis_mon.yardstick import noise
from airis_mon.yardstick.episodes import asked
from airis_mon.yardstick.noise import Event, Pair, Tally, event_of, figures, measured, tally
from airis_mon.yardstick.thresholds import Level
from airis_mon.yardstick.worlds import Spec

MIN, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SPEC = Spec("dev", "shop", 1, days=3.0, history_days=1.0, faults_per_day=4)
BEGIN = SPEC.settings.start_ms + DAY
SOON = Grouping(("alertname",), wait_ms=0, interval_ms=5 * MIN, repeat_ms=4 * HOUR)
FAULT = Event(BEGIN + HOUR, BEGIN + HOUR + 10 * MIN, BEGIN + 2 * HOUR, frozenset({"cart", "h1"}))


def alert(after: int, length: int, name: str = "X", **labels: str) -> Firing:
    """So many ms after the history, for so many ms."""
    own = tuple(sorted({"alertname": name, **labels}.items()))
    return Firing(own, BEGIN + after, BEGIN + after + length)


def judged(*alerts: Firing, events: tuple[Event, ...] = (FAULT,)) -> Tally:
    return tally(alerts, SOON, events, SPEC)


def test_fault_is_found_by_an_alert_of_what_it_reached_and_delay_counts_from_when_users_felt_it() -> None:
    assert judged(alert(HOUR + 13 * MIN, MIN, service="cart")).delays == (3.0,)


def test_what_is_told_before_users_feel_it_has_no_delay() -> None:
    assert judged(alert(HOUR + MIN, MIN, host="h1")).delays == (0.0,)


def test_first_of_several_messages_counts() -> None:
    later, sooner = (alert(HOUR + m * MIN, MIN, name, service="cart") for m, name in ((30, "X"), (15, "Y")))
    assert judged(later, sooner).delays == (5.0,)


@pytest.mark.parametrize(
    "other",
    [
        alert(HOUR + 13 * MIN, MIN, service="mail"),
        alert(HOUR + 13 * MIN, MIN, pod="cart"),
        alert(HOUR - 1, 3 * HOUR, service="cart"),
        alert(2 * HOUR + 1, MIN, service="cart"),
    ],
    ids=["of another service", "of a label that names nobody", "from before the fault", "after its end"],
)
def test_fault_is_missed_by_an_alert(other: Firing) -> None:
    assert math.isnan(judged(other).delays[0])


def test_alert_that_ends_before_its_group_waited_tells_nobody() -> None:
    slow = Grouping(("alertname",), wait_ms=5 * MIN)
    found = tally([alert(HOUR + 13 * MIN, MIN, service="cart")], slow, [FAULT], SPEC)
    assert math.isnan(found.delays[0])
    assert found.days == ((0, 1, 1, 1), (0, 0, 0, 1))


def test_alert_of_what_users_see_tells_of_any_fault() -> None:
    assert judged(alert(HOUR + 13 * MIN, MIN, handler="/buy")).delays == (3.0,)


def test_days_count_messages_faults_and_alerts() -> None:
    some = [alert(HOUR + 13 * MIN, MIN, service="cart"), alert(30 * HOUR, 5 * HOUR, "Y", service="mail")]
    found = judged(*some)
    assert found.days == ((1, 1, 1, 1), (2, 0, 1, 1))  # four hours later it is repeated
    assert (found.messages, found.apt) == (3, 1)


def test_history_and_ends_do_not_count_as_messages() -> None:
    assert judged(alert(-HOUR, MIN, service="cart"), events=()).days == ((0, 0, 0, 1), (0, 0, 0, 1))


def test_fault_is_found_by_what_all_of_the_yardstick_asks_for() -> None:
    world = SPEC.world()
    replica = int(world.topology.replicas(3)[0])
    fault = Fault("f", "cpu_hog", world.topology.names[3], 3, "replica", (replica,), BEGIN, MIN, BEGIN + HOUR, 1.0)
    felt = Verdict(fault, "c", None, (Indicator("latency", BEGIN + MIN, 2.0),), (Reached("shop", BEGIN),), False)
    place = asked(world.topology, felt)
    assert event_of(world, felt) == Event(place.begin, BEGIN + MIN, place.end, place.entities)
    assert place.entities > {"shop", world.topology.names[3]}


def test_figures_are_those_of_days_and_faults() -> None:
    faulty = Tally(((6, 2, 12, 1), (2, 2, 4, 1)), (1.0, 3.0, np.nan, 5.0), 4)
    quiet = Tally(((1, 0, 1, 1), (0, 0, 0, 1)), (np.nan, np.nan, np.nan, 2.0), 0)
    found = {name: e.value for name, e in figures([Pair(SPEC, faulty, quiet)]).items()}
    assert found == {
        "messagesPerFault": 2.0,
        "missed": 0.25,
        "foundByChance": 0.25,
        "messagesPerQuietWeek": 3.5,
        "delayMinutesP50": 3.0,
        "delayMinutesP95": pytest.approx(4.8),
        "compression": 0.5,
    }


def test_nothing_is_said_of_delays_when_nothing_was_found() -> None:
    none = Tally(((0, 1, 0, 1),), (np.nan,), 0)
    found = figures([Pair(SPEC, none, none)])
    assert math.isnan(found["delayMinutesP50"].value)
    assert math.isnan(found["compression"].value)
    assert found["missed"].value == 1


@pytest.mark.slow
def test_arms_are_told_apart_on_a_world() -> None:
    spec = Spec("dev", "shop", 7, days=1.0, history_days=0.25, faults_per_day=24)
    found = {arm: figures(pairs) for arm, pairs in measured([spec], Level(1.0, 1.25)).items()}
    assert found.keys() == {noise.STATIC, noise.Z_SCORE, noise.RULES, noise.RULES_BY_SERVICE}
    assert found[noise.Z_SCORE]["messagesPerQuietWeek"].value > 100 > found[noise.RULES]["messagesPerQuietWeek"].value
    assert found[noise.RULES]["missed"].value < 1 - found[noise.RULES]["foundByChance"].value
