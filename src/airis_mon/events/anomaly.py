"""One judgement that a sample is unusual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airis_mon.series.labels import METRIC, Labels, hex_id, metric_of, series_name

ALARM = 0.8
"""The alarm line of every score in 0..1; the specification's Prometheus rule says `aiops_anomaly_score > 0.8`."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A sample whose score reached the line.

    signal says what of the series was watched: value, rate, mean or p99; value, expected, lower and upper are in the
    signal's unit. feature names what fired. (fp, signal, t) is its identity: it is raised once, ever.
    """

    fp: int
    labels: Labels
    signal: str
    t: int  # ms
    value: float
    score: float  # 0..1
    onset: float
    level: float
    expected: float
    lower: float
    upper: float
    feature: str

    @property
    def id(self) -> str:
        """The same in every process that judges the same sample."""
        return f"{hex_id(self.fp)}-{self.signal}-{self.t}"

    @property
    def name(self) -> str:
        """The watched signal in words of PromQL: `rate(metric{...})`, or the bare series."""
        return signal_name(self.labels, self.signal)

    @property
    def payload(self) -> dict[str, Any]:
        """The anomaly as events carry it and as GET /anomalies shows it: JSON-ready, None for what is not finite."""
        numbers = ("value", "score", "onset", "level", "expected", "lower", "upper")
        moment = datetime.fromtimestamp(self.t / 1000, UTC)
        return {
            "id": self.id,
            "series": hex_id(self.fp),
            "name": self.name,
            "metric": metric_of(self.labels),
            "labels": {n: v for n, v in self.labels if n != METRIC},
            "signal": self.signal,
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **{n: v if math.isfinite(v := getattr(self, n)) else None for n in numbers},
            "feature": self.feature,
        }


def signal_name(labels: Labels, signal: str) -> str:
    """What is watched of a series in words of PromQL: `rate(metric{...})`, or the bare series."""
    series = series_name(labels)
    return series if signal == "value" else f"{signal}({series})"
