"""The built-in detector: records of many simple features for onsets, a slow clipped baseline for long anomalies."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect import _record as kernel
from airis_mon.detect.base import Bands, Scores, State
from airis_mon.errors import ConfigError
from airis_mon.series.batch import Ids, Times, Values
from airis_mon.series.zone import HOUR_MS, WEEK_SHIFT_H, Zone
from airis_mon.series.zone import zone as zone_of

Array = NDArray[Any]
Slots = Ids | list[int]

TRUST_SAMPLES = 60
"""What the donors know together counts as so many samples of the slot's own."""


class Record:
    """Judges each sample by 13 simple features of its series and by a slow baseline.

    A feature (the value, its step, its distance from running means and from its hour of the day and of the week)
    votes when it leaves the band of everything seen before, by how far it does; votes decay, add up, and only a total
    above the last one raises an alarm until the slot re-arms. New extremes of steady noise get rarer by themselves
    (about ln n of them in n samples), so false alarms die out without a window or a distribution.

    Times are seconds, so 5 s and 1 h data behave alike; a silence lasts as long as it lasts, however many samples
    it would have held. Until `warm` samples nothing is raised, and for some times `ease` samples only what is far out.

    zone: whose hours the profiles follow; its table comes from `series.zone.zone`.
    points_s: every sample counts as that many seconds after the one before; 0 = by its time.
    line, level_line: raw onset and level that map to the score 0.8 and to half of it.

    >>> import numpy as np
    >>> bank = Record()
    >>> slot = np.full(100, bank.reserve(1), np.int32)
    >>> value = np.append(np.sin(np.arange(99.0)), 9.0)
    >>> scores = bank.update(slot, np.arange(100) * 15_000, value)
    >>> np.flatnonzero(scores.score >= 0.8).tolist(), bank.FEATURES[scores.feature[99]]
    ([99], 'value')
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
    PROFILES = ("day", "day_scale", "week")
    """Arrays of `state()` whose first axis is an hour; only the hours in `touched` change between two moments."""

    def __init__(
        self,
        *,
        zone: Zone | None = None,
        points_s: float = 0.0,
        warm: float = 12.0,
        ease: float = 60.0,
        excess: float = 0.1,
        decay: float = 0.6,
        line: float = 0.6,
        level_line: float = 10.0,
        rearm_s: float = 7200.0,
    ) -> None:
        if not 0 < decay < 1 or min(excess, line, level_line) <= 0 or min(points_s, warm, ease, rearm_s) < 0:
            raise ConfigError("decay lies between 0 and 1, excess and lines above 0, times and counts at 0 or above")
        self._zone = zone or zone_of("UTC")
        self._cfg = np.array([points_s, warm, ease, excess, decay, line, level_line, rearm_s], np.float32)
        self._size = 0
        self._epoch = 1
        self._touched = np.zeros(168, np.int64)
        self._arrays = _fresh(0)

    @property
    def size(self) -> int:
        """Slots reserved so far."""
        return self._size

    @property
    def slot_bytes(self) -> int:
        """Bytes of state per slot."""
        return sum(a.nbytes for a in _fresh(1).values())

    def reserve(self, n: int) -> int:
        """Adds `n` fresh slots; answers the first one. Cost is O(n) on average: space grows by doubling."""
        first, self._size = self._size, self._size + n
        space = self._arrays["learned"].shape[-1]
        if self._size > space:
            more = _fresh(max(self._size, 2 * space) - space)
            self._arrays = {k: np.concatenate([a, more[k]], axis=-1) for k, a in self._arrays.items()}
        return first

    def update(self, slot: Ids, t: Times, value: Values) -> Scores:
        """Scores each sample against what its slot knew before it, then learns it. Fastest with rising slots."""
        return self._tick(slot, t, value, (np.empty(0),) * 3)

    def update_with_bands(
        self, slot: Ids, t: Times, value: Values, *, only_alarms: bool = False
    ) -> tuple[Scores, Bands]:
        """As `update`, and the bands that stood before each sample; some 50 times slower unless `only_alarms`.

        lower and upper are the last values that score below the line, as exact as float32. They are infinite where no
        value could reach the line (warm-up, a higher peak not yet re-armed) and NaN where the sample was not judged.
        """
        bands = tuple(np.empty(len(slot)) for _ in range(3))
        return self._tick(slot, t, value, bands, only_alarms=only_alarms), Bands(*bands)

    def _tick(
        self, slot: Ids, t: Times, value: Values, bands: tuple[Array, ...], *, only_alarms: bool = False
    ) -> Scores:
        n = len(slot)
        a = self._arrays
        scores = Scores(np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int8))
        kernel.tick(
            a["core"], a["day"], a["day_scale"], a["week"], a["learned"], self._touched, self._epoch,
            self._zone.start, self._zone.offset, self._cfg,
            np.ascontiguousarray(slot, np.int32), np.ascontiguousarray(t, np.int64), np.ascontiguousarray(value, float),
            scores.score, scores.onset, scores.level, scores.feature, *bands, only_alarms,
        )  # fmt: skip
        return scores

    def state(self) -> State:
        """Everything the bank knows, copied: core (ROWS, n), day, day_scale (24, n), week (168, n), learned (n,)."""
        return {k: a[..., : self._size].copy() for k, a in self._arrays.items()}

    def take(self, slots: Slots) -> State:
        """The state of some slots, in the order asked for: a bank of its own."""
        return {k: a[..., np.asarray(slots)] for k, a in self._arrays.items()}

    @classmethod
    def from_state(cls, state: State, **settings: Any) -> Self:
        """A bank that continues exactly where `state()` or `take()` was taken, given the same settings."""
        bank = cls(**settings)
        bank._size = state["learned"].shape[-1]
        bank._arrays = {k: np.array(state[k], a.dtype, order="C") for k, a in bank._arrays.items()}
        bank._touch_all()
        return bank

    def mark(self) -> int:
        """A moment, for `touched`."""
        self._epoch += 1
        return self._epoch

    def touched(self, since: int = 0) -> dict[str, NDArray[np.intp]]:
        """Hours (first axis) of each profile that may have changed since a moment that `mark` gave.

        The other arrays always change. Slots reserved later are fresh (NaN) in the hours not named.
        """
        week = self._touched >= max(since, 1)
        day = np.flatnonzero(week.reshape(7, 24).any(axis=0))
        return {"day": day, "day_scale": day, "week": np.flatnonzero(week)}

    def _touch_all(self) -> None:
        self._touched[:] = self._epoch

    def release(self, slots: Slots) -> None:
        """Makes slots fresh again, for other series."""
        slots = np.asarray(slots)
        for k, fresh in _fresh(len(slots)).items():
            self._arrays[k][..., slots] = fresh
        self._touch_all()

    def seed_constant(self, slot: int, value: float, t_first: int, t_last: int, n: int) -> None:
        """Sets a slot as if it had seen `n` times the same value, evenly from t_first to t_last (ms)."""
        self.release([slot])
        a, core = self._arrays, self._arrays["core"][:, slot]
        span_s = max(t_last - t_first, 0) / 1000
        core[kernel.SEEN], core[kernel.ORIGIN] = n, value
        core[kernel.SPAN] = min(span_s, 1e7)
        core[kernel.STEP] = span_s / (n - 1) if n > 1 else 1
        hours = (
            self._zone.local(np.arange(t_first, t_last + HOUR_MS, HOUR_MS)[: 24 * 7 + 1].clip(max=t_last)) // HOUR_MS
        )
        a["day"][hours % 24, slot] = a["day_scale"][hours % 24, slot] = 0
        a["week"][(hours + WEEK_SHIFT_H) % 168, slot] = 0
        a["learned"][slot] = t_last

    def borrow(self, slot: int, donors: Slots) -> bool:
        """Gives a fresh slot what like slots know: profiles, spreads and bands, each the median or a middle quantile.

        It counts as `TRUST_SAMPLES` samples, so what the slot learns itself soon outweighs it. At its first value the
        slot keeps the donors' level when the value fits there, else everything is moved to it. False: no donor knows
        enough.
        """
        donors = np.asarray(donors)
        known = donors[self._arrays["core"][kernel.SEEN, donors] >= TRUST_SAMPLES]
        if not len(known):
            return False
        given = _combine({k: a[..., known] for k, a in self._arrays.items()})
        self.release([slot])
        for name, column in given.items():
            self._arrays[name][..., slot] = column
        return True


def _fresh(n: int) -> dict[str, Array]:
    """Columns of slots that have seen nothing."""
    return {
        "core": np.zeros((kernel.ROWS, n), np.float32),
        "day": np.full((24, n), np.nan, np.float32),
        "day_scale": np.full((24, n), np.nan, np.float32),
        "week": np.full((168, n), np.nan, np.float32),
        "learned": np.full(n, kernel.NEVER, np.int64),
    }


def _combine(donors: dict[str, Array]) -> dict[str, Array]:
    """One column from those of several slots; values count from the donors' middle level."""
    core = donors["core"].astype(float)
    long_mean = core[kernel.MEAN + 3]
    origin = float(np.median(core[kernel.ORIGIN] + long_mean))
    shift = core[kernel.ORIGIN] - origin  # of a donor's own values towards the common origin
    out = np.zeros(kernel.ROWS)
    out[kernel.ORIGIN] = origin
    out[kernel.TRUST] = TRUST_SAMPLES
    out[kernel.STEP] = np.median(core[kernel.STEP])
    out[[kernel.SPREAD, kernel.LEVEL_SPREAD]] = np.median(core[[kernel.SPREAD, kernel.LEVEL_SPREAD]], axis=1)
    core[kernel.LOW] += shift
    core[kernel.HIGH] += shift
    core[kernel.CENTRE] += shift
    low, high, centre = (slice(row, row + kernel.FEATURES) for row in (kernel.LOW, kernel.HIGH, kernel.CENTRE))
    out[low] = np.quantile(core[low], 0.25, axis=1)
    out[high] = np.quantile(core[high], 0.75, axis=1)
    out[centre] = np.median(core[centre], axis=1)
    week = donors["week"] - long_mean
    return {"core": out.astype(np.float32)} | {
        name: _middle(rows)
        for name, rows in (("day", donors["day"]), ("day_scale", donors["day_scale"]), ("week", week))
    }


def _middle(rows: Array) -> Array:
    """Median over donors (hour, donor) -> (hour,), NaN where none has seen the hour."""
    seen = ~np.isnan(rows).all(axis=1)
    out = np.full(len(rows), np.nan, np.float32)
    out[seen] = np.nanmedian(rows[seen], axis=1)
    return out
