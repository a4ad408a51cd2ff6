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
    parse1,
    parse_families,
    parse_labels,
)
from airis_mon.series.batch import MAX_REFUSALS
from airis_mon.series.catalogue import Catalogue, take_types
from airis_mon.series.labels import canonical
from airis_mon.series.rawindex import RawIndex
from airis_mon.series.wire import DONE, GROW_KEYS, GROW_ROWS, Counts, Walk, values

V1 = "prometheus.WriteRequest"
V2 = "io.prometheus.write.v2.Request"
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
        self._walk = Walk(RawIndex(max_keys=keys, max_bytes=(64 << 20) + 256 * keys), max_rows=max_samples)
        self._sid = np.full(1024, -1, np.int32)  # by key; -1 = refused
        self._resolved = 0  # keys whose sid is known
        self._reasons: dict[int, str] = {}  # by refused key
        self._epoch = catalogue.epoch

    def decode(  # every sample carries its time: now_ms is there for the protocol
        self,
        body: bytes,
        content_type: str = "",
        now_ms: int = 0,  # noqa: ARG002
        encoding: str = "snappy",
    ) -> Decoded:
        """The samples of one request.

        Raises InputError for another encoding or message, and for a body that is broken (with the byte's offset);
        TooLarge beyond `max_bytes` decompressed or `max_samples`. Then nothing was taken.
        """
        version(content_type)
        plain = unsnap(body, self.max_bytes, encoding)
        with self.catalogue.lock:
            return self._version1(plain)

    def _version1(self, plain: bytes) -> Decoded:
        raw = np.frombuffer(plain, np.uint8)
        status, met = self._walked(raw)
        if status == GROW_ROWS:
            raise self._too_many_samples()
        try:
            if status != DONE:  # an unusual layout, or more new label sets than the index holds
                items, families = parse1(plain)
                decoded = self._objects(items)
            else:
                families = parse_families(plain) if met.metadata else []
                self._resolve()
                decoded = self._columns(met)
        except DecodeError:
            raise InputError(f"this is no {V1}: it is broken at byte {met.position} or later") from None
        take_types(self.catalogue, families)
        return decoded

    def _walked(self, raw: NDArray[np.uint8]) -> tuple[int, Counts]:
        if self._epoch != self.catalogue.epoch:  # sids were taken back
            self._forget()
        status, met = self._walk.version1(raw)
        if status == GROW_KEYS:  # full of label sets that came once
            self._forget()
            status, met = self._walk.version1(raw)
        return status, met

    def _forget(self) -> None:
        self._walk.clear()
        self._reasons.clear()
        self._resolved = 0
        self._epoch = self.catalogue.epoch

    def _resolve(self) -> None:
        """Gives each key that this request brought its sid. Raises DecodeError before any is given."""
        index = self._walk.index
        first, last = self._resolved, len(index)
        try:
            found = [parse_labels(index.key(key)) for key in range(first, last)]
        except DecodeError:
            index.truncate(first)
            raise
        if last > len(self._sid):
            self._sid = np.concatenate([self._sid, np.full(max(last, len(self._sid)), -1, np.int32)])
        for key, pairs in enumerate(found, first):
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
        return Decoded(sid, t, value, tuple(refusals[:MAX_REFUSALS]), count, met.exemplars)

    def _objects(self, items: Iterable[Item]) -> Decoded:
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
            exemplars += item.exemplars
            histograms += item.histograms
            first_histogram = i if first_histogram < 0 and item.histograms else first_histogram
        if histograms:
            refusals.append(_refusal(first_histogram, HISTOGRAM))
        t = np.array([s[0] for s in samples], np.int64)
        value = np.array([s[1] for s in samples], np.float64)
        count = refused + histograms
        return Decoded(np.array(sids, np.int32), t, value, tuple(refusals[:MAX_REFUSALS]), count, exemplars)

    def _too_many_samples(self) -> TooLarge:
        return TooLarge(f"one request holds more than {self.max_samples} samples; send smaller ones")


def version(content_type: str) -> int:
    """1 or 2, by the `proto` parameter of a content type. Raises InputError for another message."""
    proto = V1
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "proto":
            proto = value.strip().strip('"')
    if proto not in (V1, V2):
        raise InputError(f"remote write message {proto!r} is not known; send {V1} or {V2}")
    return 1 if proto == V1 else 2


def unsnap(body: bytes, max_bytes: int, encoding: str = "snappy") -> bytes:
    """Decompresses a snappy block whose promised size is checked before anything is allocated.

    Raises InputError for another encoding or broken data, TooLarge for more than `max_bytes`.
    """
    if encoding.strip().lower() not in ("", "snappy"):
        raise InputError(f"remote write compressed with {encoding!r} is not supported; use snappy")
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
