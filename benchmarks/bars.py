"""What each benchmark's figures are held against: the bar must be reached, the aim is where we want to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the table: `key` is the path of the figure in what the part's `measure()` answers."""

    part: str
    key: str
    subject: str
    bar: float
    aim: float
    is_more_better: bool = True
    unit: str = ""

    def value(self, result: dict[str, Any]) -> float | None:
        """The figure, None when the part did not give it."""
        at: Any = result
        for name in self.key.split("."):
            if not isinstance(at, dict) or name not in at:
                return None
            at = at[name]
        return float(at)

    def verdict(self, value: float) -> str:
        """In words: aim or bar met, or missed by how much."""
        sign = 1 if self.is_more_better else -1
        if sign * (value - self.aim) >= 0:
            return "aim met"
        if sign * (value - self.bar) >= 0:
            return "bar met"
        return f"MISSED by {abs(value / self.bar - 1):.0%}" if self.bar else f"MISSED by {value:g}"


BARS = (
    Bar("load", "samples_per_cpu_s", "remote write, samples per CPU-second, all in", 1.0e6, 2.0e6),
    Bar("load", "ratio_to_victoria", "  the same beside VictoriaMetrics", 1.2, 2.0, unit="x"),
    Bar("load", "bytes_ratio_to_victoria", "bytes per sample beside VictoriaMetrics", 1.5, 1.0, False, "x"),
    Bar("steady", "cpu_share_of_two_cores", "100k series x 15 s: CPU of two cores", 0.5, 0.05, False),
    Bar("steady", "rss_peak_mib", "  its resident memory at most", 2048, 2048, False, "MiB"),
    Bar("ready", "ready_s", "server ready", 2.0, 1.0, False, "s"),
    Bar("ready", "help_s", "airis-mon --help", 0.3, 0.3, False, "s"),
    Bar("kill9", "missing_after_all_rounds", "kill -9: acknowledged but missing", 0, 0, False),
    Bar("kill9", "anomalies_heard_twice", "  anomalies raised twice", 0, 0, False),
)
PARTS = tuple(dict.fromkeys(b.part for b in BARS))
"""In the order of the table."""
