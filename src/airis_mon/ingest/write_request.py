"""Remote write messages as protobuf objects: the slow, complete reader beside the wire walkers.

Strings are bytes here: one label that is not UTF-8 refuses its own series, not the request. Exemplars and histograms
are bytes too, as nobody looks inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from airis_mon.ingest.messages import DecodeError, classes
from airis_mon.series.catalogue import MetricType

Pairs = list[tuple[bytes, bytes]]
Types = list[tuple[str, MetricType]]

TYPES = (
    MetricType.UNKNOWN,
    MetricType.COUNTER,
    MetricType.GAUGE,
    MetricType.HISTOGRAM,
    MetricType.GAUGE_HISTOGRAM,
    MetricType.SUMMARY,
    MetricType.INFO,
    MetricType.STATESET,
)
"""By the number that both versions of the protocol use."""

_SCHEMA = {
    "Label": {"name": (1, "bytes"), "value": (2, "bytes")},
    "Sample": {"value": (1, "double"), "timestamp": (2, "int64")},
    "TimeSeries": {
        "labels": (1, "*Label"),
        "samples": (2, "*Sample"),
        "exemplars": (3, "*bytes"),
        "histograms": (4, "*bytes"),
    },
    "MetricMetadata": {"type": (1, "int32"), "family": (2, "bytes")},
    "WriteRequest": {"timeseries": (1, "*TimeSeries"), "metadata": (3, "*MetricMetadata")},
    "Families": {"metadata": (3, "*MetricMetadata")},
    "Metadata2": {"type": (1, "int32")},
    "TimeSeries2": {
        "refs": (1, "*uint32"),
        "samples": (2, "*Sample"),
        "histograms": (3, "*bytes"),
        "exemplars": (4, "*bytes"),
        "metadata": (5, "Metadata2"),
    },
    "Request2": {"symbols": (4, "*bytes"), "timeseries": (5, "*TimeSeries2")},
}


class Item(NamedTuple):
    """One TimeSeries: its labels as sent, or why they cannot be resolved; samples as (t, value)."""

    pairs: Pairs
    fault: str
    samples: list[tuple[int, float]]
    exemplars: int
    histograms: int
    type: MetricType


@cache
def _classes() -> dict[str, Any]:
    return classes("airis_write", _SCHEMA)


def parse_labels(block: bytes) -> Pairs:
    """The labels of a raw block of label fields. Raises DecodeError."""
    return [(label.name, label.value) for label in _classes()["TimeSeries"].FromString(block).labels]


def parse_families(body: bytes) -> Types:
    """What a version 1 request says of metric families, nothing else read. Raises DecodeError."""
    return _families(_classes()["Families"].FromString(body))


def parse1(body: bytes) -> tuple[Iterator[Item], Types]:
    """A version 1 request: its series and what it says of metric families. Raises DecodeError."""
    request = _classes()["WriteRequest"].FromString(body)
    return (_item1(series) for series in request.timeseries), _families(request)


def parse2(body: bytes) -> Iterator[Item]:
    """A version 2 request's series. Raises DecodeError."""
    request = _classes()["Request2"].FromString(body)
    symbols = list(request.symbols)
    return (_item2(series, symbols) for series in request.timeseries)


def _families(request: Any) -> Types:
    return [(m.family.decode(errors="replace"), metric_type(m.type)) for m in request.metadata]


def metric_type(number: int) -> MetricType:
    """The type of a number on the wire, UNKNOWN for one that is new to us."""
    return TYPES[number] if 0 <= number < len(TYPES) else MetricType.UNKNOWN


def _item1(series: Any) -> Item:
    return Item(
        [(label.name, label.value) for label in series.labels],
        "",
        [(s.timestamp, s.value) for s in series.samples],
        len(series.exemplars),
        len(series.histograms),
        MetricType.UNKNOWN,
    )


def _item2(series: Any, symbols: list[bytes]) -> Item:
    refs = list(series.refs)
    pairs: Pairs = []
    fault = ""
    if len(refs) % 2:
        fault = f"{len(refs)} label references are no name-value pairs"
    elif refs and max(refs) >= len(symbols):
        fault = f"label reference {max(refs)} is beyond the {len(symbols)} symbols"
    else:
        words = [symbols[r] for r in refs]
        pairs = list(zip(words[::2], words[1::2], strict=True))
    samples = [(s.timestamp, s.value) for s in series.samples]
    kind = metric_type(series.metadata.type)
    return Item(pairs, fault, samples, len(series.exemplars), len(series.histograms), kind)


__all__ = ["DecodeError", "Item", "Pairs", "Types", "metric_type", "parse1", "parse2", "parse_families", "parse_labels"]
