"""OpenTelemetry metrics over HTTP, protobuf and JSON, as Prometheus series."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from airis_mon.errors import InputError, Refusal, TooLarge
from airis_mon.ingest.delta import Deltas
from airis_mon.ingest.exponential import exponential
from airis_mon.ingest.otlp_forms import (
    CUMULATIVE,
    DELTA,
    KINDS,
    TEMPORALITIES,
    Attributes,
    Form,
    JsonForm,
    Key,
    Protobuf,
    value_text,
)
from airis_mon.ingest.otlp_names import bound_text, labels_of, metric_name
from airis_mon.series.batch import MAX_REFUSALS, STALE, Batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import METRIC, canonical

NO_VALUE = 1  # the flag of a point that says "nothing was recorded"
MAX_BOUNDS = 1000
_ALSO_IDENTIFYING = ("host.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "container.name")
_TYPES = {
    "gauge": MetricType.GAUGE,
    "histogram": MetricType.HISTOGRAM,
    "exponential_histogram": MetricType.HISTOGRAM,
    "summary": MetricType.SUMMARY,
}
_FIELDS = {kind: kind for kind in KINDS} | {"exponential_histogram": "exponentialHistogram"}


class Otlp:
    """OTLP metrics: gauges, sums, histograms, exponential histograms and summaries, of either temporality.

    Names, units and labels are translated as OpenTelemetry's compatibility specification says: `service.namespace`
    and `service.name` become `job`, `service.instance.id` becomes `instance`, the other attributes of a resource stand
    in `target_info`. A resource without `service.instance.id` gives its series the labels of its host, pod and
    container instead, as two hosts would be one series otherwise. `promoted` names further resource attributes to
    become labels; `scope_labels` adds `otel_scope_name` and `otel_scope_version`.

    Deltas are added up to running totals, for `delta_room` numbers at most. Exponential histograms become classic
    buckets (see `exponential`). A point without a recorded value is a staleness marker. A point that cannot be used
    is refused, the others are kept.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        promoted: Sequence[str] = (),
        scope_labels: bool = False,
        max_bytes: int = 16 << 20,
        max_items: int = 200_000,
        delta_room: int = 2_000_000,
    ) -> None:
        self.catalogue = catalogue
        self.promoted = tuple(promoted)
        self.scope_labels = scope_labels
        self.max_bytes = max_bytes
        self.max_items = max_items
        self.deltas = Deltas(room=delta_room)
        self._protobuf, self._json = Protobuf(), JsonForm()
        self._families: dict[Hashable, _Family] = {}
        self._targets: dict[Hashable, int | None] = {}
        self._weight = _Weight()
        self._epoch = catalogue.epoch

    def decode(self, body: bytes, content_type: str = "", now_ms: int = 0) -> Batch:
        """The samples of an `ExportMetricsServiceRequest`; `refused` counts data points, for the partial success.

        Raises InputError when the body cannot be read; TooLarge beyond `max_bytes` or `max_items` (resources, scopes,
        metrics and data points together). Then nothing was taken.
        """
        if len(body) > self.max_bytes:
            raise TooLarge(f"the request is {len(body)} bytes, the limit is {self.max_bytes}; send smaller ones")
        form: Form = self._json if "json" in content_type.lower() else self._protobuf
        request = form.request(body)
        if _items(request, self.max_items) > self.max_items:
            raise TooLarge(f"the request holds more than {self.max_items} metrics and data points; send smaller ones")
        with self.catalogue.lock:
            self._sync()
            out = _Out(now_ms)
            for i, resource in enumerate(request.resource_metrics):
                self._resource(form, resource, i, out)
            return out.batch()

    def _sync(self) -> None:
        if self._epoch != self.catalogue.epoch:  # sids were taken back
            self.deltas.keep(lambda fp: self.catalogue.find(fp) is not None)
            self._epoch = self.catalogue.epoch
        elif self._weight.sum < 2 * self.catalogue.max_series:
            return
        self._families.clear()
        self._targets.clear()
        self._weight.sum = 0

    def _resource(self, form: Form, resource: Any, i: int, out: _Out) -> None:
        before = len(out.t)
        raw = bytes(resource.resource)
        for j, scope in enumerate(resource.scope_metrics):
            for k, metric in enumerate(scope.metrics):
                kind = _kind(metric)
                if kind:
                    out.place = f"resourceMetrics[{i}].scopeMetrics[{j}].metrics[{k}].{_FIELDS[kind]}"
                    self._metric(form, raw, bytes(scope.scope), metric, kind, out)
        if len(out.t) > before:
            self._target(form, raw, max(out.t[before:]), out)

    def _metric(self, form: Form, resource: bytes, scope: bytes, metric: Any, kind: str, out: _Out) -> None:
        data = getattr(metric, kind)
        points = data.data_points
        is_monotonic = kind == "sum" and data.is_monotonic
        name, unit = metric.name, metric.unit
        key = (form, resource, scope, name, unit, kind, is_monotonic)
        try:
            family = self._families.get(key)
            if family is None:
                family = self._family(form, resource, scope, name, unit, kind, is_monotonic)
                self._families[key] = family
            temporality = CUMULATIVE if kind in ("gauge", "summary") else _temporality(data.aggregation_temporality)
        except InputError as error:
            out.refuse_all(len(points), str(error))
            return
        take = {
            "gauge": _numbers,
            "sum": _numbers,
            "histogram": _histograms,
            "exponential_histogram": _exponentials,
            "summary": _summaries,
        }[kind]
        take(family, points, self.deltas if temporality == DELTA else None, out)

    def _family(
        self, form: Form, resource: bytes, scope: bytes, raw_name: Any, raw_unit: Any, kind: str, is_monotonic: bool
    ) -> _Family:
        name = metric_name(_text(raw_name), _text(raw_unit), is_gauge=kind == "gauge", is_counter=is_monotonic)
        if not name:
            raise InputError("the metric has no name")
        fixed = self._identity(form.resource(resource))
        if self.scope_labels:
            scope_name, version = form.scope(scope)
            fixed += [("otel_scope_name", scope_name), ("otel_scope_version", version)]
        declared = _TYPES.get(kind, MetricType.COUNTER if is_monotonic else MetricType.GAUGE)
        take_types(self.catalogue, [(name, declared)])
        self._weight.add(resource, scope)
        return _Family(self.catalogue, form, name, fixed, self._weight)

    def _identity(self, attributes: Attributes) -> list[tuple[str, str]]:
        found = {key: value_text(value) for key, value in attributes}
        promoted = self.promoted if found.get("service.instance.id") else (*_ALSO_IDENTIFYING, *self.promoted)
        return [*labels_of((k, found[k]) for k in promoted if k in found), *_job_instance(found)]

    def _target(self, form: Form, raw: bytes, t: int, out: _Out) -> None:
        key = (form, raw)
        if key not in self._targets:
            self._targets[key] = self._target_sid(form, raw)
            self._weight.add(raw)
        sid = self._targets[key]
        if sid is not None:
            out.add(sid, t, 1.0)

    def _target_sid(self, form: Form, raw: bytes) -> int | None:
        found = {key: value_text(value) for key, value in form.resource(raw)}
        identity = _job_instance(found)
        rest = labels_of((k, v) for k, v in found.items() if k not in _IDENTIFYING)
        if not identity or not rest:
            return None
        take_types(self.catalogue, [("target", MetricType.INFO)])
        try:
            return self.catalogue.intern(canonical({**dict(rest), **dict(identity), METRIC: "target_info"}.items()))
        except (InputError, ValueError):
            return None  # the samples themselves say why


_IDENTIFYING = ("service.namespace", "service.name", "service.instance.id")


class _Weight:
    """How much is cached: one per entry, and one per 256 bytes of its key."""

    def __init__(self) -> None:
        self.sum = 0

    def add(self, *raw: bytes) -> None:
        self.sum += 1 + sum(map(len, raw)) // 256


class _Family:
    """One metric of one resource and scope: its name, its fixed labels, and the sids of its points so far."""

    def __init__(
        self, catalogue: Catalogue, form: Form, name: str, fixed: list[tuple[str, str]], weight: _Weight
    ) -> None:
        self.catalogue = catalogue
        self.form = form
        self.name = name
        self.fixed = fixed
        self.numbers: dict[Key, int] = {}  # by raw attributes
        self.parts: dict[Key, dict[tuple[str, str], int]] = {}  # by raw attributes, then by suffix and `le` or quantile
        self._weight = weight

    def number(self, key: Key) -> int:
        """The sid of a single number's series, new to us. Raises InputError."""
        sid = self.numbers[key] = self._intern(key, "", "", "")
        return sid

    def part(self, key: Key, suffix: str, label: str = "", value: str = "") -> int:
        """The sid of one series of a histogram or summary. Raises InputError."""
        parts = self.parts.get(key)
        sid = parts.get((suffix, value)) if parts else None
        if sid is None:
            sid = self._intern(key, suffix, label, value)
            self.parts.setdefault(key, {})[suffix, value] = sid
        return sid

    def _intern(self, key: Key, suffix: str, label: str, value: str) -> int:
        own = labels_of((name, value_text(v)) for name, v in self.form.attributes(key))
        pairs = {**dict(own), **dict(self.fixed), METRIC: self.name + suffix}
        if label:
            pairs[label] = value
        try:
            sid = self.catalogue.intern(canonical(pairs.items()))
        except ValueError as error:
            raise InputError(str(error)) from None
        self._weight.add(key) if isinstance(key, bytes) else self._weight.add(*key)
        return sid


class _Out:
    """Rows of a request under way, and what of it was refused."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.sid: list[int] = []
        self.t: list[int] = []
        self.value: list[float] = []
        self.refusals: list[Refusal] = []
        self.refused = 0
        self.place = ""

    def add(self, sid: int, t: int, value: float) -> None:
        self.sid.append(sid)
        self.t.append(t)
        self.value.append(value)

    def time(self, ns: int) -> int:
        if not 0 <= ns < 1 << 64:
            raise InputError("timeUnixNano is no 64-bit number")
        return ns // 1_000_000 or self.now_ms

    def nanoseconds(self, point: Any) -> int:
        return int(point.time_unix_nano) or self.now_ms * 1_000_000

    def refuse(self, point: int, reason: str) -> None:
        self.refused += 1
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(Refusal(f"{self.place}.dataPoints[{point}]", "", reason))

    def refuse_all(self, points: int, reason: str) -> None:
        for point in range(points):
            self.refuse(point, reason)

    def batch(self) -> Batch:
        return Batch(
            np.array(self.sid, np.int32),
            np.array(self.t, np.int64),
            np.array(self.value, np.float64),
            tuple(self.refusals),
            self.refused,
        )


def _each(points: Iterable[Any], out: _Out, take: Callable[[Any], None]) -> None:
    for i, point in enumerate(points):
        try:
            take(point)
        except InputError as error:
            out.refuse(i, str(error))


def _numbers(family: _Family, points: Iterable[Any], deltas: Deltas | None, out: _Out) -> None:
    known, glance = family.numbers.get, family.form.glance

    def take(point: Any) -> None:
        key, ns, number, flags = glance(point)
        sid = known(key)
        if sid is None:
            key, ns, number, flags = family.form.number(point)
            sid = known(key)
        t = out.time(ns)
        is_ended = flags & NO_VALUE
        value = float(STALE) if is_ended else _value(number)
        if sid is None:
            sid = family.number(key)
        if deltas is not None and not is_ended:
            value = deltas.number(int(family.catalogue.fp[sid]), ns or out.now_ms * 1_000_000, value)
        out.add(sid, t, value)

    _each(points, out, take)


def _histograms(family: _Family, points: Iterable[Any], deltas: Deltas | None, out: _Out) -> None:
    def take(point: Any) -> None:
        t = out.time(point.time_unix_nano)
        key = family.form.key(point.attributes)
        if point.flags & NO_VALUE:
            _end(family, key, t, out)
            return
        bounds, buckets = tuple(point.explicit_bounds), list(point.bucket_counts)
        _check_buckets(bounds, buckets)
        count, total = _whole(point.count), point.sum if point.HasField("sum") else None
        if deltas is not None:
            fp = int(family.catalogue.fp[family.part(key, "_count")])
            state = deltas.histogram(fp, out.nanoseconds(point), count, total or 0.0, bounds, buckets)
            count, total, buckets = state.count, None if total is None else state.total, state.buckets or []
        cumulative = np.cumsum(np.array(buckets[:-1], np.float64)).tolist()
        _add_histogram(family, key, t, (bounds, cumulative), count, total, out)

    _each(points, out, take)


def _exponentials(family: _Family, points: Iterable[Any], deltas: Deltas | None, out: _Out) -> None:
    def take(point: Any) -> None:
        t = out.time(point.time_unix_nano)
        key = family.form.key(point.attributes)
        if point.flags & NO_VALUE:
            _end(family, key, t, out)
            return
        found = exponential(
            point.scale,
            _whole(point.zero_count),
            point.zero_threshold,
            (point.positive.offset, [_whole(n) for n in point.positive.bucket_counts]),
            (point.negative.offset, [_whole(n) for n in point.negative.bucket_counts]),
        )
        count, total = _whole(point.count), point.sum if point.HasField("sum") else None
        if deltas is not None:
            fp = int(family.catalogue.fp[family.part(key, "_count")])
            state, found = deltas.exponential(fp, out.nanoseconds(point), count, total or 0.0, found)
            count, total = state.count, None if total is None else state.total
        _add_histogram(family, key, t, found.buckets(), count, total, out)

    _each(points, out, take)


def _summaries(family: _Family, points: Iterable[Any], _: Deltas | None, out: _Out) -> None:
    def take(point: Any) -> None:
        t = out.time(point.time_unix_nano)
        key = family.form.key(point.attributes)
        if point.flags & NO_VALUE:
            _end(family, key, t, out)
            return
        quantiles = [(bound_text(q.quantile), q.value) for q in point.quantile_values]
        if len(quantiles) > MAX_BOUNDS:
            raise InputError(f"{len(quantiles)} quantiles are more than {MAX_BOUNDS}")
        rows = [(family.part(key, "", "quantile", q), value) for q, value in quantiles]
        rows.append((family.part(key, "_sum"), point.sum))
        rows.append((family.part(key, "_count"), float(_whole(point.count))))
        for sid, value in rows:
            out.add(sid, t, value)

    _each(points, out, take)


def _add_histogram(
    family: _Family,
    key: Key,
    t: int,
    buckets: tuple[Sequence[float], Sequence[float]],
    count: int,
    total: float | None,
    out: _Out,
) -> None:
    """Adds all series of a histogram, or none of them when one is refused."""
    rows = [(family.part(key, "_bucket", "le", bound_text(b)), float(n)) for b, n in zip(*buckets, strict=True)]
    rows.append((family.part(key, "_bucket", "le", "+Inf"), float(count)))
    if total is not None:
        rows.append((family.part(key, "_sum"), total))
    rows.append((family.part(key, "_count"), float(count)))
    for sid, value in rows:
        out.add(sid, t, value)


def _end(family: _Family, key: Key, t: int, out: _Out) -> None:
    for sid in family.parts.get(key, {}).values():
        out.add(sid, t, float(STALE))


def _items(request: Any, enough: int) -> int:
    """Resources, scopes, metrics and data points of a request together; counted no further than just past `enough`."""
    n = 0
    for resource in request.resource_metrics:
        n += 1
        for scope in resource.scope_metrics:
            n += 1 + len(scope.metrics)
            for metric in scope.metrics:
                kind = _kind(metric)
                n += len(getattr(metric, kind).data_points) if kind else 0
            if n > enough:
                return n
        if n > enough:
            return n
    return n


def _kind(metric: Any) -> str:
    return next((kind for kind in KINDS if metric.HasField(kind)), "")


def _temporality(sent: int | str) -> int:
    found = TEMPORALITIES.get(sent, 0) if isinstance(sent, str) else sent
    if found not in (DELTA, CUMULATIVE):
        raise InputError("the aggregation temporality is neither delta (1) nor cumulative (2)")
    return found


def _value(number: float | None) -> float:
    if number is None:
        raise InputError("the point has no value")
    if isinstance(number, int):
        _whole(number, least=-(1 << 63))
    return float(number)


def _whole(number: int, least: int = 0) -> int:
    if not least <= number < 1 << 64:
        raise InputError("a count is no 64-bit number")
    return number


def _check_buckets(bounds: tuple[float, ...], buckets: list[int]) -> None:
    if len(bounds) > MAX_BOUNDS:
        raise InputError(f"{len(bounds)} bucket bounds are more than {MAX_BOUNDS}")
    if len(buckets) != len(bounds) + 1 and (bounds or buckets):
        raise InputError(f"{len(buckets)} bucket counts do not fit {len(bounds)} bounds")
    if any(not a < b for a, b in pairwise(bounds)) or not np.isfinite(bounds).all():
        raise InputError("bucket bounds must be finite and rise")
    for count in buckets:
        _whole(count)


def _job_instance(found: dict[str, str]) -> list[tuple[str, str]]:
    name, namespace = found.get("service.name", ""), found.get("service.namespace", "")
    job = f"{namespace}/{name}" if namespace and name else name
    pairs = [("job", job), ("instance", found.get("service.instance.id", ""))]
    return [(label, value) for label, value in pairs if value]


def _text(raw: bytes | str) -> str:
    try:
        return raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError:
        raise InputError("the metric's name or unit is not UTF-8") from None
