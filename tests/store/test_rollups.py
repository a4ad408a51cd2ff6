from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from airis_mon.series.batch import STALE, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.rollups import GRACE_MS, HOUR_MS, MINUTES_5_MS, Rollup
from tests.store.conftest import Open

pytestmark = [pytest.mark.live, pytest.mark.slow]
T = 1_760_000_400_000  # a whole hour
Windows = dict[tuple[int, int], tuple[float, float, float, int, float]]


def load(seed: int, samples: int = 4000, hours: int = 5) -> tuple[Catalogue, Batch]:
    """Samples of ten series with gaps, NaN, infinities and repeated times."""
    rng, catalogue = np.random.default_rng(seed), Catalogue()
    for i in range(10):
        catalogue.intern(canonical([("__name__", f"m{i % 3}"), ("i", str(i))]))
    value = np.round(rng.normal(0, 10, samples), 2)
    value[rng.random(samples) < 0.1] = math.nan
    value[rng.random(samples) < 0.05] = STALE
    value[rng.random(samples) < 0.05] = math.inf
    t = T + rng.integers(0, hours * HOUR_MS // 10_000, samples) * 10_000
    return catalogue, Batch(rng.integers(0, 10, samples).astype(np.int32), t, value)


def expected(catalogue: Catalogue, batch: Batch, window_ms: int) -> Windows:
    greatest: dict[tuple[int, int], float] = {}
    for s, t, v in zip(batch.sid.tolist(), batch.t.tolist(), batch.value.tolist(), strict=True):
        if math.isfinite(v):
            key = (int(catalogue.fp[s]), t)
            greatest[key] = max(v, greatest.get(key, -math.inf))
    groups: dict[tuple[int, int], list[float]] = {}
    for (fp, t), v in sorted(greatest.items()):
        groups.setdefault((fp, t // window_ms * window_ms), []).append(v)
    return {k: (min(v), max(v), round(math.fsum(v), 6), len(v), v[-1]) for k, v in groups.items()}


def windows(r: Rollup) -> Windows:
    columns = (r.fp, r.t, r.min, r.max, r.sum, r.n, r.last)
    return {
        (fp, t): (low, high, round(total, 6), n, last)
        for fp, t, low, high, total, n, last in zip(*(c.tolist() for c in columns), strict=True)
    }


def stored(store: ClickHouse, resolution_ms: int) -> Windows:
    return windows(store.rollups(None, 0, 2**60, resolution_ms))


def test_rollups_hold_what_the_samples_say_without_nan_and_repetition(open_store: Open) -> None:
    store = open_store()
    catalogue, batch = load(1)
    store.write(catalogue, batch, "t")
    store.maintain(T + 6 * HOUR_MS)
    assert stored(store, MINUTES_5_MS) == expected(catalogue, batch, MINUTES_5_MS)
    assert stored(store, HOUR_MS) == expected(catalogue, batch, HOUR_MS)
    some = store.rollups([int(catalogue.fp[0])], T + HOUR_MS, T + 2 * HOUR_MS, HOUR_MS)
    assert some.t.tolist() == [T + HOUR_MS, T + 2 * HOUR_MS]
    assert some.fp.tolist() == [int(catalogue.fp[0])] * 2


def test_only_windows_that_have_closed_are_built_and_step_by_step_equals_at_once(open_store: Open) -> None:
    store = open_store()
    catalogue, batch = load(2, samples=1500, hours=2)
    store.write(catalogue, batch, "t")
    for minutes, after in pairwise(range(3, 150, 7)):
        now = T + minutes * 60_000
        store.maintain(now)
        assert all(t + MINUTES_5_MS <= now - GRACE_MS for _, t in stored(store, MINUTES_5_MS))
        assert after > minutes
    store.maintain(T + 3 * HOUR_MS)
    assert stored(store, MINUTES_5_MS) == expected(catalogue, batch, MINUTES_5_MS)
    assert stored(store, HOUR_MS) == expected(catalogue, batch, HOUR_MS)


def test_rebuilding_replaces_windows_and_changes_no_figure(open_store: Open) -> None:
    store = open_store()
    catalogue, batch = load(3)
    store.write(catalogue, batch, "t")
    store.maintain(T + 6 * HOUR_MS)
    before = stored(store, MINUTES_5_MS), stored(store, HOUR_MS)
    store._execute("ALTER TABLE rollup_5m DELETE WHERE bitAnd(fp, 1) = 0 SETTINGS mutations_sync = 2", {})
    assert stored(store, MINUTES_5_MS) != before[0]
    store.rebuild_rollups(T + 1, T + 6 * HOUR_MS)
    store.rebuild_rollups(T, T + HOUR_MS)
    assert (stored(store, MINUTES_5_MS), stored(store, HOUR_MS)) == before


def test_late_samples_are_taken_up_by_the_next_maintenance(open_store: Open) -> None:
    store = open_store()
    catalogue, batch = load(4)
    early, late = (Batch(batch.sid[s], batch.t[s], batch.value[s]) for s in (slice(0, 3000), slice(3000, None)))
    store.write(catalogue, early, "early")
    store.maintain(T + 6 * HOUR_MS)
    store.write(catalogue, late, "late")
    assert stored(store, MINUTES_5_MS) == expected(catalogue, early, MINUTES_5_MS)
    store.maintain(T + 6 * HOUR_MS + 1)
    assert stored(store, MINUTES_5_MS) == expected(catalogue, batch, MINUTES_5_MS)
    assert stored(store, HOUR_MS) == expected(catalogue, batch, HOUR_MS)


def test_another_process_goes_on_where_building_ended(open_store: Open) -> None:
    first = open_store()
    catalogue, batch = load(5, hours=3)
    first.write(catalogue, batch, "t")
    first.maintain(T + HOUR_MS + 20 * 60_000)
    second = open_store()
    second.maintain(T + 4 * HOUR_MS)
    assert stored(second, MINUTES_5_MS) == expected(catalogue, batch, MINUTES_5_MS)
    assert stored(second, HOUR_MS) == expected(catalogue, batch, HOUR_MS)


def test_long_history_is_built_over_several_calls(open_store: Open) -> None:
    store, catalogue = open_store(), Catalogue()
    catalogue.intern(canonical([("__name__", "a")]))
    t = T + np.arange(60) * HOUR_MS
    batch = Batch(np.zeros(60, np.int32), t, np.arange(60.0))
    store.write(catalogue, batch, "t")
    counts = []
    for _ in range(2):
        store.maintain(T + 61 * HOUR_MS)
        counts.append(len(stored(store, HOUR_MS)))
    assert counts == [48, 60]


def test_an_empty_store_has_nothing_to_build(open_store: Open) -> None:
    store = open_store()
    store.maintain(T)
    assert stored(store, HOUR_MS) == {}
