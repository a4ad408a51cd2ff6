"""When a limit will be hit: the growth of what is used, extrapolated with an interval, series by series as it comes.

Standing between a query of `used / limit` and whoever warns: it takes shares and says when they reach 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import InputError
from airis_mon.forecast._exhaustion import BIN, FINE, FULL_AT, HOUR_MS, HOURS, NUMBERS, OCTAVES, follow
from airis_mon.series.batch import Times, Values

BASES = ("none", "hour", "two_hours", "six_hours", "day", "week")
"""What a rate was taken from: the longest stretch, up to now, whose growth agrees with that of all shorter ones."""
LEAST_BIN_MS = 300_000

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What was to be expected at each step of each series, (series, steps); nothing in it knows what came later.

    warns: a warning stands; through gaps of up to an hour it goes on standing. eta_ms, earliest_ms, latest_ms: from
    that step until full, the best guess and a 90 % interval; NaN = not within sight or no sample, inf = never by that
    bound. rate: growth of the share per hour, NaN without basis. basis: index into `BASES`. is_recurring: a limit is
    near, but it rose like this at least twice within a week and fell by itself, without being full, and is no higher
    than then: to be told, not raised; `warns` is False. After one such rise it is silent.
    """

    warns: Flags
    eta_ms: Values
    earliest_ms: Values
    latest_ms: Values
    rate: Values
    basis: NDArray[np.int8]
    is_recurring: Flags


class Exhaustion:
    """Watches shares of limits, many series at once; state goes on, so blocks of any size give the same.

    step_ms: between two steps, at most an hour (below five minutes, means of five minutes are kept); horizon_ms: how
    far ahead a limit is warned of. A warning needs an hour of growth, and that what is left takes at most half as long
    as what has risen already took, or an hour and a quarter. What slows down so that it ends below the limit is none.
    A jump, a fall by a third of the rise and a day without samples begin anew.

    1.2 KB a series, whatever has been seen; some 2 us a series and step where something rises.
    Raises InputError for a step or horizon that cannot be.

    >>> import numpy as np
    >>> watch = Exhaustion()
    >>> watch.reserve(1)
    >>> t = 1_767_600_000_000 + 300_000 * np.arange(73)
    >>> outlook = watch.update(t, np.linspace(0.3, 0.9, 73)[None])  # 0.1 an hour for six hours
    >>> bool(outlook.warns[0, -1]), f"{outlook.eta_ms[0, -1] / 3_600_000:.1f} h"
    (True, '1.0 h')
    """

    def __init__(self, *, step_ms: int = 300_000, horizon_ms: int = 86_400_000) -> None:
        if not 0 < step_ms <= HOUR_MS:
            raise InputError(f"step_ms must be within 1 .. {HOUR_MS:,} (an hour), not {step_ms:,}")
        if horizon_ms < HOUR_MS:
            raise InputError(f"horizon_ms must be {HOUR_MS:,} (an hour) or more, not {horizon_ms:,}")
        self._bin_ms = max(step_ms, LEAST_BIN_MS)
        self._horizon_h = horizon_ms / HOUR_MS
        self._size = 0
        self._last_t = np.iinfo(np.int64).min
        self._fine, self._hours = np.empty((0, FINE), np.float32), np.empty((0, HOURS), np.float32)
        self._habits, self._numbers = np.empty((0, OCTAVES, 3), np.float32), np.empty((0, NUMBERS))

    @property
    def size(self) -> int:
        """How many series there are."""
        return self._size

    def reserve(self, n: int) -> None:
        """Series 0..n-1 exist from now on; those that are there already go on."""
        if n <= self._size:
            return
        if n > len(self._numbers):
            self._grow(max(n, 2 * len(self._numbers)))
        self._size = n

    def forget(self, rows: NDArray[np.integer]) -> None:
        """These rows start anew, as if never seen."""
        self._clear(np.asarray(rows, np.intp))

    def update(self, t: Times, share: Values) -> Outlook:
        """t: (steps,) ms ascending, after all before; share: (series, steps) used / limit, NaN = gap.

        Raises InputError for times that do not rise or shares of other than the reserved series.
        """
        t, share = np.ascontiguousarray(t, np.int64), np.ascontiguousarray(share, np.float64)
        self._check(t, share)
        found = _nothing(share.shape)
        if len(t):
            self._last_t = int(t[-1])
            state = (self._fine, self._hours, self._habits, self._numbers)
            marks = (found.warns, found.basis, found.is_recurring)
            times = (found.eta_ms, found.earliest_ms, found.latest_ms, found.rate)
            follow(t, share, self._bin_ms, self._horizon_h, *state, *marks, *times)
        return found

    def _check(self, t: Times, share: Values) -> None:
        if share.shape != (self._size, len(t)):
            raise InputError(f"share must be {(self._size, len(t))} (series, steps), not {share.shape}; reserve first")
        if len(t) and (t[0] <= self._last_t or (np.diff(t) <= 0).any()):
            raise InputError("t must rise, also from one block to the next; leave out what came late")

    def _grow(self, n: int) -> None:
        old = len(self._numbers)
        for name in ("_fine", "_hours", "_habits", "_numbers"):
            was = getattr(self, name)
            now = np.empty((n, *was.shape[1:]), was.dtype)
            now[:old] = was
            setattr(self, name, now)
        self._clear(np.arange(old, n))

    def _clear(self, rows: NDArray[np.intp]) -> None:
        self._fine[rows], self._hours[rows], self._habits[rows], self._numbers[rows] = np.nan, np.nan, 0, np.nan
        self._numbers[rows[:, None], [BIN, FULL_AT]] = -1, -np.inf


def _nothing(shape: tuple[int, int]) -> Outlook:
    """Nothing is within sight."""
    eta, earliest, latest, rate = (np.full(shape, np.nan) for _ in range(4))
    flags = np.zeros((2, *shape), np.bool_)
    return Outlook(flags[0], eta, earliest, latest, rate, np.zeros(shape, np.int8), flags[1])
