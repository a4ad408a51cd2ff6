"""No number without an engine, no verdict without a fair world."""

import pytest

from airis_mon.yardstick import claims
from airis_mon.yardstick.base import Answer, Claim, Estimate, Row
from airis_mon.yardstick.quality import claim_name

HALF = Estimate(0.2, 0.1, 0.3, 100)
TWICE = Estimate(2.0, 1.5, 3.0, 100)


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


def first(*answers):
    return claims.claimed({a.question: a for a in answers}).claims[0]


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


def test_claims_without_an_engine_have_no_number():
    found = claims.claimed({"quality": quality(), "rca": rca()})
    assert len(found.claims) == 4
    for claim in found.claims[1:]:
        assert (claim.verdict, claim.estimate) == ("not built", None)
        assert claim.why
    assert len(found.not_built) == 3


def test_what_a_claim_rests_on_is_shown_with_it():
    found = claims.claimed({"quality": quality(), "rca": rca()})
    assert [r.arm for r in found.rows] == ["beside"]
    assert found.on == {"world": "1", "fairness": "fair: so it is"}
    assert found.chosen == {"line": 0.5}
