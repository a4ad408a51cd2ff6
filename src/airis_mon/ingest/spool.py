"""What was fetched of a source's past, kept in a folder: whoever begins again fetches the rest only."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from airis_mon.errors import InputError, StoreError
from airis_mon.ingest.base import History, Slice
from airis_mon.ingest.threads import in_thread
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue

_ABOUT = "source.json"
_META = b"airis"
_REMEDY = "choose another folder, or empty it"


class Spool:
    """The `History` of another source, slice by slice through files in `folder`.

    asked: what the source was asked for, JSON-ready; a folder in which another question was kept is refused. Slices
    are kept up to the first of which something is missing: that is asked for again.
    """

    def __init__(self, history: History, catalogue: Catalogue, folder: Path, asked: Mapping[str, Any]) -> None:
        self._history, self._catalogue, self._folder = history, catalogue, folder
        self._asked = dict(asked)

    @property
    def name(self) -> str:
        """That of the source."""
        return self._history.name

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        """As the source's: first what was kept of [start, end), then the rest, which is kept from now on.

        Raises InputError for a folder of another question or another time, StoreError when it cannot be written.
        """
        await in_thread(self._open)
        count, until = 0, start
        while (path := self._path(count)).exists():
            kept = await in_thread(partial(_load, path, self._catalogue))
            if not count and start is not None and kept.start > start:
                raise InputError(f"{self._folder}: holds a later time than is asked for; {_REMEDY}")
            count, until = count + 1, kept.end
            if (part := _cut(kept, start, end)) is not None:
                yield part
        if start is not None and until is not None and until < start:
            raise InputError(f"{self._folder}: holds an earlier time than is asked for; {_REMEDY}")
        if end is not None and until is not None and until >= end:
            return
        async with aclosing(self._history.slices(until, end)) as rest:
            async for part in self._kept(rest, count):
                yield part

    async def _kept(self, rest: AsyncGenerator[Slice, None], count: int) -> AsyncGenerator[Slice, None]:
        """The slices, each kept as long as no one before it lacks anything."""
        is_whole = True
        async for part in rest:
            if part.end > part.start:  # an empty one tells of progress, or of what is missing throughout
                is_whole &= not part.missing
                if is_whole:
                    await in_thread(partial(self._keep, part, self._path(count)))
                    count += 1
            yield part

    def _path(self, count: int) -> Path:
        return self._folder / f"{count:06d}.arrow"

    def _open(self) -> None:
        about = self._folder / _ABOUT
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            before = json.loads(about.read_text()) if about.exists() else None
            if before is None and not any(self._folder.glob("*.arrow")):
                about.write_text(json.dumps(self._asked) + "\n")
                before = self._asked
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._folder}: cannot be used: {error}; choose another folder") from None
        if before != json.loads(json.dumps(self._asked)):
            raise InputError(f"{self._folder}: holds what another replay fetched; {_REMEDY}")

    def _keep(self, part: Slice, path: Path) -> None:
        import pyarrow as pa

        sids, index = np.unique(part.batch.sid, return_inverse=True)
        labels = [self._catalogue.labels(sid) for sid in sids.tolist()]
        about = {"start": part.start, "end": part.end, "fraction": part.fraction, "labels": labels}
        columns = {"series": index.astype(np.int32), "t": part.batch.t, "value": part.batch.value}
        rows = pa.record_batch({name: pa.array(column) for name, column in columns.items()})
        schema = rows.schema.with_metadata({_META: json.dumps(about).encode()})
        partial = path.with_suffix(".part")
        try:
            with pa.OSFile(str(partial), "wb") as file:
                options = pa.ipc.IpcWriteOptions(compression="zstd")
                with pa.ipc.new_file(file, schema, options=options) as out:
                    out.write_batch(rows.replace_schema_metadata(schema.metadata))
            partial.replace(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror or error}; free some space") from None


def _cut(part: Slice, start: int | None, end: int | None) -> Slice | None:
    """What of a slice lies within [start, end); None if nothing does."""
    first, last = (
        max(part.start, part.start if start is None else start),
        min(part.end, part.end if end is None else end),
    )
    if first >= last:
        return None
    if (first, last) == (part.start, part.end):
        return part
    rows = slice(*np.searchsorted(part.batch.t, (first, last)).tolist())
    batch = Batch(part.batch.sid[rows], part.batch.t[rows], part.batch.value[rows])
    return Slice(first, last, batch, part.fraction)


def _load(path: Path, catalogue: Catalogue) -> Slice:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        about = json.loads(table.schema.metadata[_META])
    except (pa.ArrowInvalid, OSError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; remove it and what follows it") from None
    sids = np.array([catalogue.intern(tuple((n, v) for n, v in labels)) for labels in about["labels"]], np.int32)
    index, t, value = (table.column(name).to_numpy() for name in ("series", "t", "value"))
    return Slice(about["start"], about["end"], Batch(sids[index], t, value), about["fraction"])
