"""Equal recall is reached on one part and judged on another, and a verdict needs the whole interval."""

import numpy as np
import pytest

from airis_mon.yardstick import quality
from airis_mon.yardstick.base import Estimate
from airis_mon.yardstick.quality import BASELINES, JOINED, OURS, Matched, Table, claim_name, count, said
from tests.yardstick.worldbuilder import Line, fault, marked, quiet, world

DAY = 1440
FAULTS = tuple(fault("cart", DAY + at, DAY + at + 30, path=("cart",), name=f"f{at}") for at in (200, 600, 1000, 1500))
ONSETS = [DAY + at for at in (200, 600, 1000, 1500)]
LINES = {name: Matched(0.8, 1.0, 1.0) for name in BASELINES}


def table(score, value=None):
    value = quiet() if value is None else value
    return Table([count(world([Line("cart", value, score)], FAULTS), LINES)], LINES)


def row(made, arm):
    return next(r for r in made.rows() if r.arm == arm)


def test_a_perfect_arm_finds_all_and_raises_nothing_else():
    perfect = row(table(marked(*ONSETS)), OURS).estimates
    assert (perfect["recall"].value, perfect["recall"].low, perfect["recall"].n) == (1.0, 1.0, 4)
    assert perfect["by chance"].value == 0.0
    assert perfect["false/series-day"].value == 0.0


def test_a_blind_arm_finds_nothing():
    blind = row(table(np.zeros(3 * DAY)), OURS).estimates
    assert blind["recall"].value == 0.0
    assert blind["false/series-day"].value == 0.0


def test_false_episodes_are_counted_for_each_day_a_signal_was_watched():
    made = row(table(marked(*ONSETS, DAY + 50, DAY + 100)), OURS).estimates["false/series-day"]
    quiet_minutes = 2 * DAY - 4 * 55
    assert made.value == pytest.approx(2 / (quiet_minutes / DAY))
    assert made.n == 1


def test_rows_name_every_arm_at_its_own_line_and_ours_at_the_recall_of_each():
    made = [r.arm for r in table(marked(*ONSETS)).rows()]
    assert made == [OURS, *BASELINES, JOINED, *(f"{OURS} at the recall of {name}" for name in BASELINES)]


def test_the_ratio_is_of_false_episodes_and_the_lead_of_recalls():
    made = table(marked(*ONSETS, DAY + 50))
    theirs = row(made, "zscore").estimates
    beside = row(made, f"{OURS} at the recall of zscore").estimates
    assert beside["ratio"].value == pytest.approx(beside["false/series-day"].value / theirs["false/series-day"].value)
    assert beside["recall - theirs"].value == pytest.approx(1.0 - theirs["recall"].value)


def test_of_several_lines_with_the_nearest_recall_the_highest_is_taken():
    recall = np.linspace(1.0, 0.5, len(quality.LINES)).round(1)
    found = quality._nearest(recall, 0.83)
    assert found.ours == 0.8
    assert found.line == max(line for line, r in zip(quality.LINES, recall, strict=True) if r == 0.8)
    assert quality._nearest(recall, 0.2).ours == 0.5


def test_our_line_is_moved_until_we_find_what_a_baseline_finds():
    rising, score = quiet(), np.maximum(marked(*ONSETS[:2]) * 0.95, marked(*ONSETS[2:]) * 0.5)
    for at in ONSETS:
        rising[at : at + 30] += 400
    found = quality.matched([world([Line("cart", rising, score)], FAULTS)])
    assert set(found) == set(BASELINES)
    for name in ("static", "promql band"):  # a z-score alarms so often that some alarm stood before
        assert (found[name].line, found[name].ours, found[name].theirs) == (0.5, 1.0, 1.0)
    blind = world([Line("bank", rising, score)], FAULTS)
    half = quality.matched([world([Line("cart", rising, score)], FAULTS), blind])
    assert (half["static"].line, half["static"].ours, half["static"].theirs) == (0.5, 0.5, 0.5)


def ratio(low, high):
    return Estimate((low + high) / 2, low, high, 100)


EVEN, LOWER, HIGHER = Estimate(0, -0.02, 0.02, 100), Estimate(-0.1, -0.15, -0.05, 100), Estimate(0.1, 0.05, 0.15, 100)
SAME = Matched(0.5, 0.91, 0.905)


@pytest.mark.parametrize(
    ("of", "lead", "line", "verdict"),
    [
        (ratio(0.1, 0.39), EVEN, SAME, "HOLDS"),
        (ratio(0.1, 0.39), HIGHER, SAME, "HOLDS"),
        (ratio(0.1, 0.39), LOWER, SAME, "INCONCLUSIVE"),
        (ratio(0.1, 0.39), EVEN, Matched(0.3, 0.85, 0.95), "INCONCLUSIVE"),
        (ratio(0.1, 0.41), EVEN, SAME, "INCONCLUSIVE"),
        (ratio(0.41, 2.0), EVEN, SAME, "FAILS"),
        (ratio(0.41, 2.0), LOWER, SAME, "FAILS"),
        (ratio(0.41, 2.0), HIGHER, SAME, "INCONCLUSIVE"),
        (ratio(0.41, 2.0), EVEN, Matched(0.998, 0.95, 0.85), "INCONCLUSIVE"),
        (Estimate(np.inf, np.inf, np.inf, 5), EVEN, SAME, "INCONCLUSIVE"),
        (Estimate(np.nan, np.nan, np.nan, 5), EVEN, SAME, "INCONCLUSIVE"),
    ],
)
def test_a_verdict_needs_the_whole_interval_and_recalls_that_speak_for_it(of, lead, line, verdict):
    assert said(of, lead, line)[0] == verdict
    assert said(of, lead, line, quick=True)[0] == "INCONCLUSIVE"


def test_claims_are_named_after_the_baseline():
    made = table(marked(*ONSETS))
    assert [made.claim(name, quick=True).name for name in BASELINES] == [claim_name(n) for n in BASELINES]


def test_an_answer_names_worlds_lines_and_every_figure_s_interval(tiny):
    heard = []
    told = quality.measured([tiny.spec], [tiny.spec], quick=True, tell=lambda fraction, note: heard.append(fraction))
    assert told.on["world"] == tiny.world.version
    assert told.on["events"] == len(tiny.events)
    assert len(told.chosen["on train"]) == len(BASELINES)
    assert {c.verdict for c in told.claims} == {"INCONCLUSIVE"}
    for made in told.rows:
        e = made.estimates["recall"]
        assert 0 <= e.low <= e.value <= e.high <= 1
        assert e.n == len(tiny.events)
    assert heard == sorted(heard)
