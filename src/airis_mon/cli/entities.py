"""Judged samples -> one score per entity and time, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from airis_mon.cli.judged import Judged, TableFile
from airis_mon.detect.entity import Entities, EntityScores
from airis_mon.errors import ConfigError
from airis_mon.events.anomaly import ALARM
from airis_mon.series.batch import Ids
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import series_name, without

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 1_000_000
"""So many samples are joined at a time, cut between two times."""


class EntityTable:
    """Gathers the channels of all samples (20 bytes each), then joins them in order of time.

    A file may hold one series after another; an entity is judged by what all its metrics show at one time, so its
    samples are sorted by time first. No judgement uses anything later than its own time.
    """

    def __init__(self, catalogue: Catalogue, label: str, labels: tuple[str, ...]) -> None:
        if label not in labels:
            raise ConfigError(f"--entity {label}: the file has no such label, only {', '.join(labels) or 'none'}")
        self._catalogue = catalogue
        self._label = label
        self._pieces: list[tuple[Any, ...]] = []
        self.rows = 0
        self.anomalies = 0

    def add(self, judged: Judged) -> None:
        """Takes a piece; what was not judged, a gap or a repeated sample, tells nothing of an entity."""
        rows = np.flatnonzero(~np.isnan(judged.bands.expected))
        columns = (judged.sid, judged.t, judged.scores.onset, judged.scores.level)
        self._pieces.append(tuple(c[rows] for c in columns))

    def write(self, path: Path) -> None:
        """Judges the entities and writes timestamp, entity, score, is_anomaly and metrics (to blame, most first)."""
        names, entity_of = self._entities()
        metrics = [self._metric(s) for s in range(self._catalogue.size)]
        entities = Entities()
        entities.assign(np.arange(len(entity_of), dtype=np.int32), entity_of)
        with TableFile(path) as out:
            for sid, t, onset, level in self._by_time():
                scores = entities.update(sid, t, onset, level)
                out.write(_columns(scores, names, metrics, is_text=path.suffix == ".csv"))
                self.rows += len(scores)
                self.anomalies += int((scores.score >= np.float32(ALARM)).sum())

    def _entities(self) -> tuple[list[str], Ids]:
        """Names of the entities, and (series,) which one each belongs to, -1 = none."""
        known: dict[str, int] = {}
        entity_of = np.full(self._catalogue.size, -1, np.int32)
        for sid in range(self._catalogue.size):
            if name := dict(self._catalogue.labels(sid)).get(self._label):
                entity_of[sid] = known.setdefault(name, len(known))
        return list(known), entity_of

    def _metric(self, sid: int) -> str:
        return series_name(without(self._catalogue.labels(sid), self._label))

    def _by_time(self) -> Iterator[tuple[Any, ...]]:
        sid, t, onset, level = (np.concatenate(c) for c in zip(*self._pieces, strict=True))
        order = np.argsort(t, kind="stable")
        start = 0
        while True:  # once for an empty file too: its table has columns
            last = min(start + PIECE, len(t)) - 1
            end = int(np.searchsorted(t, t[order[last]], side="right", sorter=order)) if len(t) else 0
            rows = order[start:end]
            yield sid[rows], t[rows], onset[rows], level[rows]
            start = end
            if start >= len(t):
                return


def _columns(scores: EntityScores, names: list[str], metrics: list[str], *, is_text: bool) -> dict[str, pa.Array]:
    import pyarrow as pa

    blamed = [[metrics[s] for s in row if s >= 0] for row in scores.slot.tolist()]
    return {
        "timestamp": pa.array(scores.t, pa.timestamp("ms", "UTC")),
        "entity": pa.array(names, pa.string()).take(pa.array(scores.entity)),
        "score": pa.array(scores.score),
        "is_anomaly": pa.array(scores.score >= np.float32(ALARM)),
        "metrics": pa.array(
            [";".join(b) for b in blamed] if is_text else blamed, pa.string() if is_text else pa.list_(pa.string())
        ),
    }
