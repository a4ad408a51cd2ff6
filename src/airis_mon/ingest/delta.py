"""Deltas added up: a sender that reports "since last time" becomes a series of running totals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airis_mon.errors import InputError
from airis_mon.ingest.exponential import Exponential

_WIDE = 150  # what an exponential histogram's two dictionaries weigh


@dataclass(slots=True)
class Total:
    """One running total: the time up to which it counts (ns), and what came so far."""

    t: int
    total: float = 0.0
    count: int = 0
    bounds: tuple[float, ...] = ()
    buckets: list[int] | None = None
    exponential: Exponential | None = None


class Deltas:
    """Running totals by fingerprint, for `room` numbers at most (a histogram takes one for each bucket).

    A total starts at zero with this process; readers of counters take that for a reset, which it is.
    """

    def __init__(self, *, room: int) -> None:
        self.room = room
        self.used = 0
        self._totals: dict[int, Total] = {}

    def number(self, fp: int, t: int, delta: float) -> float:
        """The total after a delta up to `t` (ns). Raises InputError when it is late or there is no room."""
        state = self._state(fp, t, 1)
        state.total += delta
        return state.total

    def histogram(
        self, fp: int, t: int, count: int, total: float, bounds: tuple[float, ...], buckets: list[int]
    ) -> Total:
        """The histogram after a delta up to `t` (ns); it starts anew when its bounds change."""
        state = self._state(fp, t, 3 + len(buckets))
        if state.buckets is None or state.bounds != bounds or len(state.buckets) != len(buckets):
            self.used += 3 + len(buckets) - _size(state)
            state.bounds, state.buckets = bounds, [0] * len(buckets)
            state.total, state.count = 0.0, 0
        state.buckets = [a + b for a, b in zip(state.buckets, buckets, strict=True)]
        state.total += total
        state.count += count
        return state

    def exponential(self, fp: int, t: int, count: int, total: float, delta: Exponential) -> tuple[Total, Exponential]:
        """The exponential histogram after a delta up to `t` (ns)."""
        state = self._state(fp, t, _WIDE)
        if state.exponential is None:
            self.used += _WIDE - _size(state)
            state.exponential = Exponential(delta.scale)
        state.exponential.add(delta)
        state.total += total
        state.count += count
        return state, state.exponential

    def keep(self, is_alive: Callable[[int], bool]) -> None:
        """Forgets the totals of series that are gone, by fingerprint."""
        self._totals = {fp: state for fp, state in self._totals.items() if is_alive(fp)}
        self.used = sum(_size(state) for state in self._totals.values())

    def _state(self, fp: int, t: int, size: int) -> Total:
        state = self._totals.get(fp)
        if state is None:
            if self.used + size > self.room:
                raise InputError(f"no room for more delta series, {self.room} numbers are kept; send cumulative ones")
            self.used += 1
            state = self._totals[fp] = Total(t)
        elif t <= state.t:
            raise InputError("this delta is not newer than what was added up; it came late or twice")
        state.t = t
        return state


def _size(state: Total) -> int:
    if state.exponential is not None:
        return _WIDE
    return 1 if state.buckets is None else 3 + len(state.buckets)
