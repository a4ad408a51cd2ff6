"""What stands in the answers of Prometheus' query API, field by field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from airis_mon.api.schemas import Out

Pairs = dict[str, str]
Warnings = Annotated[list[str], Meta(description="What the answer lacks, such as items beyond the limit")]
ErrorType = Literal[
    "bad_data",
    "execution",
    "timeout",
    "canceled",
    "unavailable",
    "not_found",
    "internal",
    "unauthorized",
    "forbidden",
]
Seconds = Annotated[float, Meta(ge=0)]


class PromError(Out, kw_only=True):
    """Every error of these paths has this shape."""

    status: Literal["error"] = "error"
    error_type: ErrorType
    error: Annotated[str, Meta(description="What happened, to what, and what to do")]


class _Envelope(Out, kw_only=True):
    """What every answer has."""

    status: Literal["success"] = "success"


class PromResult(Out):
    """The value of an expression; samples are [seconds, "value"]."""

    result_type: Literal["vector", "matrix", "scalar", "string"]
    result: Annotated[
        list[Any], Meta(description="vector: {metric, value}, matrix: {metric, values}; otherwise one sample")
    ]


class PromAnswer(_Envelope, kw_only=True):
    """What an expression gave."""

    data: PromResult
    warnings: Warnings | UnsetType = UNSET


class PromNames(_Envelope, kw_only=True):
    """Names or values, sorted."""

    data: list[str]
    warnings: Warnings | UnsetType = UNSET


class PromSeries(_Envelope, kw_only=True):
    """Label sets, sorted."""

    data: list[Pairs]
    warnings: Warnings | UnsetType = UNSET


class PromMetric(Out):
    """What a source says of a metric."""

    type: Annotated[str, Meta(examples=["counter", "gauge", "histogram", "gaugehistogram", "summary", "info"])]
    help: str
    unit: str


class PromMetadata(_Envelope, kw_only=True):
    """What sources say of metrics, by name."""

    data: dict[str, list[PromMetric]]


class PromText(_Envelope, kw_only=True):
    """A text."""

    data: str


class PromExemplars(_Envelope, kw_only=True):
    """Exemplars; none are stored."""

    data: list[Any]


class PromBuild(Out):
    """Which Prometheus this is to be taken for."""

    version: str
    revision: str
    branch: str
    build_user: str
    build_date: str
    go_version: str


class PromBuildInfo(_Envelope, kw_only=True):
    """Which Prometheus this is to be taken for."""

    data: PromBuild


class PromAlert(Out):
    """One alert that is pending or firing."""

    labels: Pairs
    annotations: Pairs
    state: Literal["pending", "firing"]
    active_at: str
    value: str


class PromRule(Out):
    """One rule and how its last evaluation went; the fields in the middle are those of alerting rules."""

    name: str
    query: str
    labels: Pairs
    health: Literal["ok", "err", "unknown"]
    evaluation_time: Seconds
    last_evaluation: str
    type: Literal["alerting", "recording"]
    last_error: str | UnsetType = UNSET
    state: Literal["inactive", "pending", "firing"] | UnsetType = UNSET
    duration: Seconds | UnsetType = UNSET
    keep_firing_for: Seconds | UnsetType = UNSET
    annotations: Pairs | UnsetType = UNSET
    alerts: list[PromAlert] | UnsetType = UNSET


class PromGroup(Out):
    """One group of rules."""

    name: str
    file: str
    rules: list[PromRule]
    interval: Seconds
    limit: int
    evaluation_time: Seconds
    last_evaluation: str


class PromGroups(Out):
    """The groups of rules."""

    groups: list[PromGroup]


class PromRules(_Envelope, kw_only=True):
    """The groups of rules, with their alerts."""

    data: PromGroups


class PromAlertList(Out):
    """The alerts that are pending or firing."""

    alerts: list[PromAlert]


class PromAlerts(_Envelope, kw_only=True):
    """The alerts that are pending or firing."""

    data: PromAlertList
