"""The claim `failure prevention +70 %`: ours beside a baseline, on the same limits.

It holds where ours warns in time of 1.7 limits for one of the baseline's; where the baseline warns of so many that this
cannot be, where ours misses 70 % fewer. Whoever warns falsely more often than may be proves nothing by what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airis_mon.yardstick.base import Claim, Estimate, Resampled, Verdict, resampled
from airis_mon.yardstick.redrawn import ratio
from airis_mon.yardstick.warned import LEAST_LEAD_MS, Judged, Watch, recall

BOUND, MOST_MISSED = 1.7, 0.3
"""Limits warned of in time, and missed ones, for one of the baseline's."""
NO_ROOM = 0.59
"""Of a baseline that warns of more than this share, 1.7 times as many are more than there are."""
MOST_FALSE = 1.0
"""False warnings a host-week."""
UNSEEN = 3.69
"""Of what was not seen once, so many may have been due (Garwood 1936, 97.5 %); redrawing would say none."""
MOST_UNDEFINED = 0.025
"""Of the redrawn limits: where in more of them the baseline misses nothing, there is no interval."""
WORDS = (
    "slow faults warned of 30 minutes ahead, ours for one of a baseline's, or missed ones where it warns of over "
    f"{NO_ROOM:.0%}; at {MOST_FALSE:g} false warning a host-week at most"
)
WARNED, MISSED = "warnedForOneOfTheirs", "missedForOneOfTheirs"
_NOTHING = Estimate(np.nan, np.nan, np.nan, 0)


def claim_name(baseline: str, part: str) -> str:
    """What the claim against one baseline on one part is called."""
    return f"failure prevention +70 % against {baseline}, {part}"


def claim(baseline: str, part: str, ours: Sequence[Judged], theirs: Sequence[Judged], *, quick: bool) -> Claim:
    """The claim against one baseline on the same worlds of one part."""
    known = recall(theirs)
    is_full = known > NO_ROOM
    bound = MOST_MISSED if is_full else BOUND
    estimate = compared(ours, theirs)[MISSED if is_full else WARNED]
    verdict, why = said(estimate, false_per_host_week(ours), false_per_host_week(theirs), is_full=is_full)
    if quick:
        verdict, why = "INCONCLUSIVE", "quick: too few limits"
    room = f", so that {1 - MOST_MISSED:.0%} fewer missed ones are wanted" if is_full else ""
    why = f"{why}; it warns of {known:.2f}{room}, ours of {recall(ours):.2f}"
    return Claim(claim_name(baseline, part), WORDS, estimate, bound, verdict, why)


def compared(ours: Sequence[Judged], theirs: Sequence[Judged]) -> dict[str, Estimate]:
    """Limits warned of in time, and those that were not, ours for one of theirs; both drawn together.

    The latter without an interval where they miss too few, and not defined where they miss none.
    """
    pairs = [
        np.array([(_in_time(a.lead_ms), _in_time(b.lead_ms), 1) for a, b in zip(x.cases, y.cases, strict=True)])
        for x, y in zip(ours, theirs, strict=True)
    ]
    cases = resampled(pairs)
    if not cases.n:
        return {WARNED: _NOTHING, MISSED: _NOTHING}
    return {
        WARNED: cases.estimate(lambda x: ratio(x[..., 0], x[..., 1])),
        MISSED: _missed(cases),
    }


def false_per_host_week(some: Sequence[Judged]) -> Estimate:
    """False warnings of all series of a world, per host and week; without hosts each series counts as one."""
    watches = resampled([np.array(_with_hosts(one.watches)) for one in some])
    return watches.estimate(lambda x: 7 * ratio(x[..., 0], x[..., -1]))


def said(estimate: Estimate, own: Estimate, other: Estimate, *, is_full: bool) -> tuple[Verdict, str]:
    """Only where the whole interval lies on one side; own, other: false warnings a host-week, ours and the baseline's.

    estimate: missed ones for one of the baseline's where is_full, else those warned of. No baseline that warns falsely
    too often counts against ours.
    """
    if not np.isfinite([estimate.value, estimate.low, estimate.high, own.high, other.value]).all():
        return "INCONCLUSIVE", "too few limits, or missed ones, to tell by"
    if own.low > MOST_FALSE:
        return "FAILS", f"ours warns falsely {own.value:.2g} times a host-week"
    is_won = estimate.high <= MOST_MISSED if is_full else estimate.low >= BOUND
    is_lost = estimate.low > MOST_MISSED if is_full else estimate.high < BOUND
    if is_won and own.high > MOST_FALSE:
        return "INCONCLUSIVE", f"ours may warn falsely {own.high:.2g} times a host-week"
    if is_lost and other.value > MOST_FALSE:
        return "INCONCLUSIVE", f"the baseline warns falsely {other.value:.2g} times a host-week, which is too often"
    if is_won or is_lost:
        return ("HOLDS" if is_won else "FAILS"), f"the interval lies {'within' if is_won else 'beyond'} the bound"
    return "INCONCLUSIVE", "the interval holds the bound"


def _in_time(lead_ms: float) -> bool:
    return lead_ms >= LEAST_LEAD_MS


def _missed(cases: Resampled) -> Estimate:
    found = cases.estimate(lambda x: ratio(x[..., 2] - x[..., 0], x[..., 2] - x[..., 1]))
    if (cases.drawn[:, 1] == cases.drawn[:, 2]).mean() > MOST_UNDEFINED:
        return Estimate(found.value, np.nan, np.nan, found.n)
    ours, theirs, limits = cases.total.tolist()
    unseen = UNSEEN / (limits - theirs) if ours == limits else 0.0
    return Estimate(found.value, found.low, max(found.high, unseen), found.n)


def _with_hosts(watches: Sequence[Watch]) -> list[tuple[int, float]]:
    """(false warnings, days of a host) of each series. What runs into no limit of a fault's kind are the hosts' own."""
    has_hosts = any(not w.kind for w in watches)
    return [(w.false, w.days if not (has_hosts and w.kind) else 0.0) for w in watches]
