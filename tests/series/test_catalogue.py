import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import InputError
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import NEVER, REST_MS, Catalogue, MetricType, take_types
from airis_mon.series.labels import canonical, fingerprint


def labels(i, metric="m"):
    return canonical([("__name__", metric), ("i", str(i))])


def batch(sids, t, values=None):
    values = np.zeros(len(sids)) if values is None else np.array(values, np.float64)
    return Batch(np.array(sids, np.int32), np.array(t, np.int64), values)


def test_sids_follow_first_sight_and_stay():
    catalogue = Catalogue()
    assert [catalogue.intern(labels(i)) for i in (5, 6, 5, 7)] == [0, 1, 0, 2]
    assert catalogue.labels(1) == labels(6)
    assert len(catalogue) == 3
    assert list(catalogue) == [0, 1, 2]


def test_arrays_grow_with_the_series():
    catalogue = Catalogue()
    sids = [catalogue.intern(labels(i, f"m{i % 7}")) for i in range(3000)]
    assert sids == list(range(3000))
    assert [int(f) for f in catalogue.fp[:3000]] == [fingerprint(labels(i, f"m{i % 7}")) for i in range(3000)]
    assert [catalogue.metrics[m] for m in catalogue.metric[:9]] == [f"m{i % 7}" for i in range(9)]
    assert (catalogue.last_t[:3000] == NEVER).all()


def test_a_series_is_found_by_its_fingerprint():
    catalogue = Catalogue()
    sid = catalogue.intern(labels(1))
    assert catalogue.find(int(catalogue.fp[sid])) == sid
    assert catalogue.find(1) is None


def test_fingerprints_that_meet_are_salted():
    catalogue = Catalogue()
    catalogue._by_fp[fingerprint(labels(1))] = 99
    sid = catalogue.intern(labels(1))
    assert int(catalogue.fp[sid]) == fingerprint(labels(1), 1)


@pytest.mark.parametrize(
    ("limits", "pairs", "words"),
    [
        ({"max_series": 0}, [("__name__", "m")], "limit of 0 series.*limits.max_series"),
        ({"max_labels": 1}, [("__name__", "m"), ("a", "b")], "2 labels .* limits.max_labels = 1"),
        ({"max_label_bytes": 20}, [("__name__", "m"), ("a", "b")], "bytes .* limits.max_label_bytes = 20"),
    ],
)
def test_limits_are_named(limits, pairs, words):
    with pytest.raises(InputError, match=words):
        Catalogue(**limits).intern(canonical(pairs))


def test_known_series_are_found_at_the_limit():
    catalogue = Catalogue(max_series=1)
    assert catalogue.intern(labels(1)) == catalogue.intern(labels(1)) == 0


def test_the_latest_sample_only_moves_forward():
    catalogue = Catalogue()
    for i in range(2):
        catalogue.intern(labels(i))
    catalogue.observe(batch([0, 1, 0, 0], [10, 5, 30, 20], [1, 2, 3, 4]))
    catalogue.observe(batch([0], [30], [9]))
    assert catalogue.last_t[:2].tolist() == [30, 5]
    assert catalogue.last_value[:2].tolist() == [3.0, 2.0]


def test_idle_series_are_forgotten_and_their_sids_rest():
    catalogue = Catalogue()
    for i in range(2):
        catalogue.intern(labels(i))
    catalogue.observe(batch([0, 1], [10, 10 * REST_MS]))
    assert catalogue.evict(50).tolist() == [0]
    assert catalogue.epoch == 1
    assert not catalogue.has(0)
    assert catalogue.has(1)
    assert not catalogue.has(2)
    with pytest.raises(KeyError):
        catalogue.labels(0)
    assert catalogue.evict(50 + REST_MS).tolist() == []
    assert catalogue.intern(labels(7)) == 2, "long enough, but only one call later"
    assert catalogue.evict(50 + REST_MS).tolist() == []
    assert catalogue.epoch == 1
    assert catalogue.intern(labels(8)) == 0
    assert catalogue.last_t[0] == NEVER


def test_sids_rest_for_ten_minutes_however_often_series_are_evicted():
    catalogue = Catalogue()
    catalogue.observe(batch([catalogue.intern(labels(0))], [10]))
    assert catalogue.evict(50).tolist() == [0]
    for later in range(5):
        catalogue.evict(50 + later)
    assert catalogue.intern(labels(1)) == 1


def test_a_series_is_idle_by_the_clock_and_not_by_the_times_of_its_samples():
    catalogue = Catalogue()
    catalogue.tick(1_000)
    for i in range(4):
        catalogue.intern(labels(i))
    catalogue.tick(5_000)
    catalogue.observe(batch([1], [3]))  # a backfill of the distant past
    catalogue.touch(np.array([2], np.int32))
    catalogue.tick(9_000)
    assert catalogue.evict(2_000).tolist() == [0, 3], "neither ever had a sample"
    assert list(catalogue) == [1, 2]


def test_a_latest_sample_noted_while_the_arrays_grow_is_not_lost():
    catalogue = Catalogue()
    catalogue.intern(labels(0))
    done = threading.Event()

    def note():
        for t in range(20_000):
            catalogue.observe(batch([0], [t]))
            if catalogue.last_t[0] < t:
                lost.append(t)
        done.set()

    lost = []
    thread = threading.Thread(target=note)
    thread.start()
    i = 0
    while not done.is_set() and i < 200_000:
        i += 1
        catalogue.intern(labels(i))
    thread.join()
    assert not lost


def test_readers_without_the_lock_find_the_labels_of_every_sid_below_the_size():
    catalogue = Catalogue(max_series=100_000)
    thread = threading.Thread(target=lambda: [catalogue.intern(labels(i)) for i in range(20_000)])
    thread.start()
    while thread.is_alive():
        size = catalogue.size
        assert not size or catalogue.has(size - 1)
    thread.join()


def test_label_pairs_of_forgotten_series_are_forgotten_too():
    catalogue = Catalogue()
    for i in range(100):
        catalogue.observe(batch([catalogue.intern(labels(i))], [i]))
        catalogue.evict(i)
    assert len(catalogue._pairs) < 6


def test_types_are_by_metric_and_bounded():
    catalogue = Catalogue(max_series=2)
    take_types(catalogue, [("m", MetricType.COUNTER), ("x", MetricType.UNKNOWN), ("y", MetricType.GAUGE)])
    take_types(catalogue, [("z", MetricType.GAUGE), ("m", MetricType.GAUGE)])
    assert catalogue.types == {"m": MetricType.GAUGE, "y": MetricType.GAUGE}


def test_threads_agree_on_sids():
    catalogue = Catalogue()
    seen = [[] for _ in range(4)]

    def work(out):
        out += [catalogue.intern(labels(i)) for i in range(500)]

    threads = [threading.Thread(target=work, args=(out,)) for out in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(out == seen[0] for out in seen)
    assert sorted(seen[0]) == list(range(500))


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["intern", "observe", "evict"]), st.integers(0, 9)), max_size=40))
def test_the_catalogue_is_always_consistent(steps):
    catalogue = Catalogue(max_series=8)
    for now, (action, i) in enumerate(steps):
        if action == "intern" and (len(catalogue) < 8 or labels(i) in catalogue._by_labels):
            catalogue.intern(labels(i))
        elif action == "observe" and catalogue.has(i):
            catalogue.observe(batch([i], [now]))
        elif action == "evict":
            catalogue.evict(now - i)
        living = list(catalogue)
        assert len(set(living)) == len(living) == len(catalogue) <= 8
        assert all(catalogue.intern(catalogue.labels(s)) == s for s in living)
        assert all(catalogue.find(int(catalogue.fp[s])) == s for s in living)
        assert set(catalogue._free).isdisjoint(living)
        assert {s for _, _, sids in catalogue._resting for s in sids}.isdisjoint(living)
