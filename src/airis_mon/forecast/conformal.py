"""Intervals from the errors of a backtest, pooled over series, and a width that follows what was really covered.

Three windows hold three errors a step: far too few for a 95 % quantile of one series. Errors in units of each series'
own spread are alike enough to be pooled, if the spread is taken from other windows than the error it divides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import InputError
from airis_mon.forecast.student import t_quantile
from airis_mon.series.batch import Values

WORTH = 2
"""A window of neighbouring errors counts as so many independent ones; measured on random walks and slow noise."""
FLOOR = 0.3
"""A spread from some windows is at least so much of that from all: still windows make no endless error of a jump."""
ENOUGH = 1000
"""With so many windows of all series together, each step has its own quantile; with fewer, steps nearby join in."""
NARROWEST, WIDEST = 0.05, 50.0
"""Factors of an interval's width that following what was covered may reach."""
OWN = 1 / 3
"""Weight of a series' own growth beside that of all; more narrows the first steps on M4, less the last of walks."""


def bands(residual: Values, mean: Values, level: float) -> tuple[Values, Values]:
    """(lower, upper), (series, horizon) each, around `mean`, which hold `level` of what happens.

    residual: (windows, series, horizon) actual - forecast of the backtest, NaN = not seen. Where several forecasters
    were compared, a window's residual should be of the one chosen without that window: else the chosen one looks
    better than it is (coverage .934 in place of .947 on held-out ends of the training part of M4 hourly, 3 windows).

    Split conformal prediction (Papadopoulos et al. 2002, doi:10.1007/3-540-36755-1_29) over series and windows, the
    errors scaled by the series' spread in other windows and by its growth over the horizon. Symmetric: signed
    quantiles covered less and cost more there. Where too few windows stand behind the quantile, the spread times
    Student's t, `WORTH` degrees of freedom a window: wide, as little is known. NaN where a series has fewer than two
    residuals. A series that was always forecast without any error has an interval without width.
    Raises InputError for a level that is no share.
    """
    if not 0 < level < 1:
        raise InputError(f"level {level} is no share; give one between 0 and 1, such as 0.95")
    size = np.abs(residual)
    seen = np.isfinite(size)
    unit = np.where(seen, size, 0.0).max(axis=(0, 2), initial=0.0)[:, None]  # squares neither overflow nor vanish
    unit[unit == 0] = 1.0
    relative = np.where(seen, size / unit, np.nan)
    windows_of, points = seen.any(axis=2).sum(axis=0), seen.sum(axis=(0, 2))  # (series,)
    spread = _spread(relative)
    half = np.full(mean.shape, np.nan)
    for windows in np.unique(windows_of[windows_of > 0]).tolist():
        rows = np.flatnonzero((windows_of == windows) & (points >= 2))
        half[rows] = spread[rows] * _times(relative, spread, windows, level)
    return mean - half * unit, mean + half * unit


def _times(residual: Values, spread: Values, windows: int, level: float) -> Values:
    """(horizon,) by how many spreads an interval reaches out, for series of which so many windows were seen."""
    horizon = residual.shape[2]
    score = _scores(residual, spread, max(1, min(windows, len(residual) - 1)))
    seen = np.isfinite(score)
    clusters = int(seen.any(axis=2).sum())
    behind = min(WORTH * clusters, int(seen.sum()))
    if level * (behind + 1) > behind:
        return np.full(horizon, t_quantile((1 + level) / 2, windows * min(WORTH, horizon)))
    share = level * (behind + 1) / behind
    # Neighbours in one window tell much the same: they smooth a quantile, but stand for few windows more.
    reach = max(0, round(horizon * (ENOUGH / clusters - 1) / 2))
    if reach >= horizon:
        return np.full(horizon, np.quantile(score[seen], share))
    near = [score[:, :, max(0, h - reach) : h + reach + 1] for h in range(horizon)]
    return np.array([np.quantile(n[np.isfinite(n)], share) if np.isfinite(n).any() else np.nan for n in near])


def _scores(residual: Values, spread: Values, windows: int) -> Values:
    """(windows, series, horizon) |residual| in spreads that so many other windows tell, the next ones in a circle."""
    count = len(residual)
    score = np.full(residual.shape, np.nan)
    for w in range(count if windows < count else 0):
        rest = residual[[(w + k) % count for k in range(1, windows + 1)]]
        # A series without any error says nothing about those that have some.
        is_told = np.asarray(np.isfinite(rest).any(axis=2).all(axis=0))[:, None] & (spread > 0)
        score[w] = np.abs(residual[w]) / np.where(is_told, np.maximum(_spread(rest), FLOOR * spread), np.nan)
    return score


def _spread(residual: Values) -> Values:
    """(series, horizon) root mean square of (windows, series, horizon), as it grows with the step; NaN = none seen."""
    growth = _growth(residual)
    power, count = _power(residual / growth)
    return _root(power, count)[:, None] * growth


def _power(residual: Values) -> tuple[Values, Values]:
    """Sum of squares and count of what was seen, (series,) each."""
    seen = np.isfinite(residual)
    square = np.where(seen, residual, 0.0) ** 2
    return square.sum(axis=(0, 2)), seen.sum(axis=(0, 2)).astype(np.float64)


def _root(power: Values, count: Values) -> Values:
    return np.sqrt(np.where(count > 0, power, np.nan) / np.maximum(count, 1))


def _growth(residual: Values) -> Values:
    """(series, horizon) how errors grow with the step: a power of it between 0 and 1, mean square 1 over the horizon.

    The series' own exponent is drawn to the median of all: 3 windows tell one to about .17 on random walks.
    """
    horizon = residual.shape[2]
    step = np.arange(1, horizon + 1, dtype=np.float64)
    edges = np.unique(np.minimum(2 ** np.arange(horizon.bit_length() + 1) - 1, horizon))
    blocks = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    if len(blocks) < 2:
        return np.ones(residual.shape[1:])
    power, count = (np.array(parts) for parts in zip(*(_power(residual[:, :, a:b]) for a, b in blocks), strict=True))
    log = np.log(_root(power, count) + 1e-6 * _root(power.sum(axis=0), count.sum(axis=0)) + 1e-300)  # (blocks, series)
    at = np.array([np.log(step[a:b]).mean() for a, b in blocks])
    own = _slopes(at, log, np.sqrt(np.diff(edges).astype(np.float64)))
    is_known = np.isfinite(own) & (power.sum(axis=0) > 0)
    pooled = float(np.median(own[is_known])) if is_known.any() else 0.0
    exponent = np.clip(OWN * np.where(is_known, own, pooled) + (1 - OWN) * pooled, 0.0, 1.0)
    growth = step ** exponent[:, None]
    return np.asarray(growth / np.sqrt((growth**2).mean(axis=1, keepdims=True)))


def _slopes(at: Values, log: Values, weight: Values) -> Values:
    """(series,) weighted least squares slopes of (blocks, series) over (blocks,); NaN where a block was not seen."""
    share = weight / weight.sum()
    x = at - share @ at
    return np.asarray((share * x) @ (log - share @ log) / (share @ x**2))


@dataclass(slots=True, eq=False)
class Online:
    """By how much intervals are to be widened so that in the long run `level` is really covered, per group of series.

    width: (groups,) factors. Quantile tracking, the proportional part of conformal PI control (Angelopoulos, Candès and
    Tibshirani 2023, arXiv:2307.16895; adaptive conformal inference, Gibbs and Candès 2021, moves the level asked for
    instead, which ends where a backtest has no wider error to offer). Ours moves the logarithm, so that one rate suits
    series of any size: after n results the share covered is off by |ln(width now / width then)| / (rate n), whatever
    the series does, as long as the width stays within `NARROWEST` and `WIDEST`.
    """

    level: float
    width: Values
    rate: float = 0.1

    def __post_init__(self) -> None:
        """Raises InputError for a level that is no share or a rate that learns nothing."""
        if not 0 < self.level < 1:
            raise InputError(f"level {self.level} is no share; give one between 0 and 1, such as 0.95")
        if not 0 < self.rate <= 1:
            raise InputError(f"rate {self.rate} must lie above 0 and not above 1, such as 0.1")

    @classmethod
    def of(cls, groups: int, level: float, rate: float = 0.1) -> Self:
        """So many groups that have seen nothing yet: factors of 1."""
        return cls(level, np.ones(groups), rate)

    def update(self, covered: Values) -> None:
        """Learns which share of what happened lay within the widened intervals: (groups,) 0..1, NaN = nothing did."""
        miss = np.where(np.isfinite(covered), self.level - covered, 0.0)
        self.width = np.clip(self.width * np.exp(self.rate * miss), NARROWEST, WIDEST)

    def widened(self, lower: Values, mean: Values, upper: Values, group: NDArray[np.integer]) -> tuple[Values, Values]:
        """(lower, upper) around the same mean; (series, horizon) each, group: (series,)."""
        width = self.width[group][:, None]
        return mean - width * (mean - lower), mean + width * (upper - mean)

    def state(self) -> dict[str, Values]:
        """What `from_state` needs, as plain arrays whose last axis is the group."""
        return {"width": self.width.copy()}

    @classmethod
    def from_state(cls, state: dict[str, Values], level: float, rate: float = 0.1) -> Self:
        """Continues where `state` was taken."""
        return cls(level, np.asarray(state["width"], np.float64).copy(), rate)
