"""Our own store's samples come in order of time, with sids of another catalogue."""

import asyncio
import itertools
from contextlib import aclosing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import StoreBusy, StoreError, Transient
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.histories.store import Store
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical, series_name
from airis_mon.store.base import Columns, SeriesRow

HOSTS = ["a", "b", "c"]
T = 1_700_000_000_000


class Kept:
    """A store in memory: rows of (host, t, value), scanned `piece` rows at a time; `busy` errors come first."""

    def __init__(self, rows, piece: int = 3) -> None:
        self.rows = sorted(rows, key=lambda r: r[1])
        self.piece = piece
        self.labels = {1000 - h: canonical([("__name__", "m"), ("host", name)]) for h, name in enumerate(HOSTS)}
        self.busy: list[Exception | None] = []
        self.scans: list[tuple[int, int]] = []

    def _fail(self) -> None:
        if self.busy and (error := self.busy.pop(0)):
            raise error

    def load_series(self, since=None):
        self._fail()
        seen = [t for _, t, _ in self.rows]
        return (SeriesRow(fp, labels, max(seen), min(seen)) for fp, labels in self.labels.items() if seen)

    def series_by_fp(self, fps):
        return [SeriesRow(fp, self.labels[fp], 0) for fp in sorted(fps) if fp in self.labels]

    def scan(self, start, end, rows):
        self.scans.append((start, end))
        inside = [r for r in self.rows if start < r[1] <= end]
        while inside:
            self._fail()
            last = inside[min(self.piece, len(inside)) - 1][1]
            piece = sorted((1000 - h, t, v) for h, t, v in inside if t <= last)
            inside = [r for r in inside if r[1] > last]
            fp, t, v = zip(*piece, strict=True)
            yield Columns(np.array(fp, np.uint64), np.array(t, np.int64), np.array(v, np.float64))


class Instant:
    """A clock whose waits are over at once."""

    def now(self) -> int:
        return T

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


async def taken(history: Store, start=None, end=None) -> list[Slice]:
    async with aclosing(history.slices(start, end)) as stream:
        return [s async for s in stream]


def read(store: Kept, start=None, end=None, **settings):
    history = Store(Catalogue(), store=store, clock=Instant(), **settings)
    slices = asyncio.run(taken(history, start, end))
    rows = [
        (series_name(history.catalogue.labels(s)), t, v)
        for one in slices
        for s, t, v in zip(one.batch.sid.tolist(), one.batch.t.tolist(), one.batch.value.tolist(), strict=True)
    ]
    return rows, slices


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(T, T + 40)), max_size=40, unique=True)


@given(ROWS, st.integers(1, 9), st.none() | st.integers(T - 5, T + 20), st.none() | st.integers(T + 21, T + 50))
def test_slices_cover_every_sample_once_in_order_of_time(rows, piece, start, end):
    store = Kept([(h, t, float(i)) for i, (h, t) in enumerate(rows)], piece)
    out, slices = read(store, start, end)
    low, high = start or T, end or T + 50
    assert sorted(out) == sorted((f'm{{host="{HOSTS[h]}"}}', t, v) for h, t, v in store.rows if low <= t < high)
    assert [t for _, t, _ in out] == sorted(t for _, t, _ in out)
    assert all(a.end == b.start for a, b in itertools.pairwise(slices))
    assert all(s.start <= t < s.end for s in slices for t in s.batch.t)
    if start is not None and end is not None:
        assert (slices[0].start, slices[-1].end) == (start, end)
    fractions = [s.fraction for s in slices]
    assert fractions == sorted(fractions)
    assert fractions[-1:] in ([], [1.0])


def test_only_the_series_that_a_selector_means_are_given():
    store = Kept([(h, T + t, h + t / 10) for h in range(3) for t in range(5)])
    rows, _ = read(store, match=['m{host="a"}', '{host=~"c.*"}'])
    assert {name for name, _, _ in rows} == {'m{host="a"}', 'm{host="c"}'}
    assert len(rows) == 10


def test_series_without_labels_are_missing_and_the_others_are_given():
    store = Kept([(0, T, 1.0), (1, T, 2.0)])
    del store.labels[1000]
    rows, slices = read(store)
    assert [v for _, _, v in rows] == [2.0]
    assert slices[0].missing == (Missing(T, T + 1, "1 series", "the store no longer knows their labels"),)


def test_a_busy_store_is_asked_again_and_nothing_is_lost_or_given_twice():
    store = Kept([(0, T + t, float(t)) for t in range(9)])
    store.busy = [StoreBusy("down", 0.1), None, None, StoreBusy("down", 0.1), StoreBusy("down", 0.1)]
    rows, slices = read(store)
    assert [v for _, _, v in rows] == [float(t) for t in range(9)]
    assert not any(s.missing for s in slices)
    assert len(store.scans) > 1


def test_a_store_that_goes_away_leaves_the_rest_of_the_time_missing():
    store = Kept([(0, T + t, float(t)) for t in range(9)])
    store.busy = [None, None, *[StoreBusy("gone", 0.1)] * 99]
    rows, slices = read(store, T, T + 100)
    assert [v for _, _, v in rows] == [0.0, 1.0, 2.0]
    assert slices[-1].missing == (Missing(T + 3, T + 100, "all series", "gone"),)
    assert (slices[-1].start, slices[-1].end) == (T + 3, T + 3), "where to go on later"
    assert slices[-1].fraction < 1.0


def test_a_store_that_never_answers_and_one_that_refuses_are_told():
    store = Kept([(0, T, 1.0)])
    store.busy = [StoreBusy("gone", 0.1)] * 99
    with pytest.raises(Transient, match="gone"):
        read(store)
    store.busy = [None, StoreError("refused")]
    with pytest.raises(StoreError, match="refused"):
        read(store)


def test_series_evicted_from_the_catalogue_get_new_sids():
    store = Kept([(0, T, 1.0), (0, T + 1, 2.0)], piece=1)
    catalogue = Catalogue()

    async def go() -> list[bool]:
        known = []
        history = Store(catalogue, store=store)
        stream = history._slices(None, None)  # without reading ahead
        async for one in stream:
            known += [catalogue.has(s) for s in one.batch.sid.tolist()]
            catalogue.observe(one.batch)
            catalogue.evict(T + 10)
        return known

    assert asyncio.run(go()) == [True, True]


async def test_closing_or_cancelling_at_any_time_leaves_no_task():
    for taken_first in range(4):
        before = asyncio.all_tasks()
        history = Store(Catalogue(), store=Kept([(0, T + t, 1.0) for t in range(30)]))
        async with aclosing(history.slices()) as stream:
            for _ in range(taken_first):
                await anext(stream)
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert not {t for t in asyncio.all_tasks() - before if not t.done()}
