"""No number without an engine, no verdict without a fair world."""

import math

import pytest

from airis_mon.yardstick import claims, prediction, prevention
from airis_mon.yardstick.base import Answer, Claim, Estimate, Row
from airis_mon.yardstick.quality import claim_name

HALF = Estimate(0.2, 0.1, 0.3, 100)
TWICE = Estimate(2.0, 1.5, 3.0, 100)
EVEN = Estimate(1.0, 0.6, 1.5, 100)


def quality(static="HOLDS", zscore="HOLDS", band="FAILS", estimates=(HALF, HALF)):
    made = tuple(
        Claim(claim_name(name), "", estimate, 0.4, verdict, "because")
        for name, verdict, estimate in (
            ("static", static, estimates[0]),
            ("zscore", zscore, estimates[1]),
            ("promql band", band, TWICE),
        )
    )
    rows = (Row("record", "test", {"recall": HALF}), Row("beside", "test", {"ratio": HALF}))
    return Answer("quality", {"world": "1"}, {"line": 0.5}, rows, made)


def rca(verdict="HOLDS", why="fair: so it is"):
    return Answer("rca", {}, {}, (), (Claim("fair world", "", HALF, 0.3, verdict, why),))


def ahead(*verdicts, estimates=(EVEN,) * 4):
    """What `prediction` answers; verdicts and estimates: in the order of parts, and in each of baselines."""
    pairs = [(other, part) for part in prediction.PARTS for other in prediction.AGAINST]
    made = tuple(
        Claim(prevention.claim_name(*pair), "", estimate, 0.3, verdict, "because")
        for pair, verdict, estimate in zip(pairs, verdicts, estimates, strict=True)
    )
    rows = (Row("ours", "test", {"recall30min": HALF}), Row("ours beside", "test", {prevention.WARNED: EVEN}))
    return Answer("prediction", {}, {}, rows, made)


NO_BETTER = ahead("FAILS", "FAILS", "INCONCLUSIVE", "INCONCLUSIVE")


def asked(*answers):
    return claims.claimed({a.question: a for a in (NO_BETTER, *answers)})


def first(*answers):
    return asked(*answers).claims[0]


def prevented(*answers):
    return asked(quality(), *answers).claims[1]


def test_false_positives_hold_only_against_both():
    assert first(quality(), rca()).verdict == "HOLDS"
    assert first(quality(static="FAILS"), rca()).verdict == "FAILS"
    assert first(quality(zscore="INCONCLUSIVE"), rca()).verdict == "INCONCLUSIVE"
    assert first(quality(static="INCONCLUSIVE", zscore="FAILS"), rca()).verdict == "FAILS"


def test_the_worse_ratio_is_the_measured_one():
    assert first(quality(estimates=(TWICE, HALF)), rca()).estimate == TWICE
    assert first(quality(), rca()).estimate == HALF


@pytest.mark.parametrize("verdict", ["FAILS", "INCONCLUSIVE"])
def test_on_a_world_that_is_not_known_to_be_fair_nothing_is_said(verdict):
    said = first(quality(), rca(verdict, "not fair: too easy"))
    assert said.verdict == "INCONCLUSIVE"
    assert "not fair: too easy" in said.why
    assert first(quality(static="FAILS"), rca(verdict, "")).verdict == "INCONCLUSIVE"


def test_fairness_that_nobody_asked_for_is_unknown():
    said = first(quality(), Answer("rca", {}, {}, ()))
    assert said.verdict == "INCONCLUSIVE"
    assert "fairness unknown" in said.why


def test_failure_prevention_holds_only_against_every_baseline_on_every_part():
    assert prevented(rca(), ahead(*["HOLDS"] * 4)).verdict == "HOLDS"
    assert prevented(rca(), ahead("HOLDS", "HOLDS", "HOLDS", "INCONCLUSIVE")).verdict == "INCONCLUSIVE"
    assert prevented(rca(), ahead("HOLDS", "FAILS", "HOLDS", "INCONCLUSIVE")).verdict == "FAILS"
    assert prevented(rca(), Answer("prediction", {}, {}, ())).verdict == "INCONCLUSIVE"


def test_what_failure_prevention_would_be_on_a_fair_world_is_said():
    said = prevented(rca("FAILS", "not fair: too easy"))
    assert (said.verdict, said.bound, said.estimate) == ("INCONCLUSIVE", 0.3, EVEN)
    assert said.why.startswith("fairness: not fair: too easy. Otherwise: against ")
    assert f"against {prediction.STATIC} on test FAILS: because" in said.why


def test_the_figure_shown_is_the_worst_of_those_that_fail():
    worst, none = Estimate(1.2, 0.9, 1.6, 100), Estimate(math.nan, math.nan, math.nan, 100)
    found = ahead("FAILS", "FAILS", "INCONCLUSIVE", "INCONCLUSIVE", estimates=(EVEN, worst, TWICE, none))
    assert prevented(rca(), found).estimate == worst


def test_claims_without_an_engine_have_no_number():
    found = asked(quality(), rca())
    assert len(found.claims) == 4
    for claim in found.claims[2:]:
        assert (claim.verdict, claim.estimate) == ("not built", None)
        assert claim.why
    assert len(found.not_built) == 2


def test_what_a_claim_rests_on_is_shown_with_it():
    found = asked(quality(), rca())
    assert [r.arm for r in found.rows] == ["beside", "ours beside"]
    assert found.on == {"world": "1", "fairness": "fair: so it is"}
    assert found.chosen == {"line": 0.5}
