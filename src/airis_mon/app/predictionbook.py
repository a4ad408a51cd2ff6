"""Which warnings stand: raised once, kept while they stand, ended with the reason. It asks nobody and saves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import xxhash

from airis_mon.app.deadlinewatch import DeadlineWatch
from airis_mon.app.limits import Limit, narrowed
from airis_mon.app.limitwatch import FULL, LEAST_FALL, LimitWatch, Standing
from airis_mon.events.prediction import DEADLINE, Prediction, Why
from airis_mon.explain.prediction import name_of
from airis_mon.series.labels import Labels, packed

REST_MS = 1_800_000
"""A warning ends when its limit was not within sight for so long: a pause of a growth must not raise it again."""
GONE_MS = 3_600_000
"""A series without a sample for so long is gone."""
FREE = 0.05
"""A limit that was hit can be hit again after so much of it has become free: while it is full it moves by some per
cent."""
RENEWED_MS = 3_600_000
"""A deadline counts as moved when it lies this far beyond the days of warning: clocks and rounding move it a little."""

Key = tuple[Limit, Labels]
Past = Callable[[Limit, Standing, int], tuple[int, int | None]]
"""(how often a series rose like this and fell by itself, how far apart in ms) until now, asked when it recurs."""


@dataclass(slots=True)
class Review:
    """What one look changes: raised are among `standing` too."""

    raised: list[Prediction] = field(default_factory=list)
    standing: dict[Key, Prediction] = field(default_factory=dict)
    ended: list[Prediction] = field(default_factory=list)
    held: dict[Key, Why] = field(default_factory=dict)


class Book:
    """The open predictions. `review` says what a look changes, `accept` takes it over once it is stored.

    warn_ms: so long before its end a deadline is warned of.
    """

    def __init__(self, warn_ms: int, past: Past) -> None:
        self.open: dict[Key, Prediction] = {}
        self._held: dict[Key, Why] = {}  # ended, and not to be raised again before something has changed
        self._warn_ms = warn_ms
        self._past = past

    def restore(self, stored: Iterable[Prediction], limits: Sequence[Limit], now: int) -> list[Prediction]:
        """Goes on with what an earlier process left; answers what has ended since: limits that are watched no more."""
        ended = []
        for p in stored:
            limit = next((x for x in limits if x.kind == p.kind and narrowed(x.used, p.labels) == _asked(x, p)), None)
            if p.ended_ms is None and limit is None:
                ended.append(_ended(p, now, "gone"))
            elif p.ended_ms is None and limit is not None:
                self.open[limit, p.labels] = replace(p, unit=limit.unit)
            elif p.why_ended == "crossed" and limit is not None:
                self._held[limit, p.labels] = "crossed"
        return ended

    def review(self, watches: Iterable[LimitWatch | DeadlineWatch], now: int) -> Review:
        """What the latest samples change; watches that failed are left out and keep what they have."""
        review = Review(held=dict(self._held))
        for watch in watches:
            if isinstance(watch, DeadlineWatch):
                self._deadlines(watch, now, review)
            else:
                self._rising(watch, now, review)
        return review

    def changed(self, review: Review) -> list[Prediction]:
        """What of a review is to be stored."""
        return [*(p for key, p in review.standing.items() if self.open.get(key) != p), *review.ended]

    def accept(self, review: Review) -> None:
        """Takes over what was stored."""
        gone = {p.id for p in review.ended}
        kept = {key: p for key, p in self.open.items() if p.id not in gone}
        self.open = kept | review.standing
        self._held = review.held

    # -- what rises ---------------------------------------------------------------------------------------------

    def _rising(self, watch: LimitWatch, now: int, review: Review) -> None:
        told = [s for row in watch.told().tolist() if (s := watch.standing(row))]
        for s in told:
            key = (watch.limit, s.labels)
            if now - s.t <= GONE_MS and key not in self.open and s.share < FULL and key not in review.held:
                self._open(watch.limit, s, now, review)
        for key, p in self.open.items():
            if key[0] == watch.limit:
                row = watch.find(p.labels)
                self._follow(key, p, None if row is None else watch.standing(row), now, review)
        for key, why in [(key, why) for key, why in review.held.items() if key[0] == watch.limit]:
            row = watch.find(key[1])
            if _may_rise_again(None if row is None else watch.standing(row), why):
                del review.held[key]

    def _open(self, limit: Limit, s: Standing, now: int, review: Review) -> None:
        made = _new(limit, s)
        if s.is_recurring:
            times, every = self._past(limit, s, now)
            made = replace(made, falls=times, every_ms=every)
        else:
            review.raised.append(made)
        review.standing[limit, s.labels] = made

    def _follow(self, key: Key, p: Prediction, s: Standing | None, now: int, review: Review) -> None:
        if s is None or now - s.t > GONE_MS:
            if now - p.updated_ms > GONE_MS:
                review.ended.append(_ended(p, now, "gone"))
            return
        later = _updated(p, s)
        if why := _why(p, s):
            review.ended.append(_ended(later, s.t, why))
            review.held[key] = why
            return
        if p.is_recurring and s.is_told and not s.is_recurring:  # it goes beyond its habit
            later = replace(later, is_recurring=False)
            review.raised.append(later)
        review.standing[key] = later

    # -- deadlines ----------------------------------------------------------------------------------------------

    def _deadlines(self, watch: DeadlineWatch, now: int, review: Review) -> None:
        for labels, end in watch.ends.items():
            key = (watch.limit, labels)
            if key not in self.open and 0 < end - now <= self._warn_ms:
                review.standing[key] = made = _new_deadline(watch.limit, labels, end, now)
                review.raised.append(made)
        for key, p in self.open.items():
            if key[0] == watch.limit:
                self._follow_deadline(key, p, watch.ends.get(p.labels), now, review)

    def _follow_deadline(self, key: Key, p: Prediction, end: int | None, now: int, review: Review) -> None:
        if end is None:
            if now - p.updated_ms > GONE_MS:
                review.ended.append(_ended(p, now, "gone"))
            return
        later = _at_deadline(p, end, now)
        if end <= now:
            review.ended.append(_ended(later, end, "crossed"))
        elif end - now > self._warn_ms + RENEWED_MS:
            review.ended.append(_ended(later, now, "renewed"))
        else:
            review.standing[key] = later


def _may_rise_again(s: Standing | None, why: Why) -> bool:
    """Whether enough has changed since a prediction ended for another one: the bank sees a fall only by and by."""
    return s is None or (not s.is_warned and (why != "crossed" or s.share < FULL - FREE))


def _why(p: Prediction, s: Standing) -> Why:
    """Why a prediction ends at a standing, "" when it stands on."""
    if s.share >= FULL:
        return "crossed"
    then = s.share_then if s.share_then == s.share_then else p.share or 0.0
    if not s.is_told and s.share < then - LEAST_FALL:
        return "fell"
    return "slowed" if not s.is_told and s.t - max(s.warned_ms, p.started_ms) >= REST_MS else ""


def _new(limit: Limit, s: Standing) -> Prediction:
    return Prediction(
        id=_id(limit, s.labels, s.t),
        kind=limit.kind,
        name=name_of(limit.kind, s.labels),
        labels=s.labels,
        started_ms=s.t,
        updated_ms=s.t,
        ended_ms=None,
        used=s.used,
        limit=s.limit,
        eta_ms=s.eta_ms,
        earliest_ms=s.earliest_ms,
        latest_ms=s.latest_ms,
        rate_per_h=s.rate_per_h,
        basis=s.basis,
        is_recurring=s.is_recurring,
        used_query=narrowed(limit.used, s.labels),
        limit_query=narrowed(limit.limit, s.limit_labels),
        unit=limit.unit,
    )


def _updated(p: Prediction, s: Standing) -> Prediction:
    """The prediction with the figures of now; what was foreseen stays while its end is out of sight."""
    p = replace(p, updated_ms=s.t, used=s.used, limit=s.limit)
    if not s.is_told:
        return p
    p = replace(p, eta_ms=s.eta_ms, earliest_ms=s.earliest_ms, latest_ms=s.latest_ms)
    return replace(p, rate_per_h=s.rate_per_h, basis=s.basis)


def _new_deadline(limit: Limit, labels: Labels, end: int, now: int) -> Prediction:
    return Prediction(
        id=_id(limit, labels, now),
        kind=limit.kind,
        name=name_of(limit.kind, labels),
        labels=labels,
        started_ms=now,
        updated_ms=now,
        ended_ms=None,
        used=now / 1000,
        limit=end / 1000,
        eta_ms=end,
        earliest_ms=end,
        latest_ms=end,
        rate_per_h=3600.0,
        basis=DEADLINE,
        is_recurring=False,
        used_query="time()",
        limit_query=narrowed(limit.used, labels),
        unit="seconds",
    )


def _at_deadline(p: Prediction, end: int, now: int) -> Prediction:
    times = replace(p, updated_ms=now, eta_ms=end, earliest_ms=end, latest_ms=end)
    return replace(times, used=now / 1000, limit=end / 1000)


def _ended(p: Prediction, t: int, why: Why) -> Prediction:
    return replace(p, ended_ms=t, updated_ms=max(t, p.updated_ms), why_ended=why)


def _asked(limit: Limit, p: Prediction) -> str:
    """What a stored prediction says of the limit's `used`."""
    return p.limit_query if limit.is_deadline else p.used_query


def _id(limit: Limit, labels: Labels, t: int) -> str:
    what = packed((("kind", limit.kind), ("used", limit.used), *labels))
    return f"{xxhash.xxh3_64_intdigest(what, seed=t % 2**64):016x}"
