from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.analyze.blame import blame, counted, total
from airis_mon.series.labels import canonical


def labelled(**labels):
    return canonical({"__name__": "requests", **labels}.items())


def fleet():
    """Four pods on two nodes, two paths each."""
    return [
        labelled(pod=f"cart-{i}", node=f"n{i % 2}", path=path, team="shop") for i in range(4) for path in ("/a", "/b")
    ]


def test_the_pod_that_rose_explains_the_rise():
    before = np.full(8, 10.0)
    after = before.copy()
    after[6:] += 20
    after[0] += 2
    first, *others = blame(fleet(), before, after)
    assert first.names == ("pod",)
    assert first.explaining == ("cart-3",)
    assert first.explains == pytest.approx(40 / 42)
    assert first.parts[0].value == "cart-3"
    assert (first.parts[0].before, first.parts[0].after, first.parts[0].series) == (20, 60, 2)
    assert {o.names for o in others} == {("node",), ("path",)}


def test_a_path_that_rose_on_all_pods_is_blamed_and_not_the_pods():
    before = np.full(8, 10.0)
    after = before + np.tile([0.0, 15.0], 4)
    first, *others = blame(fleet(), before, after)
    assert (first.names, first.explaining) == (("path",), ("/b",))
    assert all(not o.explaining for o in others)


def test_where_all_rise_alike_no_label_explains_it():
    before = np.array([40.0, 5, 5, 5, 5, 5, 5, 5])
    assert all(not b.explaining for b in blame(fleet(), before, before * 1.5))


def test_surprise_is_that_of_adtributor():
    before, after = np.array([50.0, 50]), np.array([50.0, 150])
    (found,) = blame([labelled(pod="a"), labelled(pod="b")], before, after)
    b = found.parts[0]
    p, q = 0.5, 0.75
    assert b.surprise == pytest.approx(0.5 * (p * math.log(2 * p / (p + q)) + q * math.log(2 * q / (p + q))))
    assert (b.share_before, b.share_after, b.explains) == (p, q, 1.0)


def test_labels_that_split_the_series_alike_come_as_one_and_constant_ones_not_at_all():
    labels = [labelled(pod=f"p{i}", instance=f"10.0.0.{i}:80", job="api") for i in range(3)]
    found = blame(labels, np.ones(3), np.array([1.0, 1, 9]))
    assert [f.names for f in found] == [("instance", "pod")]
    assert found[0].explaining == ("10.0.0.2:80",)


def test_a_series_that_appears_or_vanishes_counts_from_or_to_nothing():
    labels = [labelled(pod=p) for p in "abc"]
    found = blame(labels, np.array([5.0, 5.0, np.nan]), np.array([5.0, np.nan, 25.0]))
    assert {p.value: p.change for p in found[0].parts} == {"a": 0, "b": -5, "c": 25}
    assert found[0].explaining == ("c",)


def test_parts_of_both_signs_have_no_shares():
    labels = [labelled(pod=p) for p in "ab"]
    (found,) = blame(labels, np.array([-5.0, 5.0]), np.array([-5.0, 15.0]))
    assert found.parts[0].share_before is found.parts[0].surprise is None
    assert found.explaining == ("b",)


def test_a_total_that_stood_still_is_explained_by_nothing():
    labels = [labelled(pod=p) for p in "ab"]
    (found,) = blame(labels, np.array([5.0, 5.0]), np.array([4.0, 6.0]))
    assert found.explaining == ()
    assert found.parts[0].explains is None


def test_a_total_is_a_sum_of_those_that_are_there_or_a_mean_of_those_that_both_windows_have():
    before, after = np.array([10.0, 20.0, np.nan]), np.array([10.0, 26.0, 60.0])
    assert total(before, after).change == 66
    assert (total(before, after, "mean").before, total(before, after, "mean").after) == (15, 18)
    assert total(np.zeros(2), np.ones(2)).ratio is None
    assert counted(before, after).tolist() == [True, True, True]
    assert counted(before, after, "mean").tolist() == [True, True, False]


@pytest.mark.parametrize(("before", "after"), [(10.0, np.nan), (np.nan, 10.0)])
def test_a_series_that_comes_or_goes_moves_no_other_one_in_a_mean(before, after):
    labels = [labelled(pod=pod, zone=zone) for pod, zone in zip("abcd", "1122", strict=True)]
    first, second = np.array([10.0, 10, 10, before]), np.array([11.0, 11, 11, after])
    assert total(first, second, "mean").change == pytest.approx(1)
    for found in blame(labels, first, second, "mean"):
        assert found.explaining == ()
        assert {part.value: part.series for part in found.parts} in ({"a": 1, "b": 1, "c": 1}, {"1": 2, "2": 1})
    still = blame(labels, first, np.array([10.0, 10, 10, after]), "mean")
    assert {part.change for found in still for part in found.parts} == {0.0}


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), *[st.floats(-1e6, 1e6)] * 2), min_size=2),
    st.sampled_from(["sum", "mean"]),
)
def test_the_parts_of_every_label_add_up_to_the_change(rows, how):
    labels = [labelled(one=a, two=b) for a, b, _, _ in rows]
    before, after = (np.array([row[i] for row in rows]) for i in (2, 3))
    whole = total(before, after, how)
    for found in blame(labels, before, after, how):
        assert sum(p.change for p in found.parts) == pytest.approx(whole.change, abs=1e-3)
