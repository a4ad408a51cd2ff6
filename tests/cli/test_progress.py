"""What is said while something takes its time."""

import io
import threading

import pytest

from airis_mon.cli.progress import Elapsed


class Terminal(io.StringIO):
    def __init__(self, is_terminal=True):
        super().__init__()
        self._is_terminal = is_terminal
        self.drawn = threading.Event()

    def isatty(self):
        return self._is_terminal

    def write(self, text):
        self.drawn.set()
        return super().write(text)


def clock(*seconds):
    return iter(seconds).__next__


def test_two_seconds_are_quiet():
    stream = Terminal()
    Elapsed("query", stream, clock(10.0, 11.9)).draw()
    assert stream.getvalue() == ""


def test_then_the_time_is_told_in_one_line():
    stream = Terminal()
    waiting = Elapsed("query", stream, clock(10.0, 12.1, 75.0))
    waiting.draw()
    waiting.draw()
    assert stream.getvalue() == "\r\x1b[Kquery: 0:02, Ctrl-C gives up\r\x1b[Kquery: 1:05, Ctrl-C gives up"


def test_a_thread_redraws_it_and_the_end_wipes_it_away():
    stream = Terminal()
    times = iter([0.0])
    with Elapsed("query", stream, lambda: next(times, 9.0)):
        assert stream.drawn.wait(30)
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_pipe_hears_nothing():
    stream = Terminal(is_terminal=False)
    with pytest.raises(ValueError, match="given up"), Elapsed("query", stream, clock(0.0)):
        raise ValueError("given up")
    assert stream.getvalue() == ""
