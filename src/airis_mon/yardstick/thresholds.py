"""Arms without rules: fixed lines, and the specification's rolling z-score, over the signals that teams watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.correlate.group import Firing
from airis_mon.query.values import Vector
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import METRIC, Labels, without
from airis_mon.series.steps import Steps
from airis_mon.yardstick.baselines.zscore import LINE, scores
from airis_mon.yardstick.scraped import Scraped

SIGNALS: dict[str, str] = {
    "user errors": 'sum by (handler) (rate(frontend_requests_total{code="500"}[5m]))'
    " / sum by (handler) (rate(frontend_requests_total[5m]))",
    "user latency": "sum by (handler) (rate(frontend_request_duration_seconds_sum[5m]))"
    " / sum by (handler) (rate(frontend_request_duration_seconds_count[5m]))",
    "errors": 'sum by (service) (rate(http_requests_total{code="500"}[5m]))'
    " / sum by (service) (rate(http_requests_total[5m]))",
    "latency": "sum by (service) (rate(http_request_duration_seconds_sum[5m]))"
    " / sum by (service) (rate(http_request_duration_seconds_count[5m]))",
    "pool": "connection_pool_used_ratio",
    "queue age": "queue_oldest_age_seconds",
    "cache misses": "rate(cache_misses_total[5m]) / (rate(cache_hits_total[5m]) + rate(cache_misses_total[5m]))",
    "quota used": "1 - quota_remaining / 1e6",
    "certificate age": "90 - certificate_days_left",
    "memory": "container_memory_working_set_bytes / (container_spec_memory_limit_bytes > 0)",
    "files": "process_open_fds / (process_max_fds > 0)",
    "threads": "process_threads",
    "garbage": "rate(gc_pause_seconds_total[5m])",
    "host down": '1 - up{job="node"}',
    "host cpu": "rate(node_cpu_busy_seconds_total[5m]) / 16",
    "host disk busy": "rate(node_disk_io_time_seconds_total[5m])",
    "host clock": "abs(node_time_offset_seconds)",
    "host disk used": "1 - node_filesystem_avail_bytes / (node_filesystem_size_bytes > 0)",
    "volume used": "volume_used_bytes / (volume_size_bytes > 0)",
}
"""What is watched, in PromQL; more is worse in all of them."""
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Level:
    """Where a line is drawn: so many times the value that this share of the history keeps to."""

    share: float
    room: float = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """The signals of a world over its steps, by name; a vector's labels have no metric's name."""

    t: Times
    of: dict[str, Vector]


def watched(source: Scraped, steps: Steps) -> Watched:
    """All signals at every step."""
    found: dict[str, Vector] = {}
    for name, text in SIGNALS.items():
        value = source.ask(text, steps).value
        if isinstance(value, Vector) and len(value):
            found[name] = Vector([without(labels, METRIC) for labels in value.labels], value.value, value.has)
    return Watched(steps.t, found)


def lines_of(some: Watched, until: int, level: Level) -> dict[str, float]:
    """For each signal a line that fits what it did before `until` (ms): a quantile of all it had, and some room."""
    found = {}
    for name, vector in some.of.items():
        value = vector.value[:, some.t < until]
        value = value[np.isfinite(value)]
        if len(value):
            found[name] = level.room * float(np.quantile(value, level.share))
    return found


def above(some: Watched, lines: Mapping[str, float]) -> list[Firing]:
    """An alert for every stretch in which a signal lies above its line."""
    return [
        one
        for name, vector in some.of.items()
        if name in lines
        for one in _firings(name, vector.labels, vector.has & (vector.value > lines[name]), some.t)
    ]


def far(some: Watched, line: float = LINE) -> list[Firing]:
    """An alert for every stretch in which a signal is more than `line` deviations from its mean of late."""
    return [one for name, vector in some.of.items() for one in _firings(name, vector.labels, _z(vector) > line, some.t)]


def _z(vector: Vector) -> Values:
    """(s, n) of the values that are there and finite; 0 elsewhere."""
    z = np.zeros(vector.value.shape)
    known = vector.has & np.isfinite(vector.value)
    for row, at in enumerate(known):
        z[row, at] = scores(vector.value[row, at])
    return z


def _firings(name: str, labels: Sequence[Labels], is_high: Flags, t: Times) -> Iterator[Firing]:
    for row, own in enumerate(labels):
        edges = np.diff(is_high[row].astype(np.int8), prepend=0, append=0)
        alert = tuple(sorted([*own, ("alertname", name)]))
        for a, b in zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True):
            yield Firing(alert, int(t[a]), int(t[b]) if b < len(t) else None)
