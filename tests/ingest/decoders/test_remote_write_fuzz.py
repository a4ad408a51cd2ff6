"""The wire walkers with protobuf behind them against protobuf alone, on whole, unusual and damaged requests."""

import contextlib
import struct
import subprocess
import sys

import cramjam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import InputError
from airis_mon.ingest.decoders.remote_write import RemoteWrite
from airis_mon.ingest.write_request import DecodeError, parse1, parse2
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.encode import field, label_block, varint
from airis_mon.series.labels import canonical

CPU = canonical([("__name__", "cpu"), ("host", "a")])
MEM = canonical([("__name__", "mem"), ("host", "a")])
V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"

WORDS = st.sampled_from([b"", b"__name__", b"cpu", b"mem", b"host", b"a", b"b", b"\xff", b"x" * 40, "ü".encode()])
NUMBERS = st.integers(-(2**63), 2**64 - 1).map(varint) | st.integers(0, 300).map(varint)
DOUBLES = st.binary(min_size=8, max_size=8) | st.floats().map(lambda v: struct.pack("<d", v))
UNKNOWN = st.tuples(st.integers(6, 40), st.binary(max_size=12)).map(lambda f: field(*f))


def mixed(*kinds, most=4):
    return st.lists(st.one_of(*kinds), max_size=most).map(b"".join)


def fields(number, payloads):
    return payloads.map(lambda p: field(number, p))


LABEL = mixed(fields(1, WORDS), fields(2, WORDS), most=3)
SAMPLE = mixed(DOUBLES.map(lambda d: b"\x09" + d), NUMBERS.map(lambda n: b"\x10" + n), UNKNOWN, most=3)
TIDY_SAMPLE = st.tuples(DOUBLES, NUMBERS).map(lambda p: field(2, b"\x09" + p[0] + b"\x10" + p[1]))
SMALL = st.binary(max_size=5)
NAMED = st.sampled_from([label_block(CPU), label_block(MEM), label_block(CPU[::-1])])
TIDY1 = fields(1, st.tuples(NAMED, mixed(TIDY_SAMPLE)).map(b"".join))
SERIES1 = fields(
    1, mixed(NAMED, fields(1, LABEL), fields(2, SAMPLE), fields(3, SMALL), fields(4, SMALL), UNKNOWN, most=6)
)
META1 = st.tuples(NUMBERS, WORDS).map(lambda p: field(3, b"\x08" + p[0] + field(2, p[1])))
REQUEST1 = mixed(TIDY1, most=8) | mixed(TIDY1, TIDY1, SERIES1, META1, UNKNOWN, most=8)

SYMBOLS = st.just(b"".join(field(4, w) for w in (b"", b"__name__", b"cpu", b"mem", b"host", b"a", b"\xff")))
REFS = st.lists(st.integers(0, 8), max_size=6) | st.sampled_from([[1, 2, 4, 5], [1, 3, 4, 5], [4, 5, 1, 2]])
PACKED = fields(1, REFS.map(lambda refs: b"".join(map(varint, refs))))
META2 = fields(5, mixed(*(NUMBERS.map(lambda n, tag=tag: tag + n) for tag in (b"\x08", b"\x18", b"\x20")), UNKNOWN))
CREATED = NUMBERS.map(lambda n: b"\x30" + n)
TYPED = fields(5, st.integers(0, 7).map(lambda n: b"\x08" + varint(n)))
GOOD = PACKED.filter(lambda p: b"\x07" not in p[2:] and b"\x08" not in p[2:] and len(p) % 2 == 0)
TIDY2 = fields(5, st.tuples(GOOD, mixed(TIDY_SAMPLE), TYPED).map(b"".join))
SERIES2 = fields(
    5, mixed(PACKED, fields(2, SAMPLE), fields(3, SMALL), fields(4, SMALL), META2, CREATED, UNKNOWN, most=6)
)
MIXED2 = mixed(TIDY2, TIDY2, SERIES2, UNKNOWN, fields(4, WORDS), most=8)
REQUEST2 = st.tuples(SYMBOLS, mixed(TIDY2, most=8) | MIXED2).map(b"".join)


@st.composite
def damaged(draw, requests):
    body = bytearray(draw(requests))
    for _ in range(draw(st.integers(0, 3))):
        if body:
            body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body[: draw(st.integers(0, len(body)))]) if draw(st.booleans()) else bytes(body)


def snap(plain):
    return bytes(cramjam.snappy.compress_raw(plain))


def outcome(decode, decoder):
    """What a decoder made of a body, in terms that do not depend on sids."""
    try:
        batch = decode()
    except (InputError, DecodeError):
        return "refused"
    names = [decoder.catalogue.labels(s) for s in batch.sid.tolist()]
    bits = batch.value.view(np.uint64).tolist()
    return names, batch.t.tolist(), bits, batch.refusals, batch.refused, batch.exemplars


WARM = RemoteWrite(Catalogue())  # keeps its indexes from example to example


def compare(plain, content_type):
    cold = RemoteWrite(Catalogue())
    types = {}

    def by_objects():
        items, said = parse1(plain) if content_type == V1 else (parse2(plain), [])
        batch, found = cold._objects(items, said)
        types.update((name, kind) for name, kind in found if kind)
        return batch

    WARM.catalogue.types.clear()
    WARM._second._walk.kind[:] = 0
    fast = outcome(lambda: WARM.decode(snap(plain), content_type), WARM)
    assert fast == outcome(by_objects, cold)
    if fast != "refused" and content_type == V1:
        assert WARM.catalogue.types == types


@settings(max_examples=250, deadline=None)
@given(REQUEST1 | damaged(REQUEST1))
def test_version_1_walker_and_protobuf_agree(plain):
    compare(plain, V1)


@settings(max_examples=250, deadline=None)
@given(REQUEST2 | damaged(REQUEST2))
def test_version_2_walker_and_protobuf_agree(plain):
    compare(plain, V2)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_else(body):
    for plain in (body, snap(body)):
        for kind in (V1, V2):
            with contextlib.suppress(InputError):
                WARM.decode(plain, kind)


GUARDED = """
import ctypes, mmap, random, sys
import numpy as np
from airis_mon.series.encode import field, varint
from airis_mon.series.wire import Walk1, Walk2

page = mmap.PAGESIZE
area = mmap.mmap(-1, 3 * page)
base = ctypes.addressof(ctypes.c_char.from_buffer(area))
libc = ctypes.CDLL(None, use_errno=True)
for guard in (base, base + 2 * page):
    assert libc.mprotect(ctypes.c_void_p(guard), page, 0) == 0
middle = np.frombuffer(area, np.uint8)[page : 2 * page]
walks = [w(max_keys=5000, max_bytes=1 << 20, max_rows=5000) for w in (Walk1, Walk2)]
draw = random.Random(7)
sample = field(2, bytes([9]) + bytes(8) + bytes([16]) + varint(1_700_000_000_000))
def first(i):
    return field(1, field(1, field(1, b"__name__") + field(2, b"m%d" % i)) + sample + sample)
def second(i):
    return field(5, field(1, varint(0) + varint(i % 4)) + sample + field(5, bytes([8, 1])))
bodies = [
    b"".join(first(i) for i in range(8)),
    b"".join(field(4, w) for w in (b"__name__", b"a", b"bb", b"c" * 30)) + b"".join(second(i) for i in range(8)),
]
for round in range(20000):
    body = bytearray(bodies[round % 2])
    for _ in range(draw.randrange(3)):
        body[draw.randrange(len(body))] = draw.randrange(256)
    body = body[: draw.randrange(len(body) + 1)]
    lo = page - len(body) if draw.random() < 0.8 else 0
    view = middle[lo : lo + len(body)]
    view[:] = body
    walks[round % 2].walk(view)
sys.stdout.write("alive")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="pages are guarded by Linux' mprotect")
def test_walkers_never_read_outside_the_body():
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "alive", done.stderr
