"""The past in a CSV or Parquet file, put in order of time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from pathlib import Path

from airis_mon.errors import Refusal
from airis_mon.ingest.base import Slice
from airis_mon.ingest.files import FileReader
from airis_mon.ingest.sorting import RUN_ROWS, Sorter
from airis_mon.ingest.threads import ahead, in_thread
from airis_mon.series.batch import MAX_REFUSALS, Batch, empty_batch
from airis_mon.series.catalogue import NEVER, Catalogue
from airis_mon.series.matchers import compile_selectors

FOREVER = 2**63 - 1
STEP_PIECES = 8
"""So many pieces of the file, half a million rows or so, are read between two tellings of progress."""
READING = 0.2
"""The share of reading in `fraction`: files were read and sorted five times as fast as samples are judged."""


class File:
    """The samples of a long or wide file (see `FileReader`), whatever the order of its rows.

    Of all its series, or of those that one of the selectors in `match` means if there are any.

    The file is read once, to its end, before the first slice with samples; memory stays bounded by a run of the
    sorting, `run_rows`, and a slice, `slice_rows`. What does not fit into one run goes to a temporary folder within
    `folder` (the system's place unless given), which is gone when the slices end, however they end. Of a repeated
    (series, time) the first row stays. A bad row is an InputError that names it; with `skip_bad` it is left out,
    counted in `refused` and described in the batch of a slice. While a slice is worked on, the next one is sorted.

    >>> File(Catalogue(), path="metrics.parquet").name
    'metrics.parquet'
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        path: Path | str,
        wide: bool = False,
        skip_bad: bool = False,
        match: Sequence[str] = (),
        slice_rows: int = 1_000_000,
        run_rows: int = RUN_ROWS,
        folder: Path | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.refused = 0
        self._path = Path(path)
        self._wide, self._skip_bad = wide, skip_bad
        self._is_meant = compile_selectors(match) if match else None
        self._slice_rows, self._run_rows, self._folder = slice_rows, run_rows, folder

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return self._path.name

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        """[start, end) ms, first empty slices that tell how much has been read, then the samples by time.

        Raises InputError for a file that cannot be read, TooLarge when the temporary folder cannot hold it.
        """
        self.refused = 0
        with Sorter(run_rows=self._run_rows, folder=self._folder) as sorter:
            reader = await in_thread(self._open)
            pieces = iter(reader)
            while (told := await in_thread(lambda: self._take(pieces, sorter, start, end))) is not None:
                at = start or 0
                yield Slice(at, at, told, READING * reader.fraction)
            async with aclosing(ahead(self._sorted(sorter, start, end))) as stream:
                async for found in stream:
                    yield found

    def _open(self) -> FileReader:
        wide, skip_bad, is_meant = self._wide, self._skip_bad, self._is_meant
        return FileReader(self._path, self.catalogue, wide=wide, skip_bad=skip_bad, is_meant=is_meant)

    def _take(self, pieces: Iterator[Batch], sorter: Sorter, start: int | None, end: int | None) -> Batch | None:
        """Reads a step; what was refused in it, as a batch without samples, or None at the file's end."""
        taken = refused = 0
        refusals: list[Refusal] = []
        for piece in islice(pieces, STEP_PIECES):
            sorter.add(_within(piece, start, end))
            taken += 1
            refused += piece.refused
            refusals += piece.refusals
        self.refused += refused
        return empty_batch(tuple(refusals[:MAX_REFUSALS]), refused) if taken else None

    async def _sorted(self, sorter: Sorter, start: int | None, end: int | None) -> AsyncGenerator[Slice, None]:
        windows = sorter.windows(self._slice_rows)
        done = 0
        while (window := await in_thread(lambda: next(windows, None))) is not None:
            done += window.rows
            is_last = done == sorter.rows
            low = window.start if start is None else start
            high = end if is_last and end is not None else window.end
            fraction = 1.0 if is_last else READING + (1 - READING) * done / sorter.rows
            yield Slice(low, high, window.batch, fraction)
            start = high
        if not done and start is not None and end is not None and start < end:
            yield Slice(start, end, empty_batch(), 1.0)


def _within(batch: Batch, start: int | None, end: int | None) -> Batch:
    if start is None and end is None:
        return batch
    low, high = (NEVER if start is None else start), (FOREVER if end is None else end)
    keep = (batch.t >= low) & (batch.t < high)
    return Batch(batch.sid[keep], batch.t[keep], batch.value[keep])
