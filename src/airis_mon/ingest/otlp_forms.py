"""OTLP metrics in both forms, protobuf and JSON, with the same fields and attribute access.

Attributes stay raw (bytes of protobuf, text of JSON) and are a cache's key; they are parsed when a series is new.
Unknown fields are ignored, exemplars and descriptions are not read.
"""

from __future__ import annotations

import base64
import struct
from functools import cache
from typing import Any, Protocol

import msgspec

from airis_mon.errors import InputError
from airis_mon.ingest.messages import DecodeError, classes
from airis_mon.series.encode import field

Attributes = list[tuple[str, Any]]
Key = bytes | tuple[bytes, ...]
"""Raw attributes of a point."""
Number = tuple[Key, int, float | None, int]
"""Attributes, time (ns), value and flags of a point that is a single number."""
KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
TEMPORALITIES = {"1": 1, "2": 2, "AGGREGATION_TEMPORALITY_DELTA": 1, "AGGREGATION_TEMPORALITY_CUMULATIVE": 2}
DELTA, CUMULATIVE = 1, 2

_TIMES = {"start_time_unix_nano": (2, "fixed64"), "time_unix_nano": (3, "fixed64")}
SCHEMA = {
    "ExportMetricsServiceRequest": {"resource_metrics": (1, "*ResourceMetrics")},
    "ResourceMetrics": {"resource": (1, "bytes"), "scope_metrics": (2, "*ScopeMetrics")},
    "ScopeMetrics": {"scope": (1, "bytes"), "metrics": (2, "*Metric")},
    "Metric": {
        "name": (1, "bytes"),
        "unit": (3, "bytes"),
        "gauge": (5, "Gauge"),
        "sum": (7, "Sum"),
        "histogram": (9, "Histogram"),
        "exponential_histogram": (10, "ExponentialHistogram"),
        "summary": (11, "Summary"),
    },
    "Gauge": {"data_points": (1, "*bytes")},  # NumberDataPoints, see `Protobuf.number`
    "Sum": {"data_points": (1, "*bytes"), "aggregation_temporality": (2, "int32"), "is_monotonic": (3, "bool")},
    "Histogram": {"data_points": (1, "*HistogramDataPoint"), "aggregation_temporality": (2, "int32")},
    "ExponentialHistogram": {
        "data_points": (1, "*ExponentialHistogramDataPoint"),
        "aggregation_temporality": (2, "int32"),
    },
    "Summary": {"data_points": (1, "*SummaryDataPoint")},
    "NumberDataPoint": {
        **_TIMES,
        "as_double": (4, "double"),
        "as_int": (6, "sfixed64"),
        "attributes": (7, "*bytes"),
        "flags": (8, "uint32"),
    },
    "HistogramDataPoint": {
        **_TIMES,
        "count": (4, "fixed64"),
        "sum": (5, "double"),
        "bucket_counts": (6, "*fixed64"),
        "explicit_bounds": (7, "*double"),
        "attributes": (9, "*bytes"),
        "flags": (10, "uint32"),
    },
    "ExponentialHistogramDataPoint": {
        **_TIMES,
        "attributes": (1, "*bytes"),
        "count": (4, "fixed64"),
        "sum": (5, "double"),
        "scale": (6, "sint32"),
        "zero_count": (7, "fixed64"),
        "positive": (8, "Buckets"),
        "negative": (9, "Buckets"),
        "flags": (10, "uint32"),
        "zero_threshold": (14, "double"),
    },
    "Buckets": {"offset": (1, "sint32"), "bucket_counts": (2, "*uint64")},
    "SummaryDataPoint": {
        **_TIMES,
        "count": (4, "fixed64"),
        "sum": (5, "double"),
        "quantile_values": (6, "*ValueAtQuantile"),
        "attributes": (7, "*bytes"),
        "flags": (8, "uint32"),
    },
    "ValueAtQuantile": {"quantile": (1, "double"), "value": (2, "double")},
    "Resource": {"attributes": (1, "*KeyValue")},
    "InstrumentationScope": {"name": (1, "bytes"), "version": (2, "bytes")},
    "KeyValue": {"key": (1, "bytes"), "value": (2, "AnyValue")},
    "AnyValue": {
        "string_value": (1, "bytes"),
        "bool_value": (2, "bool"),
        "int_value": (3, "int64"),
        "double_value": (4, "double"),
        "array_value": (5, "ArrayValue"),
        "kvlist_value": (6, "KeyValueList"),
        "bytes_value": (7, "bytes"),
    },
    "ArrayValue": {"values": (1, "*AnyValue")},
    "KeyValueList": {"values": (1, "*KeyValue")},
}
"""What we read of opentelemetry-proto; a test compares the numbers."""


class Form(Protocol):
    """How a request and the raw parts in it are read. Every method raises InputError for what it cannot read."""

    def request(self, body: bytes) -> Any:
        """The whole request, its attributes raw."""

    def glance(self, point: Any) -> Number:
        """A number as it most likely is: right when its key is one that `number` gave, else ask `number`."""

    def number(self, point: Any) -> Number:
        """A point of a gauge or sum."""

    def key(self, raw: Any) -> Key:
        """The raw attributes of another point as a cache's key."""

    def attributes(self, key: Any) -> Attributes:
        """What a key of attributes says."""

    def resource(self, raw: Any) -> Attributes:
        """The attributes of a raw resource."""

    def scope(self, raw: Any) -> tuple[str, str]:
        """Name and version of a raw scope."""


_START_TAG, _TIME_TAG, _DOUBLE_TAG, _INT_TAG = 0x11, 0x19, 0x21, 0x31  # of a NumberDataPoint
_STARTED, _DATED = struct.Struct("<BQBQB"), struct.Struct("<BQB")
_DOUBLE, _INT = struct.Struct("<d"), struct.Struct("<q")


class Protobuf:
    """The binary form."""

    def request(self, body: bytes) -> Any:
        """The whole request, its attributes raw."""
        return _parsed("ExportMetricsServiceRequest", body)

    def glance(self, point: Any) -> Number:
        """A number as it most likely is: right when its key is one that `number` gave, else ask `number`.

        Senders write fields in the order of their numbers: times and value first, of fixed length, then attributes.
        """
        if len(point) >= _STARTED.size and point[0] == _START_TAG:
            _, _, tag, t, kind = _STARTED.unpack_from(point)
            at = _STARTED.size
        elif len(point) >= _DATED.size:
            tag, t, kind = _DATED.unpack_from(point)
            at = _DATED.size
        else:
            return self.number(point)
        if tag != _TIME_TAG or len(point) < at + 8 or kind not in (_DOUBLE_TAG, _INT_TAG):
            return self.number(point)
        (value,) = (_DOUBLE if kind == _DOUBLE_TAG else _INT).unpack_from(point, at)
        return point[at + 8 :], t, value, 0

    def number(self, point: Any) -> Number:
        """A point of a gauge or sum."""
        p = _parsed("NumberDataPoint", point)
        value = p.as_double if p.HasField("as_double") else p.as_int if p.HasField("as_int") else None
        return b"".join(field(7, raw) for raw in p.attributes), p.time_unix_nano, value, p.flags

    def key(self, raw: Any) -> Key:
        """The raw attributes of another point as a cache's key."""
        return tuple(raw)

    def attributes(self, key: Any) -> Attributes:
        """What a key of attributes says."""
        raws = _parsed("NumberDataPoint", key).attributes if isinstance(key, bytes) else key
        return [_pair(_parsed("KeyValue", raw)) for raw in raws]

    def resource(self, raw: Any) -> Attributes:
        """The attributes of a raw resource."""
        return [_pair(pair) for pair in _parsed("Resource", raw).attributes]

    def scope(self, raw: Any) -> tuple[str, str]:
        """Name and version of a raw scope."""
        scope = _parsed("InstrumentationScope", raw)
        try:
            return scope.name.decode(), scope.version.decode()
        except UnicodeDecodeError:
            raise InputError("the scope's name is not UTF-8") from None


@cache
def _classes() -> dict[str, Any]:
    return classes("airis_otlp", SCHEMA)


def _parsed(message: str, raw: bytes) -> Any:
    try:
        return _classes()[message].FromString(raw)
    except DecodeError:
        raise InputError(f"the body is no OTLP {message}: the protobuf is broken") from None


def _pair(pair: Any) -> tuple[str, Any]:
    try:
        return pair.key.decode(), _value(pair.value)
    except UnicodeDecodeError:
        raise InputError("an attribute is not UTF-8") from None


def _value(any_value: Any) -> Any:
    if any_value.HasField("string_value"):
        return any_value.string_value.decode()
    for name in ("bool_value", "int_value", "double_value"):
        if any_value.HasField(name):
            return getattr(any_value, name)
    if any_value.HasField("array_value"):
        return [_value(v) for v in any_value.array_value.values]
    if any_value.HasField("kvlist_value"):
        return {v.key.decode(): _value(v.value) for v in any_value.kvlist_value.values}
    return base64.b64encode(any_value.bytes_value).decode() if any_value.HasField("bytes_value") else ""


class _Part(msgspec.Struct, rename="camel", gc=False):
    def HasField(self, name: str) -> bool:  # noqa: N802  protobuf's name
        return getattr(self, name) is not None


_NONE = msgspec.Raw(b"")


class _Point(_Part):
    attributes: msgspec.Raw = _NONE
    start_time_unix_nano: int = 0
    time_unix_nano: int = 0
    flags: int = 0


class _Number(_Point):
    as_double: float | None = None
    as_int: int | None = None


class _HistogramPoint(_Point):
    count: int = 0
    sum: float | None = None
    bucket_counts: list[int] = []
    explicit_bounds: list[float] = []


class _Buckets(_Part):
    offset: int = 0
    bucket_counts: list[int] = []


class _ExponentialPoint(_Point):
    count: int = 0
    sum: float | None = None
    scale: int = 0
    zero_count: int = 0
    positive: _Buckets = msgspec.field(default_factory=_Buckets)
    negative: _Buckets = msgspec.field(default_factory=_Buckets)
    zero_threshold: float = 0.0


class _Quantile(_Part):
    quantile: float = 0.0
    value: float = 0.0


class _SummaryPoint(_Point):
    count: int = 0
    sum: float = 0.0
    quantile_values: list[_Quantile] = []


class _Gauge(_Part):
    data_points: list[_Number] = []


class _Sum(_Part):
    data_points: list[_Number] = []
    aggregation_temporality: int | str = 0
    is_monotonic: bool = False


class _Histogram(_Part):
    data_points: list[_HistogramPoint] = []
    aggregation_temporality: int | str = 0


class _Exponential(_Part):
    data_points: list[_ExponentialPoint] = []
    aggregation_temporality: int | str = 0


class _Summary(_Part):
    data_points: list[_SummaryPoint] = []


class _Metric(_Part):
    name: str = ""
    unit: str = ""
    gauge: _Gauge | None = None
    sum: _Sum | None = None
    histogram: _Histogram | None = None
    exponential_histogram: _Exponential | None = None
    summary: _Summary | None = None


class _ScopeMetrics(_Part):
    scope: msgspec.Raw = _NONE
    metrics: list[_Metric] = []


class _ResourceMetrics(_Part):
    resource: msgspec.Raw = _NONE
    scope_metrics: list[_ScopeMetrics] = []


class _Request(_Part):
    resource_metrics: list[_ResourceMetrics] = []


class JsonForm:
    """The text form: camelCase, 64-bit integers as text or numbers, enumerations as numbers or names."""

    def __init__(self) -> None:
        self._request = msgspec.json.Decoder(_Request, strict=False)  # not strict: integers may be text

    def request(self, body: bytes) -> Any:
        """The whole request, its attributes raw."""
        return _read(self._request, body)

    def glance(self, point: Any) -> Number:
        """A point of a gauge or sum."""
        return self.number(point)

    def number(self, point: Any) -> Number:
        """A point of a gauge or sum."""
        value = point.as_int if point.as_double is None else point.as_double
        return bytes(point.attributes), point.time_unix_nano, value, point.flags

    def key(self, raw: Any) -> Key:
        """The raw attributes of another point as a cache's key."""
        return bytes(raw)

    def attributes(self, key: Any) -> Attributes:
        """What a key of attributes says."""
        return _unfolded(_read(_ANYTHING, key)) if key else []

    def resource(self, raw: Any) -> Attributes:
        """The attributes of a raw resource."""
        resource = _read(_ANYTHING, raw) if bytes(raw) else {}
        return _unfolded(resource.get("attributes")) if isinstance(resource, dict) else []

    def scope(self, raw: Any) -> tuple[str, str]:
        """Name and version of a raw scope."""
        scope = _read(_ANYTHING, raw) if bytes(raw) else {}
        name, version = (scope.get("name"), scope.get("version")) if isinstance(scope, dict) else ("", "")
        return str(name or ""), str(version or "")


_ANYTHING = msgspec.json.Decoder()


def _read(decoder: msgspec.json.Decoder[Any], raw: Any) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the body is no OTLP JSON: {error}") from None
    except RecursionError:
        raise InputError("the body is nested too deeply") from None


def _unfolded(found: Any) -> Attributes:
    try:
        return _pairs(found)
    except RecursionError:
        raise InputError("an attribute is nested too deeply") from None


def _pairs(found: Any) -> Attributes:
    return [(str(pair.get("key", "")), _plain(pair.get("value"))) for pair in _listed(found) if isinstance(pair, dict)]


def _plain(value: Any) -> Any:
    """An AnyValue in JSON as a plain value; unknown kinds are empty."""
    if not isinstance(value, dict) or not value:
        return ""
    kind, content = next(iter(value.items()))
    if kind == "arrayValue" and isinstance(content, dict):
        return [_plain(v) for v in _listed(content.get("values"))]
    if kind == "kvlistValue" and isinstance(content, dict):
        return dict(_pairs(content.get("values")))
    return content if kind in ("stringValue", "boolValue", "intValue", "doubleValue", "bytesValue") else ""


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def value_text(value: Any) -> str:
    """An attribute's value as a label has it: text as it is, true/false, numbers, JSON for lists and maps."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return msgspec.json.encode(value).decode() if isinstance(value, bool | list | dict) else str(value)
