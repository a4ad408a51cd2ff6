"""Values as decimals: most metrics are written with few digits, and an integer's differences compress far better.

value = mantissa / 10**exponent, only where that division gives back the very same bits; anything else (full precision,
NaN, infinity, -0.0) keeps its bits in the mantissa under the exponent `BITS`. The samples table computes `value` so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Ids, Values
from airis_mon.series.kernel import exact_kernel

BITS = 127
"""The exponent that says: the mantissa holds the value's bits."""
DIGITS = 12
"""No exponent is higher."""
# A random double is a decimal of 2**43 steps by chance once in thousands; mixing both forms in a series costs more
# than it saves. Integers are taken as far as a double counts them.
_POWERS: Values = np.power(10.0, np.arange(DIGITS + 1), dtype=np.float64)
_LIMITS: Values = np.concatenate([[2.0**53], 2.0**43 / _POWERS[1:]])

Exponents = NDArray[np.int8]


def to_decimals(sid: Ids, value: Values, guess: Exponents) -> tuple[NDArray[np.int64], Exponents]:
    """(mantissa, exponent) of each value. `guess`, by sid, is what fitted the series last and is brought up to date."""
    mantissa, exponent = _to_decimals(sid, value, value.view(np.int64), guess, _POWERS, _LIMITS)
    return mantissa, exponent


def to_values(mantissa: NDArray[np.int64], exponent: Exponents) -> Values:
    """The values again, as the samples table computes them."""
    is_bits = exponent == BITS
    powers = _POWERS[np.where(is_bits, 0, exponent)]
    return np.where(is_bits, mantissa.view(np.float64), mantissa / powers)


@exact_kernel
def _to_decimals(
    sid: Ids, value: Values, bits: NDArray[np.int64], guess: Exponents, powers: Values, limits: Values
) -> tuple[NDArray[np.int64], Exponents]:
    mantissa, exponent = np.empty(len(value), np.int64), np.empty(len(value), np.int8)
    for i in range(len(value)):
        x, size = value[i], abs(value[i])
        k = guess[sid[i]]
        y = np.rint(x * powers[k])
        fits = size < limits[k] and y / powers[k] == x
        if not fits:
            most = len(powers) - 1  # the finest grid that the value's size allows tells whether any will do
            while most > 0 and size >= limits[most]:
                most -= 1
            if np.rint(x * powers[most]) / powers[most] == x and size < limits[most]:
                for k in range(most + 1):
                    y = np.rint(x * powers[k])
                    if y / powers[k] == x:
                        break
                guess[sid[i]] = k
                fits = True
        if fits and (y != 0.0 or bits[i] == 0):
            mantissa[i], exponent[i] = np.int64(y), k
        else:
            mantissa[i], exponent[i] = bits[i], BITS
    return mantissa, exponent
