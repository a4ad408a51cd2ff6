"""CSV and Parquet files -> batches in file order, piece by piece.

Long: `timestamp`, `value`, optional `metric`, every other column a label. Wide: `timestamp`, text columns are labels
of every series in the row, each numeric column is a metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import InputError, Refusal
from airis_mon.ingest.columns import Mask, codes_of, is_numeric, numbers_of, times_of
from airis_mon.ingest.combinations import combinations
from airis_mon.series.batch import MAX_REFUSALS, Batch, Ids, empty_batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC, Labels, canonical

if TYPE_CHECKING:
    import pyarrow as pa

TIME = "timestamp"
VALUE = "value"
NAME = "metric"
PIECE_BYTES = 4 << 20
"""So much of a CSV file is read at a time; a Parquet file gives `PIECE_ROWS` rows."""
PIECE_ROWS = 65_536
NAMELESS = "value"
"""The metric of a long file without a `metric` column."""

_UNWANTED = -1
"""In place of a series id: none of those that are meant, or none that can be."""
_NO_TIME = "is no time; write RFC 3339 such as 2026-01-31T12:00:00Z, or integer seconds or milliseconds"
_NO_NUMBER = "is no number; write a decimal number, or leave it empty for a gap"


Words = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class _BadRow:
    row: int
    column: str
    value: str
    reason: str


class FileReader:
    """A CSV (also .gz, .bz2, .zst, .lz4) or Parquet file as batches over `catalogue`; memory is bounded by a piece.

    Rows keep their order; a wide row gives one sample per metric, in order of columns. An empty value is a gap (NaN)
    and keeps its row. A bad row is an InputError that names file, row (data rows count from 1), column, value and
    remedy; with `skip_bad` it is left out and counted in the batch's `refused`. So is a row whose labels are too many
    or too long for the catalogue, or that is one series too much. Series that `is_meant` denies are left out without a
    word. `labels` and `metrics` name the columns, known from the start; `fraction` is how much has been read.
    """

    def __init__(
        self,
        path: Path,
        catalogue: Catalogue,
        *,
        wide: bool = False,
        skip_bad: bool = False,
        is_meant: Callable[[Labels], bool] | None = None,
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        self.path = path
        self.wide = wide
        self._catalogue = catalogue
        self._skip_bad = skip_bad
        self._is_meant = is_meant
        self._source = _open(path, piece_bytes, texts=() if wide else (TIME, VALUE))
        _check_header(path, self._source.columns, wide)
        self._row = 0  # data rows before the piece at hand, broken ones left out
        self._broken = 0  # broken rows told of so far
        self._first = self._next()
        self.labels: tuple[str, ...] = ()
        self.metrics: tuple[str, ...] = ()
        self._choose_columns()
        self._sids: dict[tuple[str, ...], list[int]] = {}

    @property
    def fraction(self) -> float:
        """0..1 of the file that has been read."""
        return self._source.fraction()

    def __iter__(self) -> Iterator[Batch]:
        """The file's samples, once. Raises InputError at the first bad row unless bad ones are skipped."""
        piece = self._first
        self._first = None
        while piece is not None:
            yield self._batch(piece)
            self._row += len(piece)
            piece = self._next()
        if tail := self._tell_broken():
            if not self._skip_bad:
                raise InputError(_sentence(self.path, tail[0]))
            yield empty_batch(tuple(_refusal(r) for r in tail[:MAX_REFUSALS]), len(tail))

    def _next(self) -> pa.RecordBatch | None:
        import pyarrow as pa

        try:
            return next(self._source.pieces, None)
        except (pa.ArrowException, OSError) as error:  # OSError: what is compressed is damaged
            raise InputError(f"{self.path}: cannot be read after data row {self._row}: {error}") from None

    def _tell_broken(self) -> list[_BadRow]:
        """Rows with a wrong number of cells that nobody has been told of."""
        told, self._broken = self._broken, len(self._source.broken)
        return self._source.broken[told:]

    def _choose_columns(self) -> None:
        others = [c for c in self._source.columns if c != TIME]
        if not self.wide:
            self.labels = tuple(c for c in others if c not in {VALUE, NAME})
            return
        numeric = {c for c in others if self._first is not None and is_numeric(self._first.column(c))}
        self.labels = tuple(c for c in others if c not in numeric)
        self.metrics = tuple(c for c in others if c in numeric)
        if self._first is not None and not self.metrics:
            raise InputError(
                f"{self.path}: no column but {TIME!r} holds numbers; a wide file has one column per metric"
            )

    def _batch(self, piece: pa.RecordBatch) -> Batch:
        t, bad_time = times_of(piece.column(TIME))
        columns = self.metrics if self.wide else (VALUE,)
        read = [numbers_of(piece.column(c)) for c in columns]
        bad = {TIME: bad_time} | dict(zip(columns, (b for _, b in read), strict=True))
        if not self.wide and NAME in self._source.columns:
            bad[NAME] = _is_empty(piece.column(NAME))
        sids, why = self._series(piece)  # (rows, metrics), (rows,)
        bad[""] = why != ""
        refusals, refused, keep = self._judge(piece, bad, why)
        sid, value = sids[keep].ravel(), np.stack([v for v, _ in read], axis=1)[keep].ravel()
        batch = Batch(sid, np.repeat(t[keep], len(columns)), value, refusals, refused)
        return batch if self._is_meant is None else _taken(batch, sid != _UNWANTED)

    def _judge(self, piece: pa.RecordBatch, bad: dict[str, Mask], why: Words) -> tuple[tuple[Refusal, ...], int, Mask]:
        """What is refused of a piece, how many rows, and (n,) True where a row is kept."""
        broken = self._tell_broken()
        any_bad = np.logical_or.reduce(list(bad.values()))
        refused = len(broken) + int(any_bad.sum())
        if not refused:
            return (), 0, ~any_bad
        rows = [*broken, *self._bad_cells(piece, bad, any_bad, why)]
        if not self._skip_bad:
            first = min(rows, key=lambda r: r.row)
            raise InputError(_sentence(self.path, first), tuple(_refusal(r) for r in rows[:MAX_REFUSALS]))
        return tuple(_refusal(r) for r in rows[:MAX_REFUSALS]), refused, ~any_bad

    def _bad_cells(self, piece: pa.RecordBatch, bad: dict[str, Mask], any_bad: Mask, why: Words) -> list[_BadRow]:
        reasons = {TIME: _NO_TIME, NAME: "is no name; every row needs the name of its metric"}
        cells = []
        for i in np.flatnonzero(any_bad)[:MAX_REFUSALS].tolist():
            column = next(c for c, mask in bad.items() if mask[i])
            value = ",".join(str(piece.column(c)[i].as_py() or "") for c in ([column] if column else self.labels))
            reason = reasons.get(column, _NO_NUMBER) if column else f"as labels: {why[i]}"
            cells.append(_BadRow(self._row_of(i), column, value, reason))
        return cells

    def _row_of(self, index: int) -> int:
        row = self._row + index + 1
        for broken in self._source.broken:
            row += broken.row <= row
        return row

    def _series(self, piece: pa.RecordBatch) -> tuple[Ids, Words]:
        """(rows, metrics) series ids, and (rows,) why a row's labels cannot be a series, "" where they can."""
        names = [*self.labels, *([NAME] if not self.wide and NAME in self._source.columns else [])]
        coded = [codes_of(piece.column(c)) for c in names]
        codes = np.array([codes for codes, _ in coded], np.int32).reshape(len(names), len(piece))
        first, row = combinations(codes)
        cells = [
            [words[code] for code in found[first].tolist()] for found, (_, words) in zip(codes, coded, strict=True)
        ]
        table = np.full((len(first), len(self.metrics) if self.wide else 1), _UNWANTED, np.int32)
        why = np.full(len(first), "", np.object_)
        # In order of appearance: sids of rows that stand together are adjacent.
        for at, words in enumerate(zip(*cells, strict=True) if cells else [()] * len(first)):
            try:
                if words not in self._sids:
                    self._sids[words] = self._intern(names, words)
                table[at] = self._sids[words]
            except InputError as error:
                why[at] = str(error)
        return np.asarray(table[row]), np.asarray(why[row])

    def _intern(self, names: Sequence[str], words: Sequence[str]) -> list[int]:
        given = dict(zip(names, words, strict=True))
        metrics = self.metrics if self.wide else (given.pop(NAME, NAMELESS) or NAMELESS,)
        series = [canonical([(METRIC, m), *given.items()]) for m in metrics]
        is_meant = self._is_meant or (lambda _: True)
        return [self._catalogue.intern(labels) if is_meant(labels) else _UNWANTED for labels in series]


def _taken(batch: Batch, keep: Mask) -> Batch:
    return Batch(batch.sid[keep], batch.t[keep], batch.value[keep], batch.refusals, batch.refused)


def _is_empty(column: pa.Array) -> Mask:
    codes, words = codes_of(column)
    return np.asarray(np.array([not w for w in words], np.bool_)[codes])


def _refusal(bad: _BadRow) -> Refusal:
    return Refusal(f"row {bad.row}, column {bad.column}" if bad.column else f"row {bad.row}", bad.value, bad.reason)


def _sentence(path: Path, bad: _BadRow) -> str:
    where = f"{path}: data row {bad.row}" + (f", column {bad.column!r}" if bad.column else "")
    return f"{where}: {bad.value[:200]!r} {bad.reason}; --skip-bad leaves such rows out and counts them"


# --- opening --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Source:
    """An open file: pieces of rows, and the rows that have the wrong number of cells."""

    columns: list[str]
    pieces: Iterator[Any]
    fraction: Callable[[], float]
    broken: list[_BadRow]


def _open(path: Path, piece_bytes: int, texts: Sequence[str]) -> _Source:
    import pyarrow as pa

    try:
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        return _open_parquet(path) if is_parquet else _open_csv(path, piece_bytes, texts)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: is neither CSV with a header nor Parquet: {error}") from None
    except OSError as error:  # what is compressed is damaged, or something else than its name says
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _open_parquet(path: Path) -> _Source:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    total = max(1, file.metadata.num_rows)
    done = [0]

    def pieces() -> Iterator[Any]:
        for group in range(file.num_row_groups):  # asked for all of them, Arrow keeps each one's bytes to the end
            for piece in file.iter_batches(batch_size=PIECE_ROWS, row_groups=[group]):
                done[0] += len(piece)
                yield piece

    return _Source(file.schema_arrow.names, pieces(), lambda: done[0] / total, [])


def _open_csv(path: Path, piece_bytes: int, texts: Sequence[str]) -> _Source:
    import pyarrow as pa
    import pyarrow.csv as csv

    raw = pa.OSFile(str(path))
    size = max(1, raw.size())
    codec = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}.get(path.suffix)
    with pa.input_stream(str(path), compression=codec) as head:
        columns = _header(head)
    broken: list[_BadRow] = []
    # Labels repeat: they are parsed into codes at once. In a wide file any column may hold numbers.
    coded = pa.dictionary(pa.int32(), pa.string())
    types = {c: coded if texts and c not in texts else pa.string() for c in columns}

    def note(row: csv.InvalidRow) -> str:
        reason = f"has {row.actual_columns} cells where the header has {row.expected_columns}"
        broken.append(_BadRow(row.number - 1, "", row.text, reason))
        return "skip"

    reader = csv.open_csv(
        pa.CompressedInputStream(raw, codec) if codec else raw,
        read_options=csv.ReadOptions(use_threads=False, block_size=piece_bytes),  # threads would lose row numbers
        parse_options=csv.ParseOptions(invalid_row_handler=note, newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False),
    )
    return _Source(columns, iter(reader), lambda: min(1.0, raw.tell() / size), broken)


def _header(stream: Any) -> list[str]:
    import csv

    line = bytearray()
    while not line.endswith(b"\n") and len(line) < 1 << 20 and (more := stream.read(1)):
        line += more
    rows = list(csv.reader([line.decode("utf-8-sig", "replace")]))
    return rows[0] if rows else []


def _check_header(path: Path, columns: list[str], wide: bool) -> None:
    twice = [c for c, n in Counter(columns).items() if n > 1]
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} stands twice in the header; rename one of them")
    if "" in columns:
        raise InputError(f"{path}: column {columns.index('') + 1} has no name; give it one, or leave the column out")
    if METRIC in columns:
        raise InputError(f"{path}: column {METRIC!r} cannot be a label; name it {NAME!r}")
    for needed in (TIME,) if wide else (TIME, VALUE):
        if needed not in columns:
            hint = "; is it a wide file? then add --wide" if needed == VALUE else ""
            raise InputError(f"{path}: has no column {needed!r}, only {', '.join(columns[:20])}{hint}")
