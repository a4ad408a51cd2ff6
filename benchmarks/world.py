"""How often plain N-sigma ranks the true entity of the simulated world first, by topology and by kind of fault.

A closer look at any seeds than `airis-mon bench rca` gives, which also says whether the world is fair. What is measured
is said in yardstick/cases.py: at the onset as if somebody had told it, and when users first feel the fault.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airis_mon.simulate.kinds import KINDS
from airis_mon.simulate.settings import TOPOLOGIES, Settings
from airis_mon.simulate.truth import verdicts
from airis_mon.simulate.world import World
from airis_mon.yardstick.cases import CLASS_OF, Moment, world_cases
from airis_mon.yardstick.ranks import Outcome, outcome
from airis_mon.yardstick.rca import RANKERS

HOUR = 3_600_000
MOMENTS: tuple[Moment, ...] = ("onset", "impact")
ARMS = {name: RANKERS[name] for name in ("N-sigma", "chance")}


@dataclass(frozen=True, slots=True)
class Asked:
    """One fault that was injected, and what became of it at each moment; felt by nobody: at none."""

    topology: str
    kind: str
    outcomes: dict[str, Outcome]


def measure(seeds: Sequence[int] = (1, 2, 3), days: float = 7.0, faults_per_day: float = 6.0) -> dict[str, Any]:
    """AC@1, AC@3 and chance over all felt faults of services, by topology and by kind; histories left out."""
    began = time.process_time()
    found = [f for t in TOPOLOGIES for seed in seeds for f in _asked(_world(t, seed, days, faults_per_day))]
    services = [f for f in found if CLASS_OF[f.kind] not in {"host", "load"}]
    return {
        "world": World.version,
        "faults": len(found),
        "felt": sum(bool(f.outcomes) for f in found),
        "services": _rates(services),
        "services, at impact": _rates(services, "impact"),
        "hosts": _rates([f for f in found if CLASS_OF[f.kind] == "host"]),
        "topologies": {t: _rates([f for f in services if f.topology == t]) for t in TOPOLOGIES},
        "kinds": {k: _rates([f for f in found if f.kind == k]) for k in KINDS},
        "seconds": round(time.process_time() - began, 1),
    }


def _world(topology: str, seed: int, days: float, faults_per_day: float) -> World:
    asked = Settings(
        topology=topology,
        services=20 + 10 * (seed % 3),
        days=days,
        faults_per_day=faults_per_day,
        history_days=min(1.0, days / 4),
        histogram=False,
    )
    return World(asked, seed)


def _asked(world: World) -> list[Asked]:
    """Every fault of the world."""
    topology, end = world.settings.topology, world.settings.end_ms - HOUR
    some = [v for v in verdicts(world, world.settings.start_ms, end) if not v.is_history]
    faults = {v.fault.id: Asked(topology, v.fault.kind, {}) for v in some}
    for case in world_cases(world, some, MOMENTS):
        faults[case.id.split()[-1]].outcomes[case.moment] = outcome(case, "", ARMS)
    return list(faults.values())


def _rates(faults: Sequence[Asked], moment: Moment = "onset") -> dict[str, Any]:
    felt = [f.outcomes[moment].hits for f in faults if f.outcomes]
    of = {"ac1": ("N-sigma", 0), "ac3": ("N-sigma", 2), "chance": ("chance", 0)}
    figures = {name: round(sum(h[arm][k] for h in felt) / len(felt), 3) for name, (arm, k) in of.items() if felt}
    return {"injected": len(faults), "felt": len(felt), **figures}


def _print(told: dict[str, Any]) -> None:
    def line(name: str, r: dict[str, Any]) -> str:
        rest = f"{r['ac1']:6.3f} {r['ac3']:6.3f} {r['chance']:7.3f}" if r["felt"] else ""
        return f"{name:22} {r['injected']:9} {r['felt']:6} {rest}"

    print(f"world {told['world']}: {told['faults']} faults, {told['felt']} felt ({told['seconds']} CPU s)")
    print(f"{'':22} {'injected':>9} {'felt':>6} {'AC@1':>6} {'AC@3':>6} {'chance':>7}")
    parts = {name: told[name] for name in ("services", "services, at impact", "hosts")}
    for name, r in (*parts.items(), *told["topologies"].items(), *told["kinds"].items()):
        print(line(name, r))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.world", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--faults-per-day", type=float, default=6.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measure(args.seeds, args.days, args.faults_per_day)
    print(json.dumps(result, indent=1)) if args.json else _print(result)
