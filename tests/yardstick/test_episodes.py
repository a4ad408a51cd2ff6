"""What counts as found, what as false, and what would have been found by chance."""

import numpy as np
import pytest

from airis_mon.yardstick.episodes import Truth
from tests.yardstick.worldbuilder import MINUTE, WORLD, Line, fault, finding, marked, quiet, world

DAY = 1440
ONSET = DAY + 600


def alarms(run):
    return np.flatnonzero(run.score >= 1)


def truth(lines, faults):
    run = world([Line(entity, quiet(), marked(*at)) for entity, at in lines], faults)
    return Truth(run), alarms(run)


FAULT = fault("cart", ONSET, ONSET + 30, path=("cart", "shop"))


@pytest.mark.parametrize(
    ("entity", "minute", "is_found"),
    [
        ("cart", ONSET, True),
        ("shop", ONSET + 10, True),
        ("cart", ONSET + 35, True),
        ("cart", ONSET + 36, False),
        ("cart", ONSET - 1, False),
        ("bank", ONSET + 10, False),
    ],
)
def test_a_fault_is_found_on_its_path_from_its_onset_to_shortly_after_its_end(entity, minute, is_found):
    judged, at = truth([(entity, [minute])], [FAULT])
    assert judged.found(at).tolist() == [is_found]


TOP = WORLD.topology
CART = TOP.replicas(TOP.names.index("cart")).tolist()
HOSTS = [TOP.hosts[TOP.host[replica]] for replica in CART]


@pytest.mark.parametrize("at", range(len(CART)))
def test_the_host_of_a_replica_that_suffers_tells_of_the_fault_and_no_other_host_does(at):
    suffering = fault("cart", ONSET, ONSET + 30, replicas=(CART[at],))
    for host in TOP.hosts:
        judged, alarm = truth([(host, [ONSET + 5])], [suffering])
        assert judged.found(alarm).tolist() == [host == HOSTS[at]]


def test_both_ends_of_an_edge_tell_of_its_fault():
    between = fault("cart", ONSET, ONSET + 30, edge=("bank", "cart"))
    assert truth([("bank", [ONSET + 5])], [between])[0].found(np.array([ONSET + 5])).tolist() == [True]


def test_an_alarm_that_has_stood_since_before_the_fault_finds_nothing():
    judged, at = truth([("cart", range(ONSET - 100, ONSET + 40))], [FAULT])
    assert judged.found(at).tolist() == [False]
    again, at = truth([("cart", [ONSET - 31, ONSET])], [FAULT])
    assert again.found(at).tolist() == [True]


def test_closer_alarms_of_one_signal_are_one_false_episode_and_of_two_signals_two():
    judged, at = truth([("cart", [DAY + 10, DAY + 40, DAY + 71]), ("shop", [DAY + 10])], [FAULT])
    assert judged.false_episodes(at).tolist() == [2, 1]
    assert judged.false_episodes(at, 60 * MINUTE).tolist() == [1, 1]


def test_nothing_is_false_in_the_history_or_near_any_fault_felt_or_not():
    unfelt = fault("bank", ONSET + 200, ONSET + 210, is_valid=False)
    near = [DAY - 1, ONSET - 5, ONSET + 49, ONSET + 195, ONSET + 229]
    judged, at = truth([("cart", near)], [FAULT, unfelt])
    assert judged.false_episodes(at).tolist() == [0]
    judged, at = truth([("cart", [DAY, ONSET - 6, ONSET + 50, ONSET + 194, ONSET + 230])], [FAULT, unfelt])
    assert judged.false_episodes(at).tolist() == [5]
    assert len(judged.found(at)) == 1


def test_only_quiet_time_is_counted_in_days():
    judged, _ = truth([("cart", [])], [FAULT])
    assert judged.days().tolist() == pytest.approx([(2 * DAY - 55) / DAY])


def test_what_always_alarms_is_found_by_chance_too():
    always = range(0, 3 * DAY, 31)
    judged, at = truth([("cart", always)], [FAULT])
    assert judged.found(at).tolist() == [True]
    assert judged.chance(at)[0] == 1.0
    rare, at = truth([("cart", [ONSET + 5])], [FAULT])
    assert rare.found(at).tolist() == [True]
    assert rare.chance(at)[0] == 0.0


def test_chance_is_unknown_where_no_quiet_stretch_is_as_long():
    judged, at = truth([("cart", [])], [fault("cart", DAY, 3 * DAY - 70, path=("cart",))])
    assert np.isnan(judged.chance(at)).tolist() == [True]


def test_findings_are_held_to_the_same_truth_as_alarms():
    lines = [Line("cart", quiet()), Line("cart", quiet()), Line("shop", quiet())]
    raised = [finding("shop", ONSET + 5), finding("cart", ONSET - 200), finding("cart", ONSET + 45), finding("cart", 9)]
    found, chance, false = Truth(world(lines, [FAULT], raised)).findings()
    assert found.tolist() == [True]
    assert 0 <= chance[0] < 0.5
    days = (2 * DAY - 55) / DAY
    assert false.ravel().tolist() == pytest.approx([1, 2 * days, 0, days])
    found, _, false = Truth(world(lines, [FAULT], [finding("cart", ONSET + 36)])).findings()
    assert found.tolist() == [False]
    assert false[:, 0].tolist() == [0, 0]
