"""Which values of which labels a change of a total comes from.

Explanatory power and surprise as in Bhagwan, Kumar, Ramjee, Varghese, Mohapatra, Manoharan and Shah, Adtributor:
Revenue Debugging in Advertising Systems (NSDI 2014). The total is a sum or a mean over series, so the
parts of all values of a label add up to it exactly. A mean is one over the series that both windows have: were it over
different ones, those that stayed as they were would seem to move when another comes or goes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Values
from airis_mon.series.labels import METRIC, Labels

LEAST_SHARE = 0.1
"""Adtributor's T_EEP: a value that explains less of the change is not among those that explain it."""
ENOUGH = 0.67
"""Adtributor's T_EP: so much of the change do the values given explain together, or the label explains nothing."""
BEYOND = 0.05
"""By so much more of the change than of the total before must a value explain; ours, not Adtributor's."""
MOST_VALUES = 10
"""Values told of a label."""


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a label. before, after: its part of the total; change: after - before.

    explains: its share of the change of the total; None where that did not change. share_before, share_after: of the
    total; surprise: 0..ln 2 / 2, how far both shares lie apart (Jensen and Shannon's divergence, this value's part);
    None where parts have different signs and there are no shares. series: so many have it.
    """

    value: str
    before: float
    after: float
    change: float
    explains: float | None
    share_before: float | None
    share_after: float | None
    surprise: float | None
    series: int


@dataclass(frozen=True, slots=True)
class Blame:
    """One label, or several that tell the series apart in the same way (`names`), and its values, most first.

    explaining: the fewest values that explain the change together, () when they do not; explains: how much of it;
    surprise: theirs together. values: how many it has.
    """

    names: tuple[str, ...]
    values: int
    parts: tuple[Part, ...]
    explaining: tuple[str, ...]
    explains: float | None
    surprise: float | None


@dataclass(frozen=True, slots=True)
class Total:
    """The sum or mean over so many series. ratio: (after - before) / |before|, None from zero."""

    before: float
    after: float
    change: float
    ratio: float | None
    series: int


def counted(before: Values, after: Values, how: str = "sum") -> NDArray[np.bool_]:
    """(s,) which series a total is over: those with a value in either window, of a mean those with one in both."""
    missing = np.isnan(before), np.isnan(after)
    return ~(missing[0] | missing[1]) if how == "mean" else ~(missing[0] & missing[1])


def total(before: Values, after: Values, how: str = "sum") -> Total:
    """Over the series (s,) that are `counted`, NaN = has no value there. how: "sum" or "mean"."""
    parts = _parts(before, after, how)
    first, second = (float(part.sum()) for part in parts)
    return Total(first, second, second - first, (second - first) / abs(first) if first else None, len(parts[0]))


def blame(labels: Sequence[Labels], before: Values, after: Values, how: str = "sum") -> list[Blame]:
    """The labels of series by how well they explain the change of their total, best first.

    before, after: (s,) each series' own mean in both windows, NaN = has no value there; those that are not `counted`
    are as if they were not there. A label with one value for all explains nothing and is left out. First come those
    whose values explain `ENOUGH` of the change, by the surprise of these per value, so that one pod comes before the
    ten paths that it serves; then all others.
    """
    some = np.flatnonzero(counted(before, after, how)).tolist()
    parts = _parts(before, after, how)
    found = [_blame(names, column, *parts) for names, column in _told_apart([labels[i] for i in some])]
    return sorted(found, key=_order)


def _parts(before: Values, after: Values, how: str) -> tuple[Values, Values]:
    """What every series that is counted adds to the total."""
    some = counted(before, after, how)
    by = max(int(some.sum()), 1) if how == "mean" else 1
    return np.nan_to_num(before[some]) / by, np.nan_to_num(after[some]) / by


def _told_apart(labels: Sequence[Labels]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Labels with more than one value, and the value of each series; those that split them alike come as one."""
    known = [dict(one) for one in labels]
    names = sorted({name for one in known for name in one if name != METRIC})
    if len({one.get(METRIC) for one in known}) > 1:
        names.append(METRIC)
    by_split: dict[tuple[int, ...], tuple[list[str], list[str]]] = {}
    for name in names:
        column = [one.get(name, "") for one in known]
        place: dict[str, int] = {}
        split = tuple(place.setdefault(value, len(place)) for value in column)
        if len(place) > 1:
            by_split.setdefault(split, ([], column))[0].append(name)
    return [(tuple(names), column) for names, column in by_split.values()]


def _blame(names: tuple[str, ...], column: Sequence[str], before: Values, after: Values) -> Blame:
    values = sorted(set(column))
    place = {value: i for i, value in enumerate(values)}
    at = np.array([place[value] for value in column])
    first, second = (np.bincount(at, part, len(values)).astype(np.float64) for part in (before, after))
    count = np.bincount(at, minlength=len(values))
    shares = _shares(first), _shares(second)
    whole = float(second.sum() - first.sum())
    is_still = abs(whole) <= 1e-12 * max(float(np.abs(first).sum()), float(np.abs(second).sum()), 1e-300)
    parts = []
    for i, value in enumerate(values):
        p, q = (None if share is None else float(share[i]) for share in shares)
        change = float(second[i] - first[i])
        explains = None if is_still else change / whole
        told = (float(first[i]), float(second[i]), change, explains, p, q, _surprise(p, q), int(count[i]))
        parts.append(Part(value, *told))
    explaining = _explaining(parts)
    parts.sort(key=lambda part: (-abs(part.change), part.value))
    return Blame(names, len(values), tuple(parts[:MOST_VALUES]), *_together(explaining))


def _shares(parts: Values) -> Values | None:
    whole = float(parts.sum())
    if not whole or (parts.min() < 0 < parts.max()):
        return None
    return parts / whole


def _surprise(p: float | None, q: float | None) -> float | None:
    if p is None or q is None:
        return None
    middle = (p + q) / 2
    return math.fsum(x * math.log(x / middle) for x in (p, q) if x > 0) / 2


def _explaining(parts: Sequence[Part]) -> list[Part]:
    """The values by surprise that explain `LEAST_SHARE` each, until they explain `ENOUGH`; [] when they never do."""
    order = sorted(parts, key=lambda part: (-(part.surprise or 0.0), -(part.explains or 0.0), part.value))
    found: list[Part] = []
    explained = 0.0
    for part in order:
        share = part.explains or 0.0
        # Where all values grow alike, those that are much of the total are much of its change: none explains it.
        if share > LEAST_SHARE and share - (part.share_before or 0.0) > BEYOND:
            found.append(part)
            explained += share
            if explained > ENOUGH:
                return found
    return []


def _together(explaining: Sequence[Part]) -> tuple[tuple[str, ...], float | None, float | None]:
    if not explaining:
        return (), None, None
    surprise = sum(part.surprise or 0.0 for part in explaining)
    names = tuple(part.value for part in sorted(explaining, key=lambda part: -abs(part.change)))
    return names, sum(part.explains or 0.0 for part in explaining), surprise


def _order(found: Blame) -> tuple[bool, float, int]:
    per_value = (found.surprise or 0.0) / max(len(found.explaining), 1)
    return not found.explaining, -per_value, found.values
