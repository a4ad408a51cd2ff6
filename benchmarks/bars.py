"""What each benchmark's figures are held against: the bar must be reached, the aim is where we want to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the table: `key` is the path of the figure in what the part's `measure()` answers.

    Without a bar the figure is only shown.
    """

    part: str
    key: str
    subject: str
    bar: float | None = None
    aim: float | None = None
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
        """In words: aim or bar met, or missed by how much; empty without a bar."""
        if self.bar is None or self.aim is None:
            return ""
        sign = 1 if self.is_more_better else -1
        if sign * (value - self.aim) >= 0:
            return "aim met"
        if sign * (value - self.bar) >= 0:
            return "bar met"
        return f"MISSED by {abs(value / self.bar - 1):.0%}" if self.bar else f"MISSED by {value:g}"


BARS = (
    Bar("load", "samples_per_cpu_s", "remote write, samples per CPU-second, all in", 1.0e6, 2.0e6),
    Bar("load", "ratio_to_victoria", "  beside VictoriaMetrics", 1.2, 2.0, unit="x"),
    Bar("load", "ratio_to_prometheus", "  beside Prometheus", unit="x"),
    Bar("load", "bytes_per_sample", "bytes per sample on disk, merges settled"),
    Bar("load", "bytes_ratio_to_victoria", "  beside VictoriaMetrics", 1.5, 1.0, False, "x"),
    Bar("steady", "cpu_share_of_two_cores", "100k series x 15 s: share of two cores", 0.5, 0.05, False),
    Bar("steady", "rss_peak_mib", "  resident memory at most, MiB", 2048, 2048, False),
    Bar("kernel", "points_per_s_100000", "detector, 100k series: points/s/core", 10e6, 20e6),
    Bar("kernel", "bytes_per_series", "  bytes of state per signal", 1200, 512, False),
    Bar("decode", "remote_write_1.samples_per_cpu_s", "decoding remote write 1.0, samples/s/core"),
    Bar("promql", "one_series_1h_ms", "PromQL: rate of one series, 1 h at 15 s, ms", 10, 5, False),
    Bar("promql", "sum_rate_2000_1h_ms", "  sum by (job) of 2,000 rates, 1 h at 15 s, ms", 100, 50, False),
    Bar("promql", "sum_rate_2000_1h_to_prometheus", "    beside Prometheus", unit="x"),
    Bar("promql", "sum_rate_2000_1h_to_victoria", "    beside VictoriaMetrics", unit="x"),
    Bar("promql", "instant_10000_ms", "  max by (job) of 10,000 series at one moment, ms"),
    Bar("promql", "instant_10000_to_prometheus", "    beside Prometheus", unit="x"),
    Bar("promql", "rules_core_share", "  30 rules over 10,000 series every 15 s, cores", 0.2, 0.1, False),
    Bar("promql", "rules_to_prometheus", "    beside Prometheus", unit="x"),
    Bar("ready", "ready_s", "server ready, warm kernels, s", 2.0, 1.0, False),
    Bar("ready", "help_s", "  airis-mon --help, s", 0.3, 0.3, False),
    Bar("kill9", "missing_after_all_rounds", "kill -9: acknowledged but missing", 0, 0, False),
    Bar("kill9", "anomalies_heard_twice", "  anomalies raised twice", 0, 0, False),
    Bar("replay", "file.samples_per_s", "replay of 14 days x 978 series from a file, samples/s"),
    Bar("replay", "file.samples_per_cpu_s", "  per CPU-second"),
    Bar("replay", "reader.samples_per_s", "  the file's reader alone, samples/s"),
    Bar("replay", "file_with_rules.samples_per_s", "  with three rules, samples/s"),
    Bar("replay", "prometheus.samples_per_s", "  from a Prometheus over its API, with rules"),
    Bar("analyze", "clients_50.per_s", "analyze 100 values, 50 clients: requests/s", 1000, 3000),
    Bar("analyze", "clients_50.p99_ms", "  p99, ms", 20, 15, False),
    Bar("analyze", "at_1000_per_s.p99_ms", "  p99 at 1,000 requests/s, ms", 20, 10, False),
    Bar("analyze", "clients_1.p50_ms", "  p50 of a single client, ms"),
    Bar("analyze", "clients_50.server_cpu_us", "  CPU of the server per request, us"),
    Bar("analyze", "large.p50_ms", "  10,000 values, ms", 30, 15, False),
    Bar("analyze", "own_us.100", "  the work itself, us"),
    Bar("analyze", "peer_us.100", "    by numpy, scipy, scikit-learn, us"),
    Bar("quality_nab", "standard.corpus", "NAB standard, one threshold for all files", 69, 75),
    Bar("quality_nab", "standard.cross", "  threshold from the other half", 67, 72),
    Bar("quality_episodes", "saving", "false episodes saved beside rolling z-score", 0.85, 0.93),
    Bar("forecast_m4", "fast.smape", "M4 hourly, 48 h ahead: sMAPE", 11.5, 8.913, False),
    Bar("forecast_m4", "fast.mase", "  MASE", 0.90, 0.801, False),
    Bar("forecast_m4", "fast.coverage_off", "  95 % intervals: coverage off by", 0.02, 0.01, False),
    Bar("forecast_m4", "fast.cpu_s_per_1000", "  CPU seconds for 1,000 series, backtest included"),
    Bar("forecast_m4", "full.smape", "  with LightGBM: sMAPE", 11.5, 8.913, False),
    Bar("forecast_m4", "full.mase", "    MASE", 0.90, 0.801, False),
    Bar("forecast_m4", "fleet.cpu_s", "  2,000 series x 1,440 points, 96 ahead, CPU s", 60, 30, False),
    Bar("limits", "10000.cpu_ms", "a look at 10,000 disks for what runs out, CPU ms"),
    Bar("limits", "10000.first_cpu_ms", "  the first look, a day of history, CPU ms"),
    Bar("quality_smd", "ap", "SMD average precision, no point adjustment", 0.40, 0.50),
)
PARTS = (*dict.fromkeys(b.part for b in BARS), "promhistory", "quality_asd", "quality_ms_cloud")
"""In the order of the table; the last three have no bar and only keep their results."""
