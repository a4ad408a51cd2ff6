"""How easily a value is told from the others by random cuts: an Isolation Forest (Liu, Ting, Zhou 2008) of our own."""

from __future__ import annotations

import math

import numpy as np

from airis_mon.series.batch import Values
from airis_mon.series.kernel import kernel

TREES, SAMPLE = 100, 256


@kernel
def usual_path(n: float) -> float:
    """The mean path of an unsuccessful search in a binary tree of n values, c(n) of the paper; c(1) = 0, c(2) = 1."""
    if n <= 1:
        return 0.0
    if n <= 2:
        return 1.0
    return 2 * (math.log(n - 1) + 0.5772156649015329) - 2 * (n - 1) / n


@kernel
def endless(ordered: Values) -> Values:
    """(n,) scores of ascending values by a forest of endlessly many trees, each grown to its end on all values. O(n^2).

    In one dimension its mean path needs no tree: a cut falls into a gap by its length, and the gap on the far side
    of value j is met on the way to value i if it is cut before those between them: with chance gap / (its far end - i).
    """
    n = len(ordered)
    path = np.zeros(n)
    for i in range(n):
        # Equal values are never cut from one another: their number stands for the paths below.
        first = last = i
        while first > 0 and ordered[first - 1] == ordered[i]:
            first -= 1
        while last < n - 1 and ordered[last + 1] == ordered[i]:
            last += 1
        total = usual_path(last - first + 1.0)
        for j in range(last + 1, n):
            total += (ordered[j] - ordered[j - 1]) / (ordered[j] - ordered[i])
        for j in range(first):
            total += (ordered[j + 1] - ordered[j]) / (ordered[i] - ordered[j])
        path[i] = total
    return np.exp2(-path / usual_path(n))
