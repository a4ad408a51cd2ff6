"""From demand and effects to what services feel: load down the graph, latency and errors up, queues in between.

Waiting follows Sakasegawa's approximation of M/M/c (1977, doi:10.1007/BF02481085, "An approximation formula
Lq = a rho^b / (1 - rho)"); backlogs follow Lindley's recursion in closed form. Retries feed back into the load, so
the whole is computed twice, the second time with the attempts that the first one found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airis_mon.simulate.dice import Floats
from airis_mon.simulate.faults import Effects
from airis_mon.simulate.topology import PEAK_FACTOR, Topology

FULL = 0.98
"""Utilisation is cut off here; what goes beyond is refused."""
HIT_RATIO = 0.9
QUEUE_SPEED, PATIENCE = 1.6, 2.5
"""Consumers can fetch so much faster than peak arrivals, until they are so much slower than when idle."""
LONGEST_LAG_S = 90.0
POOL_WORKERS = 16.0
PASSES = 2


@dataclass(frozen=True, slots=True)
class State:
    """What one block hands on to the next."""

    backlog: Floats  # (service,) waiting in queues
    calls: Floats  # (lag, edge) client latencies, s, of the last steps
    failed: Floats  # (lag, edge) their errors


@dataclass(frozen=True, slots=True)
class Flow:
    """What truly happens in a block, before anybody measures it."""

    demand: Floats  # (time, endpoint) requests/s
    load: Floats  # (time, service) requests/s that arrive
    latency: Floats  # (time, service) s, calls included
    errors: Floats  # (time, service) 0..1
    user_latency: Floats  # (time, endpoint) s, as users see it
    user_errors: Floats  # (time, endpoint)
    share: Floats  # (time, replica) of its service's load
    cpu: Floats  # (time, replica) cores
    replica_latency: Floats  # (time, replica) s, without calls
    calls: Floats  # (time, edge) calls/s, attempts included
    call_latency: Floats  # (time, edge) s, as the client sees one attempt
    call_errors: Floats  # (time, edge) as the client sees one attempt
    depth: Floats  # (time, service) waiting in a queue
    served: Floats  # (time, service) fetched from a queue, 1/s
    age: Floats  # (time, service) s that the oldest has waited in a queue
    pool: Floats  # (time, service) share of connections in use, may pass 1
    hits: Floats  # (time, service) of a cache, 0..1


@dataclass(slots=True)
class _Up:
    """What comes up the graph."""

    own: Floats
    latency: Floats
    errors: Floats
    call_latency: Floats
    call_errors: Floats
    attempts: Floats
    pool: Floats
    user_latency: Floats
    user_errors: Floats


class Physics:
    """The laws of one topology at one step."""

    def __init__(self, topology: Topology, step_s: float) -> None:
        self._top = topology
        self._step_s = step_s
        size, edges = len(topology.names), len(topology.caller)
        self._out = [np.flatnonzero((topology.caller == i) & ~topology.is_async) for i in range(size)]
        self._in = [np.flatnonzero(topology.callee == i) for i in range(size)]
        self._first = np.flatnonzero(np.r_[True, topology.service[1:] != topology.service[:-1]])
        self._lag = np.round(topology.lag_s / step_s).astype(np.int64)
        self._longest = int(np.ceil(LONGEST_LAG_S / step_s))
        roles = np.array(topology.roles)
        self._stores = np.isin(roles[topology.callee], ("db", "cache"))
        peak = topology.demand @ topology.visits * PEAK_FACTOR
        self._fetch = np.where(roles == "queue", QUEUE_SPEED * peak, np.inf)
        fan = np.bincount(topology.caller[topology.is_async], minlength=size)
        self._per_call = np.where(topology.is_async, 1 / np.maximum(fan, 1)[topology.caller], topology.per_call)
        self.start = State(np.zeros(size), np.zeros((self._longest, edges)), np.zeros((self._longest, edges)))

    def advance(self, demand: Floats, active: Floats, x: Effects, state: State) -> tuple[Flow, State]:
        """One block. demand: (time, endpoint); active: (time, replica) 1 where the autoscaler runs it."""
        users = demand * (1 + x.surge)
        attempts, vigour = np.ones((len(x.t), len(self._top.caller))), np.ones((len(x.t), len(self._top.names)))
        for _ in range(PASSES):
            load, calls, depth, served = self._down(users, attempts, vigour * (1 - x.stall), state.backlog, x)
            share, cpu, latency, errors = self._serve(load, active, x)
            own = np.add.reduceat(share * latency, self._first, axis=1)
            own_errors = np.minimum(np.add.reduceat(share * errors, self._first, axis=1), 1)
            up = self._up(own, own_errors, load, x, state)
            attempts, vigour = up.attempts, self._vigour(up)
        hits = HIT_RATIO * (1 - np.minimum(x.misses, 1))
        flow = Flow(
            users, load, up.latency, up.errors, up.user_latency, up.user_errors, share, cpu, latency,
            calls, up.call_latency, up.call_errors, depth, served, depth / np.maximum(served, 0.1), up.pool, hits,
        )  # fmt: skip
        tails = [np.concatenate([a, b])[-self._longest :] for a, b in self._lagging(state, up)]
        return flow, State(depth[-1], tails[0], tails[1])

    def _lagging(self, state: State, up: _Up) -> list[tuple[Floats, Floats]]:
        n = self._longest
        felt = up.call_latency * up.attempts
        return [(state.calls, felt[-n:]), (state.failed, up.call_errors[-n:])]

    def _down(
        self, users: Floats, attempts: Floats, vigour: Floats, backlog: Floats, x: Effects
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Requests from the users down to the stores; queues hand on what their consumers fetch."""
        top = self._top
        usual = _mixed(users, top.visits)
        calls = _mixed(users, top.calls) * attempts * (1 + x.extra)
        load = np.zeros_like(usual)
        depth, served = np.zeros_like(usual), np.zeros_like(usual)
        load[:, 0] = usual[:, 0]
        for i in range(len(top.names)):
            if i:
                load[:, i] = calls[:, self._in[i]].sum(axis=1)
            if np.isfinite(self._fetch[i]):
                depth[:, i], served[:, i] = self._queue(load[:, i], self._fetch[i] * vigour[:, i], backlog[i])
            out = top.caller == i
            passed = served[:, i] if np.isfinite(self._fetch[i]) else load[:, i]
            if out.any():
                calls[:, out] *= (passed / np.maximum(usual[:, i], 1e-9))[:, None]
                calls[:, out] *= self._unshielded(x, np.flatnonzero(out))
        return load, calls, depth, served

    def _unshielded(self, x: Effects, edges: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
        """(time, edge): how many more calls reach a store whose cache misses."""
        cache = self._top.cache_of[edges]
        missed = (1 - HIT_RATIO * (1 - np.minimum(x.misses[:, cache], 1))) / (1 - HIT_RATIO)
        return np.where(cache >= 0, 1 + 0.4 * (missed - 1), 1.0)

    def _vigour(self, up: _Up) -> Floats:
        """(time, service): the share of its speed at which a queue is fetched from by consumers in such a state."""
        top, found = self._top, np.ones_like(up.latency)
        for e in np.flatnonzero(top.is_async):
            consumer = top.callee[e]
            pace = PATIENCE * top.idle_s[consumer] / up.latency[:, consumer] * (1 - up.errors[:, consumer])
            found[:, top.caller[e]] = np.minimum(found[:, top.caller[e]], pace)
        return found

    def _queue(self, arriving: Floats, fetch: Floats, backlog: float) -> tuple[Floats, Floats]:
        """Depth, and what is fetched per second."""
        walk = backlog + np.cumsum((arriving - fetch) * self._step_s)
        depth = walk - np.minimum(np.minimum.accumulate(walk), 0)
        before = np.concatenate([[backlog], depth[:-1]])
        return depth, np.maximum(arriving + (before - depth) / self._step_s, 0)

    def _serve(self, load: Floats, active: Floats, x: Effects) -> tuple[Floats, Floats, Floats, Floats]:
        """(time, replica) share of the load, cores, own latency, own errors."""
        top = self._top
        weight = active * (1 - x.drained) * (1 - 0.9 * x.down) + 1e-9
        share = weight / np.add.reduceat(weight, self._first, axis=1)[:, top.service]
        rate = share * load[:, top.service]
        work = 1 + x.slow + x.gc
        room = (1 - x.steal) * (1 - 0.8 * x.gc)
        busy = rate * work / (top.capacity * room)
        idle = top.own_s[top.service] * work / room
        latency = idle * (1 + _waiting(busy, top.workers[top.service])) + top.own_s[top.service] * x.wait
        refused = np.maximum(0, 1 - FULL / np.maximum(busy, FULL))
        usual = top.base_errors[top.service]
        errors = 1 - (1 - usual) * (1 - np.minimum(x.errors, 1)) * (1 - refused) * (1 - x.down)
        cpu = (np.minimum(rate * work, top.capacity * room) * top.cores + 0.02) * (1 - x.down)
        return share, cpu + x.hog, latency, errors

    def _up(self, own: Floats, own_errors: Floats, load: Floats, x: Effects, state: State) -> _Up:
        """Latency and errors from the stores up to the users."""
        top = self._top
        edges, users = np.zeros((len(own), len(top.caller))), np.zeros((len(own), len(top.endpoints)))
        calls = (edges, edges.copy(), np.ones_like(edges))
        up = _Up(own, own.copy(), own_errors.copy(), *calls, np.zeros_like(own), users, users.copy())
        for i in range(len(self._top.names) - 1, -1, -1):
            if len(self._out[i]):
                self._call(i, up, load, x)
                self._answer(i, up, state)
        for e in np.flatnonzero(self._top.is_async):
            up.call_latency[:, e] = self._top.gap_s[e] + up.latency[:, self._top.callee[e]]
            up.call_errors[:, e] = up.errors[:, self._top.callee[e]]
        return up

    def _call(self, i: int, up: _Up, load: Floats, x: Effects) -> None:
        """What a service's calls cost: network, pool, callee, timeouts, a breaker, further attempts."""
        top, out = self._top, self._out[i]
        callee, limit = top.callee[out], top.timeout_s[out]
        raw = top.gap_s[out] + x.delay[:, out] + up.latency[:, callee]
        to_store = self._stores[out]
        size = top.pool_size[i] * (1 - np.minimum(x.pool[:, i], 0.97))
        held = (self._per_call[out] * np.minimum(raw, limit) * to_store).sum(axis=1) + up.own[:, i]
        up.pool[:, i] = used = load[:, i] * held / size
        raw += (raw * to_store) * _waiting(used, POOL_WORKERS)[:, None]
        late = 1 / (1 + (limit / raw) ** 4)
        refused = np.maximum(0, 1 - FULL / np.maximum(used, FULL))[:, None] * to_store
        failed = 1 - (1 - x.loss[:, out]) * (1 - up.errors[:, callee]) * (1 - late) * (1 - refused)
        seen = raw * limit / (raw**4 + limit**4) ** 0.25
        is_open = 0.9 * np.clip((failed - 0.5) / 0.3, 0, 1)
        up.call_latency[:, out] = seen * (1 - is_open)
        up.call_errors[:, out] = 1 - (1 - failed) * (1 - is_open)
        more = np.where(top.retries[out] > 0, failed, 0) + np.where(top.retries[out] > 1, failed**2, 0)
        up.attempts[:, out] = (1 + more) * (1 - is_open)

    def _answer(self, i: int, up: _Up, state: State) -> None:
        """What a service's callers get, some of it later than it happens."""
        out, top = self._out[i], self._top
        at = np.arange(len(up.latency))[:, None] + self._longest - self._lag[out]
        felt = np.concatenate([state.calls[:, out], up.call_latency[:, out] * up.attempts[:, out]])
        failed = np.concatenate([state.failed[:, out], up.call_errors[:, out]])
        column = np.arange(len(out))
        felt, failed = felt[at, column], failed[at, column] ** (1 + top.retries[out]) * top.spread[out]
        if i:
            up.latency[:, i], up.errors[:, i] = self._joined(i, up, self._per_call[out], felt, failed)
            return
        for k, per_user in enumerate(top.calls[:, out]):
            up.user_latency[:, k], up.user_errors[:, k] = self._joined(0, up, per_user, felt, failed)
        weight = top.demand / top.demand.sum()
        up.latency[:, 0], up.errors[:, 0] = (up.user_latency * weight).sum(1), (up.user_errors * weight).sum(1)

    def _joined(self, i: int, up: _Up, per_call: Floats, felt: Floats, failed: Floats) -> tuple[Floats, Floats]:
        """(time,) latency and errors of a service with so many calls per request, each felt and failing like this."""
        cost = per_call * felt
        latency = up.latency[:, i] + (cost.max(axis=1) if self._top.is_parallel[i] else cost.sum(axis=1))
        return latency, 1 - (1 - up.errors[:, i]) * np.prod(1 - failed * np.minimum(per_call, 1), axis=1)


def _waiting(busy: Floats, workers: Floats | float) -> Floats:
    """Mean wait in an M/M/c queue over the mean service time."""
    rho = np.minimum(busy, FULL)
    return np.asarray(rho ** (np.sqrt(2 * (workers + 1)) - 1) / (workers * (1 - rho)))


def _mixed(users: Floats, per_user: Floats) -> Floats:
    """(time, n): endpoints summed one by one, so that every machine rounds alike."""
    total = users[:, :1] * per_user[0]
    for k in range(1, len(per_user)):
        total = total + users[:, k : k + 1] * per_user[k]
    return np.asarray(total)
