"""Worlds of a few lines: signals and faults placed by hand, so that what must be found is known."""

from dataclasses import dataclass

import numpy as np

from airis_mon.events.finding import Finding
from airis_mon.simulate.faults import Fault
from airis_mon.simulate.truth import Indicator, Reached, Verdict
from airis_mon.yardstick.worlds import Spec, WorldRun, WorldSignal

MINUTE, DAY = 60_000, 86_400_000
SPEC = Spec("dev", "shop", 7, days=3.0, history_days=1.0)
START = SPEC.settings.start_ms
WORLD = SPEC.world()


def fault(service, onset_min, end_min, *, path=(), is_valid=True, name="f", replicas=(), edge=None):
    """A fault by minutes after the start."""
    onset = START + onset_min * MINUTE
    made = Fault(name, "cpu_hog", service, 0, "all", replicas, onset, 0, START + end_min * MINUTE, 1.0)
    felt = (Indicator("latency", onset, 2.0),) if is_valid else ()
    is_history = onset < START + DAY
    return Verdict(made, "case", edge, felt, tuple(Reached(s, onset) for s in path), is_history)


def finding(entity, minute):
    """A finding that begins so many minutes after the start."""
    t = START + minute * MINUTE
    return Finding(entity, t, t + MINUTE, 0.9, t, ())


@dataclass
class Line:
    """One signal: what it tells of, its values and scores by the minute."""

    entity: str
    value: np.ndarray
    score: np.ndarray | None = None
    labels: tuple = ()
    kind: str = "value"


def world(lines, faults=(), findings=()):
    """A run of three days by the minute, the first of them history."""
    signals, offset, value, score = [], [], [], []
    for i, line in enumerate(lines):
        labels = line.labels or (("__name__", f"m{i}"), ("service", line.entity))
        signals.append(WorldSignal(labels, line.kind, line.entity))
        offset.append(np.arange(len(line.value), dtype=np.int32) * MINUTE)
        value.append(np.asarray(line.value, np.float32))
        score.append(np.zeros(len(line.value), np.float32) if line.score is None else line.score.astype(np.float32))
    first = np.concatenate([[0], np.cumsum([len(v) for v in value])])
    return WorldRun(
        SPEC, WORLD, tuple(signals), first,
        np.concatenate(offset), np.concatenate(value), np.concatenate(score), tuple(faults), (), tuple(findings),
    )  # fmt: skip


def quiet(minutes=3 * 1440):
    """Values of a quiet signal: noise around 100."""
    return 100 + np.random.default_rng(1).normal(0, 1, minutes)


def marked(*at, minutes=3 * 1440):
    """Scores that are 1 in these minutes."""
    made = np.zeros(minutes)
    made[list(at)] = 1.0
    return made
