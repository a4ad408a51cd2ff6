"""The walkers themselves; what they find in requests is examined with the decoder of remote write."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.series.encode import field, label_block, varint
from airis_mon.series.labels import canonical
from airis_mon.series.rawindex import RawIndex, find_or_add, same
from airis_mon.series.wire import DONE, GROW_KEYS, GROW_ROWS, GROW_SYMBOLS, UNUSUAL, Walk1, Walk2, count_fields, values


def raw(data):
    return np.frombuffer(bytes(data), np.uint8)


def add(index, key):
    while (found := find_or_add(raw(key), 0, len(key), index.arrays)) < 0:
        assert index.grow()
    return found


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=40), max_size=60), st.integers(0, 60))
def test_the_index_numbers_keys_by_first_sight_and_forgets_the_newest(keys, keep):
    index = RawIndex(max_keys=1000, max_bytes=1 << 16)
    ids = {}
    for key in keys:
        assert add(index, key) == ids.setdefault(key, len(ids))
    index.truncate(keep)
    left = {key: i for key, i in ids.items() if i < keep}
    assert len(index) == len(left)
    assert all(index.key(i) == key for key, i in left.items())
    again = dict(left)
    for key in keys:
        assert add(index, key) == again.setdefault(key, len(again))


def test_the_index_grows_to_its_limits_and_no_further():
    index = RawIndex(max_keys=5000, max_bytes=1 << 20)
    for i in range(5000):
        assert add(index, b"key-%d" % i) == i
    assert find_or_add(raw(b"one more"), 0, 8, index.arrays) == -1
    assert not index.grow()
    assert index.key(4321) == b"key-4321"
    index.clear()
    assert (len(index), add(index, b"fresh")) == (0, 0)


def test_keys_whose_hashes_meet_are_told_apart():
    index = RawIndex(max_keys=100, max_bytes=1 << 12)
    first, second = add(index, b"first key"), add(index, b"other key")
    index.arrays.hashes[first] = index.arrays.hashes[second]  # as if they had the same hash
    slot = int(index.arrays.hashes[second]) & (len(index.arrays.table) - 1)
    index.arrays.table[:] = -1
    index.arrays.table[slot], index.arrays.table[(slot + 1) % len(index.arrays.table)] = first, second
    assert add(index, b"other key") == second


@given(st.binary(max_size=100), st.integers(0, 20), st.integers(0, 20), st.integers(-1, 99))
def test_memory_is_compared_byte_by_byte(data, before, after, changed):
    a = raw(b"x" * before + data)
    b = np.array(raw(b"y" * after + data))
    if 0 <= changed < len(data):
        b[after + changed] ^= 1
    assert same(a, before, b, after, len(data)) == (not 0 <= changed < len(data))


def sample(t, bits=0):
    return field(2, b"\x09" + struct.pack("<Q", bits) + b"\x10" + varint(t))


def request(*series):
    return b"".join(field(1, label_block(canonical([("__name__", n)])) + b"".join(parts)) for n, *parts in series)


def test_a_walk_answers_keys_times_bits_and_counts():
    walk = Walk1(max_keys=100, max_bytes=1 << 16, max_rows=100)
    body = request(("a", sample(1, 7), sample(-2, 2**63)), ("b", field(3, b"e"), field(4, b"h")), ("a", sample(3)))
    status, met = walk.walk(raw(body + field(3, b"meta")))
    assert status == DONE
    assert (met.position, met.rows) == (len(body) + 6, 3)
    assert (met.exemplars, met.histograms, met.first_histogram, met.metadata) == (1, 1, 1, 1)
    assert walk.rows.key[:3].tolist() == [0, 0, 0]
    assert walk.rows.item[:3].tolist() == [0, 0, 2]
    assert walk.rows.t[:3].tolist() == [1, -2, 3]
    assert values(walk.rows, 3).view(np.uint64).tolist() == [7, 2**63, 0]


def test_series_are_expected_in_the_order_of_the_last_time():
    walk = Walk1(max_keys=100, max_bytes=1 << 16, max_rows=100)
    walk.walk(raw(request(*((n, sample(1)) for n in "abcd"))))
    for order in ("dcba", "dcba", "abcd"):
        walk.walk(raw(request(*((n, sample(1)) for n in order))))
        assert walk.rows.key[:4].tolist() == ["abcd".index(n) for n in order]
        follow = walk.index.arrays.follow
        assert [int(follow["abcd".index(n)]) for n in order[:-1]] == ["abcd".index(n) for n in order[1:]]


@pytest.mark.parametrize(
    ("limits", "status"),
    [({"max_keys": 2}, GROW_KEYS), ({"max_bytes": 20}, GROW_KEYS), ({"max_rows": 2}, GROW_ROWS)],
)
def test_a_walk_stops_at_its_limits_and_leaves_nothing(limits, status):
    walk = Walk1(**{"max_keys": 100, "max_bytes": 1 << 16, "max_rows": 100, **limits})
    assert walk.walk(raw(request(("a", sample(1)), ("b", sample(1)), ("c", sample(1)))))[0] == status
    assert len(walk.index) == 0


def test_memory_grows_with_the_requests():
    walk = Walk1(max_keys=20_000, max_bytes=1 << 22, max_rows=20_000)
    body = request(*((f"metric_{i}", sample(i)) for i in range(10_000)))
    for _ in range(2):
        assert walk.walk(raw(body))[0] == DONE
        assert walk.rows.key[:10_000].tolist() == list(range(10_000))
    assert len(walk.index) == 10_000


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x05",
        b"\x0a\x80",
        b"\x0a\xff\xff\xff\xff\xff\xff",
        b"\x10\x01",
        field(1, field(2, b"\x09\x00")),
        field(1, field(2, b"\x10" + b"\xff" * 10)),
        field(1, field(2, b"\x10" + b"\xff" * 9 + b"\x02")),
        field(1, b"\x0a\x7f"),
        field(1, field(1, b"x" * 70_000)),
        field(1, sample(1) + field(1, b"late label")),
    ],
)
def test_what_is_unusual_is_left_to_protobuf(body):
    walk = Walk1(max_keys=100, max_bytes=1 << 20, max_rows=100)
    good = request(("a", sample(1)))
    status, met = walk.walk(raw(good + body))
    assert status == UNUSUAL
    assert met.position >= len(good)
    assert len(walk.index) == 0


def test_fields_are_counted_up_to_the_first_broken_one():
    whole = [field(1, b"abc"), b"\x10\xac\x02", b"\x19" + bytes(8), b"\x25" + bytes(4), field(900, b"")]
    assert count_fields(raw(b"".join(whole))) == 5
    assert count_fields(raw(b"".join(whole) + b"\x0a\x05")) == 5
    assert count_fields(raw(b"")) == 0


def test_version_2_keys_are_words_and_types_are_news_once():
    walk = Walk2(max_keys=100, max_bytes=1 << 16, max_rows=100)
    words = b"".join(field(4, w) for w in (b"__name__", b"a", b"b"))
    body = words + field(5, field(1, b"\x00\x01") + sample(1) + field(5, b"\x08\x02"))
    first, second = walk.walk(raw(body)), walk.walk(raw(body))
    assert (first[0], first[1].metadata, second[1].metadata) == (DONE, 1, 0)
    assert walk.words(0) == [b"__name__", b"a"]
    assert walk.kind[0] == 2
    walk.clear()
    assert (len(walk.symbols), walk.kind[0]) == (0, 0)


def test_version_2_symbols_have_a_limit_of_their_own():
    walk = Walk2(max_keys=2, max_bytes=1 << 16, max_rows=100)
    assert walk.walk(raw(b"".join(field(4, b"w%d" % i) for i in range(5))))[0] == GROW_SYMBOLS
    assert len(walk.symbols) == 0
