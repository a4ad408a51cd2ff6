"""The built-in detector: records of many simple features for onsets, a slow clipped baseline for long anomalies."""

from __future__ import annotations

from threading import RLock
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect import _rows as rows
from airis_mon.detect._tick import tick
from airis_mon.detect.base import Bands, Scores, State
from airis_mon.detect.lend import combine, resettle
from airis_mon.errors import ConfigError
from airis_mon.series.batch import Ids, Times, Values
from airis_mon.series.zone import HOUR_MS, WEEK_SHIFT_H, Zone
from airis_mon.series.zone import zone as zone_of

Array = NDArray[Any]
Slots = NDArray[np.integer[Any]] | list[int]

PROFILES = {"day": 24, "day_scale": 24, "day_level": 24, "week": 168}


class Record:
    """Judges each sample by 13 simple features of its series and by a slow baseline.

    A feature (the value, its step, its distance from running means and from its hour of the day and of the week)
    votes when it leaves the band of everything seen before, by how far it does; votes fade, add up, and only a total
    above the last one raises an alarm until the slot re-arms. New extremes of steady noise get rarer by themselves
    (about ln n in n samples), so false alarms die out without a window or a distribution. The level channel grades
    below the line how far the series has moved from its slow, hour-of-day aware baseline, in usual distances less the
    doubt of the first hours; see `detect.entity`.

    Times are seconds, so 5 s and 1 h data behave alike; a silence counts by its length. Nothing is raised in the first
    `warm` samples, and for some times `ease` samples only what is far out; features that need hours or days to settle
    are held back as long, by `maturity`. A band that stayed far too wide for `epoch_s` moves in: no outlier blinds a
    slot for good.

    zone: whose hours the profiles follow, a table made by `series.zone.zone`; UTC without one.
    points_s: every sample counts as that many seconds after the one before; 0 = by its time.
    excess: widths of the band outside it that give half a vote. decay: what is left of a vote a sample later.
    line, level_line: onset that maps to the score 0.8; level that maps to 0.4 (it tends to 0.8 and never reaches it).
    Both lie on a plateau: NAB at the line stays within 70.5 and 71.2 when `excess` goes from 0.1 to 0.2 and `line` with
    it; chosen for fewer false alarms on synthetic noise and Microsoft's cloud series. SMD and ASD had no say.
    rearm_s, rearm_steps: after an alarm only a higher one is raised for so long, whichever is longer.
    stretch: a band grows by so many of its widths at most in one sample.

    >>> import numpy as np
    >>> bank = Record()
    >>> slot = np.full(200, bank.reserve(1), np.int32)
    >>> value = np.append(np.sin(np.arange(199.0)), 9.0)
    >>> scores = bank.update(slot, np.arange(200) * 15_000, value)
    >>> np.flatnonzero(scores.score >= 0.8).tolist(), bank.FEATURES[scores.feature[199]]
    ([199], 'step')
    """

    FEATURES: tuple[str, ...] = (
        "value",
        "step",
        "above the mean of 2 hours",
        "short trend",
        "long trend",
        "unlike this hour of the day",
        "unlike this hour of the day, smoothed",
        "above the mean of a day",
        "unlike this hour of the week",
        "unlike this hour of the week, smoothed",
        "unlike this hour of the week, smoothed longer",
        "unlike this hour of the day, scaled",
        "unlike this hour of the day, scaled and smoothed",
    )

    def __init__(
        self,
        *,
        zone: Zone | None = None,
        points_s: float = 0.0,
        warm: float = 12.0,
        ease: float = 200.0,
        maturity: float = 2.0,
        excess: float = 0.15,
        decay: float = 0.6,
        line: float = 0.5,
        level_line: float = 10.0,
        rearm_s: float = 7200.0,
        rearm_steps: float = 100.0,
        stretch: float = 0.5,
        epoch_s: float = 604_800.0,
    ) -> None:
        if not 0 < decay < 1 or min(excess, line, level_line, stretch, epoch_s) <= 0:
            raise ConfigError("record: decay lies between 0 and 1; excess, lines, stretch and epoch_s are above 0")
        if min(points_s, warm, ease, maturity, rearm_s, rearm_steps) < 0:
            raise ConfigError("record: points_s, warm, ease, maturity and re-arming are 0 or more")
        self._zone = zone or zone_of("UTC")
        self._settings = np.array(
            [points_s, warm, ease, maturity, excess, decay, line, level_line, rearm_s, stretch, epoch_s, rearm_steps],
            np.float32,
        )
        self._size = 0
        self._epoch = 1
        self._touched = np.zeros(168, np.int64)
        self._lent: set[int] = set()  # slots with borrowed knowledge that await their first value
        self._combined: dict[bytes, State | None] = {}  # by donors, until they learn: many slots borrow at once
        self._lock = RLock()  # neighbouring slots lie in one block: two threads must not write it at once
        self._core, self._profiles, self._learned = _fresh(0)

    @property
    def size(self) -> int:
        """Slots reserved so far."""
        return self._size

    @property
    def slot_bytes(self) -> int:
        """Bytes of state per slot."""
        return rows.ROWS * 4 + sum(PROFILES.values()) * 2 + 8

    def reserve(self, n: int) -> int:
        """Adds `n` fresh slots; answers the first one. Cost is O(n) on average: space grows by doubling."""
        with self._lock:
            first, self._size = self._size, self._size + n
            space = len(self._learned)
            if self._size > space:
                core, profiles, learned = _fresh(max(self._size, 2 * space) - space)
                self._core = np.concatenate([self._core, core])
                self._profiles = {k: np.concatenate([p, profiles[k]], axis=1) for k, p in self._profiles.items()}
                self._learned = np.concatenate([self._learned, learned])
        return first

    def update(self, slot: Ids, t: Times, value: Values) -> Scores:
        """Scores each sample against what its slot knew before it, then learns it.

        Fastest when neighbouring slots come together, as series of one scrape do; samples in wild order are sorted
        first, and a slot that comes alone costs as much as sixteen. A value beyond 1e30 counts as a gap.
        """
        return self._tick(slot, t, value, np.empty((3, 0)))

    def update_with_bands(
        self, slot: Ids, t: Times, value: Values, *, only_alarms: bool = False
    ) -> tuple[Scores, Bands]:
        """As `update`, and the bands that stood before each sample; with `only_alarms` only of those that alarm.

        Bands of all samples take some 4 us each, 5 times as long as `update` for one series, 40 times for many.

        lower and upper are the last values that score below the line, to the last bit of float32. They are infinite
        where no value could reach the line (warm-up; a higher peak not yet re-armed) and NaN where nothing was judged.
        """
        bands = np.empty((3, len(slot)))
        return self._tick(slot, t, value, bands, only_alarms=only_alarms), Bands(*bands)

    def _tick(self, slot: Ids, t: Times, value: Values, bands: Array, *, only_alarms: bool = False) -> Scores:
        slot, t = np.ascontiguousarray(slot, np.int32), np.ascontiguousarray(t, np.int64)
        value = np.ascontiguousarray(value, np.float64)
        if bands.shape[1] == 0 and (order := _by_block(slot)) is not None:
            sorted_out = self._tick(slot[order], t[order], value[order], bands)
            back = np.empty_like(order)
            back[order] = np.arange(len(order))
            return Scores(*(getattr(sorted_out, name)[back] for name in Scores.__slots__))
        n = len(slot)
        out = Scores(np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int8))
        with self._lock:
            self._combined.clear()
            self._settle(slot, t, value)
            p = self._profiles
            tick(
                self._core, p["day"], p["day_scale"], p["day_level"], p["week"], self._learned, self._touched,
                self._epoch, self._zone.start, self._zone.offset, self._settings, slot, t, value,
                out.score, out.onset, out.level, out.feature, bands, only_alarms,
            )  # fmt: skip
        return out

    def state(self) -> State:
        """Everything the bank knows, copied; see `take`."""
        return self.take(np.arange(self._size))

    def take(self, slots: Slots) -> State:
        """The state of some slots in the order asked for: core (rows, n) float32, learned (n,) int64, four profiles.

        day, day_scale, day_level (24, n) and week (168, n) are the upper halves of float32, uint16. A bank made of it
        continues these slots exactly.
        """
        with self._lock:
            return self._take(np.asarray(slots, np.int64))

    def _take(self, slots: NDArray[np.int64]) -> State:
        blocks = self._core.reshape(-1, rows.ROWS, rows.L)
        core = np.ascontiguousarray(blocks[slots // rows.L, :, slots % rows.L].T)
        profiles = {k: np.ascontiguousarray(p[:, slots]) for k, p in self._profiles.items()}
        return {"core": core, "learned": self._learned[slots], **profiles}

    def _put(self, slots: Slots, state: State) -> None:
        """Sets columns, as `take` gives them."""
        slots = np.asarray(slots, np.int64)
        blocks = self._core.reshape(-1, rows.ROWS, rows.L)
        blocks[slots // rows.L, :, slots % rows.L] = state["core"].T
        self._learned[slots] = state["learned"]
        for k, p in self._profiles.items():
            p[:, slots] = state[k]
        self._touched[:] = self._epoch

    @classmethod
    def from_state(cls, state: State, **settings: Any) -> Self:
        """A bank that continues exactly where `state()` or `take()` was taken, given the same settings."""
        bank = cls(**settings)
        bank.reserve(n := state["learned"].shape[-1])
        bank._put(np.arange(n), state)
        waiting = (state["core"][rows.TRUST] > 0) & (state["core"][rows.SEEN] == 0)
        bank._lent = set(np.flatnonzero(waiting).tolist())
        return bank

    def mark(self) -> int:
        """A moment, for `touched`."""
        self._epoch += 1
        return self._epoch

    def touched(self, since: int = 0) -> dict[str, NDArray[np.intp]]:
        """Hours (first axis) of each profile array that changed since a moment that `mark` gave.

        core and learned always change. Slots reserved later are fresh (0x7FC0, NaN) in the hours not named.
        """
        week = self._touched >= max(since, 1)
        day = np.flatnonzero(week.reshape(7, 24).any(axis=0))
        return {"day": day, "day_scale": day, "day_level": day, "week": np.flatnonzero(week)}

    def release(self, slots: Slots) -> None:
        """Makes slots fresh again, for other series."""
        with self._lock:
            self._combined.clear()
            self._put(slots, _columns(len(slots)))
            self._lent -= set(np.asarray(slots).tolist())

    def seed_constant(self, slot: int, value: float, t_first: int, t_last: int, n: int) -> None:
        """Sets a slot as if it had seen `n` times the same value, evenly from t_first to t_last (ms)."""
        state = _columns(1)
        core = state["core"][:, 0]
        span_s = max(t_last - t_first, 0) / 1000
        core[rows.SEEN], core[rows.ORIGIN], core[rows.SPAN] = n, value, min(span_s, 1e7)
        core[rows.STEP] = span_s / (n - 1) if n > 1 else 1
        passed = np.append(np.arange(max(t_first, t_last - 168 * HOUR_MS), t_last, HOUR_MS), t_last)
        hours = (self._zone.local(passed) // HOUR_MS + WEEK_SHIFT_H) % 168
        core[rows.HOUR] = hours[-1] + 1
        core[rows.DAY : rows.WEEK + 1] = 0
        for name in ("day", "day_scale", "day_level"):
            state[name][hours % 24] = 0
        state["week"][hours] = 0
        state["learned"][:] = t_last
        with self._lock:
            self._combined.clear()
            self._put([slot], state)
            self._lent.discard(slot)

    def borrow(self, slot: int, donors: Slots) -> bool:
        """Gives a fresh slot what like slots know, so that it need not warm up; False when no donor knows enough.

        Profiles, spreads and bands are medians and middle quantiles over donors. They count as `lend.TRUST_SAMPLES`
        samples, so what the slot learns itself soon outweighs them. At its first value the slot keeps the donors'
        level when the value fits there; else all is moved to the value, and widened where it is larger.
        """
        donors = np.asarray(donors, np.int64)
        with self._lock:
            if (key := donors.tobytes()) not in self._combined:
                self._combined[key] = combine(self.take(donors))
            if (lent := self._combined[key]) is None:
                return False
            self._put([slot], lent)
            self._lent.add(int(slot))
        return True

    def _settle(self, slot: Ids, t: Times, value: Values) -> None:
        """Fits borrowed knowledge to the first value that a slot gets."""
        for i in self._lent.intersection(slot.tolist()):
            rows_of = np.flatnonzero((slot == i) & (np.abs(value) < rows.LARGEST))
            if len(rows_of):
                j = rows_of[0]
                self._put(
                    [i],
                    resettle(self._take(np.array([i])), float(value[j]), int(self._zone.hour_of_day(t[j : j + 1])[0])),
                )
                self._lent.discard(i)


def _by_block(slot: Ids) -> NDArray[np.intp] | None:
    """An order that brings neighbours together where they lie far apart; samples of a slot keep theirs."""
    block = slot // rows.L
    if len(slot) < 256 or np.count_nonzero(block[1:] != block[:-1]) * 4 < len(slot):
        return None
    order = np.argsort(slot, kind="stable")
    apart = np.count_nonzero(block[order][1:] != block[order][:-1])
    return order if apart * 2 < np.count_nonzero(block[1:] != block[:-1]) else None


def _columns(n: int) -> State:
    """The state of slots that have seen nothing, as `take` gives it."""
    profiles = {k: np.full((hours, n), rows.UNSEEN, np.uint16) for k, hours in PROFILES.items()}
    return {"core": np.zeros((rows.ROWS, n), np.float32), "learned": np.full(n, rows.NEVER, np.int64), **profiles}


def _fresh(n: int) -> tuple[Array, dict[str, Array], Array]:
    """Blocks (n / 16, rows * 16), profiles and times of at least `n` slots that have seen nothing."""
    blocks = -(-n // rows.L)
    columns = _columns(blocks * rows.L)
    return np.zeros((blocks, rows.ROWS * rows.L), np.float32), {k: columns[k] for k in PROFILES}, columns["learned"]
