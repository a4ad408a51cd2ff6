"""Static thresholds: one line above and one below, drawn once from the history, for five minutes.

The lines are Shewhart's control limits, three standard deviations from the mean of the days before judging begins
(Shewhart, Economic Control of Quality of Manufactured Product, 1931). One pair for all pods of a service, as a rule
has it, so that a pod with a new name has lines too. `for: 5m` is what published rule files use most.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from airis_mon.series.labels import without
from airis_mon.yardstick.baselines.base import MINUTE_MS, Mask, held
from airis_mon.yardstick.worlds import WorldRun, WorldSignal

NAME = "static"
WORDS = "static thresholds: mean +- 3 deviations of the history, for 5m"
LINE, FOR_MS = 3.0, 5 * MINUTE_MS
LEAST = 60
"""A line is not drawn through fewer values."""


def alarms(run: WorldRun) -> Mask:
    """(row,) after the history, where a line was passed for so long; nothing where there was no history."""
    found = np.zeros(len(run.value), np.bool_)
    for signals in _alike(run).values():
        line = _lines(run, signals)
        if line is None:
            continue
        for signal in signals:
            rows, t = run.rows(signal), run.times(signal)
            value = run.value[rows]
            beyond = ((value < line[0]) | (value > line[1])) & (t >= run.judged_ms)
            found[rows] = held(t, beyond, FOR_MS)
    return found


def _alike(run: WorldRun) -> dict[tuple[object, ...], list[int]]:
    """The signals that one rule would judge."""
    found = defaultdict(list)
    for i, signal in enumerate(run.signals):
        found[_rule(signal)].append(i)
    return found


def _rule(signal: WorldSignal) -> tuple[object, ...]:
    names = dict(signal.labels)
    return signal.kind, without(signal.labels, "pod", "host", "zone") if "pod" in names else signal.labels


def _lines(run: WorldRun, signals: list[int]) -> tuple[float, float] | None:
    parts = [run.value[run.rows(i)][run.times(i) < run.judged_ms] for i in signals]
    past = np.concatenate(parts).astype(float)
    if len(past) < LEAST:
        return None
    mean, spread = float(past.mean()), float(past.std())
    return mean - LINE * spread, mean + LINE * spread
