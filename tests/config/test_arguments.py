"""A setting of a source or sink is an argument of the class it is for: its name and its default."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from airis_mon.act.writeback import RemoteWriter
from airis_mon.config.sections import (
    ClickhouseSource,
    Host,
    Limits,
    PrometheusSource,
    Scrape,
    Section,
    Store,
    Writeback,
)
from airis_mon.ingest.collectors.clickhouse import ClickHouse as ClickHouseCollector
from airis_mon.ingest.collectors.host import Host as HostCollector
from airis_mon.ingest.collectors.prometheus import Prometheus
from airis_mon.ingest.collectors.prometheus_query import PrometheusQuery
from airis_mon.ingest.histories.prometheus import Prometheus as PrometheusHistory
from airis_mon.series.catalogue import Catalogue
from airis_mon.store.backends.clickhouse import ClickHouse as ClickHouseStore

ELSEWHERE = {
    Host: {"enabled"},
    Store: {"commit_interval_ms", "commit_rows", "queue_rows"},
    Limits: {"max_future_s"},
    PrometheusSource: {"backfill_days"},
}
ONLY_LIVE = {PrometheusHistory: {"interval_s"}}
"""What a source's past has no use for."""


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        (Scrape, Prometheus),
        (Host, HostCollector),
        (ClickhouseSource, ClickHouseCollector),
        (PrometheusSource, PrometheusQuery),
        (PrometheusSource, PrometheusHistory),
        (Writeback, RemoteWriter),
        (Store, ClickHouseStore),
        (Limits, Catalogue),
    ],
)
def test_settings_are_arguments_of_what_they_configure(section: type[Section], kind: type[Any]):
    arguments = inspect.signature(kind.__init__).parameters
    names = {f.name for f in msgspec.structs.fields(section)} - ELSEWHERE.get(section, set())
    names -= ONLY_LIVE.get(kind, set())
    assert names - arguments.keys() == set()
    differ = {
        f.name: (f.default, arguments[f.name].default)
        for f in msgspec.structs.fields(section)
        if f.name in names
        and f.default is not msgspec.NODEFAULT
        and f.default  # an empty text or list stands for "not given"
        and arguments[f.name].default is not inspect.Parameter.empty
        and f.default != arguments[f.name].default
    }
    assert differ == {}
