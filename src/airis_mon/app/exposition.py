"""Our own metrics and scores, as Prometheus reads them from GET /metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from airis_mon.series.labels import METRIC, Labels, without

if TYPE_CHECKING:
    from airis_mon.app.engine import Engine
    from airis_mon.app.evaluate import GroupRun

GROUPS_SHOWN = 1_000
"""So many groups of rules stand in /metrics at most, the first by file and name."""
SCORES_SHOWN = 10_000
"""So many signals stand in /metrics at most, the highest scores first: a page of millions helps nobody."""


class Exposition:
    """Builds the page for one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(namespace="airis", registry=self._registry)

    def page(self) -> bytes:
        """The text exposition."""
        return generate_latest(self._registry) + b"".join(self._scores())

    def collect(self) -> Iterator[Metric]:
        """Self metrics, as prometheus_client asks for them."""
        yield from self._passed()
        yield from self._detector()
        yield from self._state()
        yield from self._sources()
        yield from self._rules()
        yield from self._forecasts()

    def _passed(self) -> Iterator[Metric]:
        counts = self._engine.counts
        for name, text, by_kind in (
            ("airis_ingest_requests", "Batches taken in, by way in.", counts.requests),
            ("airis_ingest_samples", "Samples committed, by way in.", counts.samples),
            ("airis_ingest_refused", "Items refused, by way in.", counts.refused),
        ):
            family = CounterMetricFamily(name, text, labels=["source"])
            for kind, n in sorted(by_kind.items()):
                family.add_metric([kind], n)
            yield family
        commit = self._engine.parts.commit
        yield CounterMetricFamily("airis_store_commits", "Commits to the store.", commit.commits)
        yield CounterMetricFamily("airis_store_commit_failures", "Commits that failed.", commit.failures)
        yield CounterMetricFamily("airis_store_rows", "Rows committed.", commit.committed_rows)
        took = commit.last_duration_s
        yield GaugeMetricFamily("airis_store_last_commit_seconds", "How long the last commit took.", took)

    def _detector(self) -> Iterator[Metric]:
        detection = self._engine.parts.detection
        counts = detection.counts
        yield CounterMetricFamily("airis_detect_samples", "Committed samples judged.", counts.samples)
        yield CounterMetricFamily("airis_detect_signals", "Values of watched signals scored.", counts.signals)
        yield CounterMetricFamily("airis_detect_anomalies", "Anomalies raised.", counts.anomalies)
        yield CounterMetricFamily("airis_detect_findings", "Entities found unusual as a whole.", counts.findings)
        yield CounterMetricFamily("airis_detect_cpu_seconds", "CPU time of the detector.", counts.busy_s)
        yield CounterMetricFamily("airis_detect_snapshots", "Snapshots written.", counts.snapshots)
        yield CounterMetricFamily(
            "airis_detect_overflows", "Times the detector fell back to the store.", counts.overflows
        )
        yield GaugeMetricFamily("airis_detect_queued_samples", "Samples that wait to be judged.", detection.queued)
        yield GaugeMetricFamily("airis_detect_slots", "Signals with a detector.", detection.bank.size)

    def _state(self) -> Iterator[Metric]:
        engine = self._engine
        yield GaugeMetricFamily("airis_ready", "1 while samples are taken in.", float(engine.is_ready))
        yield GaugeMetricFamily("airis_series", "Series known.", len(engine.parts.catalogue))
        yield CounterMetricFamily("airis_events_published", "Events told to subscribers.", engine.events.published)
        if engine.store_size is not None:
            disk, rows = engine.store_size
            yield GaugeMetricFamily("airis_store_bytes", "Bytes on disk of all that is stored.", disk)
            yield GaugeMetricFamily("airis_store_samples", "Stored samples, repeated ones included.", rows)

    def _sources(self) -> Iterator[Metric]:
        engine = self._engine
        yield CounterMetricFamily("airis_source_dropped", "Collected samples the store never took.", engine.dropped)
        failures = CounterMetricFamily(
            "airis_source_failures", "Times a source failed and was started again.", labels=["source"]
        )
        for name, _ in engine.parts.collectors:
            failures.add_metric([name], engine.failures.get(name, 0))
        yield failures
        degraded = GaugeMetricFamily(
            "airis_source_degraded", "Parts of a source, the write-back or the rules that fail.", labels=["source"]
        )
        for name, what in engine.degraded().items():
            degraded.add_metric([name], len(what))
        yield degraded
        sent = CounterMetricFamily("airis_writeback_sent", "Scores that a receiver has taken.")
        dropped = CounterMetricFamily("airis_writeback_dropped", "Scores not sent, by reason.", labels=["reason"])
        for health in [part.health() for part in engine.parts.background]:
            if "sent" not in health:  # not a writer
                continue
            sent.add_metric([], health["sent"])
            for reason, n in health["dropped"].items():
                dropped.add_metric([reason], n)
        yield sent
        yield dropped

    def _rules(self) -> Iterator[Metric]:
        rules = self._engine.parts.rules
        groups = rules.groups
        yield GaugeMetricFamily("airis_rules_loaded", "Rules that are evaluated.", sum(len(g.rules) for g in groups))
        is_ok = rules.fault is None
        yield GaugeMetricFamily("airis_rules_reload_ok", "0 while changed rule files are faulty.", float(is_ok))
        totals: tuple[tuple[str, str, Callable[[GroupRun], float]], ...] = (
            ("airis_rule_evaluations", "Evaluations of single rules.", lambda g: g.evaluations),
            ("airis_rule_failures", "Evaluations of single rules that failed.", lambda g: g.failures),
            ("airis_rule_missed_evaluations", "Moments at which a group was not evaluated.", lambda g: g.missed),
            ("airis_rule_refused", "Samples of rules that were not stored.", lambda g: g.refused),
        )
        for name, text, of in totals:
            yield _by_group(CounterMetricFamily(name, text, labels=["file", "group"]), groups, of)
        latest: tuple[tuple[str, str, Callable[[GroupRun], float]], ...] = (
            ("airis_rule_group_last_duration_seconds", "How long the last evaluation took.", lambda g: g.evaluation_s),
            (
                "airis_rule_group_last_evaluation_timestamp_seconds",
                "The moment of the last evaluation, 0 before it.",
                lambda g: (g.last_evaluation or 0) / 1000,
            ),
        )
        for name, text, of in latest:
            yield _by_group(GaugeMetricFamily(name, text, labels=["file", "group"]), groups, of)

    def _forecasts(self) -> Iterator[Metric]:
        if (fleet := self._engine.parts.fleet) is None:
            return
        counts, said, last = fleet.counts, "of the newest round.", fleet.last
        yield CounterMetricFamily("airis_forecast_rounds", "Rounds of forecasts made.", counts.rounds)
        yield CounterMetricFamily("airis_forecast_failures", "Rounds of forecasts that failed.", counts.failures)
        yield CounterMetricFamily("airis_forecast_seconds", "Time that rounds of forecasts took.", counts.seconds)
        if last is not None:
            yield GaugeMetricFamily("airis_forecast_signals", f"Signals forecast, {said}", last.signals)
            yield GaugeMetricFamily("airis_forecast_left_out", "Signals beyond max_series.", fleet.left_out)
            made = last.made_ms / 1000
            yield GaugeMetricFamily("airis_forecast_last_timestamp_seconds", f"The moment {said}", made)
        held = fleet.accuracy
        if held is not None and held.coverage is not None:
            text = "Share of what happened that the intervals held, over a week."
            yield GaugeMetricFamily("airis_forecast_coverage_ratio", text, held.coverage)
        if held is not None and held.scaled is not None:
            text = "Median over signals of the error in units of that of seasonal naive, over a week."
            yield GaugeMetricFamily("airis_forecast_scaled_error", text, held.scaled)

    def _scores(self) -> Iterator[bytes]:
        yield b"# HELP aiops_anomaly_score Highest score of the last ten minutes, 0..1; 0.8 is the alarm line.\n"
        yield b"# TYPE aiops_anomaly_score gauge\n"
        for labels, signal, score in self._engine.scores(SCORES_SHOWN):
            yield f"aiops_anomaly_score{{{_pairs(score_labels(labels, signal))}}} {score:.6g}\n".encode()


def _by_group(
    family: CounterMetricFamily | GaugeMetricFamily, groups: Sequence[GroupRun], of: Callable[[GroupRun], float]
) -> Metric:
    for group in groups[:GROUPS_SHOWN]:
        family.add_metric([group.file, group.name], of(group))
    return family


def score_labels(labels: Labels, signal: str) -> Labels:
    """The labels of a signal's score: the series' own, its metric under `for`, and what of it is watched.

    An own label of these names is called `exported_for` or `exported_signal`, as a scrape of Prometheus would have it.
    """
    own = without(labels, METRIC)
    have = dict(labels)
    if "for" in have or "signal" in have:
        own = tuple((_moved(n, have) if n in ("for", "signal") else n, v) for n, v in own)
    return (("for", have[METRIC]), ("signal", signal), *own)


def _moved(name: str, taken: Collection[str]) -> str:
    name = f"exported_{name}"
    return _moved(name, taken) if name in taken else name


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def _pairs(labels: Labels) -> str:
    return ",".join(f'{n}="{v.translate(_ESCAPES)}"' for n, v in labels)
