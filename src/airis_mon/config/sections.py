"""The tree of settings: one frozen Struct per section of the TOML file, one described field per setting.

The description of a field is its paragraph in docs/settings.md; `secret=True` keeps its value out of anything shown.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

MIB = 1 << 20
MOST_STEPS = 20_000
"""Points of the past that a scheduled forecast learns from: 2,000 signals of so many take 320 MB."""


def doc(text: str, *, secret: bool = False, **limits: Any) -> Meta:
    """What a setting does, and the limits msgspec enforces on it (`ge`, `le`, `min_length` ...)."""
    return Meta(description=text, extra={"secret": secret}, **limits)


def check_url(name: str, url: str, schemes: tuple[str, ...]) -> None:
    """Raises ValueError, without showing the URL (it may hold a password), when its scheme is none of `schemes`."""
    if url and urlsplit(url).scheme not in schemes:
        raise ValueError(f"`{name}` must be a URL that begins with {' or '.join(s + '://' for s in schemes)}")


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: immutable, no unknown keys, no positions."""


class Server(Section, frozen=True):
    """Where the server listens and how much it takes in one request."""

    host: Annotated[
        str, doc("Address to listen on. Anything but a loopback address demands API keys.", min_length=1)
    ] = "127.0.0.1"
    port: Annotated[int, doc("TCP port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8765
    base_path: Annotated[
        str, doc("Path under which our own API stands. Prometheus' paths stay at the root.", pattern="^(/[^/?#]+)+$")
    ] = "/api/v1/aiops"
    max_body_bytes: Annotated[
        int, doc("Largest body of a bulk ingest request (remote write, OTLP), as sent.", ge=1024)
    ] = 64 * MIB
    max_json_bytes: Annotated[int, doc("Largest body of any other request.", ge=1024)] = 10 * MIB
    allowed_hosts: Annotated[
        list[str],
        doc(
            "Further names by which the server may be called while no keys are demanded; localhost always works. "
            "Others are refused, because a web page could point a name of its own at this address."
        ),
    ] = []
    cors_origins: Annotated[
        list[str], doc("Origins of web pages that may call the API, such as https://grafana.example.org; * for any.")
    ] = []


class Security(Section, frozen=True):
    """Who may call the API."""

    api_keys: Annotated[
        Literal["auto", "required", "off"],
        doc(
            "Whether a request needs an API key: auto demands one unless the server listens on a loopback address;"
            " off is for a server behind a proxy that authenticates."
        ),
    ] = "auto"
    trusted_proxies: Annotated[
        list[str],
        doc("Addresses or networks of proxies whose X-Forwarded-For header is believed when requests are counted."),
    ] = []

    def __post_init__(self) -> None:
        if self.trusted_proxies:
            from ipaddress import ip_network

            for address in self.trusted_proxies:
                try:
                    ip_network(address)
                except ValueError:
                    raise ValueError(f"`trusted_proxies` {address!r} is no address and no network") from None


class RateLimit(Section, frozen=True):
    """How often one client may call. Health is never limited; ingest and PromQL have a limit of their own."""

    enabled: Annotated[bool, doc("Whether requests are limited at all.")] = True
    per_address_per_minute: Annotated[int, doc("Requests a minute from one address without a key.", ge=1)] = 100
    per_key_per_hour: Annotated[int, doc("Requests an hour with one API key.", ge=1)] = 1000
    ingest_per_minute: Annotated[
        int,
        doc(
            "Ingest requests a minute from one address or key (each may carry thousands of samples), and as many"
            " requests to Prometheus' query API.",
            ge=1,
        ),
    ] = 60_000


class Store(Section, frozen=True):
    """Where samples live and when they are committed."""

    url: Annotated[
        str,
        doc(
            "ClickHouse server, http(s)://user:password@host:8123/database, or chdb:///folder for an embedded one."
            " Empty: embedded under data_dir.",
            secret=True,
        ),
    ] = ""
    cluster: Annotated[
        str, doc("Cluster of the ClickHouse server on which tables are replicated and distributed. Empty: none.")
    ] = ""
    retention_days: Annotated[int, doc("Days for which raw samples are kept.", ge=1)] = 15
    history_days: Annotated[int, doc("Days for which anomalies and hourly values are kept.", ge=1)] = 400
    memory_bytes: Annotated[int, doc("Memory the embedded store may take.", ge=256 * MIB)] = 1_000_000_000
    durability: Annotated[
        Literal["process", "fsync"],
        doc("What an acknowledged sample survives: process, the end of our process; fsync, also a loss of power."),
    ] = "process"
    commit_interval_ms: Annotated[int, doc("Longest time a sample waits for its commit to begin.", ge=1)] = 100
    commit_rows: Annotated[int, doc("Samples that begin a commit at once.", ge=1)] = 80_000
    queue_rows: Annotated[
        int, doc("Samples that may wait for a commit; beyond it senders are told to try again.", ge=1)
    ] = 2_000_000

    def __post_init__(self) -> None:
        check_url("url", self.url, ("http", "https", "chdb"))


class Records(Section, frozen=True):
    """Where API keys and the log of changes to them live."""

    url: Annotated[
        str, doc("PostgreSQL, postgresql://user:password@host/database. Empty: SQLite under data_dir.", secret=True)
    ] = ""

    def __post_init__(self) -> None:
        check_url("url", self.url, ("postgresql", "sqlite"))


class Redis(Section, frozen=True):
    """Request limits that several servers share; events are told by the server in which they happen."""

    url: Annotated[
        str,
        doc(
            "Redis, redis://:password@host:6379/0 (rediss:// with TLS). Empty: each server counts for itself.",
            secret=True,
        ),
    ] = ""

    def __post_init__(self) -> None:
        check_url("url", self.url, ("redis", "rediss", "unix"))


class Limits(Section, frozen=True):
    """What no sender may exceed."""

    max_series: Annotated[int, doc("Different series taken in; samples of further ones are refused.", ge=1)] = 1_000_000
    max_labels: Annotated[int, doc("Labels of one series, its name included.", ge=1)] = 64
    max_label_bytes: Annotated[int, doc("Bytes of all labels of one series together.", ge=16)] = 4096
    max_future_s: Annotated[float, doc("How far a sample's time may lie ahead of this host's clock.", ge=0)] = 600


class Query(Section, frozen=True):
    """What one PromQL query may take; more is refused with the remedy."""

    timeout_s: Annotated[float, doc("Longest time a query may take; a request may ask for less.", gt=0)] = 120
    max_steps: Annotated[int, doc("Steps of a range query between its start and end.", ge=1)] = 11_000
    max_series: Annotated[int, doc("Series that one selector may mean, and that one list may hold.", ge=1)] = 100_000
    max_samples: Annotated[int, doc("Numbers that one query may hold at once; each takes about nine bytes.", ge=1)] = (
        50_000_000
    )
    lookback_s: Annotated[
        float, doc("How old a series' latest sample may be to be its value, unless a staleness marker ends it.", gt=0)
    ] = 300
    concurrency: Annotated[int, doc("Queries that run at once; others wait for their turn.", ge=1, le=1000)] = 4


class Rules(Section, frozen=True):
    """Recording and alerting rules of Prometheus' rule files; changed files are taken over while the server runs."""

    files: Annotated[list[str], doc("Paths of rule files, with wildcards, such as /etc/prometheus/rules/*.yml.")] = []
    interval_s: Annotated[float, doc("Time between evaluations of groups that name none.", ge=1, le=86_400)] = 60
    query_offset_s: Annotated[
        float,
        doc(
            "So long before the moment of evaluation groups ask that name no offset: for samples that come late.", ge=0
        ),
    ] = 0
    external_labels: Annotated[dict[str, str], doc("Labels that templates know as $externalLabels.")] = {}
    external_url: Annotated[str, doc("Where people find this server: the templates' externalURL.")] = ""

    def __post_init__(self) -> None:
        check_url("external_url", self.external_url, ("http", "https"))


class Time(Section, frozen=True):
    """Which clock people live by."""

    zone: Annotated[
        str, doc("Time zone of hour-of-day profiles and calendars, such as Asia/Seoul. Empty: the host's.")
    ] = ""

    def __post_init__(self) -> None:
        if self.zone:
            from zoneinfo import ZoneInfo

            try:
                ZoneInfo(self.zone)
            except (KeyError, ValueError, OSError):
                raise ValueError(f"`zone` {self.zone!r} is no time zone of this host's database") from None


class Detect(Section, frozen=True):
    """Which series are watched, and how the detector's memory is kept."""

    select: Annotated[
        list[str], doc('Series that are always watched, as selectors such as {job="api"}; overrides what is skipped.')
    ] = []
    drop: Annotated[list[str], doc("Series that are never watched, as selectors; wins over select.")] = []
    max_signals: Annotated[
        int, doc("Signals watched at most (a series gives one or a few, about 1.2 KB of memory each).", ge=1)
    ] = 200_000
    entities: Annotated[
        list[str],
        doc(
            "Labels that name what is judged as a whole, such as a service or a host; a series' first one counts."
            " Empty: service, app, container, instance, host, node, server, job."
        ),
    ] = []
    snapshot_interval_s: Annotated[
        float, doc("Longest time between two snapshots of what the detector learned.", gt=0, le=600)
    ] = 600
    keep_snapshots_s: Annotated[
        float, doc("How long every snapshot is kept; history is drawn from the nearest one.", ge=0)
    ] = 7200
    keep_hourly_s: Annotated[float, doc("How long one snapshot of each hour is kept.", ge=0)] = 86_400


class Analytics(Section, frozen=True):
    """What is computed when somebody asks: analyses, decompositions, comparisons, forecasts of values sent along."""

    anomaly_threshold: Annotated[
        float, doc("Leave-one-out z-score from which a value is unlike the others; a request may name another.", gt=0)
    ] = 2.5
    window_s: Annotated[float, doc("Window of live statistics, unless a request names one.", ge=1, le=86_400)] = 300
    concurrency: Annotated[int, doc("Questions worked on at once; others wait for their turn.", ge=1, le=64)] = 2
    timeout_s: Annotated[float, doc("Longest time one question may take.", gt=0)] = 60
    max_points: Annotated[int, doc("Values that one question may read or carry, all its series together.", ge=10)] = (
        1_000_000
    )
    cache_bytes: Annotated[int, doc("Memory for answers kept to be given again; 0 = none are kept.", ge=0)] = 64 * MIB
    cache_s: Annotated[float, doc("How long an answer is kept.", gt=0)] = 3600


class Forecasts(Section, frozen=True):
    """Forecasts of watched signals, made again and again, stored, and held against what then happened."""

    enabled: Annotated[bool, doc("Whether signals are forecast on a schedule.")] = True
    match: Annotated[
        list[str], doc('Series whose signals are forecast, as selectors such as {job="api"}. Empty: all watched ones.')
    ] = []
    interval_s: Annotated[float, doc("Time between two rounds.", ge=60)] = 3600
    step_s: Annotated[float, doc("Between two points of a forecast.", ge=60, le=86_400)] = 900
    horizon_s: Annotated[float, doc("How far ahead.", ge=60)] = 86_400
    history_s: Annotated[float, doc("How much of the past is learned from, as far as it is kept.", ge=3600)] = (
        15 * 86_400
    )
    max_series: Annotated[int, doc("Signals forecast at most; health says what is left out.", ge=1)] = 2000
    level: Annotated[float, doc("Share of what happens that the intervals are to hold.", gt=0.5, lt=1)] = 0.95
    models: Annotated[
        list[str],
        doc(
            "Kinds of forecasters to choose from, such as lightgbm, mstl, auto_ets, or the sets fast and full."
            " Empty: fast, which is enough for thousands of series."
        ),
    ] = []
    holidays: Annotated[
        list[str],
        doc("Countries whose holidays are known to forecasts, such as KR or US. Empty: the country of time.zone."),
    ] = []

    def __post_init__(self) -> None:
        if self.horizon_s < self.step_s:
            raise ValueError(
                f"`horizon_s` {self.horizon_s:g} is shorter than `step_s` {self.step_s:g}; look further ahead"
            )
        if self.history_s / self.step_s > MOST_STEPS:
            points = f"{self.history_s / self.step_s:,.0f} points of `history_s` / `step_s`"
            raise ValueError(f"{points} are more than {MOST_STEPS:,}; take a longer `step_s` or a shorter `history_s`")


class LimitSource(Section, frozen=True):
    """Something that can run out, in PromQL."""

    name: Annotated[str, doc("What people call it, such as disk or connections.", min_length=1)]
    used: Annotated[
        str, doc("What is used, in PromQL, or with `deadline` the time in s at which it ends.", min_length=1)
    ]
    limit: Annotated[
        str, doc("How much there is, in PromQL or a number, with the labels of `used` or some of them.", min_length=1)
    ] = "1"
    unit: Annotated[Literal["count", "bytes", "ratio", "seconds"], doc("Of both, for what people read.")] = "count"
    deadline: Annotated[
        bool, doc("Whether `used` is a Unix time in s at which it ends, as of certificates: exact, no trend.")
    ] = False


class Predict(Section, frozen=True):
    """Warnings of what runs out: disks, memory, descriptors, connections, quotas, certificates."""

    enabled: Annotated[bool, doc("Whether limits are watched.")] = True
    interval_s: Annotated[float, doc("Time between two looks.", ge=30, le=3600)] = 300
    horizon_s: Annotated[float, doc("How far ahead a limit is warned of.", ge=3600)] = 86_400
    history_s: Annotated[float, doc("How much of the past the first look takes.", ge=3600)] = 7 * 86_400
    certificate_days: Annotated[float, doc("Days before its end from which a certificate is warned of.", gt=0)] = 14
    max_series: Annotated[int, doc("Series watched of each limit at most; health says what is left out.", ge=1)] = (
        10_000
    )
    known: Annotated[bool, doc("Whether the limits of well-known exporters are watched without being listed here.")] = (
        True
    )
    limits: Annotated[list[LimitSource], doc("Further things that run out.")] = []


class Host(Section, frozen=True):
    """This machine as a source."""

    enabled: Annotated[bool, doc("Whether this host's processors, memory, disks and networks are watched.")] = True
    interval_s: Annotated[float, doc("Time between two readings.", ge=0.1)] = 5
    process_interval_s: Annotated[float, doc("Time between two walks over all processes, which cost most.", ge=0.1)] = (
        15
    )
    instance: Annotated[str, doc("Label instance of this host. Empty: its host name.")] = ""
    labels: Annotated[dict[str, str], doc("Labels added to every series of this host.")] = {}


class Scrape(Section, frozen=True):
    """One group of Prometheus targets, as Prometheus' scrape_configs has it."""

    job: Annotated[str, doc("Name of the group; becomes the label job.", min_length=1)]
    targets: Annotated[list[str], doc("Targets as host:port.")] = []
    file_sd: Annotated[list[str], doc("Files (patterns allowed) that list targets in Prometheus' file_sd format.")] = []
    interval_s: Annotated[float, doc("Time between two scrapes of a target.", ge=0.1)] = 15
    timeout_s: Annotated[float, doc("Time after which a scrape has failed.", gt=0)] = 10
    labels: Annotated[dict[str, str], doc("Labels added to every series of the group.")] = {}
    metrics_path: Annotated[str, doc("Path of the exposition.", pattern="^/")] = "/metrics"
    scheme: Annotated[Literal["http", "https"], doc("How targets are reached.")] = "http"
    params: Annotated[dict[str, str], doc("Query parameters of the request.")] = {}
    honor_timestamps: Annotated[
        bool, doc("Whether times that a page gives are kept; such samples get no staleness markers.")
    ] = True
    username: Annotated[str, doc("User of basic authentication.")] = ""
    password: Annotated[str, doc("Password of basic authentication.", secret=True)] = ""
    password_file: Annotated[str, doc("File with that password, read at every scrape, so that it may change.")] = ""
    bearer_token: Annotated[str, doc("Token of the Authorization header.", secret=True)] = ""
    bearer_token_file: Annotated[str, doc("File with that token, read at every scrape, so that it may change.")] = ""
    ca_file: Annotated[str, doc("Certificates that targets are checked with. Empty: the system's.")] = ""
    cert_file: Annotated[str, doc("Our certificate, for targets that ask for one.")] = ""
    key_file: Annotated[str, doc("Key of our certificate.")] = ""
    verify_tls: Annotated[bool, doc("Whether a target's certificate is checked.")] = True
    honor_labels: Annotated[
        bool, doc("Whether a target's own labels win over ours; otherwise they are renamed to exported_<name>.")
    ] = False

    def __post_init__(self) -> None:
        if not self.targets and not self.file_sd:
            raise ValueError("one of `targets` and `file_sd` must name something")
        if self.timeout_s > self.interval_s:
            raise ValueError("`timeout_s` must not be longer than `interval_s`")


class ClickhouseSource(Section, frozen=True):
    """One ClickHouse table or query that is read (never written) and followed by a watermark."""

    name: Annotated[str, doc("Name of the source; becomes the label job.", min_length=1)]
    url: Annotated[str, doc("ClickHouse server, http(s)://user:password@host:8123/database.", secret=True)]
    query: Annotated[
        str,
        doc("Table, or SELECT (which may use {since:DateTime64(3)} and {until:DateTime64(3)}), to read.", min_length=1),
    ]
    metric: Annotated[str, doc("Name of the series. Empty: the query yields a column named metric.")] = ""
    metric_type: Annotated[
        Literal["unknown", "gauge", "counter"], doc("What the values are; a counter is watched as a rate.")
    ] = "unknown"
    watermark: Annotated[
        str, doc("Column with the sample's time; only rows later than the last one read are fetched.")
    ] = "timestamp"
    value: Annotated[str, doc("Column with the sample's value.")] = "value"
    labels: Annotated[list[str], doc("Columns that become labels. Empty: every other column.")] = []
    interval_s: Annotated[float, doc("Time between two reads.", ge=0.1)] = 15
    lag_s: Annotated[float, doc("How late rows may arrive: rows newer than this are left for later.", ge=0)] = 5
    overlap_s: Annotated[float, doc("How much is read again each time, for rows that came late.", ge=0, le=86_400)] = 60
    lookback_s: Annotated[float, doc("How much history the first read takes.", ge=0)] = 3600
    limit_rows: Annotated[int, doc("Rows of one read; the rest follows in the next.", ge=1)] = 100_000
    timeout_s: Annotated[float, doc("Time after which a read has failed.", gt=0)] = 30

    def __post_init__(self) -> None:
        check_url("url", self.url, ("http", "https"))


class PrometheusSource(Section, frozen=True):
    """One Prometheus (or Thanos, Mimir, VictoriaMetrics) whose series are followed and whose past is learned from.

    It is asked through its query API and never changed.
    """

    url: Annotated[str, doc("Where its API is, such as http://prometheus:9090.", secret=True)]
    match: Annotated[list[str], doc('Series to take, as selectors such as {job="api"}. Empty: all of them.')] = []
    interval_s: Annotated[float, doc("Time between two readings of what is new.", ge=1)] = 15
    backfill_days: Annotated[
        float, doc("Days of the past to learn from at the first start; 0 = none. Not more than the store keeps.", ge=0)
    ] = 14
    max_series: Annotated[int, doc("Series taken at once at most; what is left out is said by health.", ge=1)] = 10_000
    concurrency: Annotated[int, doc("Requests under way at once.", ge=1, le=32)] = 2
    requests_per_s: Annotated[float, doc("Requests a second at most.", gt=0)] = 5
    timeout_s: Annotated[float, doc("Time after which a request has failed.", gt=0)] = 30
    labels: Annotated[dict[str, str], doc("Labels added to every series.")] = {}
    headers: Annotated[
        dict[str, str], doc("Headers of every request, such as X-Scope-OrgID of Mimir.", secret=True)
    ] = {}
    username: Annotated[str, doc("User of basic authentication.")] = ""
    password: Annotated[str, doc("Password of basic authentication.", secret=True)] = ""
    password_file: Annotated[str, doc("File with that password.")] = ""
    bearer_token: Annotated[str, doc("Token of the Authorization header.", secret=True)] = ""
    bearer_token_file: Annotated[str, doc("File with that token.")] = ""
    ca_file: Annotated[str, doc("Certificates that it is checked with. Empty: the system's.")] = ""
    verify_tls: Annotated[bool, doc("Whether its certificate is checked.")] = True

    def __post_init__(self) -> None:
        check_url("url", self.url, ("http", "https"))


class Ingest(Section, frozen=True):
    """What is fetched; what others send needs no setting."""

    host: Host = Host()
    scrape: Annotated[list[Scrape], doc("Prometheus targets to scrape.")] = []
    prometheus: Annotated[list[PrometheusSource], doc("Prometheus servers to follow.")] = []
    clickhouse: Annotated[list[ClickhouseSource], doc("ClickHouse tables to follow.")] = []


class Writeback(Section, frozen=True):
    """Scores sent to a Prometheus-compatible system."""

    url: Annotated[
        str, doc("Remote write address that receives the scores. Empty: they are not sent.", secret=True)
    ] = ""
    interval_s: Annotated[float, doc("Time between two sendings.", ge=1)] = 15
    labels: Annotated[dict[str, str], doc("Labels added to every series that is sent.")] = {}
    username: Annotated[str, doc("User of basic authentication.")] = ""
    password: Annotated[str, doc("Password of basic authentication.", secret=True)] = ""
    bearer_token: Annotated[str, doc("Token of the Authorization header.", secret=True)] = ""
    ca_file: Annotated[str, doc("Certificates that the receiver is checked with. Empty: the system's.")] = ""

    def __post_init__(self) -> None:
        check_url("url", self.url, ("http", "https"))


class Client(Section, frozen=True):
    """How commands such as query reach a server that runs."""

    api_key: Annotated[
        str, doc("API key that commands send; a server on another address than loopback demands one.", secret=True)
    ] = ""


class Log(Section, frozen=True):
    """What is logged, to standard output."""

    level: Annotated[Literal["debug", "info", "warning", "error"], doc("Least severe event that is logged.")] = "info"
    format: Annotated[
        Literal["auto", "json", "text"],
        doc("json: one object a line; text: for people; auto: text on a terminal, json otherwise."),
    ] = "auto"


class Settings(Section, frozen=True):
    """The whole tree; every setting but those of list entries has a default."""

    data_dir: Annotated[str, doc("Folder of everything that is kept.", min_length=1)] = "./data"
    server: Server = Server()
    security: Security = Security()
    rate_limit: RateLimit = RateLimit()
    store: Store = Store()
    records: Records = Records()
    redis: Redis = Redis()
    limits: Limits = Limits()
    query: Query = Query()
    rules: Rules = Rules()
    time: Time = Time()
    detect: Detect = Detect()
    ingest: Ingest = Ingest()
    analytics: Analytics = Analytics()
    forecasts: Forecasts = Forecasts()
    predict: Predict = Predict()
    writeback: Writeback = Writeback()
    client: Client = Client()
    log: Log = Log()
