import contextlib
import json
import math
import time

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from airis_mon.errors import InputError, TooLarge
from airis_mon.ingest.decoders.otlp import Otlp
from airis_mon.ingest.otlp_forms import SCHEMA
from airis_mon.series.batch import is_stale
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.encode import field
from airis_mon.series.labels import series_name

Request = metrics_service_pb2.ExportMetricsServiceRequest
NOW = 1_700_000_000_123
T = 1_700_000_000_000_000_000
PROTOBUF, JSON = "application/x-protobuf", "application/json"
DELTA, CUMULATIVE = 1, 2


def attributes(**pairs):
    return [
        common_pb2.KeyValue(key=k.replace("__", "."), value=common_pb2.AnyValue(string_value=v))
        for k, v in pairs.items()
    ]


def request(*metrics, **resource):
    sent = Request()
    group = sent.resource_metrics.add(resource=resource_pb2.Resource(attributes=attributes(**resource)))
    group.scope_metrics.add(metrics=metrics)
    return sent


def gauge(name, *points, unit=""):
    return metrics_pb2.Metric(name=name, unit=unit, gauge=metrics_pb2.Gauge(data_points=points))


def total(name, *points, unit="", temporality=CUMULATIVE, monotonic=True):
    data = metrics_pb2.Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=monotonic)
    return metrics_pb2.Metric(name=name, unit=unit, sum=data)


def number(value, t=T, flags=0, **pairs):
    point = metrics_pb2.NumberDataPoint(time_unix_nano=t, attributes=attributes(**pairs), flags=flags)
    if isinstance(value, int):
        point.as_int = value
    elif value is not None:
        point.as_double = value
    return point


def histogram(name, *points, temporality=CUMULATIVE, unit="s"):
    data = metrics_pb2.Histogram(data_points=points, aggregation_temporality=temporality)
    return metrics_pb2.Metric(name=name, unit=unit, histogram=data)


def spread(counts, bounds, t=T, total=None, **pairs):
    point = metrics_pb2.HistogramDataPoint(
        time_unix_nano=t,
        attributes=attributes(**pairs),
        bucket_counts=counts,
        explicit_bounds=bounds,
        count=sum(counts),
    )
    if total is not None:
        point.sum = total
    return point


def exponentials(name, *points, temporality=CUMULATIVE):
    data = metrics_pb2.ExponentialHistogram(data_points=points, aggregation_temporality=temporality)
    return metrics_pb2.Metric(name=name, exponential_histogram=data)


def grown(scale, offset, counts, t=T, zero=0, negative=(0, ()), total=None):
    buckets = metrics_pb2.ExponentialHistogramDataPoint.Buckets
    point = metrics_pb2.ExponentialHistogramDataPoint(
        time_unix_nano=t,
        scale=scale,
        zero_count=zero,
        positive=buckets(offset=offset, bucket_counts=counts),
        negative=buckets(offset=negative[0], bucket_counts=negative[1]),
        count=sum(counts) + zero + sum(negative[1]),
    )
    if total is not None:
        point.sum = total
    return point


def as_json(sent):
    return json.dumps(MessageToDict(sent)).encode()


def rows(decoder, batch):
    names = [series_name(decoder.catalogue.labels(s)) for s in batch.sid.tolist()]
    return dict(zip(names, batch.value.tolist(), strict=True))


def take(sent, decoder=None, form=PROTOBUF):
    decoder = decoder or Otlp(Catalogue())
    batch = decoder.decode(sent.SerializeToString() if form == PROTOBUF else as_json(sent), form, NOW)
    return rows(decoder, batch), batch, decoder


def test_our_tables_carry_the_numbers_of_opentelemetry_proto():
    theirs = {}
    for file in (metrics_service_pb2, metrics_pb2, common_pb2, resource_pb2):
        theirs.update(file.DESCRIPTOR.message_types_by_name)
    theirs["Buckets"] = metrics_pb2.ExponentialHistogramDataPoint.Buckets.DESCRIPTOR
    theirs["ValueAtQuantile"] = metrics_pb2.SummaryDataPoint.ValueAtQuantile.DESCRIPTOR
    for message, fields in SCHEMA.items():
        for name, (n, kind) in fields.items():
            found = theirs[message].fields_by_name[name]
            assert found.number == n
            assert kind.startswith("*") == found.is_repeated
            assert "bytes" not in kind or found.type in {9, 11, 12}  # text, message, bytes
            scalar = {1: "double", 6: "fixed64", 16: "sfixed64", 13: "uint32", 17: "sint32", 4: "uint64", 3: "int64"}
            assert scalar.get(found.type, kind.lstrip("*")) == kind.lstrip("*")


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
def test_a_gauge_becomes_a_series_with_job_and_instance(form):
    sent = request(
        gauge("system.cpu.utilization", number(0.5, cpu="0", state__name="idle"), number(7), unit="1"),
        service__name="shop",
        service__namespace="eu",
        service__instance__id="i-1",
        host__name="h",
    )
    found, batch, decoder = take(sent, form=form)
    assert found == {
        'system_cpu_utilization_ratio{cpu="0",instance="i-1",job="eu/shop",state_name="idle"}': 0.5,
        'system_cpu_utilization_ratio{instance="i-1",job="eu/shop"}': 7.0,
        'target_info{host_name="h",instance="i-1",job="eu/shop"}': 1.0,
    }
    assert set(batch.t.tolist()) == {1_700_000_000_000}
    assert decoder.catalogue.types["system_cpu_utilization_ratio"] is MetricType.GAUGE
    assert take(sent, decoder, form)[1].sid.tolist() == batch.sid.tolist()


@pytest.mark.parametrize("extra", [b"", b"\x40\x00", b"\x2a\x00", b"\x40\x01", b"\x19" + bytes(8), b"\x31" + bytes(8)])
@pytest.mark.parametrize("is_first", [True, False])
def test_numbers_are_read_whatever_the_order_of_their_fields(extra, is_first):
    plain = number(1.5, a="b").SerializeToString()
    odd = extra + plain if is_first else plain + extra
    expected = metrics_pb2.NumberDataPoint.FromString(odd)
    decoder = Otlp(Catalogue())
    for point in (plain, odd, odd):
        metric = field(1, b"g") + field(5, field(1, point))
        body = field(1, field(2, field(2, metric)))
        batch = decoder.decode(body, PROTOBUF, NOW)
    value = expected.as_double if expected.WhichOneof("value") == "as_double" else 1.5
    assert list(rows(decoder, batch)) == ['g{a="b"}']
    assert batch.t.tolist() == [expected.time_unix_nano // 10**6 or NOW]
    assert is_stale(batch.value)[0] if expected.flags else batch.value[0] == value


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
def test_a_monotonic_sum_is_a_counter_and_another_a_gauge(form):
    sent = request(total("net.io", number(5), unit="By"), total("queue.size", number(-3), monotonic=False))
    found, _, decoder = take(sent, form=form)
    assert found == {"net_io_bytes_total": 5.0, "queue_size": -3.0}
    assert decoder.catalogue.types == {"net_io_bytes_total": MetricType.COUNTER, "queue_size": MetricType.GAUGE}


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
def test_deltas_are_added_up(form):
    decoder = Otlp(Catalogue())
    values = []
    for i, delta in enumerate((5, 0, 7)):
        sent = request(
            total("a", number(delta, T + i), temporality=DELTA),
            total("b", number(-delta, T + i), temporality=DELTA, monotonic=False),
        )
        values.append(list(take(sent, decoder, form)[0].values()))
    assert values == [[5, -5], [5, -5], [12, -12]]


def test_a_delta_that_comes_twice_is_refused_and_not_counted_twice():
    decoder = Otlp(Catalogue())
    sent = request(total("a", number(5), temporality=DELTA))
    take(sent, decoder)
    _, batch, _ = take(sent, decoder)
    assert (len(batch), batch.refused) == (0, 1)
    assert "late or twice" in batch.refusals[0].reason
    assert take(request(total("a", number(1, T + 1), temporality=DELTA)), decoder)[0] == {"a_total": 6.0}


def test_delta_totals_survive_an_eviction_of_other_series():
    decoder = Otlp(Catalogue())
    _, batch, _ = take(request(total("a", number(5), temporality=DELTA), gauge("old", number(1, T - 10**12))), decoder)
    decoder.catalogue.observe(batch)
    decoder.catalogue.evict(T // 10**6 - 500)
    assert take(request(total("a", number(1, T + 1), temporality=DELTA)), decoder)[0] == {"a_total": 6.0}


def test_the_room_for_delta_totals_is_bounded():
    decoder = Otlp(Catalogue(), delta_room=2)
    sent = request(total("a", *(number(1, host=str(i)) for i in range(5)), temporality=DELTA))
    found, batch, _ = take(sent, decoder)
    assert (len(found), batch.refused) == (2, 3)
    assert "no room" in batch.refusals[0].reason


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
def test_a_histogram_becomes_cumulative_buckets_sum_and_count(form):
    found, _, decoder = take(request(histogram("latency", spread([1, 2, 3], [0.5, 10.0], total=9.5))), form=form)
    assert found == {
        'latency_seconds_bucket{le="0.5"}': 1.0,
        'latency_seconds_bucket{le="10"}': 3.0,
        'latency_seconds_bucket{le="+Inf"}': 6.0,
        "latency_seconds_sum": 9.5,
        "latency_seconds_count": 6.0,
    }
    assert decoder.catalogue.types["latency_seconds"] is MetricType.HISTOGRAM


def test_delta_histograms_are_added_up_and_start_anew_with_new_bounds():
    decoder = Otlp(Catalogue())

    def send(i, counts, bounds):
        return take(request(histogram("h", spread(counts, bounds, T + i, 1.0), temporality=DELTA, unit="")), decoder)[0]

    send(0, [1, 2], [1.0])
    found = send(1, [1, 2], [1.0])
    assert found == {'h_bucket{le="1"}': 2.0, 'h_bucket{le="+Inf"}': 6.0, "h_sum": 2.0, "h_count": 6.0}
    assert send(2, [1, 1, 1], [1.0, 2.0])["h_count"] == 3.0
    assert send(3, [], [])["h_count"] == 0.0
    assert send(4, [5], [])["h_count"] == 5.0
    assert decoder.deltas.used == 3 + 1
    decoder.deltas.keep(lambda fp: True)
    assert decoder.deltas.used == 3 + 1


def test_a_histogram_without_sum_or_buckets_has_none():
    found, _, _ = take(request(histogram("h", spread([3], []), unit="")))
    assert found == {'h_bucket{le="+Inf"}': 3.0, "h_count": 3.0}
    point = metrics_pb2.HistogramDataPoint(time_unix_nano=T, count=4)
    assert take(request(histogram("h", point, unit="")))[0] == {'h_bucket{le="+Inf"}': 4.0, "h_count": 4.0}


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
def test_an_exponential_histogram_becomes_classic_buckets(form):
    found, _, _ = take(request(exponentials("e", grown(0, 0, [1, 2], zero=4, total=5.0))), form=form)  # (1,2], (2,4]
    assert found == {
        'e_bucket{le="0"}': 4.0,
        'e_bucket{le="1"}': 4.0,
        'e_bucket{le="2"}': 5.0,
        'e_bucket{le="4"}': 7.0,
        'e_bucket{le="+Inf"}': 7.0,
        "e_sum": 5.0,
        "e_count": 7.0,
    }


def test_fine_exponential_buckets_are_merged_exactly_onto_the_same_bounds():
    values = np.exp(np.random.default_rng(3).normal(0, 1.5, 2000))
    bounds = {}
    for scale in (1, 3, 6):
        index = np.ceil(np.log2(values) * 2**scale).astype(int) - 1
        counts = np.bincount(index - index.min())
        found, _, _ = take(request(exponentials("e", grown(scale, int(index.min()), counts.tolist()))))
        bounds[scale] = found
        for name, count in found.items():
            if "bucket" in name and "+Inf" not in name:
                le = float(name.partition('le="')[2].rstrip('"}'))
                assert count == np.sum(values <= le)
    assert bounds[1] == bounds[3] == bounds[6]


def test_an_exponential_histogram_has_few_bounds_however_wide_it_is():
    found, _, _ = take(request(exponentials("e", grown(0, -500, [1] * 1000))))
    assert len(found) <= 64 + 4
    assert found["e_count"] == 1000.0


def test_negative_exponential_buckets_come_before_zero():
    found, _, _ = take(request(exponentials("e", grown(0, 0, [1], zero=2, negative=(0, (3, 4))))))
    buckets = [(k.partition('le="')[2].rstrip('"}'), v) for k, v in found.items() if "bucket" in k]
    assert buckets == [("-4", 0), ("-2", 4), ("-1", 7), ("0", 9), ("1", 9), ("2", 10), ("+Inf", 10)]


def test_delta_exponential_histograms_are_added_up_over_scales():
    decoder = Otlp(Catalogue())
    take(request(exponentials("e", grown(1, 0, [1, 1], total=1.0), temporality=DELTA)), decoder)
    found, _, _ = take(request(exponentials("e", grown(0, 0, [5], T + 1, total=2.0), temporality=DELTA)), decoder)
    assert found == {
        'e_bucket{le="1"}': 0.0,
        'e_bucket{le="2"}': 7.0,
        'e_bucket{le="+Inf"}': 7.0,
        "e_sum": 3.0,
        "e_count": 7.0,
    }


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
def test_a_summary_keeps_its_quantiles(form):
    quantile = metrics_pb2.SummaryDataPoint.ValueAtQuantile
    point = metrics_pb2.SummaryDataPoint(
        time_unix_nano=T, count=3, sum=6.0, quantile_values=[quantile(quantile=0.99, value=4.0)]
    )
    metric = metrics_pb2.Metric(name="s", summary=metrics_pb2.Summary(data_points=[point]))
    found, _, decoder = take(request(metric), form=form)
    assert found == {'s{quantile="0.99"}': 4.0, "s_sum": 6.0, "s_count": 3.0}
    assert decoder.catalogue.types["s"] is MetricType.SUMMARY


def test_points_without_a_recorded_value_end_their_series():
    decoder = Otlp(Catalogue())
    take(request(gauge("g", number(1.0)), histogram("h", spread([1, 2], [1.0]), unit="")), decoder)
    ended = metrics_pb2.HistogramDataPoint(time_unix_nano=T + 10**9, flags=1)
    found, batch, _ = take(request(gauge("g", number(None, T + 10**9, 1)), histogram("h", ended, unit="")), decoder)
    assert set(found) == {"g", 'h_bucket{le="1"}', 'h_bucket{le="+Inf"}', "h_count"}
    assert is_stale(batch.value).all()


def test_two_hosts_without_instance_ids_are_two_series():
    first, _, decoder = take(request(gauge("load", number(1.0)), host__name="a"))
    second, _, _ = take(request(gauge("load", number(1.0)), host__name="b"), decoder)
    assert (set(first), set(second)) == ({'load{host_name="a"}'}, {'load{host_name="b"}'})


def test_attributes_that_become_one_label_are_joined_and_scope_can_be_shown():
    sent = request(gauge("g", number(1.0, a__b="x", a_b="y")), region="eu")
    sent.resource_metrics[0].scope_metrics[0].scope.name = "lib"
    found, _, _ = take(sent, Otlp(Catalogue(), scope_labels=True, promoted=["region"]))
    assert set(found) == {'g{a_b="x;y",otel_scope_name="lib",region="eu"}'}


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
def test_attributes_of_every_kind_have_a_text(form):
    any_value = common_pb2.AnyValue
    inner = common_pb2.ArrayValue(values=[any_value(int_value=1), any_value(string_value="b")])
    point = number(1.0)
    for key, value in {
        "i": any_value(int_value=-5),
        "d": any_value(double_value=2.5),
        "b": any_value(bool_value=True),
        "y": any_value(bytes_value=b"hi"),
        "l": any_value(array_value=inner),
        "m": any_value(
            kvlist_value=common_pb2.KeyValueList(
                values=[common_pb2.KeyValue(key="k", value=any_value(string_value="v"))]
            )
        ),
        "9z": any_value(string_value="digit"),
    }.items():
        point.attributes.add(key=key, value=value)
    _, batch, decoder = take(request(gauge("g", point)), form=form)
    labels = dict(decoder.catalogue.labels(int(batch.sid[0])))
    assert labels["i"] == "-5"
    assert labels["d"] == "2.5"
    assert labels["b"] == "true"
    assert labels["y"] == "aGk="
    assert labels["m"] == '{"k":"v"}'
    assert labels["key_9z"] == "digit"
    assert json.loads(labels["l"]) in ([1, "b"], ["1", "b"])


@pytest.mark.parametrize(
    ("metric", "path", "reason"),
    [
        (gauge("g", number(None)), "gauge.dataPoints[0]", "no value"),
        (gauge("", number(1.0)), "gauge.dataPoints[0]", "no name"),
        (total("t", number(1), temporality=0), "sum.dataPoints[0]", "temporality"),
        (histogram("h", spread([1, 2], [])), "histogram.dataPoints[0]", "do not fit"),
        (histogram("h", spread([1, 2, 3], [2.0, 1.0])), "histogram.dataPoints[0]", "rise"),
        (histogram("h", spread([1, 2], [math.inf])), "histogram.dataPoints[0]", "finite"),
        (histogram("h", spread([1] * 2001, range(2000))), "histogram.dataPoints[0]", "more than 1000"),
        (exponentials("e", grown(50, 0, [1])), "exponentialHistogram.dataPoints[0]", "scale"),
        (exponentials("e", grown(0, 5000, [1])), "exponentialHistogram.dataPoints[0]", "range of a float"),
        (exponentials("e", grown(0, 0, [1] * 30_000)), "exponentialHistogram.dataPoints[0]", "more than 20000"),
        (gauge("g", number(1.0, a="v" * 9000)), "gauge.dataPoints[0]", "limits.max_label_bytes"),
    ],
)
@pytest.mark.parametrize("form", [PROTOBUF, JSON])
def test_a_bad_point_is_refused_by_path_and_the_others_kept(metric, path, reason, form):
    found, batch, _ = take(request(metric, gauge("good", number(1.0))), form=form)
    assert found == {"good": 1.0}
    assert batch.refused == 1
    assert batch.refusals[0].path == f"resourceMetrics[0].scopeMetrics[0].metrics[0].{path}"
    assert reason in batch.refusals[0].reason


def test_bytes_that_are_not_utf8_refuse_their_points_only():
    good = request(gauge("good", number(1.0))).SerializeToString()
    for text in (b"name", b"key", b"value"):
        bad = request(gauge("name", number(1.0, key="value"))).SerializeToString().replace(text, b"\xff" * len(text))
        decoder = Otlp(Catalogue())
        batch = decoder.decode(bad + good, PROTOBUF, NOW)
        assert rows(decoder, batch) == {"good": 1.0}
        assert batch.refused == 1
        assert "not UTF-8" in batch.refusals[0].reason


def test_json_takes_enum_names_numbers_as_text_and_unknown_fields():
    body = {
        "resourceMetrics": [
            {
                "scopeMetrics": [
                    {
                        "metrics": [
                            {
                                "name": "a",
                                "future": {"x": [1]},
                                "sum": {
                                    "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
                                    "isMonotonic": True,
                                    "dataPoints": [
                                        {
                                            "timeUnixNano": str(T),
                                            "asInt": "12",
                                            "exemplars": [{"traceId": "5b8efff798038103d269b633813fc60c"}],
                                        },
                                        {"asDouble": "NaN", "attributes": [{"key": "k", "value": {"intValue": "7"}}]},
                                    ],
                                },
                            }
                        ]
                    }
                ]
            }
        ]
    }
    decoder = Otlp(Catalogue())
    batch = decoder.decode(json.dumps(body).encode(), JSON, NOW)
    assert list(rows(decoder, batch)) == ["a_total", 'a_total{k="7"}']
    assert batch.t.tolist() == [T // 10**6, NOW]
    assert batch.value[0] == 12.0
    assert math.isnan(batch.value[1])


@pytest.mark.parametrize(
    ("body", "form", "words"),
    [
        (b"\xff\xff", PROTOBUF, "protobuf is broken"),
        (b'{"resourceMetrics": 5}', JSON, r"\$.resourceMetrics"),
        (b"{", JSON, "no OTLP JSON"),
        (b"[" * 100_000, JSON, "OTLP|deeply"),
        (b'{"a":' * 100_000, JSON, "OTLP|deeply"),
    ],
)
def test_bodies_that_cannot_be_read_are_refused_as_a_whole(body, form, words):
    with pytest.raises(InputError, match=words):
        Otlp(Catalogue()).decode(body, form, NOW)


def test_more_than_allowed_is_too_large():
    sent = request(gauge("g", number(1.0), number(2.0), number(3.0)))
    assert len(take(sent, Otlp(Catalogue(), max_items=6))[1]) == 3
    with pytest.raises(TooLarge, match="more than 5 metrics and data points"):
        take(sent, Otlp(Catalogue(), max_items=5))
    with pytest.raises(TooLarge, match="more than 5 metrics and data points"):
        Otlp(Catalogue(), max_items=5).decode(field(1, b"") * 9, PROTOBUF, NOW)
    with pytest.raises(TooLarge, match="the limit is 10"):
        take(sent, Otlp(Catalogue(), max_bytes=10))


def test_what_is_cached_is_bounded():
    decoder = Otlp(Catalogue(max_series=50))
    for i in range(400):
        body = json.dumps(MessageToDict(request(gauge("g", number(1.0, a="b")))), indent=i % 3, separators=(",", ":"))
        decoder.decode(body.replace('"key"', " " * i + '"key"').encode(), JSON, NOW)
    assert len(decoder.catalogue) == 1
    assert sum(len(f.numbers) for f in decoder._families.values()) <= 101


NUMBERS = st.integers(0, 2**64 - 1)
POINT = st.builds(
    lambda v, t, f, a: number(v, t, f, **a),
    st.none() | st.floats() | st.integers(-(2**63), 2**63 - 1),
    NUMBERS,
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(["a", "b__c", "__name__", "le"]), st.text(max_size=3), max_size=2),
)
SPREAD = st.builds(
    spread, st.lists(st.integers(0, 2**60), max_size=4), st.lists(st.floats(), max_size=3), NUMBERS, st.floats()
)
GROWN = st.builds(
    grown,
    st.integers(-15, 25),
    st.integers(-(2**31), 2**31 - 1) | st.integers(-50, 50),
    st.lists(st.integers(0, 2**40), max_size=5),
    NUMBERS,
    st.integers(0, 2**40),
    st.tuples(st.integers(-50, 50), st.lists(st.integers(0, 5), max_size=3)),
    st.floats(),
)
NAMES = st.sampled_from(["", "a", "a.b", "9", "total", "ünit"])
KINDS = (
    st.builds(gauge, NAMES, POINT, POINT, unit=st.sampled_from(["", "s", "1", "{x}/s", "By/m"]))
    | st.builds(total, NAMES, POINT, temporality=st.integers(0, 2), monotonic=st.booleans())
    | st.builds(histogram, NAMES, SPREAD, SPREAD, temporality=st.integers(0, 2))
    | st.builds(exponentials, NAMES, GROWN, GROWN, temporality=st.integers(0, 2))
)
REQUESTS = st.builds(
    lambda metrics, r: request(*metrics, **r), st.lists(KINDS, max_size=3), st.just({"host__name": "h"})
)


def outcome(form, sent):
    decoder = Otlp(Catalogue())
    out = []
    for _ in range(2):
        batch = decoder.decode(sent.SerializeToString() if form == PROTOBUF else as_json(sent), form, NOW)
        names = [series_name(decoder.catalogue.labels(s)) for s in batch.sid.tolist()]
        out.append((names, batch.t.tolist(), [str(v) for v in batch.value.tolist()], batch.refusals, batch.refused))
    return out


@settings(max_examples=150, deadline=None)
@given(REQUESTS)
def test_both_forms_say_the_same(sent):
    assert outcome(PROTOBUF, sent) == outcome(JSON, sent)


@st.composite
def damaged(draw):
    sent = draw(REQUESTS)
    body = bytearray(
        sent.SerializeToString() if (form := draw(st.sampled_from([PROTOBUF, JSON]))) == PROTOBUF else as_json(sent)
    )
    for _ in range(draw(st.integers(0, 4))):
        if body:
            body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body[: draw(st.integers(0, len(body)))]) if draw(st.booleans()) else bytes(body), form


@settings(max_examples=300, deadline=None)
@given(damaged() | st.tuples(st.binary(max_size=80), st.sampled_from([PROTOBUF, JSON])))
def test_damaged_requests_never_raise_anything_else(request_and_form):
    body, form = request_and_form
    with contextlib.suppress(InputError):
        Otlp(Catalogue()).decode(body, form, NOW)


HUGE = "9" * 5000
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["stringValue", "intValue", "arrayValue", "kvlistValue", "values", "key"]), inner
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(ANY_JSON, ANY_JSON)
def test_any_attributes_in_json_are_taken_or_refused(value, resource):
    point = {"asDouble": 1.0, "attributes": [{"key": "a", "value": value}, value]}
    metric = {"name": "g", "gauge": {"dataPoints": [point, {"asInt": 1, "attributes": value}]}}
    body = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": value, "metrics": [metric]}]}]}
    with contextlib.suppress(InputError):
        Otlp(Catalogue(), scope_labels=True).decode(json.dumps(body).encode(), JSON, NOW)


@pytest.mark.parametrize("name", ["timeUnixNano", "asInt", "flags", "asDouble"])
def test_numbers_of_thousands_of_digits_are_refused(name):
    metric = f'{{"name":"g","gauge":{{"dataPoints":[{{"{name}":{HUGE}}}]}}}}'
    body = f'{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metric}]}}]}}]}}'
    with contextlib.suppress(InputError):
        assert Otlp(Catalogue()).decode(body.encode(), JSON, NOW).refused == 1


def test_many_ended_points_take_linear_time():
    decoder = Otlp(Catalogue())
    points = [spread([1, 1], [1.0], a=str(i)) for i in range(2000)]
    take(request(histogram("h", *points)), decoder)
    for point in points:
        point.flags = 1
    start = time.process_time()
    take(request(histogram("h", *points)), decoder)
    assert time.process_time() - start < 2.0
