"""Values of alerting rules over steps -> alerts that are pending, firing, resolved: as Prometheus 3 has them.

A block of steps is worked off at once; live is a block of one. An evaluation that failed is left out of the block: it
changes nothing, as in Prometheus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from airis_mon.correlate.spells import (
    FIRING,
    LAPSED,
    NEVER,
    PENDING,
    RESOLVED,
    Carried,
    Flags,
    Happened,
    Piece,
    States,
    joined,
    nothing,
    worked_off,
)
from airis_mon.events.alert import Alert, AlertState
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import METRIC, Labels, without

ALERTS = "ALERTS"
ALERTS_FOR_STATE = "ALERTS_FOR_STATE"
ALERT_STATE = "alertstate"
GRACE_MS = 600_000
"""How long at least an alert waits after a restart (Prometheus' default of `--rules.alert.for-grace-period`)."""
RESEND_MS = 60_000
"""After which time somebody is told again (Prometheus' default of `--rules.alert.resend-delay`)."""

STATES: dict[int, AlertState] = {RESOLVED: "resolved", PENDING: "pending", FIRING: "firing", LAPSED: "inactive"}
Texts = tuple[tuple[str, str], ...]
_PIECE = 256  # steps worked off together where a limit may end them


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts of one rule after its last evaluation, those resolved in the last 15 minutes among them.

    labels: (a,) no two alike; carried: what is known of each, (a,).
    """

    labels: tuple[Labels, ...]
    carried: Carried

    def __len__(self) -> int:
        return len(self.labels)

    def alert(self, i: int, annotations: Texts = ()) -> Alert:
        """The i-th of them."""
        c = self.carried
        times = (int(c.active_at[i]), _moment(c.fired_at[i]), _moment(c.resolved_at[i]))
        return Alert(self.labels[i], annotations, STATES[int(c.state[i])], *times, float(c.value[i]))


NO_ALERTS = Alerts((), Carried.none(0))


@dataclass(frozen=True, slots=True)
class Block:
    """What n steps did to a rule's alerts.

    alerts: after the last step. labels: r label sets; state: (r, n), 0 = nothing, PENDING or FIRING; active_at: (r, n)
    ms where state is not 0. happened: every change of a state, rows being those of labels. failed: (n,), True where
    there were more alerts than the limit, so that all were forgotten; why: the words for the first of these steps.
    """

    alerts: Alerts
    labels: tuple[Labels, ...]
    t: Times
    state: States
    active_at: Times
    happened: Happened
    failed: Flags
    why: str = ""

    def alert(self, k: int, annotations: Texts = ()) -> Alert:
        """The alert as its k-th change left it."""
        h = self.happened
        resolved_at = int(self.t[h.step[k]]) if h.state[k] == RESOLVED else None
        times = (int(h.active_at[k]), _moment(h.fired_at[k]), resolved_at)
        return Alert(self.labels[h.row[k]], annotations, STATES[int(h.state[k])], *times, float(h.value[k]))


@dataclass(frozen=True, slots=True)
class Written:
    """Series to be stored: s label sets, value: (s, n), has: (s, n)."""

    labels: tuple[Labels, ...]
    value: Values
    has: Flags


def advance(
    alerts: Alerts,
    t: Times,
    labels: Sequence[Labels],
    value: Values,
    has: Flags,
    for_ms: int = 0,
    keep_firing_for_ms: int = 0,
    limit: int = 0,
) -> Block:
    """Evaluates a rule at n steps t (ms, growing, later than those before).

    labels: s label sets of alerts (with `alertname`, without a metric's name, no two alike); value: (s, n); has:
    (s, n), True where the condition holds. limit: with more alerts than this at a step the evaluation fails and all
    alerts are forgotten, 0 = any number. Cost: O((s + alerts) x n).
    """
    names, carried, value, has = _aligned(alerts, labels, value, has)
    pieces, failed, why = _pieces(carried, t, value, has, (for_ms, keep_firing_for_ms), limit)
    whole = joined(pieces)
    kept = np.flatnonzero(whole.carried.is_kept)
    after = Alerts(tuple(names[i] for i in kept.tolist()), whole.carried.rows(kept))
    return Block(after, names, t, whole.state, whole.active_at, whole.happened, failed, why)


def _aligned(
    alerts: Alerts, labels: Sequence[Labels], value: Values, has: Flags
) -> tuple[tuple[Labels, ...], Carried, Values, Flags]:
    """The rows of both, those of the alerts first: (labels, what is known, values, where they are)."""
    if tuple(labels) == alerts.labels:
        return alerts.labels, alerts.carried, value, has
    row_of = {name: i for i, name in enumerate(alerts.labels)}
    rows = np.array([row_of.setdefault(name, len(row_of)) for name in labels], np.intp)
    names = tuple(row_of)
    wide_value = np.full((len(names), value.shape[1]), np.nan)
    wide_has = np.zeros(wide_value.shape, np.bool_)
    wide_value[rows], wide_has[rows] = value, has
    carried = Carried.none(len(names)).put(np.arange(len(alerts)), alerts.carried)
    return names, carried, wide_value, wide_has


def _pieces(
    carried: Carried, t: Times, value: Values, has: Flags, spans_ms: tuple[int, int], limit: int
) -> tuple[list[Piece], Flags, str]:
    """(the block in pieces, where the limit ended one, the words for the first of these steps)."""
    failed = np.zeros(len(t), np.bool_)
    if not limit or not len(t):
        return [_piece(carried, t, value, has, spans_ms, slice(0, len(t)))], failed, ""
    pieces, why, at = [], "", 0
    count = has.sum(axis=0)
    while at < len(t):
        piece = _piece(carried, t, value, has, spans_ms, slice(at, at + _PIECE))
        alerts = (piece.state > 0).sum(axis=0)
        if (alerts > limit).any():
            first = int((alerts > limit).argmax())
            why = why or f"exceeded limit of {limit} with {alerts[first]} alerts"
            if first:
                pieces.append(_piece(carried, t, value, has, spans_ms, slice(at, at + first)))
            # As nothing is left of the alerts, further steps fail by what holds there alone.
            more = np.append(count[at + first + 1 :] > limit, False).argmin()
            failed[at + first : at + first + 1 + more] = True
            piece = nothing(len(has), 1 + int(more))
            at += first
        pieces.append(piece)
        carried = piece.carried
        at += piece.state.shape[1]
    return pieces, failed, why


def _piece(carried: Carried, t: Times, value: Values, has: Flags, spans_ms: tuple[int, int], at: slice) -> Piece:
    if not len(t):
        return nothing(len(has), 0, carried)
    piece = worked_off(carried, t[at], value[:, at], has[:, at], *spans_ms)
    seen_at = carried.seen_at[piece.happened.row]
    before = np.where(seen_at < t[0], -1, np.searchsorted(t, seen_at))
    return replace(piece, happened=piece.happened.later(at.start, before))


def written(block: Block) -> Written:
    """`ALERTS` (1 while pending or firing) and `ALERTS_FOR_STATE` (since when, in seconds) of a block.

    Prometheus stores neither before it has looked for alerts of an earlier process (`restored`).
    """
    parts = [
        _chosen(block, block.state == PENDING, (METRIC, ALERTS), (ALERT_STATE, STATES[PENDING])),
        _chosen(block, block.state == FIRING, (METRIC, ALERTS), (ALERT_STATE, STATES[FIRING])),
        _chosen(block, block.state != RESOLVED, (METRIC, ALERTS_FOR_STATE)),
    ]
    value = np.concatenate([part.value for part in parts])
    has = np.concatenate([part.has for part in parts])
    return Written(tuple(labels for part in parts for labels in part.labels), value, has)


def _chosen(block: Block, here: Flags, *pairs: tuple[str, str]) -> Written:
    """The series of the rows that are anywhere in a state."""
    rows = np.flatnonzero(here.any(axis=1))
    here = here[rows]
    labels = tuple(_with(block.labels[i], pairs) for i in rows.tolist())
    shown = block.active_at[rows] // 1000 if pairs[0][1] == ALERTS_FOR_STATE else np.ones(here.shape, np.int64)
    return Written(labels, np.where(here, shown, np.nan), here)


@lru_cache(maxsize=20_000)  # an alert has the same labels at every evaluation
def _with(labels: Labels, pairs: tuple[tuple[str, str], ...]) -> Labels:
    return tuple(sorted((*without(labels, *(name for name, _ in pairs)), *pairs)))


def due(alerts: Alerts, now: int, resend_ms: int = RESEND_MS) -> Flags:
    """(a,) whom somebody is to be told of: firing or resolved, and not told since, or not for a while."""
    c = alerts.carried
    return np.asarray((c.state != PENDING) & ((c.resolved_at > c.sent_at) | (c.sent_at + resend_ms < now)))


def sent(alerts: Alerts, which: Flags, now: int) -> Alerts:
    """The alerts after somebody was told of some; which: (a,)."""
    return replace(alerts, carried=replace(alerts.carried, sent_at=np.where(which, now, alerts.carried.sent_at)))


def restored(
    alerts: Alerts, saved: Mapping[Labels, tuple[int, float]], now: int, for_ms: int, grace_ms: int = GRACE_MS
) -> Alerts:
    """The alerts as active as they were before a restart.

    saved: labels of an alert -> its last sample of `ALERTS_FOR_STATE` (ms, seconds) within the time that a restart may
    take (Prometheus: 1 h). An alert that had fired fires again when its condition still holds; one that was pending
    waits for what was left, but at least for grace_ms; rules whose `for` is shorter than that start anew. Ask when the
    rule was evaluated twice, as its first evaluation may lack data (Prometheus, rules/group.go, RestoreForState).
    """
    if for_ms < grace_ms:
        return alerts
    active_at = alerts.carried.active_at.copy()
    for i, labels in enumerate(alerts.labels):
        t, seconds = saved.get(labels, (0, np.nan))
        if np.isfinite(seconds):
            active_at[i] = _active_at(t // 1000 * 1000, int(seconds) * 1000, now, for_ms, grace_ms)
    return replace(alerts, carried=replace(alerts.carried, active_at=active_at))


def _active_at(down_at: int, active_at: int, now: int, for_ms: int, grace_ms: int) -> int:
    left = for_ms - (down_at - active_at)
    if left <= 0:
        return active_at
    if left < grace_ms:
        return now + grace_ms - for_ms
    return active_at + (now - down_at)  # the time of the outage does not count


def _moment(t: np.int64) -> int | None:
    return None if t == NEVER else int(t)
