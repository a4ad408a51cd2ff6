"""What a series is, judged by its name, its labels and what its source says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from airis_mon.detect.tracks import Role
from airis_mon.series.catalogue import MetricType
from airis_mon.series.labels import METRIC, Labels, without

FamilyKey = tuple[str, Labels]
"""A histogram's or summary's base name and the labels that its members share."""

TIMESTAMPS = ("_timestamp", "_timestamp_seconds", "_timestamp_ms", "_created", "_start_time_seconds")
CLOCKS = ("_boot_time_seconds", "node_time_seconds")
BOUND = "le"


OUR_PREFIXES = ("aiops_", "airis_")
"""Our own metrics and scores: judged, the scores of scores would be scraped and judged again, without end."""
ALERTS = ("ALERTS", "ALERTS_FOR_STATE")
"""What alerting rules store: judgements already."""


class Why(IntEnum):
    """Why a series is skipped; NOT = it is not, by its name."""

    NOT = 0
    DROPPED = 1
    UNSELECTED = 2
    INFO = 3
    TIMESTAMP = 4
    BUCKET = 5
    OURS = 6


class Part(IntEnum):
    """What a member is in its family."""

    NONE = 0
    BUCKET = 1
    SUM = 2
    COUNT = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a series is; `part` is a MEMBER's."""

    role: Role
    why: Why = Why.NOT
    part: Part = Part.NONE


_PARTS = {"_bucket": Part.BUCKET, "_sum": Part.SUM, "_count": Part.COUNT}
# A family's declared type says something of a sample only when the sample's name has a suffix of that type.
_SUFFIXES = {
    MetricType.COUNTER: ("_total",),
    MetricType.HISTOGRAM: ("_bucket", "_sum", "_count"),
    MetricType.SUMMARY: ("_sum", "_count"),
    MetricType.INFO: ("_info",),
    MetricType.GAUGE_HISTOGRAM: ("_bucket", "_gsum", "_gcount"),
}


def declared_type(name: str, types: Mapping[str, MetricType]) -> MetricType:
    """What the source says of a sample's name, or of the family that the name's suffix belongs to."""
    if name in types:
        return types[name]
    base, mark, last = name.rpartition("_")
    declared = types.get(base, MetricType.UNKNOWN)
    return declared if mark + last in _SUFFIXES.get(declared, ()) else MetricType.UNKNOWN


def part_of(name: str) -> Part:
    """What a name's suffix would make of it in a histogram or summary."""
    _, mark, last = name.rpartition("_")
    return _PARTS.get(mark + last, Part.NONE)


def family_key(labels: Labels) -> FamilyKey:
    """The family that a member's labels name."""
    name = dict(labels)[METRIC]
    return name.rpartition("_")[0], without(labels, METRIC, BOUND)


def bound_of(labels: Labels) -> float:
    """A bucket's upper bound, NaN when it is no number."""
    try:
        return float(dict(labels).get(BOUND, "nan"))
    except ValueError:
        return float("nan")


def classify(labels: Labels, declared: MetricType, *, forced: bool = False) -> Verdict:
    """What a series is; `forced` = somebody selected it, so that its name alone doesn't skip it."""
    name = dict(labels)[METRIC]
    part = _member_part(name, labels, declared)
    if part is not Part.NONE and declared in {MetricType.HISTOGRAM, MetricType.SUMMARY}:
        return Verdict(Role.MEMBER, part=part)
    if part is Part.BUCKET and declared is MetricType.UNKNOWN:
        return Verdict(Role.MEMBER, part=part)
    if not forced and (why := _why_skipped(name, labels, declared)) is not Why.NOT:
        return Verdict(Role.SKIPPED, why)
    if declared is MetricType.COUNTER or (declared is MetricType.UNKNOWN and name.endswith("_total")):
        return Verdict(Role.COUNTER)
    if declared is MetricType.UNKNOWN and "quantile" not in dict(labels):
        return Verdict(Role.TRIAL)
    return Verdict(Role.GAUGE)


def _member_part(name: str, labels: Labels, declared: MetricType) -> Part:
    part = part_of(name)
    if part is Part.BUCKET and (bound_of(labels) != bound_of(labels) or declared is MetricType.SUMMARY):
        return Part.NONE
    return part


def _why_skipped(name: str, labels: Labels, declared: MetricType) -> Why:
    if name.startswith(OUR_PREFIXES) or name in ALERTS:
        return Why.OURS
    if declared is MetricType.INFO or name.endswith("_info"):
        return Why.INFO
    if name.endswith(TIMESTAMPS) or name.endswith(CLOCKS):
        return Why.TIMESTAMP
    if BOUND in dict(labels):
        return Why.BUCKET
    return Why.NOT
