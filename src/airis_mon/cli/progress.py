"""A progress bar on stderr: only on a terminal, only for what takes more than two seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

QUIET_S = 2.0
REDRAW_S = 0.1
WIDTH = 30


class Progress:
    """A bar that is redrawn in place and gone at the end; `update` is cheap and may be called as often as one likes."""

    def __init__(self, label: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._stream = stream
        self._clock = clock
        self._start = clock()
        self._next = self._start + QUIET_S
        self._is_drawn = False
        self._is_wanted = stream.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def update(self, fraction: float, note: str = "") -> None:
        """Says that `fraction` (0..1) is done, and a word about it."""
        now = self._clock()
        if not self._is_wanted or now < self._next:
            return
        self._next = now + REDRAW_S
        self._is_drawn = True
        done = min(max(fraction, 0.0), 1.0)
        bar = "#" * round(done * WIDTH)
        left_s = (now - self._start) * (1 - done) / done if done else 0.0
        self._stream.write(f"\r\x1b[K{self._label} [{bar:.<{WIDTH}}] {done:4.0%} {_clock_face(left_s)} left {note}")
        self._stream.flush()


def _clock_face(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


class Elapsed:
    """For what has no parts to count: says how long it has taken, redrawn by a thread, so that the work may wait."""

    def __init__(self, label: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._stream = stream
        self._clock = clock
        self._start = clock()
        self._is_drawn = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="elapsed", daemon=True) if stream.isatty() else None

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()
        if self._is_drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def draw(self) -> None:
        """Redraws the line, when it is time for one."""
        if (passed := self._clock() - self._start) < QUIET_S:
            return
        self._is_drawn = True
        self._stream.write(f"\r\x1b[K{self._label}: {_clock_face(passed)}, Ctrl-C gives up")
        self._stream.flush()

    def _redraw(self) -> None:
        while not self._ended.wait(REDRAW_S):
            self.draw()
