import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import InputError
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import NEVER, Catalogue, MetricType, take_types
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


def test_idle_series_are_forgotten_and_their_sids_rest_for_one_round():
    catalogue = Catalogue()
    for i in range(3):
        catalogue.intern(labels(i))
    catalogue.observe(batch([0, 1], [10, 100]))  # the third never had a sample: its first is under way
    assert catalogue.evict(50).tolist() == [0]
    assert catalogue.epoch == 1
    assert not catalogue.has(0)
    assert catalogue.has(1)
    assert not catalogue.has(3)
    with pytest.raises(KeyError):
        catalogue.labels(0)
    assert catalogue.intern(labels(7)) == 3
    assert catalogue.evict(50).tolist() == []
    assert catalogue.epoch == 1
    assert catalogue.intern(labels(8)) == 0
    assert catalogue.last_t[0] == NEVER


def test_label_pairs_of_forgotten_series_are_forgotten_too():
    catalogue = Catalogue()
    for i in range(100):
        catalogue.observe(batch([catalogue.intern(labels(i))], [i]))
        catalogue.evict(i)
    assert len(catalogue._pairs) < 6


def test_types_are_by_metric_and_bounded():
    catalogue = Catalogue(max_series=2)
    sid = catalogue.intern(labels(1))
    assert catalogue.type_of(sid) is MetricType.UNKNOWN
    take_types(catalogue, [("m", MetricType.COUNTER), ("x", MetricType.UNKNOWN), ("y", MetricType.GAUGE)])
    take_types(catalogue, [("z", MetricType.GAUGE), ("m", MetricType.GAUGE)])
    assert catalogue.types == {"m": MetricType.GAUGE, "y": MetricType.GAUGE}
    assert catalogue.type_of(sid) is MetricType.GAUGE


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
        assert set(catalogue._resting).isdisjoint(living)
