from pathlib import Path

import numpy as np
import pytest

from airis_mon.errors import StoreError
from airis_mon.store.snapshots import DAY_MS, HOUR_MS, Snapshots

HOT = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_snapshot_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    kept = Snapshots(tmp_path / "s")
    kept.save(1000, {"hot": HOT, "t": np.array([5, 6, 7])})
    loaded = kept.load(1000)
    np.testing.assert_array_equal(loaded["hot"], HOT)
    np.testing.assert_array_equal(loaded["t"], [5, 6, 7])


def test_an_unchanged_array_is_not_written_again(tmp_path: Path) -> None:
    kept = Snapshots(tmp_path)
    kept.save(1, {"hot": HOT, "profile": HOT})
    written = kept.save(2, {"hot": HOT + 1, "profile": HOT}, unchanged={"profile"})
    assert written == HOT.nbytes
    np.testing.assert_array_equal(kept.load(2)["profile"], HOT)


def test_an_array_of_another_shape_is_written_even_when_called_unchanged(tmp_path: Path) -> None:
    kept = Snapshots(tmp_path)
    kept.save(1, {"profile": HOT})
    kept.save(2, {"profile": np.zeros((2, 4))}, unchanged={"profile"})
    assert kept.load(2)["profile"].shape == (2, 4)


def test_nearest_is_the_latest_not_after(tmp_path: Path) -> None:
    kept = Snapshots(tmp_path)
    for t in (10, 20, 30):
        kept.save(t, {"hot": HOT})
    assert [kept.nearest(t) for t in (9, 10, 29, 99)] == [None, 10, 20, 30]


def test_thinning_keeps_all_then_one_an_hour_then_one_a_day(tmp_path: Path) -> None:
    kept = Snapshots(tmp_path)
    now = 10 * DAY_MS
    times = [now - i * HOUR_MS // 2 for i in range(24 * 2 * 4)]
    for t in times:
        kept.save(t, {"hot": HOT})
    kept.thin(now, oldest=now - 3 * DAY_MS)
    ages = [now - t for t in kept.times()]
    assert sum(a <= 2 * HOUR_MS for a in ages) == 5
    assert sum(2 * HOUR_MS < a <= DAY_MS for a in ages) in (22, 23)
    assert sum(a > DAY_MS for a in ages) in (2, 3)
    assert max(ages) <= 3 * DAY_MS


def test_thinning_leaves_files_that_a_kept_manifest_names(tmp_path: Path) -> None:
    kept = Snapshots(tmp_path, keep_all_ms=0, keep_hourly_ms=0)
    kept.save(1, {"hot": HOT, "profile": HOT})
    kept.save(2, {"hot": HOT, "profile": HOT}, unchanged={"profile"})
    kept.thin(DAY_MS, oldest=0)
    assert kept.times() == [2]
    np.testing.assert_array_equal(kept.load(2)["profile"], HOT)
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_a_broken_snapshot_is_named(tmp_path: Path) -> None:
    kept = Snapshots(tmp_path)
    kept.save(1, {"hot": HOT})
    next(tmp_path.glob("hot*.npy")).write_bytes(b"no array")
    with pytest.raises(StoreError, match="snapshot 1"):
        kept.load(1)
