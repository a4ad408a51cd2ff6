"""What runs out: what is used and how much there is, in PromQL, for well-known exporters and for the user's own."""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal

from airis_mon.errors import ConfigError, InputError
from airis_mon.query.parse import parse
from airis_mon.query.plan import Planner, leaves
from airis_mon.series.labels import METRIC, Labels, series_name
from airis_mon.series.steps import Steps

Unit = Literal["count", "bytes", "ratio", "seconds"]

_LOOKBACK_MS = 300_000
_ANY = frozenset({""})
"""Metrics of an expression that names them by a pattern: it is always asked."""
_MATCHING = re.compile(r"\b(?:label_replace|label_join|group_left|group_right|on|ignoring)\b")
"""Where labels are made or joined, those of the answer say nothing of the selectors."""
_STRING = r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'|`[^`]*`"
_BRACES = rf"\{{(?:[^\"'`{{}}]|{_STRING})*\}}"
_NO_METRIC = rf"{_STRING}|{_BRACES}|#[^\n]*|(?i:\b(?:by|without)\s*\([^()]*\))"
"""Where the name of a metric means something else: a value, a label, a word."""


NO_LIMIT = "1"
"""Of what is a share already, or a deadline."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that can run out.

    used, limit: PromQL; what both give has the same labels, or the limit fewer of them. is_deadline: `used` is a Unix
    time in s at which it ends, as of certificates, and `limit` says nothing.
    """

    kind: str
    used: str
    limit: str = NO_LIMIT
    unit: Unit = "count"
    is_deadline: bool = False

    def missing(self, known: Container[str]) -> str:
        """The metrics of a side of which none is known, "" when both sides may give something."""
        for text in (self.used, self.limit):
            names = metrics_of(text)
            if names and names != _ANY and not any(name in known for name in names):
                return ", ".join(sorted(names))
        return ""


def own_limit(limit: Limit, at: str) -> Limit:
    """A limit of the settings as it is. Raises ConfigError naming the setting `at` for what is no PromQL or no use."""
    if limit.is_deadline and limit.limit != NO_LIMIT:
        raise ConfigError(f"{at}.limit = {limit.limit!r} says nothing beside {at}.deadline = true; leave it out")
    for field, text in (("used", limit.used), ("limit", limit.limit)):
        try:
            metrics_of(text)
        except InputError as error:
            raise ConfigError(f"{at}.{field} = {text!r} is no PromQL: {error}") from None
    return limit


@functools.cache
def metrics_of(text: str) -> frozenset[str]:
    """The metrics that an expression names; `{""}` when it means any by a pattern. Raises InputError."""
    planner = Planner(Steps.at(0), 0, _LOOKBACK_MS, _LOOKBACK_MS, frozenset())
    named = [
        {m.value for m in leaf.matchers if m.name == METRIC and m.op == "="}
        for leaf in leaves(planner.plan(parse(text)))
    ]
    return frozenset().union(*named) if all(named) else _ANY


def narrowed(text: str, labels: Labels) -> str:
    """The expression for the series with these labels alone, as evidence that can be asked again.

    As it is where the labels of the answer need not be those of its selectors.
    """
    names = metrics_of(text)
    if not labels or not names or names == _ANY or _MATCHING.search(text):
        return text
    conditions = series_name(labels)[1:-1]
    metrics = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))

    def conditioned(found: re.Match[str]) -> str:
        if not found[1]:
            return found[0]
        own = (found[2] or "").strip()[1:-1]
        return f"{found[1]}{{{conditions}{',' if own.strip() else ''}{own}}}"

    return re.sub(rf"{_NO_METRIC}|(?<![\w:])({metrics})(?![\w:]|\s*\()(\s*{_BRACES})?", conditioned, text)


def _less(kind: str, total: str, free: str, unit: Unit = "bytes", where: str = "") -> Limit:
    """Of what is told as total and free: all that is not free counts as used."""
    total, free = f"{total}{where}", f"{free}{where}"
    return Limit(kind, f"{total} - {free}", f"{total} > 0", unit)


def _of(kind: str, used: str, limit: str, unit: Unit = "count", where: str = "") -> Limit:
    return Limit(kind, f"{used}{where}", f"{limit}{where} > 0", unit)


def _ends(metric: str) -> Limit:
    return Limit("certificate", f"{metric} > 0", unit="seconds", is_deadline=True)


def _left(metric: str, unit_s: int) -> Limit:
    """Of what counts down; the sample's own time makes the deadline stand still."""
    times = f" * {unit_s}" if unit_s > 1 else ""
    return Limit("certificate", f"timestamp({metric}) + {metric}{times}", unit="seconds", is_deadline=True)


_REAL = '{fstype!~"tmpfs|ramfs|devtmpfs|overlay|aufs|squashfs|erofs|iso9660|udf|nsfs|autofs|fuse[.]lxcfs"}'
_DRIVES = '{volume!~"HarddiskVolume.+|_Total"}'
_CONTAINERS = '{container!="POD"}'
_BACKENDS = "datname, state, usename, application_name, backend_type, wait_event, wait_event_type"
_KINDS_OF_RAM = 'state=~"used|free|cached|buffered|inactive"'  # slabs are parts of these

KNOWN: tuple[Limit, ...] = (
    # this host's own collector
    _less("disk", "host_filesystem_size_bytes", "host_filesystem_avail_bytes"),
    Limit("inodes", "host_filesystem_inodes_used_ratio", "1", "ratio"),
    _less("memory", "host_memory_total_bytes", "host_memory_available_bytes"),
    _of("descriptors", "host_filefd_allocated", "host_filefd_maximum"),
    # node_exporter
    _less("disk", "node_filesystem_size_bytes", "node_filesystem_avail_bytes", where=_REAL),
    _less("inodes", "node_filesystem_files", "node_filesystem_files_free", "count", _REAL),
    _less("memory", "node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes"),
    _of("descriptors", "node_filefd_allocated", "node_filefd_maximum"),
    _of("connections", "node_nf_conntrack_entries", "node_nf_conntrack_entries_limit"),
    _of("processes", "node_processes_pids", "node_processes_max_processes"),
    # windows_exporter, the second pair of memory before version 0.30
    _less("disk", "windows_logical_disk_size_bytes", "windows_logical_disk_free_bytes", where=_DRIVES),
    _less("memory", "windows_memory_physical_total_bytes", "windows_memory_available_bytes"),
    _less("memory", "windows_cs_physical_memory_bytes", "windows_os_physical_memory_free_bytes"),
    # OpenTelemetry's host metrics
    Limit(
        "disk",
        'sum without (state) (system_filesystem_usage_bytes{state!="free",type!~"tmpfs|overlay|squashfs"})',
        'sum without (state) (system_filesystem_usage_bytes{type!~"tmpfs|overlay|squashfs"}) > 0',
        "bytes",
    ),
    Limit(
        "memory",
        'sum without (state) (system_memory_usage_bytes{state="used"})',
        f"sum without (state) (system_memory_usage_bytes{{{_KINDS_OF_RAM}}}) > 0",
        "bytes",
    ),
    # any process with a Prometheus client, containers, Java after its garbage collection
    _of("descriptors", "process_open_fds", "process_max_fds"),
    _of("memory", "container_memory_working_set_bytes", "container_spec_memory_limit_bytes", "bytes", _CONTAINERS),
    _of("heap", "jvm_gc_live_data_size_bytes", "jvm_gc_max_data_size_bytes", "bytes"),
    # Kubernetes
    _less("volume", "kubelet_volume_stats_capacity_bytes", "kubelet_volume_stats_available_bytes"),
    _of("inodes", "kubelet_volume_stats_inodes_used", "kubelet_volume_stats_inodes"),
    Limit(
        "quota",
        'sum without (type) (kube_resourcequota{type="used"})',
        'sum without (type) (kube_resourcequota{type="hard"}) > 0',
    ),
    # databases and proxies
    Limit(
        "connections",
        f"sum without ({_BACKENDS}) (pg_stat_activity_count)",
        "pg_settings_max_connections > 0",
    ),
    _of("connections", "mysql_global_status_threads_connected", "mysql_global_variables_max_connections"),
    _of("connections", "redis_connected_clients", "redis_config_maxclients"),
    _of("connections", "haproxy_frontend_current_sessions", "haproxy_frontend_limit_sessions"),
    # the simulator
    _of("volume", "volume_used_bytes", "volume_size_bytes", "bytes"),
    _left("certificate_days_left", 86_400),
    # certificates: blackbox, x509-certificate-exporter, cert-manager, ssl_exporter, Traefik, ingress-nginx, kubelet
    _ends("probe_ssl_earliest_cert_expiry"),
    _ends("x509_cert_not_after"),
    _ends("certmanager_certificate_expiration_timestamp_seconds"),
    _ends("ssl_cert_not_after"),
    _ends("traefik_tls_certs_not_after"),
    _ends("nginx_ingress_controller_ssl_expire_time_seconds"),
    _left("kubelet_certificate_manager_client_ttl_seconds", 1),
    _left("kubelet_certificate_manager_server_ttl_seconds", 1),
)
"""What well-known exporters tell of limits; where nothing of it exists it costs a look into the names of metrics."""


def all_limits(own: Iterable[Limit] = (), *, is_known: bool = True) -> tuple[Limit, ...]:
    """The well-known limits, if wanted, and one's own. Raises ConfigError for what is no PromQL."""
    return (*(KNOWN if is_known else ()), *(own_limit(x, f"predict.limits[{i}]") for i, x in enumerate(own)))
