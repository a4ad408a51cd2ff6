"""The k-th smallest of some numbers inside a kernel, where a call of numpy would cost more than the search."""

from __future__ import annotations

from airis_mon.series.batch import Values
from airis_mon.series.kernel import exact_kernel


@exact_kernel
def nth(numbers: Values, k: int) -> float:
    """The k-th smallest from 0 of the numbers (n,), no NaN, which it leaves in another order: none before it greater.

    Hoare's FIND (1961, doi:10.1145/366622.366647) with the median of three as its pivot: O(n) on average.
    """
    low, high = 0, len(numbers) - 1
    while low < high:
        a, b, c = numbers[low], numbers[(low + high) // 2], numbers[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while numbers[i] < pivot:
                i += 1
            while numbers[j] > pivot:
                j -= 1
            if i <= j:
                numbers[i], numbers[j] = numbers[j], numbers[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return float(numbers[k])


@exact_kernel
def middle_of(numbers: Values) -> float:
    """The median of the numbers (n,), n >= 1, no NaN, which it leaves in another order."""
    n = len(numbers)
    high = nth(numbers, n // 2)
    if n % 2:
        return high
    low = numbers[0]
    for i in range(1, n // 2):
        low = max(low, numbers[i])
    return float((low + high) / 2)
