"""What a look changes of the warnings that stand, whatever the bank is that warns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from airis_mon.app.limitwatch import LimitWatch
from airis_mon.app.predictionbook import Book, Review
from airis_mon.forecast.exhaustion import BASES, Outlook
from airis_mon.query.values import Vector
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import Labels
from tests.app.memory import T0
from tests.app.predicted import DISK, HOUR_MS, STEP_MS

HOST: Labels = (("host", "a"),)
NO, WARNS, RECURS = "", "warns", "recurs"


@dataclass
class Said:
    """A bank that says of every series what it was told to, and that it is full in five hours."""

    says: str = NO
    size: int = 0

    def reserve(self, n: int) -> None:
        self.size = n

    def forget(self, rows: Any) -> None:
        """Nothing is remembered."""

    def update(self, t: Times, share: Values) -> Outlook:
        has = np.isfinite(share)
        eta = np.where(has & (self.says != NO), 5.0 * HOUR_MS, np.nan)
        return Outlook(
            warns=has & (self.says == WARNS),
            eta_ms=eta,
            earliest_ms=eta * 0.8,
            latest_ms=np.where(has, np.inf, np.nan),
            rate=np.full(share.shape, 0.1),
            basis=np.full(share.shape, BASES.index("day"), np.int8),
            is_recurring=has & (self.says == RECURS),
        )


class Room:
    """A book and one disk of 200, looked at every five minutes."""

    def __init__(self) -> None:
        self.bank = Said()
        self.watch = LimitWatch(DISK, self.bank, 10)  # type: ignore[arg-type]
        self.book = Book(14 * 86_400_000, lambda *_: (3, 6 * HOUR_MS))
        self.now = T0

    def look(self, says: str, share: float) -> Review:
        self.now += STEP_MS
        self.bank.says = says
        used = Vector([HOST], np.array([[share * 200]]), np.ones((1, 1), np.bool_))
        self.watch.take(np.array([self.now]), used, 200.0)
        review = self.book.review([self.watch], self.now)
        self.book.accept(review)
        return review


def test_a_warning_carries_the_figures_of_the_bank_in_the_units_of_the_limit() -> None:
    room = Room()
    (p,) = room.look(WARNS, 0.5).raised
    assert (p.used, p.limit, p.rate_per_h, p.basis) == (100.0, 200.0, 20.0, "day")
    assert (p.started_ms, p.eta_ms, p.earliest_ms, p.latest_ms) == (
        room.now,
        room.now + 5 * HOUR_MS,
        room.now + 4 * HOUR_MS,
        None,
    )


def test_what_recurs_is_told_with_its_past_and_raised_once_it_goes_beyond_it() -> None:
    room = Room()
    first = room.look(RECURS, 0.7)
    (told,) = first.standing.values()
    assert (first.raised, told.is_recurring, told.falls, told.every_ms) == ([], True, 3, 6 * HOUR_MS)
    (raised,) = room.look(WARNS, 0.9).raised
    assert (raised.id, raised.is_recurring) == (told.id, False)
    again = room.look(RECURS, 0.9)
    assert again.raised == []
    assert [p.is_recurring for p in again.standing.values()] == [False]


def test_a_look_without_anything_new_stores_nothing() -> None:
    room = Room()
    room.look(WARNS, 0.5)
    assert room.book.changed(room.book.review([room.watch], room.now)) == []


def test_a_warning_rests_for_half_an_hour_before_it_ends_and_is_the_same_when_it_goes_on() -> None:
    room = Room()
    (raised,) = room.look(WARNS, 0.5).raised
    for _ in range(5):
        assert room.look(NO, 0.5).ended == []
    review = room.look(WARNS, 0.5)
    assert (review.raised, [p.id for p in review.standing.values()]) == ([], [raised.id])
    ended = [p for _ in range(6) for p in room.look(NO, 0.5).ended]
    assert [(p.why_ended, p.ended_ms) for p in ended] == [("slowed", room.now)]


def test_a_warning_that_began_anew_after_its_end_is_another_one() -> None:
    room = Room()
    (first,) = room.look(WARNS, 0.5).raised
    room.look(NO, 0.1)
    room.look(NO, 0.1)
    (second,) = room.look(WARNS, 0.5).raised
    assert first.id != second.id


def test_what_is_full_when_it_is_first_seen_is_not_foreseen() -> None:
    assert Room().look(WARNS, 0.99).raised == []


def test_a_watch_that_could_not_be_asked_keeps_its_warnings() -> None:
    room = Room()
    room.look(WARNS, 0.5)
    review = room.book.review([], room.now + 9 * HOUR_MS)
    room.book.accept(review)
    assert review.ended == []
    assert len(room.book.open) == 1
