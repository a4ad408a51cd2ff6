from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Made
from typing import Any

import numpy as np
import pytest

from airis_mon.checks.history import examine
from airis_mon.errors import Transient
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.histories.clickhouse import ClickHouse
from airis_mon.ingest.histories.file import File
from airis_mon.ingest.histories.store import Store
from airis_mon.series.batch import Batch, empty_batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.store.base import Columns, SeriesRow

T = 1_700_000_000_000
STEPS = 40


class Table:
    """A row each second, of three hosts in turn."""

    def __init__(self) -> None:
        self.server_settings: dict[str, Any] = {}

    def query(self, query: str, *, parameters: dict[str, Any], settings: dict[str, Any], column_oriented: bool) -> Made:
        every = [(T + 1000 * i, float(i), f"h{i % 3}") for i in range(STEPS)]
        rows = [r for r in every if parameters["since_ms"] < r[0] <= parameters["until_ms"]]
        if "count()" in query:
            t = [r[0] for r in rows]
            return Made(result_columns=[[min(t, default=0)], [max(t, default=0)], [len(t)]])
        rows = rows[: parameters["limit_rows"]]
        return Made(column_names=("_t", "_v", "host"), result_columns=[list(c) for c in zip(*rows, strict=True)])

    def close(self) -> None: ...


class Kept:
    """The same, as a store has it."""

    def load_series(self, since=None):
        return iter(self.series_by_fp([1, 2, 3]))

    def series_by_fp(self, fps):
        return [SeriesRow(fp, canonical([("__name__", "m"), ("host", f"h{fp}")]), T + 1000 * STEPS, T) for fp in fps]

    def scan(self, start, end, rows):
        t = np.arange(T, T + 1000 * STEPS, 1000)
        for piece in np.array_split(t[(t > start) & (t <= end)], 4):
            if len(piece):
                fp = ((piece - T) // 1000 % 3 + 1).astype(np.uint64)
                by = np.lexsort((piece, fp))
                yield Columns(fp[by], piece[by], piece[by] / 7)


def clickhouse(catalogue: Catalogue) -> ClickHouse:
    return ClickHouse(catalogue, query="t", metric="m", slice_rows=7, connect=Table)


def store(catalogue: Catalogue) -> Store:
    return Store(catalogue, store=Kept())


async def test_the_histories_pass_their_examination(tmp_path: Path):
    path = tmp_path / "m.csv"
    rows = [f"{(T + 1000 * i) // 1000},h{i % 3},{i}" for i in reversed(range(STEPS))]
    path.write_text("\n".join(["timestamp,host,value", *rows, rows[3], f"{T // 1000 + 1},h9,"]))

    def file(catalogue: Catalogue) -> File:
        return File(catalogue, path=path, slice_rows=7, run_rows=9, folder=tmp_path)

    for make in (file, clickhouse, store):
        await examine(make, start=T - 5000, end=T + 100_000)
    assert list(tmp_path.iterdir()) == [path]  # noqa: ASYNC240  nothing else runs meanwhile


class Past:
    """A history of five samples of one series that does what it should, or not."""

    name = "past"

    def __init__(self, catalogue: Catalogue, wrong: str = "") -> None:
        self.sid = catalogue.intern(canonical([("__name__", "x")]))
        self.wrong = wrong
        self.read = 0

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        assert start is not None and end is not None
        self.read += 1
        t = np.arange(T, T + 5000, 1000)
        t = t[(t >= start) & (t < end)]
        batch = Batch(np.full(len(t), self.sid, np.int32), t, np.where(t == T, np.nan, t / 3))
        yield Slice(start, start, empty_batch(), 0.1)
        for one in self.spoilt(Slice(start, end, batch, 1.0)):
            yield one
        if self.wrong == "lingers" and self.read:
            self.task = asyncio.create_task(asyncio.sleep(3600), name="lingering")

    def spoilt(self, whole: Slice) -> list[Slice]:
        b = whole.batch
        half = whole.start + 2
        match self.wrong:
            case "disorder":
                return [replace(whole, batch=Batch(b.sid, b.t[::-1].copy(), b.value))]
            case "twice":
                return [replace(whole, batch=Batch(*(np.repeat(c, 2) for c in (b.sid, b.t, b.value))))]
            case "gap between":
                return [replace(whole, end=half, batch=empty_batch()), replace(whole, start=half + 1)]
            case "short":
                return [replace(whole, end=max(whole.start, int(b.t.max(initial=0)) + 1))]
            case "ignores bounds":
                t = np.arange(T, T + 5000, 1000)
                return [replace(whole, batch=Batch(np.full(5, self.sid, np.int32), t, t / 3))]
            case "loses one":
                keep = b.t != T + 2000 if len(b) < 5 else b.t > 0
                return [replace(whole, batch=Batch(b.sid[keep], b.t[keep], b.value[keep]))]
            case "changes":
                return [replace(whole, batch=Batch(b.sid, b.t, b.value + self.read))]
            case "progress falls":
                return [replace(whole, fraction=0.05)]
            case "unknown series":
                return [replace(whole, batch=Batch(b.sid + 7, b.t, b.value))]
            case "mute":
                return [replace(whole, missing=(Missing(T, T + 1, "x", ""),))]
        return [whole]


async def test_a_history_that_does_what_it_should_passes():
    await examine(Past, start=T - 5, end=T + 9000)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("disorder", "not in order of time"),
        ("twice", "two samples of one time"),
        ("gap between", "a slice begins at"),
        ("short", "the last slice ends at"),
        ("ignores bounds", "is read alone"),
        ("loses one", "is read alone"),
        ("changes", "differ when the same past"),
        ("progress falls", "fraction goes from"),
        ("unknown series", "not the catalogue's"),
        ("mute", "says not what and why"),
        ("lingers", "tasks outlive the history"),
    ],
)
async def test_a_history_that_does_not_is_told_what_is_wrong(wrong: str, said: str):
    made: list[Past] = []

    def make(catalogue: Catalogue) -> Past:
        made.append(Past(catalogue, wrong))
        return made[-1]

    with pytest.raises(AssertionError, match=said):
        await examine(make, start=T - 5, end=T + 9000)
    for past in made:
        if task := getattr(past, "task", None):
            task.cancel()


async def test_a_history_that_hangs_is_told():
    class Hanging(Past):
        async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
            await asyncio.Event().wait()
            yield Slice(T, T, empty_batch(), 0.0)

    with pytest.raises(TimeoutError):
        await examine(Hanging, start=T, end=T + 9000, timeout_s=0.05)


async def test_an_error_of_the_source_is_not_hidden():
    class Failing(Past):
        async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
            raise Transient("gone")
            yield

    with pytest.raises(Transient):
        await examine(Failing, start=T, end=T + 9000)
