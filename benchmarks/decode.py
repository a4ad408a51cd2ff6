"""How many samples a second one core decodes, for each format we take, beside the usual way in the same run.

The series of `benchmarks.payload`, one sample per series, 2,000 samples a request, every series known already. CPU
time, the fastest of several rounds over all requests. "Usual" is the reference parser or a walk over protobuf objects
with a dictionary of label tuples; both end with the same columns of sid, time and value.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import cramjam
import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from airis_mon.ingest.decoders.json import Json
from airis_mon.ingest.decoders.otlp import Otlp
from airis_mon.ingest.decoders.remote_write import V2, RemoteWrite
from airis_mon.ingest.write_request import parse1, parse2
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.encode import field, label_block, varint, write_request
from airis_mon.series.exposition import Exposition
from airis_mon.series.labels import Labels, series_name
from benchmarks.payload import World, world

SERIES, STEPS, PER_REQUEST = 10_000, 3, 2_000
TYPE2 = f"application/x-protobuf;proto={V2}"
Piece = tuple[list[Labels], NDArray[np.int64], NDArray[np.float64]]


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Samples per CPU-second by format: ours, the usual way, and their ratio."""
    rounds = 3 if quick else 15
    pieces = _pieces(world(SERIES, STEPS, 1_700_000_000_000))
    cases = (
        _remote_write_1,
        _remote_write_2,
        _otlp_protobuf,
        _otlp_json,
        _json,
        _exposition,
        _exposition_dated,
        _encode,
    )
    out: dict[str, Any] = {
        "workload": f"{SERIES} series x {STEPS} steps, {PER_REQUEST} samples a request, series known"
    }
    for case in cases:
        bodies, ours, usual = case(pieces)
        fast = _rate(ours, bodies, rounds)
        slow = _rate(usual, bodies[: max(1, len(bodies) // 5)], 1 if quick else 2)
        size = sum(map(len, bodies)) / (SERIES * STEPS) if isinstance(bodies[0], bytes) else None
        name = case.__name__.removeprefix("_")
        out[name] = {"samples_per_cpu_s": fast, "usual": slow, "ratio": fast / slow, "bytes_per_sample": size}
    return out


def _rate(take: Callable[[Any], Any], bodies: Sequence[Any], rounds: int) -> float:
    for body in bodies:  # compiles, and makes every series known
        take(body)
    best = float("inf")
    gc.disable()
    try:
        for _ in range(rounds):
            began = time.process_time()
            for body in bodies:
                take(body)
            best = min(best, time.process_time() - began)
    finally:
        gc.enable()
    return len(bodies) * PER_REQUEST / best


def _pieces(w: World) -> list[Piece]:
    pieces = []
    for step in range(w.steps):
        t = np.repeat(w.t[step], -(-w.series // w.t.shape[1]))[: w.series]
        for first in range(0, w.series, PER_REQUEST):
            part = slice(first, first + PER_REQUEST)
            pieces.append((w.labels[part], t[part], w.value[step, part]))
    return pieces


class _Columns:
    """The usual way's ends: a dictionary from label tuples to ids, and columns."""

    def __init__(self) -> None:
        self.ids: dict[Any, int] = {}

    def of(self, rows: Sequence[tuple[Any, int, float]]) -> tuple[NDArray[Any], ...]:
        sid = [self.ids.setdefault(labels, len(self.ids)) for labels, _, _ in rows]
        return np.array(sid, np.int32), np.array([r[1] for r in rows]), np.array([r[2] for r in rows])


def _remote_write_1(pieces: list[Piece]) -> tuple[list[bytes], Any, Any]:
    ids = np.arange(PER_REQUEST, dtype=np.int32)
    bodies = [write_request([label_block(x) for x in labels], ids, t, value) for labels, t, value in pieces]
    decoder, columns = RemoteWrite(Catalogue()), _Columns()

    def usual(body: bytes) -> None:
        items, _ = parse1(bytes(cramjam.snappy.decompress_raw(body)))
        columns.of([(tuple(item.pairs), t, v) for item in items for t, v in item.samples])

    return bodies, decoder.decode, usual


def _request2(piece: Piece) -> bytes:
    labels, t, value = piece
    symbols: dict[str, int] = {"": 0}
    refs = [[symbols.setdefault(w, len(symbols)) for pair in one for w in pair] for one in labels]
    parts = [field(4, w.encode()) for w in symbols]
    for one, at, number in zip(refs, t.tolist(), value, strict=True):
        sample = b"\x09" + np.float64(number).tobytes() + b"\x10" + varint(at)
        parts.append(field(5, field(1, b"".join(map(varint, one))) + field(2, sample)))
    return bytes(cramjam.snappy.compress_raw(b"".join(parts)))


def _remote_write_2(pieces: list[Piece]) -> tuple[list[bytes], Any, Any]:
    decoder, columns = RemoteWrite(Catalogue()), _Columns()

    def usual(body: bytes) -> None:
        items = parse2(bytes(cramjam.snappy.decompress_raw(body)))
        columns.of([(tuple(item.pairs), t, v) for item in items for t, v in item.samples])

    return [_request2(p) for p in pieces], lambda body: decoder.decode(body, TYPE2), usual


def _otlp_request(piece: Piece) -> Any:
    """Gauges, one metric with the points of all its series, as SDKs and collectors send them."""
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    by_name: dict[str, Any] = {}
    for labels, t, value in zip(*piece, strict=True):
        name = dict(labels)["__name__"]
        if name not in by_name:
            by_name[name] = metrics.add(name=name).gauge
        point = by_name[name].data_points.add(time_unix_nano=int(t) * 1_000_000, as_double=float(value))
        for key, text in labels:
            if key != "__name__":
                point.attributes.add(key=key).value.string_value = text
    return request


def _otlp_protobuf(pieces: list[Piece]) -> tuple[list[bytes], Any, Any]:
    decoder, columns = Otlp(Catalogue()), _Columns()

    def usual(body: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(body)
        rows = []
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for p in metric.gauge.data_points:
                        labels = (metric.name, *((a.key, a.value.string_value) for a in p.attributes))
                        rows.append((labels, p.time_unix_nano // 1_000_000, p.as_double))
        columns.of(rows)

    return [_otlp_request(p).SerializeToString() for p in pieces], decoder.decode, usual


def _otlp_json(pieces: list[Piece]) -> tuple[list[bytes], Any, Any]:
    from google.protobuf.json_format import MessageToDict, Parse

    decoder = Otlp(Catalogue())
    bodies = [json.dumps(MessageToDict(_otlp_request(p))).encode() for p in pieces]
    return (
        bodies,
        lambda body: decoder.decode(body, "application/json"),
        lambda body: Parse(body, ExportMetricsServiceRequest(), ignore_unknown_fields=True),
    )


def _json(pieces: list[Piece]) -> tuple[list[bytes], Any, Any]:
    decoder, columns = Json(Catalogue()), _Columns()
    bodies = []
    for piece in pieces:
        items = []
        for labels, t, value in zip(*piece, strict=True):
            rest = dict(labels)
            items.append({"metricName": rest.pop("__name__"), "value": value, "labels": rest, "timestamp": int(t)})
        bodies.append(json.dumps(items, separators=(",", ":")).encode())

    def usual(body: bytes) -> None:
        columns.of([((i["metricName"], *i["labels"].items()), i["timestamp"], i["value"]) for i in json.loads(body)])

    return bodies, decoder.decode, usual


def _pages(pieces: list[Piece], *, dated: bool) -> tuple[list[bytes], Any, Any]:
    columns = _Columns()
    bodies: list[bytes] = []
    targets: dict[Any, Exposition] = {}
    for labels, t, value in pieces:
        times = [f" {at}" if dated else "" for at in t.tolist()]
        lines = [f"{series_name(x)} {v!r}{at}\n" for x, v, at in zip(labels, value.tolist(), times, strict=True)]
        bodies.append("".join(lines).encode())
        targets[bodies[-1]] = targets.get(labels[0]) or Exposition(Catalogue())  # each target has its own reader
        targets[labels[0]] = targets[bodies[-1]]

    def usual(body: bytes) -> None:
        families = text_string_to_metric_families(body.decode())
        columns.of([((s.name, *s.labels.items()), 0, s.value) for family in families for s in family.samples])

    return bodies, lambda body: targets[body].parse(body), usual


def _exposition(pieces: list[Piece]) -> tuple[list[bytes], Any, Any]:
    return _pages(pieces, dated=False)


def _exposition_dated(pieces: list[Piece]) -> tuple[list[bytes], Any, Any]:
    return _pages(pieces, dated=True)


def _encode(pieces: list[Piece]) -> tuple[list[Any], Any, Any]:
    """Not a format but the way back: columns to a remote write 1.0 body, beside filling protobuf objects."""
    from airis_mon.ingest.write_request import _classes

    ids = np.arange(PER_REQUEST, dtype=np.int32)
    ready = [([label_block(x) for x in labels], t, value, labels) for labels, t, value in pieces]

    def usual(piece: Any) -> bytes:
        request = _classes()["WriteRequest"]()
        for labels, t, value in zip(piece[3], piece[1].tolist(), piece[2].tolist(), strict=True):
            series = request.timeseries.add()
            for name, text in labels:
                series.labels.add(name=name.encode(), value=text.encode())
            series.samples.add(value=value, timestamp=t)
        return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))

    return ready, lambda piece: write_request(piece[0], ids, piece[1], piece[2]), usual
