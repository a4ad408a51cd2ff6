import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airis_mon.simulate.world import World
from airis_mon.yardstick import rca
from airis_mon.yardstick.ranks import DEPTH, Outcome
from airis_mon.yardstick.worlds import Spec

FLAT = dict.fromkeys(rca.RANKERS, 0.5) | {"chance": 0.1}


def some(source: str, level: dict[str, float], n: int = 40, moment: str = "detection") -> list[Outcome]:
    """Cases in which each arm has the truth among the first k with probability `level`, a little uneven."""
    uneven = [0.05 * (-1) ** k for k in range(n)]
    return [
        Outcome(source, "test", "shop", "network_loss", moment, {a: np.full(DEPTH, x + u) for a, x in level.items()})
        for u in uneven
    ]


def world(level: dict[str, float]) -> list[Outcome]:
    return some("world", level) + some("world", level, moment="impact")


def everywhere(level: dict[str, float]) -> list[Outcome]:
    return world(level) + some("petshop", level) + some("nezha", level)


BETTER = FLAT | {"robust": 0.7}
WORSE = FLAT | {"robust": 0.3}


def test_a_world_that_ranks_as_the_public_sets_do_is_fair() -> None:
    verdict = rca.fairness(everywhere(BETTER))
    assert verdict.fair is True
    assert verdict.figures["tau"] == {"petshop": 1.0, "nezha": 1.0}
    assert "N-sigma / robust" in verdict.figures["agreeing"]["nezha"]


@pytest.mark.parametrize("first", [0.2, 0.7])
def test_a_world_in_which_n_sigma_is_nearly_always_or_hardly_ever_right_is_unfair(first: float) -> None:
    verdict = rca.fairness(world(BETTER | {"N-sigma": first}) + some("petshop", BETTER) + some("nezha", BETTER))
    assert verdict.fair is False
    assert f"{first:.2f} at impact" in verdict.why


def test_every_honest_moment_must_lie_within_the_band() -> None:
    late = BETTER | {"N-sigma": 0.7, "robust": 0.9}
    found = some("world", BETTER, moment="impact") + some("world", late)
    verdict = rca.fairness(found + some("petshop", BETTER) + some("nezha", BETTER))
    assert verdict.fair is False
    assert "detection" in verdict.why
    assert "impact" not in verdict.why


@pytest.mark.parametrize("gone", ["petshop", "nezha"])
def test_without_a_public_set_nobody_can_tell(gone: str) -> None:
    verdict = rca.fairness([o for o in everywhere(BETTER) if o.source != gone])
    assert verdict.fair is None
    assert f"without the public data of {gone}" in verdict.why
    assert "--data" in verdict.why


@pytest.mark.parametrize("turned", ["petshop", "nezha"])
def test_a_pair_that_stands_the_other_way_round_on_a_set_makes_the_world_unfair(turned: str) -> None:
    other = "nezha" if turned == "petshop" else "petshop"
    verdict = rca.fairness(world(BETTER) + some(turned, WORSE) + some(other, FLAT))
    assert verdict.fair is False
    assert f"N-sigma / robust on {turned}" in verdict.why


def test_a_pair_that_the_public_sets_decide_against_each_other_binds_nobody() -> None:
    top = {"PageRank": 0.8}
    verdict = rca.fairness(world(BETTER | top) + some("petshop", BETTER | top) + some("nezha", WORSE | top))
    assert verdict.figures["contradictedByPublicSets"]
    assert verdict.fair is True
    assert "contradict each other on N-sigma / robust" in verdict.why


def test_a_difference_within_its_interval_is_a_tie_and_not_a_reversal() -> None:
    rng = np.random.default_rng(0)
    noisy = some("petshop", WORSE, n=4)
    for o in noisy:
        o.hits["robust"] = np.clip(o.hits["robust"] + rng.choice([-0.3, 0.9]), 0, 1)
        o.hits["N-sigma"] = np.full(DEPTH, rng.random())
    verdict = rca.fairness(world(BETTER) + noisy + some("nezha", BETTER))
    assert "N-sigma / robust" not in verdict.figures["reversed"]["petshop"]


def test_a_pair_that_only_some_worlds_decide_is_a_tie_and_not_a_reversal() -> None:
    public = some("petshop", BETTER) + some("nezha", BETTER)
    strong, weak = FLAT | {"robust": 0.2}, FLAT | {"robust": 0.6}
    even = [replace(o, world=f"{w}") for w in range(4) for o in world(weak if w > 1 else strong)]
    assert rca.fairness([replace(o, world="") for o in even] + public).figures["reversed"]["nezha"]
    assert not rca.fairness(even + public).figures["reversed"]["nezha"]


def test_where_no_two_methods_are_told_apart_nobody_can_tell() -> None:
    verdict = rca.fairness(everywhere(FLAT))
    assert verdict.fair is None
    assert "told apart" in verdict.why


def test_the_table_tells_parts_apart_with_test_last_and_ours_as_not_built() -> None:
    found = [
        Outcome("world", part, "shop", "network_loss", moment, {a: np.full(DEPTH, x) for a, x in BETTER.items()})
        for part in ("test", "train", "dev")
        for moment in rca.MOMENTS
    ]
    table = list(rca.rows(found + some("nezha", BETTER)))
    parts = list(dict.fromkeys(r.part for r in table))
    assert parts.index("world train, impact") < parts.index("world dev, impact") < parts.index("world test, impact")
    assert {"world, onset", "world shop, detection", "world network, detection"} <= set(parts)
    assert {"nezha", "nezha network_loss"} <= set(parts)
    for part in parts:
        arms = {r.arm: r for r in table if r.part == part}
        assert {"chance", "N-sigma", "ours"} <= set(arms)
        assert arms["ours"].note == "not built"
        assert arms["ours"].estimates == {}
        assert arms["robust"].estimates["AC@3"].value == pytest.approx(0.7)


def test_the_answer_names_its_worlds_and_judges_nothing_that_is_not_built(tmp_path: Path) -> None:
    asked = rca.worlds(quick=False)
    said = rca.summed(asked, everywhere(BETTER), tmp_path, quick=False)
    assert said.on["world"] == World.version
    assert [s.name for s in asked if s.part == "test"] == said.on["worlds"]["test"]
    assert "--data" in said.on["public"]["petshop"]
    fair, lift = said.claims
    assert (fair.verdict, lift.verdict, lift.estimate) == ("HOLDS", "not built", None)
    assert json.loads(json.dumps(said.chosen)) == said.chosen
    unfair = rca.summed(asked, world(BETTER | {"N-sigma": 0.9}), tmp_path, quick=False)
    assert unfair.claims[0].verdict == "FAILS"


def test_a_quick_look_never_judges_the_world(tmp_path: Path) -> None:
    for found in (everywhere(BETTER), world(BETTER | {"N-sigma": 0.9})):
        said = rca.summed(rca.worlds(quick=True), found, tmp_path, quick=True)
        assert said.claims[0].verdict == "INCONCLUSIVE"
        assert said.claims[0].why.startswith("quick")


def test_a_known_floor_counts_every_case_the_same_and_stands_beside_what_is_known() -> None:
    one, many = some("petshop", FLAT | {"mean |z|": 0.8}, n=2), some("petshop", FLAT | {"mean |z|": 0.2}, n=6)
    found = one + [replace(o, group="other") for o in many]
    (floor,) = (r for r in rca.rows(found) if (r.arm, r.part) == ("mean |z|", "petshop"))
    assert floor.estimates["AC@1"].value == pytest.approx((2 * 0.8 + 6 * 0.2) / 8)
    assert "0.32" in floor.note
    (plain,) = (r for r in rca.rows(found) if (r.arm, r.part) == ("N-sigma", "petshop"))
    assert plain.note == ""


@pytest.mark.slow
def test_a_small_world_is_measured_and_told_of(tmp_path: Path) -> None:
    heard: list[float] = []
    spec = Spec("dev", "shop", 5, days=1.0, history_days=0.25, faults_per_day=40)
    found = rca.measured([spec], tmp_path, lambda share, _: heard.append(share))
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert {o.part for o in found} == {"dev"}
    assert {o.world for o in found} == {spec.name}
    assert all(set(rca.RANKERS) <= set(o.hits) for o in found)
    assert [o.hits for o in found if o.source == "world hosts" and "oracle" in o.hits] == []
    chance = next(o for o in found if o.source == "world").hits["chance"]
    np.testing.assert_allclose(chance, np.arange(1, 6) / 26)
