"""Curves that queries ask for: drawn one portion at a time, the latest kept, since a panel asks thrice for the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from airis_mon.app.detection import LATE_MS
from airis_mon.app.history import Curve, SignalHistory

Check = Callable[[], None]

KEPT_POINTS = 1_000_000
"""So many points of curves are kept, 56 bytes each."""
FRESH_MS = 5_000
"""A curve drawn to the present may lack the samples of so long: the queries of one panel come within it."""
IMPATIENCE_S = 0.1


@dataclass(frozen=True, slots=True)
class _Kept:
    """A curve drawn at `at` (ms) for a window."""

    curve: Curve
    start: int
    end: int
    at: int
    has_bands: bool

    def answers(self, start: int, end: int, now: int, *, has_bands: bool) -> bool:
        """Whether it covers a window, whose last samples may have come after it was drawn."""
        is_settled = end <= self.at - LATE_MS or now - self.at < FRESH_MS
        return self.start <= start and end <= self.end and is_settled and self.has_bands >= has_bands


class Curves:
    """Draws through a history, one caller at a time, so that queries leave a core to what comes in.

    clock: now in ms; most_points: so many are kept. `drawn` counts the curves that were not kept already.
    """

    def __init__(self, history: SignalHistory, clock: Callable[[], int], most_points: int = KEPT_POINTS) -> None:
        self.most_points = most_points
        self.drawn = 0
        self._history = history
        self._clock = clock
        self._pencil = threading.Lock()
        self._kept: OrderedDict[tuple[int, str], _Kept] = OrderedDict()
        self._points = 0

    def of(
        self, signals: Sequence[tuple[int, str]], start: int, end: int, check: Check, *, has_bands: bool
    ) -> Iterator[Curve]:
        """The curves of signals (fp, kind) within [start, end] ms, in their order; check raises to end the query."""
        for portion in self._history.portions(signals, start, end):
            check()
            with self._turn(check):
                curves = self._portion(portion, start, end, has_bands=has_bands)
            for curve in curves:
                yield _within(curve, start, end)

    def _portion(self, signals: Sequence[tuple[int, str]], start: int, end: int, *, has_bands: bool) -> list[Curve]:
        now = self._clock()
        kept = {s: self._kept[s] for s in signals if s in self._kept}
        found = {s: k.curve for s, k in kept.items() if k.answers(start, end, now, has_bands=has_bands)}
        missing = [s for s in signals if s not in found]
        drawn = self._history.curves(missing, start, end, has_bands=has_bands)
        self.drawn += len(missing)
        for signal, curve in zip(missing, drawn, strict=True):
            found[signal] = curve
            self._keep(signal, _Kept(curve, start, end, now, has_bands))
        return [found[s] for s in signals]

    def _keep(self, signal: tuple[int, str], kept: _Kept) -> None:
        if (before := self._kept.pop(signal, None)) is not None:
            self._points -= len(before.curve.t)
        self._kept[signal] = kept
        self._points += len(kept.curve.t)
        while self._points > self.most_points:
            self._points -= len(self._kept.popitem(last=False)[1].curve.t)

    @contextmanager
    def _turn(self, check: Check) -> Iterator[None]:
        while not self._pencil.acquire(timeout=IMPATIENCE_S):
            check()
        try:
            yield
        finally:
            self._pencil.release()


def _within(curve: Curve, start: int, end: int) -> Curve:
    shown, told = (slice(*np.searchsorted(t, [start, end + 1])) for t in (curve.t, curve.ended))
    columns = ("t", "value", "expected", "lower", "upper", "score")
    return replace(curve, ended=curve.ended[told], **{name: getattr(curve, name)[shown] for name in columns})
