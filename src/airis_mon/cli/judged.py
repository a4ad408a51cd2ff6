"""Judged samples -> a Parquet or CSV file, one row per value, in the order of the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect.base import Bands, Scores
from airis_mon.errors import AirisError, ConfigError
from airis_mon.events.anomaly import ALARM
from airis_mon.series.batch import Ids, Times, Values
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC

if TYPE_CHECKING:
    import pyarrow as pa

OURS = frozenset({
    *("timestamp", "metric", "value", "score", "onset", "level", "expected", "lower", "upper", "is_anomaly", "feature")
})  # fmt: skip
"""Columns of the output; a label of such a name is written as `label_<name>`."""
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Judged:
    """Samples and what was judged of them, (n,) each; value is what was judged."""

    sid: Ids
    t: Times
    value: Values
    scores: Scores
    bands: Bands

    def __len__(self) -> int:
        return len(self.sid)

    @property
    def is_anomaly(self) -> NDArray[np.bool_]:
        """(n,) True where the score reached the line."""
        return np.asarray(self.scores.score >= np.float32(ALARM))


class TableFile:
    """A file of one table, written piece by piece and under its name only when it is whole.

    The ending chooses the format: .parquet or .csv. Raises ConfigError for another one.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in {".parquet", ".csv"}:
            raise ConfigError(f"{path}: the name of an output file must end in .parquet or .csv")
        self.path = path
        self._part = path.with_name(f".{path.name}.part")
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
            if error is None:
                self._part.replace(self.path)
            else:
                self._part.unlink(missing_ok=True)

    def write(self, columns: dict[str, pa.Array]) -> None:
        """Adds rows; every call brings the same columns. Raises AirisError when the file cannot be written."""
        import pyarrow as pa

        rows = pa.record_batch(columns if self.path.suffix == ".parquet" else _as_text(columns))
        try:
            if self._writer is None:
                self._writer = self._open(rows.schema)
            self._writer.write_batch(rows)
        except OSError as error:
            raise AirisError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def _open(self, schema: pa.Schema) -> Any:
        import pyarrow.csv as csv
        import pyarrow.parquet as pq

        if self.path.suffix == ".parquet":
            return pq.ParquetWriter(self._part, schema, compression="zstd")
        return csv.CSVWriter(self._part, schema, write_options=csv.WriteOptions(quoting_style="needed"))


class Names:
    """Metric and labels of each series as columns that grow with the catalogue."""

    def __init__(self, catalogue: Catalogue, labels: Sequence[str]) -> None:
        self._catalogue = catalogue
        self._columns = {METRIC: "metric"} | {n: f"label_{n}" if n in OURS else n for n in labels}
        self._words: dict[str, dict[str | None, int]] = {n: {} for n in self._columns}
        self._codes: dict[str, list[int]] = {n: [] for n in self._columns}

    def columns(self, sid: Ids) -> dict[str, pa.Array]:
        """Text columns for the series of each row, null where a series has not the label."""
        import pyarrow as pa

        self._catch_up()
        out = {}
        for name, column in self._columns.items():
            words = pa.array(list(self._words[name]), pa.string())
            out[column] = words.take(pa.array(np.array(self._codes[name], np.int32)[sid]))
        return out

    def _catch_up(self) -> None:
        first = len(next(iter(self._codes.values())))
        for sid in range(first, self._catalogue.size):
            labels = dict(self._catalogue.labels(sid))
            for name, words in self._words.items():
                self._codes[name].append(words.setdefault(labels.get(name), len(words)))


def judged_columns(judged: Judged, names: Names, features: Sequence[str]) -> dict[str, pa.Array]:
    """The columns of the output, in their order; what is not known is null."""
    import pyarrow as pa

    def numbers(values: Values) -> pa.Array:
        return pa.array(values, from_pandas=True)  # NaN -> null

    scores, bands = judged.scores, judged.bands
    feature = pa.array(scores.feature, mask=scores.feature < 0)
    return {
        "timestamp": pa.array(judged.t, pa.timestamp("ms", "UTC")),
        **names.columns(judged.sid),
        "value": numbers(judged.value),
        "score": pa.array(scores.score),
        "onset": pa.array(scores.onset),
        "level": pa.array(scores.level),
        "expected": numbers(bands.expected),
        "lower": numbers(bands.lower),
        "upper": numbers(bands.upper),
        "is_anomaly": pa.array(judged.is_anomaly),
        "feature": pa.array(list(features), pa.string()).take(feature),
    }


def _as_text(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Times as RFC 3339, which the CSV writer doesn't do."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return {
        name: pc.strftime(column, TIME_FORMAT) if pa.types.is_timestamp(column.type) else column
        for name, column in columns.items()
    }
