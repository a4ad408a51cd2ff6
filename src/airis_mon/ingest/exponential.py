"""Exponential histograms as classic ones, with few bucket bounds that stay the same from point to point.

An exponential histogram of scale s has bounds 2^(i / 2^s). Lowering the scale by one merges neighbours exactly, so
counts stay exact on the coarser grid: bounds are 2^(i / 2^MAX_SCALE) at the finest (a factor of 1.41), and coarser
where more than MAX_BUCKETS would be needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from airis_mon.errors import InputError

MAX_SCALE = 1
MAX_BUCKETS = 64
MAX_SENT = 20_000
"""A point with more buckets than this on one side is refused; SDKs send 160 at most."""
_EXPONENTS = 1074  # of floats: 2^-1074 .. 2^1024


@dataclass(slots=True)
class Exponential:
    """Counts by bucket index at one scale, for each sign."""

    scale: int
    zero: int = 0
    zero_threshold: float = 0.0
    positive: dict[int, int] = field(default_factory=dict)
    negative: dict[int, int] = field(default_factory=dict)

    def add(self, other: Exponential) -> None:
        """Adds the counts of another, on the coarser of the two grids."""
        scale = min(self.scale, other.scale)
        self._coarsen(scale)
        other._coarsen(scale)
        self.zero += other.zero
        self.zero_threshold = max(self.zero_threshold, other.zero_threshold)
        for ours, theirs in ((self.positive, other.positive), (self.negative, other.negative)):
            for i, count in theirs.items():
                ours[i] = ours.get(i, 0) + count
        self._fit()

    def buckets(self) -> tuple[list[float], list[int]]:
        """(upper bounds, cumulative counts), without the last one of infinity.

        The bounds run without a gap from the lower edge of the first filled bucket. A bucket of negative values ends
        where it begins nearer to zero; its bound belongs to its neighbour, which no measurement can tell.
        """
        bounds: list[float] = []
        counts: list[int] = []
        total = 0
        if self.negative:
            low, high = min(self.negative), max(self.negative)
            bounds.append(-self._bound(high + 1))
            counts.append(0)
            for i in range(high, low - 1, -1):
                total += self.negative.get(i, 0)
                bounds.append(-self._bound(i))
                counts.append(total)
        if self.zero or self.negative:
            total += self.zero
            bounds.append(self.zero_threshold)
            counts.append(total)
        if self.positive:
            low, high = min(self.positive), max(self.positive)
            for i in range(low - 1, high + 1):
                total += self.positive.get(i, 0)
                bounds.append(self._bound(i + 1))
                counts.append(total)
        return _increasing(bounds, counts)

    def _bound(self, i: int) -> float:
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp2(np.ldexp(float(i), -self.scale)))

    def _coarsen(self, scale: int) -> None:
        steps = self.scale - scale
        if steps > 0:
            self.positive, self.negative = _merged(self.positive, steps), _merged(self.negative, steps)
            self.scale = scale

    def _fit(self) -> None:
        while sum(max(s) - min(s) + 1 for s in (self.positive, self.negative) if s) > MAX_BUCKETS:
            self._coarsen(self.scale - 1)


def exponential(
    scale: int,
    zero: int,
    zero_threshold: float,
    positive: tuple[int, list[int]],
    negative: tuple[int, list[int]],
) -> Exponential:
    """One point as sent, (offset, counts) for each sign, on our grid.

    Raises InputError for more than MAX_SENT buckets and for bounds that no float reaches.
    """
    if not -11 <= scale <= 20:
        raise InputError("the scale is none of OpenTelemetry's, -11 to 20")
    made = Exponential(scale, zero, zero_threshold)
    made.positive, made.negative = _filled(scale, *positive), _filled(scale, *negative)
    made._coarsen(MAX_SCALE)  # noqa: SLF001  our own
    made._fit()  # noqa: SLF001
    return made


def _filled(scale: int, offset: int, counts: list[int]) -> dict[int, int]:
    if len(counts) > MAX_SENT:
        raise InputError(f"{len(counts)} buckets are more than {MAX_SENT}")
    if abs(offset) >= 1 << 31:
        raise InputError("a bucket's offset is no 32-bit number")
    filled = {offset + k: count for k, count in enumerate(counts) if count}
    if filled:
        steps = 2.0**scale
        if min(filled) / steps < -_EXPONENTS or max(filled) / steps > _EXPONENTS:
            raise InputError("a bucket's bounds are beyond the range of a float")
    return filled


def _merged(counts: dict[int, int], steps: int) -> dict[int, int]:
    out: dict[int, int] = {}
    for i, count in counts.items():
        out[i >> steps] = out.get(i >> steps, 0) + count
    return out


def _increasing(bounds: list[float], counts: list[int]) -> tuple[list[float], list[int]]:
    """Without bounds that are infinite or not above the one before (they met in rounding, or the zero bucket is wide).

    Of two that meet the later count holds.
    """
    kept: list[tuple[float, int]] = []
    for bound, count in zip(bounds, counts, strict=True):
        while kept and kept[-1][0] >= bound:
            kept.pop()
        if np.isfinite(bound):
            kept.append((bound, count))
    return [b for b, _ in kept], [c for _, c in kept]
