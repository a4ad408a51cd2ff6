"""Prometheus remote write: snappy -> wire walker -> columns."""

from __future__ import annotations

from collections.abc import Iterable

import cramjam
import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import InputError, Refusal, TooLarge
from airis_mon.ingest.base import Decoded
from airis_mon.ingest.write_request import (
    DecodeError,
    Item,
    Pairs,
    Types,
    metric_type,
    parse1,
    parse2,
    parse_families,
    parse_labels,
)
from airis_mon.series.batch import MAX_REFUSALS
from airis_mon.series.catalogue import Catalogue, take_types
from airis_mon.series.labels import canonical
from airis_mon.series.wire import DONE, GROW_KEYS, GROW_ROWS, GROW_SYMBOLS, Counts, Walk1, Walk2, count_fields, values

V1 = "prometheus.WriteRequest"
V2 = "io.prometheus.write.v2.Request"
_OTHERS = {  # none of them begins a valid snappy block
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xff\x06\x00\x00sNaPpY": "snappy in the framed format",
}
MAX_OBJECT_BYTES, MAX_OBJECTS = 4 << 20, 50_000
"""So much is read by way of protobuf objects at most, which cost a hundred times the memory and time of the walk."""
HISTOGRAM = "native histograms are not supported; let the sender send classic histograms"


class RemoteWrite:
    """Remote write 1.0 and 2.0, told apart by the content type; 1.0 when it says nothing.

    A series is known by its raw label bytes and parsed at first sight only. Native histograms are refused by name and
    counted; exemplars are skipped and counted. A series with labels that cannot be used loses its own samples only.
    """

    def __init__(self, catalogue: Catalogue, *, max_bytes: int = 64 << 20, max_samples: int = 1_000_000) -> None:
        self.catalogue = catalogue
        self.max_bytes = max_bytes
        self.max_samples = max_samples
        keys = 2 * catalogue.max_series + 1024  # a series has one key per order of its labels
        limits = {"max_keys": keys, "max_bytes": (64 << 20) + 256 * keys, "max_rows": max_samples}
        self._first, self._second = _Known1(catalogue, Walk1(**limits)), _Known2(catalogue, Walk2(**limits))

    def decode(self, body: bytes, content_type: str = "", now_ms: int = 0) -> Decoded:  # noqa: ARG002  samples are dated
        """The samples of one snappy-compressed request.

        Raises InputError for another message and for a body that is broken (with the byte's offset); TooLarge beyond
        `max_bytes` decompressed or `max_samples`. Then nothing was taken.
        """
        message = message_of(content_type)
        plain = unsnap(body, self.max_bytes)
        known = self._first if message == V1 else self._second
        with self.catalogue.lock:
            status, met = known.walk(np.frombuffer(plain, np.uint8))
            if status == GROW_ROWS:
                raise self._too_many_samples()
            try:
                if status == DONE:
                    decoded, types = known.decoded(plain, met)
                else:  # an unusual layout, or more new label sets than the index holds
                    _check_size(plain, met)
                    decoded, types = self._objects(*known.parse(plain))
            except DecodeError:
                raise InputError(f"this is no {message}: it is broken at byte {met.position} or later") from None
            take_types(self.catalogue, types)
            return decoded

    def _objects(self, items: Iterable[Item], types: Types) -> tuple[Decoded, Types]:
        sids: list[int] = []
        samples: list[tuple[int, float]] = []
        refusals: list[Refusal] = []
        refused = exemplars = histograms = 0
        first_histogram = -1
        for i, item in enumerate(items):
            sid, reason = (-1, item.fault) if item.fault else intern(self.catalogue, item.pairs)
            if len(samples) + refused + len(item.samples) > self.max_samples:
                raise self._too_many_samples()
            if reason:
                refusals += [_refusal(i, reason) for _ in item.samples[: MAX_REFUSALS - len(refusals)]]
                refused += len(item.samples)
            else:
                sids += [sid] * len(item.samples)
                samples += item.samples
                types.append((self.catalogue.metrics[self.catalogue.metric[sid]], item.type))
            exemplars += item.exemplars
            histograms += item.histograms
            first_histogram = i if first_histogram < 0 and item.histograms else first_histogram
        if histograms:
            refusals.append(_refusal(first_histogram, HISTOGRAM))
        t = np.array([s[0] for s in samples], np.int64)
        value = np.array([s[1] for s in samples], np.float64)
        described, count = tuple(refusals[:MAX_REFUSALS]), refused + histograms
        return Decoded(np.array(sids, np.int32), t, value, described, count, exemplars, histograms), types

    def _too_many_samples(self) -> TooLarge:
        return TooLarge(f"one request holds more than {self.max_samples} samples; send smaller ones")


class _Known1:
    """The walker of version 1 and the sids behind its keys."""

    def __init__(self, catalogue: Catalogue, walk: Walk1) -> None:
        self.catalogue = catalogue
        self._walk = walk
        self._sid = np.full(1024, -1, np.int32)  # by key; -1 = refused
        self._reasons: dict[int, str] = {}  # by refused key
        self._resolved = 0  # keys whose sid is known
        self._epoch = catalogue.epoch

    def walk(self, raw: NDArray[np.uint8]) -> tuple[int, Counts]:
        if self._epoch != self.catalogue.epoch:  # sids were taken back
            self._forget()
        status, met = self._walk.walk(raw)
        if status in (GROW_KEYS, GROW_SYMBOLS):  # full of label sets that came once
            self._forget()
            status, met = self._walk.walk(raw)
        return status, met

    def decoded(self, plain: bytes, met: Counts) -> tuple[Decoded, Types]:
        """What a walk that is done has found. Raises DecodeError when labels or metadata are broken."""
        try:
            types = self._types(plain, met)
            found = [self._pairs(key) for key in range(self._resolved, len(self._walk.index))]
        except (DecodeError, TooLarge):
            self._walk.index.truncate(self._resolved)
            raise
        self._resolve(found)
        return self._columns(met), types

    def parse(self, plain: bytes) -> tuple[Iterable[Item], Types]:
        """The same by protobuf objects. Raises DecodeError."""
        return parse1(plain)

    def _types(self, plain: bytes, met: Counts) -> Types:
        if met.metadata > MAX_OBJECTS:
            raise TooLarge(f"{met.metadata} entries of metadata are more than {MAX_OBJECTS}; send smaller requests")
        return parse_families(plain) if met.metadata else []

    def _pairs(self, key: int) -> Pairs:
        return parse_labels(self._walk.index.key(key))

    def _forget(self) -> None:
        self._walk.clear()
        self._reasons.clear()
        self._resolved = 0
        self._epoch = self.catalogue.epoch

    def _resolve(self, found: list[Pairs]) -> None:
        last = self._resolved + len(found)
        if last > len(self._sid):
            self._sid = np.concatenate([self._sid, np.full(max(last, len(self._sid)), -1, np.int32)])
        for key, pairs in enumerate(found, self._resolved):
            self._sid[key], reason = intern(self.catalogue, pairs)
            if reason:
                self._reasons[key] = reason
        self._resolved = last

    def _columns(self, met: Counts) -> Decoded:
        rows, n = self._walk.rows, met.rows
        key = rows.key[:n]
        sid, t, value = self._sid[key], rows.t[:n].copy(), values(rows, n)
        refused = np.flatnonzero(sid < 0)
        refusals = [_refusal(int(rows.item[i]), self._reasons[int(key[i])]) for i in refused[:MAX_REFUSALS]]
        if len(refused):
            good = sid >= 0
            sid, t, value = sid[good], t[good], value[good]
        if met.histograms:
            refusals.append(_refusal(met.first_histogram, HISTOGRAM))
        count = len(refused) + met.histograms
        return Decoded(sid, t, value, tuple(refusals[:MAX_REFUSALS]), count, met.exemplars, met.histograms)


class _Known2(_Known1):
    """The same for version 2, whose series carry their types."""

    _walk: Walk2

    def decoded(self, plain: bytes, met: Counts) -> tuple[Decoded, Types]:
        decoded, _ = super().decoded(plain, met)
        return decoded, self._news() if met.metadata else []

    def parse(self, plain: bytes) -> tuple[Iterable[Item], Types]:
        return parse2(plain), []

    def _types(self, plain: bytes, met: Counts) -> Types:  # noqa: ARG002  they come with the series
        return []

    def _pairs(self, key: int) -> Pairs:
        words = self._walk.words(key)
        return list(zip(words[::2], words[1::2], strict=True))

    def _news(self) -> Types:
        catalogue, n = self.catalogue, self._resolved
        typed = np.flatnonzero((self._walk.kind[:n] > 0) & (self._sid[:n] >= 0))
        metrics = catalogue.metric[self._sid[typed]]
        news = set(zip(metrics.tolist(), self._walk.kind[typed].tolist(), strict=True))
        return [(catalogue.metrics[metric], metric_type(kind)) for metric, kind in sorted(news)]


def _check_size(plain: bytes, met: Counts) -> None:
    fields = count_fields(np.frombuffer(plain, np.uint8))
    if len(plain) > MAX_OBJECT_BYTES or fields > MAX_OBJECTS:
        raise TooLarge(
            f"the request has an unusual layout at byte {met.position}; it may then have {MAX_OBJECT_BYTES} bytes and "
            f"{MAX_OBJECTS} fields, it has {len(plain)} and {fields}: send smaller ones"
        )


def message_of(content_type: str) -> str:
    """The message that the `proto` parameter of a content type names, V1 or V2. Raises InputError for another."""
    proto = V1
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "proto":
            proto = value.strip().strip('"')
    if proto not in (V1, V2):
        raise InputError(f"remote write message {proto[:80]!r} is not known; send {V1} or {V2}")
    return proto


def unsnap(body: bytes, max_bytes: int) -> bytes:
    """Decompresses a snappy block whose promised size is checked before anything is allocated.

    Raises InputError for broken data or another compression, TooLarge for more than `max_bytes`.
    """
    for magic, name in _OTHERS.items():
        if body.startswith(magic):
            raise InputError(f"the body is {name}; remote write takes the snappy block format")
    size, shift, header = 0, 0, 0
    while header < 5:
        if header >= len(body):
            raise InputError(f"the snappy header is cut off at byte {header}")
        size |= (body[header] & 0x7F) << shift
        header, shift = header + 1, shift + 7
        if body[header - 1] < 0x80:
            break
    if size > max_bytes:
        raise TooLarge(f"the request is {size} bytes decompressed, the limit is {max_bytes}; send smaller ones")
    if size > 22 * len(body) + 64:  # a copy of 64 bytes takes 3
        raise InputError(f"the snappy header promises {size} bytes, which {len(body)} bytes cannot hold")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise InputError(f"the body is not a snappy block: {error}") from None


def intern(catalogue: Catalogue, pairs: Pairs) -> tuple[int, str]:
    """(the sid of labels as sent, ""), or (-1, why they cannot be used)."""
    try:
        return catalogue.intern(canonical((n.decode(), v.decode()) for n, v in pairs)), ""
    except UnicodeDecodeError as error:
        return -1, f"label bytes {error.object[:40]!r} are not UTF-8"
    except (InputError, ValueError) as error:
        return -1, str(error)


def _refusal(item: int, reason: str) -> Refusal:
    return Refusal(f"timeseries[{item}]", "", reason)
