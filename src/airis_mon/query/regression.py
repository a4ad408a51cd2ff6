"""The straight line through a window's samples, by least squares: deriv and predict_linear. Pure.

The sums and their order are those of Prometheus (promql/functions.go, linearRegression), so that where a large value
with a small slope cancels digits, the same ones are lost.
"""

from __future__ import annotations

import numpy as np

from airis_mon.query.sums import total
from airis_mon.query.windows import Piece, Windows
from airis_mon.series.batch import Times, Values


def deriv(windows: Windows) -> Values:
    """The slope per second; needs two samples."""

    def slope(piece: Piece) -> Values:
        t = piece.of(windows.t)
        return _line(piece, t - t[0], piece.of(windows.value))[0]

    return windows.packed(slope, least=2)


def predict_linear(windows: Windows, ahead_s: Values, moments: Times) -> Values:
    """The line's value so many seconds after each moment of evaluation; needs two samples.

    ahead_s: (steps,); moments: (steps,) ms.
    """

    def predicted(piece: Piece) -> Values:
        since = piece.of(windows.t) - moments[piece.step]
        slope, intercept = _line(piece, since, piece.of(windows.value))
        return slope * ahead_s[piece.step] + intercept

    return windows.packed(predicted, least=2)


def _line(piece: Piece, since_ms: Times, y: Values) -> tuple[Values, Values]:
    """(slope per second, value at 0); since_ms, y: (k, windows)."""
    n = piece.count
    x = piece.padded(since_ms / 1000)
    sum_x, sum_y, sum_xy, sum_xx = total(x), total(y), total(x * y), total(x * x)
    slope = (sum_xy - sum_x * sum_y / n) / (sum_xx - sum_x * sum_x / n)
    intercept = sum_y / n - slope * sum_x / n
    # A constant is no matter of rounding, and Inf has no slope.
    level = np.where(np.isinf(y[0]), np.nan, y[0])
    is_constant = piece.padded(y == y[0], pad=True).all(axis=0)
    return np.where(is_constant, level * 0, slope), np.where(is_constant, level, intercept)
