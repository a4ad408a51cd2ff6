"""The examination of a history: what a replay relies on, whoever wrote it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import numpy as np

from airis_mon.ingest.base import History, Slice
from airis_mon.series.batch import MAX_REFUSALS, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels

Make = Callable[[Catalogue], History]
"""Makes the history under examination, of a source whose past does not change meanwhile."""
Row = tuple[Labels, int, float]


async def examine(make: Make, *, start: int, end: int, timeout_s: float = 60.0) -> None:
    """Runs every examination on the past in [start, end) ms, which must hold samples of several times.

    Raises AssertionError that says what is wrong.
    """
    async with asyncio.timeout(timeout_s):
        await slices_are_well_formed(make, start, end)
        await the_same_is_read_again(make, start, end)
        await parts_make_the_whole(make, start, end)
        await closing_leaves_nothing_behind(make, start, end)


async def slices_are_well_formed(make: Make, start: int, end: int) -> None:
    """All of the time, slice after slice, each sample once and in order of time, progress that never falls."""
    catalogue = Catalogue()
    history = make(catalogue)
    _require(isinstance(history.name, str) and history.name, "name is empty")
    slices = await _taken(history, start, end)
    _require(slices, "there are no slices")
    at, fraction = start, 0.0
    for one in slices:
        _check(one, catalogue)
        if one.start < one.end:
            _require(one.start == at, f"a slice begins at {one.start}, the last one ended at {at}")
            at = one.end
        _require(fraction <= one.fraction <= 1, f"fraction goes from {fraction} to {one.fraction}")
        fraction = one.fraction
    _require(at == end, f"the last slice ends at {at}, {end} was asked for")
    _require(fraction == 1, f"fraction ends at {fraction}")
    rows = [(s, t) for one in slices for s, t in zip(one.batch.sid.tolist(), one.batch.t.tolist(), strict=True)]
    _require(rows, "there are no samples; the examination needs some")
    _require(len(set(rows)) == len(rows), "a series has two samples of one time")


async def the_same_is_read_again(make: Make, start: int, end: int) -> None:
    """A second reading, by the same history and by another one, gives the same samples."""
    catalogue, other = Catalogue(), Catalogue()
    history = make(catalogue)
    first = _rows(await _taken(history, start, end), catalogue)
    for again, known in ((history, catalogue), (make(other), other)):
        rows = _rows(await _taken(again, start, end), known)
        _require(rows == first, f"{len(rows ^ first)} samples differ when the same past is read again")


async def parts_make_the_whole(make: Make, start: int, end: int) -> None:
    """What is read up to a time and from it on is what is read at once; the bounds are kept."""
    catalogue = Catalogue()
    whole = _rows(await _taken(make(catalogue), start, end), catalogue)
    times = sorted({t for _, t, _ in whole})
    middle = times[len(times) // 2]
    for low, high in ((start, middle), (middle, end)):
        known = Catalogue()
        part = _rows(await _taken(make(known), low, high), known)
        want = {row for row in whole if low <= row[1] < high}
        _require(part == want, f"{len(part ^ want)} samples differ when [{low}, {high}) is read alone")


async def closing_leaves_nothing_behind(make: Make, start: int, end: int) -> None:
    """Closed or cancelled early, at any slice, it ends at once and its tasks with it."""
    before = asyncio.all_tasks()
    for n in range(3):
        async with aclosing(make(Catalogue()).slices(start, end)) as stream:
            for _ in range(n):
                await anext(stream, None)
            task = asyncio.ensure_future(anext(stream, None))
            await asyncio.sleep(0)
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            _require(
                ended is None or isinstance(ended, Slice | asyncio.CancelledError),
                f"a cancelled history ended with {ended!r}",
            )
    left = [t.get_name() for t in asyncio.all_tasks() - before if not t.done()]
    _require(not left, f"tasks outlive the history: {left}")


async def _taken(history: History, start: int, end: int) -> list[Slice]:
    async with aclosing(history.slices(start, end)) as stream:
        return [one async for one in stream]


def _check(one: Slice, catalogue: Catalogue) -> None:
    batch: Batch = one.batch
    _require(one.start <= one.end, f"a slice goes from {one.start} back to {one.end}")
    for name, dtype in (("sid", np.int32), ("t", np.int64), ("value", np.float64)):
        column = getattr(batch, name)
        _require(column.dtype == dtype, f"{name} is {column.dtype}, it must be {np.dtype(dtype)}")
        _require(column.shape == (len(batch.sid),), f"{name} has the shape {column.shape}, sid {batch.sid.shape}")
    _require(bool((np.diff(batch.t) >= 0).all()), "a slice is not in order of time")
    outside = batch.t[(batch.t < one.start) | (batch.t >= one.end)]
    _require(not len(outside), f"times such as {outside[:1]} lie outside of [{one.start}, {one.end})")
    unknown = [s for s in np.unique(batch.sid).tolist() if not catalogue.has(s)]
    _require(not unknown, f"sids {unknown[:5]} are not the catalogue's")
    _require(len(batch.refusals) <= MAX_REFUSALS, f"{len(batch.refusals)} refusals are described")
    _require(batch.refused >= len(batch.refusals), f"refused = {batch.refused} of {len(batch.refusals)} described")
    for missing in one.missing:
        _require(missing.start <= missing.end and missing.what and missing.why, f"{missing} says not what and why")


def _rows(slices: Sequence[Slice], catalogue: Catalogue) -> set[Row]:
    """The samples; a gap counts as 0, as NaN never equals itself."""
    return {
        (catalogue.labels(s), t, v)
        for one in slices
        for s, t, v in zip(
            one.batch.sid.tolist(), one.batch.t.tolist(), np.nan_to_num(one.batch.value).tolist(), strict=True
        )
    }


def _require(claim: object, message: str) -> None:
    if not claim:
        raise AssertionError(message)
