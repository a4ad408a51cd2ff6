"""What a new slot borrows from like slots: their columns combined, and moved to where its own values lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect import _rows as rows
from airis_mon.detect.base import State

Array = NDArray[Any]

TRUST_SAMPLES = 60
"""What the donors know together counts as so many samples of the slot's own."""
BANDS = slice(rows.LOW, rows.VOTE)
DAILY = (("day", rows.DAY), ("day_scale", rows.DAY_SCALE), ("day_level", rows.DAY_LEVEL))


def combine(donors: State) -> State | None:
    """One column from those of several slots, in distances from their middle level; None: they know too little."""
    known = np.flatnonzero(donors["core"][rows.SEEN] >= TRUST_SAMPLES)
    if not len(known):
        return None
    core = donors["core"][:, known].astype(np.float64)
    mean = core[rows.MEAN + 3]
    origin = np.median(core[rows.ORIGIN] + mean)
    core[[rows.LOW, rows.HIGH, rows.LEVEL]] += core[rows.ORIGIN] - origin
    out = np.zeros(rows.ROWS, np.float32)
    out[rows.ORIGIN], out[rows.TRUST] = origin, TRUST_SAMPLES
    for row in (rows.SPAN, rows.STEP, rows.SPREAD, rows.LEVEL, rows.LEVEL_SPREAD):
        out[row] = np.median(core[row])
    out[rows.LOW : rows.HIGH] = np.quantile(core[rows.LOW : rows.HIGH], 0.25, axis=1)
    out[rows.HIGH : rows.VOTE] = np.quantile(core[rows.HIGH : rows.VOTE], 0.75, axis=1)
    profiles = {name: pack(_middle(_daily(donors, name, row)[:, known])) for name, row in DAILY}
    profiles["week"] = pack(_middle(_weekly(donors)[:, known] - mean))
    state = {name: p[:, None] for name, p in profiles.items()}
    return {"core": out[:, None], "learned": np.array([rows.NEVER]), **state}


def resettle(lent: State, value: float, hour: int) -> State:
    """Borrowed knowledge as a slot uses it whose first value is `value`, in that hour of the day.

    A value within one width of the donors' band fits. Else the level is its own, and where it is larger than theirs
    all distances grow with it: too wide learns late, too narrow floods.
    """
    core = np.array(lent["core"][:, 0], np.float32)
    x, near = value - core[rows.ORIGIN], core[rows.HIGH] - core[rows.LOW]
    if core[rows.LOW] - near <= x <= core[rows.HIGH] + near:
        return lent
    ratio = max(1.0, abs(value) / max(abs(float(core[rows.ORIGIN])), 1e-9)) if core[rows.ORIGIN] else 1.0
    core[BANDS] *= ratio
    core[[rows.SPREAD, rows.LEVEL, rows.LEVEL_SPREAD]] *= ratio
    profiles = {
        name: pack(unpack(lent[name]) * np.float32(ratio)) for name in ("day", "day_scale", "day_level", "week")
    }
    usual = unpack(profiles["day"])[hour, 0]
    core[rows.ORIGIN] = value - (0 if np.isnan(usual) else usual)
    return {"core": core[:, None], "learned": lent["learned"], **profiles}


def pack(values: Array) -> NDArray[np.uint16]:
    """float32 to its upper half, rounded to even, as the kernel does it."""
    u = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return np.asarray((u + 0x7FFF + ((u >> 16) & 1)) >> 16, np.uint16)


def unpack(halves: Array) -> NDArray[np.float32]:
    """The float32 that a profile's 16 bits stand for; NaN = hour not seen."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _daily(state: State, name: str, row: int) -> Array:
    """(24, n) of one profile, with the present hour, which lies in core until it ends."""
    out = unpack(state[name])
    here = state["core"][rows.HOUR] > 0
    hours = (state["core"][rows.HOUR, here].astype(int) - 1) % 24
    out[hours, np.flatnonzero(here)] = state["core"][row, here]
    return out


def _weekly(state: State) -> Array:
    """(168, n) of the weekly profile, with the present hour."""
    out = unpack(state["week"])
    here = state["core"][rows.HOUR] > 0
    out[state["core"][rows.HOUR, here].astype(int) - 1, np.flatnonzero(here)] = state["core"][rows.WEEK, here]
    return out


def _middle(profile: Array) -> Array:
    """Median over donors (hour, donor) -> (hour,), NaN where none has seen the hour."""
    seen = ~np.isnan(profile).all(axis=1)
    out = np.full(len(profile), np.nan, np.float32)
    out[seen] = np.nanmedian(profile[seen], axis=1)
    return out
