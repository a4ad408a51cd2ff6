"""Question `rca`: how published root-cause rankers do on the simulated world and on public incidents; is it fair.

A world in which the simplest method is always right, or never, teaches nothing, and one that ranks methods as nobody
else's incidents do teaches the wrong thing. `fairness` says which of it holds; the rule was set before the worlds of
the table were run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt
from pathlib import Path
from typing import Any

from airis_mon.simulate.settings import Settings
from airis_mon.simulate.truth import verdicts
from airis_mon.simulate.world import World
from airis_mon.yardstick.base import Answer, Claim, Estimate, Row, Tell
from airis_mon.yardstick.base import Verdict as Says
from airis_mon.yardstick.cases import CLASS_OF, CLASSES, Case, Moment, world_cases
from airis_mon.yardstick.public import KNOWN_FLOORS, REMEDY, SETS, floor, has, public_cases
from airis_mon.yardstick.rankers import chance, correlation, monitorrank, nsigma, oracle, pagerank, robust
from airis_mon.yardstick.ranking import Ranker
from airis_mon.yardstick.ranks import Drawn, Outcome, outcome
from airis_mon.yardstick.worlds import Part, Spec, specs

RANKERS: dict[str, Ranker] = {
    "chance": chance.rank,
    "N-sigma": nsigma.rank,
    "robust": robust.rank,
    "PageRank": pagerank.rank,
    "MonitorRank": monitorrank.rank,
    "correlation": correlation.rank,
}
OURS, ORACLE, FLOOR = "ours", "oracle", "mean |z|"
PARTS: tuple[Part, ...] = ("train", "dev", "test")
MOMENTS: tuple[Moment, ...] = ("onset", "impact", "detection")
HONEST: tuple[Moment, ...] = ("impact", "detection")
"""Moments that a user of ours could know; when something was injected nobody tells."""
STEP_S, HISTORY_DAYS = 15.0, 1.0
QUICK_DAYS = 2.0
LAST_MS = 3_600_000
BAND = (0.3, 0.6)
"""Where N-sigma's AC@1 must lie for the world to be neither trivial nor hopeless."""
LIFT = 0.15
"""What our own ranker is to have over N-sigma's AC@1."""


def answer(*, quick: bool, tell: Tell, data: Path | None = None) -> Answer:
    """All rankers on all parts, and whether the world is fair; without the public sets that cannot be judged.

    data: the folder of the public sets, None = nobody named one.
    """
    began, asked = time.perf_counter(), worlds(quick=quick)
    said = summed(asked, measured(asked, data, tell), data, quick=quick)
    return replace(said, seconds=round(time.perf_counter() - began, 1))


def summed(asked: Sequence[Spec], found: Sequence[Outcome], data: Path | None, *, quick: bool) -> Answer:
    """The answer that outcomes give. A quick look never judges the world: its cases are too few."""
    verdict = fairness(found)
    if quick:
        verdict = replace(verdict, fair=None, why=f"quick: too few cases to judge the world; {verdict.why}")
    return Answer(
        question="rca",
        on=_described(asked, found, data),
        chosen={"settings": "none: no ranker has a setting that was tuned", "fairness": verdict.figures},
        rows=tuple(rows(found)),
        claims=_claims(found, verdict),
        not_built=("our ranking of suspects",),
        remarks=_REMARKS,
    )


_REMARKS = (
    "Intervals: 95 %, worlds of each topology drawn again and the cases in them; of public sets the cases alone.",
    "Equal scores count as every order of them would on average: no order of names or columns looks like skill.",
    "Of the world: only faults that users felt, and that are somebody's; earlier faults stay in the history.",
    "Of two faults at once each is asked for alone, and the other one is a wrong answer.",
    "onset: the time of injection is given, which flatters; impact: users begin to feel it; detection: a minute on.",
    "oracle: knows from the truth when each service was reached, and names the first.",
)


def worlds(*, quick: bool) -> list[Spec]:
    """Those of every part, test last. Scraped every 15 s, not by the minute: a window of 5 minutes needs its rows."""
    return [replace(s, days=QUICK_DAYS) if quick else s for part in PARTS for s in specs(part, quick=quick)]


def measured(asked: Sequence[Spec], data: Path | None, tell: Tell) -> list[Outcome]:
    """What every ranker makes of every case: of the worlds asked, then of the public sets in a folder."""
    found = list[Outcome]()
    for k, spec in enumerate(asked):
        tell(k / (len(asked) + 1), f"world {spec.name}")
        found += [outcome(c, spec.part, _arms(c), spec.name) for c in _cases(spec)]
    tell(len(asked) / (len(asked) + 1), "public incidents")
    found += [outcome(c, "", _arms(c)) for c in public_cases(data)]
    tell(1.0, "ranked")
    return found


def _settings(spec: Spec) -> Settings:
    return replace(spec.settings, step_s=STEP_S, history_days=min(HISTORY_DAYS, spec.days / 4))


def _cases(spec: Spec) -> Iterator[Case]:
    settings = _settings(spec)
    world = World(settings, spec.seed)
    asked = [v for v in verdicts(world, settings.start_ms, settings.end_ms - LAST_MS) if not v.is_history]
    return world_cases(world, asked, MOMENTS)


def _arms(case: Case) -> Mapping[str, Ranker]:
    """Who answers a case: the oracle only where the truth is timed, the floor where one is known."""
    more = {ORACLE: oracle.rank} if case.source == "world" else {}
    return {**RANKERS, **more, **({FLOOR: floor} if case.source in SETS else {})}


# --- the table --------------------------------------------------------------------------------------------------------


def rows(found: Sequence[Outcome]) -> Iterator[Row]:
    """Every arm on every part, the test part last of the world's."""
    for name, some in _portions(found):
        if some:
            yield from _rows(name, some)


def _portions(found: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    """The parts that are told apart, with their cases."""
    world = [o for o in found if o.source == "world"]
    for part in PARTS:
        for moment in MOMENTS:
            yield f"world {part}, {moment}", [o for o in world if (o.part, o.moment) == (part, moment)]
    for moment in MOMENTS:
        yield f"world, {moment}", [o for o in world if o.moment == moment]
    late = [o for o in found if o.moment == HONEST[-1]]
    for graph in sorted({o.group for o in world}):
        yield f"world {graph}, {HONEST[-1]}", [o for o in late if (o.source, o.group) == ("world", graph)]
    for name in CLASSES:
        yield f"world {name}, {HONEST[-1]}", [o for o in late if CLASS_OF.get(o.kind) == name]
    for source in SETS:
        some = [o for o in found if o.source == source]
        yield source, some
        for kind in sorted({o.kind for o in some}):
            yield f"{source} {kind}", [o for o in some if o.kind == kind]


def _rows(part: str, some: Sequence[Outcome]) -> Iterator[Row]:
    drawn = Drawn(some)
    for arm in some[0].hits:
        if arm == FLOOR and part in SETS:
            yield _floor(part, some)
        else:
            yield Row(arm, part, drawn.estimates(arm))
    yield Row(OURS, part, {}, "not built")


def _floor(part: str, some: Sequence[Outcome]) -> Row:
    """What proves the reading of a public set right; all cases count the same, as they did where it is known from."""
    first, third = KNOWN_FLOORS[part]
    note = f"on {part}, every case counting the same; known from elsewhere: AC@1 {first:g}, AC@3 {third:g}"
    return Row(FLOOR, part, Drawn([replace(o, group="") for o in some]).estimates(FLOOR), note)


# --- is it fair? ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fairness:
    """Whether results on the world mean anything. None: it cannot be judged. figures: what the verdict rests on."""

    fair: bool | None
    why: str
    figures: dict[str, Any]


Pair = tuple[str, str]
Order = dict[Pair, Estimate]
"""Of each pair of arms, by how much the Avg@5 of the first exceeds that of the second."""


def fairness(found: Sequence[Outcome]) -> Fairness:
    """The world is fair if both of these hold, and unfair if one fails.

    1. N-sigma's AC@1, the mean over topologies, lies within BAND at every honest moment.
    2. No pair of methods (chance is one) stands the other way round on PetShop or on Nezha. A pair is decided where
       the 95 % interval of the difference of Avg@5 leaves out 0, over the same worlds and cases drawn; otherwise it is
       a tie. A pair that the public sets themselves decide against each other binds nobody: no world could agree with
       both.

    Without both public sets, or where no two methods are decided alike on the world and a set, nobody can tell.
    """
    band = {m: Drawn(_world(found, m)).estimates("N-sigma")["AC@1"] for m in HONEST}
    orders = {source: _order([o for o in found if o.source == source]) for source in SETS}
    world = _order(_world(found, HONEST[-1]))
    split = [pair for pair in world if {_sign(o[pair]) for o in orders.values()} >= {1, -1}]
    alike = {s: {p: _sign(world[p]) * _sign(o[p]) for p in world} for s, o in orders.items()}
    figures = {
        "band": {m: _told(e) for m, e in band.items()},
        "reversed": {s: [_named(p) for p, x in by.items() if x < 0 and p not in split] for s, by in alike.items()},
        "contradictedByPublicSets": [_named(p) for p in split],
        "agreeing": {s: [_named(p) for p, x in by.items() if x > 0] for s, by in alike.items()},
        "tau": {s: _tau(world, o) for s, o in orders.items()},
        "leads": {_named(p): {s: _told(o[p]) for s, o in {"world": world, **orders}.items()} for p in world},
    }
    return Fairness(*_judged(found, band, figures), figures)


def _judged(
    found: Sequence[Outcome], band: Mapping[Moment, Estimate], figures: Mapping[str, Any]
) -> tuple[bool | None, str]:
    outside = [f"{e.value:.2f} at {m}" for m, e in band.items() if not BAND[0] <= e.value <= BAND[1]]
    missing = [s for s in SETS if not any(o.source == s for o in found)]
    turned = [f"{pair} on {s}" for s, pairs in figures["reversed"].items() for pair in pairs]
    lonely = [s for s, pairs in figures["agreeing"].items() if not [p for p in pairs if "chance" not in p]]
    if outside:
        return False, f"not fair: N-sigma's AC@1 is {', '.join(outside)}, outside of {BAND[0]} to {BAND[1]}"
    if missing:
        return None, f"cannot be judged without the public data of {' and '.join(missing)}; {REMEDY}"
    if turned:
        return False, f"not fair: methods rank the other way round: {'; '.join(turned)}"
    if lonely:
        return None, f"cannot be judged: no two methods are told apart both here and on {' or '.join(lonely)}"
    said = "".join(f"; the public sets contradict each other on {p}" for p in figures["contradictedByPublicSets"])
    return True, f"fair: N-sigma's AC@1 lies within {BAND[0]} to {BAND[1]}, and no decided pair is reversed{said}"


def _world(found: Sequence[Outcome], moment: Moment) -> list[Outcome]:
    return [o for o in found if (o.source, o.moment) == ("world", moment)]


def _order(some: Sequence[Outcome]) -> Order:
    drawn = Drawn(some)
    return {(a, b): drawn.lead(a, b) for a, b in combinations(RANKERS, 2)}


def _sign(by: Estimate) -> int:
    """1 if the first is better, -1 if worse, 0 if nobody can tell."""
    return 1 if by.low > 0 else -1 if by.high < 0 else 0


def _named(pair: Pair) -> str:
    return " / ".join(pair)


def _told(e: Estimate) -> list[float]:
    """The figure and its interval."""
    return [round(x, 3) for x in (e.value, e.low, e.high)]


def _tau(a: Order, b: Order) -> float | None:
    """Kendall's tau-b (1945, doi:10.1093/biomet/33.3.239) with undecided pairs as ties; None if all are."""
    decided = sqrt(sum(abs(_sign(x)) for x in a.values()) * sum(abs(_sign(x)) for x in b.values()))
    return round(sum(_sign(a[p]) * _sign(b[p]) for p in a) / decided, 3) if decided else None


# --- words ------------------------------------------------------------------------------------------------------------


def _claims(found: Sequence[Outcome], verdict: Fairness) -> tuple[Claim, ...]:
    says: dict[bool | None, Says] = {True: "HOLDS", False: "FAILS", None: "INCONCLUSIVE"}
    first = Drawn(_world(found, HONEST[-1])).estimates("N-sigma")["AC@1"]
    fair = Claim(
        "fair world",
        "N-sigma's AC@1 on the world lies between .3 and .6, and methods rank as on PetShop and Nezha",
        first,
        BAND[0],
        says[verdict.fair],
        verdict.why,
    )
    lift = Claim("lift over N-sigma", f"our AC@1 exceeds N-sigma's by {LIFT} on unseen worlds", None, LIFT, "not built")
    return fair, lift


def _described(asked: Sequence[Spec], found: Sequence[Outcome], data: Path | None) -> dict[str, Any]:
    return {
        "world": World.version,
        "stepSeconds": STEP_S,
        "days": sorted({s.days for s in asked}),
        "faultsPerDay": sorted({s.faults_per_day for s in asked}),
        "worlds": {part: [s.name for s in asked if s.part == part] for part in PARTS},
        "cases": {s: sum(o.source == s for o in found) for s in ("world", "world hosts", *SETS)},
        "public": {s: "read" if has(data, s) else f"missing; {REMEDY}" for s in SETS},
    }
