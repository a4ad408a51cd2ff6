import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import InputError, TooLarge
from airis_mon.ingest.decoders.json import Json
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import series_name

NOW = 1_700_000_000_123


def decode(body, decoder=None):
    decoder = decoder or Json(Catalogue())
    batch = decoder.decode(body if isinstance(body, bytes) else json.dumps(body).encode(), "application/json", NOW)
    names = [series_name(decoder.catalogue.labels(s)) for s in batch.sid.tolist()]
    return list(zip(names, batch.t.tolist(), batch.value.tolist(), strict=True)), batch


def test_one_metric_without_a_time_is_dated_now():
    rows, batch = decode({"metricName": "cpu_usage", "value": 95.5, "labels": {"host": "a"}})
    assert rows == [('cpu_usage{host="a"}', NOW, 95.5)]
    assert batch.refused == 0


@pytest.mark.parametrize(
    ("timestamp", "t"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-15T07:13:20.250+09:00", 1_700_000_000_250),
        (1_700_000_000_000, 1_700_000_000_000),
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.5, 1_700_000_000_500),
        (-5, -5000),
        (None, NOW),
    ],
)
def test_times_are_rfc_3339_or_epoch_numbers(timestamp, t):
    rows, _ = decode([{"metricName": "a", "value": 1, "timestamp": timestamp}])
    assert rows[0][1] == t


@pytest.mark.parametrize(
    ("source", "series"),
    [(None, "a"), ("api", "a"), ("", "a"), ("edge", 'a{source="edge"}')],
)
def test_a_source_other_than_api_is_a_label(source, series):
    assert decode({"metricName": "a", "value": 1, "source": source})[0][0][0] == series


def test_a_source_that_repeats_its_label_is_one_label():
    item = {"metricName": "a", "value": 1, "source": "edge", "labels": {"source": "edge"}}
    assert decode(item)[0][0][0] == 'a{source="edge"}'
    _, batch = decode({**item, "source": "other"})
    assert batch.refusals[0].reason == "label 'source' stands twice"


def test_order_and_spaces_of_labels_do_not_matter():
    decoder = Json(Catalogue())
    bodies = [b'{"a":"1","b":"2"}', b'{"b": "2", "a": "1"}', b'{"a":"1","b":"2","c":""}']
    rows, _ = decode(
        b"[" + b",".join(b'{"metricName":"m","value":1,"labels":' + b + b"}" for b in bodies) + b"]", decoder
    )
    assert len({r[0] for r in rows}) == 1
    assert len(decoder.catalogue) == 1


@pytest.mark.parametrize(
    ("item", "path", "value", "reason"),
    [
        ({"value": 1}, "$[1].metricName", "null", "missing required field"),
        ({"metricName": "a"}, "$[1].value", "null", "missing required field"),
        ({"metricName": "a", "value": "95"}, "$[1].value", '"95"', "Expected `float`, got `str`"),
        ({"metricName": "a", "value": None}, "$[1].value", "null", "got `null`"),
        ({"metricName": "a", "value": True}, "$[1].value", "true", "got `bool`"),
        ({"metricName": "", "value": 1}, "$[1].metricName", '""', "needs a name"),
        ({"metricName": 3, "value": 1}, "$[1].metricName", "3", "Expected `str`"),
        ({"metricName": "a", "value": 1, "labels": [1]}, "$[1].labels", "[1]", "Expected `object"),
        ({"metricName": "a", "value": 1, "labels": {"x": 3}}, "$[1].labels[...]", "null", "Expected `str`"),
        ({"metricName": "a", "value": 1, "labels": {"": "y"}}, "$[1].labels", '{"":"y"}', "empty name"),
        ({"metricName": "a", "value": 1, "labels": {"__name__": "b"}}, "$[1].labels", '{"__name__":"b"}', "twice"),
        ({"metricName": "a", "value": 1, "labels": {"x": "y" * 9000}}, "$[1].labels", None, "limits.max_label_bytes"),
        ({"metricName": "a", "value": 1, "timestamp": "soon"}, "$[1].timestamp", '"soon"', "RFC3339"),
        ({"metricName": "a", "value": 1, "timestamp": "2026-01-01T00:00:00"}, "$[1].timestamp", None, "timezone"),
        ({"metricName": "a", "value": 1, "timestamp": 1e300}, "$[1].timestamp", "1e300", "beyond any time"),
        ({"metricName": "a", "value": 1, "source": 5}, "$[1].source", "5", "Expected `str"),
        (7, "$[1]", "7", "Expected `object`, got `int`"),
    ],
)
def test_a_bad_metric_is_refused_by_path_and_the_others_kept(item, path, value, reason):
    good = {"metricName": "good", "value": 1}
    rows, batch = decode([good, item, good])
    assert rows == [("good", NOW, 1.0)] * 2
    assert batch.refused == 1
    assert batch.refusals[0].path == path
    assert value is None or batch.refusals[0].value == value
    assert reason in batch.refusals[0].reason


def test_numbers_beyond_a_float_are_refused():
    rows, batch = decode(b'[{"metricName":"a","value":1e999},{"metricName":"a","value":2}]')
    assert rows == [("a", NOW, 2.0)]
    assert batch.refusals[0].path == "$[0].value"


def test_a_single_bad_metric_is_refused_without_an_index():
    _, batch = decode({"metricName": "a", "value": "x"})
    assert batch.refusals[0].path == "$.value"


def test_bytes_that_are_not_utf8_refuse_their_metric():
    rows, batch = decode(
        b'[{"metricName":"\xff","value":1},{"metricName":"a","value":1,"labels":{"x":"\xff"}},'
        b'{"metricName":"b","value":1}]'
    )
    assert [r[0] for r in rows] == ["b"]
    assert batch.refused == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "cannot be read"),
        (b'{"metricName":"a","value":NaN}', r"cannot be read.*byte 26"),
        (b'[{"metricName":"a","value":1},', "cannot be read"),
        (b'[{"metricName":"a","value":"x"},', "cannot be read"),
        (b"7", "neither"),
        (b'"text"', "neither"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"metricName":"a","value":"x","labels":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_bodies_that_cannot_be_read_are_refused_as_a_whole(body, words):
    with pytest.raises(InputError, match=words):
        decode(body)


def test_series_beyond_the_limit_are_refused():
    items = [{"metricName": n, "value": 1} for n in "abc"]
    rows, batch = decode(items, Json(Catalogue(max_series=2)))
    assert (len(rows), batch.refused) == (2, 1)
    assert "limits.max_series" in batch.refusals[0].reason


@pytest.mark.parametrize("value", [1, "one"])
def test_more_metrics_than_allowed_are_too_large(value):
    with pytest.raises(TooLarge, match="3 metrics are more than 2"):
        decode([{"metricName": "a", "value": value}] * 3, Json(Catalogue(), max_items=2))


def test_evicted_series_are_learned_anew():
    decoder = Json(Catalogue())
    _, batch = decode({"metricName": "a", "value": 1}, decoder)
    decoder.catalogue.observe(batch)
    decoder.catalogue.evict(NOW + 1)
    assert decode({"metricName": "a", "value": 1}, decoder)[0] == [("a", NOW, 1.0)]


def test_only_so_many_refusals_are_described():
    _, batch = decode([{"metricName": "a"}] * 1000)
    assert (batch.refused, len(batch.refusals)) == (1000, 100)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "metricName": st.sampled_from(["a", "b"]) | ANY,
        "value": st.floats(allow_nan=False, allow_infinity=False) | ANY,
        "labels": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3) | ANY,
        "source": st.text(max_size=3) | ANY,
        "timestamp": st.integers() | st.datetimes().map(lambda t: t.isoformat() + "Z") | ANY,
        "other": ANY,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FIELDS | ANY, max_size=5) | FIELDS)
def test_every_item_is_taken_or_refused(items):
    text = json.dumps(items)
    try:
        _, batch = decode(text.encode())
    except InputError:
        assert "NaN" in text or "Infinity" in text or "\\ud" in text
        return
    assert len(batch) + batch.refused == (len(items) if isinstance(items, list) else 1)
    assert np.isfinite(batch.value).all()


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}",:0.eE-metricNamevalue'), max_size=60).map(str.encode))
def test_garbage_never_raises_anything_else(body):
    try:
        Json(Catalogue()).decode(body, "", NOW)
    except InputError as error:
        assert str(error)
