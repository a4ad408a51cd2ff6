"""Compiles the kernels of the live path, of queries and of looks at limits, or loads them, before anybody waits."""

from __future__ import annotations

import cramjam
import numpy as np

from airis_mon.app.judge import judge
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.entity import Entities
from airis_mon.detect.watch import Watch
from airis_mon.forecast.exhaustion import LEAST_BIN_MS, Exhaustion
from airis_mon.ingest.decoders.remote_write import RemoteWrite
from airis_mon.query.ranges import over
from airis_mon.query.values import Runs, Scalar
from airis_mon.series.admit import Limits, admit
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.encode import field, label_block, write_request
from airis_mon.series.labels import canonical
from airis_mon.series.slopes import SLOPES
from airis_mon.store.base import SeriesStore
from airis_mon.store.seen import Seen

V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
EMPTY_V2 = b"\x00"
"""An empty message, as snappy has it."""


def warm_ingest(store: SeriesStore) -> tuple[Catalogue, list[Batch]]:
    """Sends a few samples through a decoder and catalogue of its own up to the store, which keeps none of them.

    Answers them for `warm_detect`.
    """
    catalogue = Catalogue()
    decoder = RemoteWrite(catalogue)
    plain = [{"__name__": name} for name in ("a", "b_total", "h_sum", "h_count")]
    buckets = [{"__name__": "h_bucket", "le": le} for le in ("1", "+Inf")]
    blocks = [label_block(canonical(labels.items())) for labels in (*plain, *buckets)]
    sid = np.arange(len(blocks), dtype=np.int32)
    decoder.decode(EMPTY_V2, V2, 0)
    odd = field(1, field(2, bytes([0x09, *bytes(8), 0x10, 1])) + blocks[0])  # its labels come after its sample
    decoder.decode(bytes(cramjam.snappy.compress_raw(odd)), "", 0)
    batches = []
    for t in range(1, 4):
        body = write_request(blocks, sid, np.full(len(sid), t * 1000, np.int64), np.full(len(sid), float(t)))
        batch = admit(decoder.decode(body, "", 0), catalogue, t * 1000, Limits())
        catalogue.observe(batch)
        Seen(catalogue).due(batch)
        store.warm(catalogue, batch)
        batches.append(batch)
    return catalogue, batches


def warm_detect(catalogue: Catalogue, batches: list[Batch]) -> None:
    """Judges these samples in a watch and bank of their own, and their signals together, as one entity."""
    bank, together = Record(), Entities()
    watch = Watch(catalogue, bank)
    for batch in batches:
        judged = judge(batch, catalogue, bank, watch)
        slot = judged.signals.slot
        together.assign(slot, np.zeros(len(slot), np.int32))
        together.update(slot, judged.signals.t, judged.scores.onset, judged.scores.level)


def warm_queries(batches: list[Batch]) -> None:
    """Computes the slopes of these samples, as the store does, and the algebra with samples that it was given."""
    t, value = (np.concatenate([getattr(batch, column)[:1] for batch in batches]) for column in ("t", "value"))
    runs, ends = Runs([()], np.array([0, len(t)]), t, value), t[-1:]
    for function in SLOPES:
        over(function, runs, ends, int(t[-1]), [Scalar(np.zeros(1))], ends, lambda: None)


def warm_limits() -> None:
    """Looks at one limit. The first look of a start would compile otherwise, and all else stand still meanwhile."""
    bank = Exhaustion()
    bank.reserve(1)
    bank.update(LEAST_BIN_MS * np.arange(1, 4), np.array([[0.1, 0.2, 0.3]]))
