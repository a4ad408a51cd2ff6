"""Chance that can be asked about any moment: a draw belongs to (seed, purpose, index), not to what was drawn before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
"""Milliseconds, UTC."""
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
_KNOTS = 64


@dataclass(frozen=True, slots=True)
class Dice:
    """The world's only source of chance; worlds of one seed but another name have nothing in common."""

    seed: int
    name: str = ""

    def at(self, purpose: str, index: int = 0) -> Generator:
        """The generator of one purpose and index (>= 0); asked again it begins anew."""
        return Generator(
            PCG64(SeedSequence((self.seed, xxhash.xxh64_intdigest(f"{self.name}/{purpose}".encode()), index)))
        )

    def smooth(self, purpose: str, t: Times, period_ms: int, width: int) -> Floats:
        """(time, width) noise of unit variance that forgets itself within about two periods.

        Knots of white noise, interpolated: any stretch of time is had without the one before it, as an
        autoregression could not be.
        """
        at = t // period_ms
        first = int(at[0])
        knots = self._knots(purpose, first, int(at[-1]) + 2, width)
        part = (t - at * period_ms) / period_ms
        part = part * part * (3 - 2 * part)
        scale = 1 / np.hypot(part, 1 - part)
        left, k = ((1 - part) * scale)[:, None], at - first
        return np.asarray(knots[k] * left + knots[k + 1] * (part * scale)[:, None])

    def _knots(self, purpose: str, first: int, end: int, width: int) -> Floats:
        """Knots first..end-1, made in chunks so that each has its own place."""
        chunks = range(first // _KNOTS, (end - 1) // _KNOTS + 1)
        made = [self.at(purpose, c).standard_normal((_KNOTS, width)) for c in chunks]
        return np.concatenate(made)[first - chunks[0] * _KNOTS : end - chunks[0] * _KNOTS]
