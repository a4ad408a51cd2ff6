"""This window against another one: which series moved, and which label values the change of their total comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from airis_mon.analyze.blame import Blame, Part, Total, blame, counted, total
from airis_mon.analyze.compare import Change, compare
from airis_mon.app.analytics import HUGE, LARGEST, Check, Points
from airis_mon.app.explore import name_of
from airis_mon.app.explored import BlameOut, Compared, PartOut, SeriesChange, TotalOut, WindowOut, moment
from airis_mon.app.relate import shown
from airis_mon.explain.explore import Teller
from airis_mon.explain.speak import Lang
from airis_mon.series.labels import Labels

MOST_LABELS = 20


@dataclass(frozen=True, slots=True)
class Span:
    """A window in ms; None for values without times."""

    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """How windows are compared. labels: of each series, () where none are known."""

    before: Span
    after: Span
    aggregate: Literal["sum", "mean"]
    control: Literal["bh", "by"]
    alpha: float
    limit: int
    labels: tuple[Labels, ...]
    lang: Lang


def compared(points: Sequence[Points], ask: Difference, check: Check) -> Compared:
    """Series in pairs: the points of the first one before, of the first one after, of the second one before ..."""
    names = [p.name for p in points[::2]]
    changes = _changes(points, ask, check)
    before, after = (
        np.array([np.nan if x is None else x for x in column])
        for column in ([c.before for c in changes], [c.after for c in changes])
    )
    some = np.flatnonzero(counted(before, after, ask.aggregate)).tolist()
    whole = total(before, after, ask.aggregate) if some else None
    check()
    blamed = None
    if whole is not None and len(some) > 1 and ask.labels:
        blamed = blame([ask.labels[i] for i in some], before[some], after[some], ask.aggregate)[:MOST_LABELS]
    order = sorted(range(len(changes)), key=lambda i: _rank(changes[i]))
    is_found = [c.q is not None and c.q <= ask.alpha for c in changes]
    return Compared(
        before=WindowOut(moment(ask.before.start), moment(ask.before.end)),
        after=WindowOut(moment(ask.after.start), moment(ask.after.end)),
        series=len(changes),
        tested=sum(c.p is not None for c in changes),
        found=sum(is_found),
        alpha=ask.alpha,
        control=ask.control,
        changes=[_series(names[i], changes[i], i, is_found[i], ask) for i in order[: ask.limit]],
        total=None if whole is None else _total(whole, ask),
        labels=None if blamed is None else [_blame(b) for b in blamed],
        why=_why(changes, whole, blamed, ask),
        explanation=_told([name_of(p) for p in points[::2]], changes, is_found, whole, blamed, ask),
    )


def _changes(points: Sequence[Points], ask: Difference, check: Check) -> list[Change]:
    """A series that was left out of one window is left out of both: it has neither appeared nor vanished."""
    pairs = list(zip(points[::2], points[1::2], strict=True))
    none = np.empty(0)
    found = compare(
        [(none, none) if before.why or after.why else (before.value, after.value) for before, after in pairs],
        apart=_apart(ask),
        control=ask.control,
        check=check,
    )
    whys = [before.why or after.why for before, after in pairs]
    return [replace(change, why=why) if why else change for change, why in zip(found, whys, strict=True)]


def _apart(ask: Difference) -> float:
    """How far the windows lie from each other, in lengths of the one after."""
    if ask.before.end is None or ask.after.start is None or ask.after.end is None:
        return 0.0
    return max(0.0, (ask.after.start - ask.before.end) / max(ask.after.end - ask.after.start, 1))


def _rank(change: Change) -> tuple[float, float]:
    """Surest first; what could not be tested comes last."""
    return (2.0, 0.0) if change.p is None else (change.p, -abs(change.effect or 0.0))


def _ratio(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None or not before else (after - before) / abs(before)


def _series(name: str, change: Change, i: int, is_found: bool, ask: Difference) -> SeriesChange:
    before, after = change.before, change.after
    return SeriesChange(
        metric=name,
        labels=shown(ask.labels[i]) if ask.labels else {},
        before=before,
        after=after,
        change=None if before is None or after is None else after - before,
        ratio=_ratio(before, after),
        median_before=change.median_before,
        median_after=change.median_after,
        points_before=change.points_before,
        points_after=change.points_after,
        effect=change.effect,
        p=change.p,
        q=change.q,
        found=is_found,
        why=change.why or None,
    )


def _total(whole: Total, ask: Difference) -> TotalOut:
    return TotalOut(ask.aggregate, whole.before, whole.after, whole.change, whole.ratio)


def _blame(blamed: Blame) -> BlameOut:
    return BlameOut(
        labels=list(blamed.names),
        values=blamed.values,
        explaining=list(blamed.explaining),
        explains=blamed.explains,
        surprise=blamed.surprise,
        parts=[_part(part) for part in blamed.parts],
    )


def _part(part: Part) -> PartOut:
    return PartOut(
        value=part.value,
        before=part.before,
        after=part.after,
        change=part.change,
        explains=part.explains,
        share_before=part.share_before,
        share_after=part.share_after,
        surprise=part.surprise,
        series=part.series,
    )


def _why(
    changes: Sequence[Change], whole: Total | None, blamed: Sequence[Blame] | None, ask: Difference
) -> dict[str, str]:
    why = {}
    empty = sum(c.why == "empty" for c in changes)
    huge = sum(c.why == HUGE for c in changes)
    if empty:
        why["series"] = f"{empty:,} of {len(changes):,} have no value in either window"
    if huge:
        why[HUGE] = f"{huge:,} of {len(changes):,} have values beyond {LARGEST:g} and are left out"
    if empty + huge == len(changes):
        why["total"] = "no series has a value in these windows"
    elif apart := sum(c.why in {"appeared", "vanished"} for c in changes if ask.aggregate == "mean"):
        over = "no series has a value in both windows" if whole is None else f"over {whole.series:,} series"
        why["total"] = f"{over}; {apart:,} that appeared or vanished do not count in a mean"
    if blamed is None:
        why["labels"] = "needs two series with labels" if ask.labels else "known of a match or a query alone"
    elif not blamed:
        why["labels"] = "all series have the same labels"
    return why


def _told(
    names: Sequence[str],
    changes: Sequence[Change],
    is_found: Sequence[bool],
    whole: Total | None,
    blamed: Sequence[Blame] | None,
    ask: Difference,
) -> str:
    teller = Teller(ask.lang)
    if all(c.before is None and c.after is None for c in changes):
        return teller.nothing()
    if len(changes) == 1:
        return _told_one(names[0], changes[0], is_found[0], teller)
    said = ""
    if whole is not None:
        said = teller.total(ask.aggregate, whole.series, whole.before, whole.after, whole.ratio)
    if whole is not None and whole.change and blamed:
        best = blamed[0]
        said += teller.explained(best.names, best.explaining, best.explains)
    return said + teller.tested(sum(is_found), sum(c.p is not None for c in changes))


def _told_one(name: str, change: Change, is_found: bool, teller: Teller) -> str:
    said = teller.series(name, change.before, change.after, _ratio(change.before, change.after))
    if change.effect is not None and change.q is not None:
        said += teller.certainty(change.effect, change.q, is_found=is_found)
    return said
