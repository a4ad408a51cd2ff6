"""Any forecaster made to know holidays: they are taken out of what it learns from and put into what it says.

A holiday is taken for a Sunday; how it differs from one is learned from past holidays and believed as far as they are
many and alike. So a panel that ends before the first holiday of its life already knows a good deal about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from airis_mon.forecast.base import BASELINE, Forecaster, Panel
from airis_mon.forecast.calendar import (
    AFTER,
    BEFORE,
    DAY_MS,
    FESTIVAL,
    HOLIDAY,
    ORDINARY,
    SATURDAY,
    SUNDAY,
    Calendar,
    Kinds,
    calendar,
    weekday,
)
from airis_mon.series.batch import Times, Values
from airis_mon.series.zone import Zone

RECENT = 56
"""Days of which Sundays and working days are compared."""
NEAR = 21
"""Days around a past holiday whose weekdays it is compared with."""
DOUBT = 2.0
"""What days of a kind have beyond a Sunday counts n / (n + DOUBT) after n of them."""
PRIOR = 0.25
"""That a holiday is like a Sunday weighs as much as so many past holidays that told how far it was."""
MOST = 1.5
"""A past holiday tells of no more than so much of a Sunday."""
LEAST_FREEDOM = 3
"""Without so many more days than weekdays the noise between days is not known, and Sundays are not believed."""


def with_calendar(
    make: Callable[[str], Forecaster], countries: Sequence[str], zone: Zone
) -> Callable[[str], Forecaster]:
    """Makes the same forecasters, knowing holidays; the baseline stays what it is, as all are held against it."""

    def made(kind: str) -> Forecaster:
        return make(kind) if kind == BASELINE or not countries else WithCalendar(make(kind), countries, zone)

    return made


class WithCalendar:
    """A forecaster that knows the holidays of some countries at a place; without times it is the forecaster itself.

    Raises ConfigError for an unknown country and MissingExtra without the `holidays` package, both from `fit`.
    """

    def __init__(self, inner: Forecaster, countries: Sequence[str], zone: Zone) -> None:
        self._inner = inner
        self._countries = tuple(countries)
        self._zone = zone
        self._panel: Panel | None = None

    def fit(self, panel: Panel) -> None:
        """Learns the effect of holidays, takes it out, and hands the rest on."""
        self._panel = panel
        self._effect = self._learned(panel)
        if self._effect is None:
            self._inner.fit(panel)
            return
        days = self._effect.days
        seen = panel.value - self._effect.of(days.day, days.slot)
        self._inner.fit(replace(panel, value=seen))

    def predict(self, horizon: int) -> Values:
        """(series, horizon) means, holidays in their places."""
        mean = self._inner.predict(horizon)
        panel = self._panel
        if panel is None or self._effect is None or panel.start_ms is None or panel.step_ms is None:
            return mean
        t = panel.start_ms + panel.step_ms * np.arange(panel.length, panel.length + horizon, dtype=np.int64)
        return np.asarray(mean + self._effect.of(*_place(self._effect.calendar, t, panel.step_ms)))

    def _learned(self, panel: Panel) -> _Effect | None:
        if panel.start_ms is None or panel.step_ms is None or panel.step_ms > DAY_MS or not panel.length:
            return None
        t = panel.start_ms + panel.step_ms * np.arange(panel.length, dtype=np.int64)
        known = calendar(self._countries, self._zone, int(t[0]), int(t[-1]))
        return _effect(known, _by_day(known, panel, t))


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """A panel cut into local days. day, slot: (time,) of each point; value: (series, days, slots); number: (days,)."""

    day: Times
    slot: Times
    value: Values
    number: Times
    kind: Kinds


@dataclass(frozen=True, slots=True, eq=False)
class _Effect:
    """What a day of some kind has beyond an ordinary one of its weekday.

    sunday: (weekday, series, slots) of a Sunday beyond that weekday; share: kind -> (series, 1) of how much of a Sunday
    such a day has; extra: kind -> (series, slots) beyond that, on working days and of festivals.
    """

    calendar: Calendar
    days: _Days
    sunday: Values
    share: dict[int, Values]
    extra: dict[int, Values]

    def of(self, day: Times, slot: Times) -> Values:
        """(series, time) at the points of some local days."""
        out = np.zeros((self.sunday.shape[1], len(day)))
        kind, on = self.calendar.kinds(day), weekday(day)
        for k in np.unique(kind[kind != ORDINARY]).tolist():
            for w in np.unique(on[kind == k]).tolist():
                points = np.flatnonzero((kind == k) & (on == w))
                out[:, points] = self.whole(k, w)[:, slot[points]]
        return out

    def whole(self, kind: int, on: int) -> Values:
        """(series, slots) of a day of this kind on this weekday."""
        share, extra = self.share.get(kind, np.zeros((1, 1))), self.extra.get(kind, np.zeros(self.sunday.shape[1:]))
        return np.asarray(share * self.sunday[on] + (extra if on < SATURDAY or kind == FESTIVAL else 0.0))


def _place(known: Calendar, t: Times, step_ms: int) -> tuple[Times, Times]:
    local = known.zone.local(t)
    return np.asarray(local // DAY_MS), np.asarray(local % DAY_MS // step_ms)


def _by_day(known: Calendar, panel: Panel, t: Times) -> _Days:
    step_ms = panel.step_ms or DAY_MS
    day, slot = _place(known, t, step_ms)
    number = np.arange(day[0], day[-1] + 1)
    value = np.full((panel.series, len(number), -(-DAY_MS // step_ms)), np.nan)
    value[:, day - day[0], slot] = panel.value
    return _Days(day, slot, value, number, known.kinds(number))


def _effect(known: Calendar, days: _Days) -> _Effect:
    sunday, noise = _sundays(days)
    series = sunday.shape[1]
    effect = _Effect(known, days, sunday, {}, {})
    effect.share[FESTIVAL] = effect.share[HOLIDAY] = np.ones((series, 1))
    effect.share[HOLIDAY] = effect.share[FESTIVAL] = _share(days, effect, HOLIDAY)
    effect.share[FESTIVAL] = _share(days, effect, FESTIVAL)
    for kind in (HOLIDAY, FESTIVAL, BEFORE, AFTER):
        effect.extra[kind] = _extra(days, effect, kind, noise)
    return effect


def _share(days: _Days, effect: _Effect, kind: int) -> Values:
    """(series, 1) how much of a Sunday days of this kind had, with the present belief as `PRIOR`."""
    on = weekday(days.number)
    total, weight = PRIOR * effect.share[kind], np.full(effect.share[kind].shape, PRIOR)
    for at, usual, _ in _past(days, kind):
        sunday = effect.sunday[on[at]]
        gap = days.value[:, at] - usual
        seen = np.where(np.isfinite(gap), sunday, 0.0)
        size = (seen**2).sum(axis=1, keepdims=True)
        told = (np.nan_to_num(gap) * seen).sum(axis=1, keepdims=True) / np.where(size > 0, size, 1.0)
        total = total + np.where(size > 0, np.clip(told, 0.0, MOST), 0.0)
        weight = weight + (size > 0)
    return np.asarray(total / weight)


def _past(days: _Days, kind: int) -> Iterator[tuple[int, Values, int]]:
    """Days of a kind, what is usual on their weekdays around them, (series, slots), and of how many days that is."""
    on = weekday(days.number)
    for at in np.flatnonzero(days.kind == kind).tolist():
        like = (days.kind == ORDINARY) & (on == on[at]) & (np.abs(days.number - days.number[at]) <= NEAR)
        if like.any():
            yield at, _mean(days.value[:, like]), int(like.sum())


def _sundays(days: _Days) -> tuple[Values, Values]:
    """(weekday, series, slots) a Sunday less that weekday, as far as it stands out of the noise between days.

    And this noise, (series, slots): a variance, infinite where it is not known.
    """
    on = weekday(days.number)
    is_meant = (days.kind == ORDINARY) & (days.number > days.number[-1] - RECENT)
    profiles = [days.value[:, is_meant & (on == w)] for w in range(7)]
    mean = np.array([_mean(p) for p in profiles])  # (weekday, series, slots)
    count = np.array([np.isfinite(p).sum(axis=1) for p in profiles])
    off = sum(np.nansum((p - m[:, None]) ** 2, axis=1) for p, m in zip(profiles, mean, strict=True))
    freedom = (count - (count > 0)).sum(axis=0)
    noise = np.where(freedom >= LEAST_FREEDOM, off / np.maximum(freedom, 1), np.inf)  # (series, slots)
    gap = mean[SUNDAY] - mean
    known = np.isfinite(gap)
    doubt = noise * (1 / np.maximum(count, 1) + 1 / np.maximum(count[SUNDAY], 1))
    return _believed(np.where(known, gap, 0.0), np.where(known, doubt, 0.0)), noise


def _extra(days: _Days, effect: _Effect, kind: int, noise: Values) -> Values:
    """(series, slots) what days of this kind had beyond what was expected of them, as far as it is to be believed."""
    on = weekday(days.number)
    doubt, gaps = [], []
    for at, usual, count in _past(days, kind):
        doubt.append(1 + 1 / count)
        gaps.append(days.value[:, at] - usual - effect.whole(kind, int(on[at])))
    if not gaps:
        return np.zeros(effect.sunday.shape[1:])
    found = np.stack(gaps, axis=1)  # (series, days, slots)
    count = np.isfinite(found).sum(axis=1)
    learned = _believed(np.nan_to_num(_mean(found)), noise * np.mean(doubt) / np.maximum(count, 1))
    return np.asarray(learned * count / (count + DOUBT))


def _believed(gap: Values, doubt: Values) -> Values:
    """The gap (..., slots) less the share that noise of this variance explains (James and Stein 1961), per series."""
    signal, noise = (gap**2).mean(axis=-1, keepdims=True), doubt.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(signal > 0, 1 - noise / signal, 0.0)
    return np.asarray(gap * np.clip(np.nan_to_num(share, nan=0.0, neginf=0.0), 0.0, 1.0))


def _mean(value: Values) -> Values:
    """(series, slots) mean over days; NaN where none was seen."""
    seen = np.isfinite(value)
    count = seen.sum(axis=1)
    return np.where(count > 0, np.where(seen, value, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
