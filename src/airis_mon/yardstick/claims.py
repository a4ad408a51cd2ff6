"""Question `claims`: what the specification promises, as measured ratios with intervals, or why that cannot be said.

A verdict needs the whole interval on one side of the bound, a fair world, and an engine: without one of them it is
INCONCLUSIVE or "not built", never a number in disguise.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airis_mon.yardstick import prediction, prevention, quality, rca
from airis_mon.yardstick.base import NOT_BUILT, Answer, Claim, Tell, Verdict

FAIR = "fair world"
"""The claim of question `rca` that all others rest on."""
ASKED = ("quality", "rca", "prediction")
"""The questions that claims rest on."""
SINGLE = ("static", "zscore")
"""Whom false positives are held against; the others stand in question `quality`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A claim whose engine does not exist yet. bound: what the ratio is to reach."""

    name: str
    words: str
    bound: float
    engine: str


@dataclass(frozen=True, slots=True)
class Built:
    """A claim with an engine. against: whom it is held against, by the name of the claim that says so."""

    name: str
    words: str
    bound: float
    against: Mapping[str, str]


FALSE_POSITIVES = Built(
    "false positives -60 %",
    "false episodes of signals, ours for one of a baseline's, at its recall",
    quality.BOUND,
    {quality.claim_name(baseline): baseline for baseline in SINGLE},
)
PREVENTION = Built(
    "failure prevention +70 %",
    prevention.WORDS,
    prevention.BOUND,
    {
        prevention.claim_name(baseline, part): f"{baseline} on {part}"
        for part in prediction.PARTS
        for baseline in prediction.AGAINST
    },
)
MISSING = (
    Missing(
        "time to a correct verdict -50 %",
        "geometric mean of the time until the cause is among the first three shown, ours for the baseline's",
        0.5,
        "the ranking of suspects",
    ),
    Missing(
        "work per fault -30 %",
        "weighted steps, and notifications, per fault, ours for the baseline's at no lower recall",
        0.7,
        "incidents, and the journeys whose steps are counted",
    ),
)


def answer(*, quick: bool, tell: Tell, data: Path | None = None) -> Answer:
    """Asks what the claims rest on, then says which hold; takes as long as all of `ASKED` together.

    data: the folder of the public sets, None = nobody named one.
    """
    began = time.perf_counter()
    asked = {
        "quality": quality.answer(quick=quick, tell=_part_of(tell, 0)),
        "rca": rca.answer(quick=quick, tell=_part_of(tell, 1), data=data),
        "prediction": prediction.answer(quick=quick, tell=_part_of(tell, 2)),
    }
    return claimed(asked, seconds=round(time.perf_counter() - began, 1))


def _part_of(tell: Tell, at: int) -> Tell:
    """Hears of the question at this place among `ASKED`, which are taken to be equally long."""
    return lambda fraction, note: tell((at + fraction) / len(ASKED), note)


def claimed(answers: Mapping[str, Answer], *, seconds: float = 0.0) -> Answer:
    """The claims, from what `ASKED` answered."""
    found, ahead = answers["quality"], answers["prediction"]
    is_fair, why = _fair(answers["rca"].claims)
    unfair = "" if is_fair else f"fairness: {why}. Otherwise: "
    rows = [r for r in found.rows if "ratio" in r.estimates] + [
        r for r in ahead.rows if prevention.WARNED in r.estimates
    ]
    made = (
        _together(FALSE_POSITIVES, found.claims, unfair),
        _together(PREVENTION, ahead.claims, unfair),
    )
    return Answer(
        question="claims",
        on={**found.on, "fairness": why},
        chosen=found.chosen,
        rows=tuple(rows),
        claims=(*made, *(_missing(m) for m in MISSING)),
        not_built=tuple(m.engine for m in MISSING),
        seconds=seconds,
        remarks=(
            f"False positives are held against {' and '.join(SINGLE)}; a claim takes the worst of its figures.",
            f"Failure prevention is held against {' and '.join(prediction.AGAINST)}, on the worlds and on patterns.",
            "Times to repair in the field are not claimed: a true halving shows in a third of studies of 20 incidents.",
        ),
    )


def _fair(claims: Sequence[Claim]) -> tuple[bool, str]:
    fair = next((c for c in claims if c.name == FAIR), None)
    if fair is None:
        return False, "fairness unknown: nobody asked"
    return fair.verdict == "HOLDS", fair.why


def _together(built: Built, claims: Sequence[Claim], unfair: str) -> Claim:
    """The worst of some claims decides; on a world that is not fair nothing does, as `unfair` says."""
    some = sorted((c for c in claims if c.name in built.against), key=_badness)
    verdict: Verdict = "INCONCLUSIVE"
    if not unfair and any(c.verdict == "FAILS" for c in some):
        verdict = "FAILS"
    elif not unfair and len(some) == len(built.against) and all(c.verdict == "HOLDS" for c in some):
        verdict = "HOLDS"
    estimate, bound = (some[-1].estimate, some[-1].bound) if some else (None, built.bound)
    said = "; ".join(f"against {built.against[c.name]} {c.verdict}: {c.why}" for c in reversed(some))
    return Claim(built.name, built.words, estimate, bound, verdict, unfair + said)


def _badness(claim: Claim) -> tuple[bool, float]:
    """Those that fail come last, and of them the one whose figure lies furthest beyond its bound."""
    value = claim.estimate.value if claim.estimate else math.nan
    if not value >= 0:  # unknown
        return claim.verdict == "FAILS", -math.inf
    return claim.verdict == "FAILS", value if claim.bound < 1 else -value


def _missing(m: Missing) -> Claim:
    return Claim(m.name, m.words, None, m.bound, NOT_BUILT, f"not there yet: {m.engine}")
