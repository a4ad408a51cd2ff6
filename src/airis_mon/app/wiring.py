"""One straight function: settings -> objects. Nothing else names concrete classes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from airis_mon.app.bus import EventBus
from airis_mon.app.detection import LAYOUT, Detection, Make
from airis_mon.app.engine import Engine, Parts
from airis_mon.app.ground import KernelCache, local_zone, now_ms
from airis_mon.app.history import SignalHistory
from airis_mon.app.insight import COMPUTED, Foresight, Insight
from airis_mon.app.queries import Allowance, Queries
from airis_mon.app.replays import address_of
from airis_mon.app.reporter import Reporter
from airis_mon.app.rules import Rules
from airis_mon.app.rulewriter import RuleWriter
from airis_mon.config.sections import PrometheusSource, Section
from airis_mon.config.settings import Settings
from airis_mon.detect.base import State
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.findings import ENTITIES
from airis_mon.detect.watch import Watch
from airis_mon.events.alert import Alert
from airis_mon.events.anomaly import Anomaly
from airis_mon.events.finding import Finding
from airis_mon.ingest.base import Collector, Decoder
from airis_mon.ingest.promgate import Gate
from airis_mon.plugins import find
from airis_mon.series.admit import Limits
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.zone import zone as zone_of
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.commit import GroupCommit
from airis_mon.store.cursors import Cursors
from airis_mon.store.snapshots import Snapshots


def engine_of(settings: Settings, *, collect: bool = True) -> Engine:
    """The whole engine, nothing opened yet. Without `collect` only what is pushed comes in."""
    data_dir = Path(settings.data_dir)
    catalogue, store, bus = catalogue_of(settings), store_of(settings), EventBus(now_ms, first=now_ms())
    snapshots = Snapshots(
        data_dir / "snapshots",
        layout=LAYOUT,
        keep_all_ms=int(settings.detect.keep_snapshots_s * 1000),
        keep_hourly_ms=int(settings.detect.keep_hourly_s * 1000),
    )
    detection = Detection(
        catalogue,
        detectors_of(settings, catalogue),
        store,
        snapshots,
        lambda found: _tell(bus, found),
        now_ms,
        snapshot_interval_s=settings.detect.snapshot_interval_s,
        retention_s=settings.store.retention_days * 86_400,
        entities=settings.detect.entities or ENTITIES,
        tell=lambda finding: _found(bus, finding),
    )
    cursors = Cursors(data_dir / "cursors.json")
    commit, history = _commit(settings, catalogue, store, detection), SignalHistory(detection, store, snapshots)
    limits = Limits(settings.limits.max_future_s, settings.store.retention_days * 86_400)
    ahead = settings.forecasts
    step_ms = round(ahead.step_s * 1000)
    foresight = Foresight(step_ms, round(ahead.horizon_s * 1000) + step_ms)
    insight = Insight(history, store, now_ms, foresight=foresight)
    queries = Queries(insight, catalogue, allowance_of(settings), COMPUTED)
    return Engine(
        Parts(
            catalogue=catalogue,
            store=store,
            commit=commit,
            detection=detection,
            history=history,
            bus=bus,
            decoders=Decoders(catalogue, settings.server.max_body_bytes),
            collectors=_collectors(settings, catalogue, cursors) if collect else (),
            cursors=cursors,
            limits=limits,
            clock=now_ms,
            data_dir=data_dir,
            kernels=KernelCache(),
            queries=queries,
            insight=insight,
            rules=_rules(settings, queries, RuleWriter(catalogue, commit, limits, now_ms), bus),
            background=_background(settings, catalogue, detection),
        )
    )


class Decoders(dict[str, Decoder]):
    """Decoders by way in, each made when its first body comes: what nobody sends is not imported."""

    def __init__(self, catalogue: Catalogue, max_bytes: int) -> None:
        super().__init__()
        self._catalogue = catalogue
        self._settings = {"remote_write": {"max_bytes": max_bytes}}

    def __missing__(self, kind: str) -> Decoder:
        decoder: Decoder = find("ingest.decoders", kind)(self._catalogue, **self._settings.get(kind, {}))
        return self.setdefault(kind, decoder)


def store_url(settings: Settings) -> str:
    """Where the store is: the data directory unless the settings say otherwise."""
    return settings.store.url or str(Path(settings.data_dir) / "store")


def catalogue_of(settings: Settings) -> Catalogue:
    """An empty catalogue with the limits of the settings."""
    of = settings.limits
    return Catalogue(max_series=of.max_series, max_labels=of.max_labels, max_label_bytes=of.max_label_bytes)


def store_of(settings: Settings) -> ClickHouse:
    """The store of the settings, not opened yet."""
    of = settings.store
    return ClickHouse(
        url=store_url(settings),
        retention_days=of.retention_days,
        memory_bytes=of.memory_bytes,
        durability=of.durability,
        history_days=of.history_days,
        cluster=of.cluster or None,
    )


def _commit(settings: Settings, catalogue: Catalogue, store: ClickHouse, detection: Detection) -> GroupCommit:
    def committed(batch: Batch) -> None:
        catalogue.observe(batch)
        detection.feed(batch)

    return GroupCommit(
        store,
        catalogue,
        clock=time.monotonic,
        on_commit=committed,
        interval_s=settings.store.commit_interval_ms / 1000,
        rows=settings.store.commit_rows,
        queue_rows=settings.store.queue_rows,
    )


def _tell(bus: EventBus, found: list[Anomaly]) -> None:
    for anomaly in found:
        bus.publish("anomaly_detected", anomaly.payload)


def _found(bus: EventBus, finding: Finding) -> None:
    bus.publish("finding_detected", finding.payload)


def detectors_of(settings: Settings, catalogue: Catalogue) -> Make:
    """Makes a bank and its watch, fresh ones or those that continue from two states."""
    zone = zone_of(settings.time.zone or local_zone())

    def make(bank_state: State | None, watch_state: State | None) -> tuple[Record, Watch]:
        bank = Record(zone=zone) if bank_state is None else Record.from_state(bank_state, zone=zone)
        of = settings.detect
        if watch_state is None:
            return bank, Watch(catalogue, bank, of.select, of.drop, of.max_signals)
        return bank, Watch.from_state(watch_state, catalogue, bank, of.select, of.drop, of.max_signals)

    return make


def _collectors(settings: Settings, catalogue: Catalogue, cursors: Cursors) -> list[tuple[str, Collector]]:
    of, folder = settings.ingest, "ingest.collectors"
    found: list[tuple[str, Collector]] = []
    if of.host.enabled:
        found.append(("host", find(folder, "host")(catalogue, **_given(of.host, "enabled"))))
    found += [(f"scrape {g.job}", find(folder, "prometheus")(catalogue, **_given(g))) for g in of.scrape]
    gates: dict[str, Gate] = {}  # by address: sources of one server ask it no more than the first of them may
    for name, prometheus in prometheus_named(settings):
        gate = gates.setdefault(address_of(prometheus.url), Gate(prometheus.concurrency, prometheus.requests_per_s))
        given = {"cursor": cursors.get(name), "gate": gate, **_given(prometheus, "backfill_days")}
        found.append((name, find(folder, "prometheus_query")(catalogue, **given)))
    for source in of.clickhouse:
        name = f"clickhouse {source.name}"
        found.append((name, find(folder, "clickhouse")(catalogue, cursor=cursors.get(name), **_given(source))))
    return found


def prometheus_named(settings: Settings) -> list[tuple[str, PrometheusSource]]:
    """The Prometheus sources, each with a name of its own that stays as long as their order does."""
    found: dict[str, PrometheusSource] = {}
    for source in settings.ingest.prometheus:
        name = f"prometheus {address_of(source.url)}"
        same = sum(known.partition(" #")[0] == name for known in found)
        found[f"{name} #{same + 1}" if same else name] = source
    return list(found.items())


def _rules(settings: Settings, queries: Queries, writer: RuleWriter, bus: EventBus) -> Rules:
    of = settings.rules
    return Rules(
        queries.engine,
        writer.write,
        lambda alert: _told(bus, alert),
        now_ms,
        patterns=of.files,
        interval_s=of.interval_s,
        query_offset_s=of.query_offset_s,
        timeout_s=settings.query.timeout_s,
        external_labels=of.external_labels,
        external_url=of.external_url,
    )


def _told(bus: EventBus, alert: Alert) -> None:
    bus.publish("alert_triggered", alert.payload)


def allowance_of(settings: Settings) -> Allowance:
    """What a query may take by the settings."""
    of = settings.query
    return Allowance(of.timeout_s, of.max_steps, of.max_series, of.max_samples, of.lookback_s, of.concurrency)


def _background(settings: Settings, catalogue: Catalogue, detection: Detection) -> list[Reporter]:
    if not settings.writeback.url:
        return []
    from airis_mon.act.writeback import RemoteWriter

    writer = RemoteWriter(catalogue, **_given(settings.writeback))
    return [Reporter(detection, writer, now_ms, interval_s=settings.writeback.interval_s)]


def _given(section: Section, *without: str) -> dict[str, Any]:
    """A section's values as keyword arguments; what is empty is left to the constructor."""
    return {k: v for k, v in asdict(section).items() if k not in without and v not in ("", [], {})}
