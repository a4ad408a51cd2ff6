import struct
from concurrent.futures import ThreadPoolExecutor

import cramjam
import numpy as np
import pytest

from airis_mon.errors import InputError, TooLarge
from airis_mon.ingest.decoders.remote_write import RemoteWrite
from airis_mon.series.batch import STALE_BITS, is_stale
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.encode import field, label_block, varint, write_request
from airis_mon.series.labels import canonical

CPU = canonical([("__name__", "cpu"), ("host", "a")])
MEM = canonical([("__name__", "mem"), ("host", "a")])


def snap(plain):
    return bytes(cramjam.snappy.compress_raw(plain))


def double(number):
    return b"\x09" + struct.pack("<d", number)


def sample(number, t):
    return field(2, double(number) + b"\x10" + varint(t))


def series(labels, *parts):
    return field(1, label_block(labels) + b"".join(parts))


def rows(decoder, batch):
    return [
        (decoder.catalogue.labels(s), t, v)
        for s, t, v in zip(batch.sid.tolist(), batch.t.tolist(), batch.value.tolist(), strict=True)
    ]


@pytest.fixture
def decoder():
    return RemoteWrite(Catalogue())


def test_samples_arrive_in_order_with_their_labels(decoder):
    body = write_request(
        [label_block(CPU), label_block(MEM)], np.array([0, 1, 0], np.int32), np.array([5, 6, 7]), np.array([1.5, -2, 0])
    )
    assert rows(decoder, decoder.decode(body)) == [(CPU, 5, 1.5), (MEM, 6, -2.0), (CPU, 7, 0.0)]


def test_a_second_request_finds_the_same_series(decoder):
    body = snap(series(CPU, sample(1, 1)) + series(MEM, sample(2, 1)))
    first, second = decoder.decode(body), decoder.decode(body)
    assert first.sid.tolist() == second.sid.tolist() == [0, 1]


def test_two_orders_of_the_same_labels_are_one_series(decoder):
    body = snap(series(CPU, sample(1, 1)) + series(CPU[::-1], sample(2, 2)))
    assert decoder.decode(body).sid.tolist() == [0, 0]


def test_one_series_may_carry_several_samples(decoder):
    body = snap(series(CPU, sample(1, 1), sample(2, 2), sample(3, 3)))
    assert decoder.decode(body).t.tolist() == [1, 2, 3]


def test_fields_left_out_are_zero(decoder):
    body = snap(series(CPU, field(2, b"\x10\x07"), field(2, double(4.0)), field(2, b"")))
    assert rows(decoder, decoder.decode(body)) == [(CPU, 7, 0.0), (CPU, 0, 4.0), (CPU, 0, 0.0)]


def test_the_stale_marker_keeps_its_bits_and_time_may_be_negative(decoder):
    stale = field(2, b"\x09" + struct.pack("<Q", STALE_BITS) + b"\x10" + varint(-5))
    for body in (series(CPU, stale), series(CPU, stale) + b"\x10\x01"):  # the second one takes the slow way
        batch = decoder.decode(snap(body))
        assert is_stale(batch.value).tolist() == [True]
        assert batch.t.tolist() == [-5]


def test_labels_after_samples_are_read_by_protobuf(decoder):
    split = field(1, sample(1, 9) + label_block(CPU))
    assert rows(decoder, decoder.decode(snap(split))) == [(CPU, 9, 1.0)]


def test_exemplars_are_skipped_and_counted(decoder):
    batch = decoder.decode(snap(series(CPU, sample(1, 1), field(3, b"xyz"))))
    assert (len(batch), batch.exemplars, batch.refused) == (1, 1, 0)


def test_native_histograms_are_refused_by_name(decoder):
    batch = decoder.decode(snap(series(CPU, sample(1, 1)) + series(MEM, field(4, b""), field(4, b""))))
    assert (len(batch), batch.refused, batch.unsupported) == (1, 2, 2)
    assert batch.refusals[0].path == "timeseries[1]"
    assert "native histograms" in batch.refusals[0].reason


def test_metadata_gives_the_types_of_metric_families(decoder):
    meta = field(3, b"\x08\x01" + field(2, b"cpu")) + field(3, b"\x08\x03" + field(2, b"latency"))
    assert len(decoder.decode(snap(meta))) == 0
    assert decoder.catalogue.types["cpu"] is MetricType.COUNTER
    assert decoder.catalogue.types["latency"] is MetricType.HISTOGRAM


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ((("__name__", "x"), ("a", "1"), ("a", "2")), "'a' stands twice"),
        ((("host", "a"),), "'__name__' (the metric's name) is missing"),
        ((("__name__", "x"), ("", "1")), "empty name"),
        ((("__name__", "x"), ("long", "v" * 5000)), "limits.max_label_bytes"),
        ((("__name__", "x"), ("long", "v" * 100_000)), "limits.max_label_bytes"),
        ((("__name__", "x"), *((f"l{i}", "v") for i in range(80))), "limits.max_labels"),
    ],
)
def test_a_bad_series_is_refused_each_time_and_the_others_kept(decoder, labels, reason):
    body = snap(series(CPU, sample(1, 1)) + series(labels, sample(2, 2), sample(2, 3)) + series(MEM, sample(3, 3)))
    for _ in range(2):
        batch = decoder.decode(body)
        assert [r[0] for r in rows(decoder, batch)] == [CPU, MEM]
        assert batch.refused == 2
        assert batch.refusals[0].path == "timeseries[1]"
        assert reason in batch.refusals[0].reason


def test_labels_that_are_not_utf8_refuse_their_series_only(decoder):
    bad = field(1, field(1, field(1, b"__name__") + field(2, b"\xff\xfe")) + sample(1, 1))
    batch = decoder.decode(snap(bad + series(CPU, sample(1, 1))))
    assert len(batch) == 1
    assert "not UTF-8" in batch.refusals[0].reason


def test_series_beyond_the_limit_are_refused():
    decoder = RemoteWrite(Catalogue(max_series=1))
    batch = decoder.decode(snap(series(CPU, sample(1, 1)) + series(MEM, sample(1, 1))))
    assert (len(batch), batch.refused) == (1, 1)
    assert "limits.max_series" in batch.refusals[0].reason


def test_evicted_series_are_learned_anew(decoder):
    body = snap(series(CPU, sample(1, 1)))
    catalogue = decoder.catalogue
    catalogue.observe(decoder.decode(body))
    catalogue.evict(10)
    batch = decoder.decode(body)
    assert catalogue.labels(int(batch.sid[0])) == CPU


def test_a_full_index_forgets_and_goes_on():
    decoder = RemoteWrite(Catalogue(max_series=4))
    decoder._first._walk.index.max_keys = 8
    decoder._first._walk.clear()
    for i in range(40):
        pairs = (("__name__", "cpu"), *(("", "") for _ in range(i)))  # another block of the same labels every time
        body = field(1, label_block(pairs) + sample(i, i))
        assert len(decoder.decode(snap(body))) == 1
    assert len(decoder.catalogue) == 1


def test_more_samples_than_allowed_are_too_large():
    decoder = RemoteWrite(Catalogue(), max_samples=2)
    for extra in (b"", b"\x10\x01"):
        with pytest.raises(TooLarge, match="more than 2 samples"):
            decoder.decode(snap(series(CPU, sample(1, 1), sample(1, 2), sample(1, 3)) + extra))


@pytest.mark.parametrize(
    "plain",
    [
        b"\x10\x01" + b"\x0a\x00" * 60_000,
        b"\x10\x01" + field(1, field(1, b"x" * (5 << 20))),
        b"\x1a\x00" * 60_000,
    ],
)
def test_what_only_objects_can_read_is_limited(decoder, plain):
    with pytest.raises(TooLarge, match="send smaller"):
        decoder.decode(snap(plain))


def test_a_request_that_fails_leaves_nothing_behind(decoder):
    with pytest.raises(InputError, match="broken at byte"):
        decoder.decode(snap(series(CPU, sample(1, 1)) + b"\x0a\x05"))
    assert len(decoder.catalogue) == 0
    assert len(decoder._first._walk.index) == 0
    assert len(decoder.decode(snap(series(MEM, sample(1, 1))))) == 1


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b"", InputError, "cut off at byte 0"),
        (b"\xff\xff", InputError, "cut off at byte 2"),
        (varint(1 << 31) + b"xxx", TooLarge, "the limit is"),
        (varint(1 << 20) + b"xxx", InputError, "cannot hold"),
        (b"\x05abc", InputError, "not a snappy block"),
        (snap(b"garbage that is no protobuf"), InputError, "broken at byte 0"),
    ],
)
def test_bodies_that_cannot_be_read_are_named(decoder, body, error, words):
    with pytest.raises(error, match=words):
        decoder.decode(body)


def test_other_encodings_and_messages_are_refused_by_name(decoder):
    with pytest.raises(InputError, match="the body is zstd"):
        decoder.decode(bytes(cramjam.zstd.compress(b"x")))
    with pytest.raises(InputError, match="framed"):
        decoder.decode(bytes(cramjam.snappy.compress(b"x")))
    with pytest.raises(InputError, match=r"'io.prometheus.write.v3' is not known"):
        decoder.decode(b"", "application/x-protobuf;proto=io.prometheus.write.v3")


# Version 2


V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


def series2(refs, *parts):
    return field(5, field(1, b"".join(varint(r) for r in refs)) + b"".join(parts))


def symbols(*words):
    return b"".join(field(4, w) for w in words)


WORDS = symbols(b"", b"__name__", b"cpu", b"host", b"a", b"mem")


def test_version_2_series_are_found_however_a_request_numbers_its_symbols(decoder):
    body = WORDS + series2((1, 2, 3, 4), sample(1, 1)) + series2((1, 5, 3, 4), sample(2, 2), sample(3, 3))
    other = symbols(b"", b"mem", b"a", b"host", b"__name__") + series2((4, 1, 3, 2), sample(4, 4))
    assert rows(decoder, decoder.decode(snap(body), V2)) == [(CPU, 1, 1.0), (MEM, 2, 2.0), (MEM, 3, 3.0)]
    assert rows(decoder, decoder.decode(snap(other), V2)) == [(MEM, 4, 4.0)]
    assert decoder.decode(snap(series(MEM, sample(1, 1)))).sid.tolist() == [1]  # the same sid as in version 1


def test_version_2_metadata_gives_types(decoder):
    created = b"\x30" + varint(1_700_000_000_000)
    part = field(2, double(1.0) + b"\x10\x05\x18\x04")  # a sample with a start timestamp
    body = WORDS + series2((1, 2), part, field(5, b"\x08\x01\x18\x02"), created) + series2((1, 5), sample(1, 1))
    for _ in range(2):
        assert len(decoder.decode(snap(body), V2)) == 2
        assert decoder.catalogue.types == {"cpu": MetricType.COUNTER}


def test_version_2_counts_what_it_does_not_take(decoder):
    body = WORDS + series2((1, 2), sample(1, 1), field(4, b"x")) + series2((1, 5), field(3, b"h"))
    batch = decoder.decode(snap(body), V2)
    assert (len(batch), batch.exemplars, batch.refused) == (1, 1, 1)
    assert batch.refusals[0].path == "timeseries[1]"


@pytest.mark.parametrize(
    ("refs", "reason"),
    [((1,), "no name-value pairs"), ((1, 9), "beyond the 6 symbols"), ((3, 4), "'__name__'")],
)
def test_version_2_bad_references_refuse_their_series_only(decoder, refs, reason):
    batch = decoder.decode(snap(WORDS + series2(refs, sample(1, 1)) + series2((1, 2), sample(1, 1))), V2)
    assert (len(batch), batch.refused) == (1, 1)
    assert reason in batch.refusals[0].reason


def test_a_full_symbol_index_forgets_and_goes_on():
    decoder = RemoteWrite(Catalogue(max_series=100))
    decoder._second._walk.symbols.max_keys = 8
    decoder._second._walk.clear()
    for i in range(20):
        body = symbols(b"__name__", b"m%d" % i, b"x%d" % i, b"y") + series2((0, 1, 2, 3), sample(i, i))
        assert rows(decoder, decoder.decode(snap(body), V2))[0][1:] == (i, i)
    many = symbols(b"__name__", *(b"m%d" % i for i in range(50))) + series2((0, 9), sample(1, 1))
    assert len(decoder.decode(snap(many), V2)) == 1


def test_version_2_requests_that_fail_leave_nothing_behind(decoder):
    with pytest.raises(InputError, match=r"no io.prometheus.write.v2.Request: it is broken at byte"):
        decoder.decode(snap(WORDS + series2((1, 2), sample(1, 1)) + b"\x2a\x05"), V2)
    assert len(decoder.catalogue) == len(decoder._second._walk.symbols) == len(decoder._second._walk.index) == 0


def test_threads_may_decode_at_once():
    decoder = RemoteWrite(Catalogue())
    bodies = [
        snap(b"".join(series((("__name__", f"m{i}"), ("k", str(k))), sample(i, k)) for i in range(200)))
        for k in range(8)
    ]
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(decoder.decode, bodies * 5))
    for k, batch in enumerate(batches):
        assert batch.t.tolist() == [k % 8] * 200
        assert [dict(decoder.catalogue.labels(s)) for s in batch.sid.tolist()] == [
            {"__name__": f"m{i}", "k": str(k % 8)} for i in range(200)
        ]
    assert len(decoder.catalogue) == 1600
