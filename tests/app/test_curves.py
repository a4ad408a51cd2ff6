"""Which curves are kept, and for how long, over a history that counts what it draws."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from airis_mon.app.curves import FRESH_MS, Curves
from airis_mon.app.detection import LATE_MS
from airis_mon.app.history import Curve
from airis_mon.errors import QueryTimeout

A, B = (1, "value"), (2, "rate")
Signals = Sequence[tuple[int, str]]
NOW = 10_000_000


@dataclass
class Pencil:
    """A history whose curves have a point each second."""

    drawn: list[tuple[list[tuple[int, str]], int, int, bool]] = field(default_factory=list)
    at_once: int = 10

    def portions(self, signals: Signals, start: int, end: int) -> Iterator[Signals]:
        for i in range(0, len(signals), self.at_once):
            yield signals[i : i + self.at_once]

    def curves(self, signals: Signals, start: int, end: int, *, has_bands: bool = True) -> list[Curve]:
        if signals:
            self.drawn.append((list(signals), start, end, has_bands))
        t = np.arange(start, end + 1, 1000, dtype=np.int64)
        return [Curve(kind, t, *[t * float(fp)] * 5, ended=t[:1]) for fp, kind in signals]


class Desk:
    """Curves over a pencil, and a clock."""

    def __init__(self, most_points: int = 1_000_000) -> None:
        self.now = NOW
        self.pencil = Pencil()
        self.curves = Curves(self.pencil, lambda: self.now, most_points)  # type: ignore[arg-type]

    def ask(self, signals: Signals, start: int, end: int, *, has_bands: bool = True) -> list[Curve]:
        return list(self.curves.of(signals, start, end, lambda: None, has_bands=has_bands))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_curves_come_in_the_order_asked_for_and_within_the_window(desk: Desk) -> None:
    desk.ask([B], 0, 60_000)
    found = desk.ask([A, B, A], 10_000, 20_000)
    assert [(c.signal, c.value[0]) for c in found] == [("value", 10_000), ("rate", 20_000), ("value", 10_000)]
    assert all((c.t[0], c.t[-1], len(c.ended)) == (10_000, 20_000, n) for c, n in zip(found, (1, 0, 1), strict=True))


def test_what_lies_in_a_kept_curve_is_not_drawn_again(desk: Desk) -> None:
    desk.ask([A], 0, 60_000)
    desk.ask([A], 0, 60_000)
    desk.ask([A], 30_000, 40_000, has_bands=False)
    assert (len(desk.pencil.drawn), desk.curves.drawn) == (1, 1)
    desk.ask([A], 0, 61_000)
    assert desk.curves.drawn == 2


def test_scores_alone_do_not_answer_for_bands(desk: Desk) -> None:
    desk.ask([A], 0, 60_000, has_bands=False)
    desk.ask([A], 0, 60_000)
    assert desk.curves.drawn == 2


def test_the_present_is_drawn_anew_when_it_may_have_changed(desk: Desk) -> None:
    desk.ask([A], NOW - 60_000, NOW)
    desk.now = NOW + FRESH_MS - 1
    desk.ask([A], NOW - 60_000, NOW)
    assert desk.curves.drawn == 1
    desk.now = NOW + FRESH_MS
    desk.ask([A], NOW - 60_000, NOW)
    assert desk.curves.drawn == 2
    desk.now = NOW + FRESH_MS + LATE_MS
    desk.ask([A], NOW - 60_000, NOW)
    assert desk.curves.drawn == 3  # late samples may have come


def test_the_oldest_curves_go_when_there_are_too_many_points() -> None:
    desk = Desk(most_points=100)
    for signal in (A, B, (3, "value")):
        desk.ask([signal], 0, 49_000)
    assert desk.curves.drawn == 3
    desk.ask([B, (3, "value")], 0, 49_000)
    assert desk.curves.drawn == 3
    desk.ask([A], 0, 49_000)
    assert desk.curves.drawn == 4
    (curve,) = desk.ask([A], 0, 200_000)  # larger than all that may be kept
    assert len(curve.t) == 201
    assert not desk.curves._kept
    assert desk.curves._points == 0


def test_a_query_that_waits_for_its_turn_can_end(desk: Desk) -> None:
    left = 3

    def check() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise QueryTimeout("query timed out in expression evaluation")

    with desk.curves._turn(lambda: None), pytest.raises(QueryTimeout):
        list(desk.curves.of([A], 0, 1000, check, has_bands=True))
    assert desk.curves.drawn == 0


def test_another_query_has_its_turn_between_two_portions(desk: Desk) -> None:
    desk.pencil.at_once = 1
    first = desk.curves.of([A, B], 0, 10_000, lambda: None, has_bands=True)
    next(first)
    other = threading.Thread(target=desk.ask, args=([B], 0, 10_000))
    other.start()
    other.join(10)
    assert len(list(first)) == 1
    assert desk.curves.drawn == 2  # the other one drew B for both
