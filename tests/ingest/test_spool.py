from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from airis_mon.errors import InputError, StoreError
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.spool import Spool
from airis_mon.series.batch import STALE, Batch, empty_batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical

ASKED = {"source": "test", "match": ['{a="b"}']}


class Source:
    """Ten slices of one second; told where it was asked to begin, and which slice to miss something of."""

    name = "source"

    def __init__(self, catalogue: Catalogue, missing: int | None = None, most: int = 10) -> None:
        self.sid = catalogue.intern(canonical({"__name__": "x", "é": "한"}.items()))
        self.missing, self.most = missing, most
        self.asked: list[int | None] = []

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        self.asked.append(start)
        yield Slice(start or 0, start or 0, empty_batch(), 0.0, (Missing(0, 10_000, "others", "no room"),))
        for second in range((start or 0) // 1000, self.most):
            t = second * 1000
            gone = (Missing(t, t + 1000, "half", "slow"),) if second == self.missing else ()
            value = np.array([STALE if second == 3 else second / 7])
            batch = Batch(np.array([self.sid], np.int32), np.array([t], np.int64), value)
            yield Slice(t, t + 1000, batch, (second + 1) / 10, gone)


def read(
    folder: Path, start: int | None = None, end: int = 10_000, **source: int | None
) -> tuple[list[Slice], Source, Catalogue]:
    catalogue = Catalogue()
    catalogue.intern(canonical({"__name__": "other"}.items()))  # sids differ from run to run
    inner = Source(catalogue, **source)  # type: ignore[arg-type]

    async def all_of() -> list[Slice]:
        return [part async for part in Spool(inner, catalogue, folder, ASKED).slices(start, end)]

    return asyncio.run(all_of()), inner, catalogue


def rows(slices: list[Slice]) -> list[tuple[int, int, int, bytes, float]]:
    return [
        (s.start, s.end, t, v.tobytes(), s.fraction)
        for s in slices
        for t, v in zip(s.batch.t.tolist(), s.batch.value, strict=True)
    ]


def test_a_second_reader_asks_only_for_the_rest(tmp_path: Path) -> None:
    whole, _, _ = read(tmp_path / "whole")
    first, source, _ = read(tmp_path / "cut", most=4)
    again, rest, catalogue = read(tmp_path / "cut")
    assert (source.asked, rest.asked) == ([None], [4000])
    assert rows(again) == rows(whole)
    assert rows(first) == rows(whole)[:4]
    assert catalogue.labels(int(again[0].batch.sid[0])) == (("__name__", "x"), ("é", "한"))


def test_a_whole_past_is_not_asked_for_again(tmp_path: Path) -> None:
    read(tmp_path)
    _, source, _ = read(tmp_path)
    assert source.asked == []


def test_what_was_missing_is_asked_for_again(tmp_path: Path) -> None:
    first, _, _ = read(tmp_path, missing=6)
    assert first[7].missing[0].what == "half"
    again, source, _ = read(tmp_path)
    assert source.asked == [6000]
    assert [m.what for s in again for m in s.missing] == ["others"]


def test_only_the_time_that_is_asked_for_is_answered(tmp_path: Path) -> None:
    read(tmp_path)
    part, source, _ = read(tmp_path, start=2500, end=5500)
    assert source.asked == []
    assert [(s.start, s.end) for s in part] == [(2500, 3000), (3000, 4000), (4000, 5000), (5000, 5500)]
    assert [t for s in part for t in s.batch.t.tolist()] == [3000, 4000, 5000]


@pytest.mark.parametrize(("start", "end"), [(0, 10_000), (9_000, 10_000)])
def test_a_time_beside_that_which_was_kept_is_refused(tmp_path: Path, start: int, end: int) -> None:
    read(tmp_path, start=2000, end=5000, most=5)
    with pytest.raises(InputError, match="time than is asked for"):
        read(tmp_path, start=start, end=end)


def test_whoever_leaves_early_closes_the_source(tmp_path: Path) -> None:
    closed: list[bool] = []

    class Watched(Source):
        async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
            try:
                async for part in super().slices(start, end):
                    yield part
            finally:
                closed.append(True)

    async def leave() -> None:
        catalogue = Catalogue()
        slices = Spool(Watched(catalogue), catalogue, tmp_path, ASKED).slices()
        await anext(slices)
        await slices.aclose()

    asyncio.run(leave())
    assert closed == [True]


def test_another_question_needs_another_folder(tmp_path: Path) -> None:
    read(tmp_path)
    catalogue = Catalogue()
    other = Spool(Source(catalogue), catalogue, tmp_path, {"source": "other"})
    with pytest.raises(InputError, match="another replay"):
        asyncio.run(anext(other.slices()))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    read(tmp_path)
    (tmp_path / "000002.arrow").write_bytes(b"ARROW1 nonsense")
    with pytest.raises(StoreError, match="000002"):
        read(tmp_path)
