"""Sums over groups of series that stay exact where large values cancel each other. Pure.

Compensated summation after Neumaier (1974, doi:10.1002/zamm.19740540106): what rounding took from each addition is
summed beside. Blocks of a group's series are summed one series at a time and all blocks at once, then the blocks' sums
in the same way; Prometheus goes through the series one by one, so that the last bits may differ.

The columns of windows have sums of their own (`sums`): the rows of a group, laid side by side for them, took two to
seven times as long (2,000 series of 240 steps), and windows taken for groups of rows twice as long.
"""

from __future__ import annotations

import numpy as np

from airis_mon.query.grouping import Groups, Index, Key
from airis_mon.query.sums import plus
from airis_mon.series.batch import Values

_BLOCK = 16
_SCALE = 2.0**-64
"""Multiplying by it is exact, and leaves room for the sum of more numbers than memory holds."""


def sums(groups: Groups[Key], rows: Values, over: Values | float = 1.0) -> Values:
    """(groups, steps) the sums divided by `over`. rows: (series, steps), 0 where nothing is.

    Neither sum nor mean of finite values becomes infinite on the way, only where it is too large itself.
    """
    with np.errstate(all="ignore"):
        found = _divided(groups, rows, over)
        odd = ~np.isfinite(found).all(axis=0)
        if odd.any():
            over = over[:, odd] if isinstance(over, np.ndarray) else over
            scaled = _divided(groups, rows[:, odd] * _SCALE, over) / _SCALE
            found[:, odd] = np.where(np.isfinite(found[:, odd]), found[:, odd], scaled)
    return found


def _divided(groups: Groups[Key], rows: Values, over: Values | float) -> Values:
    found, lost = _compensated(groups, rows)
    # Beside an infinite sum the compensation means nothing.
    quotient: Values = found / over + np.where(np.isfinite(found), lost, 0.0) / over
    return quotient


def _compensated(groups: Groups[Key], rows: Values) -> tuple[Values, Values]:
    """(sums, what rounding took from them), each (groups, steps)."""
    found, starts, sizes = rows[groups.order], groups.starts, groups.sizes
    lost = np.zeros((len(rows), 1))
    while (sizes > 1).any():
        blocks = -(-sizes // _BLOCK)
        firsts = np.cumsum(blocks) - blocks
        offsets = _BLOCK * (np.arange(blocks.sum()) - np.repeat(firsts, blocks))
        begins = np.repeat(starts, blocks) + offsets
        found, newly_lost = _folded(found, begins, np.minimum(np.repeat(sizes, blocks) - offsets, _BLOCK))
        lost = newly_lost + np.add.reduceat(lost, begins, axis=0)
        starts, sizes = firsts, blocks
    return found, lost


def _folded(rows: Values, begins: Index, sizes: Index) -> tuple[Values, Values]:
    """(sums, what rounding took from them), each (blocks, steps), of blocks of neighbouring rows."""
    order = np.argsort(-sizes, kind="stable")  # so that the blocks with an n-th row are the first ones
    begins, sizes = begins[order], sizes[order]
    found = rows[begins]
    lost = np.zeros_like(found)
    for n in range(1, sizes[0]):
        blocks = np.searchsorted(-sizes, -n)
        found[:blocks], newly_lost = plus(found[:blocks], rows[begins[:blocks] + n])
        lost[:blocks] += newly_lost
    back = np.argsort(order, kind="stable")
    return found[back], lost[back]
