from __future__ import annotations

import cramjam
import numpy as np

from airis_mon.ingest.write_request import parse1
from airis_mon.series.labels import canonical
from benchmarks.payload import KINDS, PER_TARGET, requests, world

END = 1_790_000_000_000


def decoded(body):
    items, _ = parse1(bytes(cramjam.snappy.decompress_raw(body)))
    return [(canonical((n.decode(), v.decode()) for n, v in item.pairs), item.samples) for item in items]


def test_a_body_holds_the_samples_it_says_read_by_protobuf():
    w = world(1000, 6, END)
    (request, _), *_ = requests(w, 4, 700)
    found = decoded(request.body)
    assert len(found) == request.samples == 700
    for (labels, samples), series, step in zip(found, request.series, request.step, strict=True):
        assert labels == w.labels[series]
        assert list(samples) == [(w.t[step, series // PER_TARGET], w.value[step, series])]


def test_each_series_stays_on_one_connection_and_in_order_of_time():
    w = world(1000, 6, END)
    for c, stream in enumerate(requests(w, 4, 500)):
        series = np.concatenate([r.series for r in stream])
        step = np.concatenate([r.step for r in stream])
        assert set(series % 4) == {c}
        assert all(np.all(np.diff(step[series == s]) == 1) for s in set(series))


def test_a_world_is_the_same_for_the_same_seed_and_ends_where_it_is_told():
    one, two = world(500, 10, END, seed=3), world(500, 10, END, seed=3)
    assert np.array_equal(one.value, two.value)
    assert np.array_equal(one.t, two.t)
    assert one.t.max() < END


def test_a_quarter_of_the_metrics_is_of_each_kind():
    w = world(PER_TARGET, 40, END)
    whole = np.all(w.value == np.round(w.value), axis=0)
    constant = np.all(w.value == w.value[0], axis=0)
    cents = np.all(w.value == np.round(w.value, 2), axis=0)
    shares = [constant.mean(), (whole & ~constant).mean(), (cents & ~whole).mean(), (~cents).mean()]
    assert np.allclose(shares, 1 / len(KINDS), atol=0.01)
