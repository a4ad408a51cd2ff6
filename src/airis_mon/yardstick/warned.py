"""The judge of `prediction`: when a warning of a limit was in time, when of nothing, and whether its interval held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.forecast.exhaustion import Outlook
from airis_mon.series.batch import Times
from airis_mon.yardstick.base import Estimate, resampled
from airis_mon.yardstick.episodes import GAP_MS
from airis_mon.yardstick.redrawn import percentile, ratio

LEAST_LEAD_MS = 30 * 60_000
STEP_MS = 300_000
HOUR_MS, DAY_MS, MONTH_DAYS = 3_600_000, 86_400_000, 30.44
LINGERS_MS = 6 * HOUR_MS
"""So long after a leak a warning that began in it may stand: what a line is drawn through still holds the leak."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Limit:
    """Something runs into a limit: it rises from onset_ms on, is full at full_ms and until end_ms."""

    kind: str
    onset_ms: int
    full_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Case:
    """A limit that was hit: how many ms before the warning began, NaN = there was none.

    is_within: whether the interval that was stated then holds the time at which it was hit; None = none was stated.
    """

    kind: str
    lead_ms: float
    is_within: bool | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """One series over the judged days: how many warnings it had of nothing, and for how long."""

    kind: str
    false: int
    false_hours: float
    days: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What one arm did on one world."""

    cases: tuple[Case, ...] = ()
    watches: tuple[Watch, ...] = ()

    def __add__(self, other: Judged) -> Judged:
        return Judged(self.cases + other.cases, self.watches + other.watches)

    def of(self, kind: str) -> Judged:
        """One kind of limit alone."""
        return Judged(tuple(c for c in self.cases if c.kind == kind), tuple(w for w in self.watches if w.kind == kind))


@dataclass(frozen=True, slots=True)
class Told:
    """What one arm said of some series. t: (steps,), warns: (s, steps); outlook: its intervals, None = it has none."""

    t: Times
    warns: Flags
    outlook: Outlook | None = None


def judge(
    kind: str, told: Told, has: Flags, struck: Sequence[tuple[Limit, Sequence[int]]], begin: int, end: int
) -> Judged:
    """One arm on one gauge, within [begin, end) ms; has: (s, steps) where there is a sample."""
    leaking = np.zeros(told.warns.shape, np.bool_)
    own = [stretches(row) for row in told.warns]
    cases = []
    for limit, rows in struck:
        for row in rows:
            leaking[row] |= (told.t >= limit.onset_ms) & (told.t <= limit.end_ms + STEP_MS)
        if begin <= limit.full_ms < end and rows:
            cases.append(_case(told, own, rows, limit))
    is_judged = (told.t >= begin) & (told.t < end)
    watches = []
    for row, some in enumerate(own):
        hours = _false_hours(some, leaking[row], is_judged)
        days = np.count_nonzero(has[row] & is_judged) * STEP_MS / DAY_MS
        watches.append(Watch(kind, len(hours), sum(hours), days))
    return Judged(tuple(cases), tuple(watches))


def stretches(warns: Flags) -> list[tuple[int, int]]:
    """The warnings of one series, (first, last) step of each; breaks of up to GAP_MS end none."""
    on = np.flatnonzero(warns)
    if not len(on):
        return []
    cut = np.flatnonzero(np.diff(on) - 1 > GAP_MS // STEP_MS)
    return list(zip(on[np.append(0, cut + 1)].tolist(), on[np.append(cut, -1)].tolist(), strict=True))


def _case(told: Told, own: Sequence[Sequence[tuple[int, int]]], rows: Sequence[int], limit: Limit) -> Case:
    """The earliest warning of a limit, of all series that it fills."""
    began = [(at, row) for row in rows if (at := _began(told.t, own[row], limit)) is not None]
    if not began:
        return Case(limit.kind, np.nan)
    at, row = min(began)
    lead = float(limit.full_ms - told.t[at])
    if told.outlook is None:
        return Case(limit.kind, lead)
    return Case(limit.kind, lead, told.outlook.earliest_ms[row, at] <= lead <= told.outlook.latest_ms[row, at])


def _began(t: Times, told: Sequence[tuple[int, int]], limit: Limit) -> int | None:
    """The first step of the warning that is on at the last step before the limit is hit.

    None = none is, or it has stood since before the onset: it is no news of this leak.
    """
    at = int(np.searchsorted(t, limit.full_ms)) - 1
    return next((a for a, b in told if a <= at <= b and t[a] >= limit.onset_ms), None)


def _false_hours(told: Sequence[tuple[int, int]], leaking: Flags, is_judged: Flags) -> list[float]:
    """For each false warning of a series, how long it stood in judged time while nothing leaked."""
    found = []
    for a, b in told:
        ms = int(np.count_nonzero(is_judged[a : b + 1] & ~leaking[a : b + 1])) * STEP_MS
        if ms > (LINGERS_MS if leaking[a] else 0):
            found.append(ms / HOUR_MS)
    return found


# --- figures ------------------------------------------------------------------------------------------------------


def recall(some: Sequence[Judged]) -> float:
    """The share of limits that were warned of in time, NaN = there were none."""
    return figures(some)["recall30min"].value


def false_rate(some: Sequence[Judged]) -> float:
    """False warnings per series-month."""
    return figures(some)["falsePerSeriesMonth"].value


def false_hours(some: Sequence[Judged]) -> float:
    """Hours of false warnings per series-month."""
    return figures(some)["falseHoursPerSeriesMonth"].value


def figures(some: Sequence[Judged]) -> dict[str, Estimate]:
    """The measures of one arm on some worlds, with their intervals.

    intervalCoverage, of arms that state intervals: the share of limits, of those warned of in time, that were hit
    within the interval stated when the warning began.
    """
    cases = resampled([np.array([(c.lead_ms >= LEAST_LEAD_MS, 1) for c in one.cases]) for one in some])
    watches = resampled([np.array([(w.false, w.days) for w in one.watches]) for one in some])
    hours = resampled([np.array([(w.false_hours, w.days) for w in one.watches]) for one in some])
    leads = [[c.lead_ms / HOUR_MS for c in one.cases if c.lead_ms >= LEAST_LEAD_MS] for one in some]
    stated = [[c.is_within for c in one.cases if c.lead_ms >= LEAST_LEAD_MS] for one in some]
    within = resampled([np.array([(w, 1) for w in own if w is not None]) for own in stated])
    covers = {"intervalCoverage": within.estimate(lambda x: ratio(x[..., 0], x[..., -1]))} if within.n else {}
    return {
        "recall30min": cases.estimate(lambda x: ratio(x[..., 0], x[..., -1])),
        "medianLeadHours": percentile(leads, 50),
        "falsePerSeriesMonth": watches.estimate(lambda x: MONTH_DAYS * ratio(x[..., 0], x[..., -1])),
        "falseHoursPerSeriesMonth": hours.estimate(lambda x: MONTH_DAYS * ratio(x[..., 0], x[..., -1])),
        **covers,
    }


def skill(ours: Sequence[Judged], theirs: Sequence[Judged]) -> dict[str, Estimate]:
    """Ours beside another arm on the same worlds, both drawn together.

    Limits warned of in time, less theirs; false warnings, for one of theirs, not defined where they have none.
    """
    pairs = list(zip(ours, theirs, strict=True))
    cases = resampled([np.array([(x, y, 1) for x, y in zip(_in_time(a), _in_time(b), strict=True)]) for a, b in pairs])
    watches = resampled([np.array([*zip(_false(a), _false(b), strict=True)]) for a, b in pairs])
    return {
        "recallLessTheirs": cases.estimate(lambda x: ratio(x[..., 0] - x[..., -2], x[..., -1])),
        "falseForOneOfTheirs": watches.estimate(lambda x: ratio(x[..., 0], x[..., -1])),
    }


def _in_time(one: Judged) -> list[bool]:
    return [case.lead_ms >= LEAST_LEAD_MS for case in one.cases]


def _false(one: Judged) -> list[int]:
    return [watch.false for watch in one.watches]


def brief(some: Sequence[Judged]) -> dict[str, float]:
    """The measures that a share is chosen by."""
    return {name: round(one.value, 3) for name, one in figures(some).items() if name != "medianLeadHours"}
