"""Which signal holds which slot of the detector bank."""

from __future__ import annotations

import numpy as np

from airis_mon.detect.tracks import NONE, Kind
from airis_mon.series.batch import Ids


class SlotTable:
    """Slot -> series or family, and kind; columns, since there may be a million."""

    def __init__(self) -> None:
        self._at = np.full(1024, NONE, np.int32)
        self._of_family = np.zeros(1024, np.bool_)
        self._kind = np.zeros(1024, np.int8)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, slot: int, at: int, of_family: bool, kind: Kind) -> None:
        """Gives a free slot to a signal of series or family `at`."""
        while slot >= len(self._at):
            more = len(self._at)
            self._at = np.concatenate([self._at, np.full(more, NONE, np.int32)])
            self._of_family = np.concatenate([self._of_family, np.zeros(more, np.bool_)])
            self._kind = np.concatenate([self._kind, np.zeros(more, np.int8)])
        self._at[slot], self._of_family[slot], self._kind[slot] = at, of_family, kind
        self._count += 1

    def get(self, slot: int) -> tuple[int, bool, Kind]:
        """(series or family, whether a family, kind). Raises KeyError when no signal holds the slot."""
        if not 0 <= slot < len(self._at) or self._at[slot] == NONE:
            raise KeyError(slot)
        return int(self._at[slot]), bool(self._of_family[slot]), Kind(self._kind[slot])

    def drop(self, slot: int) -> None:
        """Takes a slot from its signal."""
        self._at[slot] = NONE
        self._count -= 1

    def held(self) -> Ids:
        """The slots that signals hold, ascending."""
        return np.flatnonzero(self._at != NONE).astype(np.int32)
