"""One score for an entity (a host, a pod, a service) from both channels of all its metrics, and which are to blame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect.base import Floats
from airis_mon.errors import ConfigError
from airis_mon.series.batch import Ids, Times
from airis_mon.series.kernel import kernel

Array = NDArray[Any]

BLAMED = 5
"""So many metrics are named per entity."""
LINE = 0.35
"""The raw score that maps to 0.8; see `Entities`."""
STALE_STEPS = 5
"""A metric silent for more of its usual steps than this no longer counts."""


@dataclass(frozen=True, slots=True)
class EntityScores:
    """One judgement per entity and time.

    entity: (n,); t: (n,) ms; score: (n,) 0..1, 0.8 is the line. slot: (n, BLAMED) the metrics that contributed most,
    most first, -1 = none; share: (n, BLAMED) what part of the score each gave, 0..1.
    """

    entity: Ids
    t: Times
    score: Floats
    slot: Ids
    share: Floats

    def __len__(self) -> int:
        return len(self.entity)


class Entities:
    """Joins the channels of an entity's metrics as they come: the highest levels, and how many metrics just broke out.

    Raw score = mean of the `top` highest levels (each clipped at `clip` and divided by it), held and fading with
    `level_hold_s`, plus the mean over metrics of the onset (n / (n + 1)), held and fading with `onset_hold_s`. Long
    anomalies stand out in the first, sudden ones in the second. `line` is the raw score that maps to 0.8.

    The constants are one set for all data. Average precision on SMD moves by less than .02 over top 3..8, clip 20..60
    and holds of half and double; on ASD by less than .03. `line` is the middle of the plateau (0.3 to 0.4) of point F1
    on SMD; ASD, where nothing was chosen, has 80 % precision there. See `benchmarks/quality_smd.py`.

    >>> import numpy as np
    >>> hosts = Entities()
    >>> hosts.assign(np.array([0, 1, 2]), np.array([0, 0, 0]))
    >>> calm, burning = np.zeros(3), np.array([0.0, 60.0, 0.0])
    >>> scores = hosts.update(np.arange(3), np.full(3, 60_000), calm, burning)
    >>> float(scores.score[0]) > 0.7, int(scores.slot[0, 0])
    (True, 1)
    """

    def __init__(
        self,
        *,
        top: int = 5,
        clip: float = 30.0,
        level_hold_s: float = 1200.0,
        onset_hold_s: float = 1800.0,
        line: float = LINE,
    ) -> None:
        if top < 1 or min(clip, level_hold_s, onset_hold_s, line) <= 0:
            raise ConfigError("entity: top is 1 or more; clip, holds and line are above 0")
        self._settings = np.array([top, clip, level_hold_s * 1000, onset_hold_s * 1000, line])
        self._of = np.empty(0, np.int32)  # (slot,) -> entity, -1 = none
        self._slots = np.zeros((4, 0))  # level part, held onset, time of the last sample, usual step
        self._held = np.zeros((2, 0))  # held level of an entity and its time
        self._members = np.empty(0, np.int32)
        self._start = np.zeros(1, np.int64)

    def assign(self, slot: Ids, entity: Ids) -> None:
        """Says which entity each slot belongs to, -1 = none; what a slot showed so far is forgotten. Cost O(all)."""
        slot, entity = np.asarray(slot), np.asarray(entity)
        more = int(slot.max(initial=-1)) + 1 - len(self._of)
        if more > 0:
            self._of = np.concatenate([self._of, np.full(more, -1, np.int32)])
            self._slots = np.concatenate([self._slots, np.zeros((4, more))], axis=1)
        self._of[slot] = entity
        self._slots[:, slot] = 0
        count = max(int(self._of.max(initial=-1)) + 1, self._held.shape[1])
        self._held = np.concatenate([self._held, np.zeros((2, count - self._held.shape[1]))], axis=1)
        order = np.argsort(self._of, kind="stable")
        self._members = order[self._of[order] >= 0].astype(np.int32)
        self._start = np.searchsorted(self._of[self._members], np.arange(count + 1))

    def update(self, slot: Ids, t: Times, onset: Floats, level: Floats) -> EntityScores:
        """Takes in scores of samples (times rising per entity), answers one row per entity and time in the batch.

        Rows come in the order of each entity's first sample of that time. Hand over all samples of one time together,
        else that time is judged once per batch, each time with what is known. Slots without an entity are passed by.
        """
        n = len(slot)
        entity, when, raw = np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n)
        blamed, share = np.empty((n, BLAMED), np.int32), np.empty((n, BLAMED), np.float32)
        rows = _join(
            np.ascontiguousarray(slot, np.int32), np.ascontiguousarray(t, np.int64),
            np.ascontiguousarray(onset, np.float32), np.ascontiguousarray(level, np.float32),
            self._of, self._slots, self._held, self._members, self._start, self._settings,
            np.full(self._held.shape[1], -1, np.int64), entity, when, raw, blamed, share,
        )  # fmt: skip
        line, raw = self._settings[4], raw[:rows]
        score = np.where(raw < line, 0.8 * raw / line, 1 - 0.2 * line / np.maximum(raw, line))
        return EntityScores(entity[:rows], when[:rows], score.astype(np.float32), blamed[:rows], share[:rows])


@kernel
def _join(
    slot: Array, t: Array, onset: Array, level: Array, of: Array, slots: Array, held: Array, members: Array,
    start: Array, settings: Array, row: Array, entity: Array, when: Array, raw: Array, blamed: Array, share: Array,
) -> int:  # fmt: skip
    """Fills a row per entity and time; a row is worked out when the entity's next time, or the batch, has ended."""
    rows = 0
    for j in range(slot.size):
        e = of[slot[j]] if slot[j] < of.size else -1
        if e < 0:
            continue
        if row[e] < 0 or t[j] > when[row[e]]:
            if row[e] >= 0:
                _judge(e, row[e], slots, held, members, start, settings, when, raw, blamed, share)
            row[e] = rows
            entity[rows] = e
            when[rows] = t[j]
            rows += 1
        _take(slot[j], t[j], onset[j], level[j], slots, settings)
    for e in range(row.size):
        if row[e] >= 0:
            _judge(e, row[e], slots, held, members, start, settings, when, raw, blamed, share)
    return rows


@kernel
def _take(i: int, t: int, onset: float, level: float, slots: Array, settings: Array) -> None:
    """One sample's channels into its slot: the level as it is, the onset held and fading."""
    passed = t - slots[2, i]
    if slots[2, i] > 0 and passed > 0:
        slots[1, i] *= np.exp(-passed / settings[3])
        slots[3, i] = passed if slots[3, i] == 0 else min(passed, slots[3, i] * 1.5)
    slots[0, i] = min(level, settings[1]) / settings[1]
    slots[1, i] = max(slots[1, i], onset / (onset + 1))
    slots[2, i] = t


@kernel
def _judge(
    e: int, row: int, slots: Array, held: Array, members: Array, start: Array, settings: Array, when: Array, raw: Array,
    blamed: Array, share: Array,
) -> None:  # fmt: skip
    """The raw score of one entity at the time of its row, and the metrics that gave most of it."""
    t = when[row]
    mine = members[start[e] : start[e + 1]]
    part = np.zeros(mine.size)
    high = np.zeros(mine.size)
    count = 0
    onsets = 0.0
    for m in range(mine.size):
        i = mine[m]
        old = t - slots[2, i]
        if slots[2, i] > 0 and (slots[3, i] == 0 or old <= STALE_STEPS * slots[3, i]):
            count += 1
            high[m] = slots[0, i]
            part[m] = slots[1, i] * np.exp(-max(old, 0) / settings[3])
            onsets += part[m]
    top = min(int(settings[0]), max(count, 1))
    cut = np.sort(high)[mine.size - top]
    levels = 0.0
    ties = top - (high > cut).sum()
    for m in range(mine.size):
        part[m] /= max(count, 1)
        if high[m] > cut or (high[m] == cut and ties > 0):
            ties -= high[m] == cut
            part[m] += high[m] / top
            levels += high[m] / top
    fading = held[0, e] * np.exp(-max(t - held[1, e], 0) / settings[2])
    held[0, e] = max(fading, levels)
    held[1, e] = max(t, held[1, e])
    raw[row] = held[0, e] + onsets / max(count, 1)
    _blame(part, mine, row, blamed, share)


@kernel
def _blame(part: Array, mine: Array, row: int, blamed: Array, share: Array) -> None:
    """The largest parts, most first."""
    whole = max(part.sum(), 1e-12)
    order = np.argsort(-part)
    for k in range(BLAMED):
        some = k < order.size and part[order[k]] > 0
        blamed[row, k] = mine[order[k]] if some else -1
        share[row, k] = part[order[k]] / whole if some else 0
