"""One limit watched: its series as rows of a bank, and how far each of them is from being full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.app.limitrows import LabelRows, Rows, limits_for, nameless_labels
from airis_mon.app.limits import Limit
from airis_mon.forecast.exhaustion import BASES, Exhaustion, Outlook
from airis_mon.query.values import Flags, Vector
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import Labels

NEVER = np.iinfo(np.int64).min
FORGET_MS = 86_400_000
"""What a series has shown is remembered for so long without a sample: pods come and go, exporters are restarted."""
RECENT_MS = 3_600_000
FIRST_ROWS = 16
FULL = 0.985
"""From here on a limit counts as hit: between two looks it is hit and given up, and nobody sees the last per cent."""
LEAST_RISE, LEAST_FALL, PART_FALL, ABOVE = 0.05, 0.03, 1 / 3, 0.03
"""Of falls, as shares of the limit; see `falls`."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A series at its latest sample. t, eta_ms, earliest_ms, latest_ms: ms UTC; rate_per_h in the unit of `used`.

    is_warned: a warning of the bank stands. is_told: one does whose end is within sight, or would if it were not
    recurring. eta_ms and what follows are those of the latest sample of which that holds, at warned_ms; share_then: how
    full it was at most in the hour up to then, NaN = never.
    """

    labels: Labels
    limit_labels: Labels
    t: int
    used: float
    limit: float
    is_warned: bool
    is_told: bool
    is_recurring: bool
    warned_ms: int
    share_then: float
    eta_ms: int
    earliest_ms: int | None
    latest_ms: int | None
    rate_per_h: float
    basis: str

    @property
    def share(self) -> float:
        """How full it is."""
        return self.used / self.limit


class LimitWatch:
    """Rows and bank of one limit; `since` is the latest step that was looked at, None before the first look.

    most: series at most. left_out: those beyond; unlimited: those without a limit, both at the latest step.
    """

    def __init__(self, limit: Limit, bank: Exhaustion, most: int) -> None:
        self.limit = limit
        self.since: int | None = None
        self.left_out = 0
        self.unlimited = 0
        self._bank = bank
        self._rows = LabelRows(most)
        self._limit_labels: list[Labels] = []
        self._reserved = 0
        self._t = np.zeros(0, np.int64)
        self._warned = np.zeros(0, np.int64)
        self._basis = np.zeros(0, np.int64)
        self._recurring = np.zeros(0, np.bool_)
        self._stands = np.zeros(0, np.bool_)
        self._figures = np.zeros((0, 7))  # used, limit, share then, eta, earliest, latest, share per h

    def __len__(self) -> int:
        """Series that are remembered."""
        return len(self._rows)

    @property
    def seen(self) -> int:
        """Series with a share of a limit at the latest step."""
        return int(np.count_nonzero(self._t == self.since)) if self.since is not None else 0

    def take(self, t: Times, used: Vector, limit: Vector | float) -> None:
        """Feeds the bank with what both expressions gave at the steps t."""
        labels = nameless_labels(used.labels)
        many = limit if isinstance(limit, Vector) else None
        at = limits_for(labels, nameless_labels(many.labels)) if many is not None else np.zeros(len(labels), np.int64)
        limited = np.flatnonzero(at >= 0)
        rows = self._rows.take([labels[i] for i in limited.tolist()])
        self.unlimited, self.left_out = len(labels) - len(limited), int(np.count_nonzero(rows < 0))
        kept, rows, at = limited[rows >= 0], rows[rows >= 0], at[limited[rows >= 0]]
        self._reserve(self._rows.size)
        self._name_limits(rows, at, nameless_labels(many.labels) if many is not None else [()])
        amount = np.full((self._reserved, len(t), 2), np.nan)  # (row, step, used or limit)
        amount[rows, :, 0] = np.where(used.has[kept], used.value[kept], np.nan)
        amount[rows, :, 1] = np.where(many.has[at], many.value[at], np.nan) if many is not None else limit
        self._feed(t, amount)
        self.since = int(t[-1])

    def told(self) -> Rows:
        """Rows of which a warning stands at their latest sample, recurring ones too."""
        told: Rows = np.flatnonzero((self._warned == self._t) & (self._t != NEVER))
        return told

    def find(self, labels: Labels) -> int | None:
        """The row of a label set."""
        return self._rows.find(labels)

    def standing(self, row: int) -> Standing | None:
        """How a series stands; None when it has had no sample."""
        labels = self._rows.labels[row]
        if labels is None or self._t[row] == NEVER:
            return None
        used, limit, share_then, eta, earliest, latest, rate = self._figures[row].tolist()
        return Standing(
            labels=labels,
            limit_labels=self._limit_labels[row],
            t=int(self._t[row]),
            used=used,
            limit=limit,
            is_warned=bool(self._stands[row]),
            is_told=bool(self._warned[row] == self._t[row]),
            is_recurring=bool(self._recurring[row]),
            warned_ms=int(self._warned[row]),
            share_then=share_then,
            eta_ms=_moment(eta) or int(self._t[row]),
            earliest_ms=_moment(earliest),
            latest_ms=_moment(latest),
            rate_per_h=rate * limit,
            basis=BASES[self._basis[row]],
        )

    def forget(self, now: int) -> None:
        """Gives the rows of series back that had no sample for `FORGET_MS`."""
        held = [row for row, labels in enumerate(self._rows.labels) if labels is not None]
        rows = np.array(held, np.int64)
        gone = rows[self._t[rows] < now - FORGET_MS]
        if len(gone):
            self._bank.forget(gone)
            self._rows.forget(gone)
            self._t[gone] = self._warned[gone] = NEVER

    def _feed(self, t: Times, amount: NDArray[np.float64]) -> None:
        used, limit = amount[..., 0], amount[..., 1]
        share = np.full(used.shape, np.nan)
        np.divide(used, limit, out=share, where=(limit > 0) & np.isfinite(limit))
        share[~np.isfinite(share)] = np.nan
        outlook = self._bank.update(t, share)
        rows, last = _last(np.isfinite(share))
        self._t[rows], self._stands[rows] = t[last], outlook.warns[rows, last]
        self._figures[rows, 0], self._figures[rows, 1] = used[rows, last], limit[rows, last]
        self._foresee(t, share, outlook)

    def _foresee(self, t: Times, share: Values, outlook: Outlook) -> None:
        """Keeps what the latest told sample of each series says."""
        told = (outlook.warns | outlook.is_recurring) & np.isfinite(outlook.eta_ms)
        rows, last = _last(told)
        if not len(rows):
            return
        latest = t[last, np.newaxis]
        recent = np.where(told[rows] & (t > latest - RECENT_MS), share[rows], -np.inf)
        before = np.where(self._warned[rows] > t[last] - RECENT_MS, self._figures[rows, 2], -np.inf)
        self._figures[rows, 2] = np.maximum(recent.max(axis=1), before)
        times = (outlook.eta_ms, outlook.earliest_ms, outlook.latest_ms)
        self._figures[rows, 3:6] = latest + np.stack([of[rows, last] for of in times], axis=-1)
        self._figures[rows, 6] = outlook.rate[rows, last]
        self._warned[rows] = t[last]
        self._recurring[rows], self._basis[rows] = outlook.is_recurring[rows, last], outlook.basis[rows, last]

    def _name_limits(self, rows: Rows, at: Rows, labels: Sequence[Labels]) -> None:
        self._limit_labels += [()] * (self._rows.size - len(self._limit_labels))
        for row, i in zip(rows.tolist(), at.tolist(), strict=True):
            self._limit_labels[row] = labels[i]

    def _reserve(self, rows: int) -> None:
        """Room for rows, doubled each time: what a bank holds is copied when it grows."""
        if rows <= self._reserved:
            return
        more = max(rows, 2 * self._reserved, FIRST_ROWS) - self._reserved
        self._reserved += more
        self._bank.reserve(self._reserved)
        none = np.full(more, NEVER, np.int64)
        self._t, self._warned = np.append(self._t, none), np.append(self._warned, none)
        self._basis, self._recurring = np.append(self._basis, none * 0), np.append(self._recurring, none > 0)
        self._stands = np.append(self._stands, none > 0)
        self._figures = np.concatenate([self._figures, np.full((more, self._figures.shape[1]), np.nan)])


def _last(has: Flags) -> tuple[Rows, Rows]:
    """(rows with any step, their last such step)."""
    rows = np.flatnonzero(has.any(axis=1))
    return rows, has.shape[1] - 1 - np.argmax(has[rows, ::-1], axis=1)


def _moment(t: float) -> int | None:
    """A time in ms; None for none, and beyond the year 9999."""
    return round(t) if 0 < t < 253_402_300_799_999 else None


def falls(t: Times, share: Values, height: float) -> list[int]:
    """When a series that rose towards its limit fell by itself, ms.

    t: (n,) ms; share: (n,), NaN = gap. Counted as the bank does: a rise of `LEAST_RISE`, of which more than a third is
    given back, from about `height` or more, short of being full.
    """
    found, low, peak = [], np.inf, -np.inf
    for at, y in zip(t.tolist(), share.tolist(), strict=True):
        if y != y:  # NaN: a gap
            continue
        peak = max(peak, y)
        if peak - y > max(LEAST_FALL, PART_FALL * (peak - low)):
            if peak - low >= LEAST_RISE and height - ABOVE <= peak < FULL:
                found.append(at)
            low = peak = y
        low = min(low, y)
    return found
