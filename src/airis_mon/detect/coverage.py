"""What is watched, what is skipped, and why, in words."""

from __future__ import annotations

from dataclasses import dataclass

from airis_mon.detect.tracks import TRIAL_SAMPLES

REASONS = {
    "value": "watched by its value",
    "rate": "a counter: watched by its rate per second",
    "guessed": f"it only rises: watched as a counter, by its rate (none of its first {TRIAL_SAMPLES} samples fell)",
    "family": "part of a histogram or summary: watched by rate, mean and p99",
    "constant": "it has not changed yet; its first change will be judged",
    "undecided": f"no type is known: its first {TRIAL_SAMPLES} samples decide between value and rate",
    "limit": "detect.max_signals is reached; raise it, or drop series with detect.drop",
    "dropped": "a selector of detect.drop means it",
    "unselected": "no selector of detect.select means it",
    "info": "it describes something and measures nothing; select it with detect.select to watch it",
    "timestamp": "it is a point in time; select it with detect.select to watch it",
    "ours": "our own metric or score; select it with detect.select to watch it",
    "bucket": "a bucket of no histogram that can be derived from",
}
"""Reason -> what a person reads."""
WATCHED = ("value", "rate", "guessed", "family")
ORDER = tuple(REASONS)
"""Reasons by number, as arrays hold them."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What a slot of the detector judges: the series that stands for it, and value, rate, mean or p99 of it."""

    fp: int
    sid: int
    kind: str


@dataclass(frozen=True, slots=True)
class CoverageItem:
    """One series: is_watched, the kinds of its signals, the reason's key and its words."""

    name: str
    fp: int
    is_watched: bool
    signals: tuple[str, ...]
    reason: str
    words: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is watched in total, and one page of series.

    watched: series; skipped: series by reason; signals: slots in use; matched: series asked for, of which `items` is
    a page.
    """

    watched: int
    skipped: dict[str, int]
    signals: int
    matched: int
    items: tuple[CoverageItem, ...]
