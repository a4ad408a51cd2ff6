from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import REST_MS, Catalogue
from airis_mon.series.labels import canonical, metric_of
from airis_mon.store.order import SeriesOrder


def grow(catalogue: Catalogue, first: int, n: int) -> None:
    for i in range(first, first + n):
        catalogue.intern(canonical([("__name__", f"m{i * 7 % 5}"), ("host", str(i))]))


def expected(catalogue: Catalogue, batch: Batch) -> list[tuple[str, int, int, float]]:
    rows = [
        (metric_of(catalogue.labels(s)), int(catalogue.fp[s]), int(t), float(v))
        for s, t, v in zip(batch.sid, batch.t, batch.value, strict=True)
    ]
    return sorted(rows, key=lambda r: r[:3])


def sorted_rows(order: SeriesOrder, catalogue: Catalogue, batch: Batch) -> list[tuple[str, int, int, float]]:
    order.follow(catalogue)
    sid, fp, t, value = order.sort(batch)
    names = [order.metrics[m] for m in order.metric[sid]]
    return list(zip(names, fp.tolist(), t.tolist(), value.tolist(), strict=True))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_a_batch_is_ordered_by_metric_fp_and_time_while_the_catalogue_grows(steps: list[int], seed: int) -> None:
    catalogue, order, rng = Catalogue(), SeriesOrder(), np.random.default_rng(seed)
    for step in steps:
        grow(catalogue, len(catalogue), step)
        sid = rng.integers(0, len(catalogue), 100).astype(np.int32)
        batch = Batch(sid, rng.permutation(100).astype(np.int64), rng.random(100))
        assert sorted_rows(order, catalogue, batch) == expected(catalogue, batch)


def test_rows_equal_in_series_and_time_keep_their_order() -> None:
    catalogue, order = Catalogue(), SeriesOrder()
    grow(catalogue, 0, 3)
    batch = Batch(np.array([1, 0, 1, 1], np.int32), np.array([5, 5, 5, 4]), np.array([1.0, 2.0, 3.0, 4.0]))
    rows = [r for r in sorted_rows(order, catalogue, batch) if r[1] == int(catalogue.fp[1])]
    assert [r[3] for r in rows] == [4.0, 1.0, 3.0]


def test_a_sid_given_to_another_series_moves_to_its_place() -> None:
    catalogue, order = Catalogue(), SeriesOrder()
    grow(catalogue, 0, 10)
    batch = Batch(np.arange(10, dtype=np.int32), np.ones(10, np.int64), np.full(10, 0.5))
    order.follow(catalogue)
    order.exponent[:] = 3
    catalogue.observe(Batch(batch.sid[:4], batch.t[:4], batch.value[:4]))
    for later in (0, 1, REST_MS):
        catalogue.evict(2 + later)
    for i in range(4):
        catalogue.intern(canonical([("__name__", f"a{i}"), ("host", "new")]))
    assert sorted_rows(order, catalogue, batch) == expected(catalogue, batch)
    assert sorted(order.exponent.tolist()) == [0] * 4 + [3] * 6
