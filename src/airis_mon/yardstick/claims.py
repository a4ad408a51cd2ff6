"""Question `claims`: what the specification promises, as measured ratios with intervals, or why that cannot be said.

A verdict needs the whole interval on one side of the bound, a fair world, and an engine: without one of them it is
INCONCLUSIVE or "not built", never a number in disguise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airis_mon.yardstick import quality, rca
from airis_mon.yardstick.base import NOT_BUILT, Answer, Claim, Tell, Verdict

FAIR = "fair world"
"""The claim of question `rca` that all others rest on."""
AGAINST = ("static", "zscore")
"""Whom false positives are held against; the others stand in question `quality`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A claim whose engine does not exist yet. bound: what the ratio is to reach."""

    name: str
    words: str
    bound: float
    engine: str


MISSING = (
    Missing(
        "failure prevention +70 %",
        "slow faults warned of 30 minutes ahead, for one that a baseline warns of, at 1 false warning a host-week",
        1.7,
        "the forecast of when something runs out",
    ),
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
    """Asks what the claims rest on, then says which hold; takes as long as `quality` and `rca` together.

    data: the folder of the public sets, None = nobody named one.
    """
    began = time.perf_counter()
    asked = {
        "quality": quality.answer(quick=quick, tell=lambda f, note: tell(f / 2, note)),
        "rca": rca.answer(quick=quick, tell=lambda f, note: tell((1 + f) / 2, note), data=data),
    }
    return claimed(asked, seconds=round(time.perf_counter() - began, 1))


def claimed(answers: Mapping[str, Answer], *, seconds: float = 0.0) -> Answer:
    """The claims, from what `quality` and `rca` answered."""
    found = answers["quality"]
    is_fair, why = _fair(answers["rca"].claims)
    rows = tuple(r for r in found.rows if "ratio" in r.estimates)
    return Answer(
        question="claims",
        on={**found.on, "fairness": why},
        chosen=found.chosen,
        rows=rows,
        claims=(_false_positives(found.claims, is_fair=is_fair, why=why), *(_missing(m) for m in MISSING)),
        not_built=tuple(m.engine for m in MISSING),
        seconds=seconds,
        remarks=(
            f"False positives are held against {' and '.join(AGAINST)}; the claim takes the worse of the two ratios.",
            "Times to repair in the field are not claimed: a true halving shows in a third of studies of 20 incidents.",
        ),
    )


def _fair(claims: Sequence[Claim]) -> tuple[bool, str]:
    fair = next((c for c in claims if c.name == FAIR), None)
    if fair is None:
        return False, "fairness unknown: nobody asked"
    return fair.verdict == "HOLDS", fair.why


def _false_positives(claims: Sequence[Claim], *, is_fair: bool, why: str) -> Claim:
    """The worse of the ratios decides; on a world that is not fair nothing does."""
    names = {quality.claim_name(baseline): baseline for baseline in AGAINST}
    some = [c for c in claims if c.name in names and c.estimate is not None]
    said = "; ".join(f"against {names[c.name]} {c.verdict}: {c.why}" for c in some)
    verdict: Verdict = "INCONCLUSIVE"
    if not is_fair:
        said = f"fairness: {why}. Otherwise: {said}"
    elif any(c.verdict == "FAILS" for c in some):
        verdict = "FAILS"
    elif len(some) == len(AGAINST) and all(c.verdict == "HOLDS" for c in some):
        verdict = "HOLDS"
    worst = max((c.estimate for c in some if c.estimate), key=lambda e: e.value, default=None)
    words = "false episodes of signals, ours for one of a baseline's, at its recall"
    return Claim("false positives -60 %", words, worst, quality.BOUND, verdict, said)


def _missing(m: Missing) -> Claim:
    return Claim(m.name, m.words, None, m.bound, NOT_BUILT, f"not there yet: {m.engine}")
