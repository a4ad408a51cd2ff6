"""What a detector is: a bank of state for many series, scored and taught in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Ids, Times, Values

Floats = NDArray[np.float32]
State = dict[str, NDArray[np.generic]]
"""Named arrays, saved without pickle; the last axis of each is the slot."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One judgement per sample, in the order of the samples; every array is (n,).

    score: 0..1, 0.8 is the line, finely graded. onset, level: the raw channels, >= 0. feature: index into the
    detector's `FEATURES`, -1 = none fired. A gap (NaN, infinite) and a sample not newer than the last learned one
    score 0 and teach nothing.
    """

    score: Floats
    onset: Floats
    level: Floats
    feature: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Bands:
    """What would have been normal, per sample: (n,) each; lower..upper are the values that score below the line."""

    expected: Values
    lower: Values
    upper: Values


class Detector(Protocol):
    """A bank of slots, one per watched signal. Struct of arrays; score before learn.

    A batch equals its samples one by one, the order of slots inside a batch does not matter.
    """

    FEATURES: tuple[str, ...]

    @property
    def size(self) -> int:
        """Slots reserved so far."""

    def reserve(self, n: int) -> int:
        """Adds `n` fresh slots; answers the first one."""

    def update(self, slot: Ids, t: Times, value: Values) -> Scores:
        """Scores each sample against what its slot knew before it, then learns it."""

    def update_with_bands(
        self, slot: Ids, t: Times, value: Values, *, only_alarms: bool = False
    ) -> tuple[Scores, Bands]:
        """As `update`, and the bands that stood before each sample.

        For drawing and files: slower. With `only_alarms` the bands of samples below the line are NaN and the cost is
        nearly that of `update`: what the live engine calls.
        """

    def state(self) -> State:
        """Everything the bank knows, as named arrays."""

    @classmethod
    def from_state(cls, state: State) -> Self:
        """A bank that continues exactly where `state()` was taken."""
