"""Moments at which something is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from airis_mon.series.batch import Times


@dataclass(frozen=True, slots=True)
class Steps:
    """`count` moments, `step` ms apart, the first one at `start` (ms UTC); one moment has a step of 1."""

    start: int
    step: int
    count: int

    @classmethod
    def at(cls, t: int) -> Self:
        """A single moment."""
        return cls(t, 1, 1)

    @classmethod
    def between(cls, start: int, end: int, step: int) -> Self:
        """From `start` on, not beyond `end`."""
        return cls(start, step, (end - start) // step + 1)

    @property
    def end(self) -> int:
        """The last moment."""
        return self.start + (self.count - 1) * self.step

    @property
    def t(self) -> Times:
        """(count,) ms."""
        return self.start + np.arange(self.count, dtype=np.int64) * self.step

    def moved(self, by_ms: int) -> Self:
        """The same steps, earlier or later."""
        return type(self)(self.start + by_ms, self.step, self.count)
