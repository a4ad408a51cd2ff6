"""Is the simulated world fair? How often plain N-sigma ranks the true service first, beside chance.

A world in which the simplest method is always right, or never, teaches nothing: it counts as fair while N-sigma's
AC@1 over valid faults lies between .3 and .6. N-sigma: the largest |z| of a service's series in the 4 minutes after
the onset (for what climbs to a limit: after the limit was hit) against the mean and deviation of the hour before.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.labels import metric_of
from airis_mon.simulate.kinds import KINDS
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.truth import Verdict, verdicts
from airis_mon.simulate.world import World

Array = NDArray[Any]
HOUR, WINDOW = 3_600_000, 240_000
FAIR = (0.3, 0.6)
TOPOLOGIES = ("shop", "ticket", "social", "random")
GROUPS = {"service": "a service", "host": "a host", "load": "the load"}


def measure(seeds: Sequence[int] = (1, 2, 3), days: float = 7.0, faults_per_day: float = 6.0) -> dict[str, Any]:
    """AC@1, AC@3 and chance over all valid faults of services, by topology, by kind and by moment of the window."""
    began, rows = time.process_time(), []
    for topology in TOPOLOGIES:
        for seed in seeds:
            asked = Settings(
                topology=topology,
                services=20 + 10 * (seed % 3),
                days=days,
                faults_per_day=faults_per_day,
                history_days=min(1.0, days / 4),
                histogram=False,
            )
            world = World(asked, seed)
            rows += list(_ranked(world))
    scored = [r for r in rows if r["group"] == "service"]
    return {
        "world": World.version,
        "faults": len(rows),
        "valid": sum(r["valid"] for r in rows),
        "all": _rates(scored),
        "fair": FAIR[0] <= _rates(scored)["ac1"] <= FAIR[1],
        "at_impact": _rates(scored, "rank_at_impact"),
        "hosts": _rates([r for r in rows if r["group"] == "host"]),
        "topologies": {t: _rates([r for r in scored if r["topology"] == t]) for t in TOPOLOGIES},
        "kinds": {k: _rates([r for r in rows if r["kind"] == k]) for k in KINDS},
        "seconds": round(time.process_time() - began, 1),
    }


def _rates(rows: Sequence[dict[str, Any]], rank: str = "rank") -> dict[str, Any]:
    valid = [r for r in rows if r["valid"]]
    if not valid:
        return {"injected": len(rows), "valid": 0, "ac1": None}
    ranks = np.array([r[rank] for r in valid])
    return {
        "injected": len(rows),
        "valid": len(valid),
        "ac1": round(float((ranks <= 1).mean()), 3),
        "ac3": round(float((ranks <= 3).mean()), 3),
        "chance": round(float(np.mean([1 / r["candidates"] for r in valid])), 3),
    }


def _ranked(world: World) -> Iterator[dict[str, Any]]:
    """One row per fault of the world, histories left out."""
    begin, end = world.settings.start_ms, world.settings.end_ms
    found = [v for v in verdicts(world, begin, end - HOUR) if not v.is_history]
    signals = _Signals(world)
    moments: dict[int, list[tuple[Verdict, str]]] = defaultdict(list)
    rows = {v.fault.id: _row(world, v) for v in found}
    for v in found:
        moments[_struck(v)].append((v, "rank"))
        moments[v.impact_ms or _struck(v)].append((v, "rank_at_impact"))
    for at in sorted(moments):
        scores = signals.scores(at)
        for v, name in moments[at]:
            rows[v.fault.id][name] = _rank(scores, v.fault.entity, world, rows[v.fault.id]["group"])
    yield from rows.values()


def _struck(v: Verdict) -> int:
    return v.fault.full_ms if KINDS[v.fault.kind].lead_h[1] else v.fault.onset_ms


def _row(world: World, v: Verdict) -> dict[str, Any]:
    group = {"host": "host", "load": "load"}.get(KINDS[v.fault.kind].befalls[0], "service")
    candidates = len(world.topology.names) + (len(world.topology.zone) if group == "host" else 0)
    return {
        "topology": world.settings.topology,
        "kind": v.fault.kind,
        "group": group,
        "valid": v.is_valid and group != "load",
        "candidates": candidates,
    }


def _rank(scores: dict[str, float], entity: str, world: World, group: str) -> int:
    """1 = first; ties count against it, so that an order of columns cannot look like skill."""
    if group == "load":
        return len(scores) + 1
    names = set(world.topology.names) | (set(world.topology.hosts) if group == "host" else set())
    return sum(scores[n] >= scores[entity] for n in names if n in scores) if entity in scores else len(names)


class _Signals:
    """The world's series as N-sigma sees them, read once in order of time: rates, mean latencies, gauges."""

    def __init__(self, world: World) -> None:
        labels = [dict(x) for x in world.labels]
        metrics = [metric_of(x) for x in world.labels]
        self._world, self._counters = world, world.layout.counters
        self._owner = [x.get("server") or x.get("service") or x["host"] for x in labels]
        self._keep = np.array([not m.endswith("_bucket") for m in metrics])
        bare = {(*(p for p in x if p[0] != "__name__"), metric_of(x)): i for i, x in enumerate(world.labels)}
        sums = [i for i, m in enumerate(metrics) if m.endswith("duration_seconds_sum")]
        self._sums = np.array(sums)
        self._counts = np.array([bare[(*world.labels[i][1:], metrics[i][:-3] + "count")] for i in sums])
        self._blocks = world.blocks()
        self._t, self._value = np.zeros(0, np.int64), np.zeros((0, len(labels)))

    def scores(self, at: int) -> dict[str, float]:
        """The largest |z| by entity; moments must be asked for in order."""
        while not len(self._t) or self._t[-1] < at + WINDOW:
            if (block := next(self._blocks, None)) is None:
                break
            value = np.where(block.present & np.isfinite(block.value), block.value, np.nan)
            kept = self._t >= at - HOUR - 600_000
            self._t = np.concatenate([self._t[kept], block.t])
            self._value = np.concatenate([self._value[kept], value])
        return self._z((self._t >= at - HOUR) & (self._t < at), (self._t >= at) & (self._t < at + WINDOW))

    def _z(self, before: Array, after: Array) -> dict[str, float]:
        values = self._levels()
        with np.errstate(all="ignore"):
            history, now = values[before[1:]], values[after[1:]]
            n = np.isfinite(history).sum(axis=0)
            mean = np.nansum(history, axis=0) / n
            deviation = np.sqrt(np.nansum((history - mean) ** 2, axis=0) / n)
            z = np.abs(now - mean) / np.where(deviation > 0, deviation, 1)
        z[:, (n < 60) | ~self._keep] = 0
        best: dict[str, float] = {}
        for column, worst in enumerate(np.nan_to_num(z).max(axis=0, initial=0).tolist()):
            best[self._owner[column]] = max(best.get(self._owner[column], 0.0), worst)
        return best

    def _levels(self) -> Array:
        values = self._value[1:].copy()
        rate = np.diff(self._value[:, : self._counters], axis=0)
        rate[rate < 0] = np.nan
        values[:, : self._counters] = rate
        with np.errstate(all="ignore"):
            values[:, self._sums] = rate[:, self._sums] / rate[:, self._counts]
        return np.where(np.isfinite(values), values, np.nan)


def _print(told: dict[str, Any]) -> None:
    def line(name: str, r: dict[str, Any]) -> str:
        rest = f"{r['ac1']:6.3f} {r['ac3']:6.3f} {r['chance']:7.3f}" if r["valid"] else ""
        return f"{name:22} {r['injected']:9} {r['valid']:6} {rest}"

    print(f"world {told['world']}: {'fair' if told['fair'] else 'NOT fair'} ({told['seconds']} CPU s)")
    print(f"{'':22} {'injected':>9} {'valid':>6} {'AC@1':>6} {'AC@3':>6} {'chance':>7}")
    print(line("services", told["all"]))
    print(line("services, at impact", told["at_impact"]))
    print(line("hosts", told["hosts"]))
    for name, r in (*told["topologies"].items(), *told["kinds"].items()):
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
