"""Who calls whom: services in topological order (callers first), their replicas on hosts in zones, and their edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from airis_mon.simulate.classics import CLASSICS
from airis_mon.simulate.dice import Dice, Floats

Ints = NDArray[np.int64]
Edge = tuple[str, str]
ROLES = ("entry", "app", "cache", "db", "queue", "external")
ZONES = 3
MAX_CALLS, MAX_VISITS = 2.5, 6.0
CHRONIC_ODDS, BORNE = 0.05, 0.1
"""A few services fail for one request in a hundred, and have done so for so long that callers fall back on something
else: only so much of it reaches them."""
PEAK_FACTOR = 1.7
"""Peak demand of a common day over its mean; capacities are laid out for it."""


@dataclass(frozen=True, slots=True)
class Topology:
    """The true graph as arrays: S services, R replicas, E edges, H hosts, K endpoints; edges sorted by caller."""

    names: tuple[str, ...]  # (service,)
    roles: tuple[str, ...]  # (service,)
    caller: Ints  # (edge,) < callee: services stand in topological order
    callee: Ints  # (edge,)
    per_call: Floats  # (edge,) calls per request of the caller, over all endpoints
    gap_s: Floats  # (edge,) network time of a call
    timeout_s: Floats  # (edge,)
    retries: Ints  # (edge,) further attempts after an error
    lag_s: Floats  # (edge,) until the caller feels what the callee does
    spread: Floats  # (edge,) how probably a failed call fails the caller's request
    is_async: NDArray[np.bool_]  # (edge,) from a queue to its consumer
    cache_of: Ints  # (edge,) the cache that stands before this call, -1 = none
    endpoints: tuple[str, ...]  # (endpoint,)
    entry: Ints  # (endpoint,) the service that users call
    demand: Floats  # (endpoint,) mean requests/s
    visits: Floats  # (endpoint, service) requests at a service per request of a user
    calls: Floats  # (endpoint, edge) calls per request of a user
    is_parallel: NDArray[np.bool_]  # (service,) calls its callees at once, not in turn
    own_s: Floats  # (service,) latency of its own when idle
    idle_s: Floats  # (service,) the same with its calls
    base_errors: Floats  # (service,) error probability of its own on a good day
    chronic: Floats  # (service,) of what fails always, 0 for all but a few
    unsteady: Floats  # (service,) how far its latency wanders, of itself
    pool_size: Floats  # (service,) connections to its stores; a request holds one while it works
    workers: Floats  # (service,) per replica
    service: Ints  # (replica,) sorted
    host: Ints  # (replica,)
    capacity: Floats  # (replica,) requests/s
    cores: Floats  # (replica,) used by one request a second
    scale_at: Floats  # (replica,) share of peak demand from which it runs; 0 = always
    zone: Ints  # (host,)

    def of(self, *roles: str) -> Ints:
        """The services of some roles."""
        return np.array([i for i, r in enumerate(self.roles) if r in roles], np.int64)

    def replicas(self, service: int) -> Ints:
        """The replicas of a service."""
        return np.flatnonzero(self.service == service)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """(caller, callee) by name."""
        return tuple((self.names[a], self.names[b]) for a, b in zip(self.caller, self.callee, strict=True))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"host-{i:02d}" for i in range(len(self.zone)))


def build(kind: str, services: int, dice: Dice) -> Topology:
    """A classic graph, or for "random" one of so many services, with everything else drawn."""
    rng = dice.at("topology")
    edges = _classic(CLASSICS[kind]) if kind in CLASSICS else _layered(services, rng)
    names = _in_order(edges)
    number = {name: i for i, name in enumerate(names)}
    pairs = np.array(sorted((number[a], number[b]) for a, b in edges), np.int64)
    roles = tuple(_role(name, i) for i, name in enumerate(names))
    return _furnish(names, roles, pairs[:, 0], pairs[:, 1], rng)


def published(topology: Topology, wrong: float, dice: Dice) -> tuple[Edge, ...]:
    """The graph that the world admits to: a share of the edges missing, and as many that are none."""
    rng, edges = dice.at("published"), topology.edges
    n = round(wrong * len(edges))
    gone = set(rng.permutation(len(edges))[:n].tolist())
    kept = [e for i, e in enumerate(edges) if i not in gone]
    known, size = set(edges), len(topology.names)
    callers = [i for i, r in enumerate(topology.roles) if r in {"entry", "app"} and i < size - 1]
    for _ in range(50 * n):
        if len(kept) == len(edges):
            break
        a = int(rng.choice(callers))
        pair = (topology.names[a], topology.names[int(rng.integers(a + 1, size))])
        if pair not in known:
            known.add(pair)
            kept.append(pair)
    return tuple(sorted(kept))


def _classic(lines: Sequence[str]) -> list[Edge]:
    split = [line.split(": ") for line in lines]
    return [(caller, callee) for caller, callees in split for callee in callees.split()]


def _layered(n: int, rng: Generator) -> list[Edge]:
    """A random layered graph: a gateway, apps that earlier apps call, queues with consumers, shared stores."""
    few = {role: max(1, round(n / share)) for role, share in (("db", 8), ("cache", 12), ("queue", 16), ("ext", 16))}
    apps = [f"svc-{i:03d}" for i in range(n - 1 - sum(few.values()))]
    stores = {role: [f"{role[0]}{i:02d}-{role}" for i in range(k)] for role, k in few.items()}
    consumers = apps[-max(len(stores["queue"]), len(apps) // 5) :]
    front = [a for a in apps if a not in consumers]
    edges = {(caller, app) for app, caller in _callers(front, rng)}
    for i, app in enumerate(consumers):
        edges.add((stores["queue"][i % len(stores["queue"])], app))
    for queue in stores["queue"]:
        edges |= {(str(a), queue) for a in rng.choice(front, min(2, len(front)), replace=False)}
    for app in apps:
        edges |= _stores_of(app, stores, rng)
    for role, odds in stores.items():  # none stands idle
        unused = [s for s in odds if role != "queue" and all(b != s for _, b in edges)]
        edges |= {(str(rng.choice(apps)), s) for s in unused}
    return sorted(edges)


def _callers(front: list[str], rng: Generator) -> list[Edge]:
    """(app, caller): who calls often is called upon to call more, so that fan-out has a heavy tail."""
    callers = ["gateway"]
    degree = np.full(len(front) + 1, 0.5)
    pairs = []
    for i, app in enumerate(front):
        for _ in range(1 + int(rng.random() < 0.35 and i > 2)):
            odds = degree[: len(callers)] ** 0.7
            at = int(rng.choice(len(callers), p=odds / odds.sum()))
            pairs.append((app, callers[at]))
            degree[at] += 1
        callers.append(app)
    return pairs


def _stores_of(app: str, stores: dict[str, list[str]], rng: Generator) -> set[Edge]:
    roles = [r for r, odds in (("db", 0.7), ("ext", 0.12)) if rng.random() < odds]
    if "db" in roles and rng.random() < 0.6:
        roles.append("cache")
    return {(app, str(rng.choice(stores[r]))) for r in roles}


def _in_order(edges: Sequence[Edge]) -> tuple[str, ...]:
    """Topological order, callers first, in order of appearance."""
    left = list(dict.fromkeys(name for edge in edges for name in edge))
    order: list[str] = []
    while left:
        blocked = {b for a, b in edges if a in left}
        order += [name for name in left if name not in blocked]
        left = [name for name in left if name in blocked]
    return tuple(order)


def _role(name: str, at: int) -> str:
    role = name.rsplit("-", 1)[-1]
    role = {"ext": "external"}.get(role, role)
    return "entry" if at == 0 else role if role in ROLES else "app"


def _furnish(names: tuple[str, ...], roles: tuple[str, ...], caller: Ints, callee: Ints, rng: Generator) -> Topology:
    """Everything but the graph."""
    size, edges, endpoints = len(names), len(caller), int(rng.integers(3, 6))
    role = np.array(roles)
    per_call = np.clip(rng.lognormal(-0.4, 0.5, edges), 0.15, MAX_CALLS)
    mix = np.where(rng.random((endpoints, edges)) < 0.8, rng.lognormal(0, 0.5, (endpoints, edges)), 0.05)
    demand = rng.lognormal(4.3, 0.5, endpoints)
    visits, calls = _visits(size, caller, callee, np.minimum(mix * per_call, MAX_CALLS))
    load = demand @ visits
    per_call = demand @ calls / load[caller]
    own_s = _per_role(role, (0.004, 0.012, 0.0006, 0.004, 0.002, 0.07)) * rng.lognormal(0, 0.4, size)
    is_async = role[caller] == "queue"
    nominal = _nominal(own_s, caller, callee, per_call, is_async)
    service = np.repeat(np.arange(size), np.where(np.isin(role, ("entry", "app")), rng.integers(2, 5, size), 2))
    replicas = np.bincount(service)
    first = np.r_[True, service[1:] != service[:-1]]
    rank = np.arange(len(service)) - np.maximum.accumulate(np.where(first, np.arange(len(service)), 0))
    hosts = max(4, round(len(service) / 5))
    busy, spare = rng.uniform(0.25, 0.62, size), rng.uniform(0.15, 0.4, size)
    capacity = (load * PEAK_FACTOR / replicas / busy)[service]
    scaled = (rank >= 2) & np.isin(role, ("app",))[service] & (rng.random(size) < 0.5)[service]
    is_bad = (rng.random(size) < CHRONIC_ODDS) & ~np.isin(role, ("entry", "queue"))
    chronic = np.where(is_bad, rng.uniform(0.01, 0.03, size), 0.0)
    return Topology(
        names=names,
        roles=roles,
        caller=caller,
        callee=callee,
        per_call=per_call,
        gap_s=rng.uniform(0.0004, 0.002, edges),
        timeout_s=np.maximum(0.25, nominal[callee] * rng.uniform(6, 20, edges)),
        retries=rng.choice([0, 1, 2], edges, p=[0.55, 0.35, 0.1]),
        lag_s=np.where(rng.random(edges) < 0.6, 0.0, np.minimum(rng.exponential(30, edges), 90)),
        spread=rng.uniform(0.5, 1.0, edges) * np.where(chronic[callee] > 0, BORNE, 1.0),
        is_async=is_async,
        cache_of=_caches(role, caller, callee),
        endpoints=tuple(f"/{word}" for word in ("browse", "search", "buy", "account", "upload")[:endpoints]),
        entry=np.zeros(endpoints, np.int64),
        demand=demand,
        visits=visits,
        calls=calls,
        is_parallel=rng.random(size) < 0.4,
        own_s=own_s,
        idle_s=nominal,
        base_errors=np.minimum(rng.lognormal(-9.4, 1.2, size), 0.001),
        chronic=chronic,
        unsteady=np.minimum(rng.lognormal(-2.4, 1.0, size), 1),
        pool_size=np.maximum(1, load * PEAK_FACTOR * _holding(own_s, role, caller, callee, per_call) / spare),
        workers=rng.choice([4.0, 8.0, 16.0], size),
        service=service,
        host=_placed(service, rank, hosts, rng),
        capacity=capacity,
        cores=rng.uniform(0.5, 2.5, size)[service] * busy[service] / capacity,
        scale_at=np.where(scaled, rng.uniform(0.35, 0.7, len(service)), 0.0),
        zone=np.arange(hosts) % ZONES,
    )


def _per_role(role: NDArray[np.str_], values: tuple[float, ...]) -> Floats:
    return np.array([values[ROLES.index(r)] for r in role])


def _visits(size: int, caller: Ints, callee: Ints, per_call: Floats) -> tuple[Floats, Floats]:
    """(endpoint, service) requests that arrive and (endpoint, edge) calls made, per request of a user.

    per_call: (endpoint, edge). None is called more than MAX_VISITS times: many layers would multiply without end.
    """
    visits, calls = np.zeros((len(per_call), size)), np.zeros_like(per_call)
    visits[:, 0] = 1
    for i in range(1, size):
        into = np.flatnonzero(callee == i)
        wanted = visits[:, caller[into]] * per_call[:, into]
        calls[:, into] = wanted * min(1.0, MAX_VISITS / wanted.sum(axis=1).max())
        visits[:, i] = calls[:, into].sum(axis=1)
    return visits, calls


def _nominal(own_s: Floats, caller: Ints, callee: Ints, per_call: Floats, is_async: NDArray[np.bool_]) -> Floats:
    """(service,) latency of an idle world."""
    total = own_s.copy()
    for e in np.argsort(-caller, kind="stable").tolist():
        if not is_async[e]:
            total[caller[e]] += per_call[e] * total[callee[e]]
    return total


def _holding(own_s: Floats, role: NDArray[np.str_], caller: Ints, callee: Ints, per_call: Floats) -> Floats:
    """(service,) s that a request holds a connection: while it works and while its stores do."""
    stored = np.where(np.isin(role[callee], ("db", "cache")), per_call * own_s[callee], 0)
    return np.asarray(own_s + np.bincount(caller, stored, minlength=len(own_s)))


def _caches(role: NDArray[np.str_], caller: Ints, callee: Ints) -> Ints:
    """(edge,): the cache that its caller asks before this store, -1 = none."""
    cache = {int(a): int(b) for a, b in zip(caller, callee, strict=True) if role[b] == "cache"}
    shielded = role[callee] == "db"
    return np.array([cache.get(int(a), -1) if s else -1 for a, s in zip(caller, shielded, strict=True)], np.int64)


def _placed(service: Ints, rank: Ints, hosts: int, rng: Generator) -> Ints:
    """(replica,): replicas of a service stand on hosts of different zones as far as there are zones."""
    return np.asarray((rng.integers(0, hosts, service[-1] + 1)[service] + rank) % hosts)
